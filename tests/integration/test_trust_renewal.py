"""A renewal by command: rendered at delivery from what the enrolment was given, under a ticket that lives as long as the command."""
# time limit: 600
import hashlib
import plistlib
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
import pki  # noqa: E402
from trust_rig import DAY, FROZEN, HOUR, SCEP_URL, Offer, TrustTest  # noqa: E402


class Renewal(TrustTest):
    settings = {"reenrollment": "approve", "identity-overlap": "24h"}

    def test_a_renewal_is_queued_without_a_secret_and_pushed(self):
        device = self.rig.enrolled()
        answer = self.rig.renew(device)
        self.assertEqual((answer["id"], answer["waited"]), (device.udid, False))
        row = self.rig.sql(f"SELECT kind, request_type, renderer, body, parameters FROM commands WHERE uuid = '{answer['command_uuid']}'")
        self.assertEqual(row, "rendered\tInstallProfile\trenew\tNULL\tNULL")
        self.assertEqual(self.rig.sql(f"SELECT COUNT(*) FROM tickets WHERE purpose = 'renew' AND enrollment_id = "
                                      f"{self.rig.enrollment_id(device)}"), "0")
        due = f"push_state WHERE enrollment_id = {self.rig.enrollment_id(device)} AND due_at IS NOT NULL"
        self.assertEqual(self.rig.sql(f"SELECT COUNT(*) FROM {due}"), "1")

    def test_one_renewal_is_outstanding_at_a_time_and_a_second_call_says_so(self):
        device = self.rig.enrolled()
        first = self.rig.renew(device, "--no-push")
        self.assertEqual(self.rig.renew(device), first | {"waited": True})
        self.assertIn(b"queued already as " + first["command_uuid"].encode(),
                      self.rig.pomona("enrollment", "renew", device.udid).stdout)
        offer = Offer(self.rig.idle(device))
        self.assertEqual(offer.uuid, first["command_uuid"])
        self.nothing(self.rig.report(device, offer.uuid))
        self.assertNotEqual(self.rig.renew(device)["command_uuid"], first["command_uuid"])

    def test_the_profile_has_what_was_given_before_and_a_fresh_challenge(self):
        device = self.rig.enrolled()
        offer = self.rig.offered(device)
        self.assertEqual((offer.root["PayloadIdentifier"], offer.root["PayloadType"]), (FROZEN["root_identifier"], "Configuration"))
        self.assertEqual(offer.root["PayloadUUID"], self.rig.sql(f"SELECT uuid FROM profiles WHERE ticket_id = {device.number}"))
        mdm, scep = offer.mdm, offer.scep["PayloadContent"]
        self.assertEqual((mdm["ServerURL"], mdm["CheckInURL"], mdm["AccessRights"], mdm["Topic"], mdm["SignMessage"]),
                         (FROZEN["server_url"], FROZEN["checkin_url"], FROZEN["access_rights"], device.topic, False))
        self.assertEqual(mdm["ServerCapabilities"], FROZEN["capabilities"].split())
        self.assertEqual(mdm["IdentityCertificateUUID"], offer.scep["PayloadUUID"])
        ca = bytes.fromhex(self.rig.sql("SELECT HEX(der) FROM certificates WHERE kind = 'ca'"))
        self.assertEqual((scep["URL"], scep["CAFingerprint"]), (SCEP_URL, hashlib.sha256(ca).digest()))
        number, state, purpose, enrollment, left = self.rig.ticket_of(offer.challenge)
        self.assertEqual((state, purpose, enrollment), ("open", "renew", self.rig.enrollment_id(device)))
        self.assertTrue(0 < left <= DAY, left)
        self.assertEqual(self.rig.sql(f"SELECT topic, auth, HEX(secret_sha256) FROM tickets WHERE id = {number}"),
                         f"{device.topic}\ttls\tNULL")

    def test_a_report_is_taken_even_if_the_renewal_behind_it_cannot_be_made(self):
        pem = self.rig.folder / "https-ca.pem"
        pem.write_text("-----BEGIN CERTIFICATE-----\nhalf a file")
        self.rig.restart(https_ca_file=pem)
        self.addCleanup(self.rig.restart, https_ca_file="")
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.renew(device)
        self.nothing(self.rig.report(device, command))
        self.assertIn("https-ca-file", self.rig.last_line())
        self.assertEqual(self.rig.idle(device).status, 500, "a fault of ours is no fault of the device")
        pem.write_bytes(pki.make_ca("HTTPS CA").cert_pem())
        self.assertEqual(len([payload for payload in Offer(self.rig.idle(device)).payloads if payload["PayloadType"].startswith("com.apple.security.")]), 2)

    def test_the_challenge_is_in_no_log_and_in_no_row(self):
        device = self.rig.enrolled()
        offer = self.rig.offered(device)
        dump = subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", self.rig.db.socket, "pomona"],
                              capture_output=True, check=True).stdout
        self.assertIn(offer.uuid.encode(), dump)
        self.assertNotIn(offer.challenge.encode(), dump + self.rig.log_text().encode())

    def test_a_challenge_stays_good_when_the_command_is_handed_out_again(self):
        """A device that polls twice, or somebody who sends its message again, takes nothing from the profile being installed."""
        device = self.rig.enrolled()
        first = self.rig.offered(device)
        second = Offer(self.rig.idle(device))
        self.assertEqual((first.uuid, first.challenge), (second.uuid, second.challenge))
        self.assertEqual(self.rig.ticket_of(first.challenge)[1], "open")
        where = f"purpose = 'renew' AND enrollment_id = {self.rig.enrollment_id(device)}"
        self.assertEqual(self.rig.count("tickets", where), 1, "a device that polls does not fill the table")
        self.rig.redeem(device, first)
        third = Offer(self.rig.idle(device))
        self.assertEqual([self.rig.ticket_of(offer.challenge)[1] for offer in (second, third)], ["closed", "open"])
        self.assertEqual(self.events_of(device, "renewal.offered").count("\n"), 1)

    def test_no_challenge_lives_longer_than_a_day_however_often_it_is_fetched(self):
        device = self.rig.enrolled()
        first = self.rig.offered(device)
        self.rig.restart(clock=23 * HOUR + HOUR // 2)
        second = Offer(self.rig.idle(device))
        self.assertEqual([self.rig.ticket_of(offer.challenge)[1] for offer in (first, second)], ["closed", "open"])
        left = self.rig.ticket_of(second.challenge)[4] - (23 * HOUR + HOUR // 2)
        self.assertTrue(0 < left <= DAY, left)

    def test_the_ticket_closes_with_whatever_settles_the_command(self):
        for status, state in (("NotNow", "open"), ("Acknowledged", "closed"), ("Error", "closed"), ("CommandFormatError", "closed")):
            with self.subTest(status):
                device = self.rig.enrolled()
                offer = self.rig.offered(device)
                self.assertEqual(self.rig.report(device, offer.uuid, status).status, 200)
                self.assertEqual(self.rig.ticket_of(offer.challenge)[1], state)
                other = self.rig.offered(self.rig.enrolled())
                self.assertEqual(self.rig.ticket_of(other.challenge)[1], "open")

    def test_another_report_leaves_the_ticket_open(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.renew(device)
        offer = Offer(self.rig.report(device, command))
        self.rig.report(device, "never-queued")
        self.assertEqual(self.rig.ticket_of(Offer(self.rig.idle(device)).challenge)[1], "open")
        self.nothing(self.rig.report(device, offer.uuid))

    def test_a_renewal_waits_for_its_turn_and_is_for_the_device_channel(self):
        device = self.rig.enrolled()
        self.rig.token_update(device, user=("USER", "user"))
        command = self.rig.enqueue(device)
        self.rig.renew(device)
        self.handed(self.rig.idle(device), command)
        self.nothing(self.rig.idle(device, user=("USER", "user")))
        self.assertTrue(Offer(self.rig.report(device, command)).challenge)

    def test_it_goes_to_nobody_who_is_not_served(self):
        device = self.rig.enrolled()
        offer = self.rig.offered(device)
        renewed = self.rig.redeem(device, offer)
        self.assertTrue(Offer(self.rig.idle(renewed)).challenge)
        self.nothing(self.rig.idle(device))
        waiting = self.rig.again(device)
        self.accepted(self.rig.authenticate(waiting))
        self.accepted(self.rig.token_update(waiting))
        self.nothing(self.rig.idle(waiting))
        self.rig.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {renewed.certificate_id}")
        self.refused(self.rig.idle(renewed), "revoked certificate")

    def test_without_a_ca_the_device_is_told_to_come_again_and_the_command_waits(self):
        device = self.rig.enrolled()
        self.rig.renew(device)
        self.rig.sql("UPDATE certificates SET status = 'retired' WHERE kind = 'ca'")
        self.assertEqual(self.rig.idle(device).status, 503)
        self.rig.sql("UPDATE certificates SET status = 'active' WHERE kind = 'ca'")
        self.assertTrue(Offer(self.rig.idle(device)).challenge)

    def test_what_cannot_be_fetched_is_not_queued(self):
        def refusal(udid, *words):
            run = self.rig.pomona("enrollment", "renew", udid, check=False)
            self.assertEqual(run.returncode, 1)
            for word in words:
                self.assertIn(word, run.stderr.decode())
        refusal("nobody", "there is none")
        gone = self.rig.enrolled()
        self.rig.check_in(gone, "CheckOut")
        refusal(gone.udid, "checked-out, not current")
        strange = self.rig.enrolled()
        self.rig.sql(f"UPDATE enrollments SET profile_id = NULL WHERE current_id = '{strange.udid}'")
        refusal(strange.udid, "profile it was enrolled with is not known")
        late = self.rig.enrolled(days=1)
        run = self.rig.pomona("enrollment", "renew", late.udid, check=False, clock=182 * DAY)
        self.assertIn(f"pomona ticket new --for {late.udid}", run.stderr.decode())
        self.rig.renew(late, clock=180 * DAY)
        frozen = self.rig.enrolled()
        self.rig.sql(f"UPDATE enrollments SET frozen = TRUE WHERE current_id = '{frozen.udid}'")
        refusal(frozen.udid, "pomona enrollment resolve")

    def everything_stays(self, first_messages):
        """From `pomona enrollment renew` to the new identity; `first_messages` is what the device sends with it at first."""
        rig, device = self.rig, self.rig.enrolled(token_update={"UnlockToken": b"unlock"})
        rig.token_update(device, user=("USER", "user"))
        rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        before = rig.json("enrollment", "show", device.udid)
        offer = rig.offered(device)
        command, users = rig.enqueue(device), rig.enqueue(device, user=("USER", "user"))
        renewed = rig.redeem(device, offer)
        first_messages(device, renewed, offer, command)
        self.assertEqual((rig.status(device), rig.status(renewed)), ("retiring", "issued"))
        self.assertEqual(rig.ticket_of(offer.challenge)[1], "closed")
        self.handed(rig.idle(renewed), command)
        self.handed(rig.idle(renewed, user=("USER", "user")), users)
        self.assertIn(b"Ym9vdHN0cmFw", rig.check_in(renewed, "GetBootstrapToken").body)
        after = rig.json("enrollment", "show", device.udid)
        for key in ("uuid", "generation", "token_update_tally"):
            self.assertEqual(after[key], before[key], key)
        self.assertEqual([row["kind"] for row in after["escrow"]], ["unlock-token", "bootstrap-token"])
        self.assertEqual(len(after["user_channels"]), 1)
        self.assertEqual(self.events_of(device, "enrollment.renewed").count("retires"), 1)

    def test_with_authenticate_everything_stays(self):
        def messages(device, renewed, offer, _):
            self.accepted(self.rig.authenticate(renewed))
            self.accepted(self.rig.token_update(renewed, UnlockToken=b"unlock"))
            # The report still comes over the connection that shows the old identity.
            self.nothing(self.rig.report(device, offer.uuid))
        self.everything_stays(messages)

    def test_without_authenticate_everything_stays(self):
        def messages(device, renewed, offer, command):
            # The old identity is served until the new one was seen.
            self.handed(self.rig.report(device, offer.uuid), command)
            self.handed(self.rig.idle(renewed), command)
        self.everything_stays(messages)

    def test_a_new_identity_that_is_revoked_while_its_first_message_waits_renews_nothing(self):
        device = self.rig.enrolled()
        renewed = self.rig.redeem(device, self.rig.offered(device))
        admin = self.rig.db.session()
        self.addCleanup(admin.close)
        admin.say(f"START TRANSACTION; SELECT id FROM enrollments WHERE id = {self.rig.enrollment_id(device)} FOR UPDATE")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.rig.token_update(renewed)))
        thread.start()
        self.rig.db.until_blocked()
        admin.say(f"UPDATE certificates SET status = 'revoked' WHERE id = {renewed.certificate_id}; COMMIT")
        thread.join()
        self.assertEqual(answers[0].status, 400)
        self.assertIn("revoked meanwhile", self.rig.last_line())
        self.assertEqual((self.rig.status(device), self.rig.status(renewed)), ("issued", "revoked"))
        self.assertEqual(self.events_of(device, "enrollment.renewed"), "")

    def test_the_overlap_ends(self):
        device = self.rig.enrolled()
        offer = self.rig.offered(device)
        renewed = self.rig.redeem(device, offer)
        self.nothing(self.rig.report(renewed, offer.uuid))
        command = self.rig.enqueue(device)
        self.rig.restart(clock=23 * HOUR)
        self.nothing(self.rig.report(device, "late-report"))
        self.rig.restart(clock=25 * HOUR)
        self.refused(self.rig.report(device, "later-report"), "certificate that a renewal has replaced")
        self.assertIn("replaced", self.events_of(device, "identity.conflict"))
        self.handed(self.rig.idle(renewed), command)

    def test_a_wiped_device_gets_nothing_of_a_renewal_that_was_pending(self):
        device = self.rig.enrolled("WIPED-1")
        offer = self.rig.offered(device)
        unseen = self.rig.redeem(device, offer)
        again = self.rig.enroll(self.rig.again(device, bind_udid="WIPED-1"))
        self.assertEqual(self.rig.ticket_of(offer.challenge)[1], "closed")
        self.assertEqual(self.rig.status(unseen), "revoked")
        self.nothing(self.rig.idle(again))
        self.refused(self.rig.idle(unseen), "revoked certificate")
        self.assertEqual(self.rig.json("enrollment", "show", "WIPED-1")["frozen"], False)
        fresh = self.rig.offered(again)
        self.assertNotEqual(fresh.uuid, offer.uuid)
        self.assertEqual(self.rig.ticket_of(fresh.challenge)[3], self.rig.enrollment_id(again))

    def test_a_conflict_ends_the_newcomers_open_renewal(self):
        old = self.rig.enrolled("FROZEN-1")
        new = self.rig.enroll(self.rig.again(old, bind_udid="FROZEN-1"))
        offer = self.rig.offered(new)
        self.refused(self.rig.idle(old), "identity of a generation that was replaced")
        self.assertEqual(self.rig.ticket_of(offer.challenge)[1], "closed")
        self.nothing(self.rig.idle(new))
        self.rig.pomona("enrollment", "resolve", "FROZEN-1", "--keep", "new")
        self.assertTrue(Offer(self.rig.idle(new)).challenge)

    def test_an_ended_enrolment_has_no_open_renewal(self):
        for end in (lambda device: self.rig.check_in(device, "CheckOut"),
                    lambda device: self.rig.pomona("enrollment", "disable", device.udid, "--yes")):
            device = self.rig.enrolled()
            offer = self.rig.offered(device)
            end(device)
            self.assertEqual(self.rig.ticket_of(offer.challenge)[1], "closed")

    def test_a_command_that_is_rendered_shows_no_profile_to_the_admin(self):
        device = self.rig.enrolled()
        offer = self.rig.offered(device)
        self.nothing(self.rig.report(device, offer.uuid))
        shown = self.rig.json("command", "show", offer.uuid)
        self.assertIsNone(shown["command"])
        self.assertEqual(shown["enrollments"][0]["status"], "Acknowledged")
        self.assertEqual(plistlib.loads(shown["enrollments"][0]["report"].encode())["UDID"], device.udid)


if __name__ == "__main__":
    unittest.main()
