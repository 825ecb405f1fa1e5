"""What a request costs the database, what happens when that is away, and that no secret lies open in it or in the log."""
# time limit: 600
import base64
import plistlib
import re
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import command_of  # noqa: E402
from polling import poll  # noqa: E402

COUNTED = ["Questions", "Com_stmt_execute", "Com_stmt_prepare", "Com_insert", "Com_update", "Com_delete", "Handler_read_key",
           "Handler_read_next"]


class Cost(mdm_rig.MdmTest):
    settings = {"threads": 1}

    def counters(self):
        """MariaDB's own counts."""
        rows = self.rig.sql("SHOW GLOBAL STATUS").split("\n")
        return {name: int(value) for name, value in (row.split("\t")[:2] for row in rows if "\t" in row) if name in COUNTED}

    def cost_of(self, action, times=10):
        """Statements and writes of one action, without those of the measurement."""
        def measured(count):
            before = self.counters()
            for _ in range(count):
                action()
            after = self.counters()
            return {name: after[name] - before[name] for name in COUNTED}
        with_action, without = measured(times), measured(0)
        return {name: (with_action[name] - without[name]) / times for name in COUNTED}

    def sql_of_last(self):
        """Round trips as the program counts them."""
        return int(re.search(r"\bsql=(\d+)", self.rig.log_text().splitlines()[-1])[1])

    def test_idle_on_an_empty_queue_is_one_round_trip_and_no_write(self):
        device = self.rig.enrolled()
        self.accepted(self.rig.idle(device))
        cost = self.cost_of(lambda: self.accepted(self.rig.idle(device)))
        self.assertEqual((cost["Questions"], cost["Com_stmt_execute"], cost["Com_stmt_prepare"]), (1, 1, 0))
        self.assertEqual((cost["Com_insert"], cost["Com_update"], cost["Com_delete"]), (0, 0, 0))
        self.assertEqual(self.sql_of_last(), 1)

    def test_idle_with_a_command_is_two_round_trips_and_no_write(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.handed(self.rig.idle(device), command)
        cost = self.cost_of(lambda: self.handed(self.rig.idle(device), command))
        self.assertEqual((cost["Questions"], cost["Com_stmt_execute"]), (2, 2))
        self.assertEqual((cost["Com_insert"], cost["Com_update"], cost["Com_delete"]), (0, 0, 0))

    def test_a_report_and_the_next_command_are_two_round_trips(self):
        device = self.rig.enrolled()
        waiting = [self.rig.enqueue(device) for _ in range(13)]
        answer = self.rig.report(device, waiting[0])

        def step():
            nonlocal answer
            answer = self.rig.report(device, command_of(answer)[0])
            self.assertIsNotNone(command_of(answer))
        cost = self.cost_of(step)
        self.assertLessEqual(cost["Questions"], 2)
        self.assertLessEqual(self.sql_of_last(), 2)

    def test_not_now_and_a_repeated_report_cost_no_more(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.rig.report(device, command, "NotNow")
        self.assertLessEqual(self.cost_of(lambda: self.rig.report(device, command, "NotNow"))["Questions"], 2)
        self.rig.report(device, command)
        self.assertLessEqual(self.cost_of(lambda: self.rig.report(device, command))["Questions"], 2)

    def test_a_poll_costs_the_same_whatever_came_before(self):
        device = self.rig.enrolled()
        self.handed(self.rig.report(device, "unknown"), None)
        alone, alone_report = (self.cost_of(action) for action in (
            lambda: self.rig.idle(device), lambda: self.rig.report(device, "unknown")))
        row = self.rig.enrollment_id(device)
        self.rig.sql("INSERT INTO commands (uuid, request_type, kind, body, created_at, created_by) "
                     "SELECT CONCAT('old-', seq), 'X', 'stored', 'x', NOW(), '' FROM seq_1_to_4000")
        self.rig.sql("INSERT INTO results (enrollment_id, command_uuid, command_id, status, received_at) "
                     f"SELECT {row}, uuid, id, 'Acknowledged', NOW() FROM commands WHERE uuid LIKE 'old-%'")
        self.rig.sql("INSERT INTO queue (enrollment_id, command_id, state, enqueued_at) "
                     f"SELECT {row}, id, 'held', NOW() FROM commands WHERE uuid LIKE 'old-%'")
        after, after_report = (self.cost_of(action) for action in (
            lambda: self.rig.idle(device), lambda: self.rig.report(device, "unknown")))
        for name in ("Questions", "Handler_read_key", "Handler_read_next"):
            self.assertLessEqual(after[name], alone[name] + 3, name)
            self.assertLessEqual(after_report[name], alone_report[name] + 3, name)

    def test_last_seen_is_written_at_most_once_in_an_interval(self):
        device = self.rig.enrolled()
        seen = f"SELECT last_seen_at FROM enrollments WHERE current_id = '{device.udid}'"
        first = self.rig.sql(seen)
        self.rig.idle(device)
        self.assertEqual(self.rig.sql(seen), first)
        self.rig.restart(clock=301)
        self.rig.idle(device)
        second = self.rig.sql(seen)
        self.assertGreater(second, first)
        self.rig.idle(device)
        self.assertEqual(self.rig.sql(seen), second)
        self.rig.restart()


class Faults(mdm_rig.MdmTest):
    settings = {"threads": 4}

    def test_reports_that_arrive_together_have_their_effect_once(self):
        device = self.rig.enrolled()
        command, following = self.rig.enqueue(device), self.rig.enqueue(device)
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: self.rig.report(device, command), range(24)))
        for answer in answers:
            self.handed(answer, following)
        self.assertEqual(self.rig.count("results", f"command_uuid = '{command}'"), 1)
        self.assertEqual(self.rig.count("events", f"command_uuid = '{command}' AND what = 'command.acknowledged'"), 1)

    def test_messages_of_one_device_that_arrive_together_do_not_break_each_other(self):
        device = self.rig.enrolled()
        renewed = self.rig.renewed(device)
        command = self.rig.enqueue(device)
        messages = [lambda: self.rig.token_update(renewed, UnlockToken=b"x" * 100), lambda: self.rig.idle(renewed),
                    lambda: self.rig.token_update(renewed, ("U", "u")), lambda: self.rig.report(renewed, command),
                    lambda: self.rig.check_in(renewed, "SetBootstrapToken", BootstrapToken=b"y" * 100)] * 6
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda message: message(), messages))
        self.assertEqual({answer.status for answer in answers}, {200}, self.rig.log_text()[-3000:])
        self.assertEqual(self.rig.count("events", f"what = 'enrollment.renewed' AND external_id = '{device.udid}'"), 1)
        self.assertEqual(self.rig.count("secrets", "domain = 'escrow'"), self.rig.count("escrow"))

    def test_a_database_that_is_away_is_503_and_nothing_is_lost(self):
        device = self.rig.enrolled()
        command = self.rig.enqueue(device)
        self.rig.db.stop()
        answer = self.rig.report(device, command)
        self.assertEqual((answer.status, answer.headers["retry-after"], answer.body.strip()),
                         (503, "60", b"Service Unavailable"))
        self.rig.db.start()
        self.accepted(poll(lambda: [a for a in [self.rig.report(device, command)] if a.status == 200])[0])
        self.rig.db.pause()
        try:
            answer = self.rig.idle(device)
        finally:
            self.rig.db.resume()
        self.assertEqual(answer.status, 503)
        self.accepted(poll(lambda: [a for a in [self.rig.idle(device)] if a.status == 200])[0])


