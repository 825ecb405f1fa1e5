"""Writes SCEP replies (CertRep), right ones and wrong ones on purpose, to try a SCEP client.

The signed layer is put together here, byte by byte; the envelope inside is made by `openssl cms`.
"""
import hashlib
import re
import subprocess

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

SCEP = "2.16.840.1.113733.1.9."
SIGNED_DATA, DATA = "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.1"
CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
SHA256, RSA = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.1"
FAIL_TEXT = "1.3.6.1.5.5.7.24.1"
SUCCESS, FAILURE, PENDING = "0", "2", "3"


def tlv(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*parts):
    return tlv(0x30, *parts)


def set_of(*parts):
    return tlv(0x31, *sorted(parts))


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    out = bytearray([first * 40 + second])
    for number in rest:
        digits = [number & 127]
        while number := number >> 7:
            digits.append(128 | number & 127)
        out += bytes(reversed(digits))
    return tlv(6, bytes(out))


def printable(text):
    return tlv(0x13, text.encode())


def der(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def certs_only(*certificates):
    """In the given order, unlike CMS encoders, which sort."""
    return sequence(oid(SIGNED_DATA), tlv(0xa0, sequence(
        b"\x02\x01\x01", tlv(0x31), sequence(oid(DATA)), tlv(0xa0, *map(der, certificates)), tlv(0x31))))


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True, capture_output=True).stdout


class Request:
    """A PKIOperation message: its attributes, its signer's certificate and, for who has the key, its content."""

    def __init__(self, message, folder):
        self.signer = folder / "request-signer.pem"
        self.envelope = openssl("cms", "-verify", "-inform", "DER", "-noverify", "-signer", self.signer, data=message)
        lines = openssl("asn1parse", "-inform", "DER", data=message).decode()

        def attribute(number):
            return re.search(re.escape(SCEP + number) + r"\n.*SET.*\n.*(?:PRINTABLESTRING *|\[HEX DUMP\]):(\w+)", lines)[1]

        self.type, self.nonce, self.transaction = attribute("2"), bytes.fromhex(attribute("5")), attribute("7")

    def content(self, certificate, key):
        return openssl("cms", "-decrypt", "-inform", "DER", "-recip", certificate, "-inkey", key, data=self.envelope)


def reply(request, signer, status, certificates=b"", nonce=None, transaction=None, with_content_type=True, text=""):
    """A CertRep signed by a pki.Identity with an RSA key; `certificates` is a certs-only message."""
    content = b""
    if certificates:
        content = openssl("cms", "-encrypt", "-binary", "-aes128", "-outform", "DER", request.signer, data=certificates)
    values = {SCEP + "2": printable("3"), SCEP + "3": printable(status), SCEP + "5": tlv(4, bytes(16)),
              SCEP + "6": tlv(4, nonce or request.nonce), SCEP + "7": printable(transaction or request.transaction),
              MESSAGE_DIGEST: tlv(4, hashlib.sha256(content).digest())}
    if with_content_type:
        values[CONTENT_TYPE] = oid(DATA)
    if status == FAILURE:
        values |= {SCEP + "4": printable("2"), FAIL_TEXT: tlv(0x0c, text.encode())}
    attributes = set_of(*(sequence(oid(name), tlv(0x31, value)) for name, value in values.items()))
    certificate = signer.certificate
    serial = certificate.serial_number
    who = sequence(certificate.issuer.public_bytes(), tlv(2, serial.to_bytes(serial.bit_length() // 8 + 1, "big")))
    signature = signer.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
    info = sequence(b"\x02\x01\x01", who, sequence(oid(SHA256)), b"\xa0" + attributes[1:],
                    sequence(oid(RSA), b"\x05\x00"), tlv(4, signature))
    return sequence(oid(SIGNED_DATA), tlv(0xa0, sequence(
        b"\x02\x01\x01", set_of(sequence(oid(SHA256))), sequence(oid(DATA), tlv(0xa0, tlv(4, content))),
        tlv(0xa0, der(certificate)), set_of(info))))
