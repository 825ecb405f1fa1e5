"""What the tests of pushing share: a migrated scratch MariaDB, key files, a configuration, and optionally the APNs stand-in.

    with PushBench() as bench:
        bench.pomona("push-cert", "import", cert, key)    the command; CompletedProcess, not checked
        bench.start_apns()                                the stand-in, with push certificates from bench.certs
        bench.push("--verbose")                           one round of pomona-push; CompletedProcess, not checked
        bench.enroll("UDID", topic)                       a current enrolment with token and PushMagic, by SQL
        bench.due("UDID"), bench.state("UDID")            make its push due; its row of push_state as a dict
        bench.queue("UDID", state="not-now")              a command in its queue, and nothing else
        bench.script({...}), bench.pushes()               verdicts of the stand-in; what it accepted
"""
import json
import os
import secrets
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import mariadb  # noqa: E402
import pki  # noqa: E402
import push_pki  # noqa: E402
from polling import poll  # noqa: E402
from ports import free_ports  # noqa: E402

RIG = Path(__file__).resolve().parent
ROOT = RIG.parent.parent
BIN = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin"
STATE = ["due_at", "lease_owner", "lease_until", "attempts", "unanswered", "dead_since", "doubted_since", "last_pushed_at",
         "last_status", "last_reason", "last_apns_id"]


def token_of(udid):
    """The push token of a device: 32 bytes that tell the device."""
    return udid.encode().hex().ljust(64, "0")[:64]


