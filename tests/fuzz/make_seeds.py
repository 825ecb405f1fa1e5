#!/usr/bin/python3
"""Writes the seeds of the fuzz targets whose inputs have a form of their own: tests/fuzz/make_seeds.py

Messages are made by Python's cryptography, by openssl and by tests/rig, not by the code under test. The other corpora hold
plain messages and were written by hand. The names of the files begin with "seed-"; everything else in a corpus was found.
"""
import base64
import plistlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "rig"))
import apple_portal  # noqa: E402
import pki  # noqa: E402
import scep_client  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from der import integer, octets, oid, printable, seq, set_of, utf8  # noqa: E402

DER = serialization.Encoding.DER
TOPIC = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"


def write(target, name, data):
    folder = FOLDER / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def names_in(array):
    source = (FOLDER / "shared/build_plist.cpp").read_text()
    return re.findall(r'"([^"]+)"', source[source.index(array + "{"):].split("};")[0])


NAMES, VALUES = names_in("kNames"), names_in("kValues")


def built(value):
    """One value in the form that build_plist reads."""
    if isinstance(value, bool):
        return bytes([3, 0 if value else 1])
    if isinstance(value, int):
        return b"\2" + value.to_bytes(2, "big")
    if isinstance(value, bytes):
        return bytes([4, VALUES.index(value.decode())]) if value.decode("latin1") in VALUES else b"\1" + text(value)
    if isinstance(value, list):
        return bytes([5, len(value)]) + b"".join(map(built, value))
    if isinstance(value, dict):
        return b"\6" + members(value)
    return bytes([7, VALUES.index(value)]) if value in VALUES else b"\0" + text(value)


def members(plist):
    return bytes([len(plist)]) + b"".join(bytes([NAMES.index(key)]) + built(value) for key, value in plist.items())


# Identities of tests/rig/fuzz_world.py, in the order of their names.
TLS, AGAIN, SIGNATURE, EXPIRED, FRESH_SIGNATURE, FRESH, PENDING, RENEWAL, UNKNOWN, USER_ENROLLMENT = range(10)
NONE, FAILED, SIGNED, SIGNED_PLAIN, AS_IT_IS, SUCCESS = range(6)


def request(message, who, proof=SUCCESS, raw=False):
    body = text(plistlib.dumps(message)) if raw else members(message)
    return bytes([16 if raw else 0, 0 if "MessageType" in message else 1]) + body + bytes([proof, who])


def device(udid, **keys):
    return {"UDID": udid} | keys


def authenticate(udid):
    return device(udid, MessageType="Authenticate", Topic=TOPIC, DeviceName="Test", Model="A1", ModelName="iPhone",
                  SerialNumber="C02FUZZ", OSVersion="17.6")


def token_update(udid, **keys):
    return device(udid, MessageType="TokenUpdate", Topic=TOPIC, Token=b"\1" * 32, PushMagic="a push magic that is secret", **keys)


def report(udid, number, status="Acknowledged", **keys):
    return device(udid, Status=status, CommandUUID=f"FUZZ-COMMAND-{number}", **keys)


