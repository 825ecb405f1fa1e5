"""The device side whole: MariaDB, pomona-mdm, pomona-scep and pomona-enroll behind nginx with the project's snippets, and a client
that sends exactly the bytes it is told to.

    with Edge() as edge:
        edge.ask(b"PUT /mdm HTTP/1.1\\r\\nHost: x\\r\\n...")       Answer of nginx: .status .headers .body; status 0: no status line
        edge.put("/mdm", body, identity="expired")                a usual request, with a client certificate by name
        edge.usage("mdm")                                         CPU seconds and peak memory of a handler so far
        edge.log("scep"), edge.access(), edge.errors()            what programs and nginx wrote
        edge.settle()                                             until nginx has written the line of everything asked before

Identities: "good" (of a device CA, unknown to the database), "expired", "foreign" (of another CA), "namesake" (of a CA with our CA's
name and another key), "selfsigned".
"""
import dataclasses
import http.client
import io
import os
import plistlib
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

RIG = Path(__file__).resolve().parent
ROOT = RIG.parent.parent
sys.path[:0] = [str(RIG), str(ROOT / "scripts")]
import pki  # noqa: E402
from bench import TOPIC, Bench  # noqa: E402
from cryptography import x509  # noqa: E402
from pomona_stack import nginx  # noqa: E402
from ports import free_ports  # noqa: E402

NAMES = {"mdm": "pomona-mdm", "scep": "pomona-scep", "enroll": "pomona-enroll"}
REJECTED = ["expired", "foreign", "namesake", "selfsigned"]  # identities that nginx does not accept
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # names in lower case
    body: bytes
    raw: bytes


@dataclasses.dataclass
class Usage:
    cpu: float  # seconds, user and system
    peak: int   # bytes, of resident memory

    def since(self, before):
        return Usage(self.cpu - before.cpu, self.peak - before.peak)


def usage_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return Usage((int(fields[11]) + int(fields[12])) / TICKS, int(peak[1]) * 1024)


