"""pomona-enroll: profiles by ticket and openly, the same bytes each time, and refusals that tell nothing."""
import concurrent.futures
import hashlib
import hmac
import base64
import plistlib
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import apple_schema  # noqa: E402
import pki  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402

PROFILE = "application/x-apple-aspen-config"
DAY = 86400


def der(identity):
    return identity.certificate.public_bytes(serialization.Encoding.DER)


def challenge_of(secret):
    code = hmac.new(secret.encode(), b"pomona scep 1", hashlib.sha256).digest()
    return base64.b32encode(code).decode().rstrip("=")


def payload(profile, kind):
    found = [p for p in profile["PayloadContent"] if p["PayloadType"] == kind]
    assert len(found) == 1, f"{len(found)} payloads of type {kind}"
    return found[0]


class EnrollTest(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        cls.ca, cls.https_ca = pki.make_ca("Device CA"), pki.make_ca("Example HTTPS CA")
        cls.bench.put_certificate("ca", cls.ca, name="devices")
        cls.bench.put_certificate("push", pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True), topic=TOPIC)
        (cls.bench.folder / "https-ca.pem").write_bytes(cls.https_ca.cert_pem())
        cls.bench.configure(https_ca_file=cls.bench.folder / "https-ca.pem", **cls.settings)
        cls.handler = cls.bench.handler("pomona-enroll")
        cls.addClassCleanup(cls.handler.stop)

    def ticket(self, *arguments):
        return self.bench.json("ticket", "new", *arguments)

    def path(self, ticket):
        return ticket["url"].removeprefix("https://mdm.example.org")

    def get(self, path, method="GET", status=200, **params):
        answer = self.handler.request(method, path, **params)
        self.assertEqual(answer.status, status, answer.raw[:300])
        return answer

    def profile(self, path, **options):
        return plistlib.loads(self.get(path, **options).body)


