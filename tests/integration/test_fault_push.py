"""MariaDB dies, stops or breaks the connection under pomona-push: it ends with 75 (or goes on), and no push that was due is forgotten."""
import os
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from database_proxy import DatabaseProxy  # noqa: E402
from polling import poll  # noqa: E402
from push_bench import PushCase  # noqa: E402

LATER = 75
DEVICES = ("A", "B", "C")


class Push(PushCase):
    def setUp(self):
        super().setUp()
        self.enrolled(*DEVICES)
        self.addCleanup(self.bench.db.resume)

    def everybody_is_pushed_next_time(self):
        """Once the leases of the run that broke have ended."""
        self.bench.sql("UPDATE push_state SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE lease_until IS NOT NULL")
        self.assertEqual(self.round(), "")
        self.assertEqual(set(self.pushed()), set(DEVICES))
        for udid in DEVICES:
            state = self.bench.state(udid)
            self.assertEqual((state["due_at"], state["lease_owner"], state["last_status"]), (None, None, "200"))

    def in_flight(self):
        """A worker whose pushes are with APNs and not answered yet."""
        self.verdict("A", delay=2)
        worker = self.bench.start("pomona-push", "--for", "20s")
        poll(lambda: len(self.bench.pushes()) >= 1)
        return worker

    def ended(self, worker, within):
        began = time.monotonic()
        _, errors = worker.communicate(timeout=60)
        self.assertEqual(worker.returncode, LATER, errors)
        self.assertIn("database: ", errors)
        self.assertLess(time.monotonic() - began, within)

    def test_killed_while_pushes_are_in_flight(self):
        worker = self.in_flight()
        self.bench.db.kill()
        self.ended(worker, 10)
        self.bench.db.start()
        self.everybody_is_pushed_next_time()

    def test_stopped_while_pushes_are_in_flight(self):
        worker = self.in_flight()
        self.bench.db.pause()
        self.ended(worker, 20)
        self.bench.db.resume()
        self.everybody_is_pushed_next_time()

    def test_absent_from_the_beginning(self):
        self.bench.db.stop()
        try:
            done = self.bench.push("--for", "5s")
        finally:
            self.bench.db.start()
        self.assertEqual(done.returncode, LATER)
        self.assertIn("database: connect as pomona-push", done.stderr)
        self.everybody_is_pushed_next_time()

    def test_the_connection_breaks_at_each_statement(self):
        with DatabaseProxy(self.bench.folder / "proxy.sock", self.bench.db.socket) as proxy:
            self.bench.write_conf(database_socket=proxy.path)
            self.addCleanup(self.bench.write_conf)
            for cut in (proxy.cut_before, proxy.cut_after):
                place, fired = 1, True
                while fired:
                    cut(number=place)
                    done = self.bench.push()
                    fired = proxy.fired.is_set()
                    proxy.release()
                    with self.subTest(cut=cut.__name__, place=place, statement=proxy.statements[-1:]):
                        self.assertIn(done.returncode, (0, LATER), done.stderr)
                        self.everybody_is_pushed_next_time()
                    self.bench.due(*DEVICES)
                    os.truncate(self.bench.folder / "apns.log", 0)
                    place += 1
                self.assertGreater(place, 5)

    def test_deadlocks_are_tried_again_and_lose_no_outcome(self):
        self.bench.sql("CREATE OR REPLACE SEQUENCE fault_tries;\nDELIMITER //\nCREATE TRIGGER fault BEFORE UPDATE ON push_state FOR EACH ROW "
                       "IF NEXTVAL(fault_tries) IN (2, 5, 9, 11) THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'x'; END IF //")
        self.addCleanup(self.bench.sql, "DROP TRIGGER IF EXISTS fault")
        self.assertEqual(self.round(), "")
        self.assertGreater(int(self.bench.sql("SELECT NEXTVAL(fault_tries)")), 11)
        self.assertEqual(sorted(self.pushed()), sorted(DEVICES))   # none twice: claiming came before
        for udid in DEVICES:
            self.assertEqual((self.bench.state(udid)["due_at"], self.bench.state(udid)["lease_owner"]), (None, None))


if __name__ == "__main__":
    unittest.main()
