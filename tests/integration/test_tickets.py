"""pomona ticket: what is made, refused, listed and revoked; tables on a terminal."""
import fcntl
import os
import pty
import struct
import sys
import termios
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
