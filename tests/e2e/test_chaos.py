"""The short form of `scripts/soak chaos`: hundreds of faults under a living fleet, and nothing is lost, doubled or refused."""
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import chaos  # noqa: E402
import invariants  # noqa: E402

LEAST = 60   # reports that must have been stored
# Rules that a run of a few seconds may leave without anything to look at.
RARE = {"event deliveries have an event", "waiting command is pushed"}


class TestChaos(unittest.TestCase):
    def test_what_devices_and_server_know_agrees_after_hundreds_of_kills(self):
        end = time.monotonic() + 150
        with chaos.Chaos(devices=100, seed=4, every=5, pause=0.1) as run:
            run.run(seconds=15, tick=0.08)
            while run.results() < LEAST and time.monotonic() < end:   # on a busy machine
                run.run(seconds=2, tick=0.08)
            self.assertTrue(run.settle(60), (run.stack.folder / "logs/fleet.log").read_text())
            report = run.check()
        clean = invariants.show(report)
        print(dict(run.counts))
        self.assertTrue(clean)
        self.assertEqual({name for name, verdict in report.items() if verdict.count == 0} - RARE, set())
        self.assertGreater(run.counts["processes died"], 60)
        self.assertGreater(run.counts["results stored"], LEAST - 1)


if __name__ == "__main__":
    unittest.main()
