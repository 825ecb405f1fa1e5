"""SCEP against the real program: who gets a certificate, what stands in it, and that one ticket gives one."""
import base64
import datetime
import plistlib
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import scep_client  # noqa: E402
from scep_bench import BIN, ScepBench  # noqa: E402
from scep_client import Client, cipher_of, csr, issued, openssl, pool_key, read_reply, self_signed  # noqa: E402

PARALLEL = 50


def serial_of(certificate):
    return f"{certificate.serial_number:032X}"


class Scep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench()
        cls.addClassCleanup(cls.bench.close)
        cls.ra, cls.ca = cls.bench.ra_and_ca()
        cls.client = Client(cls.ra)

    def enrol(self, ticket, key, **knobs):
        reply = self.client.ask(self.bench, key, ticket.challenge, **knobs)
        self.assertEqual(reply.status, "0", self.bench.log.read_text()[-500:])
        return issued(reply, key)

    def refused(self, ticket, key, reason):
        reply = self.client.ask(self.bench, key, ticket.challenge)
        self.assertEqual((reply.status, reply.fail_info), ("2", "2"))
        self.assertEqual(self.bench.events(ticket)[-1][0], "certificate.refused")
        self.assertIn(reason, self.bench.events(ticket)[-1][1])

    def in_force(self, ticket):
        return [row for row in self.bench.certificates(ticket) if row["status"] != "revoked"]