def forget_peak(pid):
    """From here on the peak is counted anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def is_whole(raw, bodiless):
    """An answer that says its length has come; nginx may linger before it closes."""
    top, separator, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *(\d+)", top, flags=re.I | re.M)
    return bool(separator) and (bodiless or (length is not None and len(body) >= int(length[1])))


def parse(raw):
    if not raw.startswith(b"HTTP/"):
        return Answer(0, {}, raw, raw)

    class Given(io.BytesIO):
        def makefile(self, *_):
            return self

        def close(self):
            pass

    answer = http.client.HTTPResponse(Given(raw))
    answer.begin()
    try:
        body = answer.read()
    except (http.client.IncompleteRead, ValueError) as error:
        body = getattr(error, "partial", b"")
    return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, body, raw)


def head(method, target, fields=(), version="HTTP/1.1"):
    lines = [f"{method} {target} {version}", "Host: localhost", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n").encode() + b"".join(
        f"{name}: ".encode() + (value if isinstance(value, bytes) else str(value).encode()) + b"\r\n" for name, value in fields) + b"\r\n"


class Edge:
    def __init__(self, snippets=None, extra="", **settings):
        """`snippets`: changes text of the snippets, by file name; `extra`: what a site sets at http level."""
        self.bench = Bench()
        self.change, self.extra = snippets or {}, extra
        self.folder = self.bench.folder
        self.handlers = {}
        self.nginx = None
        self.asked = 0
        try:
            self.set_up(settings)
        except BaseException:
            self.close()
            raise

    def set_up(self, settings):
        bench = self.bench
        self.make_certificates()
        bench.configure(https_ca_file=self.folder / "https-ca.pem", threads=2, **settings)
        bench.checked("ca", "init")
        pem = bench.checked("ca", "list", "--pem")
        ours = x509.load_pem_x509_certificate(pem.encode())
        bench.put_certificate("push", pki.issue(pki.make_ca("Apple"), "push", uid=TOPIC), topic=TOPIC)
        namesake = pki.make_ca(ours.subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)[0].value)
        namesake = pki.Identity(self.named_like(ours, namesake), namesake.key)
        self.identity("namesake", pki.issue(namesake, "device", client=True))
        (self.folder / "devices.pem").write_text(pem + self.device_ca.cert_pem().decode())
        for name, program in NAMES.items():
            self.handlers[name] = bench.handler(program)
        self.start_nginx()

    @staticmethod
    def named_like(ours, ca):
        now = ca.certificate.not_valid_before
        return (pki.builder(ours.subject, ours.subject, ca.key.public_key(), now, now + 30 * pki.DAY)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(ca.key, pki.hashes.SHA256()))

    def make_certificates(self):
        https_ca = pki.make_ca("HTTPS CA")
        pki.issue(https_ca, "localhost", server=["127.0.0.1", "localhost"]).write(
            self.folder / "server.pem", self.folder / "server.key")
        (self.folder / "https-ca.pem").write_bytes(https_ca.cert_pem())
        self.device_ca = pki.make_ca("Second Device CA")
        self.identity("good", pki.issue(self.device_ca, "device", client=True))
        self.identity("expired", pki.issue(self.device_ca, "device", client=True, days=-5))
        self.identity("foreign", pki.issue(pki.make_ca("Foreign CA"), "device", client=True))
        self.identity("selfsigned", pki.make_ca("device"))

    def identity(self, name, identity):
        identity.write(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def start_nginx(self):
        self.https_port, self.http_port = free_ports(2)
        logs = self.folder / "logs"
        logs.mkdir()
        self.site = nginx.Site(
            folder=self.folder / "nginx", snippets=self.changed_snippets(), extra=self.extra, logs=logs, https_port=self.https_port, http_port=self.http_port,
            certificate=self.folder / "server.pem", key=self.folder / "server.key",
            sockets={name: [handler.socket] for name, handler in self.handlers.items()},
            device_cas=self.folder / "devices.pem", gate=self.bench.gate(), acme_root=self.folder / "acme", level="error")
        nginx.write(self.site)
        self.nginx = subprocess.Popen(nginx.argv(self.site), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.ask(head("GET", "/"))
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def changed_snippets(self):
        copy = self.folder / "snippets"
        copy.mkdir()
        for path in (ROOT / "nginx").glob("*.conf"):
            text = path.read_text()
            for old, new in self.change.get(path.name, {}).items():
                if old not in text:
                    raise AssertionError(f"{old} is not in {path.name}")
                text = text.replace(old, new)
            (copy / path.name).write_text(text)
        return copy

    def enrolled(self, name, udid):
        """A device that has enrolled, with an identity of that name."""
        device = pki.issue(self.device_ca, "device", client=True)
        self.identity(name, device)
        row = self.bench.put_certificate("identity", device, status="issued")
        self.bench.sql(f"UPDATE certificates SET ticket_id = {self.bench.json('ticket', 'new')['number']} WHERE id = {row}")
        for message in ({"MessageType": "Authenticate", "UDID": udid, "Topic": TOPIC},
                        {"MessageType": "TokenUpdate", "UDID": udid, "Topic": TOPIC, "Token": b"t" * 32, "PushMagic": "magic-of-the-abuse-test"}):
            answer = self.put("/mdm", plistlib.dumps(message), content_type="application/x-apple-aspen-mdm-checkin", identity=name)
            if answer.status != 200:
                raise AssertionError(f"{answer.raw}\n{self.log('mdm')[-1000:]}")

    # --- the client ---------------------------------------------------------------------------------------------------

    def connect(self, identity=None, plain=False, timeout=30):
        connection = socket.create_connection(("127.0.0.1", self.http_port if plain else self.https_port), timeout=timeout)
        if plain:
            return connection
        context = ssl.create_default_context(cafile=str(self.folder / "https-ca.pem"))
        if identity:
            context.load_cert_chain(self.folder / f"{identity}.pem", self.folder / f"{identity}.key")
        return context.wrap_socket(connection, server_hostname="localhost")

    def ask(self, request, identity=None, plain=False, timeout=30):
        """Sends the bytes and reads one answer, or until the server closes."""
        with self.connect(identity, plain, timeout) as connection:
            raw, bodiless = b"", request.startswith(b"HEAD ")
            try:
                connection.sendall(request)
            except (ConnectionError, ssl.SSLError):
                pass  # refused before all was sent; the answer is there
            try:
                while not is_whole(raw, bodiless) and (part := connection.recv(65536)):
                    raw += part
            except (ConnectionError, ssl.SSLEOFError):
                pass
        self.asked += 1
        return parse(raw)

    def request(self, method, target, body=b"", fields=(), **options):
        length = [("Content-Length", len(body))] if body or method in ("PUT", "POST") else []
        return self.ask(head(method, target, [*length, *fields]) + body, **options)

    def put(self, target, body, fields=(), content_type="application/x-apple-aspen-mdm", **options):
        return self.request("PUT", target, body, [("Content-Type", content_type), *fields], **options)

    # --- what there is to see -----------------------------------------------------------------------------------------

    def pid(self, name):
        return self.handlers[name].process.pid

    def usage(self, name):
        return usage_of(self.pid(name))

    def log(self, name):
        return self.handlers[name].log()

    def access(self):
        return (self.site.logs / "nginx-access.log").read_text(errors="replace")

    def errors(self):
        return (self.site.logs / "nginx-error.log").read_text(errors="replace")

    def settle(self):
        """nginx writes a line after its answer: until that of one more request is there."""
        mark = f"/settle-{self.asked}-{time.monotonic_ns()}"
        self.request("GET", mark)
        deadline = time.monotonic() + 10
        while mark not in self.access():
            if time.monotonic() > deadline:
                raise AssertionError("nginx writes no log")
            time.sleep(0.01)

    def stop(self):
        """Ends all; returns what is wrong with how the handlers ended: {} is right."""
        wrong = {}
        for name, handler in self.handlers.items():
            code, text = handler.stop(), handler.log()
            if code != 0 or "Sanitizer" in text or "runtime error" in text:
                wrong[name] = f"exit {code}\n{text[-3000:]}"
        if self.nginx and self.nginx.poll() is None:
            self.nginx.terminate()
            self.nginx.wait(20)
        return wrong

    def close(self):
        self.stop()
        self.bench.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
