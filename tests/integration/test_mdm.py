"""pomona-mdm enrols a device, hands it commands in order, and takes its reports whatever they are."""
# time limit: 600
import plistlib
import sys
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import CHECKIN, CONNECT, command_of  # noqa: E402


def raw_report(device, command_uuid, status="Acknowledged", inside="", udid=None):
    """A report that no property list library would write."""
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict><key>CommandUUID</key>'
            f"<string>{command_uuid}</string>{inside}<key>Status</key><string>{status}</string><key>UDID</key>"
            f"<string>{udid or device.udid}</string></dict></plist>").encode()


class CommandChannel(mdm_rig.MdmTest):
    def status_of(self, command_uuid):
        return [row["status"] for row in self.rig.json("command", "show", command_uuid)["enrollments"]]

    def test_a_device_enrols_and_answers_a_command(self):
        device = self.rig.device("FIRST-1", serial="C02FIRST")
        self.accepted(self.rig.authenticate(device))
        self.accepted(self.rig.idle(device))
        self.accepted(self.rig.token_update(device))
        self.accepted(self.rig.idle(device))
        command = self.rig.enqueue(device)
        answer = self.rig.idle(device)
        self.assertEqual(answer.headers["content-type"], "application/xml; charset=UTF-8")
        self.assertEqual(command_of(answer), (command, "DeviceInformation"))
        self.accepted(self.rig.report(device, command, QueryResponses={"OSVersion": "17.6"}))
        self.accepted(self.rig.idle(device))
        shown = self.rig.json("command", "show", command)
        self.assertEqual(shown["enrollments"][0]["status"], "Acknowledged")
        report = plistlib.loads(shown["enrollments"][0]["report"].encode())
        self.assertEqual(report["QueryResponses"], {"OSVersion": "17.6"})
        listed = {row["id"]: row for row in self.rig.json("enrollment", "list")}
        self.assertEqual(listed["FIRST-1"]["state"], "current")
        self.assertEqual(listed["FIRST-1"]["serial_number"], "C02FIRST")
        self.assertEqual(self.rig.events("command.acknowledged"), [""])

    def test_a_command_reaches_the_device_byte_for_byte(self):
        device = self.rig.enrolled()
        body = (b'<?xml version="1.0"?>\n<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/'
                b'PropertyList-1.0.dtd">\r\n<plist version="1.0"><dict><key>Command</key>  <dict><key>RequestType</key>'
                b"<string>X</string></dict><key>CommandUUID</key><string>odd-form-1</string></dict></plist>\n\n")
        self.rig.pomona("command", "enqueue", device.udid, "-", stdin=body)
        self.assertEqual(self.rig.idle(device).body, body)

    def test_commands_come_first_in_first_out_within_a_priority(self):
        device = self.rig.enrolled()
        low = self.rig.enqueue(device, "A", None, "--priority", "200")
        usual = [self.rig.enqueue(device, kind) for kind in ("Z", "M", "B")]
        urgent = self.rig.enqueue(device, "U", None, "--priority", "1")
        expected = [urgent, *usual, low]
        answer, seen = self.rig.idle(device), []
        while found := command_of(answer):
            seen.append(found[0])
            answer = self.rig.report(device, found[0])
        self.assertEqual(seen, expected)

    def test_a_command_that_was_not_answered_is_handed_out_again(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        for _ in range(3):
            self.handed(self.rig.idle(device), command)

    def test_error_and_command_format_error_settle_a_command(self):
        device = self.rig.enrolled()
        for status in ("Error", "CommandFormatError"):
            command = self.rig.enqueue(device)
            self.handed(self.rig.idle(device), command)
            chain = [{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "unbekannt",
                      "USEnglishDescription": "unknown"}]
            self.accepted(self.rig.report(device, command, status, ErrorChain=chain))
            self.assertEqual(self.status_of(command), [status])
        self.assertIn("MCMDMErrorDomain 12021: unknown", self.rig.events("command.error"))
        command = self.rig.enqueue(device)
        for text in ("\t" * 5000, "ä" * 5000):
            chain = [{"ErrorCode": 1, "ErrorDomain": text, "USEnglishDescription": text}]
            self.accepted(self.rig.report(device, command, "Error", ErrorChain=chain))

    def test_not_now_is_skipped_until_the_next_session(self):
        device = self.rig.enrolled()
        busy, other = self.rig.enqueue(device, "InstallProfile"), self.rig.enqueue(device, "ProfileList")
        self.handed(self.rig.idle(device), busy)
        self.handed(self.rig.report(device, busy, "NotNow"), other)
        self.accepted(self.rig.report(device, other))
        self.assertEqual(self.status_of(busy), ["not-now"])
        self.handed(self.rig.idle(device), busy)
        self.accepted(self.rig.report(device, busy, "NotNow"))
        self.handed(self.rig.idle(device), busy)
        self.accepted(self.rig.report(device, busy))
        self.assertEqual(self.status_of(busy), ["Acknowledged"])
        self.assertEqual(self.rig.json("command", "show", busy)["enrollments"][0]["not_now_count"], 2)

    def test_two_busy_commands_do_not_play_ping_pong(self):
        device = self.rig.enrolled()
        first, second = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.idle(device), first)
        self.handed(self.rig.report(device, first, "NotNow"), second)
        self.accepted(self.rig.report(device, second, "NotNow"))
        self.handed(self.rig.idle(device), first)

    def test_a_report_sent_twice_has_its_effect_once(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.report(device, command, Answer="first"), following)
        self.handed(self.rig.report(device, command, "Error", Answer="second"), following)
        self.assertEqual(self.rig.count("results", f"command_uuid = '{command}'"), 1)
        self.assertEqual(self.rig.count("events", f"command_uuid = '{command}' AND what LIKE 'command.%'"), 2)
        shown = self.rig.json("command", "show", command)["enrollments"]
        self.assertEqual(plistlib.loads(shown[0]["report"].encode())["Answer"], "first")

    def test_a_report_for_an_unknown_command_is_recorded_and_answered(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        for name in ("never-ours", "never-ours", "é" * 10, "y" * 300):
            self.handed(self.rig.report(device, name), command)
        where = f"enrollment_id = {self.rig.enrollment_id(device)}"
        self.assertEqual(self.rig.count("results", where), 3)
        self.assertEqual(self.rig.count("results", where + " AND command_uuid LIKE 'foreign:%'"), 2)
        self.assertEqual(self.rig.count("events", "what = 'command.unknown' AND " + where), 3)
        shown = self.rig.json("command", "show", "never-ours")
        self.assertEqual((shown["request_type"], shown["enrollments"][0]["status"]), (None, "Acknowledged"))

    def test_an_unreadable_report_is_settled_and_answered_with_the_next_command(self):
        device = self.rig.enrolled()
        deep = "<key>Deep</key>" + "<array>" * 100 + "</array>" * 100
        double = "<key>A</key><dict><key>B</key><true/><key>B</key><true/></dict>"
        commands = [self.rig.enqueue(device) for _ in range(4)]
        self.handed(self.rig.send(device, raw_report(device, commands[0], inside=deep)), commands[1])
        self.handed(self.rig.send(device, raw_report(device, commands[1], inside=double)), commands[2])
        self.handed(self.rig.send(device, raw_report(device, commands[2], status="Sideways")), commands[3])
        for command in commands[:3]:
            self.assertEqual(self.status_of(command), ["unreadable"])
        kept = self.rig.json("command", "show", commands[0])["enrollments"][0]["report"]
        self.assertEqual(kept.encode(), raw_report(device, commands[0], inside=deep))

    def test_an_unreadable_not_now_leaves_the_command_in_the_queue(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        deep = "<key>Deep</key>" + "<array>" * 100 + "</array>" * 100
        self.accepted(self.rig.send(device, raw_report(device, command, "NotNow", deep)))
        self.handed(self.rig.idle(device), command)

    def test_an_oversized_report_is_settled_without_its_body(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        long = raw_report(device, command, inside="<key>Long</key><string>" + "x" * (17 << 20) + "</string>")
        self.handed(self.rig.send(device, long, timeout=60), following)
        self.assertEqual(self.status_of(command), ["oversized"])
        self.assertIsNone(self.rig.json("command", "show", command)["enrollments"][0]["report"])

    def test_a_report_of_many_megabytes_is_kept_whole(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        apps = [{"Identifier": f"com.example.app{i}", "Name": "x" * 600} for i in range(15_000)]
        self.accepted(self.rig.report(device, command, InstalledApplicationList=apps))
        report = self.rig.json("command", "show", command)["enrollments"][0]["report"].encode()
        self.assertEqual(plistlib.loads(report)["InstalledApplicationList"], apps)

    def test_an_oversized_report_without_command_uuid_is_told_of_and_not_kept(self):
        device = self.rig.enrolled()
        kept = f"enrollment_id = (SELECT id FROM enrollments WHERE external_id = '{device.udid}')"
        before = self.rig.count("messages", kept)
        long = plistlib.dumps({"Status": "Acknowledged", "Long": "x" * (17 << 20)} | device.ids())
        self.accepted(self.rig.send(device, long, timeout=60))
        self.assertEqual(self.rig.count("messages", kept), before)
        self.assertEqual(self.rig.count("events", f"what = 'command.unknown' AND external_id = '{device.udid}'"), 1)

    def test_a_report_without_command_uuid_ends_the_session_and_settles_nothing(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.accepted(self.rig.send(device, {"Status": "CommandFormatError", "UDID": device.udid}))
        self.handed(self.rig.idle(device), command)

    def test_held_commands_are_never_offered(self):
        device = self.rig.enrolled()
        held, free = self.rig.enqueue(device), self.rig.enqueue(device)
        self.rig.sql(f"UPDATE queue SET state = 'held' WHERE command_id = (SELECT id FROM commands WHERE uuid = '{held}')")
        self.handed(self.rig.idle(device), free)
        self.accepted(self.rig.report(device, free))
        self.accepted(self.rig.idle(device))

    def test_the_content_type_decides_what_a_request_is(self):
        device = self.rig.device()
        message = plistlib.dumps({"MessageType": "Authenticate", "Topic": device.topic, "UDID": device.udid})
        self.refused(self.rig.send(device, message, CONNECT))
        for path in ("/checkin", "/mdm", "/mdm/checkin", "/mdm/connect"):
            self.accepted(self.rig.send(device, message, CHECKIN + "; charset=UTF-8", path=path))
        self.rig.token_update(device)
        command = self.rig.enqueue(device)
        for path in ("/mdm", "/mdm/connect", "/checkin"):
            self.handed(self.rig.send(device, {"Status": "Idle", "UDID": device.udid}, path=path), command)

    def test_other_methods_and_addresses_are_refused(self):
        device = self.rig.enrolled()
        for method in ("GET", "DELETE", "HEAD"):
            answer = self.rig.send(device, {"Status": "Idle", "UDID": device.udid}, method=method)
            self.assertEqual((answer.status, answer.headers["allow"]), (405, "PUT, POST"))
        self.assertEqual(self.rig.send(device, {}, path="/mdm/other").status, 404)
        self.accepted(self.rig.send(device, {"Status": "Idle", "UDID": device.udid}, method="POST"))

    def test_what_is_no_message_is_refused(self):
        device = self.rig.enrolled()
        binary = plistlib.dumps({"Status": "Idle", "UDID": device.udid}, fmt=plistlib.FMT_BINARY)
        twice = raw_report(device, "x", inside=f"<key>UDID</key><string>{device.udid}</string>")
        for body in (b"", b"junk", binary, twice, {"UDID": device.udid}, {"Status": "Idle"}, ["Idle"],
                     {"Status": "Idle", "UDID": "a b"}, {"Status": "Idle", "UDID": "x" * 256},
                     {"Status": "Idle", "UDID": 5}, {"Status": 5, "UDID": device.udid}):
            with self.subTest(body if len(str(body)) < 100 else "long"):
                self.refused(self.rig.send(device, body))

    def test_enqueue_answers_for_each_id(self):
        first, second = self.rig.enrolled(), self.rig.enrolled()
        command = plistlib.dumps({"CommandUUID": "many-1", "Command": {"RequestType": "ProfileList"}})
        run = self.rig.pomona("command", "enqueue", f"{first.udid},nobody,{second.udid}", "-", "--json", stdin=command,
                              check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"nobody: no enrolment has this id", run.stderr)
        self.assertEqual(command_of(self.rig.idle(first)), ("many-1", "ProfileList"))
        self.assertEqual(command_of(self.rig.idle(second)), ("many-1", "ProfileList"))

    def test_a_command_uuid_may_come_again_with_the_same_bytes_only(self):
        first, second = self.rig.enrolled(), self.rig.enrolled()
        name = str(uuid.uuid4())
        command = plistlib.dumps({"CommandUUID": name, "Command": {"RequestType": "ProfileList"}})
        for device in (first, first, second):
            self.rig.pomona("command", "enqueue", device.udid, "-", stdin=command)
        self.assertEqual(self.rig.count("queue q JOIN commands c ON c.id = q.command_id", f"c.uuid = '{name}'"), 2)
        other = plistlib.dumps({"CommandUUID": name, "Command": {"RequestType": "RestartDevice"}})
        run = self.rig.pomona("command", "enqueue", second.udid, "-", stdin=other, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"is taken by another command", run.stderr)
        self.accepted(self.rig.report(first, name))
        run = self.rig.pomona("command", "enqueue", first.udid, "-", stdin=command, check=False)
        self.assertIn(b"has answered this command already", run.stderr)

    def test_the_command_line_makes_simple_commands(self):
        device = self.rig.enrolled()
        made = self.rig.json("command", "enqueue", device.udid, "--type", "DeviceInformation", "--query", "OSVersion, UDID")
        body = plistlib.loads(self.rig.idle(device).body)
        self.assertEqual(body, {"CommandUUID": made["command_uuid"],
                                "Command": {"RequestType": "DeviceInformation", "Queries": ["OSVersion", "UDID"]}})
        listed = self.rig.json("command", "list", device.udid)
        self.assertEqual([(row["command_uuid"], row["status"]) for row in listed], [(made["command_uuid"], "queued")])
        self.assertIn(made["command_uuid"], [row["command_uuid"] for row in self.rig.json("command", "list")])
        for bad in (b"junk", plistlib.dumps({"CommandUUID": "x"}), plistlib.dumps({"Command": {"RequestType": "X"}})):
            self.assertEqual(self.rig.pomona("command", "enqueue", device.udid, "-", stdin=bad, check=False).returncode, 1)
        self.assertEqual(self.rig.pomona("command", "enqueue", device.udid, check=False).returncode, 2)

    def test_what_is_shown_cannot_steer_a_terminal(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        body = raw_report(device, command, inside="<key>Name</key><string>\x1b[2J</string>")
        self.accepted(self.rig.send(device, body))
        self.assertNotIn(b"\x1b", self.rig.pomona("command", "show", command).stdout)

    def test_enqueue_makes_a_push_due(self):
        device = self.rig.enrolled()
        due = f"enrollment_id = {self.rig.enrollment_id(device)} AND due_at IS NOT NULL"
        self.assertEqual(self.rig.count("push_state", due), 0)
        self.rig.enqueue(device, "ProfileList", None, "--no-push")
        self.assertEqual(self.rig.count("push_state", due), 0)
        self.rig.enqueue(device)
        self.assertEqual(self.rig.count("push_state", due), 1)


if __name__ == "__main__":
    unittest.main()
