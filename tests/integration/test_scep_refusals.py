"""SCEP against the real program: who is refused, in which way, and that a refusal costs and tells nothing."""
import sys
import unittest
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import der  # noqa: E402
import pki  # noqa: E402
from scep_bench import ScepBench  # noqa: E402
from scep_client import Client, Message, csr, envelop, issued, make_key, pool_key, raw_csr, read_reply, self_signed  # noqa: E402

BAD_ALG, BAD_MESSAGE_CHECK, BAD_REQUEST = "0", "1", "2"


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench()
        cls.addClassCleanup(cls.bench.close)
        cls.ra, cls.ca = cls.bench.ra_and_ca()
        cls.client = Client(cls.ra)
        cls.key = pool_key(0)
        cls.weak = make_key(1024)

    def setUp(self):
        self.ticket = self.bench.ticket()

    def request(self, **options):
        return csr(self.key, self.ticket.challenge, **options)

    def post(self, message):
        answer = self.bench.post(message)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/x-pki-message"))
        return read_reply(answer.body)

    def refused(self, message, fail_info):
        reply = self.post(message)
        self.assertEqual((reply.message_type, reply.status, reply.fail_info), ("3", "2", fail_info))
        self.assertEqual(reply.content, b"")
        self.assertEqual(self.bench.certificates(self.ticket), [])
        self.assertEqual(self.bench.sql(f"SELECT attempts_left FROM tickets WHERE id = {self.ticket.id}").strip(), "3")
        return reply

    def last_line(self):
        return self.bench.log.read_text().splitlines()[-1]


class Challenges(Refusals):
    def test_a_challenge_that_no_ticket_has_is_refused(self):
        for challenge in ("WRONG", self.ticket.challenge.lower(), self.ticket.challenge + " ", self.ticket.challenge[:-1]):
            with self.subTest(challenge):
                self.refused(self.client.message(csr(self.key, challenge), self.key), BAD_REQUEST)
                self.assertIn('reason="no ticket has this challenge"', self.last_line())

    def test_no_challenge_and_an_empty_one_are_refused(self):
        for challenge in (None, ""):
            with self.subTest(challenge):
                self.refused(self.client.message(csr(self.key, challenge), self.key), BAD_REQUEST)

    def test_a_ticket_that_is_over_is_refused_with_its_reason_in_log_and_event(self):
        cases = {"expires_at = '2026-01-01 10:00:00'": "the ticket expired 2026-01-01T10:00:00Z",
                 "state = 'revoked'": "the ticket was revoked", "state = 'closed'": "the ticket is spent",
                 "identity = 'pkcs12'": "PKCS#12", "uses = 5": "several devices"}
        for change, reason in cases.items():
            with self.subTest(change):
                self.ticket = self.bench.ticket()
                self.bench.sql(f"UPDATE tickets SET {change} WHERE id = {self.ticket.id}")
                self.refused(self.client.message(self.request(), self.key), BAD_REQUEST)
                self.assertIn(reason, self.last_line())
                ((what, detail),) = self.bench.events(self.ticket)
                self.assertEqual(what, "certificate.refused")
                self.assertIn(reason, detail)

    def test_two_challenges_or_one_of_no_text_type_are_not_read(self):
        name, good = der.oid("1.2.840.113549.1.9.7"), der.utf8(self.ticket.challenge)
        cases = {"two values": [der.seq(name, der.tlv(0x31, good + good))],
                 "two attributes": [der.seq(name, der.set_of(good))] * 2,
                 "octets": [der.seq(name, der.set_of(der.octets(self.ticket.challenge.encode())))]}
        for case, attributes in cases.items():
            with self.subTest(case):
                self.refused(self.client.message(raw_csr(self.key, attributes), self.key), BAD_MESSAGE_CHECK)

    def test_no_challenge_stands_in_the_log_or_the_database(self):
        self.post(self.client.message(self.request(), self.key))
        self.assertNotIn(self.ticket.challenge, self.bench.log.read_text())
        dump = self.bench.sql("SELECT HEX(CONCAT_WS(' ', t.challenge_sha256, e.detail, c.tbs, c.der)) FROM tickets t JOIN events e "
                              f"ON e.ticket_id = t.id JOIN certificates c ON c.ticket_id = t.id WHERE t.id = {self.ticket.id}")
        self.assertGreater(len(dump), 1000)
        self.assertNotIn(self.ticket.challenge.encode().hex().upper(), dump)


