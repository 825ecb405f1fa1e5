"""TokenUpdate, bootstrap tokens, user channels, CheckOut and UserAuthenticate at pomona-mdm."""
# time limit: 600
import plistlib
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import CHECKIN  # noqa: E402

USER = ("2F1C0A6B-USER", "alice")
OTHER = ("90D1FF00-USER", "bob")
SHARED_IPAD = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"


class CheckIn(mdm_rig.MdmTest):
    def push_state(self, external_id):
        return self.rig.sql("SELECT p.due_at IS NOT NULL, p.dead_since IS NOT NULL FROM push_state p JOIN enrollments e "
                            f"ON e.id = p.enrollment_id WHERE e.current_id = '{external_id}'")

    def escrowed(self, device):
        return [row["kind"] for row in self.rig.json("enrollment", "show", device.udid)["escrow"]]

    # --- TokenUpdate --------------------------------------------------------------------------------------------------

    def test_a_token_update_makes_the_enrolment_reachable(self):
        device = self.rig.device()
        self.accepted(self.rig.authenticate(device))
        command = self.rig.enqueue(device)
        self.accepted(self.rig.idle(device))
        self.accepted(self.rig.token_update(device, AwaitingConfiguration=True))
        self.assertEqual(self.push_state(device.udid), "1\t0")
        shown = self.rig.json("enrollment", "show", device.udid)
        self.assertEqual((shown["token_update_tally"], shown["awaiting_configuration"]), (1, True))
        self.handed(self.rig.idle(device), command)

    def test_the_newest_token_counts_and_a_repeated_one_is_no_new_one(self):
        device = self.rig.enrolled()
        self.accepted(self.rig.token_update(device))
        self.assertEqual(self.rig.json("enrollment", "show", device.udid)["token_update_tally"], 1)
        self.accepted(self.rig.token_update(device, Token=b"\x01" * 40, PushMagic="newest"))
        self.assertEqual(self.rig.sql("SELECT HEX(push_token), push_magic, token_update_tally FROM enrollments "
                                      f"WHERE current_id = '{device.udid}'"), "01" * 40 + "\tnewest\t2")

    def test_any_message_revives_a_token_that_apns_called_dead(self):
        device = self.rig.enrolled()
        for message in (lambda: self.rig.idle(device), lambda: self.rig.token_update(device)):
            self.rig.sql(f"UPDATE push_state SET dead_since = NOW() WHERE enrollment_id = {self.rig.enrollment_id(device)}")
            self.accepted(message())
            self.assertEqual(self.push_state(device.udid), "0\t0")

    def test_a_missing_unlock_token_keeps_the_old_one(self):
        device = self.rig.enrolled(token_update={"UnlockToken": b"first"})
        secret = f"SELECT HEX(secret_id) FROM escrow WHERE enrollment_id = {self.rig.enrollment_id(device)}"
        first = self.rig.sql(secret)
        self.accepted(self.rig.token_update(device, PushMagic="2"))
        self.accepted(self.rig.token_update(device, PushMagic="3", UnlockToken=b""))
        self.assertEqual(self.rig.sql(secret), first)
        self.accepted(self.rig.token_update(device, PushMagic="4", UnlockToken=b"second"))
        self.assertNotEqual(self.rig.sql(secret), first)
        self.assertEqual(self.rig.count("secrets", f"id = x'{first}'"), 0)
        self.assertEqual(self.escrowed(device), ["unlock-token"])

    def test_a_token_update_that_lacks_something_is_refused(self):
        device = self.rig.enrolled()
        good = {"MessageType": "TokenUpdate", "Topic": device.topic, "UDID": device.udid, "Token": b"t", "PushMagic": "m"}
        for wrong in ({"Token": b""}, {"Token": "text"}, {"Token": b"x" * 256}, {"PushMagic": ""}, {"PushMagic": "x" * 256},
                      {"Topic": "two words"}, {"UnlockToken": "text"}, {"UnlockToken": b"x" * (1 << 21)}):
            self.refused(self.rig.send(device, good | wrong, CHECKIN))
        for missing in ("Token", "PushMagic", "Topic"):
            self.refused(self.rig.send(device, {k: v for k, v in good.items() if k != missing}, CHECKIN))
        self.assertEqual(self.rig.json("enrollment", "show", device.udid)["token_update_tally"], 1)

    # --- bootstrap token ----------------------------------------------------------------------------------------------

    def test_a_bootstrap_token_is_given_back_until_it_is_erased(self):
        device = self.rig.enrolled()
        self.assertEqual(plistlib.loads(self.rig.check_in(device, "GetBootstrapToken").body), {})
        self.accepted(self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"\x00secret\xff"))
        answer = self.rig.check_in(device, "GetBootstrapToken", AwaitingConfiguration=False)
        self.assertEqual(answer.headers["content-type"], "application/xml; charset=UTF-8")
        self.assertEqual(plistlib.loads(answer.body), {"BootstrapToken": b"\x00secret\xff"})
        for erase in ({"BootstrapToken": b""}, {}):
            self.accepted(self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"again"))
            self.assertEqual(self.escrowed(device), ["bootstrap-token"])
            self.accepted(self.rig.check_in(device, "SetBootstrapToken", **erase))
            self.assertEqual(self.escrowed(device), [])
            self.assertEqual(plistlib.loads(self.rig.check_in(device, "GetBootstrapToken").body), {})
        self.refused(self.rig.check_in(device, "SetBootstrapToken", USER, BootstrapToken=b"x"))
        self.refused(self.rig.check_in(device, "GetBootstrapToken", USER))

    # --- user channels ------------------------------------------------------------------------------------------------

    def test_user_channels_have_queues_of_their_own(self):
        device = self.rig.enrolled()
        self.accepted(self.rig.idle(device, user=USER))
        for user in (USER, OTHER):
            self.accepted(self.rig.token_update(device, user, Token=b"of" + user[0].encode()))
        mine, others = self.rig.enqueue(device, user=USER), self.rig.enqueue(device, user=OTHER)
        machine = self.rig.enqueue(device)
        self.handed(self.rig.idle(device, user=USER), mine)
        self.handed(self.rig.idle(device, user=OTHER), others)
        self.handed(self.rig.idle(device), machine)
        self.accepted(self.rig.report(device, mine, user=USER))
        self.handed(self.rig.idle(device), machine)
        shown = self.rig.json("enrollment", "show", f"{device.udid}:{USER[0]}")
        self.assertEqual((shown["channel"], shown["user_short_name"], shown["user_long_name"]), ("user", "alice", "Alice"))

    def test_a_shared_ipad_user_is_known_by_the_managed_apple_account(self):
        device = self.rig.enrolled()
        user = (SHARED_IPAD, "alice@example.org")
        self.accepted(self.rig.token_update(device, user))
        command = {"CommandUUID": "shared-1", "Command": {"RequestType": "ProfileList"}}
        self.rig.pomona("command", "enqueue", f"{device.udid}:alice@example.org", "-", stdin=plistlib.dumps(command))
        self.handed(self.rig.idle(device, user=user), "shared-1")
        self.accepted(self.rig.idle(device, user=(SHARED_IPAD, "bob@example.org")))

    def test_user_channels_end_with_the_generation_of_their_device(self):
        device = self.rig.enrolled()
        self.accepted(self.rig.token_update(device, USER))
        self.rig.enqueue(device, user=USER)
        again = self.rig.enroll(self.rig.again(device, bind_udid=device.udid))
        self.accepted(self.rig.idle(again, user=USER))
        run = self.rig.pomona("command", "enqueue", f"{device.udid}:{USER[0]}", "--type", "ProfileList", check=False)
        self.assertIn(b"the enrolment is replaced", run.stderr)
        self.accepted(self.rig.token_update(again, USER))
        self.accepted(self.rig.idle(again, user=USER))
        fresh = self.rig.enqueue(again, user=USER)
        self.handed(self.rig.idle(again, user=USER), fresh)

    # --- CheckOut and the rest ----------------------------------------------------------------------------------------

    def test_nothing_is_served_after_check_out(self):
        device = self.rig.enrolled(token_update={"UnlockToken": b"unlock"})
        self.accepted(self.rig.token_update(device, USER))
        command = self.rig.enqueue(device)
        self.accepted(self.rig.check_in(device, "CheckOut", Topic=device.topic))
        self.accepted(self.rig.check_in(device, "CheckOut", Topic=device.topic))
        for answer in (self.rig.idle(device), self.rig.idle(device, user=USER), self.rig.report(device, command),
                       self.rig.authenticate(device), self.rig.token_update(device), self.rig.token_update(device, USER),
                       self.rig.check_in(device, "GetBootstrapToken")):
            self.refused(answer, "the enrolment was checked out")
        self.assertEqual(self.rig.states(device), ["checked-out"])
        run = self.rig.pomona("command", "enqueue", device.udid, "--type", "ProfileList", check=False)
        self.assertIn(b"the enrolment is checked-out", run.stderr)
        self.assertEqual(self.rig.count("push_state p JOIN enrollments e ON e.id = p.enrollment_id",
                                        f"e.external_id LIKE '{device.udid}%' AND due_at IS NOT NULL"), 0)
        self.assertEqual(self.rig.count("events", f"what = 'enrollment.checked-out' AND external_id = '{device.udid}'"), 1)
        again = self.rig.enroll(self.rig.again(device))
        self.assertEqual(self.rig.states(device), ["checked-out", "current"])
        self.accepted(self.rig.idle(again))

    def test_a_user_channel_can_check_out_alone(self):
        device = self.rig.enrolled()
        self.accepted(self.rig.token_update(device, USER))
        self.accepted(self.rig.check_in(device, "CheckOut", USER, Topic=device.topic))
        self.refused(self.rig.idle(device, user=USER), "the user channel was checked out")
        self.accepted(self.rig.idle(device))
        self.accepted(self.rig.token_update(device, USER, PushMagic="back"))
        self.accepted(self.rig.idle(device, user=USER))

    def test_user_authenticate_is_declined(self):
        device = self.rig.enrolled()
        answer = self.rig.check_in(device, "UserAuthenticate", USER)
        self.assertEqual((answer.status, answer.body.strip()), (410, b"Gone"))
        self.refused(self.rig.check_in(self.rig.device(device.udid), "UserAuthenticate", USER))

    def test_other_message_types_are_refused(self):
        device = self.rig.enrolled()
        for kind in ("DeclarativeManagement", "GetToken", "ReturnToService", "Nonsense", "two words", ""):
            self.refused(self.rig.check_in(device, kind))
        self.refused(self.rig.send(device, device.ids(), CHECKIN))
        self.refused(self.rig.check_in(device, "Authenticate", USER, Topic=device.topic))

    def test_names_that_are_too_long_do_not_keep_a_device_out(self):
        device = self.rig.device()
        self.accepted(self.rig.authenticate(device, DeviceName="ä" * 400, OSVersion="1" * 100))
        self.refused(self.rig.authenticate(device, SerialNumber="x" * 65))
        shown = self.rig.json("enrollment", "show", device.udid)
        self.assertEqual((shown["device_name"], shown["os_version"]), ("ä" * 127, "1" * 64))


if __name__ == "__main__":
    unittest.main()
