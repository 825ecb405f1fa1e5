"""The layer check catches what it is there to catch."""
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHECK = ROOT / "scripts/check-layers"


def check(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run([CHECK, folder], capture_output=True, text=True)


class CheckLayers(unittest.TestCase):
    def test_its_self_test_passes(self):
        run = subprocess.run([CHECK, "--self-test"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_this_tree_keeps_the_rules(self):
        run = subprocess.run([CHECK, ROOT], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    def test_a_breach_is_told_with_file_and_line(self):
        run = check({"lib/sys/a.cpp": '#include <string>\n#include "service/mdm.hpp"\n'})
        self.assertEqual(run.returncode, 1)
        self.assertIn("lib/sys/a.cpp:2: room sys may not include service/mdm.hpp", run.stdout)

    def test_every_breach_of_a_tree_is_told(self):
        run = check({"cgi/a.cpp": '#include <fcgiapp.h>\nauto q = "DELETE FROM queue";\n',
                     "tests/rig/device/b.cpp": '#include "sys/text.hpp"\n'})
        self.assertEqual(len(run.stdout.splitlines()), 3, run.stdout)


if __name__ == "__main__":
    unittest.main()
