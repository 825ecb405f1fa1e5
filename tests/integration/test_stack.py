"""The private stack as a user meets it: up, again, twice, beside others, down."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402
from polling import poll  # noqa: E402
from pomona_stack import processes  # noqa: E402

EVERYTHING = ["mariadb", "apns", "mdm-1", "mdm-2", "scep", "enroll", "nginx"]


class StackTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack()

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def pids(self, s):
        return {name: s.pid(name) for name in EVERYTHING}

    def test_a_second_up_is_quick_and_restarts_nothing(self):
        before, env, began = self.pids(self.stack), self.stack.env, time.monotonic()
        self.stack.up()
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual((self.pids(self.stack), self.stack.env), (before, env))

    def test_env_names_what_the_contract_promises_and_everything_answers(self):
        env = self.stack.env
        self.assertEqual(self.stack.curl("/scep?operation=GetCACaps")[0], 200)
        self.assertEqual(self.stack.curl("/scep?operation=GetCACaps", http=True)[0], 200)
        self.assertEqual(self.stack.sql("SELECT 1"), "1\n")
        self.assertEqual(self.stack.run("pomona", "config", "check").returncode, 0)
        self.assertTrue(env["POMONA_APNS_URL"].startswith("https://127.0.0.1:"))
        self.assertEqual(self.stack.pushes(), self.stack.pushes())

    def test_handlers_that_are_killed_come_back_and_requests_wait_for_them(self):
        for name in ("mdm-1", "mdm-2", "scep", "enroll"):
            os.kill(self.stack.pid(name), signal.SIGKILL)
        self.assertEqual(self.stack.curl("/scep?operation=GetCACaps")[0], 200)
        self.assertEqual(self.stack.curl("/mdm", "-X", "PUT", "-d", "x")[0], 400)

    def test_sigterm_of_a_handler_ends_it_with_0(self):
        pid = self.stack.pid("enroll")
        os.kill(pid, signal.SIGTERM)
        poll(lambda: self.stack.pid("enroll") not in (None, pid))
        self.assertIn("enroll ended with 0 ", self.stack.log("supervisor"))

    def test_a_setting_is_taken_over_by_the_programs_and_kept(self):
        self.stack.up({"open-enrollment": "no"})
        self.assertEqual(self.stack.curl("/enroll")[0], 404)
        self.stack.up()
        self.assertEqual(self.stack.curl("/enroll")[0], 404)
        self.stack.up({"open-enrollment": ""})
        self.assertEqual(self.stack.curl("/enroll")[0], 200)

    def test_an_unknown_setting_is_refused_with_its_name_and_not_kept(self):
        run = self.stack.steer("up", "--set", "colour=green")
        self.assertEqual(run.returncode, 2)
        self.assertIn("colour", run.stderr)
        self.stack.up()   # it is not kept

    def test_the_caller_s_variables_are_no_configuration_of_the_stack(self):
        run = subprocess.run([ROOT / "scripts/stack", "up", "--dir", self.stack.folder, "--build", stack.BUILD],
                             env=os.environ | {"POMONA_SERVER_URL": "https://elsewhere.example.org"}, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(self.stack.env["POMONA_URL"], self.stack.run("pomona", "ticket", "new", "--json").stdout)

    def test_a_second_stack_runs_beside_it_and_down_leaves_nothing(self):
        with tempfile.TemporaryDirectory(prefix="x" * 90) as name:   # too long for a socket's path
            folder = Path(name) / "run"
            steer = [ROOT / "scripts/stack"], ["--dir", folder]
            try:
                made = subprocess.run([*steer[0], "up", *steer[1], "--build", stack.BUILD, "--owner", str(os.getpid())],
                                      capture_output=True, text=True)
                self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
                env = subprocess.run([*steer[0], "env", *steer[1]], capture_output=True, text=True).stdout
                self.assertNotIn(self.stack.env["POMONA_URL"], env)
                self.assertEqual(subprocess.run([*steer[0], "status", *steer[1]], capture_output=True).returncode, 0)
                pids = [processes.recorded(path) for path in (folder / "pids").iterdir()]
                sockets = Path(next(line for line in env.splitlines() if "MYSQL_SOCKET" in line).split("=")[1]).parent
            finally:
                subprocess.run([*steer[0], "down", *steer[1]], capture_output=True)
            self.assertEqual([pid for pid in pids if pid and processes.began(pid)], [])
            self.assertFalse(sockets.exists())
            self.assertEqual(subprocess.run([*steer[0], "status", *steer[1]], capture_output=True).returncode, 3)
        self.assertEqual(self.stack.curl("/scep?operation=GetCACaps")[0], 200)

    def test_after_down_and_up_the_data_are_still_there(self):
        number = self.stack.json("pomona", "ticket", "new")["number"]
        url = self.stack.env["POMONA_URL"]
        self.assertEqual(self.stack.down().returncode, 0)
        self.stack.up()
        self.assertEqual(self.stack.env["POMONA_URL"], url)
        self.assertIn(str(number), self.stack.run("pomona", "ticket", "list").stdout)

    def test_up_after_the_supervisor_was_killed_starts_afresh(self):
        os.kill(processes.recorded(self.stack.folder / "supervisor.pid"), signal.SIGKILL)
        self.stack.up()
        self.assertEqual(self.stack.curl("/scep?operation=GetCACaps")[0], 200)

    def test_the_folder_is_closed_to_others(self):
        self.assertEqual(self.stack.folder.stat().st_mode & 0o777, 0o700)

    def test_without_built_programs_it_says_how_to_build_and_gives_3(self):
        with tempfile.TemporaryDirectory() as name:
            run = subprocess.run([ROOT / "scripts/stack", "up", "--dir", f"{name}/run", "--build", f"{name}/build"],
                                 capture_output=True, text=True)
        self.assertEqual(run.returncode, 3)
        self.assertIn("cmake --build --preset release", run.stderr)


if __name__ == "__main__":
    unittest.main()
