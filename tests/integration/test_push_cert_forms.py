"""pomona push-cert import: every form that a portal, a browser, Keychain or openssl writes, and every usual wrong file in words."""
import base64
import os
import pty
import subprocess
import sys
import unittest
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
import push_pki  # noqa: E402
from push_bench import PushBench  # noqa: E402

PASS_PHRASE = "Grüße an die Tür"


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = PushBench()
        cls.addClassCleanup(cls.bench.close)
        cls.cert, cls.key = cls.bench.certs / "client.pem", cls.bench.certs / "client.key"
        cls.identity = push_pki.load(cls.cert, cls.key)
        cls.password = cls.write("password", PASS_PHRASE + "\n")

    def setUp(self):
        self.bench.sql("DELETE FROM certificates; DELETE FROM secrets; DELETE FROM push_requests")

    @classmethod
    def write(cls, name, data):
        path = cls.bench.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def key_as(self, name, *arguments, encrypted=True):
        """The key rewritten by openssl; returns its path."""
        path = self.bench.folder / name
        phrase = ["-passout", f"pass:{PASS_PHRASE}"] if encrypted else []
        openssl(*arguments, "-in", self.key, *phrase, "-out", path)
        return path

    def taken(self, *files):
        done = self.bench.json("push-cert", "import", *files)
        self.assertEqual((done["topic"], done["changed"]), (self.bench.topic, True))
        # What is stored is the pair: the push worker opens it.
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM secrets WHERE domain = 'push'").strip(), "1")
        self.setUp()

    def refused(self, *arguments):
        done = self.bench.pomona("push-cert", "import", *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM certificates").strip(), "0")
        return done.stderr

    def test_certificates_in_pem_and_der_whatever_the_name_ends_in(self):
        der = self.write("MDM_ Example_Certificate.cer", self.identity.certificate.public_bytes(serialization.Encoding.DER))
        crlf = self.write("crlf.pem", self.cert.read_text().replace("\n", "\r\n"))
        for files in ((der, self.key), (crlf, self.key), (self.key, self.cert)):
            with self.subTest(files=files):
                self.taken(*files)

    def test_keys_that_are_not_encrypted_in_every_form(self):
        forms = {"pkcs1.pem": ("rsa", "-traditional"), "pkcs1.der": ("rsa", "-traditional", "-outform", "DER"),
                 "pkcs8.der": ("pkcs8", "-topk8", "-nocrypt", "-outform", "DER")}
        for name, arguments in forms.items():
            with self.subTest(name):
                self.taken(self.cert, self.key_as(name, *arguments, encrypted=False))

    def test_encrypted_keys_open_with_their_pass_phrase(self):
        forms = {"pkcs8-aes.pem": ("pkcs8", "-topk8", "-v2", "aes-256-cbc"), "pkcs8.der": ("pkcs8", "-topk8", "-outform", "DER"),
                 "pkcs8-des.pem": ("pkcs8", "-topk8", "-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"),
                 "dek-info.pem": ("rsa", "-traditional", "-des3")}
        for name, arguments in forms.items():
            key = self.key_as(name, *arguments)
            with self.subTest(name):
                self.taken(self.cert, key, "--password-file", self.password)
                self.assertIn("--password-file", self.refused(self.cert, key))
                self.assertIn("pass phrase does not open", self.refused(self.cert, key, "--password-file", self.cert))

    def test_a_key_under_single_des_is_told_and_the_advice_works(self):
        key = self.key_as("des.pem", "rsa", "-traditional", "-des", "-provider", "legacy", "-provider", "default")
        said = self.refused(self.cert, key, "--password-file", self.password)
        self.assertIn("single DES", said)
        command = said.split("`")[1].split()
        better = self.bench.folder / "better.key"
        openssl(*[{"KEY": key, "better.key": better}.get(word, word) for word in command[1:]],
                "-passin", f"pass:{PASS_PHRASE}", "-passout", f"pass:{PASS_PHRASE}")
        self.taken(self.cert, better, "--password-file", self.password)

    def p12(self, name, *options, phrase=PASS_PHRASE):
        path = self.bench.folder / name
        openssl("pkcs12", "-export", "-in", self.cert, "-inkey", self.key, "-certfile", self.bench.certs / "ca.pem", *options,
                "-passout", f"pass:{phrase}", "-out", path)
        return path

    def test_pkcs12_of_today_and_of_keychains_rc2(self):
        old = self.p12("keychain.p12", "-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES")
        listing = subprocess.run(["openssl", "pkcs12", "-info", "-in", old, "-noout", "-legacy", "-passin", f"pass:{PASS_PHRASE}"],
                                 capture_output=True, text=True)
        self.assertIn("pbeWithSHA1And40BitRC2-CBC", listing.stderr)
        for bundle in (self.p12("today.p12"), old):
            with self.subTest(bundle=bundle.name):
                self.taken(bundle, "--password-file", self.password)
                self.assertIn("--password-file", self.refused(bundle))
                self.assertIn("pass phrase does not open", self.refused(bundle, "--password-file", self.cert))
        self.taken(self.p12("open.p12", phrase=""))

    def test_a_pkcs12_without_the_key_says_how_keychain_exports_it(self):
        path = self.write("certificate-only.p12", pkcs12.serialize_key_and_certificates(
            None, None, None, [self.identity.certificate], serialization.BestAvailableEncryption(PASS_PHRASE.encode())))
        self.assertIn("export certificate and private key together", self.refused(path, "--password-file", self.password))

    def test_on_a_terminal_the_pass_phrase_is_asked_for_and_not_shown(self):
        key = self.key_as("asked.pem", "pkcs8", "-topk8")
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        worker = subprocess.Popen(self.bench.argv("pomona", "push-cert", "import", self.cert, key), stdin=follower,
                                  stdout=follower, stderr=follower)
        os.close(follower)
        shown = b""
        while b"Pass phrase of" not in shown:
            shown += os.read(leader, 1000)
        while b": " not in shown.split(b"Pass phrase of")[1]:
            shown += os.read(leader, 1000)
        os.write(leader, PASS_PHRASE.encode() + b"\n")
        try:
            while True:
                shown += os.read(leader, 1000)
        except OSError:
            pass
        self.assertEqual(worker.wait(timeout=60), 0, shown)
        self.assertNotIn(PASS_PHRASE.encode(), shown)
        self.assertIn(b"imported", shown)

    def test_every_usual_wrong_file_is_told_with_what_to_do(self):
        csr = self.write("request.csr", openssl("req", "-new", "-key", self.key, "-subj", "/CN=x"))
        csr_der = self.write("request.der", openssl("req", "-in", csr, "-outform", "DER"))
        plist = ('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>PushCertRequestCSR</key>'
                 '<string>AA==</string></dict></plist>')
        enveloped = openssl("cms", "-encrypt", "-outform", "DER", "-aes256", self.cert, data=b"x")
        vendor_ca = pki.make_ca("Apple Worldwide Developer Relations Certification Authority", kind="rsa")
        vendor = pki.issue(vendor_ca, "MDM Vendor: Example", kind="rsa")
        vendor.write(self.bench.folder / "vendor.pem", self.bench.folder / "vendor.key")
        other = pki.issue(push_pki.load(self.bench.certs / "ca.pem", self.bench.certs / "ca.key"), "APSP:x", client=True,
                          uid=self.bench.topic, kind="rsa")
        other.write(self.bench.folder / "other.pem", self.bench.folder / "other.key")
        bundle = self.write("certs.p7b", openssl("crl2pkcs7", "-nocrl", "-certfile", self.cert))
        cases = [
            ((self.cert, self.bench.folder / "other.key"), ["does not belong to the certificate of " + self.bench.topic, "its request was made with"]),
            ((self.cert,), ["no private key", "push-cert import CERT KEY"]),
            ((self.key,), ["no certificate", "portal"]),
            ((csr, self.key), ["certificate request (CSR)", "push-cert sign", "identity.apple.com"]),
            ((csr_der, self.key), ["certificate request (CSR)"]),
            ((self.write("PushCertificateRequest.plist", base64.b64encode(plist.encode())), self.key), ["signed push certificate request", "upload"]),
            ((self.write("plain.plist", plist), self.key), ["signed push certificate request"]),
            ((self.write("mdm_signed_request.plist.b64.p7", enveloped.hex()), self.key), ["mdmcert.download", "mdmcert-decrypt"]),
            ((self.write("unhexed.p7", enveloped), self.key), ["mdmcert-decrypt"]),
            ((self.bench.folder / "vendor.pem", self.key), ["MDM vendor certificate", "cannot push"]),
            ((self.write("login.html", "\n<!DOCTYPE html>\n<html>Sign in</html>"), self.key), ["web page", "Download it again"]),
            ((self.write("empty", ""), self.key), ["empty"]),
            ((self.write("ssh", "-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----\n"), self.cert), ["SSH key"]),
            ((self.cert, self.write("public.pem", openssl("pkey", "-in", self.key, "-pubout"))), ["public key"]),
            ((bundle, self.key), ["PKCS#7", "-print_certs"]),
            ((self.write("noise", os.urandom(700)), self.key), ["neither PEM nor DER"]),
            ((self.write("cut.pem", self.cert.read_text()[:400]), self.key), ["cut.pem"]),
        ]
        for files, words in cases:
            with self.subTest(words=words[0]):
                said = self.refused(*files)
                for word in words:
                    self.assertIn(word, said)


if __name__ == "__main__":
    unittest.main()
