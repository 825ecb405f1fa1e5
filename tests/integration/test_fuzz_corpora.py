"""Every input of tests/fuzz/corpus is replayed through its fuzz target."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import fuzz_world  # noqa: E402

BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))


TARGETS = sorted(path.stem for path in (ROOT / "tests/fuzz").glob("*.cpp") if path.stem != "replay_main")


def program(target):
    return BUILD / f"bin/pomona-fuzz-{target.replace('_', '-')}"


class FuzzCorpora(unittest.TestCase):
    def test_no_input_that_was_ever_kept_harms_a_decoder_or_a_handler(self):
        self.assertNotEqual(TARGETS, [])
        for target in TARGETS:
            corpus = ROOT / "tests/fuzz/corpus" / target
            with self.subTest(target), fuzz_world.make(target) as world:
                self.assertTrue(corpus.is_dir(), f"no corpus in {corpus}")
                run = subprocess.run([program(target), corpus], capture_output=True, text=True, errors="replace", timeout=120,
                                     env=fuzz_world.environment(world))
                self.assertEqual(run.returncode, 0, run.stderr[-4000:])

    def test_a_target_of_whole_requests_says_what_it_needs(self):
        environment = {key: value for key, value in os.environ.items() if key != "POMONA_FUZZ_CONF"}
        for target in fuzz_world.WORLDS:
            run = subprocess.run([program(target), __file__], capture_output=True, text=True, env=environment, timeout=60)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertIn("scripts/fuzz", run.stderr)


class Script(unittest.TestCase):
    def fuzz(self, *arguments):
        return subprocess.run([ROOT / "scripts/fuzz", *arguments], capture_output=True, text=True, timeout=60)

    def test_the_script_lists_the_targets_and_refuses_others(self):
        self.assertEqual(self.fuzz("--list").stdout.split(), TARGETS)
        refused = self.fuzz("nothing")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("no such target: nothing", refused.stderr)


if __name__ == "__main__":
    unittest.main()
