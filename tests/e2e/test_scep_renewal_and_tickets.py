"""Over nginx, by strongSwan: an identity renewed by SCEP and taken at /mdm, tickets for several devices, another scep-url."""
import base64
import hashlib
import hmac
import plistlib
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402
from scep_client import pool_key  # noqa: E402
from scep_strangers import StrongSwan  # noqa: E402

CHECKIN = "application/x-apple-aspen-mdm-checkin"


def scep_payload(body):
    payloads = plistlib.loads(body)["PayloadContent"]
    return next(p["PayloadContent"] for p in payloads if p["PayloadType"] == "com.apple.security.scep")


def challenge_of(secret):
    """As docs/data-and-trust.md section 4 derives it."""
    return base64.b32encode(hmac.new(secret.encode(), b"pomona scep 1", hashlib.sha256).digest()).decode().rstrip("=")


class OverNginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack({"ticket-attempts": 2, "reenrollment": "approve"})
        cls.addClassCleanup(cls.stack.close)
        cls.url = cls.stack.env["POMONA_HTTP_URL"] + "/scep"
        cls.stack.up({"scep-url": cls.url})
        cls.swan = StrongSwan(SimpleNamespace(url=cls.url, ca=0, recipient=1), cls.stack.folder / "strongswan")
        good, words = cls.swan.fetch_ca()
        assert good, words

    def ticket(self, *options):
        return self.stack.json("pomona", "ticket", "new", *options)

    def path(self, ticket):
        return ticket["url"].removeprefix(self.stack.env["POMONA_URL"])

    def enrolled(self, outcome):
        self.assertEqual((outcome.refusal, outcome.trouble), ("", ""), outcome.transcript)
        return outcome

    def status(self, outcome):
        sha256 = x509.load_pem_x509_certificate(outcome.certificate.read_bytes()).fingerprint(SHA256()).hex()
        return self.stack.sql(f"SELECT status FROM certificates WHERE sha256 = UNHEX('{sha256}')").strip()

    def put(self, outcome, content_type="application/x-apple-aspen-mdm", **message):
        body = self.stack.folder / "body.plist"
        body.write_bytes(plistlib.dumps(message))
        return self.stack.curl("/mdm", "--cert", outcome.certificate, "--key", outcome.key, "-T", body,
                               "-H", f"Content-Type: {content_type}")

    # --- renewal ---------------------------------------------------------------------------------------------------------

    def check_in(self, outcome, udid, topic):
        names = {"UDID": udid, "Topic": topic}
        self.assertEqual(self.put(outcome, CHECKIN, MessageType="Authenticate", **names)[0], 200)
        self.assertEqual(self.put(outcome, CHECKIN, MessageType="TokenUpdate", Token=b"t" * 32, PushMagic="m", **names)[0], 200)

    def test_strongswan_renews_an_identity_and_its_first_message_makes_the_older_one_retire(self):
        ticket, udid = self.ticket(), "STRONGSWAN-1"
        first = self.enrolled(self.swan.enrol(ticket["challenge"]))
        self.check_in(first, udid, ticket["topic"])
        self.assertEqual(self.swan.renew(first).refusal, "badRequest")
        self.assertIn("too early", self.stack.log("scep"))
        self.stack.sql("UPDATE certificates SET not_before = not_before - INTERVAL 500 DAY, not_after = not_after - INTERVAL 500 DAY "
                       "WHERE kind = 'identity'")
        second = self.enrolled(self.swan.renew(first))
        self.assertEqual((self.status(first), self.status(second)), ("issued", "issued"))
        command = self.stack.json("pomona", "command", "enqueue", udid, "--type", "DeviceInformation", "--no-push")["command_uuid"]
        status, body = self.put(second, Status="Idle", UDID=udid)
        self.assertEqual((status, plistlib.loads(body)["CommandUUID"]), (200, command))
        self.assertEqual((self.status(first), self.status(second)), ("retiring", "issued"))
        self.assertEqual(self.put(first, Status="Idle", UDID=udid), (200, b""))
        self.assertEqual(self.swan.ask(pool_key(39), "--cert", first.certificate, "--key", first.key).refusal, "badRequest")
        shown = self.stack.json("pomona", "enrollment", "show", udid)
        self.assertEqual((shown["state"], shown["generation"]), ("current", 1))
        events = self.stack.sql("SELECT what FROM events WHERE what = 'enrollment.renewed'").split()
        self.assertEqual(events, ["enrollment.renewed"])

    # --- tickets ---------------------------------------------------------------------------------------------------------

    def test_another_scep_url_stands_in_tickets_and_profiles_and_devices_use_it(self):
        ticket = self.ticket()
        self.assertEqual(ticket["scep_url"], self.url)
        payload = scep_payload(self.stack.curl(self.path(ticket))[1])
        self.assertEqual((payload["URL"], payload["Challenge"]), (self.url, ticket["challenge"]))
        ca = x509.load_pem_x509_certificate((self.swan.folder / "ca.pem").read_bytes())
        self.assertEqual(payload["CAFingerprint"], ca.fingerprint(SHA256()))
        self.stack.enroll("plain", ticket["url"])
        self.assertIn("operation=PKIOperation", self.stack.log("scep"))

    def test_as_many_keys_as_ticket_attempts_may_be_tried_with_one_ticket(self):
        challenge = self.ticket()["challenge"]
        outcomes = [self.swan.ask(pool_key(40 + number), "--password", challenge) for number in range(3)]
        told = "\n".join(outcome.transcript for outcome in outcomes) + self.stack.log("scep")[-2000:]
        self.assertEqual([outcome.trouble for outcome in outcomes[:2]], ["", ""], told)
        self.assertEqual([outcome.refusal for outcome in outcomes], ["", "", "badRequest"], told)
        self.assertEqual([self.status(outcome) for outcome in outcomes[:2]], ["revoked", "issued"])

    def places(self, number):
        return next(row for row in self.stack.json("pomona", "ticket", "list") if row["number"] == number)

    def test_each_download_of_a_ticket_for_several_devices_enrols_one_and_revoking_it_ends_all(self):
        ticket = self.ticket("--uses", 3)
        self.assertIsNone(ticket["challenge"])
        number, secret = ticket["number"], ticket["url"].rpartition("/")[2]
        challenges = [scep_payload(self.stack.curl(self.path(ticket))[1])["Challenge"] for _ in range(2)]
        row = self.places(number)
        self.assertEqual((row["uses"], row["uses_left"], row["places"]), (3, 1, "1 of 3"))
        self.assertEqual(self.swan.ask(pool_key(43), "--password", challenge_of(secret)).refusal, "badRequest")
        first = self.enrolled(self.swan.ask(pool_key(44), "--password", challenges[0]))
        self.assertEqual(self.status(first), "issued")
        self.stack.json("pomona", "ticket", "revoke", number)
        self.assertEqual(self.status(first), "revoked")
        for key, challenge in ((44, challenges[0]), (45, challenges[1])):
            self.assertEqual(self.swan.ask(pool_key(key), "--password", challenge).refusal, "badRequest")
        self.assertEqual(self.stack.curl(self.path(ticket))[0], 410)
        topic = ticket["topic"]
        self.assertEqual(self.put(first, CHECKIN, MessageType="Authenticate", UDID="REVOKED-1", Topic=topic)[0], 400)


if __name__ == "__main__":
    unittest.main()
