"""Runs the checks, the unit tests and the Python tests of a build, one after the other; called by scripts/test.

A line per test as it ends; the whole output of each group is kept in build/test-logs. Every test file is its own
process with a time limit ("# time limit: SECONDS" in the file, else 300) and is ended with what it started in its group.
"""
import argparse
import html
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOGS = ROOT / "build/test-logs"
TIME_LIMIT = 300
TAIL = 25


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = 0

    def note(self, verdict, group, name, seconds=None):
        took = f"  {seconds:.1f}s" if seconds is not None and seconds >= 1 else ""
        print(f"{ {'pass': 'ok  ', 'fail': 'FAIL', 'skip': 'skip'}[verdict] } {group}: {name}{took}", flush=True)
        if verdict == "pass":
            self.passed += 1
        elif verdict == "fail":
            self.failed.append(f"{group}: {name}")
        else:
            self.skipped += 1


def end_group(process):
    """Ends a test that took too long, and what it started in its own process group."""
    for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def show_tail(log):
    for line in log.read_text(errors="replace").splitlines()[-TAIL:]:
        print(f"     | {line}")
    print(f"     whole output: {log.relative_to(ROOT)}", flush=True)


class Group:
    """One process with a time limit; its output goes to a log."""

    def __init__(self, name, argv, environment, limit):
        self.log = LOGS / f"{name}.log"
        self.limit = limit
        self.late = False
        self.output = open(self.log, "w")
        self.process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.output, text=True, errors="replace",
                                        start_new_session=True)
        self.timer = threading.Timer(limit, self.expire)
        self.timer.start()

    def expire(self):
        self.late = True
        end_group(self.process)

    def lines(self):
        for line in self.process.stdout:
            self.output.write(line)
            yield line

    def finish(self):
        code = self.process.wait()
        self.timer.cancel()
        self.output.close()
        return code

    def fate(self, code):
        if self.late:
            return f"took longer than {self.limit} s"
        return f"ended by signal {-code}" if code < 0 else f"exit code {code}"


def run_check(options, tally):
    group = Group("check", ["scripts/check", "--build", options.build, "--jobs", str(options.jobs)], None, 1800)
    for line in group.lines():
        found = re.match(r"(ok  |FAIL) check: (.*)", line)
        if found:
            tally.note("pass" if found[1] == "ok  " else "fail", "check", found[2])
        else:
            print(line, end="", flush=True)
    code = group.finish()
    if code not in (0, 1) or group.late:
        tally.note("fail", "check", group.fate(code))


def run_unit(options, environment, tally):
    program = ROOT / options.build / "bin/pomona-unit-tests"
    if not program.exists():
        return
    group = Group("unit", [program, "--reporter", "xml", "--durations", "yes"], environment, 900)
    name, failed_before = None, len(tally.failed)
    for line in group.lines():
        found = re.search(r'<TestCase name="([^"]*)"', line)
        if found:
            name = html.unescape(found[1])
        found = re.search(r'<OverallResult success="(true|false)"(?: durationInSeconds="([^"]+)")?', line)
        if found and name is not None:
            tally.note("pass" if found[1] == "true" else "fail", "unit", name, float(found[2] or 0))
            name = None
    code = group.finish()
    if name is not None:
        tally.note("fail", "unit", f"{name} ({group.fate(code)})")
    elif code != 0 and len(tally.failed) == failed_before:
        tally.note("fail", "unit", f"the program itself ({group.fate(code)})")
    if len(tally.failed) > failed_before:
        show_tail(group.log)


def follow(report, group, name, tally):
    """Tells each test of a Python file as soon as its line stands in the report."""
    told = 0
    while True:
        running = group.process.poll() is None
        lines = report.read_text(errors="replace").split("\n")[:-1] if report.exists() else []
        for line in lines[told:]:
            verdict, seconds, test = line.split(" ", 2)
            tally.note(verdict, name, test, float(seconds))
        told = len(lines)
        if not running:
            return told
        time.sleep(0.1)


def run_python(path, environment, tally):
    name = path.stem
    found = re.search(r"^# time limit: (\d+)", path.read_text(), re.M)
    report = LOGS / f"{name}.report"
    report.unlink(missing_ok=True)
    group = Group(name, ["/usr/bin/python3", "-u", "tests/rig/run_one.py", str(path), str(report)], environment,
                  int(found[1]) if found else TIME_LIMIT)
    reader = threading.Thread(target=lambda: [None for _ in group.lines()])
    reader.start()
    failed_before = len(tally.failed)
    told = follow(report, group, name, tally)
    reader.join(5)
    code = group.finish()
    if group.late or code not in (0, 1) or (code == 1 and len(tally.failed) == failed_before):
        tally.note("fail", name, group.fate(code))
    elif told == 0:
        tally.note("fail", name, "no test was run")
    if len(tally.failed) > failed_before:
        show_tail(group.log)


def test_environment(options):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("POMONA_")}
    environment["POMONA_BUILD"] = str((ROOT / options.build).resolve())
    environment["PYTHONPATH"] = str(ROOT / "tests/rig")
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/asan")
    parser.add_argument("--only", default="", help="part of a test file's name, or 'unit', or 'check'")
    parser.add_argument("--no-check", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    environment, tally, began = test_environment(options), Tally(), time.monotonic()
    if not options.no_check and options.only in "check":
        run_check(options, tally)
    if options.only in "unit":
        run_unit(options, environment, tally)
    for folder in ("integration", "e2e"):
        for path in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            if options.only in path.stem:
                run_python(path, environment, tally)
    if tally.failed:
        print("\nFailed:")
        for failure in tally.failed:
            print(f"  {failure}")
    skipped = f" ({tally.skipped} skipped)" if tally.skipped else ""
    print(f"\nTook {time.monotonic() - began:.0f} s; logs in build/test-logs{skipped}")
    print(f"{tally.passed} passed, {len(tally.failed)} failed")
    return 1 if tally.failed or tally.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
