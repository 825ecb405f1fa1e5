"""What pomona-push makes of APNs' answers, of broken connections and of push certificates; and `pomona push send`."""
import json
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from polling import poll  # noqa: E402
from push_bench import PushCase, token_of  # noqa: E402

DAY = 86400
BAD_TOKEN = {"status": 400, "reason": "BadDeviceToken"}


def milliseconds(ago):
    return int((time.time() - ago) * 1000)


class Answers(PushCase):
    def answered(self, exit=0, **verdict):
        """One round for A, which gets the verdict, and B, which is accepted; what was logged."""
        self.enrolled("A", "B")
        self.verdict("A", **verdict)
        said = self.round(exit=exit)
        self.assertEqual(self.pushed(), ["B"])
        self.assertIsNone(self.bench.state("B")["due_at"])
        return said

    def check_alive(self, attempts, least, most):
        state = self.bench.state("A")
        self.assertEqual((state["dead_since"], state["attempts"]), (None, str(attempts)))
        self.assertTrue(least - 1 < self.bench.minutes_until_due("A") <= most, self.bench.minutes_until_due("A"))

    def test_unregistered_since_the_last_token_update_kills_the_token(self):
        said = self.answered(status=410, reason="Unregistered", timestamp=milliseconds(ago=60))
        self.assertIn("verdict=unregistered status=410 reason=Unregistered", said)
        state = self.bench.state("A")
        self.assertIsNotNone(state["dead_since"])
        self.assertEqual((state["last_status"], state["last_reason"]), ("410", "Unregistered"))
        self.assertEqual(len(self.bench.events("push.token-dead")), 1)

    def test_unregistered_before_the_last_token_update_kills_nothing(self):
        self.answered(status=410, reason="Unregistered", timestamp=milliseconds(ago=2 * DAY))
        self.check_alive(0, 15, 15)
        self.assertEqual(self.bench.events("push.token-dead"), [])

    def test_a_bad_token_is_dead_until_a_token_update(self):
        for reason in ("BadDeviceToken", "DeviceTokenNotForTopic"):
            with self.subTest(reason):
                self.bench.forget()
                self.answered(status=400, reason=reason)
                self.assertIsNotNone(self.bench.state("A")["dead_since"])
                self.bench.due("A")   # a further command does not make it try
                self.round()
                self.assertEqual(self.pushed(), ["B"])
        # What pomona-mdm does when the device sends a TokenUpdate.
        self.bench.sql(f"UPDATE enrollments SET push_token = X'{token_of('A2')}', token_updated_at = UTC_TIMESTAMP(6) "
                       "WHERE external_id = 'A';"
                       "UPDATE push_state SET dead_since = NULL, attempts = 0, due_at = UTC_TIMESTAMP(6)")
        self.round()
        self.assertIn("A2", self.pushed())

    def test_a_dead_token_is_tried_again_after_1_7_and_30_days_and_then_no_more(self):
        self.answered(**BAD_TOKEN)
        tries = []
        for day in (0.9, 1.1, 2, 6.9, 7.1, 29.9, 30.1, 31, 100):
            self.bench.due("A")
            if "enrollment=A" in self.round(clock=int(day * DAY)):
                tries.append(day)
        self.assertEqual(tries, [1.1, 7.1, 30.1])
        self.assertEqual(len(self.bench.events("push.token-dead")), 1)

    def test_a_dead_token_that_apns_takes_again_is_alive(self):
        self.answered(**BAD_TOKEN)
        self.bench.script({})
        self.assertEqual(self.round(clock=2 * DAY), "")
        state = self.bench.state("A")
        self.assertEqual((state["dead_since"], state["due_at"], state["attempts"]), (None, None, "0"))

    def test_trouble_of_apns_is_waited_out_longer_each_time(self):
        self.answered(status=503, reason="ServiceUnavailable")
        self.check_alive(1, 15, 15)
        self.round()
        self.check_alive(1, 14, 15)   # not tried before its time
        self.round(clock=16 * 60)
        self.check_alive(2, 30, 46)

    def test_too_many_requests_delay_that_device_only(self):
        self.answered(status=429, reason="TooManyRequests")
        self.check_alive(1, 1, 1)

    def test_a_refusal_that_is_no_verdict_on_the_token_kills_nothing(self):
        self.answered(status=400, reason="BadMessageId")
        self.check_alive(1, 59, 60)

    def test_an_unreadable_answer_kills_nothing_and_cannot_forge_log_lines(self):
        said = self.answered(status=400, reason="x\nevent=push enrollment=B")
        self.assertEqual(len(said.splitlines()), 1)
        self.check_alive(1, 59, 60)

    def test_a_refused_certificate_or_topic_stops_the_topic_and_marks_nobody(self):
        for status, reason in ((403, "BadCertificate"), (403, "BadCertificateEnvironment"), (400, "BadTopic"),
                               (400, "TopicDisallowed"), (403, "InvalidProviderToken")):
            with self.subTest(reason):
                self.bench.forget()
                self.enrolled("A", "B", "C")
                refused = {"status": status, "reason": reason}
                self.bench.script({"*": refused, token_of("B"): BAD_TOKEN})
                said = self.round(exit=1)
                self.assertIn(f"{reason}", said)
                self.assertIn("no device was marked", said)
                self.assertIn(reason, self.bench.events("push.stopped")[0])
                for udid in "ABC":
                    state = self.bench.state(udid)
                    self.assertEqual((state["dead_since"], state["attempts"], state["lease_owner"]), (None, "0", None))
                    self.assertIsNotNone(state["due_at"])

    def test_more_than_20_and_more_than_2_percent_refused_are_not_believed(self):
        names = [f"D{number}" for number in range(21)]
        self.enrolled(*names, "good")
        self.bench.script({token_of(name): BAD_TOKEN for name in names})
        said = self.round(exit=1)
        self.assertIn("too many pushes were refused", said)
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_state WHERE dead_since IS NOT NULL").strip(), "0")
        self.assertEqual(len(self.bench.events("push.stopped")), 1)

    def test_a_round_in_which_apns_calls_every_token_bad_buries_nobody(self):
        for names in ("A", "ABC"):
            with self.subTest(names):
                self.bench.forget()
                self.enrolled(*names)
                self.bench.script({"*": BAD_TOKEN})
                for clock in (0, 16 * 60, 50 * 60):   # nor do rounds like it, with longer and longer pauses
                    self.assertIn("has taken no other push of the topic", self.round(clock=clock))
                for udid in names:
                    self.assertEqual((self.bench.state(udid)["dead_since"], self.bench.state(udid)["attempts"]), (None, "3"))
                self.assertTrue(99 < self.bench.minutes_until_due("A") < 111)
                self.assertEqual(self.bench.events("push.token-dead"), [])

    def test_a_bad_token_is_believed_once_apns_has_taken_another_push_of_the_topic(self):
        self.enrolled("A")
        self.verdict("A", **BAD_TOKEN)
        self.round()
        self.enrolled("B")
        self.round(clock=60)
        self.assertEqual(self.pushed(), ["B"])
        self.assertIsNone(self.bench.state("A")["dead_since"])
        self.round(clock=16 * 60)
        self.assertIsNotNone(self.bench.state("A")["dead_since"])
        self.assertEqual(len(self.bench.events("push.token-dead")), 1)

    def test_20_refused_are_believed(self):
        names = [f"D{number}" for number in range(20)]
        self.enrolled(*names, "good")
        self.bench.script({token_of(name): BAD_TOKEN for name in names})
        self.round()
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_state WHERE dead_since IS NOT NULL").strip(), "20")


