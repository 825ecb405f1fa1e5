"""The device CA: making it once, showing it, and what pomona-scep does before it is there and when the database is away."""
import datetime
import json
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from polling import poll  # noqa: E402
from scep_bench import BIN, ScepBench  # noqa: E402
from scep_client import Client, csr, issued, openssl, pool_key  # noqa: E402


class MakingTheCa(unittest.TestCase):
    def setUp(self):
        self.bench = ScepBench(ca=False)
        self.addCleanup(self.bench.close)

    def json(self, *words):
        return json.loads(self.bench.checked(*words, "--json"))

    def test_before_there_is_a_ca_clients_are_asked_to_come_again_and_then_served(self):
        self.assertEqual(self.bench.get("operation=GetCACert").status, 503)
        self.assertEqual(self.bench.get("operation=GetCACaps").status, 200)
        self.assertIn("pomona ca init", self.bench.log.read_text())
        self.bench.make_ca()
        self.assertEqual(self.bench.get("operation=GetCACert").status, 200)

    def test_a_second_ca_is_not_made(self):
        made, again = self.json("ca", "init", "--name", "first"), self.json("ca", "init", "--name", "second")
        self.assertEqual((made["created"], again["created"]), (True, False))
        self.assertEqual(again["sha256"], made["sha256"])
        self.assertEqual([(row["name"], row["kind"], row["status"]) for row in self.json("ca", "list")],
                         [("first", "ca", "active"), ("first", "ra", "active")])
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM secrets WHERE domain = 'ca'").strip(), "2")
        self.assertEqual(self.bench.sql("SELECT what, detail FROM events").strip(),
                         "ca.created\tCN=Example Org Device CA,O=Example Org")

    def test_two_that_make_it_at_once_leave_one(self):
        with ThreadPoolExecutor(4) as pool:
            runs = list(pool.map(lambda _: self.bench.pomona("ca", "init"), range(4)))
        self.assertIn(0, [run.returncode for run in runs])
        self.assertLessEqual({run.returncode for run in runs}, {0, 75})
        self.assertEqual(self.bench.sql("SELECT kind FROM certificates ORDER BY id").split(), ["ca", "ra"])

    def test_names_and_lifetimes_are_ours_to_choose_within_limits(self):
        for words, code in ((("--name", "Bad Name"), 1), (("--name", ""), 1), (("--days", "0"), 2), (("--key", "rsa-1024"), 2), (("--key", "p-521"), 2)):
            with self.subTest(words):
                self.assertEqual(self.bench.pomona("ca", "init", *words).returncode, code)
        self.bench.checked("ca", "init", "--days", "30", "--key", "rsa-3072", "--org", "Ä" * 70)
        ca = x509.load_pem_x509_certificate(self.bench.checked("ca", "show", "device-ca", "--pem").encode())
        self.assertEqual((ca.public_key().key_size, (ca.not_valid_after - ca.not_valid_before).days), (3072, 30))
        attributes = {attribute.oid._name: attribute.value for attribute in ca.subject}
        self.assertTrue(attributes["commonName"].endswith(" Device CA"))
        self.assertTrue(all(0 < len(value) <= 64 for value in attributes.values()))
        # The RA and every identity end with it.
        ra, _ = self.bench.ra_and_ca()
        self.assertEqual(ra.not_valid_after, ca.not_valid_after)
        ticket, key = self.bench.ticket(), pool_key(0)
        leaf = issued(Client(ra).ask(self.bench, key, ticket.challenge), key)
        self.assertEqual(leaf.not_valid_after, ca.not_valid_after)
        self.assertGreaterEqual(leaf.not_valid_before, ca.not_valid_before)

    def test_showing_it_before_it_is_there_says_what_to_do(self):
        for words, code in ((("list",), 0), (("show",), 0), (("list", "--pem"), 1), (("show", "nope"), 1)):
            with self.subTest(words):
                run = self.bench.pomona("ca", *words)
                self.assertEqual(run.returncode, code)
                self.assertIn("pomona ca", run.stdout + run.stderr)


