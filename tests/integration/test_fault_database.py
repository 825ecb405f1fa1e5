"""MariaDB killed, stopped, restarted, full of connections, read-only or set up wrongly under pomona-mdm: 503 within ten seconds (500 where
an admin must act), never a 4xx, recovery in the same process, every report answered 200 kept once."""
import concurrent.futures
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from bench import Bench  # noqa: E402
from database_proxy import DatabaseProxy  # noqa: E402
from mdm_rig import MdmTest, Rig, command_of  # noqa: E402
from polling import poll  # noqa: E402

LIMIT = 10
THREADS = 4


def timed(send):
    began = time.monotonic()
    answer = send()
    return answer, time.monotonic() - began


def at_once(sends):
    with concurrent.futures.ThreadPoolExecutor(len(sends)) as pool:
        return [future.result() for future in [pool.submit(timed, send) for send in sends]]


class Faulty(MdmTest):
    settings = {"threads": THREADS}

    def setUp(self):
        self.pid = self.rig.process.pid
        self.addCleanup(self.rig.db.resume)

    def unavailable(self, answer, status=503):
        self.assertEqual((answer.status, answer.headers.get("retry-after")), (status, "60" if status == 503 else None),
                         self.rig.log_text()[-1000:])

    def served(self, device):
        self.assertEqual(self.rig.idle(device).status, 200, self.rig.log_text()[-1000:])
        self.assertIsNone(self.rig.process.poll())


class Away(Faulty):
    def test_killed_under_load_and_started_again_it_has_lost_and_doubled_nothing(self):
        devices = [self.rig.enrolled() for _ in range(6)]
        commands = {device.udid: [self.rig.enqueue(device) for _ in range(4)] for device in devices}
        kept, refusals, slowest, running = [], [], [0], threading.Event()

        def live(device):
            current = command_of(self.rig.idle(device))[0]
            while current:
                answer, took = timed(lambda uuid=current: self.rig.report(device, uuid))
                slowest[0] = max(slowest[0], took)
                if answer.status == 200:
                    kept.append(current)
                    current = (command_of(answer) or (None,))[0]
                else:
                    self.unavailable(answer)
                    refusals.append(current)
                    running.wait(5)
                if len(kept) == 3:
                    killing.set()

        killing = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
            lives = [pool.submit(live, device) for device in devices]
            killing.wait(20)
            self.rig.db.kill()
            poll(lambda: len(refusals) >= len(devices) / 2)
            self.rig.db.start()
            running.set()
            for each in lives:
                each.result(60)
        self.assertLess(slowest[0], LIMIT)
        self.assertEqual(self.rig.process.pid, self.pid)
        self.assertIsNone(self.rig.process.poll())
        for device in devices:
            enrollment = self.rig.enrollment_id(device)
            wanted = "\n".join(sorted(commands[device.udid]))
            self.assertEqual(self.rig.sql(f"SELECT command_uuid FROM results WHERE enrollment_id = {enrollment} ORDER BY 1"), wanted)
            self.assertEqual(self.rig.sql(f"SELECT command_uuid FROM events WHERE enrollment_id = {enrollment} AND what = "
                                          "'command.acknowledged' ORDER BY 1"), wanted)
            self.assertEqual(self.rig.count("queue", f"enrollment_id = {enrollment}"), 0)
        self.assertEqual(sorted(kept), sorted(uuid for all in commands.values() for uuid in all))

    def test_stopped_it_keeps_nobody_waiting_however_many_ask(self):
        devices = [self.rig.enrolled() for _ in range(8)]
        uuids = [self.rig.enqueue(device) for device in devices]
        self.rig.db.pause()
        answers = at_once([lambda d=device, u=uuid: self.rig.report(d, u) for device, uuid in zip(devices, uuids)] * 3)
        for answer, took in answers:
            self.unavailable(answer)
            self.assertLess(took, LIMIT)
        self.rig.db.resume()
        poll(lambda: self.rig.idle(devices[0]).status == 200, 10)
        for device, uuid in zip(devices, uuids):
            self.assertEqual(self.rig.report(device, uuid).status, 200)
        self.assertEqual(self.rig.count("results", f"command_uuid IN ({','.join(repr(u) for u in uuids)})"), 8)
        self.assertEqual(self.rig.count("events", f"command_uuid IN ({','.join(repr(u) for u in uuids)}) "
                                        "AND what = 'command.acknowledged'"), 8)
        for answer, _ in at_once([lambda d=device: self.rig.idle(d) for device in devices]):
            self.assertEqual(answer.status, 200)   # no thread is stuck
        self.assertEqual(self.rig.process.pid, self.pid)

    def test_restarted_between_requests_it_is_noticed_by_nobody(self):
        device = self.rig.enrolled()
        uuids = [self.rig.enqueue(device) for _ in range(2)]
        for end in (self.rig.db.stop, self.rig.db.kill):
            at_once([lambda: self.rig.idle(device)] * (3 * THREADS))
            end()
            self.rig.db.start()
            for answer, _ in at_once([lambda: self.rig.idle(device)] * (3 * THREADS)):
                self.assertEqual(answer.status, 200, self.rig.log_text()[-1000:])
            end()
            self.rig.db.start()
            self.assertEqual(self.rig.report(device, uuids.pop()).status, 200)

    def test_connections_that_it_closed_are_replaced(self):
        device = self.rig.enrolled()
        at_once([lambda: self.rig.idle(device)] * (3 * THREADS))
        self.rig.sql("KILL USER 'pomona-mdm'@'localhost'")
        for answer, _ in at_once([lambda: self.rig.idle(device)] * (3 * THREADS)):
            self.assertEqual(answer.status, 200, self.rig.log_text()[-1000:])


