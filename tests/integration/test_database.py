"""The C++ tests that need a real MariaDB."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import mariadb  # noqa: E402

BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))


class DatabaseTests(unittest.TestCase):
    def test_the_mariadb_wrapper_keeps_its_promises(self):
        with mariadb.Scratch() as db:
            run = subprocess.run([BUILD / "bin/pomona-database-tests"], capture_output=True, text=True, timeout=300,
                                 env=os.environ | {"POMONA_TEST_MYSQL_SOCKET": str(db.socket)})
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


if __name__ == "__main__":
    unittest.main()
