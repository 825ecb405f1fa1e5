"""pomona certs: certbot's form, who depends on what, the most pressing first."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402

DAY = 86400


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        cls.ca = pki.make_ca("Device CA")
        cls.ca_id = cls.bench.put_certificate("ca", cls.ca, name="devices")
        cls.bench.put_certificate("push", cls.push(days=365), topic=TOPIC)
        cls.bench.put_certificate("push", cls.push(days=-5), topic=TOPIC, status="retired")
        for number, days in enumerate((100, 400, 700)):
            enrollment = cls.bench.put_enrollment(f"UDID-{number}")
            cls.bench.put_certificate("identity", pki.issue(cls.ca, f"device {number}", client=True, days=days), status="issued",
                                      issuer_id=cls.ca_id, enrollment_id=enrollment)

    @staticmethod
    def push(**options):
        return pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True, **options)

    def report(self, *arguments, **options):
        return self.bench.json("certs", *arguments, **options)

    def of_kind(self, kind, *arguments, **options):
        return [row for row in self.report(*arguments, **options) if row["kind"] == kind]

    def test_the_form_is_certbots(self):
        text = self.bench.checked("certs")
        self.assertRegex(text, r"    Expiry Date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00 \(VALID: 364 days\)")

    def test_who_depends_on_each_is_counted(self):
        (push,), (ca,) = self.of_kind("push"), self.of_kind("ca")
        self.assertEqual((push["used_by"], ca["used_by"]), (3, 3))
        self.assertIn("3 devices cannot be woken", push["consequence"])

    def test_identities_are_summed_up_and_shown_one_by_one_on_demand(self):
        (summary,) = self.of_kind("identities")
        self.assertEqual((summary["count"], summary["days_left"]), (3, 99))
        single = self.of_kind("identity", "--all")
        self.assertEqual([row["device"] for row in single], ["UDID-0", "UDID-1", "UDID-2"])

    def test_what_is_superseded_and_unused_is_shown_on_demand_only(self):
        self.assertEqual(len(self.of_kind("push")), 1)
        states = [row["state"] for row in self.of_kind("push", "--all")]
        self.assertEqual(sorted(states), ["INVALID: RETIRED", "VALID: 364 days"])

    def test_the_most_pressing_comes_first_and_says_what_to_do(self):
        later = 350 * DAY
        first = self.report(clock=later)
        self.assertEqual([row["kind"] for row in first][:2], ["identities", "push"])
        self.assertEqual([row["urgency"] for row in first][:2], ["expired", "urgent"])
        self.assertIn("identity.apple.com", first[1]["next_step"])
        self.assertIn("2 certificates need attention", self.bench.checked("certs", clock=later))

    def test_attention_grows_with_the_fraction_of_life_that_is_gone(self):
        urgencies = [self.of_kind("push", clock=days * DAY)[0]["urgency"] for days in (0, 290, 310, 340, 366)]
        self.assertEqual(urgencies, ["good", "good", "attention", "urgent", "expired"])

    def test_the_private_ca_of_https_is_listed_with_its_file(self):
        path = self.bench.folder / "https-ca.pem"
        path.write_bytes(pki.make_ca("Example HTTPS CA").cert_pem())
        self.bench.configure(https_ca_file=path)
        self.addCleanup(self.bench.configure)
        (row,) = self.of_kind("https-ca")
        self.assertEqual((row["file"], row["used_by"], row["title"]), (str(path), 3, "HTTPS CA Example HTTPS CA"))


if __name__ == "__main__":
    unittest.main()