class Refusing(Faulty):
    """It is there and says no."""
    settings = {"threads": 1}

    def reconnect(self):
        self.rig.sql("KILL USER 'pomona-mdm'@'localhost'")

    def test_no_connection_left(self):
        device = self.rig.enrolled()
        self.rig.sql("SET GLOBAL max_connections = 10")
        self.reconnect()
        crowd = []
        greeting = b""
        while b"Too many connections" not in greeting:   # each counts from accept on, long before it has logged in
            crowd.append(socket.socket(socket.AF_UNIX))
            crowd[-1].connect(str(self.rig.db.socket))
            greeting = crowd[-1].recv(200)
        self.unavailable(self.rig.idle(device))
        self.assertIn("Too many connections", self.rig.log_text().splitlines()[-1])
        for each in crowd:
            each.close()
        poll(lambda: self.rig.idle(device).status == 200)
        self.rig.sql("SET GLOBAL max_connections = 200")

    def test_a_login_that_is_refused_is_an_admins_matter(self):
        device = self.rig.enrolled()
        right = self.rig.db.password("pomona-mdm")
        for break_it, mend, words in (
                ("ALTER USER 'pomona-mdm'@'localhost' IDENTIFIED BY 'another'",
                 f"ALTER USER 'pomona-mdm'@'localhost' IDENTIFIED BY '{right}'", "Access denied for user 'pomona-mdm'"),
                ("ALTER USER 'pomona-mdm'@'localhost' ACCOUNT LOCK", "ALTER USER 'pomona-mdm'@'localhost' ACCOUNT UNLOCK", "locked")):
            with self.subTest(words):
                self.rig.sql(break_it)
                self.reconnect()
                self.unavailable(self.rig.idle(device), 500)
                self.assertIn(words, self.rig.log_text().splitlines()[-1])
                self.rig.sql(mend)
                self.served(device)

    def test_read_only_it_still_answers_who_writes_nothing(self):
        device = self.rig.enrolled()
        uuid = self.rig.enqueue(device)
        self.served(device)
        self.rig.sql("SET GLOBAL read_only = ON")
        self.addCleanup(self.rig.sql, "SET GLOBAL read_only = OFF")
        self.served(device)
        self.unavailable(self.rig.report(device, uuid))
        self.assertIn("read-only", self.rig.log_text().splitlines()[-1])
        self.rig.sql("SET GLOBAL read_only = OFF")
        self.assertEqual(self.rig.report(device, uuid).status, 200)
        self.assertEqual(self.rig.count("results", f"command_uuid = '{uuid}'"), 1)

    def test_packets_made_smaller_while_it_runs_are_named_in_the_log(self):
        device = self.rig.enrolled()
        self.rig.sql("SET GLOBAL max_allowed_packet = 16 * 1024 * 1024")
        self.served(device)   # connections have the size that they began with
        self.reconnect()
        self.unavailable(self.rig.idle(device), 500)
        self.assertIn("max_allowed_packet is 16777216; set it to 64M", self.rig.log_text().splitlines()[-1])
        self.rig.sql("SET GLOBAL max_allowed_packet = 64 * 1024 * 1024")
        self.served(device)

    def test_a_report_that_is_too_large_to_keep_settles_its_command_and_harms_no_connection(self):
        device = self.rig.enrolled()
        uuid = self.rig.enqueue(device)
        answer, took = timed(lambda: self.rig.report(device, uuid, Large=os.urandom(20 << 20)))
        self.assertEqual(answer.status, 200, self.rig.log_text()[-500:])
        self.assertLess(took, LIMIT)
        self.assertEqual(self.rig.sql(f"SELECT status, body IS NULL FROM results WHERE command_uuid = '{uuid}'"), "oversized\t1")
        self.served(device)


