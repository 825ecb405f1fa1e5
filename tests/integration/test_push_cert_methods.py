"""The three ways to a push certificate, each from nothing to a push that the APNs stand-in accepts; Apple's side is made by openssl and
Python's cryptography module. The yearly renewal follows docs/certificates.md step by step."""
import subprocess
import sys
import unittest
from pathlib import Path

from cryptography.hazmat.primitives import serialization

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import apple_portal  # noqa: E402
import pki  # noqa: E402
from mdmcert import Mdmcert  # noqa: E402
from push_portal_case import EMAIL, PortalCase  # noqa: E402

DAY = 86400


class Methods(PortalCase):
    def push_arrives(self, topic):
        self.bench.enroll("A", topic)
        self.bench.due("A")
        done = self.bench.push()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        (push,) = self.bench.pushes()
        self.assertEqual(push["topic"], topic)

    def test_method_a_from_nothing_to_a_push_with_an_own_vendor_certificate(self):
        self.make_vendor()
        pem = self.file("MDM_ Example_Certificate.pem", self.apple.create(self.make_request().read_bytes()))
        done = self.bench.json("push-cert", "import", pem, "--apple-id", EMAIL)
        self.assertEqual((done["kind"], done["changed"]), ("push", True))
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_requests").strip(), "0")
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM secrets").strip(), "2", "the vendor's key and this one, nothing in staging")
        self.push_arrives(done["topic"])

    def test_method_b_from_nothing_to_a_push_with_a_keychain_export(self):
        key = pki.new_key("rsa")
        topic = "com.apple.mgmt.XServer.12345678-1234-1234-1234-123456789012"
        cert = apple_portal.certify(self.push_ca, pki.name("APSP:12345678-1234-1234-1234-123456789012", topic), key.public_key(), 300, client=True)
        pair = self.file("pair.pem", cert.public_bytes(serialization.Encoding.PEM) + pki.Identity(cert, key).key_pem())
        bundle, password = self.file("Certificates.p12"), self.file("password", "from Keychain\n")
        subprocess.run(["openssl", "pkcs12", "-export", "-legacy", "-certpbe", "PBE-SHA1-RC2-40", "-keypbe", "PBE-SHA1-3DES", "-in", pair,
                        "-passout", "pass:from Keychain", "-out", bundle], check=True)
        self.assertEqual(self.bench.json("push-cert", "import", bundle, "--password-file", password)["topic"], topic)
        self.push_arrives(topic)

    def mdmcert(self, **options):
        server = pki.issue(self.push_ca, "localhost", server=["127.0.0.1"])
        service = Mdmcert(self.bench.folder, self.apple, server, keys=["our-own-key"], emails=[EMAIL], **options)
        self.addCleanup(service.__exit__)
        self.file("product.key", "our-own-key\n")
        self.configure(service)
        self.addCleanup(self.bench.write_conf, apple_chain_file=self.apple.chain_file)
        return service

    def configure(self, service, **other):
        self.bench.write_conf(**{"mdmcert_url": service.url, "mdmcert_key_file": self.file("product.key"),
                                 "mdmcert_ca_file": self.bench.certs / "ca.pem"} | other)

    def ask_mdmcert(self, service):
        self.bench.checked("push-cert", "mdmcert-request", "--email", EMAIL)
        _, name, text = service.mailbox[-1]
        return self.file(name, text)

    def test_method_c_from_nothing_to_a_push_with_mdmcert_download(self):
        for cipher in ("-aes256", "-des3"):
            with self.subTest(cipher=cipher):
                self.setUp()
                service = self.mdmcert(cipher=cipher)
                answer = self.ask_mdmcert(service)
                request = self.file("PushCertificateRequest.plist")
                said = self.bench.checked("push-cert", "mdmcert-decrypt", answer, "--out", request)
                self.assertIn("MDM Vendor: mdmcert.download", said)
                self.assertRegex(said, r"good until \d{4}-")
                pem = self.file("MDM_ mdmcert.download_Certificate.pem", self.apple.create(request.read_bytes()))
                done = self.bench.json("push-cert", "import", pem)
                self.push_arrives(done["topic"])
                _, headers, _ = service.seen[-1]
                self.assertTrue(headers["user-agent" if "user-agent" in headers else "User-Agent"].startswith("pomona/"))

    def test_mdmcerts_refusals_are_told_and_leave_nothing_behind(self):
        service = self.mdmcert()
        self.assertIn("not registered", self.refused("mdmcert-request", "--email", "stranger@example.org"))
        self.file("wrong.key", "another-products-key\n")
        self.configure(service, mdmcert_key_file=self.bench.folder / "wrong.key")
        self.assertIn("unknown product key", self.refused("mdmcert-request", "--email", EMAIL))
        self.configure(service, mdmcert_url=service.url + "/elsewhere")
        self.assertIn("404", self.refused("mdmcert-request", "--email", EMAIL))
        self.configure(service, mdmcert_key_file="")
        self.assertIn("mdmcert-key-file is not set", self.refused("mdmcert-request", "--email", EMAIL))
        self.assertEqual(service.mailbox, [])
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_requests").strip(), "0")

    def test_a_request_whose_answer_was_lost_is_not_lost_when_the_mail_comes(self):
        service = self.mdmcert()
        service.answers_are_lost = True
        said = self.refused("mdmcert-request", "--email", EMAIL, exit=75)
        self.assertIn("does not answer", said)
        self.assertIn("If its e-mail comes, go on with that", said)
        service.answers_are_lost = False
        self.bench.checked("push-cert", "mdmcert-request", "--email", EMAIL)   # repeated all the same, before it came
        _, name, text = service.mailbox[0]
        request = self.file("request.plist")
        self.assertTrue(self.bench.json("push-cert", "mdmcert-decrypt", self.file(name, text), "--out", request)["key_is_here"])
        pem = self.file("lost.pem", self.apple.create(request.read_bytes()))
        self.push_arrives(self.bench.json("push-cert", "import", pem)["topic"])
        self.configure(service, mdmcert_url="https://127.0.0.1:1/api")
        self.assertIn("does not answer", self.refused("mdmcert-request", "--email", EMAIL, exit=75))
        kept = self.bench.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'mdmcert' AND status = 'active'").strip()
        self.assertEqual(kept, "1", "an admin watches one of them")

    def test_an_answer_with_an_expired_vendor_certificate_stops_before_the_portal(self):
        service = self.mdmcert()
        service.vendor = self.apple.vendor("mdmcert.download", days=-3)
        answer, out = self.ask_mdmcert(service), self.file("never.plist")
        said = self.refused("mdmcert-decrypt", answer, "--out", out)
        for words in ("MDM Vendor: mdmcert.download", "expired on", "operators"):
            self.assertIn(words, said)
        self.assertFalse(out.exists())

    def test_answers_that_are_not_ours_are_told(self):
        service = self.mdmcert()
        answer = self.ask_mdmcert(service)
        for name, data, words in (("hello", "hello", "save the attachment"), ("cut", answer.read_text()[:3001], "save the attachment"),
                                  ("cut-even", answer.read_text()[:3000], "read CMS")):
            with self.subTest(name):
                self.assertIn(words, self.refused("mdmcert-decrypt", self.file(name, data)))
        self.bench.checked("push-cert", "mdmcert-decrypt", self.file("wrapped.p7", "\r\n".join(answer.read_text()[i:i + 60] for i in range(0, 99999, 60))))
        self.bench.sql("DELETE FROM certificates; DELETE FROM secrets; DELETE FROM push_requests")
        self.assertIn("a key that is not here", self.refused("mdmcert-decrypt", answer))

    def test_the_yearly_renewal_step_by_step(self):
        self.make_vendor(days=800)
        first = self.file("first.pem", self.apple.create(self.make_request().read_bytes()))
        topic = self.bench.json("push-cert", "import", first, "--apple-id", EMAIL)["topic"]
        self.bench.enroll("A", topic)
        # 1. Which account: shown when it is needed.
        self.assertIn(f"the Apple ID is {EMAIL}", self.bench.checked("certs", clock=345 * DAY))
        # 2. and 3. A new request, signed and checked.
        signed = self.make_request("renewal")
        self.assertIn("Nothing is wrong", self.bench.checked("push-cert", "verify", signed))
        # 4. and 5. Renew at the portal; Create by mistake is refused with the devices it would lose.
        wrong = self.file("wrong.pem", self.apple.create(signed.read_bytes()))
        self.assertIn(f"{topic} (1 device)", self.refused("import", wrong))
        renewed = self.file("renewed.pem", self.apple.renew(topic, signed.read_bytes(), days=400))
        # 6. Import, without a key: it waits in staging, the mistake has not used it up.
        self.assertEqual([r["kind"] for r in self.bench.json("push-cert", "requests")], ["push"])
        done = self.bench.json("push-cert", "import", renewed)
        self.assertEqual((done["renewed"], done["devices"], done["warnings"]), (True, 1, []))
        self.assertIn("No key waits", self.bench.checked("push-cert", "requests"))
        # 7. A push goes out with it, and one step back is there.
        self.bench.due("A")
        self.assertEqual(self.bench.push().returncode, 0)
        self.assertEqual([push["topic"] for push in self.bench.pushes()], [topic])
        self.bench.checked("push-cert", "rollback")


if __name__ == "__main__":
    unittest.main()