class ByTicket(EnrollTest):
    def test_a_ticket_gives_a_profile_with_what_a_device_needs(self):
        ticket = self.ticket()
        answer = self.get(self.path(ticket))
        self.assertEqual(answer.headers["content-type"], PROFILE)
        self.assertRegex(answer.headers["content-disposition"], r'filename="[a-z]+\.mobileconfig"')
        self.assertEqual(answer.headers["cache-control"], "no-store")
        profile = plistlib.loads(answer.body)
        self.assertEqual((profile["PayloadType"], profile["PayloadVersion"]), ("Configuration", 1))
        self.assertEqual(profile["PayloadIdentifier"], "org.example.mdm.enrollment")
        self.assertNotIn("PayloadScope", profile)
        scep, mdm = payload(profile, "com.apple.security.scep"), payload(profile, "com.apple.mdm")
        self.assertEqual(mdm["IdentityCertificateUUID"], scep["PayloadUUID"])
        self.assertEqual((mdm["Topic"], mdm["ServerURL"], mdm["CheckInURL"]),
                         (TOPIC, "https://mdm.example.org/mdm", "https://mdm.example.org/mdm"))
        self.assertEqual((mdm["AccessRights"], mdm["SignMessage"], mdm["CheckOutWhenRemoved"]), (8191, False, True))
        self.assertEqual(mdm["ServerCapabilities"], ["com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"])
        content = scep["PayloadContent"]
        self.assertEqual((content["URL"], content["Name"], content["Challenge"]),
                         ("https://mdm.example.org/scep", "devices", ticket["challenge"]))
        self.assertEqual((content["Keysize"], content["Key Type"], content["Key Usage"]), (2048, "RSA", 5))
        self.assertEqual(content["CAFingerprint"], hashlib.sha256(der(self.ca)).digest())
        self.assertIs(content["KeyIsExtractable"], False)
        self.assertNotIn("AllowAllAppsAccess", content)
        self.assertEqual(content["Subject"], [[["O", "Example Org"]], [["CN", scep["PayloadUUID"]]]])

    def test_the_private_ca_of_https_comes_before_what_needs_it(self):
        profile = self.profile(self.path(self.ticket()))
        self.assertEqual([p["PayloadType"] for p in profile["PayloadContent"]],
                         ["com.apple.security.root", "com.apple.security.scep", "com.apple.mdm"])
        self.assertEqual(profile["PayloadContent"][0]["PayloadContent"], der(self.https_ca))

    def test_the_challenge_is_derived_from_the_url_and_only_hashes_are_stored(self):
        ticket = self.ticket()
        secret = ticket["url"].rpartition("/")[2]
        self.assertEqual(ticket["challenge"], challenge_of(secret))
        self.get(self.path(ticket))
        dump = self.bench.dump()
        self.assertIn(hashlib.sha256(secret.encode()).hexdigest().upper(), dump)
        self.assertNotIn(secret, dump)
        self.assertNotIn(ticket["challenge"], dump)

    def test_every_download_gives_the_same_bytes_and_uses_nothing_up(self):
        path = self.path(self.ticket())
        first = self.get(path).body
        self.assertEqual(self.get(path, "HEAD").headers["content-type"], PROFILE)
        self.assertEqual(self.get(path, "POST").body, first)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual({a.body for a in pool.map(lambda _: self.get(path), range(16))}, {first})

    def test_first_downloads_at_once_settle_on_one_profile(self):
        ticket = self.ticket()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            bodies = {a.body for a in pool.map(lambda _: self.get(self.path(ticket)), range(16))}
        self.assertEqual(len(bodies), 1)
        self.assertEqual(self.bench.sql(f"SELECT COUNT(*) FROM profiles WHERE ticket_id = {ticket['number']}").strip(), "1")

    def test_all_identifiers_within_a_profile_differ(self):
        profile = self.profile(self.path(self.ticket()))
        everything = [profile, *profile["PayloadContent"]]
        for key in ("PayloadUUID", "PayloadIdentifier"):
            self.assertEqual(len({p[key] for p in everything}), len(everything))

    def test_profiles_of_two_tickets_replace_each_other_on_a_device(self):
        one, two = (self.profile(self.path(self.ticket())) for _ in range(2))
        self.assertEqual(one["PayloadIdentifier"], two["PayloadIdentifier"])
        for kind in ("com.apple.security.root", "com.apple.security.scep", "com.apple.mdm"):
            self.assertEqual(payload(one, kind)["PayloadIdentifier"], payload(two, kind)["PayloadIdentifier"])
        self.assertNotEqual(one["PayloadUUID"], two["PayloadUUID"])

    def test_a_signature_ticket_asks_the_device_to_sign(self):
        self.assertIs(payload(self.profile(self.path(self.ticket("--auth", "signature"))), "com.apple.mdm")["SignMessage"], True)

    def test_a_typed_url_may_be_in_lower_case(self):
        path = self.path(self.ticket())
        self.assertEqual(self.get(path.lower()).body, self.get(path).body)

    def test_each_download_of_a_ticket_for_several_devices_has_its_own_challenge(self):
        ticket = self.ticket("--uses", 3)
        self.assertIsNone(ticket["challenge"])
        self.get(self.path(ticket), "HEAD")
        challenges = {payload(self.profile(self.path(ticket)), "com.apple.security.scep")["PayloadContent"]["Challenge"]
                      for _ in range(3)}
        self.assertEqual(len(challenges), 3)
        self.assertNotIn(challenge_of(ticket["url"].rpartition("/")[2]), challenges)
        self.assertEqual(self.get(self.path(ticket), status=410).body.strip(), b"Gone")
        self.get(self.path(ticket), "HEAD", status=410)

    def test_parallel_downloads_never_mint_more_children_than_the_ticket_has_places(self):
        ticket = self.ticket("--uses", 5)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: self.handler.request("GET", self.path(ticket)).status, range(12)))
        self.assertEqual(sorted(answers), [200] * 5 + [410] * 7)
        self.assertEqual(self.bench.sql(f"SELECT COUNT(*) FROM tickets WHERE parent_id = {ticket['number']}").strip(), "5")

    def test_what_was_given_is_kept_when_the_configuration_changes(self):
        ticket = self.ticket()
        before = self.get(self.path(ticket)).body
        self.bench.configure(server_url="https://new.example.org", scep_url="https://mdm.example.org/scep",
                             https_ca_file=self.bench.folder / "https-ca.pem")
        try:
            with self.bench.handler("pomona-enroll") as other:
                after = other.request("GET", self.path(ticket)).body
        finally:
            self.bench.configure(https_ca_file=self.bench.folder / "https-ca.pem")
        self.assertEqual(before, after)


