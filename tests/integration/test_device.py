"""The simulated device, held against OpenSSL's command line and the paper: it must be a strict judge of our server."""
import base64
import hashlib
import http.server
import os
import plistlib
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import pki  # noqa: E402

DEVICE = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin/pomona-device"
CHALLENGE = "ABCDEFGH234567"


def openssl(*arguments, data=None):
    run = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True)
    if run.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {run.stderr.decode()}")
    return run.stdout


def text(*arguments, data=None):
    return openssl(*arguments, data=data).decode()


class Recorder:
    """An HTTP server that answers what it is told to and remembers the requests."""

    def __init__(self):
        self.answers, self.requests = {}, []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                recorder.requests.append((self.command, self.path, self.headers, body))
                operation = re.search(r"operation=(\w+)", self.path)
                status, kind, reply = recorder.answers.get(operation and operation[1], (200, None, b""))
                self.send_response(status)
                if kind:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class DeviceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = pki.make_ca("SCEP", kind="rsa")
        cls.holder = tempfile.TemporaryDirectory()
        cls.keys = Path(cls.holder.name) / "keys"

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=self.holder.name))
        self.ca.write(self.folder / "ca.pem", self.folder / "ca.key")
        self.recorder = Recorder()
        self.addCleanup(self.recorder.close)
        der = openssl("x509", "-in", self.folder / "ca.pem", "-outform", "DER")
        self.recorder.answers = {"GetCACert": (200, "application/x-x509-ca-cert", der),
                                 "GetCACaps": (200, "text/plain", b"POSTPKIOperation\nAES\nSHA-256\n"),
                                 "PKIOperation": (500, "text/plain", b"no\n")}
        self.fingerprint = hashlib.sha256(der).digest()

    def profile(self, scep=None, mdm=None, root=None):
        payload = {"URL": f"{self.recorder.url}/scep?token=lost", "Challenge": CHALLENGE, "Keysize": 2048, "Key Usage": 5,
                   "Key Type": "RSA", "Subject": [[["O", "Pomona"]], [["CN", "%SerialNumber%"]]],
                   "CAFingerprint": self.fingerprint} | (scep or {})
        frame = {"PayloadVersion": 1}
        whole = {"PayloadType": "Configuration", "PayloadIdentifier": "org.example", "PayloadUUID": "1", **frame,
                 "PayloadContent": [
                     {"PayloadType": "com.apple.security.scep", "PayloadIdentifier": "s", "PayloadUUID": "2", **frame,
                      "PayloadContent": {k: v for k, v in payload.items() if v is not None}},
                     {"PayloadType": "com.apple.mdm", "PayloadIdentifier": "m", "PayloadUUID": "3", **frame,
                      "IdentityCertificateUUID": "2", "Topic": "com.apple.mgmt.External.x",
                      "ServerURL": "https://127.0.0.1:1/mdm", "AccessRights": 8191} | (mdm or {})]} | (root or {})
        path = self.folder / "p.mobileconfig"
        path.write_bytes(plistlib.dumps({k: v for k, v in whole.items() if v is not None}))
        return path

    def run_device(self, *arguments):
        run = subprocess.run([str(a) for a in (DEVICE, *arguments)], capture_output=True, text=True)
        self.assertNotIn("Sanitizer", run.stderr)
        self.assertNotIn(CHALLENGE, run.stdout + run.stderr)
        return run

    def enroll(self, *arguments, **profile):
        run = self.run_device("enroll", "--url", self.profile(**profile), "--state", self.folder / "device",
                              "--keys", self.keys, *arguments)
        self.assertEqual(run.returncode, 1)
        return run.stderr

    def pki_message(self, *arguments):
        self.enroll("--serial", "C0FFEE", *arguments)
        method, path, headers, body = self.recorder.requests[-1]
        self.assertEqual((method, path, headers["Content-Type"]),
                         ("POST", "/scep?operation=PKIOperation", "application/x-pki-message"))
        return body

    def indefinite_depths(self, ber):
        lines = text("asn1parse", "-inform", "DER", data=ber).splitlines()
        return [(int(m[1]), m[2].strip()) for m in (re.match(r".*d=(\d+) .*l=inf  cons: (.*)", line) for line in lines) if m]

    def test_a_scep_message_is_streamed_ber_in_both_layers(self):
        body = self.pki_message()
        outer = [(0, "SEQUENCE"), (1, "cont [ 0 ]"), (2, "SEQUENCE"), (3, "SEQUENCE"), (4, "cont [ 0 ]"), (5, "OCTET STRING")]
        self.assertEqual(self.indefinite_depths(body), outer)
        envelope = openssl("cms", "-verify", "-inform", "DER", "-noverify", data=body)
        inner = [(0, "SEQUENCE"), (1, "cont [ 0 ]"), (2, "SEQUENCE"), (3, "SEQUENCE"), (4, "cont [ 0 ]")]
        self.assertEqual(self.indefinite_depths(envelope), inner)

    def test_long_strings_come_in_several_segments_when_asked_for(self):
        body = self.pki_message("--scep-segment", "200")
        lines = text("asn1parse", "-inform", "DER", data=body).splitlines()
        segments = [line for line in lines if "d=6 " in line and "OCTET STRING" in line]
        self.assertGreater(len(segments), 4)
        self.assertGreater(len(openssl("cms", "-verify", "-inform", "DER", "-noverify", data=body)), 800)

    def test_a_scep_message_says_what_apples_client_says(self):
        body = self.pki_message()
        parsed = text("cms", "-cmsout", "-print", "-inform", "DER", data=body)
        self.assertRegex(parsed, r"2\.16\.840\.1\.113733\.1\.9\.2\)\s+set:\s+PRINTABLESTRING:19\n")
        self.assertRegex(parsed, r"2\.16\.840\.1\.113733\.1\.9\.5\)")
        self.assertIn("object: signingTime", parsed)
        key = openssl("x509", "-noout", "-pubkey", data=self.signer(body))
        rsa = openssl("rsa", "-pubin", "-RSAPublicKey_out", "-outform", "DER", data=key)
        self.assertIn(f"PRINTABLESTRING:{hashlib.sha1(rsa).hexdigest().upper()}", parsed)
        signer = text("x509", "-noout", "-text", data=self.signer(body))
        self.assertRegex(signer, r"Subject: CN = [0-9A-F]{8}-[0-9A-F-]{27}\n")
        self.assertRegex(signer, r"Key Usage: critical\s+Digital Signature, Key Encipherment\n")

    def signer(self, body):
        openssl("cms", "-verify", "-inform", "DER", "-noverify", "-signer", self.folder / "signer.pem",
                "-out", self.folder / "content", data=body)
        return (self.folder / "signer.pem").read_bytes()

    def test_the_request_inside_holds_subject_challenge_and_key_usage(self):
        envelope = openssl("cms", "-verify", "-inform", "DER", "-noverify", data=self.pki_message())
        csr = openssl("cms", "-decrypt", "-inform", "DER", "-recip", self.folder / "ca.pem",
                      "-inkey", self.folder / "ca.key", data=envelope)
        parsed = text("req", "-inform", "DER", "-noout", "-text", "-verify", data=csr)
        self.assertIn("Subject: O = Pomona, CN = C0FFEE\n", parsed)
        self.assertRegex(parsed, rf"challengePassword\s*:{CHALLENGE}\n")
        self.assertRegex(parsed, r"Key Usage: critical\s+Digital Signature, Key Encipherment\n")
        self.assertIn("sha256WithRSAEncryption", parsed)

    def test_it_asks_for_certificate_capabilities_and_operation_in_this_order(self):
        self.enroll(scep={"Name": "my ca"})
        self.assertEqual([r[1] for r in self.recorder.requests],
                         ["/scep?operation=GetCACert&message=my%20ca", "/scep?operation=GetCACaps&message=my%20ca",
                          "/scep?operation=PKIOperation"])

    def test_capabilities_are_taken_literally(self):
        self.recorder.answers["GetCACaps"] = (200, "text/plain", b"SCEPStandard\nsha-256\n")
        self.enroll()
        method, path, _, _ = self.recorder.requests[-1]
        self.assertEqual(method, "GET")
        message = base64.b64decode(path.split("&message=")[1].replace("%3D", "="))
        self.assertIn("des-ede3-cbc", text("cms", "-cmsout", "-print", "-inform", "DER",
                                           data=openssl("cms", "-verify", "-inform", "DER", "-noverify", data=message)))
        self.assertIn("algorithm: sha1 ", text("cms", "-cmsout", "-print", "-inform", "DER", data=message))

    def test_a_content_type_with_a_parameter_is_refused(self):
        kind, der = "application/x-x509-ca-cert; charset=utf-8", self.recorder.answers["GetCACert"][2]
        self.recorder.answers["GetCACert"] = (200, kind, der)
        self.assertIn(f"'{kind}'", self.enroll())

    def test_a_wrong_fingerprint_is_refused_whatever_its_hash(self):
        for length in (16, 20, 28, 32, 48, 64):
            self.assertIn("does not match the profile's CAFingerprint", self.enroll(scep={"CAFingerprint": bytes(length)}))

    def test_profiles_that_apple_refuses_are_refused_with_the_key_named(self):
        for complaint, change in {
                "lacks the string URL": {"scep": {"URL": None}},
                "Keysize must be": {"scep": {"Keysize": 2049}},
                "Key Usage must be": {"scep": {"Key Usage": 2}},
                "has no Challenge": {"scep": {"Challenge": None}},
                "Subject must be an array": {"scep": {"Subject": [["CN", "x"]]}},
                "ServerURL must be https": {"mdm": {"ServerURL": "http://127.0.0.1/mdm"}},
                "does not start with com.apple.mgmt.": {"mdm": {"Topic": "org.example"}},
                "names no SCEP payload": {"mdm": {"IdentityCertificateUUID": "9"}},
                "AccessRights 2 needs 1": {"mdm": {"AccessRights": 2}},
                "two payloads": {"mdm": {"PayloadUUID": "2"}},
                "PayloadVersion must be": {"root": {"PayloadVersion": "1"}},
                "lacks the string PayloadIdentifier": {"root": {"PayloadIdentifier": None}}}.items():
            with self.subTest(complaint):
                self.assertIn(complaint, self.enroll(**change))
                self.assertFalse((self.folder / "device/state.plist").exists())

    def by_hand(self, form):
        """A device folder as enrolment would leave it, for an MDM server that is our recorder."""
        state = self.folder / f"by-hand-{form}"
        state.mkdir()
        pki.issue(self.ca, "device", client=True, kind="rsa").write(state / "cert.pem", state / "key.pem")
        mdm = {"topic": "com.apple.mgmt.x", "server_url": self.recorder.url, "checkin_url": self.recorder.url,
               "access_rights": 8191, "sign_message": True}
        (state / "state.plist").write_bytes(plistlib.dumps(
            {"kind": "mac", "udid": "U", "serial": "S", "enrolled": True, "mdm": mdm, "signature_form": form,
             "channel": {"token": b"t" * 32, "push_magic": "SECRETMAGIC"}}))
        return state

    def test_every_form_of_the_signature_header_verifies(self):
        for form, ber, hash_name, attributes in (("apple", True, "sha1", False), ("sha256", True, "sha256", False),
                                                 ("attrs", False, "sha256", True)):
            with self.subTest(form):
                run = self.run_device("poll", "--state", self.by_hand(form))
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertNotIn("SECRETMAGIC", run.stdout)
                _, _, headers, body = self.recorder.requests[-1]
                (self.folder / "body").write_bytes(body)
                signature = base64.b64decode(headers["Mdm-Signature"], validate=True)
                openssl("cms", "-verify", "-binary", "-inform", "DER", "-content", self.folder / "body", "-noverify",
                        data=signature)
                self.assertEqual(bool(self.indefinite_depths(signature)), ber)
                parsed = text("cms", "-cmsout", "-print", "-inform", "DER", data=signature)
                self.assertEqual("signingTime" in parsed, attributes)
                self.assertIn(f"algorithm: {hash_name} ", parsed)
                self.assertIn("eContent: <ABSENT>", parsed)

    def test_messages_go_out_as_apple_sends_them(self):
        state = self.by_hand("apple")
        self.run_device("send", "--state", state, "TokenUpdate")
        self.run_device("send", "--state", state, "Idle")
        (method, _, checkin, body), (_, _, command, _) = self.recorder.requests
        self.assertEqual((method, checkin["Content-Type"], checkin["User-Agent"]),
                         ("PUT", "application/x-apple-aspen-mdm-checkin", "MDM/1.0"))
        self.assertEqual(command["Content-Type"], "application/x-apple-aspen-mdm; charset=UTF-8")
        self.assertEqual(plistlib.loads(body)["Token"], b"t" * 32)

    def test_an_unanswered_report_is_sent_first_in_the_next_session(self):
        state = self.by_hand("apple")
        command = plistlib.dumps({"CommandUUID": "one", "Command": {"RequestType": "SecurityInfo"}})
        recorder, replies = self.recorder, [(200, None, command), (503, None, b""), (200, None, b"")]

        class Script(dict):
            def get(self, _operation, _default):
                return replies[len(recorder.requests) - 1]

        recorder.answers = Script()
        self.assertEqual(self.run_device("poll", "--state", state).returncode, 1)
        self.assertEqual(self.run_device("poll", "--state", state).returncode, 0)
        bodies = [plistlib.loads(r[3]) for r in recorder.requests]
        self.assertEqual([b["Status"] for b in bodies], ["Idle", "Acknowledged", "Acknowledged"])
        self.assertEqual(bodies[1], bodies[2])

    def test_a_401_ends_the_enrolment_as_on_a_real_device(self):
        state = self.by_hand("apple")
        self.recorder.answers[None] = (401, None, b"")
        self.assertIn("no longer enrolled", self.run_device("poll", "--state", state).stderr)
        self.assertIn("is not enrolled", self.run_device("poll", "--state", state).stderr)

    def test_wrong_usage_exits_with_2(self):
        for arguments in ([], ["dance"], ["poll"], ["poll", "--nonsense"], ["fleet", "--url", "x"]):
            self.assertEqual(self.run_device(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