class Requests(Refusals):
    def test_whatever_a_request_asks_for_it_gets_the_servers_template(self):
        usage = pki.key_usage(key_cert_sign=True, crl_sign=True)
        names = x509.SubjectAlternativeName([x509.DNSName("www.example.org"), x509.RFC822Name("root@example.org"),
                                             x509.UniformResourceIdentifier("urn:pomona:0D6A7D3E-0000-0000-0000-000000000000:1")])
        server_auth = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
        cases = {"a CA": [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)], "names": [(names, False)],
                 "a server": [(server_auth, True)], "nothing": []}
        plain = None
        for case, extensions in cases.items():
            with self.subTest(case):
                ticket = self.bench.ticket(uuid=f"00000000-0000-0000-0000-{len(case):012}")
                request = csr(self.key, ticket.challenge, subject="Root CA of the World", extensions=extensions)
                certificate = issued(self.post(self.client.message(request, self.key)), self.key)
                self.assertEqual(certificate.subject.rfc4514_string(), f"CN={ticket.uuid},O=Example Org")
                kinds = [(extension.oid, extension.critical) for extension in certificate.extensions]
                plain = plain or kinds
                self.assertEqual(kinds, plain)
                self.assertFalse(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
                uris = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                self.assertEqual([name.value for name in uris], [f"urn:pomona:{ticket.uuid}:0"])

    def test_weak_requests_are_refused(self):
        for name, digest in (("MD5", hashes.MD5()), ("SHA-1", hashes.SHA1())):
            with self.subTest(name):
                self.refused(self.client.message(self.request(digest=digest), self.key), BAD_ALG)
        with self.subTest("RSA-1024 in the request, another key around it"):
            self.refused(self.client.message(csr(self.weak, self.ticket.challenge), self.key), BAD_ALG)
        with self.subTest("RSA-1024 in both"):
            self.refused(self.client.message(csr(self.weak, self.ticket.challenge), self.weak), BAD_ALG)

    def test_weak_messages_are_refused(self):
        for digest in ("md5", "sha1"):
            with self.subTest(digest):
                reply = self.refused(self.client.message(self.request(), self.key, digest=digest), BAD_ALG)
                self.assertEqual(reply.digest, "sha256")
        with self.subTest("3DES"):
            self.refused(self.client.message(self.request(), self.key, cipher="des3"), BAD_ALG)

    def test_a_request_signed_around_by_another_key_is_refused(self):
        self.refused(self.client.message(self.request(), pool_key(1)), BAD_REQUEST)

    def test_message_types_that_are_not_implemented_are_refused_with_a_signed_answer(self):
        for kind in ("22", "3", "18", "99", "x"):
            with self.subTest(kind):
                self.refused(self.client.message(self.request(), self.key, message_type=kind), BAD_REQUEST)
        with self.subTest("none"):
            self.refused(self.client.message(self.request(), self.key, message_type=None), BAD_REQUEST)

    def test_a_nonce_of_another_length_is_refused_and_echoed(self):
        for nonce in (b"short", b"x" * 17):
            with self.subTest(nonce):
                reply = self.refused(self.client.message(self.request(), self.key, nonce=nonce), BAD_REQUEST)
                self.assertEqual(reply.recipient_nonce, nonce)

    def test_a_broken_outer_signature_is_refused_before_anything_is_decrypted(self):
        self.refused(self.client.message(self.request(), self.key, break_signature=True), BAD_MESSAGE_CHECK)
        self.assertIn("outer signature", self.last_line())

    def test_a_message_with_the_signers_certificate_missing_is_refused(self):
        message = self.client.message(self.request(), self.key, certificate=self_signed(self.key))
        other = self_signed(self.key)
        swapped = Message(envelop(self.request(), self.ra), self.key, certificate=other)
        swapped.signer_info = lambda _, info=swapped.signer_info: info(self_signed(self.key))
        self.refused(swapped.encode(), BAD_MESSAGE_CHECK)
        self.assertEqual(self.post(message).status, "0")


class OneAnswerForAll(Refusals):
    def test_what_cannot_be_decrypted_or_read_gets_one_and_the_same_answer(self):
        foreign = pki.issue(pki.make_ca("Foreign", kind="rsa"), "RA", kind="rsa").certificate
        good = self.request()
        broken = bytearray(good)
        broken[-5] ^= 1
        contents = {
            "encrypted to another": envelop(good, foreign),
            "garbled RSA block": envelop(good, self.ra, garble="rsa"),
            "garbled last block": envelop(good, self.ra, garble="last"),
            "no request inside": envelop(b"junk", self.ra),
            "nothing inside": envelop(b"", self.ra),
            "bytes behind the request": envelop(good + b"\0", self.ra),
            "the request's signature broken": envelop(bytes(broken), self.ra),
            "no envelope": b"junk",
            "bytes behind the envelope": envelop(good, self.ra) + b"\0",
            "an envelope cut short": envelop(good, self.ra)[:-1],
        }
        answers = {}
        for case, content in contents.items():
            with self.subTest(case):
                answers[case] = self.refused(Message(content, self.key, transaction_id="T").encode(), BAD_MESSAGE_CHECK)
        first = answers["garbled last block"].without_chance()
        digest_attribute = "1.2.840.113549.1.9.4"
        self.assertIn(digest_attribute, first[0])
        self.assertEqual({case: reply.without_chance() == first for case, reply in answers.items()},
                         dict.fromkeys(contents, True))

    def test_the_answers_have_the_same_length_on_the_wire(self):
        lengths = set()
        for garble in ("rsa", "last"):
            message = self.client.message(self.request(), self.key, garble=garble, transaction_id="T")
            lengths.add(len(self.bench.post(message).body))
        self.assertEqual(len(lengths), 1)


class NoSignedAnswer(Refusals):
    def bad_request(self, message):
        answer = self.bench.post(message)
        self.assertEqual((answer.status, answer.body), (400, b"Bad Request\n"[:len(answer.body)]))
        self.assertEqual(self.bench.certificates(self.ticket), [])

    def test_what_is_no_message_is_a_bad_request(self):
        good = self.client.message(self.request(), self.key)
        message = Message(envelop(self.request(), self.ra), self.key)
        cases = {"empty": b"", "junk": b"junk", "cut short": good[:-1], "bytes behind it": good + b"\0",
                 "an envelope alone": envelop(self.request(), self.ra), "a request alone": self.request(),
                 "no signer": Message(message.content, self.key, signers=0).encode(),
                 "two signers": Message(message.content, self.key, signers=2).encode(),
                 "no transactionID": Message(message.content, self.key, transaction_id="").encode(),
                 "no nonce": Message(message.content, self.key, nonce=b"").encode(),
                 "a transactionID that is no PrintableString": Message(message.content, self.key, transaction_id="a@b").encode(),
                 "a control character in it": Message(message.content, self.key, transaction_id="a\nb=c").encode(),
                 "256 bytes of it": Message(message.content, self.key, transaction_id="x" * 256).encode(),
                 "four certificates": Message(message.content, self.key,
                                              extra_certificates=[self_signed(self.key) for _ in range(3)]).encode()}
        for case, body in cases.items():
            with self.subTest(case):
                self.bad_request(body)
        self.assertEqual(self.post(good).status, "0")

    def test_an_envelope_for_more_than_four_recipients_is_not_opened(self):
        self.refused(Message(envelop(self.request(), self.ra, recipients=5), self.key).encode(), BAD_MESSAGE_CHECK)
        reply = self.post(Message(envelop(self.request(), self.ra, recipients=4), self.key).encode())
        self.assertEqual(reply.status, "0")

    def test_255_bytes_of_transaction_id_are_echoed(self):
        reply = self.post(self.client.message(self.request(), self.key, transaction_id="x" * 255))
        self.assertEqual((reply.status, reply.transaction_id), ("0", "x" * 255))

    def test_requests_that_are_no_scep_are_bad_requests(self):
        for query in ("", "operation=GetWeather", "operation=", "message=x", "operation=PKIOperation",
                      "operation=PKIOperation&message=%", "operation=PKIOperation&message=%zz", "operation=PKIOperation&message=-_-_",
                      "operation=getcacaps", "operation=GetNextCACert"):
            with self.subTest(query):
                self.assertEqual(self.bench.get(query).status, 400)
        self.assertEqual(self.bench.fcgi("PUT", "/scep?operation=PKIOperation", b"x").status, 400)
        self.assertEqual(self.bench.fcgi("POST", "/scep?operation=GetCACert", b"x").status, 400)

    def test_a_head_request_issues_nothing(self):
        message = self.client.message(self.request(), self.key).hex()
        self.assertEqual(self.bench.fcgi("HEAD", f"/scep?operation=PKIOperation&message={message}", b"").status, 400)
        self.assertEqual(self.bench.fcgi("HEAD", "/scep?operation=GetCACert", b"").status, 200)

    def test_too_large_a_message_is_refused_by_the_program_too(self):
        self.assertEqual(self.bench.post(b"0" * (64 * 1024 + 1)).status, 413)

    def test_every_request_is_one_line_that_no_sender_can_forge(self):
        before = len(self.bench.log.read_text().splitlines())
        self.post(self.client.message(self.request(), self.key, transaction_id="a outcome=issued status=200"))
        self.bench.post(b"junk")
        lines = self.bench.log.read_text().splitlines()[before:]
        self.assertEqual(len(lines), 2, lines)
        self.assertIn('transaction="a outcome=issued status=200" type=19 outcome=issued', lines[0])
        self.assertRegex(lines[0], r"serial=[0-9a-f]{32} sha256=[0-9a-f]{64} status=200")
        self.assertIn("status=400", lines[1])


if __name__ == "__main__":
    unittest.main()
