"""A renewed identity keeps the enrolment; the old one retires, then is refused."""
# time limit: 600
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402

HOUR = 3600


class Renewal(mdm_rig.MdmTest):
    settings = {"reenrollment": "approve", "identity-overlap": "24h"}

    def setUp(self):
        if self.rig.clock:
            self.rig.restart()

    def status(self, device):
        return self.rig.sql(f"SELECT status FROM certificates WHERE id = {device.certificate_id}")

    def everything_stays(self, send_first, by_ticket=True):
        device = self.rig.enrolled(token_update={"UnlockToken": b"unlock"})
        self.rig.token_update(device, user=("USER", "user"))
        self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        command, users = self.rig.enqueue(device), self.rig.enqueue(device, user=("USER", "user"))
        tally = self.rig.json("enrollment", "show", device.udid)["token_update_tally"]
        renewed = self.rig.renewed(device, by_ticket)
        send_first(renewed)
        self.assertEqual((self.status(device), self.status(renewed)), ("retiring", "issued"))
        if by_ticket:
            self.assertEqual(self.rig.sql(f"SELECT state FROM tickets WHERE id = {renewed.number}"), "closed")
        self.assertEqual(self.rig.states(device), ["current"])
        self.handed(self.rig.idle(renewed), command)
        self.handed(self.rig.idle(renewed, user=("USER", "user")), users)
        self.assertIn(b"Ym9vdHN0cmFw", self.rig.check_in(renewed, "GetBootstrapToken").body)
        shown = self.rig.json("enrollment", "show", device.udid)
        self.assertEqual(len(shown["escrow"]), 2)
        self.assertEqual(shown["token_update_tally"], tally)
        where = f"what = 'enrollment.renewed' AND external_id = '{device.udid}'"
        self.assertEqual(self.rig.count("events", where), 1)
        return device, renewed

    def test_a_renewal_with_authenticate_keeps_everything(self):
        def first(renewed):
            self.accepted(self.rig.authenticate(renewed))
            self.accepted(self.rig.authenticate(renewed))
            self.accepted(self.rig.token_update(renewed, UnlockToken=b"unlock"))
        self.everything_stays(first)

    def test_a_renewal_without_authenticate_keeps_everything(self):
        self.everything_stays(lambda renewed: self.assertEqual(self.rig.idle(renewed).status, 200))
        self.everything_stays(lambda renewed: self.accepted(self.rig.token_update(renewed)))

    def test_a_renewal_without_a_ticket_keeps_everything(self):
        self.everything_stays(lambda renewed: self.accepted(self.rig.authenticate(renewed)), by_ticket=False)
        self.everything_stays(lambda renewed: self.assertEqual(self.rig.idle(renewed).status, 200), by_ticket=False)

    def test_the_old_identity_settles_reports_and_gets_no_command_while_it_retires(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        renewed = self.rig.renewed(device)
        self.handed(self.rig.idle(renewed), command)
        self.accepted(self.rig.report(device, command))
        self.accepted(self.rig.idle(device))
        self.assertEqual(self.rig.json("command", "show", command)["enrollments"][0]["status"], "Acknowledged")
        self.handed(self.rig.idle(renewed), following)

        self.rig.restart(clock=23 * HOUR)
        self.accepted(self.rig.idle(device))
        self.rig.restart(clock=25 * HOUR)
        self.refused(self.rig.idle(device), "certificate that a renewal has replaced")
        self.assertEqual(self.rig.count("events", f"what = 'identity.conflict' AND external_id = '{device.udid}'"), 1)
        self.handed(self.rig.idle(renewed), following)

    def test_renewals_that_were_never_seen_are_revoked_by_a_later_one(self):
        device = self.rig.enrolled()
        lost, seen = self.rig.renewed(device), self.rig.renewed(device)
        self.assertEqual(self.rig.idle(seen).status, 200)
        self.assertEqual((self.status(lost), self.status(device)), ("revoked", "retiring"))
        self.refused(self.rig.idle(lost), "revoked certificate")

    def test_a_renewed_identity_is_for_its_own_device_only(self):
        device, other = self.rig.enrolled(), self.rig.enrolled()
        renewed = self.rig.renewed(device)
        renewed.udid = other.udid
        self.refused(self.rig.authenticate(renewed), "certificate of another enrolment")
        self.refused(self.rig.idle(renewed), "certificate of another enrolment")
        self.assertEqual((self.status(device), self.status(other)), ("issued", "issued"))

    def test_an_expired_identity_is_handed_no_command(self):
        device = self.rig.enrolled(days=30)
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.restart(clock=31 * 24 * HOUR)
        self.accepted(self.rig.idle(device))


if __name__ == "__main__":
    unittest.main()
