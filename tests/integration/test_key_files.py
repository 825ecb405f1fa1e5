"""pomona secrets init: key files made once, found complete after any kill, never replaced."""
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from bench import Bench  # noqa: E402

DOMAINS = ["ca", "signing", "push", "dep", "escrow", "message", "https"]


class KeyFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench(migrate=False)
        cls.addClassCleanup(cls.bench.close)

    def setUp(self):
        self.folder = self.bench.folder / self._testMethodName
        self.keys, self.gate = self.folder / "keys", self.folder / "gate"
        self.bench.configure(key_dir=self.keys, gate_file=self.gate)

    def contents(self):
        return {path.name: path.read_text() for path in self.keys.iterdir()}

    def test_they_are_made_with_the_right_modes_and_only_once(self):
        made = self.bench.json("secrets", "init")
        self.assertEqual({row["outcome"] for row in made}, {"made"})
        self.assertEqual(set(self.contents()), {"master.key"} | {f"{domain}.key" for domain in DOMAINS})
        self.assertEqual((self.keys / "master.key").stat().st_mode & 0o777, 0o600)
        for path in [self.keys / f"{domain}.key" for domain in DOMAINS] + [self.gate]:
            self.assertEqual(path.stat().st_mode & 0o777, 0o640, path)
        before = self.contents() | {"gate": self.gate.read_text()}
        self.assertEqual({row["outcome"] for row in self.bench.json("secrets", "init")}, {"kept"})
        self.assertEqual(self.contents() | {"gate": self.gate.read_text()}, before)

    def test_every_key_differs_and_nothing_of_them_is_printed(self):
        done = self.bench.checked("secrets", "init")
        secrets = [text.strip() for text in self.contents().values()] + [self.gate.read_text().strip()]
        self.assertEqual(len(set(secrets)), len(DOMAINS) + 2)
        for secret in secrets:
            self.assertRegex(secret, "^[0-9a-f]{64}$")
            self.assertNotIn(secret, done)

    def test_domain_keys_are_derived_as_documented(self):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        self.bench.checked("secrets", "init")
        master = bytes.fromhex((self.keys / "master.key").read_text())
        for domain in DOMAINS:
            derived = HKDF(hashes.SHA256(), 32, None, f"pomona domain {domain}".encode()).derive(master)
            self.assertEqual((self.keys / f"{domain}.key").read_text().strip(), derived.hex())

    def test_a_lost_domain_key_comes_back_with_the_same_content(self):
        self.bench.checked("secrets", "init")
        before = self.contents()
        (self.keys / "push.key").unlink()
        (self.keys / "dep.key").chmod(0o666)
        outcomes = {Path(row["file"]).name: row["outcome"] for row in self.bench.json("secrets", "init")}
        self.assertEqual((outcomes["push.key"], outcomes["dep.key"]), ("made", "access put right"))
        self.assertEqual(self.contents(), before)
        self.assertEqual((self.keys / "dep.key").stat().st_mode & 0o777, 0o640)

    def test_without_the_master_key_nothing_is_made_that_would_hide_the_loss(self):
        self.bench.checked("secrets", "init")
        (self.keys / "master.key").unlink()
        before = self.contents()
        done = self.bench.pomona("secrets", "init")
        self.assertEqual(done.returncode, 1)
        self.assertIn("backup", done.stderr)
        self.assertEqual(self.contents(), before)

    def test_a_key_of_another_installation_is_told_and_kept(self):
        self.bench.checked("secrets", "init")
        (self.keys / "ca.key").write_text("ab" * 32 + "\n")
        done = self.bench.pomona("secrets", "init")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ca.key", done.stderr)
        self.assertEqual((self.keys / "ca.key").read_text(), "ab" * 32 + "\n")

    def test_whenever_it_is_killed_the_next_run_finishes(self):
        masters = set()
        for microseconds in range(0, 60_000, 4_000):
            process = subprocess.Popen(self.bench.argv("pomona", "secrets", "init"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=self.bench.environment())
            time.sleep(microseconds / 1e6)  # the moment of the kill, not a wait for something
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.bench.checked("secrets", "init")
            masters.add((self.keys / "master.key").read_text())
            self.assertEqual(set(self.contents()), {"master.key"} | {f"{domain}.key" for domain in DOMAINS})
            for domain in DOMAINS[microseconds // 4_000 % 7:]:
                (self.keys / f"{domain}.key").unlink()
        self.assertEqual(len(masters), 1)

    def test_many_at_once_agree_on_one_master(self):
        runs = [subprocess.Popen(self.bench.argv("pomona", "secrets", "init"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 env=self.bench.environment(), text=True) for _ in range(6)]
        for run in runs:
            errors = run.communicate()[1]
            self.assertIn(run.returncode, (0, 75), errors)
        self.assertIn(0, [run.returncode for run in runs])
        self.bench.checked("secrets", "init")


if __name__ == "__main__":
    unittest.main()
