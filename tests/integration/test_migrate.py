"""pomona db migrate: killed and repeated, raced, and refused where the database is of another line of versions."""
import os
import pty
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from bench import Bench  # noqa: E402


class Migrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench(migrate=False)
        cls.addClassCleanup(cls.bench.close)
        cls.bench.checked("secrets", "init")
        cls.bench.checked("db", "migrate")
        cls.complete = cls.schema()
        cls.complete_steps = cls.bench.sql("SELECT COUNT(*) FROM schema_migrations")

    @classmethod
    def schema(cls):
        """Everything that the migrations make, as text."""
        sql = cls.bench.sql
        names = sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'pomona' ORDER BY 1").split()
        text = [sql(f"SHOW CREATE TABLE {name}") for name in names]
        text.append(sql("SELECT routine_name, routine_definition, security_type FROM information_schema.routines "
                        "WHERE routine_schema = 'pomona' ORDER BY 1"))
        text.append(sql("SELECT version, step, name, HEX(sha256), oldest_code FROM schema_migrations ORDER BY 1, 2"))
        text.append(sql("SELECT user, table_name, table_priv, column_priv FROM mysql.tables_priv ORDER BY 1, 2"))
        return "\n".join(text)

    def setUp(self):
        self.start_again()

    def start_again(self):
        self.bench.sql("DROP DATABASE pomona; CREATE DATABASE pomona CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")

    def expire_leases(self):
        """Instead of waiting until a killed run's lease has ended."""
        if self.bench.sql("SHOW TABLES LIKE 'leases'"):
            self.bench.sql("UPDATE leases SET lease_until = NOW(6) - INTERVAL 1 SECOND")

    def start(self):
        return subprocess.Popen(self.bench.argv("pomona", "db", "migrate"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.bench.environment(), text=True)

    def kill_after(self, steps, delay):
        """Kills a run `delay` seconds after it told that many steps."""
        master, terminal = pty.openpty()
        run = subprocess.Popen(self.bench.argv("pomona", "db", "migrate"), stdin=subprocess.DEVNULL, stdout=terminal,
                               stderr=subprocess.STDOUT, env=self.bench.environment())
        os.close(terminal)
        text = b""
        while text.count(b"\n") < steps:
            text += os.read(master, 4096)
        time.sleep(delay)  # the moment of the kill, not a wait for something
        run.send_signal(signal.SIGKILL)
        run.wait()
        os.close(master)

    def test_whenever_it_is_killed_the_next_run_completes_the_schema(self):
        chance = random.Random(1)
        steps = int(self.complete_steps)
        for after in [0, *chance.sample(range(1, steps), 9), steps]:
            with self.subTest(after=after):
                self.start_again()
                self.kill_after(after, chance.uniform(0, 0.03))
                self.expire_leases()
                self.bench.checked("db", "migrate")
                self.assertEqual(self.schema(), self.complete)

    def test_a_step_that_was_done_but_not_recorded_is_done_again(self):
        self.bench.checked("db", "migrate")
        for line in self.bench.sql("SELECT version, step FROM schema_migrations ORDER BY 1, 2").splitlines():
            version, step = map(int, line.split())
            # What comes later had not begun.
            where = f"(version = {version} AND step = {step}) OR version > {version}"
            count = int(self.bench.sql(f"SELECT COUNT(*) FROM schema_migrations WHERE {where}"))
            self.bench.sql(f"DELETE FROM schema_migrations WHERE {where}")
            self.assertEqual(self.bench.json("db", "migrate"), {"steps_applied": count})
        self.assertEqual(self.schema(), self.complete)

    def test_of_several_at_once_none_does_harm_and_the_late_ones_try_again_later(self):
        runs = [self.start() for _ in range(5)]
        for run in runs:
            errors = run.communicate()[1]
            self.assertIn(run.returncode, (0, 75), errors)
        self.assertIn(0, [run.returncode for run in runs])
        self.bench.checked("db", "migrate")
        self.assertEqual(self.schema(), self.complete)

    def test_a_killed_runs_lease_holds_others_back_until_it_ends(self):
        self.bench.checked("db", "migrate")
        self.bench.sql("REPLACE INTO leases VALUES ('migrate', 'somebody', NOW(6) + INTERVAL 20 SECOND)")
        done = self.bench.pomona("db", "migrate")
        self.assertEqual(done.returncode, 75)
        self.assertIn("another migration", done.stderr)
        self.expire_leases()
        self.bench.checked("db", "migrate")

    def test_a_step_that_changed_after_it_was_applied_is_refused(self):
        self.bench.checked("db", "migrate")
        self.bench.sql("UPDATE schema_migrations SET sha256 = REPEAT('x', 32) WHERE version = 1 AND step = 2")
        done = self.bench.pomona("db", "migrate")
        self.assertEqual(done.returncode, 1)
        self.assertIn("step 1.2", done.stderr)
        status = self.bench.pomona("db", "status")
        self.assertEqual(status.returncode, 1)
        self.assertRegex(status.stdout, r"(?m)^1\.2 .*changed$")

    def test_a_procedure_whose_text_changed_is_made_anew(self):
        """What it does is the program's; which tables it finds is the migrations'."""
        self.bench.checked("db", "migrate")
        self.bench.sql("CREATE OR REPLACE PROCEDURE settle_report() SELECT 1; "
                       "UPDATE schema_migrations SET sha256 = REPEAT('x', 32) WHERE version = 0")
        self.assertRegex(self.bench.pomona("db", "status").stdout, r"(?m)^0\.1 +settle_report .*missing$")
        self.assertEqual(self.bench.json("db", "migrate"), {"steps_applied": 1})
        self.assertEqual(self.schema(), self.complete)

    def test_a_schema_that_lacks_a_step_is_not_used_although_later_ones_are_there(self):
        self.bench.checked("db", "migrate")
        self.bench.sql("DELETE FROM schema_migrations WHERE version = 4")
        done = self.bench.pomona("ticket", "list")
        self.assertEqual(done.returncode, 75)
        self.assertIn("lacks step 4.1 push_state.topic", done.stderr)
        self.assertIn("run `pomona db migrate`", done.stderr)
        self.bench.checked("db", "migrate")
        self.bench.checked("ticket", "list")

    def test_programs_older_than_the_schema_allows_refuse_to_run(self):
        self.bench.checked("db", "migrate")
        self.bench.sql("INSERT INTO schema_migrations VALUES (900, 1, 'later', REPEAT('x', 32), NOW(), 900)")
        for arguments in (["ticket", "list"], ["certs"]):
            done = self.bench.pomona(*arguments)
            self.assertEqual(done.returncode, 75)
            self.assertIn("upgrade this program", done.stderr)

    def test_a_newer_schema_that_still_allows_this_program_is_used(self):
        self.bench.checked("db", "migrate")
        self.bench.sql("INSERT INTO schema_migrations VALUES (900, 1, 'later', REPEAT('x', 32), NOW(), 1)")
        self.bench.checked("ticket", "list")

    def test_programs_say_what_to_do_while_there_is_no_schema(self):
        done = self.bench.pomona("ticket", "list")
        self.assertEqual(done.returncode, 75)
        self.assertIn("pomona db migrate", done.stderr)
        status = self.bench.pomona("db", "status")
        self.assertEqual(status.returncode, 1)
        self.assertIn("run `pomona db migrate`", status.stdout)

    def test_status_tells_every_step_with_its_time(self):
        self.bench.checked("db", "migrate")
        steps = self.bench.json("db", "status")
        self.assertEqual({step["state"] for step in steps}, {"applied"})
        self.assertTrue(all(step["applied_at"] for step in steps))
        self.assertEqual(self.bench.checked("db", "migrate"), "")


if __name__ == "__main__":
    unittest.main()
