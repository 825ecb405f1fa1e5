"""scripts/install-packages, with stand-ins for dpkg-query, apt-get and id."""
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LISTED = re.findall(r"^(?:build|run|test)\s+(\S+)", (ROOT / "scripts/packages").read_text(), re.M)


class InstallPackages(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.folder = Path(self.holder.name)
        self.policy = self.folder / "policy-rc.d"
        self.fake("apt-get", f'echo "$@" >> {self.folder}/apt; [ "$1" = install ] && cp {self.policy} '
                             f'{self.folder}/policy-seen 2>/dev/null; exit 0')
        self.fake("systemctl", f'echo "$@" >> {self.folder}/systemctl-called')

    def tearDown(self):
        self.holder.cleanup()

    def fake(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run_it(self, missing, user, groups=()):
        have = "\\n".join(f"{p} installed" for p in LISTED if p not in missing)
        self.fake("dpkg-query", f'printf "{have}\\n"')
        self.fake("id", f"echo {user}")
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", "POMONA_POLICY_RC_D": str(self.policy)}
        return subprocess.run([ROOT / "scripts/install-packages", *groups], env=environment, capture_output=True, text=True)

    def apt(self):
        path = self.folder / "apt"
        return path.read_text() if path.exists() else ""

    def test_with_everything_there_it_is_silent_and_calls_nothing(self):
        run = self.run_it([], user=0)
        self.assertEqual((run.returncode, run.stdout + run.stderr, self.apt()), (0, "", ""))

    def test_a_plain_user_is_told_the_one_command_and_gets_3(self):
        run = self.run_it(["nginx", "catch2"], user=1000)
        self.assertEqual((run.returncode, self.apt()), (3, ""))
        self.assertIn("sudo apt-get install --no-install-recommends nginx catch2\n", run.stderr)

    def test_root_installs_what_is_missing_and_only_that(self):
        run = self.run_it(["catch2"], user=0)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("install -y --no-install-recommends catch2\n", self.apt())
        self.assertNotIn("update", self.apt())

    def test_groups_narrow_what_is_wanted(self):
        self.assertEqual(self.run_it(["catch2"], user=1000, groups=["build", "run"]).returncode, 0)
        self.assertEqual(self.run_it(["catch2"], user=1000, groups=["test"]).returncode, 3)

    def test_nginx_is_kept_from_starting_and_the_policy_is_put_back(self):
        self.policy.write_text("#!/bin/sh\nexit 104\n")
        self.policy.chmod(0o755)
        self.assertEqual(self.run_it(["nginx"], user=0).returncode, 0)
        seen = self.folder / "policy-seen"
        seen.chmod(0o755)
        self.assertIn('exit 101', seen.read_text())
        self.assertEqual(subprocess.run([seen, "nginx", "start"]).returncode, 101)
        self.assertEqual(self.policy.read_text(), "#!/bin/sh\nexit 104\n")
        self.assertEqual((self.folder / "systemctl-called").read_text(), "disable --quiet nginx\n")

    def test_certmonger_and_a_new_dbus_are_not_started_either_but_an_old_dbus_is_left_alone(self):
        for missing, refused in ((["certmonger", "dbus"], True), (["certmonger"], False)):
            self.assertEqual(self.run_it(missing, user=0).returncode, 0)
            seen = self.folder / "policy-seen"
            seen.chmod(0o755)
            self.assertEqual(subprocess.run([seen, "certmonger", "start"]).returncode, 101)
            self.assertEqual(subprocess.run([seen, "dbus", "force-reload"]).returncode, 101 if refused else 0)
            self.assertEqual(subprocess.run([seen, "mariadb", "start"]).returncode, 0)
        self.assertEqual((self.folder / "systemctl-called").read_text(), "disable --quiet certmonger\n" * 2)

    def test_the_policy_is_put_back_when_apt_fails(self):
        self.fake("apt-get", "exit 100")
        self.assertNotEqual(self.run_it(["nginx"], user=0).returncode, 0)
        self.assertFalse(self.policy.exists())

    def test_lists_are_read_again_when_a_package_is_unknown(self):
        mark = self.folder / "updated"
        self.fake("apt-get", f'echo "$@" >> {self.folder}/apt; [ "$1" != update ] || touch {mark}; [ -e {mark} ]')
        self.assertEqual(self.run_it(["catch2"], user=0).returncode, 0)
        self.assertIn("update\n", self.apt())

    def test_every_package_is_listed_with_a_reason(self):
        for line in (ROOT / "scripts/packages").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertRegex(line, r"^(build|run|test|fuzz|bench)\s+[a-z0-9+.-]+\s+# \S")


if __name__ == "__main__":
    unittest.main()
