"""The simulated device as a SCEP client, before a server that answers rightly and wrongly at will.

MDM is out of reach here (nobody listens at its ServerURL), so "got its identity" is read from what the device says.
"""
import http.server
import os
import plistlib
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import pki
import scep_reply
from cryptography import x509
from scep_reply import FAILURE, PENDING, SUCCESS, Request, certs_only

ROOT = Path(__file__).resolve().parent.parent.parent
DEVICE = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin/pomona-device"


class Server:
    """GetCACert and GetCACaps as set; PKIOperation by a function of the request."""

    def __init__(self, folder):
        self.folder, self.types, self.ca_cert, self.operate = folder, [], None, None
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kind, reply = server.answer(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/scep"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, body):
        if path.endswith("GetCACert"):
            return self.ca_cert
        if path.endswith("GetCACaps"):
            return "text/plain", b"POSTPKIOperation\nAES\nSHA-256\n"
        request = Request(body, self.folder)
        self.types.append(request.type)
        return "application/x-pki-message", self.operate(request)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class DeviceScep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.ca = pki.make_ca("Issuing CA", kind="rsa")
        cls.ra = cls.make_ra(digital_signature=True, key_encipherment=True)
        cls.stranger = pki.issue(cls.ca, "stranger", kind="rsa")
        cls.keys = Path(cls.holder.name) / "keys"

    @classmethod
    def make_ra(cls, **usage):
        key, ca = pki.new_key("rsa"), cls.ca
        certificate = (pki.builder(pki.name("RA"), ca.certificate.subject, key.public_key(), ca.certificate.not_valid_before,
                                   ca.certificate.not_valid_after)
                       .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                       .add_extension(pki.key_usage(**usage), critical=True).sign(ca.key, pki.hashes.SHA256()))
        return pki.Identity(certificate, key)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(dir=self.holder.name))
        self.ra.write(self.folder / "ra.pem", self.folder / "ra.key")
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)
        # The RA stands before the CA: the order must not matter.
        self.server.ca_cert = ("application/x-x509-ca-ra-cert", certs_only(self.ra.certificate, self.ca.certificate))
        self.server.operate = self.success
        self.fingerprint = self.ca.certificate.fingerprint(pki.hashes.SHA1())

    def issue(self, request, client="device"):
        csr = x509.load_der_x509_csr(request.content(self.folder / "ra.pem", self.folder / "ra.key"))
        now = self.ca.certificate.not_valid_before
        return (pki.builder(pki.name(client), self.ca.certificate.subject, csr.public_key(), now,
                            self.ca.certificate.not_valid_after).sign(self.ca.key, pki.hashes.SHA256()))

    def success(self, request, **wrong):
        return scep_reply.reply(request, self.ra, SUCCESS, certs_only(self.issue(request)), **wrong)

    def enroll(self, retries=3):
        frame = {"PayloadVersion": 1}
        profile = {"PayloadType": "Configuration", "PayloadIdentifier": "org.example", "PayloadUUID": "1", **frame,
                   "PayloadContent": [
                       {"PayloadType": "com.apple.security.scep", "PayloadIdentifier": "s", "PayloadUUID": "2", **frame,
                        "PayloadContent": {"URL": self.server.url, "Challenge": "c", "Keysize": 2048, "Key Usage": 5,
                                           "CAFingerprint": self.fingerprint, "Retries": retries, "RetryDelay": 0}},
                       {"PayloadType": "com.apple.mdm", "PayloadIdentifier": "m", "PayloadUUID": "3", **frame,
                        "IdentityCertificateUUID": "2", "Topic": "com.apple.mgmt.External.x",
                        "ServerURL": "https://127.0.0.1:1/mdm"}]}
        (self.folder / "p.mobileconfig").write_bytes(plistlib.dumps(profile))
        run = subprocess.run([str(a) for a in (DEVICE, "enroll", "--url", self.folder / "p.mobileconfig", "--state",
                                               self.folder / "device", "--keys", self.keys)],
                             capture_output=True, text=True)
        self.assertNotIn("Sanitizer", run.stderr)
        return run

    def assert_issued(self, run):
        self.assertIn("identity issued by 'CN=Issuing CA' to 'CN=device'", run.stdout, run.stderr)

    def assert_refused(self, reason):
        run = self.enroll()
        self.assertNotIn("identity issued", run.stdout)
        self.assertIn(reason, run.stderr)

    def test_a_right_reply_of_the_ra_gives_an_identity(self):
        self.assert_issued(self.enroll())
        self.assertEqual(self.server.types, ["19"])

    def test_a_pending_request_is_polled_until_the_certificate_is_there(self):
        def operate(request):
            if len(self.server.types) < 3:
                self.first = getattr(self, "first", request)
                return scep_reply.reply(request, self.ra, PENDING)
            poll = scep_reply.openssl("asn1parse", "-inform", "DER", data=request.content(
                self.folder / "ra.pem", self.folder / "ra.key")).decode()
            self.assertIn(":Issuing CA", poll)
            self.assertEqual(request.transaction, self.first.transaction)
            self.assertNotEqual(request.nonce, self.first.nonce)
            return scep_reply.reply(request, self.ra, SUCCESS, certs_only(self.issue(self.first)))
        self.server.operate = operate
        self.assert_issued(self.enroll())
        self.assertEqual(self.server.types, ["19", "20", "20"])

    def test_polling_ends_after_the_profiles_retries(self):
        self.server.operate = lambda request: scep_reply.reply(request, self.ra, PENDING)
        self.assertIn("still pending after 2 polls", self.enroll(retries=2).stderr)

    def test_a_failure_is_told_with_the_servers_reason(self):
        self.server.operate = lambda request: scep_reply.reply(request, self.ra, FAILURE, text="no such ticket")
        self.assert_refused("failInfo 2 (badRequest): no such ticket")

    def test_the_leaf_must_come_first(self):
        self.server.operate = lambda request: scep_reply.reply(
            request, self.ra, SUCCESS, certs_only(self.ca.certificate, self.issue(request)))
        self.assert_refused("is not for our key, but Issuing CA")

    def test_a_chain_behind_the_leaf_does_no_harm(self):
        self.server.operate = lambda request: scep_reply.reply(
            request, self.ra, SUCCESS, certs_only(self.issue(request), self.ca.certificate))
        self.assert_issued(self.enroll())

    def test_a_signer_that_getcacert_did_not_name_is_refused(self):
        self.server.operate = lambda request: scep_reply.reply(
            request, self.stranger, SUCCESS, certs_only(self.issue(request)))
        self.assert_refused("signer is not the CA or RA certificate")

    def test_replies_that_do_not_belong_to_the_request_are_refused(self):
        for reason, wrong in {"recipientNonce": {"nonce": b"n" * 16}, "transactionID": {"transaction": "ABC"},
                              "lacks the signed attribute contentType": {"with_content_type": False}}.items():
            with self.subTest(reason):
                self.server.operate = lambda request, wrong=wrong: self.success(request, **wrong)
                # Without contentType OpenSSL itself finds the signature wanting.
                self.assert_refused(reason if "contentType" not in reason else "the SCEP reply")

    def test_an_ra_without_the_right_key_usage_is_refused(self):
        bad = self.make_ra(digital_signature=True)
        self.server.ca_cert = ("application/x-x509-ca-ra-cert", certs_only(bad.certificate, self.ca.certificate))
        self.assert_refused("-67731")

    def test_one_ra_certificate_each_for_signing_and_encryption_will_do(self):
        signing, encryption = self.make_ra(digital_signature=True), self.ra_for_encryption()
        self.server.ca_cert = ("application/x-x509-ca-ra-cert",
                               certs_only(encryption.certificate, self.ca.certificate, signing.certificate))
        self.server.operate = lambda request: scep_reply.reply(request, signing, SUCCESS, certs_only(self.issue(request)))
        self.assert_issued(self.enroll())

    def ra_for_encryption(self):
        identity = self.make_ra(key_encipherment=True)
        identity.write(self.folder / "ra.pem", self.folder / "ra.key")
        return identity

    def test_the_chain_must_end_in_the_fingerprint(self):
        self.fingerprint = self.ra.certificate.fingerprint(pki.hashes.SHA1())
        self.assert_refused("end in 'Issuing CA', which does not match the profile's CAFingerprint")


if __name__ == "__main__":
    unittest.main()
