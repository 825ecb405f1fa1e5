"""Requests byte for byte as clients make them that a test cannot run: sscep 0.10 and Apple's; and replies read as strictly.

    Sscep(stand, folder).enrol(key, challenge, cipher="aes128", over="GET")      -> Outcome
    Sscep(...).renew(new_key, certificate, key)                                   type 19 signed by the old certificate
    Apple(stand, folder, "iOS").enrol(key, challenge)

sscep uses OpenSSL's PKCS7 functions: DER, a transactionID that is the MD5 of the public key, a self-signed certificate
whose serial number is that text. Apple's client streams: BER of indefinite length with constructed OCTET STRINGs in both
layers, a signer named by a random UUID, and it takes a reply only from a signer that GetCACert named, byte by byte.
"""
import base64
import datetime
import hashlib
import http.client
import secrets
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from der import NULL, bits, children, integer, octets, oid, printable, read, seq, set_of, tagged, tlv, utf8
from scep_client import (DATA, DIGESTS, SCEP, SIGNED, Message, Reply, common_name, der_of, key_pem, openssl, public_der,
                         read_reply)
from scep_outcome import FAIL_INFO, Outcome
from scep_stand import ca_certificates, pem

SIGNING_TIME, EXTENSION_REQUEST, CHALLENGE = "1.2.840.113549.1.9.5", "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.7"
RSA_SIGNATURES = {"sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11", "sha512": "1.2.840.113549.1.1.13"}
PRINTABLE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


class WrongReply(AssertionError):
    """A reply that the client would not take."""


def need(condition, what):
    if not condition:
        raise WrongReply(what)


def utc_now():
    return tlv(0x17, datetime.datetime.utcnow().strftime("%y%m%d%H%M%SZ").encode())


def fetch(url, body=None, agent=None, content_type=None):
    """(status, content type, body); no header that the client would not send."""
    headers = {"User-Agent": agent} if agent else {}
    if content_type:
        headers["Content-Type"] = content_type
    host, slash, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET" if body is None else "POST", slash + path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def certificate_request(key, subject, challenge, extensions=(), digest="sha256"):
    """A PKCS#10 whose challenge is PrintableString where the characters allow it, as clients have it."""
    attributes = []
    if challenge is not None:
        text = printable(challenge) if set(challenge) <= PRINTABLE else utf8(challenge)
        attributes.append(seq(oid(CHALLENGE), set_of(text)))
    if extensions:
        attributes.append(seq(oid(EXTENSION_REQUEST), set_of(seq(*extensions))))
    info = seq(integer(0), subject.public_bytes(), public_der(key), tagged(0, b"".join(sorted(attributes))))
    signature = key.sign(info, rsa_padding.PKCS1v15(), DIGESTS[digest][1])
    return seq(info, seq(oid(RSA_SIGNATURES[digest]), NULL), bits(signature))


class GoldenMessage(Message):
    """With signingTime, as both clients send it."""

    def attributes(self):
        parts = [tlv(tag, content) for tag, content in children(read(super().attributes())[1])]
        return set_of(*parts, seq(oid(SIGNING_TIME), set_of(utc_now())))


class Golden:
    def __init__(self, stand, folder):
        self.stand, self.folder = stand, folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def outcome(self, key, reply, leaf):
        if reply.status == "2":
            return Outcome(refusal=FAIL_INFO[int(reply.fail_info)], transcript=f"failInfo {reply.fail_info}")
        need(reply.status == "0", f"pkiStatus {reply.status}")
        certificate = leaf(reply)
        need(public_der(key) == certificate.public_key().public_bytes(serialization.Encoding.DER,
                                                                      serialization.PublicFormat.SubjectPublicKeyInfo),
             "the certificate is for another key")
        return Outcome(self.write(f"{uuid.uuid4()}.pem", pem(certificate)), self.write(f"{uuid.uuid4()}.key", key_pem(key)))


