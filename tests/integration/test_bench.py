"""scripts/bench in its quick form: it measures, every row is well-formed, and no request fails. How fast is not judged here."""
# time limit: 180
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))
sys.path.insert(0, str(ROOT / "tests/bench"))
import rows  # noqa: E402

# What needs no package beyond those of the tests.
MEASURES = ["idle", "history", "report", "scep", "memory", "fleet"]


def bench(*arguments):
    return subprocess.run(["/usr/bin/python3", ROOT / "tests/bench/bench.py", "--build", BUILD, *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170)


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        only = [word for name in MEASURES for word in ("--only", name)]
        cls.done = bench("--quick", "--json", *only)

    def rows(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr[-3000:])
        return json.loads(self.done.stdout)

    def test_every_measure_gives_rows_with_numbers(self):
        told = self.rows()
        self.assertEqual({row["measure"].partition(".")[0] for row in told}, set(MEASURES))
        for row in told:
            self.assertEqual(list(row), rows.KEYS)
            self.assertGreater(row["value"], 0, row)
            self.assertGreater(row["ratio"], 0, row)
            self.assertFalse(row["at_least"] and row["at_most"], row)

    def test_no_request_fails(self):
        self.assertEqual([row for row in self.rows() if row["errors"]], [])


class Rows(unittest.TestCase):
    def test_a_bound_is_held_to_the_ratio(self):
        def ok(**bounds):
            return rows.row("x", "", "", 6, 10, **bounds)["ok"]
        self.assertEqual([ok(at_least=0.6), ok(at_least=0.7), ok(at_most=0.6), ok(at_most=0.5)], [True, False, True, False])

    def test_failed_requests_and_a_condition_that_does_not_hold_are_a_missed_line(self):
        self.assertFalse(rows.row("x", "", "", 6, 10, errors=1)["ok"])
        self.assertFalse(rows.row("x", "", "", 6, 10, at_least=0.1, also=False)["ok"])

    def test_without_something_to_compare_with_the_value_is_judged(self):
        self.assertEqual([rows.row("x", "", "s", value, at_most=1)["ok"] for value in (0.9, 1.1)], [True, False])


class Usage(unittest.TestCase):
    def test_an_unknown_measure_is_a_usage_error(self):
        run = bench("--only", "nothing")
        self.assertEqual(run.returncode, 2)
        self.assertIn("--only", run.stderr)


if __name__ == "__main__":
    unittest.main()
