"""The APNs stand-in refuses what Apple refuses, seen with curl's HTTP/2."""
import json
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

RIG = Path(__file__).resolve().parent.parent / "rig"
sys.path.insert(0, str(RIG))
import pki  # noqa: E402
import push_pki  # noqa: E402
from ports import free_ports  # noqa: E402

TOKEN = "ab" * 32
ID = "01234567-89ab-cdef-0123-456789abcdef"


class ApnsStandIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.holder.name)
        cls.topic = push_pki.ensure(cls.folder)
        ca = push_pki.load(cls.folder / "ca.pem", cls.folder / "ca.key")
        pki.issue(pki.make_ca("Other"), "APSP:x", client=True, uid=cls.topic).write(
            cls.folder / "foreign.pem", cls.folder / "foreign.key")
        pki.issue(ca, "APSP:x", client=True, uid=cls.topic, days=-2).write(
            cls.folder / "expired.pem", cls.folder / "expired.key")
        pki.issue(ca, "no topic", client=True).write(cls.folder / "topicless.pem", cls.folder / "topicless.key")
        cls.port, cls.open_port = free_ports(2)
        cls.process = subprocess.Popen(
            ["/usr/bin/python3", RIG / "apns.py", "--cert", cls.folder / "server.pem", "--key", cls.folder / "server.key",
             "--client-ca", cls.folder / "ca.pem", "--port", str(cls.port), "--open-port", str(cls.open_port),
             "--log", cls.folder / "log", "--script", cls.folder / "script", "--max-streams", "50"])
        deadline = time.monotonic() + 20
        while cls.push(path="/")[0] == 0:
            if time.monotonic() > deadline or cls.process.poll() is not None:
                raise RuntimeError("the stand-in does not answer")
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(10)
        cls.holder.cleanup()

    def setUp(self):
        (self.folder / "script").unlink(missing_ok=True)
        (self.folder / "log").write_text("")

    @classmethod
    def push(cls, path=f"/3/device/{TOKEN}", body=b'{"mdm":"magic"}', identity="client", open_port=False, method="POST",
             http="--http2", **headers):
        """Returns (status, reason or ''); a header set to None is left out."""
        have = {"apns_topic": cls.topic, "apns_push_type": "mdm", "apns_priority": "10", "apns_expiration": "0"} | headers
        argv = ["curl", "-sS", http, "--max-time", "5", "--cacert", cls.folder / "ca.pem", "-X", method, "--data-binary", "@-",
                "-H", "content-type:", "-w", "\n%{http_code} %{http_version}",
                f"https://127.0.0.1:{cls.open_port if open_port else cls.port}{path}"]
        if identity:
            argv += ["--cert", cls.folder / f"{identity}.pem", "--key", cls.folder / f"{identity}.key"]
        for name, value in have.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    argv += ["-H", f"{name.replace('_', '-')}: {one}"]
        run = subprocess.run([str(a) for a in argv], input=body, capture_output=True)
        text, _, last = run.stdout.decode().rpartition("\n")
        status = int(last.split()[0]) if last else 0
        answer = json.loads(text) if text else {}
        return status, answer.get("reason", "")

    def log(self):
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def test_a_right_push_is_taken_and_logged(self):
        self.assertEqual(self.push(apns_id=ID), (200, ""))
        (entry,) = self.log()
        self.assertEqual((entry["token"], entry["topic"], entry["payload"]), (TOKEN, self.topic, {"mdm": "magic"}))
        self.assertEqual(entry["headers"]["apns-push-type"], "mdm")
        self.assertIn("time", entry)

    def test_the_answer_carries_the_push_id_or_a_new_one(self):
        for asked in (ID, None):
            argv = ["curl", "-sS", "--http2", "-D", "-", "--cacert", self.folder / "ca.pem", "--cert", self.folder / "client.pem",
                    "--key", self.folder / "client.key", "-H", f"apns-topic: {self.topic}", "-H", "apns-push-type: mdm", "-d",
                    '{"mdm":"m"}', f"https://127.0.0.1:{self.port}/3/device/{TOKEN}"] + (
                        ["-H", f"apns-id: {asked}"] if asked else [])
            text = subprocess.run([str(a) for a in argv], capture_output=True, text=True).stdout
            self.assertRegex(text, f"apns-id: {asked or '[0-9a-f-]{36}'}")

    def test_what_apple_refuses_is_refused_with_its_reason(self):
        cases = [
            (405, "MethodNotAllowed", {"method": "PUT"}),
            (404, "BadPath", {"path": f"/2/device/{TOKEN}"}),
            (404, "BadPath", {"path": f"/3/device/{TOKEN}/x"}),
            (400, "MissingDeviceToken", {"path": "/3/device/"}),
            (400, "BadDeviceToken", {"path": "/3/device/" + TOKEN.upper()}),
            (400, "BadDeviceToken", {"path": "/3/device/abcd"}),
            (400, "BadDeviceToken", {"path": f"/3/device/{TOKEN}a"}),
            (400, "InvalidPushType", {"apns_push_type": None}),
            (400, "InvalidPushType", {"apns_push_type": "alert"}),
            (400, "MissingTopic", {"apns_topic": None}),
            (400, "BadTopic", {"apns_topic": "com.example.app"}),
            (400, "TopicDisallowed", {"apns_topic": "com.apple.mgmt.External.other"}),
            (400, "DuplicateHeaders", {"apns_topic": [self.topic, self.topic]}),
            (400, "BadPriority", {"apns_priority": "7"}),
            (400, "BadExpirationDate", {"apns_expiration": "tomorrow"}),
            (400, "BadMessageId", {"apns_id": ID.upper()}),
            (400, "BadCollapseId", {"apns_collapse_id": "x" * 65}),
            (400, "PayloadEmpty", {"body": b""}),
            (413, "PayloadTooLarge", {"body": b'{"mdm":"' + b"x" * 4090 + b'"}'}),
            (400, "BadPayload", {"body": b'{"mdm":"m","aps":{}}'}),
            (400, "BadPayload", {"body": b'{"mdm":7}'}),
            (400, "BadPayload", {"body": b'["mdm","m"]'}),
            (400, "BadPayload", {"body": b"mdm"}),
            (400, "BadPayload", {"content_encoding": "gzip"}),
        ]
        for status, reason, changes in cases:
            with self.subTest(reason=reason, changes=changes):
                self.assertEqual(self.push(**changes), (status, reason))
        self.assertEqual(self.log(), [])

    def test_a_payload_of_4096_bytes_is_taken(self):
        self.assertEqual(self.push(body=b'{"mdm":"' + b"x" * 4086 + b'"}'), (200, ""))

    def test_no_certificate_is_a_missing_provider_token(self):
        self.assertEqual(self.push(identity=None), (403, "MissingProviderToken"))

    def test_a_certificate_without_topic_is_bad(self):
        self.assertEqual(self.push(identity="topicless"), (403, "BadCertificate"))

    def test_certificates_of_others_and_expired_ones_get_no_connection(self):
        self.assertEqual(self.push(identity="foreign")[0], 0)
        self.assertEqual(self.push(identity="expired")[0], 0)

    def test_http_1_gets_no_answer(self):
        self.assertEqual(self.push(http="--http1.1")[0], 0)

    def test_the_open_port_asks_for_no_certificate_but_is_as_strict(self):
        self.assertEqual(self.push(open_port=True, identity=None), (200, ""))
        self.assertEqual(self.push(open_port=True, identity=None, apns_push_type=None), (400, "InvalidPushType"))

    def test_a_script_gives_verdicts_by_token(self):
        other = "cd" * 32
        (self.folder / "script").write_text(json.dumps({
            TOKEN: [{"status": 429, "reason": "TooManyRequests"}, {"status": 410, "reason": "Unregistered"}],
            other: {"reset": True}}))
        self.assertEqual(self.push(), (429, "TooManyRequests"))
        self.assertEqual(self.push(), (410, "Unregistered"))
        self.assertEqual(self.push(), (410, "Unregistered"))
        self.assertEqual(self.push(path=f"/3/device/{other}")[0], 0)
        self.assertEqual(self.push(path=f"/3/device/{'ef' * 32}"), (200, ""))

    def settings_of(self, stream):
        """Of the next frame, which must be SETTINGS."""
        head = stream.read(9)
        self.assertEqual(head[3], 4)
        pairs = stream.read(int.from_bytes(head[:3], "big"))
        return dict(struct.unpack(">HI", pairs[at:at + 6]) for at in range(0, len(pairs), 6))

    def test_it_says_how_many_streams_it_takes_at_once(self):
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.set_alpn_protocols(["h2"])
        with socket.create_connection(("127.0.0.1", self.open_port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection, connection.makefile("rb") as stream:
                settings = self.settings_of(stream)
                while 3 not in settings:   # it is told in a second frame
                    settings |= self.settings_of(stream)
        self.assertEqual(settings[3], 50)


if __name__ == "__main__":
    unittest.main()
