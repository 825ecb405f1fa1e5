"""The connection to MariaDB breaks at every single statement of a message, before it arrives or after it was done: the sender is told
503 (never that it did wrong), and when it comes again its message has its effect exactly once."""
import plistlib
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
import scep_client  # noqa: E402
from bench import Bench, TOPIC  # noqa: E402
from database_proxy import DatabaseProxy  # noqa: E402
from mdm_rig import command_of  # noqa: E402
from scep_bench import ScepBench  # noqa: E402
from trust_rig import TrustRig  # noqa: E402

BROKEN = 503


class Broken(unittest.TestCase):
    """Sends a message with the connection broken at its first, second, ... statement, until all have been."""

    def walk(self, ask, done):
        """`ask(n)`: sends the n-th message, made afresh, and returns its answer; `done(n)` checks its effect."""
        number = 0
        for cut in (self.proxy.cut_before, self.proxy.cut_after):
            place = 1
            while True:
                number += 1
                send = ask(number)
                cut(number=place)
                answer = send()
                fired = self.proxy.fired.is_set()
                self.proxy.release()
                with self.subTest(cut=cut.__name__, place=place, statement=self.proxy.statements[-1:]):
                    if fired:
                        # 200 only where the statement could safely be sent again at once.
                        self.assertIn(answer.status, (200, BROKEN), self.log())
                        if answer.status == BROKEN:
                            self.assertEqual(answer.headers.get("retry-after"), "60")
                    answer = send() if answer.status == BROKEN else answer
                    self.assertEqual(answer.status, 200, self.log())
                    done(number, answer)
                if not fired:
                    break
                place += 1
            self.assertGreater(place, 2, "the message had no statement")