class Connections(PushCase):
    def test_a_hanging_push_times_out_and_the_others_go_on(self):
        self.enrolled("A", "B")
        self.verdict("A", hang=True)
        began = time.monotonic()
        said = self.round()
        self.assertLess(time.monotonic() - began, 25)
        self.assertIn("enrollment=A", said)
        self.assertIn("verdict=no-answer status=0", said)
        self.assertEqual(self.pushed(), ["B"])
        state = self.bench.state("A")
        self.assertEqual((state["dead_since"], state["attempts"], state["last_status"]), (None, "1", None))

    def test_a_reset_stream_costs_one_push_only(self):
        self.enrolled("A", "B")
        self.verdict("A", reset=True)
        self.round()
        self.assertEqual(self.pushed(), ["B"])
        self.assertIsNone(self.bench.state("A")["dead_since"])
        self.bench.script({})
        self.round(clock=120)
        self.assertEqual(self.pushed(), ["B", "A"])

    def test_a_connection_that_goes_away_or_is_lost_loses_no_push(self):
        names = [f"D{number}" for number in range(10)]
        for end in ("goaway", "close"):
            with self.subTest(end):
                self.bench.forget()
                self.enrolled(*names)
                self.bench.script({token_of("D4"): [{end: True}, {}]})
                self.bench.push()   # what was under way on that connection has no answer, which may be all of it
                self.assertEqual(self.round(clock=120), "")
                self.assertEqual(sorted(set(self.pushed())), names)
                self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM push_state WHERE due_at IS NOT NULL").strip(), "0")

    def test_a_hanging_push_holds_up_no_other_device_and_no_other_topic(self):
        other = "com.apple.mgmt.External.99999999-2222-3333-4444-555555555555"
        self.issue("other", topic=other)
        self.verdict("A", hang=True)
        self.enrolled("A")
        worker = self.bench.start("pomona-push", "--for", "30s")
        poll(lambda: self.bench.state("A")["lease_owner"])
        self.enrolled("B")
        self.enrolled("C", topic=other)
        poll(lambda: sorted(self.pushed()) == ["B", "C"])
        self.assertIsNotNone(self.bench.state("A")["lease_owner"])   # still waiting for its answer
        worker.terminate()
        worker.communicate(timeout=30)

    def test_apns_away_means_try_again_later_and_nobody_is_marked(self):
        self.bench.stop_apns()
        self.addCleanup(self.bench.start_apns)
        self.enrolled("A", "B")
        self.assertIn("APNs does not answer", self.round(exit=75))
        for udid in "AB":
            self.assertIsNone(self.bench.state(udid)["dead_since"])
            self.assertLessEqual(self.bench.minutes_until_due(udid), 1)

    def test_a_server_that_the_ca_file_does_not_vouch_for_gets_nothing(self):
        pki.make_ca("Other").write(self.bench.folder / "other-ca.pem", self.bench.folder / "other-ca.key")
        self.addCleanup(self.bench.write_conf)
        self.bench.write_conf(push_ca_file=self.bench.folder / "other-ca.pem")
        self.enrolled("A")
        self.assertIn("does not answer", self.round(exit=75))
        self.assertEqual(self.pushed(), [])


