"""Several device CAs at once, small enough for a test: one MariaDB, and for each CA a database, pomona-scep and nginx.

    with Stands({"RSA-2048": ["--key", "rsa-2048"]}) as stands:      arguments of `pomona ca init`
        for stand in stands: ...                a ScepBench: .url, .https_url, .ticket(), .sql(), ...
        stand.restart_at(days=0)                another process of the program, by another clock or with other settings

The stands begin YOUTH ago, so that what they issue is in the second half of its life today.
"""
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

sys.path.insert(0, str(Path(__file__).resolve().parent))
import mariadb  # noqa: E402
import pki  # noqa: E402
from pomona_stack import database, nginx  # noqa: E402
from ports import free_ports  # noqa: E402
from polling import poll  # noqa: E402
from scep_bench import BIN, GATE, ROOT, ScepBench  # noqa: E402

YOUTH = 400  # days; identities are good for 730
DAY = 86400


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def ca_certificates(content_type, body):
    """The certificates of a GetCACert answer, whose content type says which of the two forms it has."""
    if content_type == "application/x-x509-ca-cert":
        return [x509.load_der_x509_certificate(body)]
    if content_type == "application/x-x509-ca-ra-cert":
        return pkcs7.load_der_pkcs7_certificates(body)
    raise AssertionError(f"GetCACert answered {content_type}")


class Stand(ScepBench):
    """ScepBench on a database of a shared server; its holder and server end with Stands."""

    def __init__(self, shared, name, arguments, settings):
        self.db, self.name = shared.db, name
        self.database = "pomona_" + "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        self.folder = shared.folder / self.database
        self.folder.mkdir()
        self.socket = self.folder / "scep.sock"
        self.process = self.nginx = None
        self.clock = -YOUTH * DAY
        self.arguments = arguments
        self.https_ca = shared.folder / "https-ca.pem"
        self.settings = {"database": self.database, "threads": 2} | settings

    def set_up(self):
        database.ensure_accounts(self.db.socket, self.database, self.db.passwords)
        self.write_files(self.settings)
        self.checked("db", "migrate")
        self.checked("ca", "init", *self.arguments)
        self.ca_pem = self.folder / "device-cas.pem"
        self.ca_pem.write_text(self.checked("ca", "list", "--pem"))
        self.start()
        self.start_nginx()
        self.read_ca_certificates()
        return self

    def read_ca_certificates(self):
        """What GetCACert gives: .ca issues, .recipient is who decrypts and signs (the RA, or the CA itself)."""
        listed = ca_certificates(*self.http("GetCACert")[1:])
        self.ca = next(c for c in listed if c.issuer == c.subject)
        self.recipient = next((c for c in listed if c is not self.ca), self.ca)
        (self.folder / "ca.pem").write_bytes(pem(self.ca))
        (self.folder / "recipient.pem").write_bytes(pem(self.recipient))

    def start(self):
        super().start(POMONA_TEST_CLOCK=str(self.clock))

    def restart_at(self, days, **settings):
        self.end()
        self.clock = days * DAY
        self.configure(settings)
        self.start()

    def configure(self, settings):
        lines = [line for line in self.conf.read_text().splitlines() if line.split(" = ")[0] not in settings]
        self.conf.write_text("".join(f"{line}\n" for line in lines + [f"{key} = {value}" for key, value in settings.items()]))

    def start_nginx(self):
        https_port, self.port = free_ports(2)
        logs = self.folder / "logs"
        logs.mkdir()
        nowhere = self.folder / "no.sock"
        shared = self.folder.parent
        site = nginx.Site(
            folder=self.folder / "nginx", snippets=ROOT / "nginx", logs=logs, https_port=https_port, http_port=self.port,
            certificate=shared / "server.pem", key=shared / "server.key",
            sockets={"mdm": [nowhere], "scep": [self.socket], "enroll": [nowhere]},
            device_cas=self.ca_pem, gate=GATE, acme_root=self.folder / "acme")
        nginx.write(site)
        self.url = f"http://127.0.0.1:{self.port}/scep"
        self.https_url = f"https://127.0.0.1:{https_port}/scep"
        self.nginx = subprocess.Popen(nginx.argv(site), stderr=subprocess.DEVNULL)
        poll(self.answers)

    def pomona(self, *words):
        return subprocess.run([BIN / "pomona", *map(str, words), "--config", self.conf], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=os.environ | {"POMONA_TEST_CLOCK": str(self.clock)})

    def sql(self, text):
        return database.client(self.db.socket, text, self.database)

    def bind(self, ticket):
        """What the first contact at /mdm does: the ticket's certificate belongs to an enrolment. Returns its number."""
        return int(self.sql(f"""
            INSERT INTO devices (external_id, created_at, updated_at) VALUES ('{ticket.uuid}', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6));
            INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, created_at)
                VALUES ('{ticket.uuid}', LAST_INSERT_ID(), 1, 'device', '{ticket.uuid}', '{ticket.uuid}', 'current', 'tls',
                        'com.apple.mgmt.External.test', UTC_TIMESTAMP(6));
            SET @enrollment = LAST_INSERT_ID();
            UPDATE certificates SET enrollment_id = @enrollment, first_seen_at = not_before + INTERVAL 1 HOUR
                WHERE ticket_id = {ticket.id} AND status = 'issued';
            UPDATE tickets SET state = 'closed' WHERE id = {ticket.id};
            SELECT @enrollment"""))

    def close(self):
        for process in (self.nginx, self.process):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(30)


class Stands:
    def __init__(self, kinds, settings=None, threads=3):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-stands-")
        self.folder = Path(self.holder.name)
        self.stands = []
        self.db = mariadb.Scratch()
        try:
            https_ca = pki.make_ca("HTTPS CA")
            (self.folder / "https-ca.pem").write_bytes(https_ca.cert_pem())
            pki.issue(https_ca, "localhost", server=["127.0.0.1", "localhost"]).write(
                self.folder / "server.pem", self.folder / "server.key")
            self.stands = [Stand(self, name, arguments, settings or {}) for name, arguments in kinds.items()]
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(Stand.set_up, self.stands))
        except BaseException:
            self.close()
            raise

    def __iter__(self):
        return iter(self.stands)

    def close(self):
        for stand in self.stands:
            stand.close()
        self.db.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