class Sscep(Golden):
    """-c names the RA's certificate in RA mode (sscep writes it to NAME-0), the CA's otherwise."""

    def capabilities(self):
        status, _, body = fetch(f"{self.stand.url}?operation=GetCACaps")
        need(status == 200, f"GetCACaps {status}")
        return body.decode().split()

    def recipient(self):
        status, content_type, body = fetch(f"{self.stand.url}?operation=GetCACert&message=0")
        need(status == 200, f"GetCACert {status}")
        return next(c for c in ca_certificates(content_type, body) if c.subject == self.stand.recipient.subject)

    def transaction(self, key):
        return hashlib.md5(public_der(key)).hexdigest().upper()

    def self_signed(self, key, subject):
        """No extensions, and the text of the transactionID as serial number: 32 bytes, more than RFC 5280 allows."""
        now = datetime.datetime.utcnow()
        times = seq(utc_now(), tlv(0x17, (now + datetime.timedelta(days=6)).strftime("%y%m%d%H%M%SZ").encode()))
        algorithm = seq(oid(RSA_SIGNATURES["sha256"]), NULL)
        tbs = seq(tagged(0, integer(2)), tlv(0x02, self.transaction(key).encode()), algorithm, subject.public_bytes(), times,
                  subject.public_bytes(), public_der(key))
        return x509.load_der_x509_certificate(seq(tbs, algorithm, bits(key.sign(tbs, rsa_padding.PKCS1v15(), hashes.SHA256()))))

    def ask(self, key, challenge, cipher, over, signer=None, signer_key=None):
        self.capabilities()
        recipient = self.recipient()
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "T"), x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        request = certificate_request(key, subject, challenge)
        envelope = openssl("smime", "-encrypt", "-binary", "-outform", "DER", f"-{cipher}",
                           self.write("recipient.pem", pem(recipient)), data=request)
        signer, signer_key = signer or self.self_signed(key, subject), signer_key or key
        nonce, transaction = secrets.token_bytes(16), self.transaction(key)
        message = GoldenMessage(envelope, signer_key, transaction_id=transaction, nonce=nonce, certificate=signer).encode()
        if over == "GET":
            text = base64.encodebytes(message).decode()   # lines of 76; OpenSSL's have 64
            text = text.replace("+", "%2B").replace("=", "%3D").replace("\n", "%0A")
            answer = fetch(f"{self.stand.url}?operation=PKIOperation&message={text}")
        else:
            answer = fetch(f"{self.stand.url}?operation=PKIOperation", message)
        reply = self.read(answer, recipient)
        need(reply.transaction_id == transaction, "another transactionID")
        need(reply.recipient_nonce == nonce, "another nonce")
        return self.outcome(key, reply, lambda reply: self.leaf(reply, signer, signer_key))

    def read(self, answer, recipient):
        """OpenSSL's PKCS7 functions read it, with the signer that -c named, whatever the message says."""
        status, content_type, body = answer
        need((status, content_type) == (200, "application/x-pki-message"), f"{status} {content_type}")
        signer = self.write("signer.pem", pem(recipient))
        openssl("smime", "-verify", "-inform", "DER", "-binary", "-nointern", "-noverify", "-certfile", signer, data=body)
        reply = read_reply(body)
        need(reply.message_type == "3", f"messageType {reply.message_type}")
        return reply

    def leaf(self, reply, signer, signer_key):
        recipient, key = self.write("me.pem", pem(signer)), self.write("me.key", key_pem(signer_key))
        inner = openssl("smime", "-decrypt", "-inform", "DER", "-binary", "-recip", recipient, "-inkey", key, data=reply.content)
        # The first that is not self-signed.
        return next(c for c in pkcs7.load_der_pkcs7_certificates(inner) if c.subject != c.issuer)

    def enrol(self, key, challenge, cipher="aes128", over="POST"):
        return self.ask(key, challenge, cipher, over)

    def renew(self, key, certificate, old_key):
        return self.ask(key, None, "aes128", "POST", signer=certificate, signer_key=old_key)