class Certificates(PushCase):
    def test_a_renewed_certificate_is_used_by_a_running_worker_from_its_next_round(self):
        self.issue("foreign", ca=pki.make_ca("Not Apple"))   # the stand-in ends the handshake
        self.enrolled("A")
        worker = self.bench.start("pomona-push", "--for", "60s")
        poll(lambda: (self.bench.state("A")["last_reason"] or "") != "")
        self.assertEqual(self.pushed(), [])
        self.assertTrue(self.issue("renewed", days=400)["renewed"])   # A is due again with it
        poll(lambda: self.pushed() == ["A"])
        worker.terminate()
        worker.communicate(timeout=30)
        self.assertEqual(worker.returncode, 0)

    def test_a_new_certificate_tries_again_at_once_what_failed_and_leaves_the_dead_and_repetitions_alone(self):
        self.enrolled("dead", "repeated", "bad", "busy")
        self.bench.queue("repeated")
        self.bench.script({token_of("dead"): BAD_TOKEN, token_of("busy"): {"status": 503, "reason": "ServiceUnavailable"}})
        self.bench.due("dead", "repeated", "busy")
        self.bench.sql(f"UPDATE push_state SET due_at = NULL WHERE enrollment_id = {self.bench.id_of('bad')}")
        self.round()
        self.bench.script({"*": BAD_TOKEN})
        self.bench.due("bad")
        self.round()
        self.issue("mended", days=401)
        self.bench.script({})
        self.assertEqual(self.round(), "")
        self.assertEqual(sorted(self.pushed()), ["bad", "busy", "repeated"])
        self.assertIsNotNone(self.bench.state("dead")["dead_since"])

    def test_an_expired_certificate_is_refused_loudly_and_disables_nothing(self):
        self.enrolled("A")
        said = self.round(exit=1, clock=1000 * DAY)
        for words in (self.topic, "expired on", "Renew, not Create", "nothing was disabled"):
            self.assertIn(words, said)
        self.assertEqual(self.pushed(), [])
        state = self.bench.state("A")
        self.assertIsNotNone(state["due_at"])
        self.assertEqual((state["dead_since"], state["attempts"], state["last_status"]), (None, "0", None))

    def test_devices_of_another_topic_wait_and_the_log_says_for_what(self):
        other = "com.apple.mgmt.External.99999999-2222-3333-4444-555555555555"
        self.enrolled("A", topic=other)
        self.enrolled("B")
        said = self.round(exit=1)
        self.assertIn(f"topic {other}: there is no push certificate", said)
        self.assertIn("pomona push-cert import", said)
        self.assertEqual(self.pushed(), ["B"])
        self.issue("other", topic=other)
        self.assertEqual(self.round(), "")
        self.assertEqual([push["topic"] for push in self.bench.pushes()], [self.topic, other])

    def test_a_key_that_does_not_open_is_told(self):
        self.addCleanup(self.bench.sql, "UPDATE secrets SET nonce = REVERSE(nonce)")
        self.bench.sql("UPDATE secrets SET nonce = REVERSE(nonce)")
        self.enrolled("A")
        self.assertIn(self.topic, self.round(exit=1))
        self.assertIsNotNone(self.bench.state("A")["due_at"])


