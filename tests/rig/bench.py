"""What tests of single programs share: a scratch MariaDB, key files, a configuration, the programs of the build.

    with Bench() as bench:                            the schema is there unless migrate=False
        bench.pomona("ticket", "list")                the command; CompletedProcess, not checked
        bench.checked(...), bench.json(...)           stdout, decoded --json; an exit code other than 0 fails the test
        bench.put_certificate("ca", identity, ...)    a row of `certificates` from a certificate of pki.py
        bench.configure(open_enrollment="yes")        writes the configuration again with these keys changed
        with bench.handler("pomona-enroll") as h:     a FastCGI handler on a Unix socket
            h.request("GET", "/enroll"), h.log()      by fcgi_client, with the gate's secret; its stderr so far
"""
import datetime
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fcgi_client  # noqa: E402
import mariadb  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin"
TOPIC = "com.apple.mgmt.External.1a2b3c4d-0000-4000-8000-000000000001"


def spki(certificate):
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Handler:
    def __init__(self, bench, program, clock=0):
        self.bench = bench
        bench.handlers += 1
        self.socket = bench.folder / f"{program}-{bench.handlers}.sock"
        self.log_file = bench.folder / f"{program}-{bench.handlers}.log"
        with open(self.log_file, "w") as log:
            self.process = subprocess.Popen(bench.argv(program, "--socket", self.socket), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=bench.environment(clock))
        try:
            fcgi_client.wait_for_socket(self.socket, self.process)
        except BaseException:
            print(self.log(), file=sys.stderr)
            self.stop()
            raise

    def request(self, method, uri, body=b"", **params):
        return fcgi_client.request(self.socket, method, uri, body, {"POMONA_GATE": self.bench.gate()} | params)

    def log(self):
        return self.log_file.read_text()

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Bench:
    def __init__(self, migrate=True):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-bench-")
        self.folder = Path(self.holder.name)
        self.keys = self.folder / "keys"
        self.handlers = 0
        self.db = mariadb.Scratch()
        try:
            self.configure()
            if migrate:
                self.checked("secrets", "init")
                self.checked("db", "migrate")
        except BaseException:
            self.close()
            raise

    def configure(self, **keys):
        values = {"server-url": "https://mdm.example.org", "database-socket": self.db.socket,
                  "database-password-file": f"{self.db.passwords}/%p", "key-dir": self.keys,
                  "gate-file": self.folder / "gate", "organization": "Example Org"}
        values |= {key.replace("_", "-"): value for key, value in keys.items()}
        self.conf = self.folder / "pomona.conf"
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in values.items()))

    def gate(self):
        return (self.folder / "gate").read_text().strip()

    def argv(self, program, *arguments):
        return [str(BIN / program), *map(str, arguments), "--config", str(self.conf)]

    def environment(self, clock=0):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POMONA_")}
        return clean | ({"POMONA_TEST_CLOCK": str(clock)} if clock else {})

    def pomona(self, *arguments, clock=0, **options):
        options = {"stdin": subprocess.DEVNULL, "env": self.environment(clock), "timeout": 120} | options
        return subprocess.run(self.argv("pomona", *arguments), capture_output=True, text=True, **options)

    def checked(self, *arguments, **options):
        done = self.pomona(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"pomona {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments, **options):
        return json.loads(self.checked(*arguments, "--json", **options))

    def sql(self, text):
        return self.db.sql(text)

    def dump(self):
        """The whole database as text, as a thief would have it."""
        return subprocess.run(["mariadb-dump", "--no-defaults", "-u", "root", "-S", self.db.socket, "--hex-blob", self.db.name],
                              capture_output=True, check=True).stdout.decode("utf-8", "replace")

    def put_certificate(self, kind, identity, status="active", name=None, topic=None, issuer_id=None, enrollment_id=None):
        """Returns the id of the row."""
        certificate = identity.certificate
        der = certificate.public_bytes(serialization.Encoding.DER)

        def text(value):
            return "NULL" if value is None else f"'{value}'"

        def binary(value):
            return f"X'{value.hex()}'"

        serial = certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")
        return int(self.sql(f"""
            INSERT INTO certificates (kind, name, status, issuer_id, serial, subject, issuer, sha256, spki_sha256, not_before,
                not_after, topic, der, enrollment_id, created_at)
            VALUES ('{kind}', {text(name)}, '{status}', {issuer_id or 'NULL'}, {binary(serial)},
                '{certificate.subject.rfc4514_string()}', '{certificate.issuer.rfc4514_string()}',
                {binary(hashlib.sha256(der).digest())}, {binary(hashlib.sha256(spki(certificate)).digest())},
                '{certificate.not_valid_before}', '{certificate.not_valid_after}', {text(topic)}, {binary(der)},
                {enrollment_id or 'NULL'}, '{datetime.datetime.utcnow()}');
            SELECT LAST_INSERT_ID()"""))

    def put_enrollment(self, udid, topic=TOPIC, state="current"):
        """A device that has enrolled; returns the id of its row."""
        return int(self.sql(f"""
            INSERT INTO devices (external_id, created_at, updated_at) VALUES ('{udid}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
            INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic,
                push_magic, push_token, token_update_tally, created_at, token_updated_at)
            VALUES (UPPER(UUID()), LAST_INSERT_ID(), 1, 'device', '{udid}', IF('{state}' = 'current', '{udid}', NULL),
                '{state}', 'tls', '{topic}', 'magic', 'token', 1, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
            SELECT LAST_INSERT_ID()"""))

    def handler(self, program, clock=0):
        return Handler(self, program, clock)

    def close(self):
        self.db.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
