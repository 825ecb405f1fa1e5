"""Mdm-Signature headers in every form that devices send, made with openssl, and one encoder of our own for BER."""
import base64
import datetime
import subprocess
import tempfile
from pathlib import Path

import pki
from cryptography import x509
from cryptography.hazmat.primitives import hashes


def nameless(ca, kind="rsa"):
    """An identity with an empty subject, as iOS makes one from a payload without Subject."""
    key, now = pki.new_key(kind), datetime.datetime.utcnow()
    build = pki.builder(x509.Name([]), ca.certificate.subject, key.public_key(), now - pki.DAY, now + 365 * pki.DAY)
    return pki.Identity(build.sign(ca.key, hashes.SHA256()), key)


def sign(identity, body, *options, certificates=()):
    """DER of a detached CMS over the body; options of `openssl cms`. Further identities sign too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(body)
        argv = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", folder / "body", "-out", folder / "cms", *options]
        for number, one in enumerate((identity, *certificates)):
            one.write(folder / f"{number}.pem", folder / f"{number}.key")
            argv += ["-signer", folder / f"{number}.pem", "-inkey", folder / f"{number}.key"]
        subprocess.run(argv, check=True, capture_output=True)
        return (folder / "cms").read_bytes()


def header(cms):
    return {"HTTP_MDM_SIGNATURE": base64.b64encode(cms).decode()}


def read_element(data, at):
    """(tag, content, end) of the DER element at an offset."""
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start:start + count], "big"), start + count
    return data[at], data[start:start + length], start + length


def elements(content):
    at, found = 0, []
    while at < len(content):
        _, _, end = read_element(content, at)
        found.append(content[at:end])
        at = end
    return found


def indefinite(element, depth):
    """The element with indefinite lengths down to a depth; certificates and what is below stay as they are."""
    tag, content, _ = read_element(element, 0)
    if depth == 0 or not tag & 0x20:
        return element
    inner = elements(content)
    if tag == 0xA0 and inner and read_element(inner[0], 0)[0] == 0x30 and depth < 3:
        return bytes([tag, 0x80]) + content + b"\0\0"  # the certificates of SignedData: signed bytes stay untouched
    return bytes([tag, 0x80]) + b"".join(indefinite(one, depth - 1) for one in inner) + b"\0\0"


def streamed(der):
    """The BER form that Apple's stack writes: indefinite lengths outside of what is signed."""
    return indefinite(der, 4)
