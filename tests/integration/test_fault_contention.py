"""Contention and refusals inside a transaction: deadlocks, lock waits and lost certifications run the whole again, at most five times and
within ten seconds; after that, and where the server can write nothing, 503 and nothing half done."""
import concurrent.futures
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
import scep_client  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402
from mdm_rig import Rig, command_of  # noqa: E402
from scep_bench import ScepBench  # noqa: E402

ATTEMPTS = 5
AGAIN = {1213: "deadlock", 1205: "lock wait", 1020: "changed under us", 1047: "no quorum", 1180: "writeset caught in a split"}
FOR_NOW = {1290: "read-only", 1114: "table full", 1021: "disk full", 1030: "storage engine", 1026: "write"}


class Fault:
    """Refuses an INSERT, UPDATE or DELETE of one table, the first `times` times. The count outlives rollbacks: sequences do."""

    def __init__(self, sql, when, table, code, times):
        self.sql = sql
        sql(f"CREATE OR REPLACE SEQUENCE fault_tries;\nDELIMITER //\nCREATE TRIGGER fault BEFORE {when} ON {table} FOR EACH ROW "
            f"IF NEXTVAL(fault_tries) <= {times} THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = 'made by the test'; END IF //")

    def tries(self):
        return int(self.sql("SELECT NEXTVAL(fault_tries)")) - 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sql("DROP TRIGGER fault")


class Contended(unittest.TestCase):
    def hold(self, sql, ask, when, table, done, nothing, every=False):
        """`ask()` makes a message and returns what sends it; `done()` and `nothing()` check its effect and that it had none. The first
        code of each kind, or `every` one."""
        for code, name in list(AGAIN.items())[:None if every else 1]:
            with self.subTest(f"{name} of {table}"):
                send = ask()
                with Fault(sql, when, table, code, 3) as fault:
                    self.assertEqual(send().status, 200, self.log())
                    self.assertGreater(fault.tries(), 3)   # one message may write the table twice
                done()
        endings = [(1213, "deadlock for ever", ATTEMPTS, 503)]
        if every:
            endings += [(code, name, 1, 503) for code, name in FOR_NOW.items()] + [(1644, "anything else", 1, 500)]
        for code, name, attempts, status in endings:
            with self.subTest(f"{name} of {table}"):
                send = ask()
                with Fault(sql, when, table, code, 1000) as fault:
                    began = time.monotonic()
                    answer = send()
                    self.assertLess(time.monotonic() - began, 10)
                    self.assertEqual((answer.status, answer.headers.get("retry-after")), (status, "60" if status == 503 else None), self.log())
                    self.assertEqual(fault.tries(), attempts)
                nothing()
                self.assertEqual(send().status, 200, self.log())
                done()


