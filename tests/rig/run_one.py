"""Runs one unittest file and reports each test as a line: run_one.py FILE REPORT

The report gets "pass|fail|skip SECONDS NAME" as each test ends; all else that the tests print goes to stdout and
stderr. A test is one method; its sub-tests count with it. setUpClass failures count as one failed test.
"""
import importlib.util
import sys
import time
import unittest
from pathlib import Path


class Reporter(unittest.TextTestResult):
    def __init__(self, stream, descriptions, verbosity, report):
        super().__init__(stream, descriptions, verbosity)
        self.report = report
        self.began = time.monotonic()
        self.subtest_failed = False

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.subtest_failed = False

    def line(self, verdict, test, note=""):
        method = getattr(test, "_testMethodName", None) or str(test)
        name = method.removeprefix("test_").replace("_", " ") + note
        self.report.write(f"{verdict} {time.monotonic() - self.began:.2f} {name}\n")
        self.report.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line("fail" if self.subtest_failed else "pass", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line("fail", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.line("fail", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, f" ({reason})")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None and not self.subtest_failed:
            self.subtest_failed = True
            self.line("fail", test)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.line("pass", test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.line("fail", test, " (succeeded unexpectedly)")


def load(path):
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main():
    path = Path(sys.argv[1]).resolve()
    with open(sys.argv[2], "w") as report:
        suite = unittest.defaultTestLoader.loadTestsFromModule(load(path))
        runner = unittest.TextTestRunner(
            sys.stderr, verbosity=2, resultclass=lambda *arguments: Reporter(*arguments, report=report))
        result = runner.run(suite)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
