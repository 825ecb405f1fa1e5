"""pomona secrets rotate on a whole server: all keys change under devices that poll, report, enrol and are pushed, and none is refused."""
import base64
import plistlib
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import fresh_load  # noqa: E402
import seals  # noqa: E402
import stack  # noqa: E402
from polling import poll  # noqa: E402

BOOTSTRAP = b"bootstrap-token-of-the-rotation-test"


class RotatingAll(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.keys = Path(next(row["value"] for row in cls.stack.json("pomona", "config", "dump") if row["key"] == "key-dir"))
        cls.enroll("first")
        cls.udid = fresh_load.udid(cls.stack, "first")
        token = cls.stack.folder / "bootstrap"
        token.write_bytes(BOOTSTRAP)
        cls.stack.device("send", "first", "SetBootstrapToken", "--data", token)
        cls.answered = cls.command()
        cls.stack.device("poll", "first")

    @classmethod
    def enroll(cls, name):
        cls.stack.enroll(name, cls.stack.json("pomona", "ticket", "new")["url"])

    @classmethod
    def command(cls, *options):
        return cls.stack.json("pomona", "command", "enqueue", cls.udid, "--type", "DeviceInformation", *options)["command_uuid"]

    def status_of(self, command):
        return self.stack.json("pomona", "command", "show", command)["enrollments"][0]["status"]

    def rotate(self, *arguments):
        return self.stack.json("pomona", "secrets", "rotate", *arguments)

    def status(self):
        return {row["domain"]: row for row in self.rotate("--status")}

    def key_texts(self):
        return {path.name: path.read_text() for path in self.keys.glob("*.key")}

    def every_program_can_work(self, name):
        """SCEP issues, a queued command is delivered and its answer read, a token is given back, a push is sent."""
        s = self.stack
        self.enroll(name)
        shown = s.json("pomona", "command", "show", self.answered)
        self.assertEqual(plistlib.loads(shown["enrollments"][0]["report"].encode())["UDID"], self.udid)
        self.assertIn(base64.b64encode(BOOTSTRAP).decode(), s.device("send", "first", "GetBootstrapToken").stdout)
        self.assertEqual(self.status_of(self.queued), "queued")
        s.device("poll", "first")
        self.assertEqual(self.status_of(self.queued), "Acknowledged")
        before = len(s.pushes())
        poll(lambda: s.run("pomona", "push", "send", self.udid, check=False).returncode == 0)   # the worker may be at it just now
        poll(lambda: len(s.pushes()) > before)

    def rotated_under_load(self, *arguments):
        before, old = self.status(), self.key_texts()
        secrets = [line.split("\t") for line in self.stack.sql("SELECT domain, HEX(id) FROM secrets").split("\n") if line]
        self.assertGreaterEqual({domain for domain, _ in secrets}, {"ca", "push", "escrow"})
        self.queued = self.command("--priority", "1", "--no-push")
        targets = [fresh_load.report(self.stack, "first"), fresh_load.get(self.stack, "/scep?operation=GetCACaps", http=True, rate=20)]
        with fresh_load.Load(targets, threads=2) as load:
            load.wait_for(10)
            self.rotate(*arguments, "--wait", "2s")
            load.wait_for(20)
        self.assertEqual(load.failures, [], load.text())
        after, new = self.status(), self.key_texts()
        for domain, row in after.items():
            self.assertEqual((row["state"], row["older"], row["unopenable"]), ("settled", 0, 0), domain)
            self.assertNotEqual(row["key"], before[domain]["key"])
            self.assertEqual(len(new[f"{domain}.key"].split()), 1)
            self.assertNotIn(old[f"{domain}.key"].strip(), "".join(new.values()))
        for domain, ids in seals.key_ids(self.stack.sql).items():
            self.assertEqual(ids, {after[domain]["key"]}, domain)
        for domain, number in secrets:
            seals.open_secret(self.stack.sql, number, new[f"{domain}.key"].strip())
            with self.assertRaises(seals.InvalidTag):
                seals.open_secret(self.stack.sql, number, old[f"{domain}.key"].strip())
        return old, new

    def no_request_failed(self):
        access = (self.stack.folder / "logs/nginx-access.log").read_text()
        self.assertEqual(re.findall(r'^.*" 5\d\d .*$', access, re.M), [])
        self.assertGreater(len(re.findall(r'" 200 ', access)), 30)

    def test_new_keys_for_every_domain(self):
        old, new = self.rotated_under_load("all")
        self.assertEqual(new["master.key"].split()[0], old["master.key"].split()[0])
        self.every_program_can_work("second")
        self.no_request_failed()

    def test_a_new_master(self):
        old, new = self.rotated_under_load("--master", "--yes")
        self.assertNotIn(old["master.key"].split()[0], new["master.key"])
        self.every_program_can_work("third")
        self.no_request_failed()


if __name__ == "__main__":
    unittest.main()
