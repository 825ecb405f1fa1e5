"""Queues in an admin's hands: priorities, hold and release, cancel and clear, under a device that goes on polling."""
# time limit: 300
import os
import plistlib
import signal
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import command_of  # noqa: E402


class QueueTest(mdm_rig.MdmTest):
    def shown(self, command, device=None):
        rows = self.rig.json("command", "show", command)["enrollments"]
        return next(row for row in rows if device is None or row["id"] == device.udid)

    def due(self, device):
        return self.rig.count("push_state", f"enrollment_id = {self.rig.enrollment_id(device)} AND due_at IS NOT NULL") == 1

    def forget_push(self, device):
        self.rig.sql(f"UPDATE push_state SET due_at = NULL WHERE enrollment_id = {self.rig.enrollment_id(device)}")

    def session(self, device, answers=None):
        """One session to its end; `answers` gives another status than Acknowledged by CommandUUID. Returns what was handed out."""
        answer, seen = self.rig.idle(device), []
        while found := command_of(answer):
            seen.append(found[0])
            self.assertLess(len(seen), 100)
            answer = self.rig.report(device, found[0], (answers or {}).get(found[0], "Acknowledged"))
        return seen

    def events_of(self, command):
        return self.rig.sql(f"SELECT what, who, external_id, detail FROM events WHERE command_uuid = '{command}' ORDER BY id").split("\n")


class Order(QueueTest):
    def test_lower_numbers_are_served_first_and_within_one_first_in_first_out(self):
        device = self.rig.enrolled()
        queued = [(priority, self.rig.enqueue(device, kind, None, "--priority", priority))
                  for kind, priority in (("A", 100), ("B", 0), ("C", 255), ("D", 100), ("E", 0), ("F", 99), ("G", 255))]
        expected = [uuid for _, uuid in sorted(queued, key=lambda pair: pair[0])]
        self.assertEqual(self.session(device), expected)

    def test_first_in_first_out_holds_across_not_now(self):
        device = self.rig.enrolled()
        first, second, third = (self.rig.enqueue(device) for _ in range(3))
        self.assertEqual(self.session(device, {first: "NotNow", third: "NotNow"}), [first, second, third])
        fourth = self.rig.enqueue(device)
        self.assertEqual(self.session(device), [first, third, fourth])

    def test_a_changed_priority_is_the_next_request_s_order(self):
        device, other = self.rig.enrolled(), self.rig.enrolled()
        first, second, third = (self.rig.enqueue(device) for _ in range(3))
        self.rig.pomona("command", "enqueue", other.udid, "-", stdin=self.plist_of(third))
        changed = self.rig.json("command", "priority", third, "5", device.udid)
        self.assertEqual((changed["changed"], changed["targets"][0]["changed"]), (1, 1))
        self.assertEqual(self.shown(third, other)["priority"], 100)
        self.assertEqual(self.session(device), [third, first, second])
        for wrong in ("-1", "256", "high"):
            self.assertEqual(self.rig.pomona("command", "priority", third, wrong, check=False).returncode, 2)

    def plist_of(self, command):
        return self.rig.json("command", "show", command)["command"].encode()


