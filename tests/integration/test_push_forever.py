"""pomona-push --forever: a service that nothing ends but SIGTERM, and that costs little while there is nothing to do."""
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from polling import poll  # noqa: E402
from push_bench import PushCase  # noqa: E402


class Forever(PushCase):
    def start(self, *arguments):
        worker = self.bench.start("pomona-push", "--forever", *arguments)
        self.addCleanup(self.end, worker)
        return worker

    def end(self, worker):
        """What it logged, ended by SIGTERM."""
        if worker.poll() is None:
            worker.terminate()
            self.said = "".join(worker.communicate(timeout=60))
            self.assertEqual(worker.returncode, 0, self.said)
        return self.said

    def pushed_at_once(self, *udids):
        self.enrolled(*udids)
        poll(lambda: set(udids) <= set(self.pushed()))

    def test_it_goes_on_when_the_database_was_away(self):
        worker = self.start()
        self.pushed_at_once("A")
        self.bench.db.kill()
        self.bench.db.start()
        self.pushed_at_once("B")
        self.end(worker)
        self.assertEqual(sorted(self.pushed()), ["A", "B"])

    def test_it_waits_for_a_database_that_is_away_and_tells_it(self):
        worker = self.start()
        self.pushed_at_once("A")
        self.bench.db.stop()
        self.assertIn("event=push.trouble error=", worker.stderr.readline())
        self.bench.db.start()
        self.pushed_at_once("B")
        self.assertIn("event=push.trouble-over", self.end(worker))

    def test_it_goes_on_when_apns_was_away_and_tells_it_once(self):
        worker = self.start()
        self.bench.stop_apns()
        self.enrolled("A")
        poll(lambda: self.bench.state("A")["attempts"] == "1")
        self.bench.start_apns()
        self.bench.due("A")
        poll(lambda: self.pushed() == ["A"])
        self.assertEqual(self.end(worker).count("APNs does not answer"), 1)

    def test_a_stopped_topic_is_pushed_to_with_the_next_certificate(self):
        self.issue("foreign", ca=pki.make_ca("Not Apple"))
        worker = self.start()
        self.enrolled("A")
        poll(lambda: self.bench.state("A")["attempts"] == "1")
        self.issue("mine", days=402)
        poll(lambda: self.pushed() == ["A"])
        self.end(worker)

    def test_sigterm_lets_what_is_under_way_finish(self):
        self.verdict("A", delay=2)
        worker = self.start()
        self.enrolled("A")
        poll(lambda: self.bench.state("A")["lease_owner"])
        self.assertEqual(self.end(worker), "")
        self.assertEqual(self.pushed(), ["A"])
        self.assertIsNone(self.bench.state("A")["lease_owner"])

    def test_two_of_them_push_each_device_once(self):
        workers = [self.start(), self.start()]
        self.bench.fleet(400)
        poll(lambda: len(self.pushed()) >= 400)
        for worker in workers:
            self.end(worker)
        self.assertEqual(len(self.pushed()), len(set(self.pushed())))

    def test_it_is_for_ever_or_for_a_time(self):
        self.assertIn("exclude each other", self.round("--forever", "--for", "2s", exit=2))

    def statements(self):
        return int(self.bench.sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'").split()[1])

    def test_a_look_at_which_nothing_is_due_is_one_range_of_an_index(self):
        self.bench.fleet(2000)
        self.bench.sql("UPDATE push_state SET due_at = IF(enrollment_id % 2, NULL, UTC_TIMESTAMP(6) + INTERVAL 1 HOUR)")
        worker = self.start()
        self.pushed_at_once("A")
        before, since = self.statements(), time.monotonic()
        rows = self.rows_read()
        time.sleep(3)   # what is measured is this time
        self.assertLessEqual(self.statements() - before, (time.monotonic() - since) / 0.2 + 2)
        self.assertLess(self.rows_read() - rows, 200)   # nor are the rows looked at that are due later
        self.end(worker)

    def rows_read(self):
        text = self.bench.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Handler_read_next', 'Handler_read_rnd_next')")
        return sum(int(line.split()[1]) for line in text.splitlines())


if __name__ == "__main__":
    unittest.main()
