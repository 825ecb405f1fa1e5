"""Every input of tests/fuzz/corpus is replayed through its fuzz target."""
import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))


class FuzzCorpora(unittest.TestCase):
    def test_no_input_that_was_ever_kept_harms_a_decoder(self):
        targets = sorted(path.stem for path in (ROOT / "tests/fuzz").glob("*.cpp") if path.stem != "replay_main")
        self.assertNotEqual(targets, [])
        for target in targets:
            corpus = ROOT / "tests/fuzz/corpus" / target
            with self.subTest(target):
                self.assertTrue(corpus.is_dir(), f"no corpus in {corpus}")
                run = subprocess.run([BUILD / f"bin/pomona-fuzz-{target.replace('_', '-')}", corpus], capture_output=True,
                                     text=True, timeout=120)
                self.assertEqual(run.returncode, 0, run.stderr[-4000:])


if __name__ == "__main__":
    unittest.main()
