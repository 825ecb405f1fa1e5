"""The main job, as a user sees it: a device enrols over TLS and SCEP, is woken by a push, answers a command."""
import json
import os
import plistlib
import re
import signal
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402
from polling import poll  # noqa: E402


def udid(s, name):
    return plistlib.loads((s.device_state(name) / "state.plist").read_bytes())["udid"]


class MainJobTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack()

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def ticket(self, *options):
        return self.stack.json("pomona", "ticket", "new", *options)

    def enrolled(self, name, *options, ticket=()):
        self.stack.enroll(name, self.ticket(*ticket)["url"], *options)
        return udid(self.stack, name)

    def command(self, device, *options):
        return self.stack.json("pomona", "command", "enqueue", device, "--type", "DeviceInformation", *options)

    def wait(self, name, *options):
        return self.stack.device("wait", name, "--apns-log", self.stack.env["POMONA_APNS_LOG"], *options)

    def result(self, uuid, device):
        shown = self.stack.json("pomona", "command", "show", uuid)
        return next(row for row in shown["enrollments"] if row["id"] == device)

    def test_a_device_enrols_is_pushed_and_answers_a_command(self):
        s = self.stack
        device = self.enrolled("first")
        uuid = self.command(device)["command_uuid"]
        self.assertIn("DeviceInformation", self.wait("first").stdout)
        found = self.result(uuid, device)
        self.assertEqual(found["status"], "Acknowledged")
        self.assertEqual(plistlib.loads(found["report"].encode())["UDID"], device)
        push = [p for p in s.pushes()][-1]
        self.assertEqual(push["headers"]["apns-push-type"], "mdm")
        self.assertEqual(push["headers"]["apns-priority"], "10")
        self.assertTrue(push["topic"].startswith("com.apple.mgmt."))

    def test_push_send_wakes_a_device_whose_queue_is_empty(self):
        device = self.enrolled("woken")
        before = len(self.stack.pushes())
        shown = self.stack.json("pomona", "push", "send", device)
        self.assertIn(device, json.dumps(shown))
        poll(lambda: len(self.stack.pushes()) > before)
        self.wait("woken")

    def test_a_device_that_signs_its_messages_does_the_same(self):
        device = self.enrolled("signing", "--no-client-certificate", ticket=("--auth", "signature"))
        uuid = self.command(device)["command_uuid"]
        self.wait("signing", "--no-client-certificate")
        self.assertEqual(self.result(uuid, device)["status"], "Acknowledged")

    def test_an_iphone_and_the_user_channel_of_a_mac_enrol(self):
        s = self.stack
        phone = self.enrolled("phone", "--kind", "iphone")
        mac = self.enrolled("with-user", "--user", "alice")
        rows = {row["id"]: row for row in s.json("pomona", "enrollment", "list")}
        self.assertIn(phone, rows)
        users = [row for key, row in rows.items() if key.startswith(mac + ":")]
        self.assertEqual(len(users), 1)
        uuid = self.command(users[0]["id"])["command_uuid"]
        s.device("poll", "with-user", "--user-channel")
        self.assertEqual(self.result(uuid, users[0]["id"])["status"], "Acknowledged")

    def test_open_enrolment_serves_many_devices_at_once(self):
        s = self.stack
        run = s.run("pomona-device", "fleet", "--url", f"{s.env['POMONA_URL']}/enroll", "--ca-file", s.env["POMONA_CA_FILE"],
                    "--keys", stack.KEYS, "--count", 20, "--parallel", 4, "--rounds", 2, "--json", timeout=300)
        counts = json.loads(run.stdout)
        self.assertEqual((counts["enrolled"], counts["failures"], counts["errors"]), (20, 0, {}), run.stdout)

    def test_a_queue_is_first_in_first_out_and_not_now_waits_for_the_next_session(self):
        s = self.stack
        device = self.enrolled("queue")
        first = self.command(device)["command_uuid"]
        second = s.json("pomona", "command", "enqueue", device, "--type", "SecurityInfo")["command_uuid"]
        s.device("poll", "queue", "--not-now", "DeviceInformation")
        self.assertEqual(self.result(first, device)["status"], "not-now")
        self.assertEqual(self.result(second, device)["status"], "Acknowledged")
        s.device("poll", "queue")
        self.assertEqual(self.result(first, device)["status"], "Acknowledged")

    def test_priorities_come_first_then_the_order_of_queueing_and_what_is_held_not_at_all(self):
        s = self.stack
        device = self.enrolled("ordered")

        def queue(kind, *options):
            return s.json("pomona", "command", "enqueue", device, "--type", kind, "--no-push", *options)["command_uuid"]

        def handled(*options):
            return re.findall(r"command \w+ \(([^)]+)\)", s.device("poll", "ordered", *options).stdout)
        low = queue("SecurityInfo", "--priority", 200)
        busy, second = queue("ProfileList"), queue("DeviceInformation")
        held = queue("DeviceInformation", "--held")
        gone = queue("DeviceInformation")
        first = queue("CertificateList", "--priority", 1)
        s.run("pomona", "command", "cancel", gone)
        self.assertEqual(handled("--not-now", "ProfileList"), [first, busy, second, low])
        third = queue("DeviceInformation")
        pushed = f"SELECT last_pushed_at FROM push_state p JOIN enrollments e ON e.id = p.enrollment_id WHERE e.current_id = '{device}'"
        self.assertEqual(s.sql(pushed).strip(), "NULL")
        s.run("pomona", "command", "release", held)
        poll(lambda: s.sql(pushed).strip() != "NULL")   # it wakes the device
        self.assertEqual(handled(), [busy, held, third])
        self.assertEqual(self.result(gone, device)["status"], "cancelled")

    def test_check_out_ends_service_and_nothing_is_handed_out_afterwards(self):
        s = self.stack
        device = self.enrolled("leaver")
        self.command(device)
        s.device("send", "leaver", "CheckOut")
        answer = s.device("poll", "leaver", check=False)
        self.assertNotEqual(answer.returncode, 0)
        self.assertNotIn("DeviceInformation", answer.stdout)
        rows = {row["id"]: row for row in s.json("pomona", "enrollment", "list")}
        self.assertEqual(rows[device]["state"], "checked-out")

    def test_certs_names_every_kind_of_certificate_in_use(self):
        self.enrolled("for-certs")
        text = self.stack.run("pomona", "certs").stdout
        for words in ("com.apple.mgmt.", "VALID:", "Expiry Date:"):
            self.assertIn(words, text)
        kinds = {c["kind"] for c in self.stack.json("pomona", "certs")}
        self.assertLessEqual({"ca", "ra", "push"}, kinds)

    def test_the_profile_is_the_same_on_every_download_and_trusts_the_private_ca(self):
        s = self.stack
        path = self.ticket()["url"].removeprefix(s.env["POMONA_URL"])
        status, body = s.curl(path)
        self.assertEqual(status, 200)
        self.assertEqual(s.curl(path), (status, body))
        profile = plistlib.loads(body)
        kinds = [payload["PayloadType"] for payload in profile["PayloadContent"]]
        self.assertIn("com.apple.security.root", kinds)
        self.assertIn("com.apple.security.scep", kinds)
        self.assertEqual(kinds.count("com.apple.mdm"), 1)

    def test_a_handler_that_is_killed_in_between_is_replaced_and_nothing_is_lost(self):
        s = self.stack
        device = self.enrolled("survivor")
        uuid = self.command(device)["command_uuid"]
        for name in ("mdm-1", "mdm-2"):
            os.kill(s.pid(name), signal.SIGKILL)
            s.device("poll", "survivor")
        deadline = time.monotonic() + 20
        while self.result(uuid, device)["status"] != "Acknowledged" and time.monotonic() < deadline:
            s.device("poll", "survivor", check=False)
        self.assertEqual(self.result(uuid, device)["status"], "Acknowledged")


if __name__ == "__main__":
    unittest.main()