class Refusals(EnrollTest):
    def test_a_revoked_ticket_and_its_children_are_gone(self):
        ticket = self.ticket("--uses", 2)
        self.get(self.path(ticket))
        self.bench.checked("ticket", "revoke", ticket["number"])
        self.assertEqual(self.get(self.path(ticket), status=410).body.strip(), b"Gone")
        states = self.bench.sql(f"SELECT state FROM tickets WHERE parent_id = {ticket['number']}").split()
        self.assertEqual(states, ["revoked"])

    def test_an_expired_ticket_is_gone(self):
        ticket = self.ticket("--expires", "1h")
        self.bench.sql(f"UPDATE tickets SET expires_at = UTC_TIMESTAMP() - INTERVAL 1 SECOND WHERE id = {ticket['number']}")
        self.get(self.path(ticket), status=410)
        self.assertRegex(self.handler.log(), rf"ticket={ticket['number']} reason=expired .*status=410")

    def test_a_ticket_whose_device_has_enrolled_is_gone(self):
        ticket = self.ticket()
        self.bench.sql(f"UPDATE tickets SET state = 'closed' WHERE id = {ticket['number']}")
        self.get(self.path(ticket), status=410)

    def test_unknown_and_malformed_tickets_are_not_found(self):
        for tail in ("A" * 32, "A" * 31, "A" * 33, "a/b", "%00", "..%2f", "0" * 32, "A" * 5000):
            with self.subTest(tail[:40]):
                self.assertEqual(self.get(f"/enroll/{tail}", status=404).body.strip(), b"Not Found")

    def test_without_a_ticket_nothing_is_given(self):
        for path in ("/enroll", "/enroll/"):
            self.get(path, status=404)
            self.get(path, "HEAD", status=404)

    def test_a_request_that_does_not_come_from_nginx_is_refused(self):
        path = self.path(self.ticket())
        for gate in ("wrong", None):
            self.get(path, status=403, POMONA_GATE=gate)

    def test_other_methods_and_paths_are_refused(self):
        self.assertEqual(self.get(self.path(self.ticket()), "PUT", status=405).headers["allow"], "GET, HEAD, POST")
        self.get("/enrollment", status=404)
        self.get("/", status=404)
        self.get("/trust", "POST", status=405)

    def test_no_secret_stands_in_the_log(self):
        ticket = self.ticket()
        self.get(self.path(ticket))
        self.get(f"/enroll/{'B' * 32}", status=404)
        log = self.handler.log()
        self.assertIn(f"ticket={ticket['number']}", log)
        for secret in (ticket["url"].rpartition("/")[2], ticket["challenge"], "B" * 32, self.bench.gate()):
            self.assertNotIn(secret, log)

    def test_while_the_database_is_away_the_answer_is_503_and_then_all_is_well(self):
        path = self.path(self.ticket())
        self.get(path)
        self.bench.db.stop()
        try:
            self.get(path, status=503)
        finally:
            self.bench.db.start()
        self.get(path)

    def test_sigterm_ends_it_with_exit_code_0(self):
        with self.bench.handler("pomona-enroll") as other:
            self.assertEqual(other.stop(), 0)


class Open(EnrollTest):
    settings = {"open_enrollment": "yes", "open_enrollment_auth": "signature"}

    def test_each_download_is_another_short_lived_ticket_of_the_configured_kind(self):
        one, two = (self.profile("/enroll") for _ in range(2))
        for profile in (one, two):
            self.assertIs(payload(profile, "com.apple.mdm")["SignMessage"], True)
        scep = [payload(p, "com.apple.security.scep")["PayloadContent"]["Challenge"] for p in (one, two)]
        self.assertNotEqual(*scep)
        rows = self.bench.sql("SELECT purpose, auth, secret_sha256, TIMESTAMPDIFF(MINUTE, created_at, expires_at) "
                              "FROM tickets WHERE parent_id IS NULL AND purpose = 'open'").splitlines()
        self.assertEqual({row for row in rows}, {"open\tsignature\tNULL\t60"})

    def test_head_makes_no_ticket(self):
        before = self.bench.sql("SELECT COUNT(*) FROM tickets")
        self.assertEqual(self.get("/enroll", "HEAD").headers["content-type"], PROFILE)
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM tickets"), before)

    def test_without_a_usable_push_certificate_the_answer_is_503_and_the_log_says_what_to_do(self):
        self.bench.sql("UPDATE certificates SET status = 'retired' WHERE kind = 'push'")
        self.addCleanup(self.bench.sql, "UPDATE certificates SET status = 'active' WHERE kind = 'push'")
        self.get("/enroll", status=503)
        self.assertIn("pomona push-cert import", self.handler.log())


class PublicDocuments(EnrollTest):
    def test_the_trust_profile_holds_the_certificates_and_nothing_else(self):
        answer = self.get("/trust")
        self.assertEqual(answer.headers["content-type"], PROFILE)
        profile = plistlib.loads(answer.body)
        self.assertEqual(profile["PayloadIdentifier"], "org.example.mdm.trust")
        self.assertEqual([(p["PayloadType"], p["PayloadContent"]) for p in profile["PayloadContent"]],
                         [("com.apple.security.root", der(self.https_ca))])
        self.assertEqual(self.get("/trust").body, answer.body)

    def test_mdm_service_config_names_the_trust_profile(self):
        answer = self.get("/MDMServiceConfig")
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        self.assertEqual(answer.body, b'{"trust_profile_url":"https://mdm.example.org/trust"}')

    def test_with_a_public_certificate_there_is_no_trust_profile(self):
        self.bench.configure()
        self.addCleanup(self.bench.configure, https_ca_file=self.bench.folder / "https-ca.pem")
        with self.bench.handler("pomona-enroll") as other:
            self.assertEqual(other.request("GET", "/trust").status, 404)
            self.assertEqual(other.request("GET", "/MDMServiceConfig").body, b"{}")

    def test_profiles_obey_apples_schema(self):
        schema = apple_schema.find()
        if schema is None:
            self.skipTest("Apple's schema is not here; POMONA_APPLE_SCHEMA names its folder")
        for profile in (self.profile(self.path(self.ticket())), self.profile("/trust")):
            self.assertEqual(apple_schema.problems(schema, profile), [])


if __name__ == "__main__":
    unittest.main()
