"""Every crash point of the source, one by one, under devices that enrol, poll, report, renew, check out and enrol again."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import chaos  # noqa: E402
import invariants  # noqa: E402
from polling import poll  # noqa: E402

ROOT = chaos.ROOT
# What no device of the fleet does has its crash in another test.
ELSEWHERE = {"scep-renewal-written": "tests/integration/test_scep_renewal.py",
             **{name: "tests/integration/test_secrets_rotate.py" for name in chaos.crash_points() if name.startswith("rotate-")},
             "queue-changed": "tests/integration/test_queue_admin.py", "queue-change-committed": "tests/integration/test_queue_admin.py"}
BUSY = ["--mood", "enrol=0.04", "--mood", "leave=0.03", "--mood", "quiet=0.5", "--mood", "other-key=0.3"]


class TestCrashWalk(unittest.TestCase):
    def test_a_crash_at_any_boundary_leaves_the_right_end_state(self):
        points = [name for name in chaos.crash_points() if name not in ELSEWHERE]
        self.assertGreater(len(points), 30)
        with chaos.Chaos(devices=24, seed=2, every=1, pause=0.05, renewals=0.5, options=BUSY, settings={"reenrollment": "approve"}) as run:
            poll(run.enrolled, 30)
            for name in points:
                run.order_crash(name)
                try:
                    poll(lambda: not run.crash_file.exists(), 40)
                except AssertionError:
                    self.fail(f"nothing passed the crash point {name}")
            self.assertTrue(run.settle(60), (run.stack.folder / "logs/fleet.log").read_text())
            report = run.check()
        clean = invariants.show(report)
        print(dict(run.counts))
        self.assertTrue(clean)
        self.assertGreaterEqual(run.counts["processes died"], 20)
        self.assertGreater(run.counts["requests that nginx gave to a second handler"], 5)

    def test_points_that_the_fleet_cannot_reach_are_tried_elsewhere(self):
        for name, path in ELSEWHERE.items():
            self.assertIn(f'"{name}"', (ROOT / path).read_text())


if __name__ == "__main__":
    unittest.main()