class Mdm(Contended):
    @classmethod
    def setUpClass(cls):
        cls.rig = Rig()
        cls.addClassCleanup(cls.rig.close)
        cls.command = cls.rig.enqueue(cls.rig.enrolled())

    def log(self):
        return self.rig.log_text()[-1000:]

    def queued(self):
        device = self.rig.enrolled()
        self.rig.sql("INSERT INTO queue (enrollment_id, command_id, enqueued_at) SELECT "
                     f"{self.rig.enrollment_id(device)}, id, created_at FROM commands ORDER BY id LIMIT 1")
        return device

    def counts(self):
        """Of the device last made: current enrolments, messages, settled, queued, events of enrolling, events of commands."""
        of = f"(SELECT id FROM enrollments WHERE external_id = '{self.device.udid}')"
        return [self.rig.count(table, where) for table, where in (
            ("enrollments", f"current_id = '{self.device.udid}'"), ("messages", f"enrollment_id IN {of}"), ("results", f"enrollment_id IN {of}"),
            ("queue", f"enrollment_id IN {of}"), ("events", f"external_id = '{self.device.udid}' AND what = 'enrollment.new'"),
            ("events", f"enrollment_id IN {of} AND what = 'command.acknowledged'"))]

    def test_authenticate(self):
        def ask():
            self.device = self.rig.device()
            return lambda: self.rig.authenticate(self.device)

        for when, table in (("INSERT", "enrollments"), ("UPDATE", "certificates"), ("INSERT", "events")):
            self.hold(self.rig.sql, ask, when, table, lambda: self.assertEqual(self.counts(), [1, 1, 0, 0, 1, 0]),
                      lambda: self.assertEqual(self.counts(), [0, 0, 0, 0, 0, 0]), every=table == "events")

    def test_report(self):
        def ask():
            self.device = self.queued()
            return lambda: self.rig.report(self.device, self.command)

        for when, table in (("INSERT", "results"), ("DELETE", "queue"), ("INSERT", "events")):
            self.hold(self.rig.sql, ask, when, table, lambda: self.assertEqual(self.counts()[2:], [1, 0, 1, 1]),
                      lambda: self.assertEqual(self.counts()[2:], [0, 1, 1, 0]), every=table == "results")

    def test_a_single_write_outside_a_transaction(self):
        def ask():
            self.device = self.queued()
            self.rig.report(self.device, self.command, "NotNow")
            return lambda: self.rig.idle(self.device)

        self.hold(self.rig.sql, ask, "UPDATE", "queue", lambda: self.assertEqual(command_of(self.rig.idle(self.device))[0], self.command),
                  lambda: self.assertEqual(self.rig.count("queue", f"state = 'not-now' AND enrollment_id = "
                                                          f"{self.rig.enrollment_id(self.device)}"), 1))

    # --- locks that somebody really holds ---------------------------------------------------------------------------------

    def holder(self):
        session = self.rig.db.session()
        self.addCleanup(session.close)
        return session.say

    def settled(self, uuid):
        return [self.rig.count(table, f"command_uuid = '{uuid}'") for table in ("results", "events")]

    def report_while(self, device, uuid):
        pool = concurrent.futures.ThreadPoolExecutor()
        self.addCleanup(pool.shutdown)
        began = time.monotonic()
        sent = pool.submit(lambda: (self.rig.report(device, uuid), time.monotonic() - began))
        self.rig.db.until_blocked()
        return sent

    def test_a_row_that_is_locked_for_long_is_503_in_time_and_for_a_moment_is_waited_for(self):
        device = self.rig.enrolled()
        uuid = self.rig.enqueue(device)
        say = self.holder()
        say(f"START TRANSACTION; SELECT id FROM queue WHERE enrollment_id = {self.rig.enrollment_id(device)} FOR UPDATE")
        answer, took = self.report_while(device, uuid).result()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "60"))
        self.assertLess(took, 10)
        self.assertIn("(1205)", self.log())
        self.assertEqual(self.settled(uuid), [0, 1])   # the event of queueing
        sent = self.report_while(device, uuid)
        say("COMMIT")
        self.assertEqual(sent.result()[0].status, 200)
        self.assertEqual(self.settled(uuid), [1, 2])

    def test_who_loses_a_deadlock_does_all_of_it_again(self):
        device = self.rig.enrolled()
        uuid = self.rig.enqueue(device)
        enrollment = self.rig.enrollment_id(device)
        self.rig.sql(f"UPDATE enrollments SET last_seen_at = NULL WHERE id = {enrollment}; CREATE OR REPLACE TABLE weight (n INT PRIMARY KEY)")
        say = self.holder()
        say("START TRANSACTION; INSERT INTO weight SELECT seq FROM seq_1_to_1000; "
            f"SELECT id FROM enrollments WHERE id = {enrollment} FOR UPDATE")
        sent = self.report_while(device, uuid)   # holds its delivery, waits for its enrolment
        say(f"SELECT id FROM queue WHERE enrollment_id = {enrollment} FOR UPDATE; COMMIT")
        answer, took = sent.result()
        self.assertEqual(answer.status, 200, self.log())
        self.assertLess(took, 10)
        self.assertEqual(self.rig.sql("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'"), "Innodb_deadlocks\t1")
        self.assertEqual(self.settled(uuid), [1, 2])


class Scep(Contended):
    def test_issue(self):
        bench = ScepBench()
        self.addCleanup(bench.close)
        self.log = lambda: bench.log.read_text()[-1000:]
        client, key = scep_client.Client(bench.ra_and_ca()[0]), scep_client.pool_key(0)

        def ask():
            self.ticket = bench.ticket()
            message = client.message(scep_client.csr(key, self.ticket.challenge), key)
            return lambda: bench.post(message)

        def done():
            (row,) = bench.certificates(self.ticket)
            self.assertEqual(row["status"], "issued")
            self.assertEqual([what for what, _ in bench.events(self.ticket)], ["certificate.issued"])

        def nothing():
            self.assertEqual((bench.certificates(self.ticket), bench.events(self.ticket)), ([], []))

        def recorded():
            """Its serial number is: the next to ask for it finishes it."""
            self.assertEqual([row["status"] for row in bench.certificates(self.ticket)], ["pending"])
            self.assertEqual(bench.events(self.ticket), [])

        self.hold(bench.sql, ask, "INSERT", "certificates", done, nothing)
        self.hold(bench.sql, ask, "UPDATE", "tickets", done, nothing)
        self.hold(bench.sql, ask, "UPDATE", "certificates", done, recorded, every=True)
        self.hold(bench.sql, ask, "INSERT", "events", done, recorded)


class Enroll(Contended):
    def test_download(self):
        bench = Bench()
        self.addCleanup(bench.close)
        bench.checked("ca", "init")
        bench.put_certificate("push", pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True), topic=TOPIC)
        handler = bench.handler("pomona-enroll")
        self.addCleanup(handler.stop)
        self.log = lambda: handler.log()[-1000:]

        def ask():
            self.ticket = bench.json("ticket", "new", "--uses", "5")
            path = self.ticket["url"].removeprefix("https://mdm.example.org")
            return lambda: handler.request("GET", path)

        def counts():
            number = self.ticket["number"]
            return [int(n) for n in bench.sql(f"SELECT (SELECT 5 - uses_left FROM tickets WHERE id = {number}), COUNT(*) FROM tickets "
                                              f"WHERE parent_id = {number}").split()]

        for when, table in (("UPDATE", "tickets"), ("INSERT", "tickets"), ("INSERT", "profiles"), ("INSERT", "events")):
            self.hold(bench.sql, ask, when, table, lambda: self.assertEqual(counts(), [1, 1]), lambda: self.assertEqual(counts(), [0, 0]))


if __name__ == "__main__":
    unittest.main()
