"""SCEP enrolments: processor time against three RSA operations, and the rate against Debian's scepserver."""
import base64
import hashlib
import re
import secrets
import statistics
import subprocess
import tempfile
import urllib.request
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from load import Duel, Plan, http
from polling import poll
from ports import free_ports
from rows import row
from world import KEYS

OTHER_SECRETS = 0.0005  # seconds that an enrolment may cost beside its three RSA operations
KEY_COUNT = 8


def post(path, message):
    return http("POST", path, message, Content_Type="application/x-pki-message")


def recipient(url):
    """Who decrypts requests: the RA where there is one, else the CA; as PEM."""
    with urllib.request.urlopen(f"{url}?operation=GetCACert", timeout=20) as answer:
        body, kind = answer.read(), answer.headers["Content-Type"]
    if kind == "application/x-x509-ca-cert":
        return x509.load_der_x509_certificate(body).public_bytes(Encoding.PEM)
    listed = pkcs7.load_der_pkcs7_certificates(body)
    return next((c for c in listed if c.issuer != c.subject), listed[0]).public_bytes(Encoding.PEM)


def messages(world, url, challenges):
    with tempfile.NamedTemporaryFile(dir=world.folder) as pem:
        pem.write(recipient(url))
        pem.flush()
        told = subprocess.run([world.build / "bin/pomona-scep-messages", pem.name, KEYS, str(KEY_COUNT)],
                              input="".join(f"{c}\n" for c in challenges).encode(), capture_output=True, check=True).stdout
    found = []
    while told:
        length, _, rest = told.partition(b"\n")
        found.append(rest[:int(length)])
        told = rest[int(length):]
    return found


def tickets(world, count):
    """Challenges of fresh tickets, put there in one statement."""
    challenges = [base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=") for _ in range(count)]
    topic = world.sql("SELECT topic FROM enrollments LIMIT 1").strip()
    rows = [f"('{str(uuid.uuid4()).upper()}', UNHEX('{hashlib.sha256(c.encode()).hexdigest()}'), 'enroll', '{topic}', 3, "
            "UTC_TIMESTAMP(6) + INTERVAL 1 DAY, UTC_TIMESTAMP(6), 'bench')" for c in challenges]
    world.sql("INSERT INTO tickets (uuid, challenge_sha256, purpose, topic, attempts_left, expires_at, created_at, created_by) VALUES "
              + ", ".join(rows))
    return challenges


def requests_for(world, count):
    return messages(world, f"{world.stack.env['POMONA_HTTP_URL']}/scep", tickets(world, count))


def rsa_seconds():
    """One RSA-2048 private operation on one core, by openssl speed."""
    told = subprocess.run(["openssl", "speed", "-seconds", "1", "rsa2048"], capture_output=True, text=True, check=True).stdout
    return 1 / float(re.search(r"^rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)", told, re.M)[1])


class ScepServer:
    """Debian's scepserver with a CA of the same kind as ours, on a port of its own."""

    def __init__(self, folder):
        self.depot = folder / "scepserver"
        self.secret = secrets.token_hex(16)
        subprocess.run(["scepserver", "ca", "-init", "-depot", self.depot, "-keySize", "2048"], check=True, capture_output=True)
        self.port = free_ports(1)[0]
        self.log = open(folder / "scepserver.log", "w")
        self.process = subprocess.Popen(["scepserver", "-depot", self.depot, "-port", str(self.port), "-challenge", self.secret,
                                         "-allowrenew", "0"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.url = f"http://127.0.0.1:{self.port}/scep"
        poll(self.answers)

    def answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}?operation=GetCACaps", timeout=5).status == 200
        except OSError:
            return False

    def issued(self):
        return len(list(self.depot.glob("*.pem"))) - 1   # but the CA's own

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


def connect(plan, count=8):
    for _ in range(count):
        plan.connect()


def scep(world, sizes):
    count, rounds = sizes.scep, sizes.rounds
    with ScepServer(Path(world.folder)) as other:
        ours = requests_for(world, count * rounds)
        theirs = messages(world, other.url, [other.secret] * count * rounds)
        before = int(world.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity' AND status = 'issued'"))
        slices, operations = [], []
        for turn in range(rounds):
            operations.append(rsa_seconds())
            part = slice(turn * count, (turn + 1) * count)
            plan = world.plan(plain=True)
            connect(plan)
            plan.pool("pomona", [post("/bench/scep?operation=PKIOperation", m) for m in ours[part]])
            plan.slice("pomona")
            slices += plan.run()
            plan = Plan(world.build, world.folder, other.port)
            connect(plan)
            plan.watch("scepserver", [other.process.pid])
            plan.pool("scepserver", [post("/scep?operation=PKIOperation", m) for m in theirs[part]])
            plan.slice("scepserver")
            slices += plan.run()
        issued = int(world.sql("SELECT COUNT(*) FROM certificates WHERE kind = 'identity' AND status = 'issued'")) - before
        there = other.issued()   # under load it refuses some; they count for it all the same
    done = Duel(slices, "pomona", "scepserver")
    cost = sum(s.cpu["pomona-scep"] for s in done.first) / (count * rounds)
    allowed = 3 * statistics.median(operations) + OTHER_SECRETS
    yield row("scep.cpu", "processor time of pomona-scep for an enrolment; three RSA-2048 private operations and 0.5 ms", "ms",
              cost * 1e3, allowed * 1e3, at_most=1.6, errors=done.errors, also=issued == count * rounds,
              detail={"issued": issued, "rsa_us": round(statistics.median(operations) * 1e6)})
    yield row("scep.rate", "enrolments, 8 connections; Debian's scepserver with the same load", "enrolments/s", done.value,
              done.against, done.ratio, at_least=2, errors=done.errors,
              detail={"cpu_us": Duel.cpu(done.first), "cpu_us_against": Duel.cpu(done.second), "issued": issued, "issued_there": there})
