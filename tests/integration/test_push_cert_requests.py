"""Push certificate requests: what is signed, for whom, and what is wrong with a finished one."""
import base64
import plistlib
import subprocess
import sys
import unittest
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import apple_portal  # noqa: E402
from push_portal_case import EMAIL, PortalCase  # noqa: E402

DAY = 86400


class Requests(PortalCase):
    def test_a_certificate_is_what_it_says_whatever_its_request_was_meant_for(self):
        vendor = self.make_vendor()
        csr = self.file("mistaken.csr")
        self.bench.checked("push-cert", "vendor-request", "--email", EMAIL, "--out", csr)
        signed = self.file("mistaken.b64", self.bench.checked("push-cert", "sign", csr).strip())
        done = self.bench.json("push-cert", "import", self.file("mistaken.pem", self.apple.create(signed.read_bytes())))
        self.assertEqual(done["kind"], "push")
        kept = self.bench.sql("SELECT LOWER(HEX(sha256)) FROM certificates WHERE kind = 'vendor' AND status = 'active'").strip()
        self.assertEqual(kept, vendor["sha256"])

    def test_a_second_certificate_for_the_same_request_needs_no_key_either(self):
        self.make_vendor()
        signed = self.make_request()
        first = self.bench.json("push-cert", "import", self.file("first.pem", self.apple.create(signed.read_bytes())))
        second = self.file("second.pem", self.apple.renew(first["topic"], signed.read_bytes(), days=364))
        self.assertEqual(self.bench.json("push-cert", "import", second)["renewed"], True)

    def test_a_request_that_was_lost_is_printed_again(self):
        csr = self.file("lost.csr")
        self.bench.checked("push-cert", "request", "--email", EMAIL, "--out", csr)
        self.assertEqual([row["csr"] for row in self.bench.json("push-cert", "requests")], [csr.read_text()])

    def test_what_a_vendor_certificate_does_not_have_is_not_taken_silently(self):
        csr = self.file("vendor.csr")
        self.bench.checked("push-cert", "vendor-request", "--email", EMAIL, "--out", csr)
        cer = self.file("mdm.cer", self.apple.vendor_certificate(csr.read_text()))
        self.assertIn("--apple-id", self.refused("import", cer, "--apple-id", EMAIL, exit=2))

    def test_the_signed_request_is_what_apple_documents(self):
        self.make_vendor()
        plist = plistlib.loads(base64.b64decode(self.make_request().read_bytes(), validate=True))
        self.assertEqual(sorted(plist), ["PushCertCertificateChain", "PushCertRequestCSR", "PushCertSignature"])
        self.assertEqual({type(value) for value in plist.values()}, {str})
        chain = [line for line in plist["PushCertCertificateChain"].splitlines()]
        self.assertEqual(max(map(len, chain)), 64)
        issuer = x509.load_pem_x509_certificate(plist["PushCertCertificateChain"].encode()).issuer
        self.assertEqual(issuer, apple_portal.wwdr_name("G4"))
        csr = x509.load_der_x509_csr(base64.b64decode(plist["PushCertRequestCSR"]))
        self.assertEqual(csr.public_key().key_size, 2048)
        self.assertEqual(csr.signature_hash_algorithm.name, "sha256")

    def test_a_provider_signs_for_customers_and_keeps_a_record_of_each(self):
        self.make_vendor(generation="G6")
        for customer in ("School of Gardening", "Cider Press Ltd"):
            key, csr = self.file("customer.key"), self.file("customer.csr")
            subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj",
                            f"/O={customer}/emailAddress=it@example.net"], check=True, capture_output=True)
            signed = self.bench.checked("push-cert", "sign", csr, "--customer", customer)
            self.apple.read_request(signed.strip())
        records = self.bench.json("push-cert", "signed")
        self.assertEqual([r["detail"].split(", request of ")[0] for r in records], ["customer Cider Press Ltd", "customer School of Gardening"])
        self.assertIn("it@example.net", records[0]["detail"])

    def test_sha1_is_there_for_old_vendor_certificates(self):
        self.make_vendor()
        csr = self.file("old.csr")
        self.bench.checked("push-cert", "request", "--email", EMAIL, "--out", csr)
        signed = self.file("old.b64", self.bench.checked("push-cert", "sign", csr, "--sha1"))
        self.assertIn("SHA-1", self.bench.checked("push-cert", "verify", signed))
        with self.assertRaisesRegex(apple_portal.Refused, "signature is invalid"):
            self.apple.read_request(signed.read_text().strip())

    def test_what_cannot_be_signed_is_told(self):
        csr = self.file("early.csr")
        self.bench.checked("push-cert", "request", "--email", EMAIL, "--out", csr)
        self.assertIn("vendor-request", self.refused("sign", csr))
        self.make_vendor()
        self.assertIn("apple.com/certificateauthority", self.refused("sign", csr, "--chain", self.bench.certs / "ca.pem"))
        self.assertIn("expired on", self.refused("sign", csr, clock=400 * DAY))
        self.assertIn("signed already", self.refused("sign", self.make_request()))
        subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout", self.file("weak.key"), "-out",
                        self.file("weak.csr"), "-subj", "/CN=x"], check=True, capture_output=True)
        self.assertIn("RSA-2048", self.refused("sign", self.file("weak.csr")))
        self.refused("request", exit=2)
        self.refused("request", "--email", EMAIL, "--country", "Germany", exit=2)

    def altered(self, good, **changes):
        plist = plistlib.loads(base64.b64decode(good)) | changes
        return base64.b64encode(plistlib.dumps({key: value for key, value in plist.items() if value is not None}))

    def test_no_key_in_staging_is_readable_in_the_database(self):
        self.make_vendor()
        self.bench.checked("push-cert", "vendor-request", "--email", EMAIL)
        self.bench.checked("push-cert", "request", "--email", EMAIL)
        dump = subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", self.bench.db.socket, "--hex-blob", "pomona"],
                              capture_output=True, text=True).stdout
        self.assertEqual(dump.count("push request key "), 2)
        for readable in ("PRIVATE KEY", b"PRIVATE KEY".hex().upper()):
            self.assertFalse(readable in dump, "a private key in the dump")

    def test_verify_says_what_is_wrong_with_a_request(self):
        vendor, csr = self.apple.vendor(), self.file("any.csr")
        self.bench.checked("push-cert", "request", "--email", EMAIL, "--out", csr)
        der = x509.load_pem_x509_csr(csr.read_bytes()).public_bytes(serialization.Encoding.DER)
        good = self.apple.sign_request(vendor, der)
        self.assertIn("Nothing is wrong", self.bench.checked("push-cert", "verify", self.file("good", good)))
        self.bench.write_conf()
        self.assertIn("not looked at: whether the root is Apple's", self.bench.checked("push-cert", "verify", self.file("good", good)))
        self.bench.write_conf(apple_chain_file=self.apple.chain_file)
        chain = plistlib.loads(base64.b64decode(good))["PushCertCertificateChain"]
        parts = chain.split("-----BEGIN CERTIFICATE-----\n")
        strangers = apple_portal.Portal(self.bench.folder / "certs", self.push_ca)
        cases = {
            "base64 of an XML property list": b"hello",
            "the portal wants its base64": base64.b64decode(good),
            "PushCertSignature is missing": self.altered(good, PushCertSignature=None),
            "written as <data>": self.altered(good, PushCertRequestCSR=der),
            "several lines": self.altered(good, PushCertRequestCSR=base64.encodebytes(der).decode()),
            "DER is wanted": self.altered(good, PushCertRequestCSR=base64.b64encode(csr.read_bytes()).decode()),
            "another key, another request": self.altered(good, PushCertSignature=base64.b64encode(bytes(256)).decode()),
            "over its DER bytes": self.altered(good, PushCertSignature=base64.b64encode(vendor.key.sign(
                base64.b64encode(der), apple_portal.padding.PKCS1v15(), hashes.SHA256())).decode()),
            "it needs three": self.altered(good, PushCertCertificateChain=vendor.cert_pem().decode()),
            "was not issued by": self.altered(good, PushCertCertificateChain="-----BEGIN CERTIFICATE-----\n".join(
                [parts[0], parts[1], parts[3], parts[2]])),
            "not 64 characters long": self.altered(good, PushCertCertificateChain="".join(
                block if block.startswith("-----") else block.replace("\n", "") + "\n" for block in self.blocks(chain))),
            "must renew it and sign again": self.apple.sign_request(self.apple.vendor(days=-2), der),
            "none of the chain file's": strangers.sign_request(strangers.vendor(), der),
        }
        for words, data in cases.items():
            with self.subTest(words):
                self.assertIn(words, self.refused("verify", self.file("bad", data)))

    @staticmethod
    def blocks(pem):
        """Its lines, the body of each block as one."""
        out = [""]
        for line in pem.splitlines(keepends=True):
            if line.startswith("-----"):
                out += [line, ""]
            else:
                out[-1] += line
        return [block for block in out if block]


if __name__ == "__main__":
    unittest.main()
