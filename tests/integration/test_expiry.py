"""A year passes: pomona-maintain, pomona check and pomona metrics tell of each certificate when they should, once each."""
import datetime
import hashlib
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402

DAY = 86400


def days_around(*ends):
    """The days on which something may happen, and those before and after; from year's start to its end."""
    found = set(range(0, 372, 60))
    for end in ends:
        for left in (90, 60, 30, 14, 7, 1, 0):
            found |= {end - left - 1, end - left, end - left + 1}
    return sorted(day for day in found if 0 <= day <= 372)


class ExpiryCase(unittest.TestCase):
    def setUp(self):
        self.bench = Bench()
        self.addCleanup(self.bench.close)

    def put_push(self, days=365, **row):
        certificate = pki.issue(pki.make_ca("Push CA"), "APSP", uid=TOPIC, client=True, days=days)
        self.bench.put_certificate("push", certificate, **({"topic": TOPIC} | row))
        return certificate

    def put_https(self, days, name="mdm.example.org"):
        certificate = pki.issue(pki.make_ca("HTTPS CA"), name, days=days)
        path = self.bench.folder / "https.pem"
        path.write_bytes(certificate.cert_pem())
        self.bench.configure(https_certificate_file=path)
        return path

    def maintain(self, *arguments, day=0, code=0):
        done = subprocess.run(self.bench.argv("pomona-maintain", *arguments), env=self.bench.environment(day * DAY),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        return done.stdout

    def check(self, *arguments, day=0):
        done = self.bench.pomona("check", *arguments, clock=day * DAY)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def events(self, what):
        return self.bench.sql(f"SELECT detail FROM events WHERE what = '{what}' ORDER BY id").splitlines()


class Year(ExpiryCase):
    def test_each_threshold_is_mailed_once_on_its_day_and_is_one_event(self):
        self.put_push(days=365)
        mails = {}
        for day in days_around(365):
            text = self.maintain(day=day) + self.maintain(day=day)
            if text:
                mails[day] = text
        # The certificate is a moment older than the test's days.
        self.assertEqual(sorted(mails), [365 - left for left in (90, 60, 30, 14, 7, 1, 0)])
        self.assertIn("89 days left", mails[275])
        self.assertIn("less than a day left", mails[364])
        self.assertIn("expired on", mails[365])
        for text in mails.values():
            self.assertIn(f"Push certificate {TOPIC}", text)
            self.assertIn("cannot be woken", text)
            self.assertIn("Renew, not Create, same Apple ID", text)
        self.assertEqual((len(self.events("certificate.expiring")), len(self.events("certificate.expired"))), (6, 1))

    def test_check_and_metrics_turn_on_the_right_day(self):
        certificate = self.put_push(days=365)
        self.put_https(days=90)
        codes = {day: self.check("certs", day=day)[0] for day in (0, 70, 76, 84)}
        self.assertEqual(codes, {0: 0, 70: 0, 76: 1, 84: 2})
        self.put_https(days=3000)
        codes = {day: self.check("certs", day=day)[0] for day in (84, 304, 306, 334, 336, 366)}
        self.assertEqual(codes, {84: 0, 304: 0, 306: 1, 334: 1, 336: 2, 366: 2})
        text = self.bench.checked("metrics", clock=366 * DAY)
        end = int(certificate.certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())
        self.assertRegex(text, rf'pomona_certificate_not_after_seconds{{kind="push",name="Push certificate {TOPIC}",sha256="\w+"}} {end}\n')

    def test_a_fleets_identities_are_one_paragraph_and_an_event_for_each_device(self):
        ca = pki.make_ca("Device CA")
        ca_id = self.bench.put_certificate("ca", ca, name="devices", status="active")
        for number in range(5):
            enrollment = self.bench.put_enrollment(f"UDID-{number}")
            self.bench.put_certificate("identity", pki.issue(ca, f"device {number}", client=True, days=365), status="issued",
                                       issuer_id=ca_id, enrollment_id=enrollment)
        self.assertEqual(self.maintain(day=200), "")
        mail = self.maintain(day=310)
        self.assertIn("Device identities: 5 came nearer to their end", mail)
        self.assertIn("and 2 more: `pomona certs --all`", mail)
        devices = self.bench.sql("SELECT external_id FROM events WHERE what = 'certificate.expiring' ORDER BY 1").splitlines()
        self.assertEqual(devices, [f"UDID-{n}" for n in range(5)])
        self.assertEqual(self.check("certs", day=366)[0], 1, "identities of devices alone are a warning")

    def test_a_certificate_that_was_renewed_says_nothing_more(self):
        self.put_push(days=365, status="retired")
        self.put_push(days=730)
        self.assertEqual(self.maintain(day=360), "")

    def test_who_comes_late_is_told_once_of_the_last_threshold(self):
        self.put_push(days=365)
        self.assertIn("5 days left", self.maintain(day=359))
        self.assertEqual(len(self.events("certificate.expiring")), 1)

    def test_many_runs_at_once_tell_once(self):
        self.put_push(days=20)
        texts = []
        threads = [threading.Thread(target=lambda: texts.append(self.maintain(day=15))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.events("certificate.expiring")), 1)
        self.assertEqual(len([text for text in texts if text]), 1)

    def test_a_mail_that_could_not_be_written_is_written_by_the_next_run(self):
        self.put_push(days=20)
        with open("/dev/full", "w") as full:
            done = subprocess.run(self.bench.argv("pomona-maintain"), env=self.bench.environment(15 * DAY), stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 75)
        self.assertEqual(self.events("certificate.expiring"), [])
        self.assertIn("Push certificate", self.maintain(day=15))


class EverythingExpired(ExpiryCase):
    CLOCK = 12 * 365 * DAY

    def setUp(self):
        super().setUp()
        self.bench.checked("ca", "init")
        self.put_push(days=365)
        self.put_https(days=90)
        self.bench.configure(https_certificate_file=self.bench.folder / "https.pem", https_ca_file=self.bench.folder / "https.pem")

    def test_no_program_refuses_to_start(self):
        for program, uri in (("pomona-mdm", "/mdm"), ("pomona-scep", "/scep?operation=GetCACaps"), ("pomona-enroll", "/MDMServiceConfig")):
            with self.subTest(program), self.bench.handler(program, clock=self.CLOCK) as handler:
                answer = handler.request("GET", uri)
                self.assertLess(answer.status, 500, handler.log())
                self.assertEqual(handler.stop(), 0)
        push = subprocess.run(self.bench.argv("pomona-push"), env=self.bench.environment(self.CLOCK), capture_output=True, text=True,
                              timeout=60)
        self.assertIn(push.returncode, (0, 1), push.stderr)
        self.assertIn("expired on", self.maintain(day=self.CLOCK // DAY))

    def test_the_admin_is_told_all_of_it(self):
        rows = self.bench.json("certs", clock=self.CLOCK)
        self.assertEqual({row["urgency"] for row in rows}, {"expired"})
        self.assertEqual({row["kind"] for row in rows}, {"push", "https", "https-ca", "ca", "ra"})
        self.assertTrue(all(row["next_step"] for row in rows))
        self.assertEqual(self.check("certs", day=self.CLOCK // DAY)[0], 2)
        self.bench.checked("metrics", clock=self.CLOCK)
        for verb in (["ca", "list"], ["push-cert", "list"], ["db", "status"]):
            self.bench.checked(*verb, clock=self.CLOCK)


class Https(ExpiryCase):
    def serve(self, certificate):
        """A TLS server that shows this certificate; returns its URL."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem, key = self.bench.folder / "served.pem", self.bench.folder / "served.key"
        certificate.write(pem, key)
        context.load_cert_chain(pem, key)
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def accept():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)
                except OSError:
                    pass

        threading.Thread(target=accept, daemon=True).start()
        return f"https://localhost:{server.getsockname()[1]}"

    def https(self, *arguments, **options):
        return [row for row in self.bench.json("certs", *arguments, **options) if row["kind"].startswith("https")]

    def test_the_chain_of_the_file_is_listed_leaf_and_intermediate(self):
        root = pki.make_ca("Root")
        leaf = pki.issue(root, "mdm.example.org", days=90)
        path = self.bench.folder / "fullchain.pem"
        path.write_bytes(leaf.cert_pem() + root.cert_pem())
        self.bench.configure(https_certificate_file=path)
        self.assertEqual([(row["kind"], row["file"]) for row in sorted(self.https(), key=lambda row: row["kind"])],
                         [("https", str(path)), ("https-chain", str(path))])

    def test_an_intermediate_that_outlives_its_leaf_asks_for_nothing(self):
        root = pki.make_ca("Root")
        for days, wanted in ((340, 0), (20, 2)):
            with self.subTest(days):
                intermediate = pki.issue(root, "Intermediate", days=days)
                path = self.put_https(days=300 if days > 300 else 3000)
                path.write_bytes(path.read_bytes() + intermediate.cert_pem())
                self.assertEqual(self.check("certs", day=15 if days == 20 else 100)[0], wanted)

    def test_what_a_certificate_calls_itself_breaks_no_line(self):
        self.bench.configure(server_url=self.serve(pki.issue(pki.make_ca("HTTPS CA"), "evil|'=1\n\x1b[31m CRITICAL", days=20)))
        code, text = self.check("certs", "--live", day=15)
        self.assertEqual((code, len(text.splitlines()), text.splitlines()[0].count("|")), (2, 2, 1))
        self.assertNotIn("\x1b", text + self.maintain("--live", day=15) + self.bench.checked("metrics", "--live"))

    def test_on_request_the_live_url_is_asked_and_an_old_certificate_still_served_is_found(self):
        old = pki.issue(pki.make_ca("HTTPS CA"), "mdm.example.org", days=200)
        url = self.serve(old)
        path = self.put_https(days=300)
        self.bench.configure(https_certificate_file=path, server_url=url)
        served = [row for row in self.https("--live") if row["kind"] == "https-served"]
        self.assertEqual([row["sha256"] for row in served], [hashlib.sha256(ssl.PEM_cert_to_DER_cert(old.cert_pem().decode())).hexdigest()])
        self.assertIn("nginx -s reload", served[0]["next_step"])
        code, text = self.check("certs", "--live")
        self.assertEqual((code, "nginx -s reload" in text), (1, True))
        self.assertEqual(self.check("certs")[0], 0)
        self.assertIn("nginx -s reload", self.maintain("--live"))
        self.assertEqual(self.maintain("--live", day=1), "")
        self.assertEqual(self.check("certs", "--live", day=201)[0], 2, "what devices are shown has expired")
        path.write_bytes(old.cert_pem())
        self.assertEqual(self.check("certs", "--live")[0], 0)

    def test_without_a_file_the_live_certificate_is_watched(self):
        self.bench.configure(server_url=self.serve(pki.issue(pki.make_ca("HTTPS CA"), "mdm.example.org", days=20)))
        self.assertIn("HTTPS certificate", self.maintain("--live", day=15))

    def test_what_cannot_be_looked_at_is_said_and_hides_nothing_else(self):
        self.put_push(days=20)
        self.bench.configure(https_certificate_file="/nonexistent/fullchain.pem")
        done = self.bench.pomona("certs")
        self.assertEqual(done.returncode, 1)
        self.assertIn("https-certificate-file = /nonexistent/fullchain.pem", done.stderr)
        self.assertIn("Push certificate", done.stdout)
        code, text = self.check("certs")
        self.assertEqual((code, text.split(" - ")[0]), (3, "CERTS UNKNOWN"))
        self.assertIn("Could not be looked at: https-certificate-file", self.maintain())
        self.assertEqual([self.maintain(day=day) for day in (0, 1, 6)], [""] * 3)
        self.assertIn("Could not be looked at: https-certificate-file", self.maintain(day=7), "it is told again each week")
        self.assertIn("pomona_certificates_unreadable 1\n", self.bench.checked("metrics"))


class Monitoring(ExpiryCase):
    def test_the_line_is_a_plug_ins_with_performance_data(self):
        self.put_push(days=365)
        code, text = self.check("certs")
        self.assertEqual(code, 0)
        self.assertRegex(text, rf"^CERTS OK - 1 certificate, nothing to do \| 'Push certificate {TOPIC}'=364d;60:;30:\n$")
        code, text = self.check("certs", day=350)
        self.assertRegex(text, r"^CERTS CRITICAL - 1 of 1 certificate to look at: .* VALID: 14 days \|")
        self.assertIn("Next step: renew it at identity.apple.com", text)

    def test_json_says_the_same(self):
        self.put_push(days=365)
        done = self.bench.pomona("check", "certs", "--json", clock=350 * DAY)
        self.assertEqual((done.returncode, json.loads(done.stdout)["state"]), (2, "CRITICAL"))

    def test_without_a_database_the_state_is_unknown_and_that_of_the_database_critical(self):
        self.bench.db.stop()
        self.assertEqual([self.check(name)[0] for name in ("certs", "push", "queue", "db", "all")], [3, 3, 3, 2, 2])

    def test_a_missing_step_of_the_schema_is_critical(self):
        self.assertEqual(self.check("db")[0], 0)
        self.assertIn("pomona_schema_missing_steps 0\n", self.bench.checked("metrics"))
        self.bench.sql("DELETE FROM schema_migrations WHERE version = 8")
        self.assertIn("pomona_schema_missing_steps 1\n", self.bench.checked("metrics"))
        code, text = self.check("db")
        self.assertEqual((code, "pomona db migrate" in text), (2, True))

    def test_a_topic_without_a_certificate_and_a_push_that_waits_are_critical(self):
        enrollment = self.bench.put_enrollment("UDID-1")
        code, text = self.check("push")
        self.assertEqual((code, f"no certificate for {TOPIC}" in text.splitlines()[0]), (2, True))
        self.put_push(days=365)
        self.assertEqual(self.check("push")[0], 0)
        self.bench.sql(f"UPDATE enrollments SET push_token = 'x' WHERE id = {enrollment}; "
                       f"INSERT INTO push_state (enrollment_id, topic, due_at) VALUES ({enrollment}, '{TOPIC}', UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE) "
                       "ON DUPLICATE KEY UPDATE due_at = VALUES(due_at)")
        self.assertEqual(self.check("push")[0], 1)
        self.assertEqual(self.check("push", "--warning", "40m")[0], 0)
        self.assertEqual(self.bench.pomona("check", "push", "--warning", "2h").returncode, 2, "above critical")
        self.assertEqual(self.check("push", "--critical", "20m")[0], 2)

    def test_a_frozen_device_is_critical(self):
        enrollment = self.bench.put_enrollment("UDID-1")
        self.assertEqual(self.check("queue")[0], 0)
        self.bench.sql(f"UPDATE enrollments SET frozen = TRUE WHERE id = {enrollment}")
        code, text = self.check("queue")
        self.assertEqual(code, 2)
        self.assertIn("enrollment resolve", text)

    def test_metrics_are_what_prometheus_reads(self):
        self.put_push(days=365)
        self.bench.put_enrollment("UDID-1")
        names = set()
        for line in self.bench.checked("metrics").splitlines():
            if not line.startswith("#"):
                self.assertRegex(line, r'^pomona_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? -?\d+$')
                names.add(re.match(r"\w+", line)[0])
        self.assertLessEqual({"pomona_certificate_not_after_seconds", "pomona_devices", "pomona_deliveries", "pomona_pushes_due",
                              "pomona_schema_missing_steps"}, names)


if __name__ == "__main__":
    unittest.main()