def mdm_requests():
    tls, user = "FUZZ-TLS", {"UserID": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "UserShortName": "jane"}
    error = {"ErrorChain": [{"ErrorCode": 12001, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "no"}]}
    yield "enroll", [request(m, FRESH) for m in (authenticate("FUZZ-FRESH"), token_update("FUZZ-FRESH"), device("FUZZ-FRESH", Status="Idle"))]
    yield "enroll-signed", [request(m, FRESH_SIGNATURE, SIGNED) for m in (
        authenticate("FUZZ-FRESH-SIGNATURE"), token_update("FUZZ-FRESH-SIGNATURE", UnlockToken=b"an unlock token that is secret"))]
    yield "session", [request(device(tls, Status="Idle"), TLS), request(report(tls, 1, QueryResponses={"UDID": tls}), TLS),
                      request(report(tls, 2, "Error", **error), TLS)]
    yield "not-now", [request(report(tls, 1, "NotNow"), TLS), request(device(tls, Status="Idle"), TLS)]
    yield "format-error", [request(report(tls, 1, "CommandFormatError"), TLS), request(report(tls, 9), TLS)]
    yield "signed", [request(device("FUZZ-SIGNATURE", Status="Idle"), SIGNATURE, proof) for proof in (SIGNED, SIGNED_PLAIN)]
    yield "again", [request(m, AGAIN) for m in (authenticate(tls), token_update(tls), device(tls, Status="Idle"))]
    yield "renewal", [request(device(tls, Status="Idle"), RENEWAL), request(device(tls, Status="Idle"), TLS)]
    yield "pending", [request(m, PENDING) for m in (token_update("FUZZ-PENDING"), device("FUZZ-PENDING", Status="Idle"))]
    yield "expired", [request(device("FUZZ-EXPIRED", Status="Idle"), EXPIRED, proof) for proof in (FAILED, SUCCESS)]
    yield "renewals", [request(device("FUZZ-EXPIRED", Status="Idle"), EXPIRED, FAILED),
                       request(device("FUZZ-SIGNATURE", Status="Idle"), SIGNATURE, SIGNED_PLAIN), request(report("FUZZ-SIGNATURE", 3), SIGNATURE)]
    yield "user", [request(m | user, TLS) for m in (device(tls, MessageType="UserAuthenticate"), token_update(tls), device(tls, Status="Idle"))]
    yield "bootstrap", [request(device(tls, MessageType="SetBootstrapToken", BootstrapToken=b"a token" * 3), TLS),
                        request(device(tls, MessageType="GetBootstrapToken"), TLS)]
    yield "check-out", [request(device(tls, MessageType="CheckOut"), TLS), request(device(tls, Status="Idle"), TLS)]
    yield "other-types", [request(device(tls, MessageType=kind, Endpoint="status", Data=b"{}"), TLS)
                          for kind in ("DeclarativeManagement", "GetToken", "ReturnToService")]
    yield "stranger", [request(device(tls, Status="Idle"), UNKNOWN), request(device(tls, Status="Idle"), TLS, NONE)]
    yield "swap", [request(device(tls, Status="Idle"), SIGNATURE), request(token_update("FUZZ-SIGNATURE"), TLS)]
    yield "user-enrollment", [request({"EnrollmentID": "FUZZ-USER-ENROLLMENT", "Status": "Idle"}, USER_ENROLLMENT)]
    yield "raw", [request(device(tls, Status="Idle"), TLS, raw=True), request(report(tls, 1, QueryResponses={"UDID": tls}), TLS, raw=True)]
    yield "odd-request", [bytes([1 | 2 | 4 | 8 | 16, 0]) + text("POST") + text("/checkin") + text("text/xml") + b"\1" + text("HTTPS") +
                          text("on") + text(plistlib.dumps(device(tls, MessageType="CheckOut"))) + bytes([AS_IT_IS, 0]) +
                          text("FAILED:self-signed certificate") + text("%41") + text("TUlJ")]


# Senders and challenges of scep_world, in their order.
OLD, NEW, POLLED, STRANGER, OTHER = range(5)
OPEN, SHARED, OVER, REVOKED, SPENT, ANY, ABSENT = range(3, 10)
PKCS_REQ, RENEWAL_REQ, CERT_POLL, GET_CERT, GET_CRL = range(5)


def csr_content(challenge, subject=b"", attributes=b"", literal=None):
    return bytes([2, challenge]) + (text(literal) if literal is not None else b"") + text(subject) + text(attributes)


def message(content, sender, kind=PKCS_REQ, key=None, how=3, odd=0, more=b""):
    odd |= 0 if key is None else 1
    return bytes([how, odd, sender]) + (b"" if key is None else bytes([key])) + bytes([kind]) + more + content


