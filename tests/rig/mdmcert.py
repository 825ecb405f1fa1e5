"""A stand-in of mdmcert.download: takes requests over HTTPS, as strictly as the service, and "mails" the signed request.

    with Mdmcert(folder, portal, server_identity, keys=["product-key"], emails=["mdm@example.org"]) as service:
        service.url                    for mdmcert-url
        service.mailbox                what was mailed, oldest first: (address, file name, text)
        service.vendor = ...           another vendor certificate, an expired one for example
        service.answers_are_lost       True: requests are taken, but nobody hears of it
        service.seen                   (path, headers, JSON) of each request that was answered with success

What the real service refuses is refused with {"result": "failure", "reason": ...}; what it could not read with status 400.
"""
import base64
import json
import ssl
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEYS = {"csr", "email", "key", "encrypt"}


class Failure(Exception):
    """The reason that the service gives."""


def pem_of(value, what):
    text = base64.b64decode(value, validate=True)
    if not text.startswith(b"-----BEGIN "):
        raise Failure(f"{what} is not PEM")
    return text


def read_csr(value):
    csr = x509.load_pem_x509_csr(pem_of(value, "csr"))
    if not csr.is_signature_valid or not isinstance(csr.public_key(), rsa.RSAPublicKey):
        raise Failure("invalid csr")
    return csr.public_bytes(serialization.Encoding.DER)


def read_encryption(value):
    cert = x509.load_pem_x509_certificate(pem_of(value, "encrypt"))
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
    if not isinstance(cert.public_key(), rsa.RSAPublicKey) or not usage.key_encipherment:
        raise Failure("invalid encryption certificate")
    return cert.public_bytes(serialization.Encoding.PEM)


class Mdmcert:
    def __init__(self, folder, portal, server, keys, emails, cipher="-aes256"):
        self.portal, self.keys, self.emails, self.cipher = portal, keys, emails, cipher
        self.vendor = portal.vendor("mdmcert.download")
        self.mailbox, self.seen = [], []
        self.answers_are_lost = False
        cert, key = Path(folder) / "mdmcert.pem", Path(folder) / "mdmcert.key"
        server.write(cert, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                status, answer = service.answer(self)
                if service.answers_are_lost:
                    self.close_connection = True
                    return
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/api/v1/signrequest"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, request):
        try:
            body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        except (ValueError, TypeError):
            return 400, {}
        if request.path != "/api/v1/signrequest" or request.headers["Content-Type"] != "application/json":
            return 404, {}
        try:
            self.take(body)
        except Failure as failure:
            return 200, {"result": "failure", "reason": str(failure)}
        except ValueError as error:
            return 400, {"result": "failure", "reason": str(error)}
        self.seen.append((request.path, dict(request.headers), body))
        return 200, {"result": "success"}

    def take(self, body):
        if set(body) != KEYS or not all(isinstance(value, str) for value in body.values()):
            raise Failure("csr, email, key and encrypt are wanted")
        if body["key"] not in self.keys:
            raise Failure("unknown product key")
        if body["email"] not in self.emails:
            raise Failure("this e-mail address is not registered")
        signed = self.portal.sign_request(self.vendor, read_csr(body["csr"]))
        number = len(self.mailbox) + 1
        self.mailbox.append((body["email"], f"mdm_signed_request.20270301_100000_{number:03}.plist.b64.p7",
                             self.encrypt(signed, read_encryption(body["encrypt"]))))

    def encrypt(self, content, recipient):
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(recipient)
            pem.flush()
            run = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", self.cipher, pem.name], input=content,
                                 capture_output=True, check=True)
        return run.stdout.hex()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
