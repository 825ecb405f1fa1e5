"""pomona push-cert: what is taken in, what is refused and in which words."""
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
import push_pki  # noqa: E402
from push_bench import PushBench  # noqa: E402

DAY = 86400


class PushCertificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = PushBench()
        cls.addClassCleanup(cls.bench.close)
        cls.certs, cls.topic = cls.bench.certs, cls.bench.topic
        cls.uuid = cls.topic.removeprefix("com.apple.mgmt.External.")
        cls.ca = push_pki.load(cls.certs / "ca.pem", cls.certs / "ca.key")

    def setUp(self):
        self.bench.forget()
        self.bench.sql("DELETE FROM certificates; DELETE FROM secrets; DELETE FROM push_requests; DELETE FROM push_topics")

    def make(self, name, uid=None, **options):
        """A push certificate of the topic unless told otherwise; returns the paths of certificate and key."""
        identity = pki.issue(self.ca, f"APSP:{name}", **({"client": True} | options), uid=self.topic if uid is None else uid)
        paths = self.bench.folder / f"{name}.pem", self.bench.folder / f"{name}.key"
        identity.write(*paths)
        return paths

    def refused(self, *arguments):
        done = self.bench.pomona("push-cert", "import", *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def test_a_pair_in_two_files_becomes_the_active_certificate_of_its_topic(self):
        done = self.bench.json("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.assertEqual((done["topic"], done["changed"], done["renewed"]), (self.topic, True, False))
        (shown,) = self.bench.json("push-cert", "show")
        self.assertEqual((shown["topic"], shown["status"]), (self.topic, "active"))
        fingerprint = subprocess.run(["openssl", "x509", "-in", self.certs / "client.pem", "-noout", "-fingerprint", "-sha256"],
                                     capture_output=True, text=True).stdout
        self.assertEqual(shown["sha256"], fingerprint.split("=")[1].strip().replace(":", "").lower())
        self.assertEqual(self.bench.events("push-cert.imported")[0].split(",")[0], f"topic {self.topic}")

    def test_a_pair_in_one_file_works_in_either_order(self):
        for name, parts in {"a": ("client.pem", "client.key"), "b": ("client.key", "client.pem")}.items():
            with self.subTest(parts):
                pair = self.bench.folder / f"pair-{name}.pem"
                pair.write_text("".join((self.certs / part).read_text() for part in parts))
                self.assertEqual(self.bench.json("push-cert", "import", pair)["topic"], self.topic)

    def test_further_certificates_in_the_file_are_its_chain_wherever_they_stand(self):
        pair = self.bench.folder / "chained.pem"
        pair.write_text("".join((self.certs / part).read_text() for part in ("ca.pem", "client.pem", "client.key")))
        self.assertEqual(self.bench.json("push-cert", "import", pair)["topic"], self.topic)
        self.assertIn("BEGIN CERTIFICATE", self.bench.sql("SELECT chain FROM certificates"))

    def test_no_private_key_is_readable_in_the_database(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM secrets WHERE domain = 'push'").strip(), "1")
        der = subprocess.run(["openssl", "pkey", "-in", self.certs / "client.key", "-outform", "DER"], capture_output=True).stdout
        dump = subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", self.bench.db.socket, "--hex-blob", "pomona"],
                              capture_output=True, text=True).stdout
        self.assertIn("push key", dump)
        # The end of an RSA key in PKCS#8 is private (the beginning is the modulus).
        for secret in ("PRIVATE KEY", der.hex()[-100:].upper()):
            self.assertFalse(secret in dump, "a private key in the dump")

    def test_a_renewed_certificate_replaces_the_one_before_which_is_kept_with_its_key(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        done = self.bench.json("push-cert", "import", *self.make("renewed", days=700))
        self.assertEqual((done["renewed"], done["warnings"]), (True, []))
        self.assertEqual([c["status"] for c in self.bench.json("push-cert", "list")], ["active", "retired"])
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM secrets WHERE domain = 'push'").strip(), "2")
        self.assertEqual(len(self.bench.json("push-cert", "show")), 1)
        self.assertEqual(len(self.bench.json("push-cert", "show", self.topic)), 2)

    def test_the_same_certificate_twice_changes_nothing(self):
        for changed in (True, False):
            done = self.bench.json("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
            self.assertEqual(done["changed"], changed)
        self.assertEqual(len(self.bench.json("push-cert", "list")), 1)
        self.assertEqual(len(self.bench.events("push-cert.imported")), 1)

    def test_an_earlier_certificate_can_be_imported_again_and_is_warned_about(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.bench.checked("push-cert", "import", *self.make("later", days=700))
        done = self.bench.json("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.assertIn("expires earlier", done["warnings"][0])
        self.assertEqual(sorted(c["status"] for c in self.bench.json("push-cert", "list")), ["active", "retired"])

    def test_what_is_no_push_certificate_is_refused_in_words(self):
        good, key = self.certs / "client.pem", self.certs / "client.key"
        plain = self.make("plain", uid="")
        other = self.make("other", uid="com.example.mail")
        encrypted = self.bench.folder / "encrypted.key"
        subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", encrypted], check=True)
        request = self.bench.folder / "request.csr"
        subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=x", "-out", request], check=True)
        bundle = self.bench.folder / "pair.p12"
        subprocess.run(["openssl", "pkcs12", "-export", "-in", good, "-inkey", key, "-passout", "pass:x", "-out", bundle], check=True)
        (self.bench.folder / "text").write_text("hello\n")
        cases = {"no topic": plain, "not an MDM push certificate": other,
                 "does not belong to the certificate": (good, plain[1]),
                 "expired on": self.make("expired", days=-2),
                 "does not allow TLS client authentication": self.make("server", client=False, server=["localhost"]),
                 "no private key": (good,), "--password-file": (good, encrypted), "certificate request": (request, key),
                 "PKCS#12": (bundle,), "neither PEM nor DER": (good, self.bench.folder / "text"),
                 "no such file": (self.bench.folder / "absent", key)}
        for words, files in cases.items():
            with self.subTest(words):
                self.assertIn(words.lower(), self.refused(*files).lower())
        self.assertEqual(self.bench.json("push-cert", "list"), [])

    def test_one_not_valid_yet_is_refused(self):
        files = self.make("future")
        done = self.bench.pomona("push-cert", "import", *files, clock=-10 * DAY)
        self.assertEqual(done.returncode, 1)
        self.assertIn("valid only from", done.stderr)

    def test_another_topic_is_refused_while_devices_are_enrolled_and_says_how_many(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.bench.enroll("A")
        self.bench.enroll("B")
        other = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
        files = self.make("second", uid=other)
        said = self.refused(*files)
        for words in (self.topic, "2 devices", "Renew, not Create", "--new-topic"):
            self.assertIn(words, said)
        done = self.bench.json("push-cert", "import", *files, "--new-topic")
        self.assertEqual(done["topic"], other)
        self.assertEqual([c["status"] for c in self.bench.json("push-cert", "list")], ["active", "active"])

    def test_another_topic_is_welcome_while_nobody_is_enrolled(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        other = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
        self.assertEqual(self.bench.json("push-cert", "import", *self.make("lone", uid=other))["topic"], other)

    def test_listings_say_expiry_and_devices_and_what_to_do(self):
        self.bench.checked("push-cert", "import", self.certs / "client.pem", self.certs / "client.key")
        self.bench.enroll("A")
        text = self.bench.checked("push-cert", "list")
        self.assertIn(f"Push certificate {self.topic}", text)
        self.assertRegex(text, r"Expiry Date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00 \(VALID: \d+ days\)")
        self.assertIn("Enrolled Devices: 1", text)
        self.assertNotIn("Next Step", text)
        self.assertIn("Next Step: renew", self.bench.checked("push-cert", "list", clock=360 * DAY))
        expired = self.bench.checked("push-cert", "show", clock=400 * DAY)
        self.assertIn("INVALID: EXPIRED", expired)
        self.assertIn("1 device cannot be woken", expired)

    def test_nothing_to_show_is_said(self):
        self.assertIn("No push certificate", self.bench.checked("push-cert", "list"))
        self.assertEqual(self.bench.pomona("push-cert", "show").returncode, 1)
        self.assertIn("push-cert list", self.bench.pomona("push-cert", "show", "com.apple.mgmt.none").stderr)


if __name__ == "__main__":
    unittest.main()