class PushBench:
    def __init__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-push-")
        self.folder = Path(self.holder.name)
        self.certs = self.folder / "certs"
        self.apns = None
        self.db = mariadb.Scratch()
        try:
            self.port, self.open_port = free_ports(2)
            (self.folder / "keys").mkdir()
            (self.folder / "keys/push.key").write_text(secrets.token_hex(32) + "\n")
            self.topic = push_pki.ensure(self.certs)
            self.write_conf()
            self.checked("db", "migrate")
        except BaseException:
            self.close()
            raise

    def write_conf(self, **keys):
        values = {"server-url": "https://mdm.example.org", "database-socket": self.db.socket,
                  "database-password-file": f"{self.db.passwords}/%p", "key-dir": self.folder / "keys",
                  "push-url": f"https://127.0.0.1:{self.port}", "push-ca-file": self.certs / "ca.pem"}
        values |= {key.replace("_", "-"): value for key, value in keys.items()}
        (self.folder / "pomona.conf").write_text("".join(f"{key} = {value}\n" for key, value in values.items()))

    def argv(self, program, *arguments):
        return [str(BIN / program), *map(str, arguments), "--config", str(self.folder / "pomona.conf")]

    def environment(self, clock, crash=None):
        return os.environ | ({"POMONA_TEST_CLOCK": str(clock)} if clock else {}) | ({"POMONA_CRASH_AT": crash} if crash else {})

    def run(self, program, *arguments, clock=0, crash=None):
        return subprocess.run(self.argv(program, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env=self.environment(clock, crash), timeout=120)

    def start(self, program, *arguments, clock=0, crash=None):
        return subprocess.Popen(self.argv(program, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment(clock, crash))

    def pomona(self, *arguments, clock=0):
        return self.run("pomona", *arguments, clock=clock)

    def push(self, *arguments, clock=0, crash=None):
        return self.run("pomona-push", *arguments, clock=clock, crash=crash)

    def checked(self, *arguments, clock=0):
        done = self.pomona(*arguments, clock=clock)
        if done.returncode != 0:
            raise AssertionError(f"pomona {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments, clock=0):
        return json.loads(self.checked(*arguments, "--json", clock=clock))

    def sql(self, text):
        return self.db.sql(text)

    def enroll(self, udid, topic=None, token=None, state="current"):
        """A device that sent Authenticate and TokenUpdate a day ago."""
        self.sql(f"""
            INSERT INTO devices (external_id, created_at, updated_at) VALUES ('{udid}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
            INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic,
                push_magic, push_token, token_update_tally, created_at, token_updated_at)
            VALUES (UUID(), LAST_INSERT_ID(), 1, 'device', '{udid}', IF('{state}' = 'current', '{udid}', NULL), '{state}', 'tls',
                '{topic or self.topic}', 'magic-{udid}', X'{token or token_of(udid)}', 1,
                UTC_TIMESTAMP(6) - INTERVAL 1 DAY, UTC_TIMESTAMP(6) - INTERVAL 1 DAY)""")

    def fleet(self, count):
        """Devices D1, D2, ... as by enroll(), with a push that is due; in a few statements."""
        self.sql(f"""
            INSERT INTO devices (external_id, created_at, updated_at) SELECT CONCAT('D', seq), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
                FROM seq_1_to_{count};
            INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, push_magic,
                push_token, token_update_tally, created_at, token_updated_at)
            SELECT UUID(), id, 1, 'device', external_id, external_id, 'current', 'tls', '{self.topic}', 'magic',
                RPAD(external_id, 32, X'00'), 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM devices;
            INSERT INTO push_state (enrollment_id, topic, due_at) SELECT id, topic, UTC_TIMESTAMP(6) FROM enrollments""")

    def id_of(self, udid):
        return f"(SELECT MAX(id) FROM enrollments WHERE external_id = '{udid}')"

    def due(self, *udids):
        for udid in udids:
            self.sql(f"INSERT INTO push_state (enrollment_id, due_at) VALUES ({self.id_of(udid)}, UTC_TIMESTAMP(6)) "
                     f"ON DUPLICATE KEY UPDATE due_at = VALUES(due_at)")

    def queue(self, udid, state="queued"):
        self.sql(f"INSERT INTO commands (uuid, request_type, kind, renderer, created_at, created_by) VALUES (UUID(), 'Test', "
                 f"'rendered', 'none', UTC_TIMESTAMP(6), 'test'); INSERT INTO queue (enrollment_id, command_id, state, enqueued_at) "
                 f"VALUES ({self.id_of(udid)}, LAST_INSERT_ID(), '{state}', UTC_TIMESTAMP(6))")

    def end_leases(self):
        self.sql("UPDATE push_state SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE lease_owner IS NOT NULL")

    def state(self, udid):
        text = self.sql(f"SELECT {', '.join(STATE)} FROM push_state WHERE enrollment_id = {self.id_of(udid)}")
        return dict(zip(STATE, [None if value == "NULL" else value for value in text.rstrip("\n").split("\t")]))

    def minutes_until_due(self, udid):
        text = self.sql(f"SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(6), due_at) / 60 FROM push_state "
                        f"WHERE enrollment_id = {self.id_of(udid)}")
        return None if text.strip() == "NULL" else float(text)

    def events(self, what):
        return self.sql(f"SELECT detail FROM events WHERE what = '{what}' ORDER BY id").splitlines()

    def start_apns(self, *arguments):
        self.apns = subprocess.Popen(
            ["/usr/bin/python3", RIG / "apns.py", "--cert", self.certs / "server.pem", "--key", self.certs / "server.key",
             "--client-ca", self.certs / "ca.pem", "--port", str(self.port), "--open-port", str(self.open_port),
             "--log", self.folder / "apns.log", "--script", self.folder / "script", *map(str, arguments)])
        poll(lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", "--http2", "--cacert", self.certs / "ca.pem",
                                     f"https://127.0.0.1:{self.open_port}/"]).returncode == 0)

    def stop_apns(self):
        if self.apns:
            self.apns.kill()
            self.apns.wait()
            self.apns = None

    def script(self, verdicts):
        """Replaced in one step: the stand-in may be reading it."""
        (self.folder / "script.new").write_text(json.dumps(verdicts))
        (self.folder / "script.new").rename(self.folder / "script")

    def pushes(self):
        log = self.folder / "apns.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def forget(self):
        """Devices, pushes and verdicts of the test before."""
        self.sql("DELETE FROM push_state; DELETE FROM queue; DELETE FROM commands; DELETE FROM enrollments; DELETE FROM devices; DELETE FROM events")
        self.script({})
        if (self.folder / "apns.log").exists():
            os.truncate(self.folder / "apns.log", 0)

    def close(self):
        self.stop_apns()
        self.db.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ApnsCase(unittest.TestCase):
    """Tests on one bench with the stand-in."""

    @classmethod
    def setUpClass(cls):
        cls.bench = PushBench()
        cls.addClassCleanup(cls.bench.close)
        cls.bench.start_apns()
        cls.topic = cls.bench.topic
        cls.push_ca = push_pki.load(cls.bench.certs / "ca.pem", cls.bench.certs / "ca.key")

    def setUp(self):
        self.bench.forget()

    def forget_certificates(self):
        self.bench.sql("DELETE FROM certificates; DELETE FROM secrets; DELETE FROM push_requests; DELETE FROM push_topics")


class PushCase(ApnsCase):
    """Tests of pushing: its certificate is imported."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench.checked("push-cert", "import", cls.bench.certs / "client.pem", cls.bench.certs / "client.key")

    def enrolled(self, *udids, **options):
        """Devices with a push that is due."""
        for udid in udids:
            self.bench.enroll(udid, **options)
            self.bench.due(udid)

    def issue(self, name, ca=None, topic=None, **options):
        """Imports a push certificate made for the test."""
        paths = self.bench.folder / f"{name}.pem", self.bench.folder / f"{name}.key"
        pki.issue(ca or self.push_ca, f"APSP:{name}", client=True, uid=topic or self.topic, **options).write(*paths)
        return self.bench.json("push-cert", "import", *paths)

    def round(self, *arguments, exit=0, clock=0):
        done = self.bench.push(*arguments, clock=clock)
        self.assertEqual(done.returncode, exit, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def pushed(self):
        """The UDIDs of the pushes that the stand-in accepted, in order."""
        return [bytes.fromhex(push["token"]).rstrip(b"\0").decode() for push in self.bench.pushes()]

    def verdict(self, udid, **answer):
        self.bench.script({token_of(udid): answer})