class Mdm(Broken):
    @classmethod
    def setUpClass(cls):
        cls.rig = TrustRig()
        cls.addClassCleanup(cls.rig.close)
        cls.proxy = DatabaseProxy(cls.rig.folder / "proxy.sock", cls.rig.db.socket)
        cls.addClassCleanup(cls.proxy.close)
        cls.rig.restart(threads=1, database_socket=cls.proxy.path)
        first = cls.rig.enrolled()
        cls.commands = [cls.rig.enqueue(first) for _ in range(2)]

    def log(self):
        return self.rig.log_text()[-1500:]

    def queued(self, udid):
        """A device with both commands."""
        device = self.rig.enrolled(udid)
        self.rig.sql("INSERT INTO queue (enrollment_id, command_id, enqueued_at) SELECT "
                     f"{self.rig.enrollment_id(device)}, id, created_at FROM commands ORDER BY id LIMIT 2")
        return device

    def test_authenticate_makes_one_enrolment(self):
        devices = {}

        def ask(number):
            devices[number] = self.rig.device(f"AUTH-{number}")
            return lambda: self.rig.authenticate(devices[number])

        def done(number, _):
            device = devices[number]
            self.assertEqual(self.rig.states(device), ["current"])
            self.assertEqual(self.rig.count("events", f"external_id = '{device.udid}' AND what LIKE 'enrollment.%'"), 1)
            self.assertEqual(self.rig.count("certificates", f"id = {device.certificate_id} AND enrollment_id IS NOT NULL"), 1)
            self.assertEqual(self.rig.count("messages m JOIN enrollments e ON e.id = m.enrollment_id",
                                            f"e.external_id = '{device.udid}'"), 1)

        self.walk(ask, done)

    def test_token_update_and_check_out_are_counted_once(self):
        devices = {}

        def ask(number):
            devices[number] = self.rig.device(f"TOKEN-{number}")
            self.rig.authenticate(devices[number])
            return lambda: self.rig.token_update(devices[number])

        def done(number, _):
            enrollment = self.rig.enrollment_id(devices[number])
            self.assertEqual(self.rig.sql(f"SELECT token_update_tally, push_token IS NOT NULL FROM enrollments WHERE id = {enrollment}"),
                             "1\t1")

        self.walk(ask, done)

        def leave(number):
            device = self.rig.enrolled(f"LEAVE-{number}")
            devices[number] = device
            return lambda: self.rig.check_in(device, "CheckOut")

        def left(number, _):
            self.assertEqual(self.rig.states(devices[number]), ["checked-out"])
            self.assertEqual(self.rig.count("events", f"external_id = 'LEAVE-{number}' AND what = 'enrollment.checked-out'"), 1)

        self.walk(leave, left)

    def test_a_report_settles_its_command_and_is_kept_once(self):
        sent = {}
        first, second = self.commands

        def ask(number):
            device = sent[number] = self.queued(f"REPORT-{number}")
            return lambda: self.rig.report(device, first)

        def done(number, answer):
            device = sent[number]
            enrollment = self.rig.enrollment_id(device)
            self.assertEqual(command_of(answer)[0], second)
            self.assertEqual(self.rig.sql(f"SELECT command_uuid, status FROM results WHERE enrollment_id = {enrollment}"),
                             f"{first}\tAcknowledged")
            self.assertEqual(self.rig.count("queue", f"enrollment_id = {enrollment}"), 1)
            self.assertEqual(self.rig.count("events", f"enrollment_id = {enrollment} AND command_uuid = '{first}' "
                                            "AND what = 'command.acknowledged'"), 1)

        self.walk(ask, done)
        self.assertIn("CALL settle_report", " ".join(self.proxy.statements))

    def test_idle_hands_out_the_same_command(self):
        def ask(number):
            device = self.queued(f"IDLE-{number}")
            self.rig.report(device, self.commands[0], "NotNow")
            return lambda: self.rig.idle(device)

        self.walk(ask, lambda number, answer: self.assertEqual(command_of(answer)[0], self.commands[0]))

    def test_a_single_write_is_not_repeated_when_its_answer_was_lost(self):
        device = self.queued("SINGLE")
        self.rig.report(device, self.commands[0], "NotNow")
        self.proxy.forget()
        self.proxy.cut_after("UPDATE queue SET state = 'queued'")
        self.assertEqual(self.rig.idle(device).status, BROKEN)
        self.assertEqual(len([text for text in self.proxy.statements if text.startswith("UPDATE queue")]), 1)
        self.assertEqual(command_of(self.rig.idle(device))[0], self.commands[0])

    def test_a_rendered_renewal_makes_one_ticket(self):
        devices = {}

        def ask(number):
            devices[number] = device = self.rig.enrolled(f"RENEW-{number}")
            self.rig.renew(device)
            return lambda: self.rig.idle(device)

        def done(number, answer):
            self.assertIsNotNone(command_of(answer))
            self.assertEqual(self.rig.count("tickets", f"enrollment_id = {self.rig.enrollment_id(devices[number])} AND state = 'open'"), 1)

        self.walk(ask, done)


class Scep(Broken):
    def test_one_certificate_for_one_key(self):
        bench = ScepBench()
        self.addCleanup(bench.close)
        self.proxy = DatabaseProxy(bench.folder / "proxy.sock", bench.db.socket)
        self.addCleanup(self.proxy.close)
        self.log = lambda: bench.log.read_text()[-1500:]
        bench.end()
        bench.conf.write_text(bench.conf.read_text().replace(str(bench.db.socket), str(self.proxy.path)).replace("threads = 8", "threads = 1"))
        bench.start()
        client = scep_client.Client(bench.ra_and_ca()[0])
        tickets = {}

        def ask(number):
            key, ticket = scep_client.pool_key(0), bench.ticket()
            tickets[number] = ticket
            message = client.message(scep_client.csr(key, ticket.challenge), key)
            return lambda: bench.post(message)

        def done(number, answer):
            self.assertEqual(scep_client.read_reply(answer.body).status, "0")
            (row,) = bench.certificates(tickets[number])
            self.assertEqual(row["status"], "issued")
            self.assertEqual([what for what, _ in bench.events(tickets[number])], ["certificate.issued"])
            self.assertEqual(bench.sql(f"SELECT attempts_left FROM tickets WHERE id = {tickets[number].id}").strip(), "2")

        self.walk(ask, done)


