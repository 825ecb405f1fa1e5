"""Software that we did not write, against the running stack: strongSwan gets an identity, curl plays the device with it."""
import plistlib
import subprocess
import sys
import tempfile
import unittest
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402

CHECK_IN = "application/x-apple-aspen-mdm-checkin"
COMMAND = "application/x-apple-aspen-mdm; charset=UTF-8"


class StrangersTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack()
        cls.holder = tempfile.TemporaryDirectory(prefix="pomona-stranger-")
        cls.folder = Path(cls.holder.name)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()
        cls.stack.close()

    def pki(self, *words, check=True):
        run = subprocess.run(["pki", *map(str, words)], cwd=self.folder, capture_output=True, text=True, timeout=120)
        if check and run.returncode != 0:
            raise AssertionError(f"pki {words}: {run.stdout}{run.stderr}{self.stack.tails()}")
        return run

    def identity(self, name, challenge):
        url = self.stack.env["POMONA_HTTP_URL"] + "/scep"
        self.pki("--scepca", "--url", url, "--caout", "ca.crt", "--raout", "ra.crt", "--outform", "pem", "--force")
        key = self.pki("--gen", "--type", "rsa", "--size", "2048", "--outform", "pem").stdout
        (self.folder / f"{name}.key").write_text(key)
        run = self.pki("--scep", "--url", url, "--in", f"{name}.key", "--dn", f"O=Test, CN={name}", "--password", challenge,
                       "--cacert-enc", "ra.crt", "--cacert-sig", "ca.crt", "--outform", "pem")
        (self.folder / f"{name}.pem").write_text(run.stdout)

    def put(self, name, content_type, message):
        body = self.folder / "body"
        body.write_bytes(plistlib.dumps(message))
        return self.stack.curl("/mdm", "-X", "PUT", "-H", f"Content-Type: {content_type}", "--data-binary", f"@{body}",
                               "--cert", self.folder / f"{name}.pem", "--key", self.folder / f"{name}.key")

    def test_strongswan_enrols_and_curl_plays_the_device(self):
        s = self.stack
        ticket = s.json("pomona", "ticket", "new")
        self.identity("stranger", ticket["challenge"])
        subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.crt", "stranger.pem"],
                       cwd=self.folder, check=True, capture_output=True)
        udid = str(uuid.uuid4()).upper()
        topic = plistlib.loads(s.curl(ticket["url"].removeprefix(s.env["POMONA_URL"]))[1])["PayloadContent"]
        topic = next(p["Topic"] for p in topic if p["PayloadType"] == "com.apple.mdm")
        ids = {"UDID": udid}
        self.assertEqual(self.put("stranger", CHECK_IN, ids | {
            "MessageType": "Authenticate", "Topic": topic, "DeviceName": "Stranger", "Model": "x", "ModelName": "x",
            "SerialNumber": "C02STRANGER", "OSVersion": "14.1", "BuildVersion": "23B74"}), (200, b""))
        self.assertEqual(self.put("stranger", CHECK_IN, ids | {
            "MessageType": "TokenUpdate", "Topic": topic, "PushMagic": "magic", "Token": b"t" * 32}), (200, b""))
        self.assertEqual(self.put("stranger", COMMAND, ids | {"Status": "Idle"}), (200, b""))
        queued = s.json("pomona", "command", "enqueue", udid, "--type", "DeviceInformation")["command_uuid"]
        status, body = self.put("stranger", COMMAND, ids | {"Status": "Idle"})
        command = plistlib.loads(body)
        self.assertEqual((status, command["CommandUUID"]), (200, queued))
        self.assertEqual(command["Command"]["RequestType"], "DeviceInformation")
        report = ids | {"Status": "Acknowledged", "CommandUUID": queued, "QueryResponses": {"DeviceName": "Stranger"}}
        for _ in range(2):  # the second time it has no further effect
            self.assertEqual(self.put("stranger", COMMAND, report), (200, b""))
        shown = s.json("pomona", "command", "show", queued)["enrollments"]
        self.assertEqual([(d["id"], d["status"]) for d in shown], [(udid, "Acknowledged")])

    def test_another_device_s_certificate_and_no_certificate_get_400_never_401(self):
        s = self.stack
        for name in ("owner", "thief"):
            self.identity(name, s.json("pomona", "ticket", "new")["challenge"])
            topic = s.json("pomona", "push-cert", "list")[0]["topic"]
            self.assertEqual(self.put(name, CHECK_IN, {"UDID": name.upper() + "-UDID", "MessageType": "Authenticate", "Topic": topic,
                                                       "SerialNumber": name.upper()})[0], 200)
        self.assertEqual(self.put("thief", COMMAND, {"UDID": "OWNER-UDID", "Status": "Idle"})[0], 400)
        body = plistlib.dumps({"UDID": "OWNER-UDID", "Status": "Idle"})
        self.assertEqual(s.curl("/mdm", "-X", "PUT", "-H", f"Content-Type: {COMMAND}", "--data-binary", body.decode())[0], 400)

    def test_a_wrong_challenge_is_refused_and_a_spent_one_gives_no_second_certificate(self):
        s = self.stack
        challenge = s.json("pomona", "ticket", "new")["challenge"]
        self.identity("right", challenge)
        with self.assertRaises(AssertionError):
            self.identity("wrong", "AAAA" + challenge[4:])
        live = s.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity' AND status = 'issued' AND ticket_id IS NOT NULL "
                     "GROUP BY ticket_id HAVING COUNT(*) > 1")
        self.assertEqual(live.strip(), "")


if __name__ == "__main__":
    unittest.main()
