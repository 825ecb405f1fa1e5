"""Renewal by SCEP: who gets one, bound to what, once; and who is refused although the signature is good."""
import datetime
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from scep_bench import ScepBench  # noqa: E402
from scep_client import Client, csr, issued, pool_key, read_reply  # noqa: E402
from scep_identities import enrolled, last_line, put_in_use, renew, renewal, renewals, row_of  # noqa: E402

BAD_MESSAGE_CHECK, BAD_REQUEST = "1", "2"
PARALLEL = 12
DAY = 86400


def serial_of(certificate):
    return f"{certificate.serial_number:032X}"


class RenewalTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = ScepBench({"scep-renewal": "yes", "ticket-attempts": 3})
        cls.addClassCleanup(cls.bench.close)

    def renewed(self, device, key, **knobs):
        reply = renew(self.bench, device, key, **knobs)
        self.assertEqual(reply.status, "0", last_line(self.bench))
        return issued(reply, device.key)

    def refused(self, device, key, reason, fail_info=BAD_REQUEST, **knobs):
        before = renewals(self.bench, device)
        reply = renew(self.bench, device, key, **knobs)
        self.assertEqual((reply.status, reply.fail_info), ("2", fail_info))
        self.assertIn(reason, last_line(self.bench))
        self.assertEqual([row for row in renewals(self.bench, device) if row not in before], [])

    def events(self, device):
        rows = self.bench.sql(f"SELECT what, detail FROM events WHERE enrollment_id = {device.enrollment} ORDER BY id")
        return [tuple(line.split("\t")) for line in rows.splitlines()]

    def in_force(self, device):
        return [serial for status, serial, _ in renewals(self.bench, device) if status != "revoked"]


class Renewing(RenewalTest):
    def test_the_holder_of_an_identity_gets_a_new_one_for_the_same_enrolment(self):
        for kind in ("17", "19"):
            with self.subTest(type=kind):
                device, key = enrolled(self.bench), pool_key(1)
                certificate = self.renewed(device, key, message_type=kind)
                self.assertEqual(certificate.public_key().public_numbers(), key.public_key().public_numbers())
                self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, device.uuid)
                generation = self.bench.sql(f"SELECT generation FROM enrollments WHERE id = {device.enrollment}").strip()
                names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
                self.assertEqual([name.value for name in names], [f"urn:pomona:{device.uuid}:{generation}"])
                self.assertEqual(renewals(self.bench, device), [("issued", serial_of(certificate), str(device.enrollment))])
                self.assertEqual([what for what, _ in self.events(device)], ["certificate.issued"])
                self.assertIn(f"type={kind} outcome=issued", last_line(self.bench))
                self.assertIn(f"enrollment={device.enrollment}", last_line(self.bench))

    def test_the_older_identity_is_left_as_it_is_until_the_new_one_is_seen(self):
        device = enrolled(self.bench)
        self.renewed(device, pool_key(1))
        self.assertEqual(self.bench.sql(f"SELECT status FROM certificates WHERE id = {device.row}").strip(), "issued")

    def test_the_key_may_stay_the_same(self):
        device = enrolled(self.bench)
        for kind in ("17", "19"):
            certificate = self.renewed(device, device.key, message_type=kind)
            self.assertNotEqual(certificate, device.certificate)
        self.assertEqual(len(renewals(self.bench, device)), 1)

    def test_what_the_request_calls_itself_and_asks_for_changes_nothing(self):
        device, key = enrolled(self.bench), pool_key(1)
        request = csr(key, None, subject="Root CA of the World",
                      extensions=[(x509.BasicConstraints(ca=True, path_length=None), True),
                                  (x509.SubjectAlternativeName([x509.DNSName("www.example.org")]), False)])
        certificate = self.renewed(device, key, request=request)
        self.assertEqual(certificate.subject.rfc4514_string(), f"CN={device.uuid},O=Example Org")
        extension = certificate.extensions.get_extension_for_class
        self.assertFalse(extension(x509.BasicConstraints).value.ca)
        self.assertEqual(len(list(extension(x509.SubjectAlternativeName).value)), 1)

    def test_a_renewed_identity_is_renewed_in_its_turn(self):
        device = enrolled(self.bench)
        certificate = self.renewed(device, pool_key(1))
        second = type(device)(pool_key(1), certificate, None, row_of(self.bench, certificate), device.enrollment, device.uuid, "")
        put_in_use(self.bench, second.row, device.enrollment)
        self.renewed(second, pool_key(2))
        self.assertEqual(renewals(self.bench, second)[0][2], str(device.enrollment))

    def test_an_identity_may_be_renewed_in_the_second_half_of_its_life(self):
        self.addCleanup(self.bench.restart)
        device = enrolled(self.bench, in_use=False)
        self.bench.restart(POMONA_TEST_CLOCK=str(364 * DAY))
        self.refused(device, pool_key(1), "too early: the signer's certificate may be renewed from")
        self.bench.restart(POMONA_TEST_CLOCK=str(366 * DAY))
        certificate = self.renewed(device, pool_key(1))
        self.assertGreater(certificate.not_valid_after, device.certificate.not_valid_after + datetime.timedelta(days=360))

    def test_getcacaps_names_renewal_where_it_is_on(self):
        self.assertIn(b"\nRenewal\n", self.bench.get("operation=GetCACaps").body)