class Hold(QueueTest):
    def test_what_is_queued_as_held_wakes_nobody_and_is_not_offered_until_it_is_released(self):
        device = self.rig.enrolled()
        held = self.rig.enqueue(device, "EraseDevice", None, "--held")
        self.assertFalse(self.due(device))
        free = self.rig.enqueue(device)
        self.assertEqual(self.session(device), [free])
        self.assertEqual(self.shown(held)["status"], "held")
        self.forget_push(device)
        released = self.rig.json("command", "release", held)
        self.assertEqual((released["command_uuid"], released["changed"]), (held, 1))
        self.assertTrue(self.due(device))
        self.assertEqual(self.session(device), [held])
        self.assertEqual([event.split("\t")[0] for event in self.events_of(held)],
                         ["command.enqueued", "command.released", "command.acknowledged"])

    def test_a_released_command_takes_its_old_place(self):
        device = self.rig.enrolled()
        first, second, third = (self.rig.enqueue(device) for _ in range(3))
        self.rig.pomona("command", "hold", first)
        self.rig.pomona("command", "hold", second, device.udid)
        self.handed(self.rig.idle(device), third)
        self.rig.pomona("command", "release", second)
        self.rig.pomona("command", "release", first)
        self.assertEqual(self.session(device), [first, second, third])

    def test_a_whole_queue_is_held_and_released(self):
        device, other = self.rig.enrolled(), self.rig.enrolled()
        commands = [self.rig.enqueue(device) for _ in range(3)]
        untouched = self.rig.enqueue(other)
        self.assertEqual(self.rig.json("command", "hold", "--of", device.udid)["changed"], 3)
        self.assertEqual(self.rig.json("command", "hold", "--of", device.udid)["changed"], 0)
        self.accepted(self.rig.idle(device))
        self.assertEqual(self.session(other), [untouched])
        self.forget_push(device)
        self.rig.pomona("command", "release", "--of", device.udid, "--no-push")
        self.assertFalse(self.due(device))
        self.assertEqual(self.session(device), commands)

    def test_a_device_that_has_a_command_when_it_is_held_answers_as_usual(self):
        device = self.rig.enrolled()
        command, busy = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.pomona("command", "hold", "--of", device.udid)
        self.accepted(self.rig.report(device, command))
        self.assertEqual(self.shown(command)["status"], "Acknowledged")
        self.accepted(self.rig.report(device, busy, "NotNow"))
        self.accepted(self.rig.idle(device))
        self.assertEqual((self.shown(busy)["status"], self.shown(busy)["not_now_count"]), ("held", 1))

    def test_what_cannot_be_held_is_told(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.session(device)
        run = self.rig.pomona("command", "hold", command, f"{device.udid},nobody", check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"has answered this command already: Acknowledged", run.stderr)
        self.assertIn(b"nobody: no enrolment has this id", run.stderr)
        self.assertEqual(self.rig.pomona("command", "hold", check=False).returncode, 2)
        self.assertEqual(self.rig.pomona("command", "hold", command, "--of", device.udid, check=False).returncode, 2)
        self.assertEqual(self.rig.pomona("command", "hold", "no-such-uuid", check=False).returncode, 1)


class Cancel(QueueTest):
    def test_a_cancelled_command_is_offered_no_more_and_stays_visible(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        cancelled = self.rig.json("command", "cancel", command)
        self.assertEqual(cancelled, {"command_uuid": command, "changed": 1, "targets": []})
        self.assertEqual(self.session(device), [following])
        row = self.shown(command)
        self.assertEqual((row["status"], row["received_at"], row["report"]), ("cancelled", None, None))
        self.assertRegex(row["cancelled_by"], "^cli:")
        self.assertRegex(row["cancelled_at"], "^20..-")
        self.assertRegex(self.rig.pomona("command", "show", command).stdout.decode(), "cancelled at 20.*Z by cli:")
        event = self.events_of(command)[-1].split("\t")
        self.assertEqual((event[0], event[1], event[2]), ("command.cancelled", row["cancelled_by"], device.udid))
        listed = {row["command_uuid"]: row for row in self.rig.json("command", "list", device.udid)}
        self.assertEqual(listed[command]["status"], "cancelled")
        self.assertIsNone(listed[command]["received_at"])
        counts = {row["command_uuid"]: row for row in self.rig.json("command", "list")}[command]
        self.assertEqual((counts["outstanding"], counts["settled"], counts["cancelled"]), (0, 0, 1))

    def test_the_answer_of_a_device_that_was_carrying_it_out_is_kept_and_marked(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.pomona("command", "cancel", command, device.udid)
        self.handed(self.rig.report(device, command, QueryResponses={"OSVersion": "17.6"}), following)
        row = self.shown(command)
        self.assertEqual(row["status"], "Acknowledged")
        self.assertEqual(plistlib.loads(row["report"].encode())["QueryResponses"], {"OSVersion": "17.6"})
        self.assertIsNotNone(row["cancelled_at"])
        self.assertRegex(self.rig.pomona("command", "show", command).stdout.decode(),
                         "Acknowledged at 20.*Z, after it was cancelled at 20.*Z by cli:")
        self.assertEqual(self.events_of(command)[-1].split("\t")[0::3], ["command.acknowledged", "answered after it was cancelled"])
        self.handed(self.rig.report(device, command, "Error"), following)
        self.assertEqual(self.shown(command)["status"], "Acknowledged")
        self.assertEqual(len(self.events_of(command)), 3)

    def test_not_now_for_a_cancelled_command_is_its_end(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        self.rig.pomona("command", "cancel", command)
        self.accepted(self.rig.report(device, command, "NotNow"))
        self.accepted(self.rig.idle(device))
        self.assertEqual((self.shown(command)["status"], self.shown(command)["not_now_count"]), ("cancelled", 1))

    def test_it_is_cancelled_for_the_enrolments_that_are_named(self):
        devices = [self.rig.enrolled() for _ in range(3)]
        command = self.rig.enqueue(devices[0])
        body = self.rig.idle(devices[0]).body
        self.rig.pomona("command", "enqueue", ",".join(d.udid for d in devices[1:]), "-", stdin=body)
        run = self.rig.json("command", "cancel", command, f"{devices[0].udid},{devices[1].udid}")
        self.assertEqual([target["changed"] for target in run["targets"]], [1, 1])
        self.assertEqual(self.session(devices[1]), [])
        self.assertEqual(self.session(devices[2]), [command])
        again = self.rig.json("command", "cancel", command, devices[0].udid)
        self.assertEqual((again["changed"], again["targets"][0]["error"]), (0, None))
        late = self.rig.pomona("command", "cancel", command, devices[2].udid, check=False)
        self.assertEqual(late.returncode, 1)
        self.assertIn(b"has answered this command already: Acknowledged", late.stderr)
        never = self.rig.pomona("command", "cancel", command, self.rig.enrolled().udid, check=False)
        self.assertIn(b"was never queued for it", never.stderr)

    def test_a_cancelled_command_uuid_cannot_be_queued_again(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        body = self.rig.idle(device).body
        self.rig.pomona("command", "cancel", command)
        run = self.rig.pomona("command", "enqueue", device.udid, "-", stdin=body, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"was cancelled for it; a command that is to run again needs a new CommandUUID", run.stderr)
        self.accepted(self.rig.idle(device))

    def test_many_devices_at_stake_are_asked_about(self):
        devices = [self.rig.enrolled() for _ in range(10)]
        command = self.rig.enqueue(devices[0])
        body = self.rig.idle(devices[0]).body
        self.rig.pomona("command", "enqueue", ",".join(d.udid for d in devices), "-", "--held", stdin=body)
        run = self.rig.pomona("command", "cancel", command, check=False, stdin=b"10\n")
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"--yes", run.stderr)
        self.assertEqual(self.rig.json("command", "list")[0]["outstanding"], 10)
        self.assertEqual(self.rig.json("command", "cancel", command, "--yes")["changed"], 10)
        self.assertEqual(self.rig.count("queue q JOIN commands c ON c.id = q.command_id", f"c.uuid = '{command}'"), 0)

    def for_many(self, number, prefix="MANY"):
        """A command for one real device, and for so many that are rows alone."""
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.rig.sql(f"""
            SET @device = (SELECT device_id FROM enrollments WHERE current_id = '{device.udid}');
            INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, created_at)
              SELECT UUID(), @device, seq + 1000, 'device', CONCAT('{prefix}-', seq), CONCAT('{prefix}-', seq), 'current', 'tls', 'x', NOW()
              FROM seq_1_to_{number};
            INSERT INTO queue (enrollment_id, command_id, enqueued_at)
              SELECT e.id, c.id, NOW(6) FROM enrollments e JOIN commands c ON c.uuid = '{command}' WHERE e.external_id LIKE '{prefix}-%'""")
        return command

    def test_more_deliveries_than_one_transaction_takes_are_cancelled_all(self):
        number = 2300
        command = self.for_many(number)
        self.assertEqual(self.rig.json("command", "hold", command)["changed"], number + 1)
        self.assertEqual(self.rig.json("command", "release", command, "--yes")["changed"], number + 1)
        self.assertEqual(self.rig.json("command", "cancel", command, "--yes")["changed"], number + 1)
        self.assertEqual(self.rig.count("results", f"command_uuid = '{command}' AND status = 'cancelled'"), number + 1)
        self.assertEqual(self.rig.count("events", f"command_uuid = '{command}' AND what = 'command.cancelled'"), number + 1)
        self.assertEqual(self.rig.count("push_state", "due_at IS NOT NULL AND enrollment_id IN (SELECT id FROM enrollments "
                                                      "WHERE external_id LIKE 'MANY-%')"), number)

    def test_what_was_killed_half_way_is_finished_by_the_same_order(self):
        number = 1500
        command = self.for_many(number, "HALF")
        argv = [mdm_rig.BUILD / "bin/pomona", "command", "cancel", command, "--yes", "--config", self.rig.conf]
        for point, done in (("queue-changed", 0), ("queue-change-committed", 1000)):
            run = subprocess.run(argv, capture_output=True, env=os.environ | {"POMONA_CRASH_AT": point})
            self.assertEqual(run.returncode, -signal.SIGKILL)
            for table, where in (("results", f"command_uuid = '{command}'"),
                                 ("events", f"command_uuid = '{command}' AND what = 'command.cancelled'")):
                self.assertEqual(self.rig.count(table, where), done, point)
        self.assertEqual(self.rig.json("command", "cancel", command, "--yes")["changed"], number + 1 - 1000)
        self.assertEqual(self.rig.count("results", f"command_uuid = '{command}' AND status = 'cancelled'"), number + 1)

    def test_the_database_user_of_the_api_may_do_all_this(self):
        device = self.rig.enrolled()
        first, second = self.rig.enqueue(device, "A", None, "--held"), self.rig.enqueue(device)
        for user in ("pomona-api", "pomona-admin"):
            as_user = ("--database-user", user, "--database-password-file", Path(self.rig.db.passwords) / user)
            third = self.rig.json("command", "enqueue", device.udid, "--type", "ProfileList", *as_user)["command_uuid"]
            self.rig.pomona("command", "release", first, *as_user)
            self.rig.pomona("command", "priority", second, "3", *as_user)
            self.rig.pomona("command", "hold", first, *as_user)
            self.rig.pomona("command", "cancel", third, *as_user)
            self.assertEqual(self.rig.json("command", "show", third, *as_user)["enrollments"][0]["status"], "cancelled")
        self.rig.pomona("enrollment", "renew", device.udid, check=False)
        self.assertGreaterEqual(self.rig.json("command", "clear", device.udid, "--yes", *as_user)["changed"], 2)


class Clear(QueueTest):
    def test_queues_are_emptied_held_commands_too(self):
        devices = [self.rig.enrolled() for _ in range(2)]
        commands = [self.rig.enqueue(device, "X", None, *options) for device in devices for options in ((), ("--held",))]
        untouched = self.rig.enrolled()
        kept = self.rig.enqueue(untouched)
        ids = ",".join(device.udid for device in devices)
        run = self.rig.pomona("command", "clear", ids, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"4 deliveries of 2 enrolments", run.stderr)
        cleared = self.rig.json("command", "clear", ids + ",nobody", "--yes", check=False)
        self.assertEqual([(t["changed"], t["error"]) for t in cleared["targets"]],
                         [(2, None), (2, None), (0, "no enrolment has this id")])
        for command in commands:
            self.assertEqual(self.shown(command)["status"], "cancelled")
        self.assertEqual(self.session(devices[0]), [])
        self.assertEqual(self.session(untouched), [kept])

    def test_an_empty_queue_is_not_asked_about(self):
        device = self.rig.enrolled()
        run = self.rig.pomona("command", "clear", device.udid)
        self.assertIn(b"Nothing was waiting", run.stdout)

    def test_on_a_terminal_the_answer_decides(self):
        devices = [self.rig.enrolled() for _ in range(2)]
        for device in devices:
            self.rig.enqueue(device)
        ids = ",".join(device.udid for device in devices)
        for answer, left in (("yes", 2), ("2", 0)):
            argv = [str(mdm_rig.BUILD / "bin/pomona"), "command", "clear", ids, "--config", str(self.rig.conf)]
            run = subprocess.run(["script", "-qec", " ".join(argv), "/dev/null"], input=answer + "\n", capture_output=True, text=True)
            self.assertIn("Type 2 to go on", run.stdout)
            self.assertEqual(sum(len(self.rig.json("command", "list", d.udid)) for d in devices
                                 if self.rig.json("command", "list", d.udid)[0]["status"] == "queued"), left)

    def test_the_queue_of_a_generation_that_ended_can_be_emptied(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.rig.pomona("enrollment", "disable", device.udid, "--yes")
        self.assertEqual(self.rig.json("command", "clear", device.udid, "--yes")["changed"], 1)
        self.assertEqual(self.shown(command)["status"], "cancelled")


class CancelledRenewal(QueueTest):
    def renewal_handed_out(self):
        device = self.rig.enrolled()
        enrollment = self.rig.enrollment_id(device)
        profile = self.rig.insert("profiles", uuid="A" * 36, root_identifier="test", topic=device.topic, capabilities="", access_rights=8191,
                                  server_url="https://mdm.example.test/mdm", checkin_url="https://mdm.example.test/checkin",
                                  sign_message=0, created_at="2026-01-01", ticket_id=device.number)
        self.rig.sql(f"UPDATE enrollments SET profile_id = {profile} WHERE id = {enrollment}")
        command = self.rig.json("enrollment", "renew", device.udid)["command_uuid"]
        self.handed(self.rig.idle(device), command)
        return device, enrollment, command

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rig.pomona("ca", "init")

    def tickets(self, enrollment):
        return self.rig.sql(f"SELECT state FROM tickets WHERE purpose = 'renew' AND enrollment_id = {enrollment}").split()

    def test_the_ticket_that_was_handed_out_closes_with_the_cancellation(self):
        for verb in ("cancel", "clear"):
            with self.subTest(verb):
                device, enrollment, command = self.renewal_handed_out()
                self.assertEqual(self.tickets(enrollment), ["open"])
                target = command if verb == "cancel" else device.udid
                self.rig.pomona("command", verb, target, "--yes")
                self.assertEqual(self.tickets(enrollment), ["closed"])
                self.accepted(self.rig.report(device, command))
                self.assertEqual(self.shown(command)["status"], "Acknowledged")

    def test_another_cancelled_command_leaves_the_renewal_alone(self):
        device, enrollment, command = self.renewal_handed_out()
        other = self.rig.enqueue(device)
        self.rig.pomona("command", "cancel", other)
        self.assertEqual(self.tickets(enrollment), ["open"])
        self.handed(self.rig.idle(device), command)


if __name__ == "__main__":
    unittest.main()
