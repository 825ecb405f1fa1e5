"""The supervisor of the private stack: sockets, restarts, and an end that leaves nothing behind."""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from pomona_stack import processes  # noqa: E402

# Answers each connection with its pid, on the socket that it was handed like systemd would.
LISTENER = """
import os, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()) and os.environ["LISTEN_FDS"] == "1", os.environ
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.sendall((str(os.getpid()) + " " + os.environ.get("COLOUR", "")).encode())
    connection.close()
"""


class SupervisorTest(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.folder = Path(self.holder.name)
        (self.folder / "logs").mkdir()
        self.process = None

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.holder.cleanup()

    def plan(self, *services):
        (self.folder / "plan.json").write_text(json.dumps(list(services)))
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def start(self, *arguments):
        self.process = subprocess.Popen(["/usr/bin/python3", ROOT / "scripts/pomona_stack/supervisor.py", self.folder,
                                         *arguments], stdout=subprocess.DEVNULL)

    def listener(self, name="a", **more):
        return {"name": name, "argv": ["/usr/bin/python3", "-c", LISTENER], "env": {"PATH": "/usr/bin"},
                "sockets": [str(self.folder / f"{name}.sock")], **more}

    def until(self, what, seconds=15):
        deadline = time.monotonic() + seconds
        while not (found := what()):
            self.assertLess(time.monotonic(), deadline, "took too long")
            time.sleep(0.02)
        return found

    def ask(self, name="a"):
        """The listener's pid and colour, or None while nobody listens."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.folder / f"{name}.sock"))
                pid, colour = connection.recv(100).decode().split(" ")
            except (OSError, ValueError):
                return None
            return int(pid), colour

    def test_a_handler_gets_its_socket_and_one_that_is_killed_comes_back(self):
        self.plan(self.listener())
        self.start()
        pid, _ = self.until(self.ask)
        self.assertEqual(processes.recorded(self.folder / "pids/a"), pid)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: processes.began(pid) is None)  # one that is dying may still take a connection with it
        again, _ = self.ask()    # the socket is held meanwhile, so nobody is turned away
        self.assertNotEqual(again, pid)

    def test_a_changed_stamp_restarts_that_service_alone(self):
        self.plan(self.listener("a", stamp="1"), self.listener("b"))
        self.start()
        a, b = self.until(lambda: self.ask("a"))[0], self.until(lambda: self.ask("b"))[0]
        self.plan(self.listener("a", stamp="2", env={"PATH": "/usr/bin", "COLOUR": "green"}), self.listener("b"))
        self.until(lambda: (self.ask("a") or (0, ""))[1] == "green")
        self.assertIsNone(processes.began(a))
        self.assertEqual(self.ask("b")[0], b)

    def test_a_service_that_left_the_plan_is_ended_with_its_socket(self):
        self.plan(self.listener("a"), self.listener("b"))
        self.start()
        self.until(lambda: self.ask("b"))
        self.plan(self.listener("a"))
        self.until(lambda: not (self.folder / "b.sock").exists())
        self.assertIsNotNone(self.ask("a"))

    def test_a_worker_runs_again_and_again(self):
        count = self.folder / "count"
        self.plan({"name": "w", "argv": ["/bin/sh", "-c", f"echo >> {count}"], "env": {"PATH": "/bin"}, "every": 0.05})
        self.start()
        self.until(lambda: count.exists() and count.stat().st_size >= 3)

    def test_what_cannot_stay_up_is_started_ever_more_seldom(self):
        count = self.folder / "count"
        self.plan({"name": "w", "argv": ["/bin/sh", "-c", f"echo >> {count}; exit 1"], "env": {"PATH": "/bin"}})
        self.start()
        self.until(lambda: count.exists() and count.stat().st_size >= 3)
        began = time.monotonic()
        self.until(lambda: count.stat().st_size >= 5)
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_sigterm_ends_everything_the_database_last(self):
        order = self.folder / "order"
        script = 'trap "echo $0 >> %s; exit 0" TERM; echo up >> %s.$0; while :; do sleep 0.02; done' % (order, order)
        self.plan({"name": "db", "argv": ["/bin/sh", "-c", script, "db"], "env": {"PATH": "/bin"}, "last": True},
                  {"name": "handler", "argv": ["/bin/sh", "-c", script, "handler"], "env": {"PATH": "/bin"}})
        self.start()
        self.until(lambda: Path(f"{order}.db").exists() and Path(f"{order}.handler").exists())
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0)
        self.assertEqual(order.read_text().split(), ["handler", "db"])
        self.assertFalse((self.folder / "supervisor.pid").exists())

    def test_what_ignores_sigterm_is_killed_after_its_patience(self):
        ready = self.folder / "ready"
        self.plan({"name": "deaf", "argv": ["/bin/sh", "-c", f'trap "" TERM; echo > {ready}; while :; do sleep 0.05; done'],
                   "env": {"PATH": "/bin"}, "patience": 0.3})
        self.start()
        self.until(ready.exists)
        pid = processes.recorded(self.folder / "pids/deaf")
        self.process.terminate()
        self.process.wait(20)
        self.assertIsNone(processes.began(pid))

    def test_children_do_not_outlive_a_supervisor_that_is_killed(self):
        self.plan(self.listener())
        self.start()
        pid, _ = self.until(self.ask)
        self.process.kill()
        self.process.wait()
        self.until(lambda: processes.began(pid) is None)

    def test_it_ends_with_its_owner(self):
        self.plan(self.listener())
        owner = subprocess.Popen(["/usr/bin/python3", "-c", "input()"], stdin=subprocess.PIPE)
        self.start("--owner", str(owner.pid))
        pid, _ = self.until(self.ask)
        owner.communicate(b"\n")
        self.assertEqual(self.process.wait(20), 0)
        self.assertIsNone(processes.began(pid))


if __name__ == "__main__":
    unittest.main()
