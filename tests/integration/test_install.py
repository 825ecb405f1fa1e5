"""What `cmake --install` puts on a host: unit files that systemd accepts, users, nginx files, no test build.

The files that name installed paths are written by CMake's own install script, run here without any program built.
"""
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ["pomona-mdm", "pomona-scep", "pomona-enroll", "pomona-push", "pomona-maintain"]
DOMAIN_GROUPS = {"pomona-mdm": {"pomona", "pomona-escrow", "pomona-message", "pomona-dep"},
                 "pomona-scep": {"pomona", "pomona-ca"}, "pomona-enroll": {"pomona", "pomona-signing"},
                 "pomona-push": set(), "pomona-maintain": set()}


def run(*argv, **options):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, **options)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        folder = Path(cls.holder.name)
        source, cls.prefix = folder / "source", folder / "prefix"
        source.mkdir()
        (source / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\nproject(pomona LANGUAGES NONE)\n"
                                               f"include({ROOT}/cmake/install.cmake)\n")
        for name in ("nginx", "sql", "systemd", "docs"):
            (source / name).symlink_to(ROOT / name)
        cls.build = folder / "build"
        for argv in (("cmake", "-S", source, "-B", cls.build), ("cmake", "--install", cls.build, "--prefix", cls.prefix)):
            made = run(*argv)
            if made.returncode != 0:
                raise RuntimeError(made.stdout + made.stderr)
        (cls.prefix / "lib/pomona").mkdir()
        for name in PROGRAMS:
            shutil.copy("/bin/true", cls.prefix / "lib/pomona" / name)

    @classmethod
    def tearDownClass(cls):
        cls.holder.cleanup()

    def units(self, pattern="*"):
        return sorted((self.prefix / "lib/systemd/system").glob(pattern))

    def test_systemd_accepts_every_unit(self):
        verified = run("systemd-analyze", "verify", *self.units())
        self.assertEqual((verified.returncode, verified.stderr), (0, ""))
        self.assertEqual({unit.stem for unit in self.units("*.service")}, {*PROGRAMS, "pomona-push-forever"})

    def test_systemd_rates_every_service_as_closed(self):
        for unit in self.units("*.service"):
            rated = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
            level = float(re.search(r"exposure level for \S+: ([0-9.]+)", rated.stdout)[1])
            self.assertLess(level, 1.6 if unit.stem.split("-")[1] in ("push", "maintain") else 1.0, unit.name)

    def test_the_service_that_pushes_for_ever_takes_the_place_of_the_timer_and_comes_back(self):
        unit = (self.prefix / "lib/systemd/system/pomona-push-forever.service").read_text()
        for line in ("User=pomona-push", "Type=exec", "Restart=always", "Conflicts=pomona-push.timer pomona-push.service",
                     f"ExecStart={self.prefix}/lib/pomona/pomona-push --forever", "WantedBy=multi-user.target"):
            self.assertIn(f"\n{line}\n", unit)

    def test_only_the_web_server_may_write_to_a_handlers_socket(self):
        for unit in self.units("*.socket"):
            text = unit.read_text()
            for line in ("SocketUser=root", "SocketGroup=www-data", "SocketMode=0660"):
                self.assertIn(line + "\n", text)
            self.assertRegex(text, r"ListenStream=/run/pomona/\w+\.sock\n")

    def test_nginx_upstreams_are_the_sockets_of_systemd(self):
        sockets = {re.search("ListenStream=(.*)", unit.read_text())[1] for unit in self.units("*.socket")}
        upstreams = (self.prefix / "share/pomona/nginx/pomona-upstreams.conf").read_text()
        self.assertEqual(set(re.findall(r"server unix:(\S+)", upstreams)), sockets)

    def test_each_program_runs_as_its_user_with_its_key_domains_only(self):
        root = Path(self.holder.name) / "root"
        (root / "etc").mkdir(parents=True)
        made = run("systemd-sysusers", f"--root={root}", self.prefix / "lib/sysusers.d/pomona.conf")
        self.assertEqual(made.returncode, 0, made.stderr)
        groups = {}
        for line in (root / "etc/group").read_text().splitlines():
            name, _, _, members = line.split(":")
            for member in filter(None, members.split(",")):
                groups.setdefault(member, set()).add(name)
        for program, expected in DOMAIN_GROUPS.items():
            unit = (self.prefix / f"lib/systemd/system/{program}.service").read_text()
            self.assertIn(f"\nUser={program}\n", unit)
            self.assertEqual(groups.get(program, set()), expected, program)

    def test_cron_does_nothing_where_systemd_runs(self):
        text = (self.prefix / "share/pomona/cron.d/pomona").read_text()
        jobs = [line for line in text.splitlines() if line.startswith("*")]
        self.assertTrue(jobs)
        for line in jobs:
            self.assertRegex(line, r"^\* \* \* \* \*\s+pomona-push\s+test -d /run/systemd/system \|\| " +
                             re.escape(f"{self.prefix}/lib/pomona/pomona-push --for 65s") + "$")

    def test_cron_looks_at_certificates_once_a_day_everywhere_so_that_it_can_mail(self):
        text = (self.prefix / "share/pomona/cron.d/pomona").read_text()
        self.assertRegex(text, r"\n\d+ \d+ \* \* \*  pomona-maintain  " + re.escape(f"{self.prefix}/lib/pomona/pomona-maintain --live") + r"\n")

    def test_destdir_is_put_before_everything(self):
        stage = Path(self.holder.name) / "stage"
        made = run("cmake", "--install", self.build, "--prefix", "/usr", env={"DESTDIR": str(stage), "PATH": "/usr/bin:/bin"})
        self.assertEqual(made.returncode, 0, made.stderr)
        unit = (stage / "usr/lib/systemd/system/pomona-mdm.service").read_text()
        self.assertIn("ExecStart=/usr/lib/pomona/pomona-mdm\n", unit)
        self.assertEqual([p.name for p in stage.iterdir()], ["usr"])

    def test_a_test_build_refuses_to_be_installed(self):
        build = Path(self.holder.name) / "test-build"
        run("cmake", "-S", self.build.parent / "source", "-B", build, "-DPOMONA_TEST_BUILD=ON")
        refused = run("cmake", "--install", build, "--prefix", self.build.parent / "never")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("This is a test build", refused.stderr)
        self.assertFalse((self.build.parent / "never").exists())


if __name__ == "__main__":
    unittest.main()
