"""Devices that renew their identity, and devices that misbehave with it, over nginx, TLS and SCEP as they are in the field."""
import json
import plistlib
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402
from polling import poll  # noqa: E402

HOUR = 3600


class TrustTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack({"reenrollment": "approve"})

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def setUp(self):
        self.s = self.stack

    # --- steps ---------------------------------------------------------------------------------------------------------

    def url(self, *options):
        return self.s.json("pomona", "ticket", "new", *options)["url"]

    def enrolled(self, name, *options, ticket=()):
        """A device whose UDID is its name."""
        self.s.enroll(name, self.url(*ticket), "--udid", name, *options)
        return name

    def renew(self, name, *options):
        return self.s.json("pomona", "enrollment", "renew", name, *options)["command_uuid"]

    def command(self, name):
        return self.s.json("pomona", "command", "enqueue", name, "--type", "DeviceInformation", "--no-push")["command_uuid"]

    def device(self, verb, name, *options, check=True):
        keys = ("--keys", stack.KEYS) if verb in ("poll", "wait") else ()
        return self.s.device(verb, name, *options, *keys, check=check)

    def poll(self, name, *options):
        """Request types of the commands that a session brought."""
        return [one["request_type"] for one in json.loads(self.device("poll", name, *options, "--json").stdout)["commands"]]

    def refused(self, run, words="HTTP 400"):
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertIn(words, run.stdout + run.stderr)

    def status(self, uuid, name):
        rows = self.s.json("pomona", "command", "show", uuid)["enrollments"]
        return next(row["status"] for row in rows if row["id"] == name)

    def identities(self, name):
        return [row["status"] for row in self.s.json("pomona", "enrollment", "show", name)["identities"]]

    def events(self, what, name):
        return self.s.sql(f"SELECT detail FROM events WHERE what = '{what}' AND external_id = '{name}'")

    def recorded(self, name):
        """The folder to which the device's requests and their answers go, and a look at one answer."""
        return self.s.folder / "recorded" / name

    # --- renewal -------------------------------------------------------------------------------------------------------

    def test_a_push_brings_the_renewal_and_everything_else_stays(self):
        name = self.enrolled("PUSHED", "--user", "alice")
        self.device("send", name, "SetBootstrapToken")
        before = self.s.json("pomona", "enrollment", "show", name)
        waiting, uuid = self.command(name), self.renew(name)
        said = self.device("wait", name, "--apns-log", self.s.env["POMONA_APNS_LOG"]).stdout
        self.assertIn("Authenticate accepted with the new identity", said)
        self.assertEqual([self.status(one, name) for one in (waiting, uuid)], ["Acknowledged"] * 2)
        self.assertEqual(self.identities(name), ["retiring", "issued"])
        after = self.s.json("pomona", "enrollment", "show", name)
        for key in ("uuid", "generation", "topic", "escrow"):
            self.assertEqual(after[key], before[key], key)
        self.assertEqual([row["id"] for row in after["user_channels"]], [row["id"] for row in before["user_channels"]])
        users = self.command(after["user_channels"][0]["id"])
        self.poll(name, "--user-channel")
        self.assertEqual(self.status(users, after["user_channels"][0]["id"]), "Acknowledged")

    def old_session(self, name, kind, *options):
        """Renews over a session that goes on showing the old identity; what that session was handed."""
        self.enrolled(name)
        uuid, following = self.renew(name, "--no-push"), self.command(name)
        said = self.device("poll", name, "--old-session", kind, *options).stdout
        self.assertIn(f"over a {kind} connection", said)
        self.assertEqual(self.status(uuid, name), "Acknowledged")
        return following, said

    def test_sessions_that_still_show_the_old_identity_end_what_is_under_way_and_get_no_command(self):
        for kind in ("kept", "resumed"):
            with self.subTest(kind):
                following, said = self.old_session(f"LOUD-{kind}", kind)
                self.assertIn("Authenticate accepted with the new identity", said)
                self.assertNotIn("DeviceInformation", said)
                self.assertEqual(self.poll(f"LOUD-{kind}", "--old-identity"), [])
                self.assertEqual(self.poll(f"LOUD-{kind}"), ["DeviceInformation"])
                self.assertEqual(self.status(following, f"LOUD-{kind}"), "Acknowledged")
                self.assertEqual(self.identities(f"LOUD-{kind}"), ["retiring", "issued"])

    def test_without_authenticate_the_old_identity_is_served_until_the_new_one_was_seen(self):
        for kind in ("kept", "resumed"):
            with self.subTest(kind):
                name = f"QUIET-{kind}"
                _, said = self.old_session(name, kind, "--quiet-renewal")
                self.assertNotIn("Authenticate", said)
                self.assertIn("DeviceInformation", said)
                self.assertEqual(self.identities(name), ["issued", "issued"])
                self.command(name)
                self.assertEqual(self.poll(name), ["DeviceInformation"])
                self.assertEqual(self.identities(name), ["retiring", "issued"])

    def test_a_device_that_signs_decrypts_its_renewal(self):
        name = self.enrolled("SIGNS", "--no-client-certificate", ticket=("--auth", "signature"))
        uuid, folder = self.renew(name, "--no-push"), self.recorded("SIGNS")
        self.assertEqual(self.poll(name, "--record", folder), ["InstallProfile"])
        profile = plistlib.loads(plistlib.loads((folder / "1-idle.reply").read_bytes())["Command"]["Payload"])
        self.assertTrue(profile["IsEncrypted"])
        self.assertEqual((self.status(uuid, name), self.identities(name)), ("Acknowledged", ["retiring", "issued"]))

    def test_a_device_wiped_during_its_renewal_gets_nothing_by_the_old_challenge(self):
        name, folder = self.enrolled("WIPED"), self.recorded("WIPED")
        self.renew(name, "--no-push")
        self.assertEqual(self.poll(name, "--ignore", "InstallProfile", "--record", folder), ["InstallProfile"])
        stolen = folder / "stolen.mobileconfig"
        stolen.write_bytes(plistlib.loads((folder / "1-idle.reply").read_bytes())["Command"]["Payload"])
        self.s.enroll(name, self.url("--udid", name), "--udid", name)
        self.assertEqual(self.poll(name), [])
        before = self.s.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity'")
        run = self.s.enroll("THIEF", stolen, "--udid", name, check=False)
        self.refused(run, "SCEP")
        self.assertIn("the ticket is spent", self.s.log("scep"))
        self.assertEqual(self.s.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity'"), before)
        self.renew(name, "--no-push")
        self.assertEqual(self.poll(name), ["InstallProfile"])

    # --- misbehaviour --------------------------------------------------------------------------------------------------

    def test_swapped_identities_reach_nothing(self):
        one, two = self.enrolled("SWAP-1"), self.enrolled("SWAP-2")
        commands = {name: self.command(name) for name in (one, two)}
        for name, other in ((one, two), (two, one)):
            identity = ("--identity", self.s.device_state(other))
            self.refused(self.device("poll", name, *identity, check=False))
            for message in ("Authenticate", "GetBootstrapToken") if name == one else ():
                self.refused(self.device("send", name, message, *identity, check=False))
            self.assertIn("certificate of another enrolment", self.events("identity.refused", name))
        for name, uuid in commands.items():
            self.assertEqual(self.poll(name), ["DeviceInformation"])
            self.assertEqual(self.status(uuid, name), "Acknowledged")

    def test_one_certificate_is_for_one_enrolment(self):
        name = self.enrolled("FIRST")
        run = self.s.enroll("SECOND", self.url(), "--udid", "SECOND", "--identity", self.s.device_state(name), check=False)
        self.refused(run, "refused Authenticate: HTTP 400")
        self.assertIn("certificate of another enrolment", self.events("identity.refused", "SECOND"))
        self.assertNotIn("SECOND", [row["id"] for row in self.s.json("pomona", "enrollment", "list")])
        self.assertEqual(self.poll(name), [])

    def test_a_hijack_waits_for_approval_and_the_victim_is_served(self):
        name = self.enrolled("VICTIM")
        uuid = self.command(name)
        self.s.enroll("HIJACKER", self.url(), "--udid", name)
        self.assertEqual(self.poll("HIJACKER"), [])
        self.assertEqual(self.poll(name), ["DeviceInformation"])
        self.assertEqual(self.status(uuid, name), "Acknowledged")
        self.s.run("pomona", "enrollment", "reject", name)
        self.refused(self.device("poll", "HIJACKER", check=False))
        self.assertEqual(self.poll(name), [])

    def test_a_hijack_that_was_let_in_is_frozen_when_the_victim_speaks_and_the_admin_decides(self):
        name = self.enrolled("ROBBED")
        self.s.enroll("ROBBER", self.url(), "--udid", name)
        self.s.run("pomona", "enrollment", "approve", name)
        self.command(name)
        self.refused(self.device("poll", name, check=False))
        self.assertTrue(self.s.json("pomona", "enrollment", "show", name)["frozen"])
        self.assertIn("pomona enrollment resolve", self.events("identity.conflict", name))
        self.assertEqual(self.poll("ROBBER"), [])
        self.s.run("pomona", "enrollment", "resolve", name, "--keep", "old")
        self.refused(self.device("poll", "ROBBER", check=False))
        self.command(name)
        self.assertEqual(self.poll(name), ["DeviceInformation"])

    def test_another_topic_is_refused(self):
        name = self.enrolled("TOPIC")
        for message in ("Authenticate", "TokenUpdate"):
            self.refused(self.device("send", name, message, "--set", "Topic=com.apple.mgmt.External.other", check=False))
        self.assertIn("a topic other than the enrolment's", self.events("identity.refused", name))
        self.assertEqual(self.poll(name), [])

    def test_a_recorded_request_yields_no_certificate_on_another_host(self):
        name = self.enrolled("RECORDED", "--no-client-certificate", ticket=("--auth", "signature"))
        folder = self.recorded(name)
        self.device("send", name, "SetBootstrapToken")
        self.device("send", name, "Idle", "--record", folder / "idle")
        self.device("send", name, "GetBootstrapToken", "--record", folder / "token")
        self.renew(name, "--no-push")

        def again(message, request):
            answer = self.device("send", name, message, "--body", request, "--headers", f"{request}.headers", "--no-identity", "--json")
            return plistlib.loads(json.loads(answer.stdout)["body"].encode())
        payload = again("command", folder / "idle/1-report")["Command"]["Payload"]
        self.assertTrue(plistlib.loads(payload)["IsEncrypted"])
        (folder / "stolen.mobileconfig").write_bytes(payload)
        self.refused(self.s.enroll("LISTENER", folder / "stolen.mobileconfig", "--udid", name, check=False), "has no identity yet to open it")
        self.assertEqual(again("GetBootstrapToken", folder / "token/1-checkin"), {})
        self.refused(self.device("send", name, "command", "--body", folder / "idle/1-report", "--no-identity", check=False))

    def test_a_clock_hours_off_either_way_gets_no_command(self):
        name = self.enrolled("SKEWED", "--no-client-certificate", "--signature-form", "attrs", ticket=("--auth", "signature"))
        self.renew(name, "--no-push")
        for skew in (-2 * HOUR, 2 * HOUR):
            self.assertEqual(self.poll(name, "--clock-skew", skew), [])
        self.assertEqual(self.poll(name, "--clock-skew", HOUR // 2), ["InstallProfile"])

    def test_an_expired_device_comes_back_by_its_renewal_and_nothing_else(self):
        """With an identity of seconds, so that nginx itself says that it has expired."""
        self.s.up({"identity-lifetime": "8s"})
        name = self.enrolled("LATE")
        self.renew(name, "--no-push")
        self.s.up({"identity-lifetime": "30d"})
        first = self.command(name)
        self.s.sql("UPDATE queue q JOIN commands c ON c.id = q.command_id SET q.priority = 1 WHERE c.uuid = '" + first + "'")
        poll(lambda: "InstallProfile" in self.device("send", name, "Idle", "--json", check=False).stdout, 40)
        self.assertIn("expired identity, in grace until", self.s.log("mdm-1") + self.s.log("mdm-2"))
        for message in ("TokenUpdate", "Authenticate", "GetBootstrapToken"):
            self.refused(self.device("send", name, message, check=False))
        self.assertEqual(self.poll(name, "--quiet-renewal", "--old-session", "kept"), ["InstallProfile"])
        self.assertEqual(self.poll(name), ["DeviceInformation"])


if __name__ == "__main__":
    unittest.main()