class OneKeyOneCertificate(RenewalTest):
    def test_a_repeated_request_gets_the_same_certificate_even_when_the_signers_has_ended_meanwhile(self):
        device = enrolled(self.bench)
        first = self.renewed(device, pool_key(1))
        changes = ("not_after = UTC_TIMESTAMP() - INTERVAL 1 DAY", "not_before = UTC_TIMESTAMP()", "status = 'retiring'")
        for change in changes:
            self.bench.sql(f"UPDATE certificates SET {change} WHERE id = {device.row}")
            for kind in ("17", "19"):
                self.assertEqual(self.renewed(device, pool_key(1), message_type=kind), first)
        self.assertEqual(len(renewals(self.bench, device)), 1)
        self.assertEqual([what for what, _ in self.events(device)], ["certificate.issued"])

    def test_another_key_takes_the_place_of_one_never_seen_until_the_attempts_are_used(self):
        device = enrolled(self.bench)
        certificates = [self.renewed(device, pool_key(number)) for number in (1, 2, 3)]
        self.assertEqual([status for status, *_ in renewals(self.bench, device)], ["revoked", "revoked", "issued"])
        self.refused(device, pool_key(4), "all keys that one certificate may be renewed with were tried")
        self.refused(device, pool_key(1), "the certificate of this key was revoked")
        self.assertEqual(self.renewed(device, pool_key(3)), certificates[2])
        whats = [what for what, _ in self.events(device)]
        self.assertEqual(whats, ["certificate.issued", "certificate.revoked"] * 2 + ["certificate.issued"]
                         + ["certificate.refused"] * 2)

    def test_a_renewal_that_is_in_use_is_not_taken_the_place_of(self):
        device = enrolled(self.bench)
        first = self.renewed(device, pool_key(1))
        self.bench.sql(f"UPDATE certificates SET first_seen_at = UTC_TIMESTAMP() WHERE renews_id = {device.row}")
        self.refused(device, pool_key(2), "in use with another key")
        self.assertEqual(self.in_force(device), [serial_of(first)])

    def in_parallel(self, device, keys):
        messages = [renewal(self.bench, device, key) for key in keys]
        with ThreadPoolExecutor(len(keys)) as pool:
            answers = list(pool.map(lambda message: self.bench.post(message, timeout=120), messages))
        return [read_reply(answer.body) for answer in answers]

    def test_requests_at_once_with_one_key_get_the_same_certificate(self):
        device = enrolled(self.bench)
        replies = self.in_parallel(device, [pool_key(1)] * PARALLEL)
        self.assertEqual({reply.status for reply in replies}, {"0"})
        self.assertEqual(len({issued(reply, device.key) for reply in replies}), 1)
        self.assertEqual(len(renewals(self.bench, device)), 1)

    def test_requests_at_once_with_as_many_keys_leave_one_certificate(self):
        device, keys = enrolled(self.bench), [pool_key(1 + number) for number in range(PARALLEL)]
        replies = self.in_parallel(device, keys)
        (serial,) = self.in_force(device)
        given = {serial_of(issued(reply, device.key)) for reply in replies if reply.status == "0"}
        self.assertIn(serial, given)
        self.assertEqual(len(renewals(self.bench, device)), 3)

    def crash(self, where, device, key):
        self.bench.restart(POMONA_CRASH_AT=where)
        with self.assertRaises(EOFError):
            renew(self.bench, device, key)
        self.assertEqual(self.bench.process.wait(30), -9)
        self.bench.start()
        return renewals(self.bench, device)

    def test_what_a_kill_left_pending_is_finished_with_the_same_serial(self):
        device = enrolled(self.bench)
        ((status, serial, _),) = self.crash("certificate-recorded", device, pool_key(1))
        self.assertEqual(status, "pending")
        self.assertEqual(serial_of(self.renewed(device, pool_key(1))), serial)
        self.assertEqual(renewals(self.bench, device), [("issued", serial, str(device.enrollment))])

    def test_a_kill_before_the_commit_leaves_nothing_behind(self):
        device = enrolled(self.bench)
        self.assertEqual(self.crash("scep-renewal-written", device, pool_key(1)), [])
        self.renewed(device, pool_key(1))

    def test_a_kill_after_the_store_loses_only_the_reply(self):
        device = enrolled(self.bench)
        ((status, serial, _),) = self.crash("certificate-stored", device, pool_key(1))
        self.assertEqual(status, "issued")
        self.assertEqual(serial_of(self.renewed(device, pool_key(1))), serial)


