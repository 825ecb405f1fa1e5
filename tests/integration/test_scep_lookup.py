"""CertPoll, GetCert, GetCRL and GetNextCACert: who gets which certificate, and that nobody learns more."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from der import integer, seq  # noqa: E402
from scep_bench import ScepBench  # noqa: E402
from scep_client import Client, Message, common_name, csr, envelop, issued, pool_key  # noqa: E402
from scep_identities import enrolled, last_line, post, renew  # noqa: E402

BAD_REQUEST, BAD_CERT_ID = "2", "4"


def names(issuer, subject):
    return seq(issuer.public_bytes(), subject.public_bytes())


def serial(certificate):
    return seq(certificate.issuer.public_bytes(), integer(certificate.serial_number))


class Lookups(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench({"scep-renewal": "yes"})
        cls.addClassCleanup(cls.bench.close)
        cls.ra, cls.ca = cls.bench.ra_and_ca()

    def ask(self, kind, content, key, **knobs):
        return post(self.bench, Client(self.ra).message(content, key, message_type=kind, **knobs))

    def given(self, kind, content, key, **knobs):
        reply = self.ask(kind, content, key, **knobs)
        self.assertEqual((reply.message_type, reply.status), ("3", "0"), last_line(self.bench))
        return issued(reply, key)

    def refused(self, kind, content, key, fail_info=BAD_CERT_ID, **knobs):
        reply = self.ask(kind, content, key, **knobs)
        self.assertEqual((reply.status, reply.fail_info), ("2", fail_info), last_line(self.bench))
        return reply


class Polls(Lookups):
    def enrol(self, key, transaction):
        ticket = self.bench.ticket()
        reply = post(self.bench, Client(self.ra).message(csr(key, ticket.challenge), key, transaction_id=transaction))
        self.assertEqual(reply.status, "0")
        return ticket, issued(reply, key)

    def test_who_lost_the_reply_gets_the_certificate_by_the_names_of_its_request(self):
        key = pool_key(0)
        _, certificate = self.enrol(key, "poll-1")
        content = names(self.ca.subject, common_name("device"))
        self.assertEqual(self.given("20", content, key, transaction_id="poll-1"), certificate)
        by_its_own_name = names(self.ca.subject, certificate.subject)
        self.assertEqual(self.given("20", by_its_own_name, key, transaction_id="poll-1"), certificate)

    def test_another_key_transaction_or_name_gets_nothing(self):
        key = pool_key(0)
        self.enrol(key, "poll-2")
        good = names(self.ca.subject, common_name("device"))
        self.refused("20", good, pool_key(1), transaction_id="poll-2")
        self.refused("20", good, key, transaction_id="poll-3")
        self.refused("20", names(self.ca.subject, common_name("other")), key, transaction_id="poll-2")
        self.refused("20", names(common_name("Other CA"), common_name("device")), key, transaction_id="poll-2")
        self.given("20", good, key, transaction_id="poll-2")

    def test_a_revoked_certificate_is_not_given_again_and_nothing_is_ever_pending(self):
        key, content = pool_key(0), names(self.ca.subject, common_name("device"))
        ticket, _ = self.enrol(key, "poll-4")
        self.bench.sql(f"UPDATE certificates SET status = 'revoked' WHERE ticket_id = {ticket.id}")
        self.refused("20", content, key, transaction_id="poll-4")

    def test_a_renewal_is_polled_for_with_the_older_identity(self):
        device = enrolled(self.bench)
        certificate = issued(renew(self.bench, device, pool_key(1), transaction_id="poll-5"), device.key)
        content = names(self.ca.subject, common_name("device"))
        knobs = {"transaction_id": "poll-5", "certificate": device.certificate}
        self.assertEqual(self.given("20", content, device.key, **knobs), certificate)
        self.refused("20", content, pool_key(2), transaction_id="poll-5")


class GetCert(Lookups):
    def test_the_holder_of_an_identity_gets_its_own_certificates_and_the_cas(self):
        device = enrolled(self.bench, pool_key(2))
        renewed = issued(renew(self.bench, device, pool_key(3)), device.key)
        for wanted in (device.certificate, renewed, self.ca, self.ra):
            with self.subTest(wanted.subject.rfc4514_string()):
                self.assertEqual(self.given("21", serial(wanted), device.key, certificate=device.certificate), wanted)
        with self.subTest("signed with a temporary certificate of the same key"):
            self.assertEqual(self.given("21", serial(device.certificate), device.key), device.certificate)

    def test_a_stranger_learns_nothing_about_which_certificates_there_are(self):
        device, stranger = enrolled(self.bench, pool_key(2)), pool_key(4)
        foreign = pki.issue(pki.make_ca("Foreign", kind="rsa"), "x", kind="rsa").certificate
        answers = [self.refused("21", serial(wanted), stranger, transaction_id="T").without_chance()
                   for wanted in (device.certificate, self.ca, self.ra, foreign)]
        self.assertEqual(answers, answers[:1] * 4)
        other = enrolled(self.bench, pool_key(5))
        self.refused("21", serial(device.certificate), other.key, certificate=other.certificate)

    def test_a_revoked_identity_gets_nothing_even_where_its_key_has_another(self):
        device = enrolled(self.bench, pool_key(6))
        self.bench.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {device.row}")
        for wanted in (device.certificate, self.ca):
            self.refused("21", serial(wanted), device.key, certificate=device.certificate)
            self.refused("21", serial(wanted), device.key)
        other = enrolled(self.bench, pool_key(6))
        for wanted in (other.certificate, self.ca):
            self.refused("21", serial(wanted), device.key, certificate=device.certificate)
        self.given("21", serial(self.ca), device.key, certificate=other.certificate)

    def test_the_issuer_must_fit_the_serial_number(self):
        device = enrolled(self.bench, pool_key(2))
        wrong = seq(common_name("Other CA").public_bytes(), integer(device.certificate.serial_number))
        self.refused("21", wrong, device.key, certificate=device.certificate)


class OneAnswer(Lookups):
    def test_a_changed_copy_of_anothers_envelope_is_answered_as_one_that_could_be_read(self):
        device = enrolled(self.bench, pool_key(7))
        unknown = {"20": names(self.ca.subject, common_name("nobody")), "21": seq(self.ca.subject.public_bytes(), integer(1))}
        foreign = pki.issue(pki.make_ca("Foreign", kind="rsa"), "RA", kind="rsa").certificate
        for kind, content in unknown.items():
            contents = {"readable": envelop(content, self.ra), "garbled RSA block": envelop(content, self.ra, garble="rsa"),
                        "garbled last block": envelop(content, self.ra, garble="last"), "junk": envelop(b"junk", self.ra),
                        "a request": envelop(csr(device.key, device.ticket.challenge), self.ra),
                        "bytes behind": envelop(content + b"\0", self.ra), "encrypted to another": envelop(content, foreign)}
            answers = {}
            for case, enveloped in contents.items():
                with self.subTest(case, type=kind):
                    message = Message(enveloped, device.key, message_type=kind, transaction_id="T", certificate=device.certificate)
                    reply = post(self.bench, message.encode())
                    self.assertEqual((reply.status, reply.fail_info, reply.content), ("2", BAD_CERT_ID, b""))
                    answers[case] = reply.without_chance()
            self.assertEqual({case: answer == answers["readable"] for case, answer in answers.items()}, dict.fromkeys(contents, True))


class NotOffered(Lookups):
    def test_there_are_no_crls_yet_and_the_log_says_so(self):
        self.refused("22", serial(self.ca), pool_key(0), BAD_REQUEST)
        self.assertIn('reason="GetCRL: this CA makes no CRLs"', last_line(self.bench))

    def test_there_is_no_next_ca_and_none_is_offered(self):
        self.assertEqual(self.bench.get("operation=GetNextCACert").status, 400)
        self.assertIn("there is no next CA", last_line(self.bench))
        self.assertNotIn(b"GetNextCACert", self.bench.get("operation=GetCACaps").body)


if __name__ == "__main__":
    unittest.main()
