"""SCEP clients that we did not write, at a scep_stand.Stand; each method gives a scep_outcome.Outcome.

    StrongSwan(stand, folder).enrol(challenge, "--digest", "sha512"), .renew(enrolled)
    GoClient(stand, folder).enrol(challenge, url), .renew()            Debian's scepclient, in a folder of its own
    with Certmonger(folder) as session:                                a D-Bus session of its own, no system service
        session.add("name", stand); session.request(...); session.rekey(...)
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cryptography.hazmat.primitives.hashes import SHA256  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: E402
from scep_client import pool_key  # noqa: E402
from scep_outcome import FAIL_INFO, Outcome  # noqa: E402
from polling import poll  # noqa: E402

PATIENCE = 120


def run(words, folder, **options):
    return subprocess.run([str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, **options)


def pooled(path, number):
    """A private key from the pool as a file, in the old format that every client reads."""
    path.touch(mode=0o600)
    path.write_bytes(pool_key(number).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


def last_words(text):
    lines = [line for line in text.strip().splitlines() if "TPM" not in line and "tpm" not in line]
    return lines[-1] if lines else "no word"


class StrongSwan:
    """Its URL must hold no query. With one certificate for everything that one serves for --cacert-enc too."""

    def __init__(self, stand, folder):
        self.stand, self.folder = stand, folder
        folder.mkdir()
        self.count = 0

    def fetch_ca(self):
        one = self.stand.recipient is self.stand.ca
        words = ["pki", "--scepca", "--url", self.stand.url, "--caout", "ca.pem", *([] if one else ["--raout", "ra.pem"]),
                 "--outform", "pem", "--force"]
        done = run(words, self.folder)
        self.encrypt_to = "ca.pem" if one else "ra.pem"
        found = all((self.folder / name).exists() for name in ("ca.pem", self.encrypt_to))
        return done.returncode == 0 and found, done.stdout + done.stderr

    def ask(self, key, *options):
        self.count += 1
        path = pooled(self.folder / f"{self.count}.key", key)
        done = run(["pki", "--scep", "--url", self.stand.url, "--in", path, "--dn", "O=Test, CN=dev1", "--cacert-enc",
                    self.encrypt_to, "--cacert-sig", "ca.pem", "--outform", "pem", *options], self.folder)
        if done.returncode == 0:
            certificate = self.folder / f"{self.count}.pem"
            certificate.write_text(done.stdout)
            return Outcome(certificate, path, transcript=done.stderr)
        found = re.search(r"failInfo: +(\w+)", done.stderr)
        return Outcome(refusal=found[1] if found else "", trouble=last_words(done.stderr), transcript=done.stderr)

    def enrol(self, challenge, *options):
        return self.ask(30, "--password", challenge, *options)

    def renew(self, enrolled, *options):
        """Message type 17, for a new key."""
        return self.ask(31, "--cert", enrolled.certificate, "--key", enrolled.key, *options)


class GoClient:
    """Keeps csr.pem and self.pem in its working folder and takes them again, challenge included: one folder for a device."""

    def __init__(self, stand, folder):
        self.stand, self.folder = stand, folder
        folder.mkdir()
        pooled(folder / "key.pem", 32)

    def ask(self, url, *options):
        certificate = self.folder / "cert.pem"
        before = certificate.read_bytes() if certificate.exists() else b""
        done = run(["scepclient", "-private-key", "key.pem", "-certificate", "cert.pem", "-cn", "x", "-server-url", url, *options],
                   self.folder, env=os.environ | {"SSL_CERT_FILE": str(self.stand.https_ca)})
        text = done.stdout + done.stderr
        if done.returncode == 0 and certificate.exists() and certificate.read_bytes() != before:
            return Outcome(certificate, self.folder / "key.pem", transcript=text)
        found = re.search(r"failInfo: (\w+)", text)
        return Outcome(refusal=found[1] if found else "", trouble=last_words(text), transcript=text)

    def fingerprint(self):
        """Names whom it encrypts to; without it that is every certificate of GetCACert, which fails where one is EC."""
        return ["-ca-fingerprint", self.stand.recipient.fingerprint(SHA256()).hex()]

    def enrol(self, url, challenge, pinned=True):
        return self.ask(url, "-challenge", challenge, *(self.fingerprint() if pinned else ()))

    def renew(self, url):
        """A second run in the folder: message type 17."""
        return self.ask(url, *self.fingerprint())


class Certmonger:
    """certmonger as a whole, neither root nor on the system bus. Requests of several stands may wait side by side."""

    WORDS = {"Unrecognized or unsupported algorithm": 0, "Integrity check": 1, "Transaction either is not permitted": 2,
             "Message time field": 3, "No certificate could be identified": 4}

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.log = open(folder / "certmonger.log", "w")
        self.environment = {key: value for key, value in os.environ.items() if key != "DBUS_SESSION_BUS_ADDRESS"}
        self.environment |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        # The session ends with our end of this pipe, the daemon with the session.
        # certmonger closes every descriptor there could be before each of its many helpers.
        script = "ulimit -n 256; /usr/lib/certmonger/certmonger-session -n & echo \"$DBUS_SESSION_BUS_ADDRESS\"; read -r _; kill $!; wait"
        self.process = subprocess.Popen(["dbus-run-session", "--", "sh", "-c", script], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environment, cwd=folder)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = self.process.stdout.readline().strip()
        poll(lambda: self.getcert("list-cas").returncode == 0, PATIENCE, 0.1)

    def getcert(self, verb, *words):
        return run(["getcert", verb, "-s", *words], self.folder, env=self.environment)

    def add(self, name, stand, *options):
        """It begins to ask the server for capabilities and certificates; the options name files with certificates."""
        done = self.getcert("add-scep-ca", "-c", name, "-u", stand.url, *options)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def asked(self, name):
        """Whether it has asked the server for its certificates, and sorted them or given up."""
        return "SCEP CA certificate thumbprint" in self.getcert("list-cas", "-c", name).stdout

    def request(self, ca, name, key, challenge):
        """Begins; result() has the end."""
        path = pooled(self.folder / f"{name}.key", key)
        done = self.getcert("request", "-c", ca, "-I", name, "-k", path, "-f", self.folder / f"{name}.pem", "-N", "CN=x,O=T",
                            "-L", challenge, "-g", "2048")
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def rekey(self, name):
        before = (self.folder / f"{name}.pem").read_bytes()
        done = self.getcert("rekey", "-i", name)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        return self.result(name, before)

    def result(self, name, before=b""):
        deadline = time.monotonic() + PATIENCE
        while True:
            text = self.getcert("list", "-i", name).stdout
            state = re.search(r"status: (\w+)", text)[1]
            error = re.search(r"ca-error: (.*)", text)
            certificate = self.folder / f"{name}.pem"
            if state == "MONITORING" and certificate.exists() and certificate.read_bytes() != before:
                return Outcome(certificate, self.folder / f"{name}.key", transcript=text)
            if error and state in ("MONITORING", "CA_REJECTED", "CA_UNREACHABLE", "CA_UNCONFIGURED"):
                refusal = next((FAIL_INFO[digit] for words, digit in self.WORDS.items() if words in error[1]), "")
                return Outcome(refusal=refusal, trouble=f"{state}: {error[1]}", transcript=text)
            if time.monotonic() > deadline:
                return Outcome(trouble=f"{state} after {PATIENCE} s", transcript=text)
            time.sleep(0.1)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