class Enroll(Broken):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        cls.bench.checked("ca", "init")
        cls.bench.put_certificate("push", pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True), topic=TOPIC)
        cls.proxy = DatabaseProxy(cls.bench.folder / "proxy.sock", cls.bench.db.socket)
        cls.addClassCleanup(cls.proxy.close)
        cls.bench.configure(database_socket=cls.proxy.path, threads=1, open_enrollment="yes")
        cls.handler = cls.bench.handler("pomona-enroll")
        cls.addClassCleanup(cls.handler.stop)

    def log(self):
        return self.handler.log()[-1500:]

    def download(self, *options):
        path = self.bench.json("ticket", "new", *options)["url"].removeprefix("https://mdm.example.org")
        return lambda: self.handler.request("GET", path)

    def test_a_ticket_keeps_its_profile(self):
        ask = {}

        def fresh(number):
            ask[number] = self.download()
            return ask[number]

        self.walk(fresh, lambda number, answer: self.assertEqual(ask[number]().body, answer.body))

    def test_uses_and_children_of_a_ticket_agree(self):
        """A download names no device: one whose answer was lost has spent its use, and no more than that."""
        ticket = self.bench.json("ticket", "new", "--uses", "100")
        path = ticket["url"].removeprefix("https://mdm.example.org")
        children = [0]

        def done(*_):
            left, there = map(int, self.bench.sql(f"SELECT (SELECT uses_left FROM tickets WHERE id = {ticket['number']}), COUNT(*) "
                                                  f"FROM tickets WHERE parent_id = {ticket['number']}").split())
            self.assertEqual(100 - left, there)
            self.assertIn(there - children[0], (1, 2))
            children[0] = there

        self.walk(lambda _: lambda: self.handler.request("GET", path), done)


class Command(unittest.TestCase):
    def test_enqueue_by_hand_queues_once_or_says_to_come_again(self):
        bench = Bench()
        self.addCleanup(bench.close)
        bench.put_enrollment("A"), bench.put_enrollment("B")
        with DatabaseProxy(bench.folder / "proxy.sock", bench.db.socket) as proxy:
            bench.configure(database_socket=proxy.path)
            for cut in (proxy.cut_before, proxy.cut_after):
                place, fired = 1, True
                while fired:
                    uuid = f"{cut.__name__}-{place}"
                    command = plistlib.dumps({"CommandUUID": uuid, "Command": {"RequestType": "DeviceInformation"}})

                    def enqueue():
                        return subprocess.run(bench.argv("pomona", "command", "enqueue", "A,B", "-"), input=command, capture_output=True,
                                              env=bench.environment())

                    cut(number=place)
                    done = enqueue()
                    fired = proxy.fired.is_set()
                    proxy.release()
                    with self.subTest(cut=cut.__name__, place=place, statement=proxy.statements[-1:]):
                        self.assertIn(done.returncode, (0, 75), done.stderr)
                        there = [int(n) for n in bench.sql(
                            f"SELECT (SELECT COUNT(*) FROM commands WHERE uuid = '{uuid}'), (SELECT COUNT(*) FROM queue q JOIN commands c "
                            f"ON c.id = q.command_id WHERE c.uuid = '{uuid}')").split()]
                        self.assertIn(there, ([0, 0], [1, 2]))
                        if done.returncode == 75:
                            again = enqueue()
                            self.assertEqual(again.returncode, 0, again.stderr)
                            self.assertEqual(bench.sql(f"SELECT COUNT(*) FROM queue q JOIN commands c ON c.id = q.command_id WHERE "
                                                       f"c.uuid = '{uuid}'").strip(), "2")
                    place += 1
                self.assertGreater(place, 5)


if __name__ == "__main__":
    unittest.main()
