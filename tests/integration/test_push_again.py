"""Pushes are repeated while commands wait: when, until when, and what begins the repetition anew."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from polling import poll  # noqa: E402
from push_bench import PushCase, token_of  # noqa: E402

BUSY = {"status": 503, "reason": "ServiceUnavailable"}


class Again(PushCase):
    def waiting(self, state="queued"):
        """A device with a command and a push that is due."""
        self.enrolled("A")
        self.bench.queue("A", state)

    def answer(self):
        self.bench.sql("DELETE FROM queue")

    def check(self, pushes, unanswered, minutes):
        self.assertEqual(len(self.pushed()), pushes)
        self.assertEqual(self.bench.state("A")["unanswered"], str(unanswered))
        due = self.bench.minutes_until_due("A")
        if minutes is None:
            self.assertIsNone(due)
        else:
            self.assertTrue(minutes - 1.5 < due <= minutes, due)

    def test_a_silent_device_is_pushed_again_after_5_minutes_then_longer_at_most_12_hours(self):
        self.waiting()
        minutes, pushes = 0, 0
        for pause in (5, 10, 20, 40, 80, 160, 320, 640, 720, 720):
            self.assertEqual(self.round(clock=minutes * 60), "")
            self.assertEqual(self.round(clock=minutes * 60), "")   # not before its time
            pushes += 1
            self.check(pushes, pushes, minutes + pause)
            minutes += pause

    def test_a_device_that_said_not_now_is_pushed_again(self):
        self.waiting("not-now")
        self.round()
        self.check(1, 1, 5)
        self.round(clock=5 * 60)
        self.check(2, 2, 15)

    def test_held_commands_are_no_reason(self):
        self.waiting("held")
        self.round()
        self.check(1, 0, None)

    def test_when_the_commands_were_answered_nothing_is_sent(self):
        self.waiting()
        self.round()
        self.answer()
        self.assertEqual(self.round(clock=6 * 60), "")
        self.check(1, 0, None)

    def test_a_repetition_that_failed_ends_with_the_answer_too(self):
        self.waiting()
        self.round()
        self.verdict("A", **BUSY)
        self.round(clock=6 * 60)
        self.check(1, 1, 6 + 15)
        self.answer()
        self.bench.script({})
        self.round(clock=22 * 60)
        self.check(1, 0, None)

    def test_a_push_that_was_asked_for_is_sent_without_commands_however_often_it_failed(self):
        self.enrolled("A")
        self.verdict("A", **BUSY)
        self.round()
        self.bench.script({})
        self.round(clock=16 * 60)
        self.check(1, 0, None)

    def test_a_new_wish_begins_the_repetition_anew(self):
        self.waiting()
        for clock in (0, 5, 15):
            self.round(clock=clock * 60)
        self.check(3, 3, 35)
        self.bench.checked("push", "send", "A", "--queue-only")
        self.check(3, 0, 0)
        self.round()
        self.check(4, 1, 5)

    def test_a_wish_while_the_push_is_under_way_is_not_lost_in_the_repetition(self):
        self.waiting()
        self.round()
        self.verdict("A", delay=2)
        worker = self.bench.start("pomona-push", clock=6 * 60)
        poll(lambda: self.bench.state("A")["lease_owner"])
        self.bench.checked("push", "send", "A", "--queue-only")
        worker.communicate(timeout=30)
        self.bench.script({})
        self.round()
        self.assertEqual((len(self.pushed()), self.bench.state("A")["unanswered"]), (3, "1"))

    def test_devices_that_end_or_wait_for_approval_are_not_pushed_again(self):
        self.waiting()
        self.round()
        self.bench.sql("UPDATE enrollments SET state = 'pending', current_id = NULL")
        self.round(clock=6 * 60)
        self.check(1, 1, 7)
        self.bench.sql("UPDATE enrollments SET state = 'checked-out'")
        self.round(clock=8 * 60)
        self.check(1, 0, None)

    def test_a_dead_token_that_is_taken_again_is_repeated_like_others(self):
        self.waiting()
        self.enrolled("B")
        self.verdict("A", status=400, reason="BadDeviceToken")
        self.round()
        self.assertIsNotNone(self.bench.state("A")["dead_since"])
        self.bench.script({token_of("A"): {}})
        self.round(clock=2 * 86400)
        self.assertIsNone(self.bench.state("A")["dead_since"])
        self.check(2, 1, 2 * 1440 + 5)

    def test_thousands_of_answered_repetitions_are_cleared_without_a_push(self):
        self.bench.fleet(2500)
        self.bench.sql("UPDATE push_state SET unanswered = 1, due_at = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        self.assertEqual(self.round(), "")
        self.assertEqual(self.pushed(), [])
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_state WHERE due_at IS NULL AND unanswered = 0").strip(), "2500")

    def test_rows_without_topic_get_theirs(self):
        self.enrolled("A")
        self.assertEqual(self.bench.sql("SELECT topic FROM push_state").strip(), "NULL")   # as the version before wrote them
        self.round()
        self.assertEqual(self.bench.sql("SELECT topic FROM push_state").strip(), self.topic)
        self.assertEqual(self.pushed(), ["A"])


if __name__ == "__main__":
    unittest.main()
