"""What the tests of SCEP share: a migrated scratch MariaDB, key files, a CA, and pomona-scep behind the project's nginx files.

    with ScepBench(ca_options=["--key", "p-256"]) as bench:
        bench.url                             plain HTTP, through nginx
        bench.post(message), bench.get(...)   without nginx, straight to the program's socket
        ticket = bench.ticket(days=1)         a ticket by SQL: .id, .uuid, .challenge
        bench.pomona("ca", "show")            the command; CompletedProcess, not checked
        bench.certificates(ticket)            its rows, as dicts
        bench.start(POMONA_CRASH_AT="..."), bench.end()    another process of the program
"""
import base64
import dataclasses
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

RIG = Path(__file__).resolve().parent
ROOT = RIG.parent.parent
sys.path[:0] = [str(RIG), str(ROOT / "scripts")]
import fcgi_client  # noqa: E402
import mariadb  # noqa: E402
import pki  # noqa: E402
from polling import poll  # noqa: E402
from pomona_stack import nginx  # noqa: E402
from ports import free_ports  # noqa: E402

BIN = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin"
GATE = "the-gate-secret"
COLUMNS = ["id", "status", "HEX(serial)", "HEX(spki_sha256)", "HEX(sha256)", "subject", "enrollment_id", "revoke_reason",
           "not_before", "not_after", "HEX(transaction_id)", "requester", "HEX(der)"]


@dataclasses.dataclass
class Ticket:
    id: int
    uuid: str
    challenge: str


class ScepBench:
    def __init__(self, settings=None, ca=True, ca_options=()):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-scep-")
        self.folder = Path(self.holder.name)
        self.socket = self.folder / "scep.sock"
        self.process = self.nginx = None
        self.db = mariadb.Scratch()
        try:
            self.write_files(settings or {})
            self.checked("db", "migrate")
            self.ca_pem = self.folder / "ca.pem"
            if ca:
                self.make_ca(*ca_options)
            self.start()
            if ca:
                self.start_nginx()
        except BaseException:
            self.close()
            raise

    def make_ca(self, *options):
        self.checked("ca", "init", *options)
        self.ca_pem.write_text(self.checked("ca", "list", "--pem"))

    def write_files(self, settings):
        (self.folder / "keys").mkdir()
        (self.folder / "keys/ca.key").write_text(secrets.token_hex(32) + "\n")
        (self.folder / "gate").write_text(GATE + "\n")
        self.conf = self.folder / "pomona.conf"
        values = {"server-url": "https://localhost", "database-socket": self.db.socket, "organization": "Example Org",
                  "database-password-file": f"{self.db.passwords}/%p", "key-dir": self.folder / "keys",
                  "gate-file": self.folder / "gate", "threads": 8} | settings
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in values.items()))

    def start(self, **environment):
        self.log = self.folder / "scep.log"
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([BIN / "pomona-scep", "--config", self.conf, "--socket", self.socket],
                                            stdin=subprocess.DEVNULL, stderr=log, env=os.environ | environment)
        fcgi_client.wait_for_socket(self.socket, self.process)

    def ra_and_ca(self):
        """The certificates of GetCACert, in its order; twice the same one where the CA does without an RA."""
        answer = self.get("operation=GetCACert")
        if answer.headers["content-type"] == "application/x-x509-ca-cert":
            return [x509.load_der_x509_certificate(answer.body)] * 2
        return pkcs7.load_der_pkcs7_certificates(answer.body)

    def end(self):
        """Returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)

    def restart(self, **environment):
        self.end()
        self.start(**environment)

    def start_nginx(self):
        https_ca = pki.make_ca("HTTPS CA")
        pki.issue(https_ca, "localhost", server=["127.0.0.1", "localhost"]).write(
            self.folder / "server.pem", self.folder / "server.key")
        https_port, self.port = free_ports(2)
        logs = self.folder / "logs"
        logs.mkdir()
        site = nginx.Site(
            folder=self.folder / "nginx", snippets=ROOT / "nginx", logs=logs, https_port=https_port, http_port=self.port,
            certificate=self.folder / "server.pem", key=self.folder / "server.key",
            sockets={"mdm": [self.folder / "no.sock"], "scep": [self.socket], "enroll": [self.folder / "no.sock"]},
            device_cas=self.ca_pem, gate=GATE, acme_root=self.folder / "acme")
        nginx.write(site)
        self.url = f"http://127.0.0.1:{self.port}/scep"
        self.nginx = subprocess.Popen(nginx.argv(site), stderr=subprocess.DEVNULL)
        poll(self.answers)

    def answers(self):
        try:
            return self.http("GetCACaps")[0] == 200
        except OSError:
            return False

    def http(self, operation, **arguments):
        """GET through nginx: (status, content type, body)."""
        query = "".join(f"&{key}={value}" for key, value in arguments.items())
        try:
            with urllib.request.urlopen(f"{self.url}?operation={operation}{query}", timeout=20) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read()

    def post(self, body, **options):
        return self.fcgi("POST", "/scep?operation=PKIOperation", body, **options)

    def get(self, query, **options):
        return self.fcgi("GET", f"/scep?{query}", b"", **options)

    def fcgi(self, method, uri, body, https=True, **options):
        params = {"POMONA_GATE": GATE, "HTTPS": "on" if https else None}
        return fcgi_client.request(self.socket, method, uri, body, params, **options)

    def pomona(self, *words):
        return subprocess.run([BIN / "pomona", *map(str, words), "--config", self.conf], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)

    def checked(self, *words):
        run = self.pomona(*words)
        if run.returncode != 0:
            raise AssertionError(f"pomona {words}: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout

    def sql(self, text):
        return self.db.sql(text)

    def ticket(self, days=1.0, attempts=3, **columns):
        challenge = base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=")
        values = {"uuid": str(uuid.uuid4()).upper(), "purpose": "enroll", "topic": "com.apple.mgmt.External.test",
                  "attempts_left": attempts, "created_by": "test"} | columns
        names = ", ".join(values)
        texts = ", ".join("NULL" if value is None else f"'{value}'" for value in values.values())
        number = self.sql(f"INSERT INTO tickets (challenge_sha256, expires_at, created_at, {names}) VALUES "
                          f"(UNHEX('{hashlib.sha256(challenge.encode()).hexdigest()}'), "
                          f"UTC_TIMESTAMP(6) + INTERVAL {int(days * 86400)} SECOND, UTC_TIMESTAMP(6), {texts}) RETURNING id")
        return Ticket(int(number), values["uuid"], challenge)

    def certificates(self, ticket):
        rows = self.sql(f"SELECT {', '.join(COLUMNS)} FROM certificates WHERE ticket_id = {ticket.id} ORDER BY id")
        return [dict(zip([name.removeprefix("HEX(").rstrip(")") for name in COLUMNS], line.split("\t")))
                for line in rows.splitlines()]

    def events(self, ticket):
        """(what, detail) of what was recorded about a ticket, in order."""
        rows = self.sql(f"SELECT what, detail FROM events WHERE ticket_id = {ticket.id} ORDER BY id")
        return [tuple(line.split("\t")) for line in rows.splitlines()]

    def close(self):
        for process in (self.nginx, self.process):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(30)
        self.db.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