class Send(PushCase):
    def send(self, *arguments, exit=0):
        done = self.bench.pomona("push", "send", *arguments, "--json")
        self.assertEqual(done.returncode, exit, done.stdout + done.stderr)
        return {line["id"]: line for line in json.loads(done.stdout)}

    def test_send_pushes_at_once_and_says_what_apns_answered(self):
        self.bench.enroll("A")
        self.bench.enroll("B")
        answers = self.send("A,B")
        self.assertEqual([(line["result"], line["status"]) for line in answers.values()], [("accepted", 200)] * 2)
        self.assertEqual(sorted(self.pushed()), ["A", "B"])
        self.assertEqual(answers["A"]["apns_id"], self.bench.state("A")["last_apns_id"])
        self.assertIsNone(self.bench.state("A")["due_at"])

    def test_what_cannot_be_pushed_is_said_per_device(self):
        for udid in ("A", "B", "C"):
            self.bench.enroll(udid)
        self.bench.sql("UPDATE enrollments SET push_token = NULL WHERE external_id = 'B';"
                       "UPDATE enrollments SET frozen = TRUE WHERE external_id = 'C'")
        answers = self.send("A", "B", "C", "nobody", exit=1)
        self.assertEqual({udid: line["result"] for udid, line in answers.items()},
                         {"A": "accepted", "B": "not-ready", "C": "not-ready", "nobody": "not-found"})
        self.assertIn("TokenUpdate", answers["B"]["reason"])
        self.assertEqual(self.pushed(), ["A"])

    def test_a_refused_push_is_shown_and_recorded(self):
        self.bench.enroll("A")
        self.bench.enroll("B")
        self.verdict("A", **BAD_TOKEN)
        line = self.send("A,B", exit=1)["A"]
        self.assertEqual((line["result"], line["status"], line["reason"]), ("bad-token", 400, "BadDeviceToken"))
        self.assertIsNotNone(self.bench.state("A")["dead_since"])
        self.bench.script({})
        self.assertEqual(self.send("A")["A"]["result"], "accepted")   # an admin may try a dead token
        self.assertIsNone(self.bench.state("A")["dead_since"])

    def test_queue_only_leaves_it_to_the_worker(self):
        self.bench.enroll("A")
        self.assertEqual(self.send("A", "--queue-only")["A"]["result"], "queued")
        self.assertEqual(self.pushed(), [])
        self.round()
        self.assertEqual(self.pushed(), ["A"])

    def test_a_device_that_a_worker_is_pushing_is_left_to_it_and_pushed_again(self):
        self.enrolled("A")
        self.verdict("A", delay=3)
        worker = self.bench.start("pomona-push")
        poll(lambda: self.bench.state("A")["lease_owner"])
        self.assertEqual(self.send("A", exit=1)["A"]["result"], "queued")
        worker.communicate(timeout=30)
        self.assertIsNotNone(self.bench.state("A")["due_at"])


if __name__ == "__main__":
    unittest.main()