def scep_requests():
    name = scep_client.common_name("device").public_bytes()
    two = csr_content(OPEN, name, seq(oid("1.2.840.113549.1.9.7"), set_of(printable("second"))))
    yield "caps", [bytes([0, 0]) + text("operation=GetCACaps") + text("")]
    yield "ca", [bytes([0, 0]) + text("operation=GetCACert&message=x") + text("")]
    yield "empty-post", [bytes([0, 2]) + text("operation=PKIOperation") + text("")]
    yield "issue-and-repeat", [message(csr_content(OPEN, name), STRANGER)] * 2
    yield "two-keys", [message(csr_content(OPEN, name), STRANGER), message(csr_content(OPEN, name), OTHER)]
    yield "by-get", [message(csr_content(OPEN), STRANGER, how=2)]
    yield "other-key", [message(csr_content(OPEN), STRANGER, key=OTHER)]
    yield "tickets", [message(csr_content(which), STRANGER) for which in (SHARED, OVER, REVOKED)]
    yield "spent", [message(csr_content(SPENT), STRANGER), message(csr_content(ABSENT), STRANGER),
                    message(csr_content(ANY, literal="no such challenge"), STRANGER)]
    yield "two-challenges", [message(two, STRANGER)]
    yield "renew", [message(csr_content(ABSENT, name), OLD, RENEWAL_REQ, key=OTHER), message(csr_content(ABSENT), OLD, key=STRANGER)]
    yield "renew-early", [message(csr_content(ABSENT), NEW, RENEWAL_REQ, key=OTHER)]
    yield "renew-stranger", [message(csr_content(ABSENT), STRANGER, RENEWAL_REQ)]
    yield "poll", [message(bytes([1, 0, POLLED]), POLLED, CERT_POLL), message(bytes([1, 4, POLLED]) + text(name), POLLED, CERT_POLL), message(bytes([1, 0, STRANGER]), STRANGER, CERT_POLL)]
    yield "get-cert", [message(bytes([1, 2, who]), OLD, GET_CERT) for who in (OLD, NEW, STRANGER)]
    yield "get-crl", [message(bytes([1, 2, OLD]), OLD, GET_CRL)]
    yield "des3", [message(csr_content(OPEN), STRANGER, odd=32 | 16, more=bytes([0, 3]))]
    yield "sha512", [message(csr_content(OPEN), STRANGER, odd=16, more=bytes([3]))]
    yield "plain-content", [message(b"\0" + text("no request"), STRANGER)]
    yield "not-enveloped", [message(text("no envelope"), STRANGER, odd=64)]


def csrs():
    key = scep_client.pool_key(0)
    challenge = seq(oid("1.2.840.113549.1.9.7"), set_of(utf8("challenge")))
    yield "request", b"\0" + scep_client.csr(key, "challenge")
    yield "pem", b"\1" + b"-----BEGIN CERTIFICATE REQUEST-----\n" + subprocess.run(
        ["openssl", "base64"], input=scep_client.csr(key, None), capture_output=True, check=True).stdout + b"-----END CERTIFICATE REQUEST-----\n"
    ec = pki.new_key("ec")
    info = seq(integer(0), scep_client.common_name("device").public_bytes(), scep_client.public_der(ec), b"\xa0\0")
    yield "ec", b"\0" + seq(info, seq(oid("1.2.840.10045.4.3.2")), b"\x03\x03\0\x30\0")
    yield "attributes", b"\0" + scep_client.raw_csr(key, [challenge])
    yield "signed", b"\2\0" + text("challenge") + text(scep_client.common_name("device").public_bytes())
    yield "two-challenges", b"\2\0" + text("one") + text("") + challenge
    yield "own-attribute", b"\2\1" + text("") + text("") + challenge
    yield "two-values", b"\2\1" + text("") + text("") + seq(oid("1.2.840.113549.1.9.7"), set_of(utf8("a"), utf8("b")))