def streamed(tag, *parts):
    """A constructed element of indefinite length."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def in_pieces(data, size=512):
    return b"".join(octets(data[at:at + size]) for at in range(0, len(data), size))


class StreamedMessage(GoldenMessage):
    def encode(self):
        der = super().encode()
        (_, _), (_, wrapped) = children(read(der)[1])
        version, digests, _, certificates, infos = children(read(wrapped)[1])
        content = streamed(0x30, oid(DATA), streamed(0xA0, streamed(0x24, in_pieces(self.content))))
        return streamed(0x30, oid(SIGNED), streamed(0xA0, streamed(
            0x30, tlv(*version), tlv(*digests), content, streamed(0xA0, certificates[1]), tlv(*infos))))


# What differs: who asks, what is asked for beside the key, and how GetCACert and GetCACaps are asked.
AGENTS = {"iOS": "profiled/1.0 CFNetwork/1494.0.7 Darwin/23.4.0", "macOS": "mdmclient/960 CFNetwork/1494.0.7 Darwin/23.4.0"}
MESSAGES = {"iOS": "", "macOS": "&message="}
HASHES = ("SHA-512", "SHA-256", "SHA-1")   # in the order of Apple's liking
HASH_OF = {"iOS": "SHA-512", "macOS": "SHA-256"}


class Apple(Golden):
    def __init__(self, stand, folder, kind):
        super().__init__(stand, folder)
        self.kind = kind

    def get(self, operation):
        status, content_type, body = fetch(f"{self.stand.url}?operation={operation}{MESSAGES[self.kind]}", agent=AGENTS[self.kind])
        need(status == 200, f"{operation} {status}")
        return content_type, body

    def signer_of_replies(self):
        """By keyUsage, never by order; a single certificate serves for everything."""
        content_type, body = self.get("GetCACert")
        listed = ca_certificates(content_type, body)
        usages = [(c, c.extensions.get_extension_for_class(x509.KeyUsage).value) for c in listed]
        fit = [c for c, usage in usages if usage.digital_signature and usage.key_encipherment]
        need(len(fit) == 1, f"{len(fit)} certificates sign and encipher: errSecKeyUsageIncorrect")
        need(content_type.endswith("ra-cert") == (len(listed) > 1), "the content type does not fit the number of certificates")
        return fit[0]

    def digest(self):
        content_type, body = self.get("GetCACaps")
        listed = body.decode().split("\n")   # literally, with their case
        need("AES" in listed and "POSTPKIOperation" in listed, f"capabilities {listed}")
        need(next(name for name in HASHES if name in listed) == "SHA-512", f"capabilities {listed}")
        need(HASH_OF[self.kind] in listed, f"capabilities {listed}")
        return HASH_OF[self.kind].replace("-", "").lower()

    def temporary(self, key, digest):
        """The self-signed certificate of one request: its name is a random UUID."""
        name, now = common_name(str(uuid.uuid4()).upper()), datetime.datetime.utcnow()
        usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
        return (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
                .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=365))
                .add_extension(usage, critical=True).sign(key, DIGESTS[digest][1]))

    def request(self, key, challenge, digest):
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(NameOID.COMMON_NAME, "%SerialNumber%")]
        usage = seq(oid("2.5.29.15"), tlv(1, b"\xff"), octets(tlv(3, b"\5\xa0")))
        if self.kind == "iOS":
            return certificate_request(key, x509.Name(names), challenge, [usage], digest)
        mail, principal = tagged(1, b"user@example.org", False), tagged(
            0, oid("1.3.6.1.4.1.311.20.2.3") + tagged(0, utf8("user@EXAMPLE.ORG")))
        return certificate_request(key, x509.Name(names), challenge,
                                   [usage, seq(oid("2.5.29.17"), octets(seq(mail, principal)))], digest)

    def enrol(self, key, challenge):
        signer, digest = self.signer_of_replies(), self.digest()
        envelope = openssl("cms", "-encrypt", "-stream", "-binary", "-outform", "DER", "-aes128",
                           self.write("ra.pem", pem(signer)), data=self.request(key, challenge, digest))
        need(envelope[:2] == b"\x30\x80", "the envelope is not streamed")
        point = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        message = StreamedMessage(envelope, key, transaction_id=hashlib.sha1(point).hexdigest().upper(), digest=digest,
                                  certificate=self.temporary(key, digest)).encode()
        answer = fetch(f"{self.stand.url}?operation=PKIOperation", message, AGENTS[self.kind], "application/x-pki-message")
        reply = self.read(answer, signer)
        return self.outcome(key, reply, lambda reply: self.leaf(reply, key))

    def read(self, answer, signer):
        _, content_type, body = answer   # the status is not looked at
        need(content_type == "application/x-pki-message", f"content type {content_type}")
        reply: Reply = read_reply(body)
        need(der_of(reply.signer) == der_of(signer), "the signer is none of GetCACert's certificates")
        need("1.2.840.113549.1.9.3" in reply.attributes, "no contentType attribute: iOS 10 crashed over that")
        need(reply.attributes[SCEP + "2"] == (0x13, b"3"), "messageType is not the PrintableString 3")
        tag, value = reply.attributes[SCEP + "3"]
        need(tag == 0x13 and len(value) < 128, "pkiStatus is not a short PrintableString")
        return reply

    def leaf(self, reply, key):
        """Whatever stands first in the encoding."""
        inner = openssl("cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", self.write("me.key", key_pem(key)),
                        data=reply.content)
        (_, _), (_, wrapped) = children(read(inner)[1])
        certificates = next(content for tag, content in children(read(wrapped)[1]) if tag == 0xA0)
        end = read(certificates)[2]
        return x509.load_der_x509_certificate(certificates[:end])
