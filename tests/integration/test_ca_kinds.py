"""Every kind of CA that `pomona ca init` makes: RSA and EC, with an RA and as one certificate for everything."""
import json
import subprocess
import sys
import unittest
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from scep_bench import ScepBench  # noqa: E402
from scep_client import Client, csr, der_of, issued, key_pem, pool_key  # noqa: E402

SIGNED_WITH = {"rsa-2048": "sha256WithRSAEncryption", "rsa-3072": "sha256WithRSAEncryption", "rsa-4096": "sha256WithRSAEncryption",
               "p-256": "ecdsa-with-SHA256", "p-384": "ecdsa-with-SHA384"}
CA_ONLY, CA_AND_RA = "application/x-x509-ca-cert", "application/x-x509-ca-ra-cert"


def usages(certificate):
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    names = ("digital_signature", "key_encipherment", "key_cert_sign", "crl_sign", "content_commitment", "data_encipherment",
             "key_agreement")
    return [name for name in names if getattr(usage, name)]


class Kinds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench()
        cls.addClassCleanup(cls.bench.close)

    def become(self, kind, *options):
        """Another CA takes the place of the active one."""
        self.bench.sql("UPDATE certificates SET status = 'retired' WHERE kind IN ('ca', 'ra')")
        self.bench.checked("ca", "init", "--name", "-".join([kind, *options]).replace("--", "").lower(), "--key", kind, *options)
        self.bench.restart()  # what is active is looked up every few seconds only
        return self.bench.ra_and_ca()

    def enrol(self, recipient):
        ticket, key = self.bench.ticket(), pool_key(0)
        reply = Client(recipient).ask(self.bench, key, ticket.challenge)
        self.assertEqual(reply.status, "0", self.bench.log.read_text()[-500:])
        self.assertEqual(reply.signer, recipient)
        return issued(reply, key)

    def run_in(self, *words):
        run = subprocess.run(words, cwd=self.bench.folder, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, f"{words}: {run.stdout}{run.stderr}")
        return run.stdout

    def write(self, name, certificate):
        (self.bench.folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def check_strictly(self, ca, *others):
        self.write("ca.crt", ca)
        for certificate in (ca, *others):
            self.write("it.crt", certificate)
            self.run_in("openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", "it.crt")

    def shown(self, kind, name):
        (ca, *ra) = json.loads(self.bench.checked("ca", "show", name, "--json"))
        self.assertEqual(ca["key"], kind)
        self.assertEqual([row["key"] for row in ra], [] if ca["one_certificate"] else ["rsa-2048"])
        return ca

    def test_every_kind_of_key_issues_identities_with_an_rsa_2048_ra_beside_it(self):
        for kind, algorithm in SIGNED_WITH.items():
            with self.subTest(kind):
                ra, ca = self.become(kind)
                self.assertEqual(self.bench.http("GetCACert")[1], CA_AND_RA)
                leaf = self.enrol(ra)
                self.assertEqual({certificate.signature_algorithm_oid._name for certificate in (ca, ra, leaf)}, {algorithm})
                self.assertEqual(ra.public_key().key_size, 2048)
                self.assertEqual(ca.public_key().key_size, int(kind.split("-")[1]))
                self.assertEqual((usages(ca), usages(ra)), (["key_cert_sign", "crl_sign"], ["digital_signature", "key_encipherment"]))
                self.check_strictly(ca, ra, leaf)
                self.assertFalse(self.shown(kind, kind)["one_certificate"])

    def test_one_certificate_for_everything_is_served_alone_and_signs_and_decrypts(self):
        for kind in ("rsa-2048", "rsa-3072"):
            with self.subTest(kind):
                _, ca = self.become(kind, "--one-certificate")
                self.assertEqual(self.bench.http("GetCACert"), (200, CA_ONLY, der_of(ca)))
                self.assertEqual(usages(ca), ["digital_signature", "key_encipherment", "key_cert_sign", "crl_sign"])
                self.check_strictly(ca, self.enrol(ca))
                self.assertTrue(self.shown(kind, f"{kind}-one-certificate")["one_certificate"])
        self.assertIn("without an RA", self.bench.checked("ca", "show", "rsa-3072-one-certificate"))
        self.assertEqual([row["kind"] for row in json.loads(self.bench.checked("certs", "--json")) if row["status"] == "active"], ["ca"])
        self.assertIn(ca.public_bytes(serialization.Encoding.PEM).decode(), self.bench.checked("ca", "list", "--pem"))

    def test_strongswan_enrols_where_there_is_no_ra(self):
        self.become("rsa-2048", "--org", "Plain", "--one-certificate")
        self.run_in("pki", "--scepca", "--url", self.bench.url, "--caout", "only.crt", "--outform", "pem", "--force")
        (self.bench.folder / "k.pem").write_bytes(key_pem(pool_key(0)))
        ticket = self.bench.ticket()
        self.run_in("pki", "--scep", "--url", self.bench.url, "--in", "k.pem", "--dn", "CN=dev", "--password", ticket.challenge,
                    "--cacert-enc", "only.crt", "--cacert-sig", "only.crt", "--outform", "pem")
        self.assertEqual(self.bench.certificates(ticket)[0]["status"], "issued")

    def test_what_an_earlier_ca_began_is_finished_by_it(self):
        ra, ca = self.become("p-256", "--org", "Earlier")
        ticket, key = self.bench.ticket(), pool_key(0)
        self.bench.restart(POMONA_CRASH_AT="certificate-recorded")
        with self.assertRaises(EOFError):
            Client(ra).ask(self.bench, key, ticket.challenge)
        self.bench.process.wait(30)
        self.bench.start()
        ra, _ = self.become("rsa-2048", "--org", "Later")
        leaf = issued(Client(ra).ask(self.bench, key, ticket.challenge), key)
        self.check_strictly(ca, leaf)
        self.assertEqual(len(self.bench.certificates(ticket)), 1)

    def test_one_certificate_with_an_ec_key_is_refused_in_words(self):
        self.bench.sql("UPDATE certificates SET status = 'retired' WHERE kind IN ('ca', 'ra')")
        self.addCleanup(self.bench.sql, "UPDATE certificates SET status = 'active' WHERE kind IN ('ca', 'ra') ORDER BY id LIMIT 2")
        for kind in ("p-256", "p-384"):
            with self.subTest(kind):
                run = self.bench.pomona("ca", "init", "--name", "x", "--key", kind, "--one-certificate")
                self.assertEqual(run.returncode, 1)
                for words in ("needs an RSA key", "--key rsa-2048", "leave out --one-certificate"):
                    self.assertIn(words, run.stderr)

    def test_a_ca_whose_ra_is_gone_asks_clients_to_come_again(self):
        self.become("rsa-2048", "--org", "Lonely")
        self.bench.sql("UPDATE certificates SET status = 'retired' WHERE kind = 'ra'")
        self.bench.restart()
        self.assertEqual(self.bench.get("operation=GetCACert").status, 503)


if __name__ == "__main__":
    unittest.main()
