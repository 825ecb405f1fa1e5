"""Handlers end by SIGTERM and nginx reloads, again and again under load: no request on a fresh connection fails, none gets 5xx."""
# time limit: 180
import os
import signal
import socketserver
import sys
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import fresh_load  # noqa: E402
import stack  # noqa: E402
from polling import poll  # noqa: E402

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 4\r\nConnection: close\r\n\r\n%s"
HANDLERS = ("mdm-1", "mdm-2", "scep", "enroll")
BETWEEN = 15   # requests from one disturbance to the next


class LoadGenerator(unittest.TestCase):
    """What is to find failures must see each kind of them."""

    def failures_of(self, answer):
        """`answer` None: nobody listens."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler(answer))
        self.addCleanup(server.server_close)
        if answer is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
        with fresh_load.Load([fresh_load.Target("it", f"http://127.0.0.1:{server.server_address[1]}/")], threads=1) as load:
            load.wait_for(2)
        if load.failures:
            self.assertEqual(load.answered, {})
        return [failure.what for failure in load.failures[:1]]

    def test_an_answer_is_none(self):
        self.assertEqual(self.failures_of(ANSWER % (200, b"body")), [])

    def test_whatever_is_no_answer_is_one(self):
        for answer, told in ((ANSWER % (502, b"body"), "status 502"), (ANSWER % (200, b"bo"), "2 of 4 bytes of the body"),
                             (b"", "closed without an answer"), (b"HTTP/1.1 200 OK\r\n", "closed after 17 bytes"),
                             (None, "ConnectionRefusedError")):
            with self.subTest(answer):
                self.assertRegex(self.failures_of(answer)[0], told)


def handler(answer):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            self.request.sendall(answer)
    return Handler


class Reload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack(back_off=0.1)
        cls.addClassCleanup(cls.stack.close)
        cls.devices = ("one", "two")
        for name in cls.devices:
            cls.stack.enroll(name)

    def load(self):
        s = self.stack
        targets = [target for name in self.devices for target in (fresh_load.idle(s, name), fresh_load.report(s, name))]
        return fresh_load.Load(targets + [
            fresh_load.get(s, "/trust"), fresh_load.get(s, "/enroll", rate=10),   # below what nginx lets through
            fresh_load.get(s, "/scep?operation=GetCACaps", http=True, rate=40)])

    def workers(self):
        """The worker processes of nginx that take connections, and those that only finish what they have."""
        pid = self.stack.pid("nginx")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {child for child in children if b"shutting down" not in Path(f"/proc/{child}/cmdline").read_bytes()}

    def end_handler(self, name):
        old = self.stack.pid(name)
        os.kill(old, signal.SIGTERM)
        poll(lambda: self.stack.pid(name) not in (None, old))

    def reload_nginx(self):
        old = self.workers()
        os.kill(self.stack.pid("nginx"), signal.SIGHUP)
        poll(lambda: (new := self.workers()) and not new & old)

    def disturbed(self, disturbances, seconds):
        """Runs them in turn; returns the load and how often each was done."""
        done, until = 0, time.monotonic() + seconds
        with self.load() as load:
            load.wait_for(BETWEEN)
            while time.monotonic() < until or done < len(disturbances) * 3:
                disturbances[done % len(disturbances)]()
                load.wait_for(BETWEEN)
                done += 1
        print(f"{done} disturbances; {load.text()}", file=sys.stderr)
        return load

    def assert_undisturbed(self, load):
        self.assertEqual(load.failures, [], load.text() + self.stack.tails())
        self.assertEqual(len(load.answered), len(load.targets), load.text())
        for sent in load.sent.values():
            uuids = ", ".join(f"'{uuid}'" for uuid in sent)
            stored = self.stack.sql(f"SELECT COUNT(*) FROM results WHERE command_uuid IN ({uuids})").strip()
            self.assertEqual(int(stored), len(sent), "a report that was answered 200 is not stored")
        for name in HANDLERS:
            self.assertNotIn("Sanitizer", self.stack.log(name))

    def test_handlers_that_are_ended_one_after_the_other(self):
        self.assert_undisturbed(self.disturbed([lambda name=name: self.end_handler(name) for name in HANDLERS], 10))

    def test_all_handlers_ended_at_once(self):
        def end_all():
            old = {name: self.stack.pid(name) for name in HANDLERS}
            for pid in old.values():
                os.kill(pid, signal.SIGTERM)
            poll(lambda: all(self.stack.pid(name) not in (None, pid) for name, pid in old.items()))
        self.assert_undisturbed(self.disturbed([end_all], 5))

    def test_nginx_reloads(self):
        self.assert_undisturbed(self.disturbed([self.reload_nginx], 8))

    def test_nginx_reloads_while_handlers_end(self):
        def both():
            for name in HANDLERS:
                os.kill(self.stack.pid(name), signal.SIGTERM)
            self.reload_nginx()
            poll(lambda: all(self.stack.pid(name) for name in HANDLERS))
        self.assert_undisturbed(self.disturbed([both], 8))


if __name__ == "__main__":
    unittest.main()
