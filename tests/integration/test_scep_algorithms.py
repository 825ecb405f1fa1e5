"""SCEP: which algorithms and keys are taken, which are refused, and what scep-allow-des changes."""
import re
import sys
import unittest
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import bad_keys  # noqa: E402
from scep_bench import ScepBench  # noqa: E402
from scep_client import Client, Message, cipher_of, csr, envelop, issued, pool_key, pss_csr, public_der, read_reply  # noqa: E402

BAD_ALG, BAD_MESSAGE_CHECK = "0", "1"


class Bench(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench(settings=cls.settings)
        cls.addClassCleanup(cls.bench.close)
        cls.ra, _ = cls.bench.ra_and_ca()
        cls.key = pool_key(0)

    def setUp(self):
        self.ticket = self.bench.ticket()

    def request(self, key=None, **options):
        return csr(key or self.key, self.ticket.challenge, **options)

    def message(self, request=None, cipher="aes256", transport="pkcs1", key=None, **knobs):
        request = request or self.request(key)
        return Message(envelop(request, self.ra, cipher, transport=transport), key or self.key, **knobs).encode()

    def post(self, message, tls=False):
        answer = self.bench.post(message, https=tls)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/x-pki-message"))
        return read_reply(answer.body)

    def refused(self, message, reason, fail_info=BAD_ALG, tls=False):
        reply = self.post(message, tls)
        self.assertEqual((reply.status, reply.fail_info, reply.content), ("2", fail_info, b""), self.last_line())
        self.assertIn(reason, self.last_line())
        self.assertEqual(self.bench.certificates(self.ticket), [])
        return reply

    def taken(self, message, tls=False, key=None):
        reply = self.post(message, tls)
        self.assertEqual(reply.status, "0", self.last_line())
        self.assertEqual(public_der(issued(reply, key or self.key)), public_der(key or self.key))
        return reply

    def last_line(self):
        return self.bench.log.read_text().splitlines()[-1]


class Keys(Bench):
    def test_a_key_that_can_be_factored_is_refused_in_request_and_signer(self):
        cases = {"primes are too close": bad_keys.close_primes(), "ROCA": bad_keys.roca(), "small prime factor": bad_keys.small_factor()}
        for reason, key in cases.items():
            with self.subTest(reason):
                self.refused(self.message(key=key), "signer: RSA key ")
                self.assertIn(reason, self.last_line())
                self.refused(self.message(self.request(key)), "certification request for RSA key ")
                self.assertIn(reason, self.last_line())

    def test_a_key_of_another_exponent_or_length_is_refused(self):
        cases = {"exponent other than 65537": bad_keys.of_bits(2048, exponent=3),
                 "1024 bits": bad_keys.of_bits(1024)}
        for reason, key in cases.items():
            with self.subTest(reason):
                self.refused(self.message(key=key), reason)
                self.refused(self.message(self.request(key)), reason)

    def test_an_elliptic_key_is_refused_because_nothing_can_be_encrypted_to_it(self):
        key = ec.generate_private_key(ec.SECP256R1())
        self.refused(self.message(self.request(key)), "a key of the kind p-256, not RSA")
        self.refused(self.message(key=key), "message signature ecdsa-with-SHA256")

    def test_keys_of_3072_bits_are_taken(self):
        key = bad_keys.of_bits(3072)
        self.taken(self.message(key=key), key=key)


class Algorithms(Bench):
    def test_pss_signatures_are_taken_and_their_mask_is_held_to_the_same_digest(self):
        for digest in ("sha256", "sha384", "sha512"):
            with self.subTest(digest):
                self.ticket = self.bench.ticket()
                reply = self.taken(self.message(pss_csr(self.key, self.ticket.challenge, digest), digest=digest, pss=digest))
                self.assertEqual(reply.digest, digest)
        self.ticket = self.bench.ticket()
        for mask in ("sha1", "sha224", "sha512"):
            with self.subTest(mask=mask):
                self.refused(self.message(pss=mask), "message signature RSASSA-PSS")
                self.refused(self.message(pss_csr(self.key, self.ticket.challenge, "sha256", mask)), "signed with RSASSA-PSS")
        with self.subTest("SHA-1"):
            self.refused(self.message(digest="sha1", pss="sha1"), "message digest SHA1")
            self.refused(self.message(pss_csr(self.key, self.ticket.challenge, "sha1")), "signed with RSASSA-PSS")

    def test_oaep_is_refused_with_the_reason_that_it_is_not_supported(self):
        self.refused(self.message(transport="oaep"), "key transport RSAES-OAEP")

    def test_sha_224_is_below_the_floor(self):
        self.refused(self.message(digest="sha224"), "message digest SHA224")
        self.refused(self.message(self.request(digest=hashes.SHA224())), "signed with RSA-SHA224")

    def test_without_the_switch_nothing_old_is_taken_or_offered_over_tls_either(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                for cipher, name in (("des", "DES-CBC"), ("des3", "DES-EDE3-CBC")):
                    self.refused(self.message(cipher=cipher), f"content encryption {name}", tls=tls)
                reply = self.refused(self.message(digest="sha1"), "message digest SHA1", tls=tls)
                self.assertEqual(reply.digest, "sha256")
                self.refused(self.message(self.request(digest=hashes.SHA1())), "signed with RSA-SHA1", tls=tls)
                self.assertEqual(self.capabilities(self.bench, tls) & {"DES3", "SHA-1"}, set())

    @staticmethod
    def capabilities(bench, tls):
        return set(bench.get("operation=GetCACaps", https=tls).body.decode().split())

    def test_weakness_of_a_request_is_told_only_when_its_own_signature_held(self):
        """Else whoever changes another's message learns from badAlg that it could be decrypted."""
        for digest in (hashes.SHA1(), hashes.SHA256()):
            key = bad_keys.of_bits(1024) if digest.name == "sha256" else self.key
            broken = bytearray(self.request(key, digest=digest))
            broken[-5] ^= 1
            with self.subTest(digest.name):
                self.refused(self.message(bytes(broken)), "own signature does not verify", BAD_MESSAGE_CHECK)


class OldOverTls(Bench):
    settings = {"scep-allow-des": "tls"}

    def test_des_3des_and_sha_1_are_taken_over_tls_and_each_use_is_logged(self):
        new, old = hashes.SHA256(), hashes.SHA1()
        cases = {("des", "sha256", new): "DES-CBC", ("des", "sha1", old): '"DES-CBC SHA1 SHA1-request"',
                 ("des3", "sha512", new): "DES-EDE3-CBC", ("aes128", "sha1", new): "SHA1", ("aes256", "sha256", old): "SHA1-request"}
        for (cipher, digest, signed_with), logged in cases.items():
            with self.subTest(cipher=cipher, digest=digest, request=signed_with.name):
                self.ticket = self.bench.ticket()
                request = self.request(digest=signed_with)
                reply = self.taken(self.message(request, cipher=cipher, digest=digest), tls=True)
                self.assertEqual((reply.digest, cipher_of(reply)), (digest, "aes128" if cipher == "des" else cipher))
                self.assertIn(f" old_algorithms={logged} ", self.last_line())
        self.ticket = self.bench.ticket()
        self.taken(self.message(), tls=True)
        self.assertNotIn("old_algorithms", self.last_line())

    def test_in_the_clear_they_are_refused(self):
        for knobs in ({"cipher": "des"}, {"cipher": "des3"}, {"digest": "sha1"}, {"request": self.request(digest=hashes.SHA1())}):
            with self.subTest(**{name: str(value)[:9] for name, value in knobs.items()}):
                self.refused(self.message(**knobs), "")

    def test_what_is_offered_is_what_is_taken(self):
        offered = {tls: Algorithms.capabilities(self.bench, tls) for tls in (False, True)}
        self.assertEqual(offered[True] - offered[False], {"DES3", "SHA-1"})

    def test_md5_and_small_keys_are_refused_with_the_switch_too(self):
        self.refused(self.message(digest="md5"), "message digest MD5", tls=True)
        self.refused(self.message(self.request(digest=hashes.MD5())), "signed with RSA-MD5", tls=True)
        self.refused(self.message(key=bad_keys.of_bits(1024), cipher="des"), "1024 bits", tls=True)

    def test_garbled_des_gets_the_answer_of_all_that_cannot_be_read(self):
        good = self.request()
        contents = [envelop(good, self.ra, cipher, garble) for cipher in ("des", "aes128") for garble in ("rsa", "last")]
        # One in 256 that are decrypted with a wrong key ends like a padding by chance and fails a step later: the log says so,
        # the answer may not.
        answers = [self.refused(Message(content, self.key, transaction_id="T").encode(), "outcome=refused", BAD_MESSAGE_CHECK, tls=True)
                   for content in contents]
        self.assertEqual([answer.without_chance() == answers[0].without_chance() for answer in answers], [True] * len(answers))


class OldAndMany(Bench):
    settings = {"scep-allow-des": "tls", "threads": 1}

    def memory(self):
        """Of the handler, in kB; with nothing kept back by the sanitizer."""
        status = Path(f"/proc/{self.bench.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])

    def test_memory_does_not_grow_with_the_number_of_des_messages(self):
        """OpenSSL keeps a copy of a key, some kB, for each context in which it is used."""
        self.bench.restart(ASAN_OPTIONS="quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
        message = Message(envelop(b"nothing", self.ra, "des"), self.key).encode()
        for _ in range(100):
            self.refused(message, "", BAD_MESSAGE_CHECK, tls=True)
        before = self.memory()
        for _ in range(600):
            self.bench.post(message, https=True)
        self.assertLess(self.memory() - before, 1500)


class OldEverywhere(Bench):
    settings = {"scep-allow-des": "yes"}

    def test_with_yes_they_are_taken_in_the_clear(self):
        self.taken(self.message(cipher="des", digest="sha1"))
        self.assertEqual(Algorithms.capabilities(self.bench, tls=False) & {"DES3", "SHA-1"}, {"DES3", "SHA-1"})


if __name__ == "__main__":
    unittest.main()
