"""pomona-push against a real MariaDB and the APNs stand-in over real HTTP/2: who is pushed, when, and what answers do."""
import signal
import sys
import time
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from polling import poll  # noqa: E402
from push_bench import PushCase, token_of  # noqa: E402

DAY = 86400

class Pushing(PushCase):
    def test_a_due_device_gets_one_push_in_apples_form(self):
        self.enrolled("A")
        began = int(time.time())
        self.assertEqual(self.round(), "")
        (push,) = self.bench.pushes()
        self.assertEqual((push["token"], push["topic"], push["payload"]), (token_of("A"), self.topic, {"mdm": "magic-A"}))
        headers = push["headers"]
        self.assertEqual((headers["apns-push-type"], headers["apns-priority"]), ("mdm", "10"))
        self.assertLess(abs(int(headers["apns-expiration"]) - began - 7 * DAY), 60)
        self.assertEqual(str(uuid.UUID(headers["apns-id"])), headers["apns-id"])
        state = self.bench.state("A")
        self.assertEqual((state["due_at"], state["last_status"], state["last_apns_id"]), (None, "200", headers["apns-id"]))
        self.assertIsNone(state["lease_owner"])
        self.round()
        self.assertEqual(self.pushed(), ["A"])

    def test_verbose_logs_one_line_per_push_without_token_and_magic(self):
        self.enrolled("A", "B")
        lines = self.round("--verbose").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn(f"event=push enrollment=A topic={self.topic} verdict=accepted status=200 apns_id=", lines[0])
        self.assertNotIn("magic", "".join(lines))
        self.assertNotIn(token_of("A"), "".join(lines))

    def test_only_current_enrolments_with_a_token_are_pushed_and_only_when_due(self):
        self.enrolled("later", "frozen", "tokenless", "good")
        self.enrolled("waiting", state="pending")
        self.enrolled("gone", state="checked-out")
        self.bench.sql(f"UPDATE push_state SET due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR WHERE enrollment_id = "
                       f"{self.bench.id_of('later')};"
                       "UPDATE enrollments SET frozen = TRUE WHERE external_id = 'frozen';"
                       "UPDATE enrollments SET push_token = NULL WHERE external_id = 'tokenless'")
        self.assertEqual(self.round(), "")
        self.assertEqual(self.pushed(), ["good"])
        self.assertIsNone(self.bench.state("gone")["due_at"])
        self.assertIsNotNone(self.bench.state("waiting")["due_at"])   # pushed once it is approved
        self.bench.sql("UPDATE enrollments SET frozen = FALSE")
        self.round(clock=61)   # looked at once a minute
        self.assertEqual(self.pushed(), ["good", "frozen"])

    def test_a_command_queued_while_the_push_is_under_way_is_pushed_too(self):
        self.enrolled("A")
        self.verdict("A", delay=2)
        worker = self.bench.start("pomona-push")
        poll(lambda: self.bench.state("A")["lease_owner"])
        self.bench.due("A")
        self.assertEqual(worker.communicate(timeout=30), ("", ""))
        self.round()
        self.assertEqual(self.pushed(), ["A", "A"])
        self.assertIsNone(self.bench.state("A")["due_at"])

    def test_four_workers_at_once_push_each_device_once(self):
        self.bench.fleet(600)
        workers = [self.bench.start("pomona-push") for _ in range(4)]
        for worker in workers:
            self.assertEqual(worker.communicate(timeout=60), ("", ""))
            self.assertEqual(worker.returncode, 0)
        self.assertEqual(sorted(self.pushed()), sorted(f"D{number}" for number in range(1, 601)))

    def test_for_goes_on_looking_and_sigterm_ends_it_with_0_after_what_it_holds(self):
        worker = self.bench.start("pomona-push", "--for", "60s")
        self.enrolled("A")
        poll(lambda: self.pushed() == ["A"])
        self.verdict("B", delay=2)
        self.enrolled("B")
        poll(lambda: self.bench.state("B")["lease_owner"])
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.communicate(timeout=30), ("", ""))
        self.assertEqual(worker.returncode, 0)
        self.assertEqual(self.pushed(), ["A", "B"])
        self.assertIsNone(self.bench.state("B")["due_at"])

    def test_for_ends_by_itself(self):
        began = time.monotonic()
        self.assertEqual(self.round("--for", "2s"), "")
        self.assertLess(time.monotonic() - began, 20)
        self.assertIn("duration", self.round("--for", "soon", exit=2))

    def test_a_magic_that_is_no_text_fails_alone(self):
        self.enrolled("A", "B", "C")
        self.bench.sql("UPDATE enrollments SET push_magic = X'FF00' WHERE external_id = 'B';"
                       """UPDATE enrollments SET push_magic = '"\\\\é' WHERE external_id = 'C'""")
        said = self.round()
        self.assertIn("enrollment=B", said)
        self.assertIn("UTF-8", said)
        self.assertEqual([push["payload"]["mdm"] for push in self.bench.pushes()], ["magic-A", '"\\é'])
        self.assertGreater(self.bench.minutes_until_due("B"), 60)


