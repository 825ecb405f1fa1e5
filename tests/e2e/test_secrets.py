"""No secret lies where it can be read: not in a database dump, not in our logs, not in nginx's."""
import base64
import plistlib
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402

PIN = "pin-739154-of-the-secrets-test"  # long enough not to occur by chance
BOOTSTRAP = b"bootstrap-token-of-the-secrets-test"


def forms(secret):
    """The ways in which bytes would show up in text."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    return {raw, base64.b64encode(raw), raw.hex().encode(), raw.hex().upper().encode()}


class SecretsTests(unittest.TestCase):
    def collect(self, s):
        """Enrols devices, escrows tokens, sends a command with a PIN; returns what must not be found."""
        ticket = s.json("pomona", "ticket", "new")
        s.enroll("phone", ticket["url"], "--kind", "iphone")
        mac = s.json("pomona", "ticket", "new")
        s.enroll("mac", mac["url"])
        token = s.folder / "bootstrap"
        token.write_bytes(BOOTSTRAP)
        s.device("send", "mac", "SetBootstrapToken", "--data", token)
        s.device("send", "mac", "GetBootstrapToken")
        state = plistlib.loads((s.device_state("mac") / "state.plist").read_bytes())
        command = s.folder / "lock.plist"
        command.write_bytes(plistlib.dumps({"CommandUUID": "lock-1", "Command": {"RequestType": "DeviceLock", "PIN": PIN}}))
        s.run("pomona", "command", "enqueue", state["udid"], command)
        s.device("poll", "mac")
        s.curl("/enroll/" + "A" * 32)  # a ticket that does not exist is not repeated in a log either
        phone = plistlib.loads((s.device_state("phone") / "state.plist").read_bytes())
        secrets = {"ticket": ticket["url"].rsplit("/", 1)[1], "challenge": ticket["challenge"], "second ticket": mac["url"].rsplit("/", 1)[1],
                   "bootstrap token": BOOTSTRAP, "PIN": PIN, "unlock token": phone["unlock_token"],
                   "unknown ticket": "A" * 32}
        for name, path in (("device key", s.device_state("mac") / "key.pem"), ("push key", s.folder / "push/client.key")):
            if path.exists():
                lines = path.read_text().splitlines()
                secrets[name] = lines[len(lines) // 2]
        return secrets

    def test_no_secret_is_in_a_dump_or_in_any_log(self):
        with stack.Stack() as s:
            secrets = self.collect(s)
            dump = subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", s.env["POMONA_MYSQL_SOCKET"], "--hex-blob",
                                   "--all-databases"], capture_output=True, check=True).stdout
            places = {"the dump": dump}
            for path in (s.folder / "logs").rglob("*"):
                if path.is_file() and path.name not in {Path(s.env["POMONA_APNS_LOG"]).name}:
                    places[path.name] = path.read_bytes()
            self.assertGreater(len(dump), 10_000)
            self.assertTrue(any(name.startswith("access") or b"/mdm" in text for name, text in places.items()), list(places))
            for name, secret in secrets.items():
                for where, text in places.items():
                    for form in forms(secret):
                        self.assertNotIn(form, text, f"{name} in {where}")
            for where, text in places.items():
                self.assertNotIn(b"PRIVATE KEY", text, where)


if __name__ == "__main__":
    unittest.main()
