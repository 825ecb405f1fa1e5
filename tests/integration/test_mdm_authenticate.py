"""Authenticate is decided by what the presented certificate was issued for: every row of docs/data-and-trust.md section 3."""
# time limit: 600
import dataclasses
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
import pki  # noqa: E402


class WithApproval(mdm_rig.MdmTest):
    settings = {"reenrollment": "approve", "identity-overlap": "24h"}

    def offence(self, device, response, reason):
        """Refused, with an event that names the certificate."""
        self.refused(response, reason)
        where = f"what = 'identity.refused' AND certificate_sha256 = {mdm_rig.sql_text(device.sha256())}"
        self.assertEqual(self.rig.sql(f"SELECT detail FROM events WHERE {where} ORDER BY id DESC LIMIT 1"), reason)

    def test_a_certificate_that_was_not_issued_here_is_refused(self):
        stranger = self.rig.device()
        self.rig.sql(f"DELETE FROM certificates WHERE id = {stranger.certificate_id}")
        self.refused(self.rig.authenticate(stranger), "unknown certificate")
        self.refused(self.rig.idle(stranger), "unknown certificate")
        self.assertEqual(self.rig.count("devices", f"external_id = '{stranger.udid}'"), 0)

    def test_the_identity_of_another_device_reaches_nothing_of_the_victim(self):
        victim, thief = self.rig.enrolled(), self.rig.enrolled()
        command = self.rig.enqueue(victim)
        row = ("SELECT id, state, frozen, HEX(push_token), push_magic, token_update_tally, last_seen_at FROM enrollments "
               f"WHERE external_id LIKE '{victim.udid}%'")
        before = self.rig.sql(row)
        pretender = dataclasses.replace(thief, udid=victim.udid)
        for response in (self.rig.authenticate(pretender), self.rig.token_update(pretender), self.rig.idle(pretender),
                         self.rig.report(pretender, command), self.rig.check_in(pretender, "CheckOut"),
                         self.rig.check_in(pretender, "GetBootstrapToken"),
                         self.rig.token_update(pretender, user=("U", "u"))):
            self.offence(pretender, response, "certificate of another enrolment")
        self.assertEqual(self.rig.sql(row), before)
        self.handed(self.rig.idle(victim), command)

    def test_a_ticket_that_names_a_device_is_for_that_device_only(self):
        named = [(dict(bind_udid="WANTED"), {}, "the ticket names another UDID"),
                 (dict(bind_serial="SERIAL1"), dict(serial="SERIAL2"), "the ticket names another serial number"),
                 (dict(bind_serial="SERIAL1"), {}, "the ticket names another serial number"),
                 (dict(bind_udid="WANTED"), dict(user_enrollment=True, udid="WANTED"), "the ticket names another UDID")]
        for ticket, who, reason in named:
            with self.subTest(reason):
                device = self.rig.device(**who, **ticket)
                self.offence(device, self.rig.authenticate(device), reason)
                self.assertEqual(self.rig.count("enrollments", f"external_id = '{device.udid}'"), 0)
        good = self.rig.device("WANTED", serial="SERIAL1", bind_udid="WANTED", bind_serial="SERIAL1")
        self.accepted(self.rig.authenticate(good))

    def test_a_ticket_for_an_enrolment_is_for_its_device_only(self):
        device = self.rig.enrolled()
        other = self.rig.device(enrollment=self.rig.enrollment_id(device))
        self.offence(other, self.rig.authenticate(other), "the ticket names the enrolment of another device")
        again = self.rig.again(device, enrollment=self.rig.enrollment_id(device))
        self.rig.enroll(again)
        self.assertEqual(self.rig.states(device), ["replaced", "current"])

    def test_a_topic_other_than_the_tickets_is_refused(self):
        device = self.rig.device()
        self.offence(device, self.rig.authenticate(device, Topic="com.apple.mgmt.Other"),
                     "a topic that the ticket does not name")
        self.rig.enroll(device)
        self.offence(device, self.rig.token_update(device, Topic="com.apple.mgmt.Other"),
                     "a topic other than the enrolment's")
        self.offence(device, self.rig.authenticate(device, Topic="com.apple.mgmt.Other"),
                     "a topic other than the enrolment's")

    def test_an_identity_that_goes_on_after_its_refusal_does_not_fill_the_events(self):
        device = self.rig.enrolled()
        self.rig.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {device.certificate_id}")
        told = f"what = 'identity.refused' AND external_id = '{device.udid}'"
        for _ in range(10):
            self.assertEqual(self.rig.idle(device).status, 400)
        self.assertEqual(self.rig.count("events", told), 1)
        self.rig.restart(clock=301)
        self.assertEqual(self.rig.idle(device).status, 400)
        self.assertEqual(self.rig.count("events", told), 2)
        self.rig.restart()

    def test_an_identity_that_is_revoked_while_it_enrols_does_not_enrol(self):
        """As when another device gets the certificate of the same ticket at this moment."""
        device = self.rig.device()
        self.rig.sql("CREATE TRIGGER revoke_meanwhile BEFORE INSERT ON enrollments FOR EACH ROW "
                     f"UPDATE certificates SET status = 'revoked' WHERE id = {device.certificate_id}")
        try:
            self.assertEqual(self.rig.authenticate(device).status, 400)
            self.assertEqual(self.rig.count("enrollments", f"external_id = '{device.udid}'"), 0)
        finally:
            self.rig.sql("DROP TRIGGER revoke_meanwhile")

    def test_the_same_authenticate_once_more_changes_nothing(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.accepted(self.rig.authenticate(device))
        self.assertEqual(self.rig.states(device), ["current"])
        self.handed(self.rig.idle(device), command)

    def test_a_used_or_revoked_ticket_lets_nobody_in(self):
        device = self.rig.enrolled()
        identity = pki.issue(self.rig.ca, "device", client=True)
        late = dataclasses.replace(device, udid="LATE", identity=identity,
                                   certificate_id=self.rig.certificate(identity, device.number))
        self.offence(late, self.rig.authenticate(late), "the ticket was used")
        revoked = self.rig.device()
        self.rig.sql(f"UPDATE tickets SET state = 'revoked' WHERE id = {revoked.number}")
        self.offence(revoked, self.rig.authenticate(revoked), "the ticket was revoked")

    def test_revoked_expired_and_unbound_certificates_are_refused(self):
        revoked = self.rig.enrolled()
        self.rig.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {revoked.certificate_id}")
        self.offence(revoked, self.rig.idle(revoked), "revoked certificate")
        expired = self.rig.device(days=-1)
        self.refused(self.rig.authenticate(expired), "certificate outside of its dates")
        unbound = self.rig.device()
        self.offence(unbound, self.rig.idle(unbound),
                     "certificate that is bound to no enrolment; Authenticate comes first")
        self.rig.enroll(unbound)

    def test_failed_verification_is_refused_even_for_a_known_certificate(self):
        device = self.rig.enrolled()
        for verify in ("FAILED:certificate has expired", "FAILED:self-signed certificate", "NONE", ""):
            self.refused(self.rig.idle(device, params=self.rig.tls(device, verify)))
        self.refused(self.rig.idle(device, params=self.rig.tls(device) | {"SSL_CLIENT_CERT": "junk"}))
        answer = self.rig.idle(device, params=self.rig.tls(device) | {"POMONA_GATE": "guessed"})
        self.assertEqual(answer.status, 403)
        self.accepted(self.rig.idle(device))

    def test_a_bound_ticket_starts_a_new_generation_at_once(self):
        device = self.rig.enrolled("BOUND-1", serial="S1")
        self.rig.token_update(device, user=("USER", "user"))
        self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        command, renewal = self.rig.enqueue(device), self.rig.renewed(device)
        again = self.rig.again(device, bind_serial="S1")
        self.accepted(self.rig.authenticate(again))
        self.assertEqual(self.rig.states(device), ["replaced", "current"])
        self.assertEqual(self.rig.count("enrollments", "external_id = 'BOUND-1:USER' AND state = 'current'"), 0)
        self.rig.token_update(again)
        self.accepted(self.rig.idle(again))
        self.assertNotIn(b"bootstrap", self.rig.check_in(again, "GetBootstrapToken").body)
        self.assertEqual(self.rig.sql(f"SELECT state FROM tickets WHERE id = {renewal.number}"), "closed")
        self.assertEqual(self.rig.sql(f"SELECT status FROM certificates WHERE id = {renewal.certificate_id}"), "revoked")
        shown = self.rig.json("command", "show", command)["enrollments"][0]
        self.assertEqual((shown["status"], shown["enrollment_state"]), ("queued", "replaced"))

    def test_an_unbound_ticket_for_a_live_device_waits_for_approval(self):
        device = self.rig.enrolled("WAITING-1")
        command = self.rig.enqueue(device)
        again = self.rig.again(device)
        self.accepted(self.rig.authenticate(again))
        self.accepted(self.rig.token_update(again, UnlockToken=b"later"))
        self.accepted(self.rig.token_update(again, user=("USER", "user")))
        self.accepted(self.rig.check_in(again, "SetBootstrapToken", BootstrapToken=b"boot"))
        self.accepted(self.rig.idle(again))
        self.accepted(self.rig.report(again, command))
        self.assertNotIn(b"boot", self.rig.check_in(again, "GetBootstrapToken").body)
        self.assertEqual(self.rig.states(device), ["current", "pending"])
        self.assertEqual(self.rig.count("escrow e JOIN enrollments n ON n.id = e.enrollment_id",
                                        "n.external_id = 'WAITING-1'"), 0)
        self.handed(self.rig.idle(device), command)
        self.assertIn("generation 2 waits for `pomona enrollment approve`", self.rig.events("enrollment.pending"))

        self.rig.pomona("enrollment", "approve", "WAITING-1")
        self.assertEqual(self.rig.states(device), ["replaced", "current"])
        self.accepted(self.rig.idle(again))
        fresh, users = self.rig.enqueue(again), self.rig.enqueue(again, user=("USER", "user"))
        self.handed(self.rig.idle(again), fresh)
        self.handed(self.rig.idle(again, user=("USER", "user")), users)
        shown = self.rig.json("enrollment", "show", "WAITING-1")
        self.assertEqual([row["kind"] for row in shown["escrow"]], ["unlock-token", "bootstrap-token"])
        self.assertIn(b"<key>BootstrapToken</key>", self.rig.check_in(again, "GetBootstrapToken").body)

    def test_a_rejected_enrolment_is_refused_and_the_old_one_goes_on(self):
        device = self.rig.enrolled("REJECTED-1")
        again = self.rig.again(device)
        self.accepted(self.rig.authenticate(again))
        self.rig.pomona("enrollment", "reject", "REJECTED-1")
        self.assertEqual(self.rig.states(device), ["current", "rejected"])
        self.refused(self.rig.idle(again), "revoked certificate")
        self.accepted(self.rig.idle(device))
        run = self.rig.pomona("enrollment", "approve", "REJECTED-1", check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"REJECTED-1 is rejected, not pending", run.stderr)

    def test_a_disabled_device_comes_back_only_with_approval(self):
        device = self.rig.enrolled("DISABLED-1")
        self.assertEqual(self.rig.pomona("enrollment", "disable", "DISABLED-1", check=False, stdin=b"").returncode, 2)
        self.rig.pomona("enrollment", "disable", "DISABLED-1", "--yes")
        self.refused(self.rig.idle(device), "the enrolment is disabled")
        self.refused(self.rig.authenticate(device), "the enrolment is disabled")
        again = self.rig.again(device)
        self.accepted(self.rig.authenticate(again))
        self.assertEqual(self.rig.states(device), ["disabled", "pending"])
        self.rig.pomona("enrollment", "approve", "DISABLED-1")
        self.accepted(self.rig.idle(again))

    def conflict(self, udid):
        """A device whose replaced identity has spoken: (old, new)."""
        old = self.rig.enrolled(udid)
        new = self.rig.enroll(self.rig.again(old, bind_udid=udid))
        self.refused(self.rig.idle(old), "identity of a generation that was replaced")
        self.assertEqual(self.rig.json("enrollment", "show", udid)["frozen"], True)
        return old, new

    def test_the_identity_of_a_replaced_generation_freezes_the_new_one(self):
        old, new = self.conflict("CONFLICT-1")
        command = self.rig.enqueue(new)
        self.accepted(self.rig.idle(new))
        self.accepted(self.rig.token_update(new, Token=b"fresh"))
        self.refused(self.rig.authenticate(old))
        self.assertEqual(self.rig.count("events", "what = 'identity.conflict' AND external_id = 'CONFLICT-1'"), 1)
        third = self.rig.again(new)
        self.accepted(self.rig.authenticate(third))
        self.assertEqual(self.rig.states(new), ["replaced", "current", "pending"])
        self.assertEqual(self.rig.pomona("enrollment", "resolve", "CONFLICT-1", check=False).returncode, 2)
        self.rig.pomona("enrollment", "resolve", "CONFLICT-1", "--keep", "new")
        self.handed(self.rig.idle(new), command)
        self.refused(self.rig.idle(old), "revoked certificate")
        self.handed(self.rig.idle(new), command)

    def test_a_conflict_can_be_resolved_for_the_old_generation(self):
        old, new = self.conflict("CONFLICT-2")
        self.rig.pomona("enrollment", "resolve", "CONFLICT-2", "--keep", "old")
        self.assertEqual(self.rig.states(old), ["current", "rejected"])
        command = self.rig.enqueue(old)
        self.handed(self.rig.idle(old), command)
        self.refused(self.rig.idle(new), "revoked certificate")
        self.assertEqual(self.rig.json("enrollment", "show", "CONFLICT-2")["frozen"], False)

    def test_an_embedded_identity_may_enrol_its_own_device_again(self):
        device = self.rig.device("PKCS12-1", kind="pkcs12")
        self.rig.enroll(device)
        command = self.rig.enqueue(device)
        self.accepted(self.rig.authenticate(device))
        self.assertEqual(self.rig.states(device), ["replaced", "current"])
        self.accepted(self.rig.authenticate(device))
        self.assertEqual(self.rig.states(device), ["replaced", "current"])
        self.accepted(self.rig.token_update(device))
        self.accepted(self.rig.idle(device))
        self.assertEqual(self.rig.json("command", "show", command)["enrollments"][0]["enrollment_state"], "replaced")
        thief = dataclasses.replace(device, udid="PKCS12-2")
        self.offence(thief, self.rig.authenticate(thief), "certificate of another enrolment")

    def test_user_enrollment_is_known_by_its_enrollment_id(self):
        device = self.rig.enrolled("opaque0123456789", user_enrollment=True)
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.accepted(self.rig.token_update(device, user=("EUSER", "e")))
        listed = {row["id"]: row["channel"] for row in self.rig.json("enrollment", "list")}
        self.assertEqual(listed["opaque0123456789"], "user-enrollment-device")
        self.assertEqual(listed["opaque0123456789:EUSER"], "user-enrollment-user")
        self.refused(self.rig.idle(dataclasses.replace(device, user_enrollment=False)), "certificate of another enrolment")
        other_kind = self.rig.device("opaque0123456789")
        self.refused(self.rig.authenticate(other_kind), "a device of another kind")

    def test_no_device_can_take_the_id_of_anothers_user_channel(self):
        for udid in ("VICTIM:USER", "A,B", "A B", "é", ""):
            device = self.rig.device(udid)
            device.udid = udid
            self.refused(self.rig.authenticate(device))

    def test_two_first_messages_at_once_make_two_generations_and_one_is_current(self):
        devices = [self.rig.device("RACE-1") for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(self.rig.authenticate, devices))
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(sorted(self.rig.states(devices[0])), ["current"] + ["pending"] * 5)


class WithoutApproval(mdm_rig.MdmTest):
    settings = {"reenrollment": "allow"}

    def test_an_unbound_ticket_replaces_the_live_generation(self):
        for purpose in ("enroll", "open"):
            device = self.rig.enrolled()
            command = self.rig.enqueue(device)
            again = self.rig.again(device, purpose=purpose)
            self.rig.enroll(again)
            self.assertEqual(self.rig.states(device), ["replaced", "current"])
            self.accepted(self.rig.idle(again))
            shown = self.rig.json("command", "show", command)["enrollments"][0]
            self.assertEqual(shown["enrollment_state"], "replaced")

    def test_a_hijack_lasts_until_the_victim_speaks_and_can_be_undone(self):
        victim = self.rig.enrolled(token_update={"UnlockToken": b"unlock"})
        self.rig.check_in(victim, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        command = self.rig.enqueue(victim)
        thief = self.rig.enroll(self.rig.again(victim))
        self.accepted(self.rig.idle(thief))
        self.assertNotIn(b"Ym9vdHN0cmFw", self.rig.check_in(thief, "GetBootstrapToken").body)
        self.refused(self.rig.idle(victim), "identity of a generation that was replaced")
        self.rig.enqueue(thief)
        self.accepted(self.rig.idle(thief))
        self.rig.pomona("enrollment", "resolve", victim.udid, "--keep", "old")
        self.handed(self.rig.idle(victim), command)
        self.assertIn(b"Ym9vdHN0cmFw", self.rig.check_in(victim, "GetBootstrapToken").body)
        for answer in (self.rig.idle(thief), self.rig.authenticate(thief), self.rig.check_in(thief, "GetBootstrapToken")):
            self.refused(answer, "revoked certificate")

    def test_a_frozen_generation_is_not_replaced_without_approval(self):
        old = self.rig.enrolled()
        self.rig.enroll(self.rig.again(old))
        self.refused(self.rig.idle(old))
        self.accepted(self.rig.authenticate(self.rig.again(old)))
        self.assertEqual(self.rig.states(old), ["replaced", "current", "pending"])


if __name__ == "__main__":
    unittest.main()