class TheCa(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench()
        cls.addClassCleanup(cls.bench.close)

    def test_show_tells_fingerprint_dates_and_what_was_issued(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        Client(self.bench.ra_and_ca()[0]).ask(self.bench, key, ticket.challenge)
        fingerprint = openssl("x509", "-in", self.bench.ca_pem, "-noout", "-fingerprint", "-sha256").decode()
        ca, ra = json.loads(self.bench.checked("ca", "show", "--json"))
        self.assertEqual(ca["sha256"], fingerprint.split("=")[1].strip().replace(":", "").lower())
        count = int(self.bench.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity' AND status = 'issued'"))
        self.assertEqual((ca["issued"], ca["revoked"], ra["kind"]), (count, 0, "ra"))
        text = self.bench.checked("ca", "show", "device-ca")
        for words in (ca["sha256"], "Expiry Date: ", "(VALID: 3649 days)", f"{count} in force"):
            self.assertIn(words, text)

    def test_the_bundle_is_what_openssl_and_nginx_take(self):
        printed = openssl("verify", "-x509_strict", "-CAfile", self.bench.ca_pem, self.bench.ca_pem)
        self.assertIn(b"OK", printed)
        self.assertEqual(self.bench.ca_pem.read_text().count("BEGIN CERTIFICATE"), 1)

    def test_private_keys_are_sealed_in_the_database(self):
        bodies = self.bench.sql("SELECT HEX(body) FROM secrets").split()
        self.assertEqual(len(bodies), 2)
        version_and_rsa_oid = "020100300D06092A864886F70D010101"  # how every PKCS#8 RSA key begins
        for body in bodies:
            self.assertNotIn(version_and_rsa_oid, body)

    def test_the_programs_own_database_user_reaches_nothing_of_the_devices(self):
        for sql in ("SELECT * FROM secrets", "SELECT * FROM certificates", "SELECT * FROM secrets_escrow", "SELECT * FROM messages",
                    "INSERT INTO certificates_ca (kind) VALUES ('ca')", "DELETE FROM tickets", "UPDATE certificates_ca SET name = 'x'"):
            with self.subTest(sql):
                code, output = self.bench.db.as_user("pomona-scep", sql)
                self.assertNotEqual(code, 0)
                self.assertIn("denied", output)

    def test_a_lifetime_beyond_the_cas_ends_with_the_ca(self):
        self.bench.restart(POMONA_IDENTITY_LIFETIME="20000d")
        self.addCleanup(self.bench.restart)
        ra, ca = self.bench.ra_and_ca()
        ticket, key = self.bench.ticket(), pool_key(0)
        leaf = issued(Client(ra).ask(self.bench, key, ticket.challenge), key)
        self.assertEqual(leaf.not_valid_after, ca.not_valid_after)

    def test_a_database_that_is_away_is_a_503_and_nothing_is_lost(self):
        client, ticket, key = Client(self.bench.ra_and_ca()[0]), self.bench.ticket(), pool_key(0)
        message = client.message(csr(key, ticket.challenge), key)
        self.bench.db.stop()
        self.assertEqual(self.bench.post(message, timeout=60).status, 503)
        self.bench.db.start()
        poll(lambda: self.bench.post(message).status == 200)
        self.assertEqual(self.bench.certificates(ticket)[0]["status"], "issued")

    def test_an_expired_ca_issues_nothing(self):
        ra, ca = self.bench.ra_and_ca()
        seconds = int((ca.not_valid_after - datetime.datetime.utcnow()).total_seconds()) + 60
        ticket, key = self.bench.ticket(days=5000), pool_key(0)
        message = Client(ra).message(csr(key, ticket.challenge), key)
        self.bench.restart(POMONA_TEST_CLOCK=str(seconds))
        self.addCleanup(self.bench.restart)
        self.assertEqual(self.bench.post(message).status, 500)
        self.assertIn("the device CA expired", self.bench.log.read_text())
        self.assertEqual(self.bench.certificates(ticket), [])

    def test_it_ends_cleanly_and_says_how_it_is_used(self):
        self.assertEqual(self.bench.end(), 0)
        self.bench.start()
        run = subprocess.run([BIN / "pomona-scep", "--help"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0)
        self.assertIn("--identity-lifetime", run.stdout)


if __name__ == "__main__":
    unittest.main()