def signatures():
    identity, content = pki.issue(pki.make_ca("CA"), "device", client=True), b"<plist/>"
    with tempfile.TemporaryDirectory() as folder:
        cert, key, body = (Path(folder) / name for name in ("cert", "key", "body"))
        identity.write(cert, key)
        body.write_bytes(content)

        def sign(*options):
            return subprocess.run(["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-signer", cert, "-inkey", key, "-in",
                                   body, *options], capture_output=True, check=True).stdout

        forms = {"attributes": sign(), "plain": sign("-noattr"), "sha1": sign("-md", "sha1"), "stream": sign("-stream"),
                 "no-certificate": sign("-nocerts"), "key-id": sign("-keyid")}
        attached = sign("-nodetach")
    for name, cms in forms.items():
        yield name, b"\1" + text(content) + cms
    yield "attached", b"\3" + attached
    yield "header", b"\0\1" + text("") + text(subprocess.run(["openssl", "base64", "-A"], input=forms["plain"], capture_output=True,
                                                             check=True).stdout) + content
    yield "certificate", b"\5" + identity.certificate.public_bytes(DER)
    yield "signed", b"\2\0" + text(content) + seq(oid("1.2.840.113549.1.9.5"), set_of(b"\x17\r260101000000Z"))
    yield "signed-plain", b"\2\1" + text(content)
    yield "patched", b"\4\0" + b"\1\0\x41"


def connections():
    def record(kind, content, number=1, padding=0):
        return bytes([1, kind]) + number.to_bytes(2, "big") + len(content).to_bytes(2, "big") + bytes([padding, 0]) + content + b"\0" * padding

    def pair(name, value):
        return bytes([len(name), len(value)]) + name + value

    begin, end = record(1, b"\0\1\0\0\0\0\0\0"), record(4, b"")
    params = pair(b"POMONA_GATE", b"gate-secret") + pair(b"REQUEST_METHOD", b"PUT") + pair(b"CONTENT_LENGTH", b"4")
    whole = begin + record(4, params, padding=3) + end
    yield "whole", b"\0" + whole + record(5, b"body") + record(5, b"")
    yield "short-body", b"\0" + whole + record(5, b"bo") + record(5, b"")
    yield "no-end", b"\0" + whole
    yield "management-in-body", b"\0" + whole + record(9, pair(b"FCGI_MAX_CONNS", b""), 0) + record(77, b"", 0) + record(5, b"body") + record(5, b"")
    yield "abort", b"\0" + whole + record(2, b"")
    yield "lying-lengths", b"\0" + begin + record(4, b"\xff\xff\xff\xff\x7f") + end
    yield "built", b"\1\0\0\x10\2" + text("HTTP_ECHO") + text("x") + text("HTTP_PROXY") + text("y") + b"body"
    yield "no-gate", b"\1\1\0\x10\0body"


def push_requests():
    with tempfile.TemporaryDirectory(prefix="pomona-seeds-") as folder:
        portal = apple_portal.Portal(folder, pki.make_ca("Push CA", kind="rsa"))
        vendor, recipient = portal.vendor(), Path(folder) / "vendor.pem"
        recipient.write_bytes(vendor.cert_pem())
        csr = subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x",
                              "-outform", "DER"], capture_output=True, check=True).stdout
        signed = portal.sign_request(vendor, csr)
        cms = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-aes256", recipient], input=signed[:100],
                             capture_output=True, check=True).stdout
    yield "signed", signed
    yield "xml", base64.b64decode(signed)
    yield "hex", cms.hex().encode()
    yield "der", cms


def main():
    for target, seeds in {"mdm_request": mdm_requests, "scep_request": scep_requests}.items():
        for name, requests in seeds():
            write(target, name, b"".join(requests))
    for target, seeds in {"csr": csrs, "push_request": push_requests, "mdm_signature": signatures, "fcgi_connection": connections}.items():
        for name, data in seeds():
            write(target, name, data)


if __name__ == "__main__":
    main()