class Enrolling(Scep):
    def run_in(self, *words):
        return subprocess.run(words, cwd=self.bench.folder, capture_output=True, text=True)

    def test_strongswan_enrols_and_openssl_accepts_leaf_ra_and_ca_strictly(self):
        run = self.run_in("pki", "--scepca", "--url", self.bench.url, "--caout", "myca.crt", "--raout", "myra.crt",
                          "--outform", "pem", "--force")
        self.assertEqual(run.returncode, 0, run.stderr)
        key = pool_key(0)
        (self.bench.folder / "k1.pem").write_bytes(scep_client.key_pem(key))
        for options in ((), ("--digest", "sha512"), ("--cipher", "aes", "--digest", "sha384"), ("--rsa-padding", "pss")):
            with self.subTest(options):
                ticket = self.bench.ticket()
                run = self.run_in("pki", "--scep", "--url", self.bench.url, "--in", "k1.pem", "--dn", "O=Test, CN=dev1",
                                  "--san", "dev1.example.org", "--password", ticket.challenge, "--cacert-enc", "myra.crt",
                                  "--cacert-sig", "myca.crt", "--outform", "pem", *options)
                self.assertEqual(run.returncode, 0, run.stderr)
                (self.bench.folder / "dev1.pem").write_text(run.stdout)
                self.assertEqual(self.bench.certificates(ticket)[0]["status"], "issued")
        for name, purpose in (("dev1.pem", "sslclient"), ("myra.crt", "any"), ("myca.crt", "any")):
            run = self.run_in("openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "myca.crt", name)
            self.assertEqual(run.returncode, 0, run.stderr)

    def test_strongswan_shows_why_it_was_refused(self):
        (self.bench.folder / "k2.pem").write_bytes(scep_client.key_pem(pool_key(0)))
        for name, certificate in (("ra2.crt", self.ra), ("ca2.crt", self.ca)):
            (self.bench.folder / name).write_bytes(certificate.public_bytes(scep_client.serialization.Encoding.PEM))
        run = self.run_in("pki", "--scep", "--url", self.bench.url, "--in", "k2.pem", "--dn", "CN=x", "--password", "WRONG",
                          "--cacert-enc", "ra2.crt", "--cacert-sig", "ca2.crt")
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("badRequest", run.stderr)

    def test_a_device_that_streams_ber_in_small_pieces_as_apples_do_gets_its_identity(self):
        ticket, uuid = self.bench.ticket(), "11111111-1111-1111-1111-111111111111"
        common = {"PayloadVersion": 1, "PayloadIdentifier": "test", "PayloadUUID": uuid}
        scep = {"URL": self.bench.url, "Challenge": ticket.challenge, "Keysize": 2048, "Key Type": "RSA", "Key Usage": 5,
                "Subject": [[["CN", "whatever"]]], "CAFingerprint": self.ca.fingerprint(hashes.SHA256())}
        mdm = {"IdentityCertificateUUID": uuid, "Topic": "com.apple.mgmt.External.test", "AccessRights": 8191,
               "ServerURL": f"https://127.0.0.1:{self.bench.port}/mdm"}
        profile = self.bench.folder / "enroll.mobileconfig"
        profile.write_bytes(plistlib.dumps(common | {"PayloadType": "Configuration", "PayloadUUID": uuid[:-1] + "3", "PayloadContent": [
            common | {"PayloadType": "com.apple.security.scep", "PayloadContent": scep},
            common | {"PayloadType": "com.apple.mdm", "PayloadUUID": uuid[:-1] + "2"} | mdm]}))
        # It goes on to /mdm, where nobody listens: only its identity is of interest here.
        run = self.run_in(str(BIN / "pomona-device"), "enroll", "--url", str(profile), "--state", "device", "--scep-segment", "100")
        self.assertIn("identity issued by", run.stdout + run.stderr)
        self.assertEqual(self.bench.certificates(ticket)[0]["status"], "issued")

    def test_ca_and_ra_are_for_what_they_are_for(self):
        usage = {}
        for certificate in (self.ca, self.ra):
            extension = certificate.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE)
            self.assertTrue(extension.critical)
            names = ("digital_signature", "key_encipherment", "key_cert_sign", "crl_sign", "content_commitment",
                     "data_encipherment", "key_agreement")
            usage[certificate] = [name for name in names if getattr(extension.value, name)]
        self.assertEqual(usage[self.ca], ["key_cert_sign", "crl_sign"])
        self.assertEqual(usage[self.ra], ["digital_signature", "key_encipherment"])
        basic = [c.extensions.get_extension_for_class(x509.BasicConstraints).value for c in (self.ca, self.ra)]
        self.assertEqual([(b.ca, b.path_length) for b in basic], [(True, 0), (False, None)])
        self.assertNotEqual(self.ca.serial_number, self.ra.serial_number)
        years = [(c.not_valid_after - c.not_valid_before).days // 365 for c in (self.ca, self.ra)]
        self.assertEqual(years, [10, 2])

    def test_everything_in_the_certificate_but_the_key_is_the_servers(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        certificate = self.enrol(ticket, key)
        self.assertEqual(certificate.subject.rfc4514_string(), f"CN={ticket.uuid},O=Example Org")
        self.assertEqual(certificate.public_key().public_numbers(), key.public_key().public_numbers())
        extension = certificate.extensions.get_extension_for_class
        self.assertEqual(extension(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier),
                         [f"urn:pomona:{ticket.uuid}:0"])
        self.assertEqual(list(extension(x509.ExtendedKeyUsage).value), [ExtendedKeyUsageOID.CLIENT_AUTH])
        self.assertFalse(extension(x509.BasicConstraints).value.ca)
        authority = extension(x509.AuthorityKeyIdentifier).value
        self.assertIsNone(authority.authority_cert_serial_number)
        self.assertEqual(certificate.not_valid_after - certificate.not_valid_before, datetime.timedelta(days=730, minutes=10))
        age = datetime.datetime.utcnow() - certificate.not_valid_before
        self.assertTrue(datetime.timedelta(minutes=9) < age < datetime.timedelta(minutes=12), age)

    def test_the_row_says_what_the_certificate_says(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        certificate = self.enrol(ticket, key, transaction_id="a=b+c/d")
        (row,) = self.bench.certificates(ticket)
        self.assertEqual(row["der"], scep_client.der_of(certificate).hex().upper())
        self.assertEqual(row["sha256"], certificate.fingerprint(hashes.SHA256()).hex().upper())
        self.assertEqual(row["serial"], serial_of(certificate))
        self.assertEqual(row["not_after"], f"{certificate.not_valid_after}.000000")
        self.assertEqual(bytes.fromhex(row["transaction_id"]), b"a=b+c/d")
        self.assertEqual([what for what, _ in self.bench.events(ticket)], ["certificate.issued"])

    def test_the_reply_mirrors_digest_and_cipher_and_echoes_nonce_and_transaction(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        for cipher in ("aes128", "aes192", "aes256"):
            for digest in ("sha256", "sha384", "sha512"):
                with self.subTest(cipher=cipher, digest=digest):
                    reply = self.client.ask(self.bench, key, ticket.challenge, cipher=cipher, digest=digest, nonce=b"0123456789abcdef",
                                            transaction_id=f"T {cipher}")
                    self.assertEqual((reply.message_type, reply.status), ("3", "0"))
                    self.assertEqual((reply.transaction_id, reply.recipient_nonce), (f"T {cipher}", b"0123456789abcdef"))
                    self.assertEqual((reply.digest, cipher_of(reply)), (digest, cipher))
                    self.assertEqual(reply.signer, self.ra)

    def test_a_get_with_its_base64_as_clients_escape_it_gets_the_same_answer(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        text = base64.b64encode(self.client.message(csr(key, ticket.challenge), key)).decode()
        forms = {"apple": text.replace("=", "%3D"), "whole": quote(text, safe=""),
                 "sscep": "%0A".join(quote(text[at:at + 64], safe="") for at in range(0, len(text), 64))}
        serials = set()
        for name, message in forms.items():
            with self.subTest(name):
                status, content_type, body = self.bench.http("PKIOperation", message=message)
                self.assertEqual((status, content_type), (200, "application/x-pki-message"))
                serials.add(issued(read_reply(body), key).serial_number)
        self.assertEqual(len(serials), 1)

    def test_the_content_types_are_exact(self):
        self.assertEqual(self.bench.http("GetCACaps", message="")[1], "text/plain")
        self.assertEqual(self.bench.http("GetCACert", message="any%20CA")[1], "application/x-x509-ca-ra-cert")
        certs_only = self.bench.get("operation=GetCACert").body
        printed = openssl("pkcs7", "-inform", "DER", "-print_certs", "-noout", data=certs_only).decode()
        self.assertLess(printed.index("SCEP RA"), printed.index("subject=O = Example Org, CN = Example Org Device CA"))

    def test_a_challenge_of_any_string_type_is_read(self):
        for tag in (0x0C, 0x13, 0x14, 0x16):
            with self.subTest(hex(tag)):
                ticket, key = self.bench.ticket(), pool_key(0)
                challenge = scep_client.tlv(tag, ticket.challenge.encode())
                attribute = scep_client.seq(scep_client.oid("1.2.840.113549.1.9.7"), scep_client.set_of(challenge))
                answer = self.bench.post(self.client.message(scep_client.raw_csr(key, [attribute]), key))
                self.assertEqual(read_reply(answer.body).status, "0")


class OneTicketOneCertificate(Scep):
    def test_a_repeated_request_gets_the_same_certificate_even_when_the_ticket_is_over(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        first = self.enrol(ticket, key)
        for state in ("expires_at = '2001-01-01'", "state = 'closed'"):
            self.bench.sql(f"UPDATE tickets SET {state} WHERE id = {ticket.id}")
            self.assertEqual(self.enrol(ticket, key), first)
        self.assertEqual(len(self.bench.certificates(ticket)), 1)

    def test_another_key_takes_the_place_of_one_never_seen_until_the_attempts_are_used(self):
        ticket = self.bench.ticket(attempts=3)
        certificates = [self.enrol(ticket, pool_key(number)) for number in range(3)]
        self.assertEqual([row["status"] for row in self.bench.certificates(ticket)], ["revoked", "revoked", "issued"])
        self.assertEqual(self.bench.certificates(ticket)[0]["revoke_reason"], "superseded")
        self.refused(ticket, pool_key(3), "all keys that the ticket allows were tried")
        self.refused(ticket, pool_key(0), "the certificate of this key was revoked")
        self.assertEqual(self.enrol(ticket, pool_key(2)), certificates[2])
        whats = [what for what, _ in self.bench.events(ticket)]
        self.assertEqual(whats, ["certificate.issued", "certificate.revoked"] * 2 + ["certificate.issued"]
                         + ["certificate.refused"] * 2)

    def test_once_its_certificate_was_seen_a_ticket_takes_no_other_key(self):
        ticket = self.bench.ticket()
        first = self.enrol(ticket, pool_key(0))
        self.bench.sql(f"UPDATE certificates SET first_seen_at = UTC_TIMESTAMP() WHERE ticket_id = {ticket.id}")
        self.refused(ticket, pool_key(1), "in use with another key")
        self.bench.sql(f"UPDATE tickets SET state = 'closed' WHERE id = {ticket.id}")
        self.refused(ticket, pool_key(1), "the ticket is spent")
        (row,) = self.in_force(ticket)
        self.assertEqual(row["serial"], serial_of(first))

    def in_parallel(self, ticket, keys):
        messages = [self.client.message(csr(key, ticket.challenge), key) for key in keys]
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = list(pool.map(lambda message: self.bench.post(message, timeout=120), messages))
        return [read_reply(answer.body) for answer in answers]

    def test_fifty_requests_at_once_with_one_challenge_and_fifty_keys_leave_one_certificate(self):
        ticket, keys = self.bench.ticket(), [pool_key(number) for number in range(PARALLEL)]
        replies = self.in_parallel(ticket, keys)
        (row,) = self.in_force(ticket)
        given = {serial_of(issued(reply, key)) for reply, key in zip(replies, keys) if reply.status == "0"}
        self.assertIn(row["serial"], given)
        self.assertLessEqual(len(given), 3)
        self.assertEqual(len(self.bench.certificates(ticket)), 3)

    def test_fifty_requests_at_once_with_one_key_get_the_same_certificate(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        replies = self.in_parallel(ticket, [key] * PARALLEL)
        self.assertEqual({reply.status for reply in replies}, {"0"})
        self.assertEqual(len({issued(reply, key) for reply in replies}), 1)
        self.assertEqual(len(self.bench.certificates(ticket)), 1)
        self.assertEqual(len(self.bench.events(ticket)), 1)

    def crash(self, where, ticket, key):
        self.bench.restart(POMONA_CRASH_AT=where)
        with self.assertRaises(EOFError):
            self.client.ask(self.bench, key, ticket.challenge)
        self.assertEqual(self.bench.process.wait(30), -9)
        self.bench.start()
        return self.bench.certificates(ticket)

    def test_a_kill_between_record_and_store_is_finished_with_the_same_serial_by_the_same_key(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        (recorded,) = self.crash("certificate-recorded", ticket, key)
        self.assertEqual(recorded["status"], "pending")
        self.assertEqual(serial_of(self.enrol(ticket, key)), recorded["serial"])
        (row,) = self.bench.certificates(ticket)
        self.assertEqual(row["status"], "issued")

    def test_a_kill_between_record_and_store_does_not_stand_in_the_way_of_another_key(self):
        ticket = self.bench.ticket()
        self.crash("certificate-recorded", ticket, pool_key(0))
        certificate = self.enrol(ticket, pool_key(1))
        self.assertEqual([row["status"] for row in self.bench.certificates(ticket)], ["revoked", "issued"])
        self.assertEqual(self.in_force(ticket)[0]["serial"], serial_of(certificate))

    def test_a_kill_after_the_store_loses_only_the_reply(self):
        ticket, key = self.bench.ticket(), pool_key(0)
        (stored,) = self.crash("certificate-stored", ticket, key)
        self.assertEqual(stored["status"], "issued")
        self.assertEqual(serial_of(self.enrol(ticket, key)), stored["serial"])


class Renewing(Scep):
    UUID = "0D6A7D3E-8C1B-4D5F-9E2A-1234567890AB"

    def setUp(self):
        self.bench.sql("DELETE FROM enrollments; DELETE FROM devices")
        self.bench.sql(f"""
            INSERT INTO devices (id, external_id, created_at, updated_at) VALUES (7, 'UDID-7', UTC_TIMESTAMP(), UTC_TIMESTAMP());
            INSERT INTO enrollments (id, uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, created_at)
            VALUES (70, '{self.UUID}', 7, 3, 'device', 'UDID-7', 'UDID-7', 'current', 'tls', 't', UTC_TIMESTAMP())""")

    def san(self, certificate):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)

    def test_a_renewal_is_bound_to_its_enrolment_when_it_is_issued(self):
        ticket = self.bench.ticket(purpose="renew", enrollment_id=70)
        certificate = self.enrol(ticket, pool_key(0))
        self.assertEqual(self.san(certificate), [f"urn:pomona:{self.UUID}:3"])
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, self.UUID)
        self.assertEqual(self.bench.certificates(ticket)[0]["enrollment_id"], "70")

    def test_a_ticket_for_an_enrolment_names_it_but_binds_nothing(self):
        ticket = self.bench.ticket(enrollment_id=70)
        self.assertEqual(self.san(self.enrol(ticket, pool_key(0))), [f"urn:pomona:{self.UUID}:3"])
        self.assertEqual(self.bench.certificates(ticket)[0]["enrollment_id"], "NULL")

    def test_an_enrolment_that_ended_is_not_renewed(self):
        ticket = self.bench.ticket(purpose="renew", enrollment_id=70)
        self.bench.sql("UPDATE enrollments SET state = 'checked-out', current_id = NULL WHERE id = 70")
        self.refused(ticket, pool_key(0), "has ended")
        self.assertEqual(self.bench.certificates(ticket), [])


if __name__ == "__main__":
    unittest.main()
