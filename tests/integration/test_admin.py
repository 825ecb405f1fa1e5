"""The pomona command: help, wrong usage, and what is configured."""
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from bench import BIN, Bench  # noqa: E402


class Usage(unittest.TestCase):
    """Needs neither configuration nor database."""

    def pomona(self, *arguments):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POMONA_")}
        return subprocess.run([BIN / "pomona", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=clean)

    def nouns(self):
        text = self.pomona("--help").stdout.split("Nouns\n")[1].split("\n\n")[0]
        return [line.split()[0] for line in text.splitlines()]

    def verbs(self, noun):
        text = self.pomona(noun, "--help").stdout
        if "\nVerbs\n" not in text:
            return []
        return [line.split()[0] for line in text.split("\nVerbs\n")[1].split("\n\n")[0].splitlines()]

    def test_help_is_there_on_every_level(self):
        self.assertTrue({"db", "config", "secrets", "ticket", "certs"} <= set(self.nouns()))
        for noun in self.nouns():
            for verb in self.verbs(noun) or [None]:
                with self.subTest(noun=noun, verb=verb):
                    words = [noun] + [verb] * (verb is not None)
                    done = self.pomona(*words, "--help")
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.assertTrue(done.stdout.startswith(f"Usage: pomona {' '.join(words)}"), done.stdout)
                    self.assertIn("--json", done.stdout)

    def test_general_help_names_every_configuration_key_and_exit_code(self):
        for arguments in ((), ("--help",), ("help",), ("-h",)):
            done = self.pomona(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for word in ("--server-url", "--database-password-file", "--config", "75"):
                self.assertIn(word, done.stdout)

    def test_the_version_is_told(self):
        for arguments in (["--version"], ["db", "status", "--version"]):
            done = self.pomona(*arguments)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"^pomona \d+\.\d+")

    def test_a_mistyped_word_is_wrong_usage_and_the_right_one_is_suggested(self):
        for arguments, hint in ((["tickt"], "Did you mean ticket?"), (["ticket", "lst"], "Did you mean list?"),
                                (["db", "stat"], "Did you mean status?"), (["xyzzy"], "pomona --help"), (["db"], "which verb?")):
            with self.subTest(arguments):
                done = self.pomona(*arguments)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(hint, done.stderr)

    def test_an_unknown_option_or_too_many_arguments_are_wrong_usage(self):
        for arguments in (["db", "status", "--frobnicate"], ["db", "status", "--server-url", "https://x.example", "more"],
                          ["ticket", "revoke", "--server-url", "https://x.example"]):
            with self.subTest(arguments):
                self.assertEqual(self.pomona(*arguments).returncode, 2)

    def test_without_server_url_it_is_not_configured(self):
        done = self.pomona("ticket", "list", "--config", "/dev/null")
        self.assertEqual(done.returncode, 3)
        self.assertIn("server-url", done.stderr)

    def test_options_may_stand_anywhere(self):
        for arguments in (["--config", "/dev/null", "ticket", "list"], ["ticket", "--config=/dev/null", "list"],
                          ["ticket", "--uses", "3", "new", "--config", "/dev/null"]):
            with self.subTest(arguments):
                self.assertEqual(self.pomona(*arguments).returncode, 3)

    def test_without_a_database_it_asks_to_try_again_later(self):
        done = self.pomona("ticket", "list", "--server-url", "https://x.example", "--database-socket", "/nonexistent")
        self.assertEqual(done.returncode, 75, done.stderr)


class Configuration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)

    def setUp(self):
        self.bench.configure()

    def test_check_finds_all_well_on_a_sound_installation(self):
        checks = self.bench.json("config", "check")
        self.assertEqual([row["check"] for row in checks if not row["ok"]], [])
        self.assertIn(str(self.bench.conf), next(row["detail"] for row in checks if row["check"] == "configuration file"))

    def test_check_names_what_is_wrong_and_fails(self):
        broken = {"gate file": {"gate_file": self.bench.folder / "nowhere"},
                  "key files": {"key_dir": self.bench.folder / "nowhere"},
                  "https-ca-file": {"https_ca_file": self.bench.conf},
                  "push-ca-file": {"push_ca_file": self.bench.folder / "nowhere"},
                  "database": {"database_socket": self.bench.folder / "nowhere"}}
        for name, keys in broken.items():
            with self.subTest(name):
                self.bench.configure(**keys)
                done = self.bench.pomona("config", "check")
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stdout, rf"(?m)^FAIL  {name}: ")

    def test_check_tells_an_expired_https_ca(self):
        path = self.bench.folder / "old.pem"
        path.write_bytes(pki.issue(pki.make_ca("x"), "old", days=-3).cert_pem())
        self.bench.configure(https_ca_file=path)
        self.assertIn("not now", self.bench.pomona("config", "check").stdout)

    def test_dump_gives_a_file_that_means_the_same(self):
        first = self.bench.checked("config", "dump")
        path = self.bench.folder / "dumped.conf"
        path.write_text(first)
        again = subprocess.run([BIN / "pomona", "config", "dump", "--config", path], capture_output=True, text=True,
                               env=self.bench.environment())
        self.assertEqual(again.stdout, first)
        self.assertIn("scep-url = https://mdm.example.org/scep\n", first)

    def test_dump_says_where_each_value_comes_from(self):
        rows = {row["key"]: row for row in self.bench.json("config", "dump", "--threads", 9,
                                                           env=self.bench.environment() | {"POMONA_ORGANIZATION": "Env Org"})}
        self.assertEqual((rows["threads"]["value"], rows["threads"]["source"]), ("9", "command line"))
        self.assertEqual((rows["organization"]["value"], rows["organization"]["source"]), ("Env Org", "environment"))
        self.assertEqual(rows["server-url"]["source"], f"{self.bench.conf}:1")
        self.assertEqual((rows["push-expiration"]["value"], rows["push-expiration"]["source"]), ("7d", "default"))
        self.assertEqual(rows["scep-url"]["source"], "derived")
        self.assertEqual((rows["socket"]["value"], rows["socket"]["source"]), (None, None))

    def test_an_unknown_key_is_told_with_file_and_line(self):
        with open(self.bench.conf, "a") as file:
            file.write("\n# a comment\nserver-ulr = https://x.example\n")
        done = self.bench.pomona("config", "check")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, rf"{re.escape(str(self.bench.conf))}:\d+: unknown key server-ulr")


if __name__ == "__main__":
    unittest.main()
