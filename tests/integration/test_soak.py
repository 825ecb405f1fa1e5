"""scripts/soak says what there is and refuses what there is not."""
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def soak(*arguments):
    return subprocess.run([ROOT / "scripts/soak", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)


class TestSoak(unittest.TestCase):
    def test_help_names_every_soak_with_a_line_about_it(self):
        run = soak("--help")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        for path in (ROOT / "tests/soak").glob("*.py"):
            self.assertRegex(run.stdout, rf"\n  {path.stem} +\w.{{20,}}")

    def test_each_soak_explains_its_options(self):
        for path in (ROOT / "tests/soak").glob("*.py"):
            run = soak(path.stem, "--help")
            self.assertEqual((run.returncode, run.stderr), (0, ""), path)
            self.assertIn("--minutes", run.stdout)

    def test_an_unknown_name_or_none_is_wrong_usage(self):
        for arguments, word in (((), "scripts/soak NAME"), (("calm",), "there is no calm")):
            run = soak(*arguments)
            self.assertEqual((run.returncode, run.stdout), (2, ""))
            self.assertIn(word, run.stderr)


if __name__ == "__main__":
    unittest.main()
