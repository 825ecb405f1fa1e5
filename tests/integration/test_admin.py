"""The pomona command: help and wrong usage, configuration, key files, tickets, certificates, tables and JSON."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from bench import BIN, TOPIC, Bench  # noqa: E402

DOMAINS = ["ca", "signing", "push", "dep", "escrow", "message", "https"]
DAY = 86400


def on_terminal(argv, columns, environment):
    """Runs a program on a terminal of that width and returns what it printed there."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    text = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, text.decode().replace("\r\n", "\n")


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


class KeyFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench(migrate=False)
        cls.addClassCleanup(cls.bench.close)

    def setUp(self):
        self.folder = self.bench.folder / self._testMethodName
        self.keys, self.gate = self.folder / "keys", self.folder / "gate"
        self.bench.configure(key_dir=self.keys, gate_file=self.gate)

    def contents(self):
        return {path.name: path.read_text() for path in self.keys.iterdir()}

    def test_they_are_made_with_the_right_modes_and_only_once(self):
        made = self.bench.json("secrets", "init")
        self.assertEqual({row["outcome"] for row in made}, {"made"})
        self.assertEqual(set(self.contents()), {"master.key"} | {f"{domain}.key" for domain in DOMAINS})
        self.assertEqual((self.keys / "master.key").stat().st_mode & 0o777, 0o600)
        for path in [self.keys / f"{domain}.key" for domain in DOMAINS] + [self.gate]:
            self.assertEqual(path.stat().st_mode & 0o777, 0o640, path)
        before = self.contents() | {"gate": self.gate.read_text()}
        self.assertEqual({row["outcome"] for row in self.bench.json("secrets", "init")}, {"kept"})
        self.assertEqual(self.contents() | {"gate": self.gate.read_text()}, before)

    def test_every_key_differs_and_nothing_of_them_is_printed(self):
        done = self.bench.checked("secrets", "init")
        secrets = [text.strip() for text in self.contents().values()] + [self.gate.read_text().strip()]
        self.assertEqual(len(set(secrets)), len(DOMAINS) + 2)
        for secret in secrets:
            self.assertRegex(secret, "^[0-9a-f]{64}$")
            self.assertNotIn(secret, done)

    def test_domain_keys_are_derived_as_documented(self):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        self.bench.checked("secrets", "init")
        master = bytes.fromhex((self.keys / "master.key").read_text())
        for domain in DOMAINS:
            derived = HKDF(hashes.SHA256(), 32, None, f"pomona domain {domain}".encode()).derive(master)
            self.assertEqual((self.keys / f"{domain}.key").read_text().strip(), derived.hex())

    def test_a_lost_domain_key_comes_back_with_the_same_content(self):
        self.bench.checked("secrets", "init")
        before = self.contents()
        (self.keys / "push.key").unlink()
        (self.keys / "dep.key").chmod(0o666)
        outcomes = {Path(row["file"]).name: row["outcome"] for row in self.bench.json("secrets", "init")}
        self.assertEqual((outcomes["push.key"], outcomes["dep.key"]), ("made", "access put right"))
        self.assertEqual(self.contents(), before)
        self.assertEqual((self.keys / "dep.key").stat().st_mode & 0o777, 0o640)

    def test_without_the_master_key_nothing_is_made_that_would_hide_the_loss(self):
        self.bench.checked("secrets", "init")
        (self.keys / "master.key").unlink()
        before = self.contents()
        done = self.bench.pomona("secrets", "init")
        self.assertEqual(done.returncode, 1)
        self.assertIn("backup", done.stderr)
        self.assertEqual(self.contents(), before)

    def test_a_key_of_another_installation_is_told_and_kept(self):
        self.bench.checked("secrets", "init")
        (self.keys / "ca.key").write_text("ab" * 32 + "\n")
        done = self.bench.pomona("secrets", "init")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ca.key", done.stderr)
        self.assertEqual((self.keys / "ca.key").read_text(), "ab" * 32 + "\n")

    def test_whenever_it_is_killed_the_next_run_finishes(self):
        masters = set()
        for microseconds in range(0, 60_000, 4_000):
            process = subprocess.Popen(self.bench.argv("pomona", "secrets", "init"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, env=self.bench.environment())
            time.sleep(microseconds / 1e6)  # the moment of the kill, not a wait for something
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.bench.checked("secrets", "init")
            masters.add((self.keys / "master.key").read_text())
            self.assertEqual(set(self.contents()), {"master.key"} | {f"{domain}.key" for domain in DOMAINS})
            for domain in DOMAINS[microseconds // 4_000 % 7:]:
                (self.keys / f"{domain}.key").unlink()
        self.assertEqual(len(masters), 1)

    def test_many_at_once_agree_on_one_master(self):
        runs = [subprocess.Popen(self.bench.argv("pomona", "secrets", "init"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 env=self.bench.environment(), text=True) for _ in range(6)]
        for run in runs:
            errors = run.communicate()[1]
            self.assertIn(run.returncode, (0, 75), errors)
        self.assertIn(0, [run.returncode for run in runs])
        self.bench.checked("secrets", "init")


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


class Tickets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)

    def setUp(self):
        self.bench.sql("DELETE FROM tickets; DELETE FROM certificates; DELETE FROM enrollments; DELETE FROM devices; "
                       "DELETE FROM events")
        self.bench.put_certificate("ca", pki.make_ca("Device CA"), name="devices")
        self.put_push(TOPIC)

    def put_push(self, topic, **options):
        self.bench.put_certificate("push", pki.issue(pki.make_ca("Push CA"), "APSP", uid=topic, client=True, **options), topic=topic)

    def refused(self, *arguments, code=1):
        done = self.bench.pomona("ticket", "new", *arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertEqual(self.bench.sql("SELECT COUNT(*) FROM tickets").strip(), "0")
        return done.stderr

    def test_json_has_the_documented_keys(self):
        ticket = self.bench.json("ticket", "new")
        self.assertTrue({"number", "url", "challenge", "scep_url", "expires_at"} <= set(ticket))
        self.assertRegex(ticket["url"], "^https://mdm.example.org/enroll/[A-Z2-7]{32}$")
        self.assertEqual(ticket["scep_url"], "https://mdm.example.org/scep")
        self.assertRegex(ticket["expires_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_the_topic_is_that_of_the_only_push_certificate_in_use(self):
        self.put_push("com.apple.mgmt.External.expired", days=-5)
        self.assertEqual(self.bench.json("ticket", "new")["topic"], TOPIC)

    def test_with_several_push_certificates_the_topic_must_be_chosen(self):
        self.put_push("com.apple.mgmt.External.other")
        self.assertIn("--topic", self.refused())
        self.assertEqual(self.bench.json("ticket", "new", "--topic", "com.apple.mgmt.External.other")["topic"],
                         "com.apple.mgmt.External.other")

    def test_without_what_an_enrolment_needs_it_says_what_to_do(self):
        self.assertIn("pomona push-cert list", self.refused("--topic", "com.apple.mgmt.External.never"))
        self.bench.sql("UPDATE certificates SET not_after = UTC_TIMESTAMP() - INTERVAL 1 DAY WHERE kind = 'push'")
        self.assertIn("expired", self.refused())
        self.bench.sql("DELETE FROM certificates WHERE kind = 'push'")
        self.assertIn("pomona push-cert import", self.refused())
        self.bench.sql("DELETE FROM certificates WHERE kind = 'ca'")
        self.assertIn("pomona ca init", self.refused())

    def test_wrong_options_are_wrong_usage(self):
        for arguments, word in ((["--uses", "0"], "--uses"), (["--uses", "x"], "--uses"), (["--auth", "password"], "--auth"),
                                (["--expires", "soon"], "--expires"), (["--identity", "pkcs12"], "pkcs12"),
                                (["--identity", "x"], "scep"), (["--uses", "2", "--serial", "C02"], "--uses"),
                                (["--serial", " "], "--serial")):
            with self.subTest(arguments):
                self.assertIn(word, self.refused(*arguments, code=2))

    def test_for_binds_to_the_enrolment_that_is_current(self):
        enrollment = self.bench.put_enrollment("00008030-001")
        number = self.bench.json("ticket", "new", "--for", "00008030-001")["number"]
        self.assertEqual(self.bench.sql(f"SELECT enrollment_id FROM tickets WHERE id = {number}").strip(), str(enrollment))
        self.bench.put_enrollment("gone", state="checked-out")
        for unknown in ("gone", "never"):
            done = self.bench.pomona("ticket", "new", "--for", unknown)
            self.assertEqual(done.returncode, 1)
            self.assertIn(unknown, done.stderr)

    def test_what_binds_it_is_stored_and_listed(self):
        self.bench.json("ticket", "new", "--serial", "C02XYZ", "--udid", "AAAA-1", "--auth", "signature", "--expires", "2h")
        (row,) = self.bench.json("ticket", "list")
        self.assertEqual((row["serial"], row["udid"], row["auth"], row["state"]), ("C02XYZ", "AAAA-1", "signature", "open"))
        minutes = self.bench.sql("SELECT TIMESTAMPDIFF(MINUTE, created_at, expires_at) FROM tickets").strip()
        self.assertEqual(minutes, "120")

    def test_a_revoked_ticket_leaves_the_list_and_who_did_it_is_kept(self):
        number = self.bench.json("ticket", "new")["number"]
        self.assertEqual(self.bench.json("ticket", "revoke", number), {"number": number, "revoked": True})
        self.assertEqual(self.bench.json("ticket", "revoke", number)["revoked"], False)
        self.assertEqual(self.bench.json("ticket", "list"), [])
        self.assertEqual(self.bench.json("ticket", "list", "--all")[0]["state"], "revoked")
        self.assertEqual(self.bench.pomona("ticket", "revoke", 999_999).returncode, 1)
        self.assertEqual(self.bench.pomona("ticket", "revoke", "first").returncode, 2)
        events = [line.split("\t") for line in self.bench.sql("SELECT what, who FROM events ORDER BY id").splitlines()]
        self.assertEqual([what for what, _ in events], ["ticket.new", "ticket.revoked"])
        self.assertTrue(all(who.startswith("cli:") for _, who in events))

    def test_expired_tickets_are_listed_as_such(self):
        self.bench.json("ticket", "new", "--expires", "1h")
        self.assertEqual(len(self.bench.json("ticket", "list")), 1)
        self.assertEqual(self.bench.json("ticket", "list", clock=2 * 3600), [])
        self.assertEqual(self.bench.json("ticket", "list", "--all", clock=2 * 3600)[0]["state"], "expired")

    def test_tables_fit_the_terminal_and_are_whole_elsewhere(self):
        self.bench.json("ticket", "new", "--serial", "S" * 60, "--udid", "U" * 60)
        argv = self.bench.argv("pomona", "ticket", "list")
        code, text = on_terminal(argv, 80, self.bench.environment())
        self.assertEqual(code, 0)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertIn("…", text)
        whole = self.bench.checked("ticket", "list")
        self.assertIn("serial " + "S" * 60, whole)
        self.assertTrue(whole.startswith("NUMBER"))
        self.assertNotIn("NUMBER", self.bench.checked("ticket", "list", "--no-headers"))

    def test_what_a_device_says_cannot_steer_the_terminal(self):
        self.bench.sql(f"INSERT INTO tickets (uuid, challenge_sha256, purpose, topic, bind_udid, attempts_left, expires_at, "
                       f"created_at, created_by) VALUES (UUID(), REPEAT('x', 32), 'enroll', '{TOPIC}', 'a\x1b[2Jb', 1, "
                       f"UTC_TIMESTAMP() + INTERVAL 1 DAY, UTC_TIMESTAMP(), 'x')")
        self.assertNotIn("\x1b", self.bench.checked("ticket", "list"))
        self.assertEqual(self.bench.json("ticket", "list")[0]["udid"], "a\x1b[2Jb")

    def test_an_empty_list_says_so_and_is_empty_in_json(self):
        self.assertIn("No open tickets", self.bench.checked("ticket", "list"))
        self.assertEqual(self.bench.json("ticket", "list"), [])


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        cls.ca = pki.make_ca("Device CA")
        cls.ca_id = cls.bench.put_certificate("ca", cls.ca, name="devices")
        cls.bench.put_certificate("push", cls.push(days=365), topic=TOPIC)
        cls.bench.put_certificate("push", cls.push(days=-5), topic=TOPIC, status="retired")
        for number, days in enumerate((100, 400, 700)):
            enrollment = cls.bench.put_enrollment(f"UDID-{number}")
            cls.bench.put_certificate("identity", pki.issue(cls.ca, f"device {number}", client=True, days=days), status="issued",
                                      issuer_id=cls.ca_id, enrollment_id=enrollment)

    @staticmethod
    def push(**options):
        return pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True, **options)

    def report(self, *arguments, **options):
        return self.bench.json("certs", *arguments, **options)

    def of_kind(self, kind, *arguments, **options):
        return [row for row in self.report(*arguments, **options) if row["kind"] == kind]

    def test_the_form_is_certbots(self):
        text = self.bench.checked("certs")
        self.assertRegex(text, r"    Expiry Date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00 \(VALID: 364 days\)")

    def test_who_depends_on_each_is_counted(self):
        (push,), (ca,) = self.of_kind("push"), self.of_kind("ca")
        self.assertEqual((push["used_by"], ca["used_by"]), (3, 3))
        self.assertIn("3 devices cannot be woken", push["consequence"])

    def test_identities_are_summed_up_and_shown_one_by_one_on_demand(self):
        (summary,) = self.of_kind("identities")
        self.assertEqual((summary["count"], summary["days_left"]), (3, 99))
        single = self.of_kind("identity", "--all")
        self.assertEqual([row["device"] for row in single], ["UDID-0", "UDID-1", "UDID-2"])

    def test_what_is_superseded_and_unused_is_shown_on_demand_only(self):
        self.assertEqual(len(self.of_kind("push")), 1)
        states = [row["state"] for row in self.of_kind("push", "--all")]
        self.assertEqual(sorted(states), ["INVALID: RETIRED", "VALID: 364 days"])

    def test_the_most_pressing_comes_first_and_says_what_to_do(self):
        later = 350 * DAY
        first = self.report(clock=later)
        self.assertEqual([row["kind"] for row in first][:2], ["identities", "push"])
        self.assertEqual([row["urgency"] for row in first][:2], ["expired", "urgent"])
        self.assertIn("identity.apple.com", first[1]["next_step"])
        self.assertIn("2 certificates need attention", self.bench.checked("certs", clock=later))

    def test_attention_grows_with_the_fraction_of_life_that_is_gone(self):
        urgencies = [self.of_kind("push", clock=days * DAY)[0]["urgency"] for days in (0, 290, 310, 340, 366)]
        self.assertEqual(urgencies, ["good", "good", "attention", "urgent", "expired"])

    def test_the_private_ca_of_https_is_listed_with_its_file(self):
        path = self.bench.folder / "https-ca.pem"
        path.write_bytes(pki.make_ca("Example HTTPS CA").cert_pem())
        self.bench.configure(https_ca_file=path)
        self.addCleanup(self.bench.configure)
        (row,) = self.of_kind("https-ca")
        self.assertEqual((row["file"], row["used_by"], row["title"]), (str(path), 3, "HTTPS CA Example HTTPS CA"))


if __name__ == "__main__":
    unittest.main()