class Refusals(RenewalTest):
    def test_an_identity_that_is_not_in_use_renews_nothing_and_the_reason_is_in_log_and_event(self):
        cases = {
            "UPDATE certificates SET status = 'revoked' WHERE id = {row}": "the signer's certificate was revoked",
            "UPDATE certificates SET status = 'retiring' WHERE id = {row}": "a newer certificate",
            "UPDATE certificates SET status = 'retired' WHERE id = {row}": "a newer certificate",
            "UPDATE certificates SET not_after = UTC_TIMESTAMP() - INTERVAL 1 SECOND WHERE id = {row}": "expired",
            "UPDATE certificates SET not_before = UTC_TIMESTAMP() - INTERVAL 9 DAY WHERE id = {row}": "too early",
            "UPDATE enrollments SET frozen = TRUE WHERE id = {enrollment}": "the enrolment is frozen",
        }
        for state in ("disabled", "replaced", "checked-out", "pending", "rejected"):
            cases[f"UPDATE enrollments SET state = '{state}', current_id = NULL WHERE id = {{enrollment}}"] = f"the enrolment is {state}"
        device = enrolled(self.bench)
        for change, reason in cases.items():
            self.bench.sql(f"UPDATE certificates SET status = 'issued' WHERE id = {device.row}; "
                           f"UPDATE enrollments SET state = 'current', frozen = FALSE WHERE id = {device.enrollment}")
            put_in_use(self.bench, device.row, device.enrollment)
            self.bench.sql(change.format(row=device.row, enrollment=device.enrollment))
            for kind in ("17", "19"):
                with self.subTest(change, type=kind):
                    self.bench.sql(f"UPDATE certificates SET refusal_told = NULL WHERE id = {device.row}")
                    before = len(self.events(device))
                    self.refused(device, pool_key(1), reason, message_type=kind)
                    ((what, detail),) = self.events(device)[before:]
                    self.assertEqual(what, "certificate.refused")
                    self.assertIn(reason, detail)

    def test_the_same_refusal_is_told_once_however_often_it_is_asked_for(self):
        device = enrolled(self.bench)
        self.bench.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {device.row}")
        before = len(self.events(device))
        for _ in range(5):
            self.refused(device, pool_key(1), "the signer's certificate was revoked", message_type="17")
        self.assertEqual(len(self.events(device)) - before, 1)

    def test_a_revoked_or_frozen_device_does_not_get_again_what_it_got_before(self):
        device = enrolled(self.bench)
        self.renewed(device, pool_key(1))
        for change in (f"UPDATE enrollments SET frozen = TRUE WHERE id = {device.enrollment}",
                       f"UPDATE enrollments SET frozen = FALSE, state = 'disabled' WHERE id = {device.enrollment}",
                       f"UPDATE enrollments SET state = 'current' WHERE id = {device.enrollment}; "
                       f"UPDATE certificates SET status = 'revoked' WHERE id = {device.row}"):
            self.bench.sql(change)
            self.assertEqual(renew(self.bench, device, pool_key(1)).status, "2", change)

    def test_an_identity_that_never_enrolled_renews_nothing(self):
        device = enrolled(self.bench)
        self.bench.sql(f"UPDATE certificates SET enrollment_id = NULL WHERE id = {device.row}")
        self.refused(device, pool_key(1), "bound to no enrolment")

    def test_a_certificate_that_is_none_of_ours_renews_nothing_whatever_it_says(self):
        device = enrolled(self.bench)
        foreign_ca = pki.make_ca("Example Org Device CA", kind="rsa")
        foreign = pki.issue(foreign_ca, device.uuid, kind="rsa", client=True)
        before = self.bench.sql("SELECT COUNT(*) FROM events")
        self.refused(device, pool_key(1), "none of ours", signed_by=foreign.key, certificate=foreign.certificate)
        self.refused(device, pool_key(1), "signed with another key", signed_by=foreign.key, certificate=foreign.certificate,
                     message_type="19")
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM events"), before)

    def test_whoever_shows_the_certificate_without_its_key_is_refused_before_anything_is_looked_up(self):
        device, thief = enrolled(self.bench), pool_key(9)
        self.bench.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {device.row}")
        for kind in ("17", "19"):
            self.refused(device, thief, "outer signature", BAD_MESSAGE_CHECK, signed_by=thief, message_type=kind)
        self.assertEqual(self.events(device), [])

    def test_a_request_without_proof_of_its_own_key_is_refused(self):
        device, victim = enrolled(self.bench), pool_key(9)
        request = bytearray(csr(victim, None))
        request[-5] ^= 1
        self.refused(device, victim, "own signature does not verify", BAD_MESSAGE_CHECK, request=bytes(request))

    def test_one_devices_identity_renews_no_other_device(self):
        device, other = enrolled(self.bench), enrolled(self.bench, pool_key(5))
        certificate = issued(renew(self.bench, device, pool_key(6), transaction_id=f"renew-{other.row}",
                                   request=csr(pool_key(6), None, subject=other.uuid)), device.key)
        self.assertEqual(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value, device.uuid)
        self.assertEqual(renewals(self.bench, other), [])

    def test_a_challenge_may_be_repeated_but_not_be_another_devices(self):
        device, other = enrolled(self.bench), enrolled(self.bench, pool_key(5))
        for challenge in ("UNKNOWN", other.ticket.challenge, self.bench.ticket().challenge):
            for kind in ("17", "19"):
                self.refused(device, pool_key(1), "the challenge is none of this enrolment's", challenge=challenge, message_type=kind)
        for number, challenge in ((1, device.ticket.challenge),
                                  (2, self.bench.ticket(purpose="renew", enrollment_id=device.enrollment).challenge)):
            certificate = self.renewed(device, pool_key(number), challenge=challenge, message_type="19")
        second = type(device)(pool_key(2), certificate, None, row_of(self.bench, certificate), device.enrollment, device.uuid, "")
        put_in_use(self.bench, second.row, device.enrollment)
        self.renewed(second, pool_key(3), challenge=device.ticket.challenge)
        self.bench.sql(f"UPDATE tickets SET state = 'revoked' WHERE id = {device.ticket.id}")
        self.refused(second, pool_key(4), "the challenge is none of this enrolment's", challenge=device.ticket.challenge)

    def test_a_challenge_that_was_repeated_is_not_used_up_and_gives_nothing_else(self):
        device = enrolled(self.bench)
        ticket = self.bench.ticket(purpose="renew", enrollment_id=device.enrollment)
        self.renewed(device, pool_key(1), challenge=ticket.challenge)
        self.assertEqual(self.bench.sql(f"SELECT state, attempts_left FROM tickets WHERE id = {ticket.id}").split(), ["open", "3"])
        self.assertEqual(self.bench.certificates(ticket), [])


class RenewalIsOff(RenewalTest):
    def test_with_scep_renewal_off_it_is_refused_not_offered_and_enrolling_goes_on(self):
        device = enrolled(self.bench)
        self.bench.conf.write_text(self.bench.conf.read_text().replace("scep-renewal = yes", "scep-renewal = no"))
        self.bench.restart()
        self.assertNotIn(b"Renewal", self.bench.get("operation=GetCACaps").body)
        for kind in ("17", "19"):
            for challenge in (None, device.ticket.challenge):
                self.refused(device, pool_key(1), "renewal by SCEP is off (scep-renewal = no)", message_type=kind, challenge=challenge)
        reply = Client(self.bench.ra_and_ca()[0]).ask(self.bench, pool_key(1), self.bench.ticket().challenge)
        self.assertEqual(reply.status, "0")


if __name__ == "__main__":
    unittest.main()