class Secrets(mdm_rig.MdmTest):
    def test_no_secret_lies_open_in_the_database_or_in_the_log(self):
        unlock, bootstrap, pin, answer = b"unlock-token-Zq7", b"bootstrap-token-Zq8", "739251-PIN-Zq9", "recovery-key-Zq0"
        device = self.rig.enrolled(token_update={"UnlockToken": unlock * 20})
        self.accepted(self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=bootstrap * 20))
        self.rig.check_in(device, "GetBootstrapToken")
        lock = {"CommandUUID": "lock-1", "Command": {"RequestType": "DeviceLock", "PIN": pin}}
        self.rig.pomona("command", "enqueue", device.udid, "-", stdin=plistlib.dumps(lock))
        self.handed(self.rig.idle(device), "lock-1")
        self.accepted(self.rig.report(device, "lock-1", Secret=answer))
        self.refused(self.rig.report(device, "lock-1", Secret=answer, params=self.rig.tls(device, "FAILED:x")))
        for extra in ((), ("--hex-blob",)):
            dump = subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", self.rig.db.socket, *extra, "pomona"],
                                  capture_output=True, check=True).stdout
            self.assertIn(device.udid.encode().hex().upper().encode() if extra else device.udid.encode(), dump)
            self.hidden_in(dump, unlock, bootstrap, pin.encode(), answer.encode())
        log = self.rig.log_text().encode()
        self.hidden_in(log, unlock, bootstrap, pin.encode(), answer.encode(), device.magic.encode(), device.token)
        self.assertIn(b"id=" + device.udid.encode(), log)

    def hidden_in(self, text, *secrets):
        for secret in secrets:
            # As it is, in hex, and in base64 at each of the three offsets.
            forms = [secret, secret.hex().encode(), secret.hex().upper().encode()]
            forms += [base64.b64encode(secret[offset:])[:12] for offset in range(3)]
            for form in forms:
                self.assertFalse(form in text, f"{secret!r} stands there as {form!r}")

    def test_a_row_that_was_copied_over_another_does_not_open(self):
        first, second = self.rig.enrolled(), self.rig.enrolled()
        one, two = self.rig.enqueue(first), self.rig.enqueue(second)
        self.rig.sql(f"UPDATE commands SET body = (SELECT body FROM commands WHERE uuid = '{one}') WHERE uuid = '{two}'")
        self.assertEqual(self.rig.idle(second).status, 500)
        self.handed(self.rig.idle(first), one)


if __name__ == "__main__":
    unittest.main()