class Leases(PushCase):
    def hold(self, seconds=None):
        """A worker that has claimed A and waits for APNs' answer."""
        self.enrolled("A")
        self.verdict("A", **({"delay": seconds} if seconds else {"hang": True}))
        worker = self.bench.start("pomona-push")
        poll(lambda: self.bench.state("A")["lease_owner"])
        return worker

    def test_a_worker_killed_between_claim_and_record_loses_nothing(self):
        worker = self.hold()
        worker.kill()
        worker.communicate()
        self.bench.script({})
        self.round()
        self.assertEqual(self.pushed(), [])   # still under the lease of the dead one
        left = float(self.bench.sql("SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), lease_until) / 1e6 FROM push_state"))
        self.assertLessEqual(left, 30)
        self.bench.end_leases()
        self.round()
        self.assertEqual(self.pushed(), ["A"])

    def test_a_worker_that_dies_at_any_point_leaves_every_push_to_be_sent_again_and_none_lost(self):
        for point, first in (("push-claimed", 0), ("push-sent", 3), ("push-recorded", 3)):
            with self.subTest(point):
                self.bench.forget()
                self.enrolled("A", "B", "C")
                self.assertEqual(self.bench.push(crash=point).returncode, -signal.SIGKILL)
                self.assertEqual(len(self.pushed()), first)
                self.assertEqual(self.round(), "")   # what the dead one holds is under its lease
                self.assertEqual(len(self.pushed()), first)
                self.bench.end_leases()
                self.assertEqual(self.round(), "")
                again = [] if point == "push-recorded" else ["A", "B", "C"]
                self.assertEqual(sorted(self.pushed()[first:]), again)
                self.assertEqual({(row["due_at"], row["lease_owner"]) for row in map(self.bench.state, "ABC")}, {(None, None)})

    def test_two_workers_never_own_a_device_at_once(self):
        worker = self.hold(seconds=3)
        owner = self.bench.state("A")["lease_owner"]
        self.round()
        self.assertEqual((self.pushed(), self.bench.state("A")["lease_owner"]), ([], owner))
        self.assertEqual(worker.communicate(timeout=30), ("", ""))
        self.assertEqual(self.pushed(), ["A"])

    def test_a_worker_that_was_asleep_beyond_its_lease_overwrites_nothing(self):
        worker = self.hold(seconds=2)
        worker.send_signal(signal.SIGSTOP)
        self.bench.end_leases()
        self.bench.script({token_of("A"): {"status": 503, "reason": "ServiceUnavailable"}})
        self.round()
        before = self.bench.state("A")
        self.assertEqual(before["last_status"], "503")
        worker.send_signal(signal.SIGCONT)
        worker.communicate(timeout=30)
        self.assertEqual(self.bench.state("A"), before)

    def test_a_lost_database_means_try_again_later(self):
        self.addCleanup(self.bench.db.start)
        self.bench.db.stop()
        self.assertIn("database", self.round(exit=75))

    def test_a_schema_that_is_too_old_is_told_with_what_to_do(self):
        self.bench.sql("CREATE TABLE aside AS SELECT * FROM schema_migrations; DELETE FROM schema_migrations")
        self.addCleanup(self.bench.sql, "INSERT INTO schema_migrations SELECT * FROM aside; DROP TABLE aside")
        said = self.round(exit=75)
        self.assertIn("pomona db migrate", said)


if __name__ == "__main__":
    unittest.main()