class Starting(unittest.TestCase):
    def test_no_program_starts_on_a_database_that_cannot_take_a_report(self):
        with Bench() as bench:
            bench.checked("ca", "init")
            bench.sql("SET GLOBAL max_allowed_packet = 16 * 1024 * 1024")
            for program in ("pomona-mdm", "pomona-scep", "pomona-enroll"):
                with self.subTest(program):
                    log = bench.folder / f"{program}.log"
                    with open(log, "w") as stderr:
                        ended = subprocess.run(bench.argv(program, "--socket", bench.folder / "s.sock"), stderr=stderr, stdin=subprocess.DEVNULL,
                                               env=bench.environment(), timeout=30)
                    self.assertEqual(ended.returncode, 1)
                    self.assertIn("set it to 64M", log.read_text())
            done = bench.pomona("ticket", "list")
            self.assertEqual(done.returncode, 1)
            self.assertIn("set it to 64M", done.stderr)

    def test_a_program_that_starts_before_the_database_waits_for_it(self):
        with Rig(threads=2) as rig:
            device = rig.enrolled()
            rig.db.stop()
            rig.restart(threads=2)
            self.assertEqual(rig.idle(device).status, 503)
            rig.db.start()
            self.assertEqual(rig.idle(device).status, 200)


class Silent(unittest.TestCase):
    """As a stopped server is, at a chosen moment: it took the statement and says nothing."""

    def test_sigterm_meanwhile_ends_the_program_in_time_and_leaves_nobody_without_an_answer(self):
        with Rig(threads=THREADS) as rig, DatabaseProxy(rig.folder / "proxy.sock", rig.db.socket) as proxy:
            rig.restart(threads=THREADS, database_socket=proxy.path)
            device = rig.enrolled()
            proxy.hang_at()
            with concurrent.futures.ThreadPoolExecutor() as pool:
                waiting = [pool.submit(rig.idle, device) for _ in range(THREADS)]
                poll(lambda: proxy.waiting == THREADS)
                began = time.monotonic()
                self.assertEqual(rig.stop(), 0)
                self.assertLess(time.monotonic() - began, LIMIT)
                self.assertEqual([each.result().status for each in waiting], [503] * THREADS)

    def test_each_silence_costs_its_request_less_than_ten_seconds(self):
        with Rig(threads=1) as rig, DatabaseProxy(rig.folder / "proxy.sock", rig.db.socket) as proxy:
            rig.restart(threads=1, database_socket=proxy.path)
            device = rig.enrolled()
            uuid = rig.enqueue(device)
            for begins in ("SELECT c.id", "CALL settle_report"):
                proxy.hang_at(begins)
                answer, took = timed(lambda: rig.report(device, uuid))
                self.assertTrue(proxy.fired.is_set())
                self.assertEqual(answer.status, 503)
                self.assertLess(took, LIMIT)
                answer, took = timed(lambda: rig.report(device, uuid))
                self.assertEqual(answer.status, 503)
                self.assertLess(took, 5)
                proxy.release()
                self.assertEqual(rig.report(device, uuid).status, 200, rig.log_text()[-500:])
            self.assertEqual(rig.count("results"), 1)
            self.assertEqual(rig.count("events", "what = 'command.acknowledged'"), 1)


if __name__ == "__main__":
    unittest.main()
