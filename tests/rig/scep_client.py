"""A SCEP client for tests, each part of a message of which can be made wrong.

    client = Client(bench.ra)                       the recipient, from GetCACert
    message = client.message(csr(key, challenge), key)            a whole pkiMessage
    reply = read_reply(body, folder)                .status .fail_info .transaction_id ...; verified by openssl
    certificate = issued(reply, key, folder)        decrypted by openssl, read by cryptography

Keys come from a pool in build/test-keys: making them is slow.
"""
import dataclasses
import datetime
import fcntl
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import AttributeOID, NameOID

sys.path.insert(0, str(Path(__file__).resolve().parent))
from der import NULL, bits, children, integer, octets, oid, printable, read, seq, set_of, tagged, tlv  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
POOL = ROOT / "build/test-keys"
DATA, SIGNED, ENVELOPED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3"
RSA = "1.2.840.113549.1.1.1"
SCEP = "2.16.840.1.113733.1.9."
DIGESTS = {"md5": ("1.2.840.113549.2.5", hashes.MD5()), "sha1": ("1.3.14.3.2.26", hashes.SHA1()),
           "sha224": ("2.16.840.1.101.3.4.2.4", hashes.SHA224()),
           "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()), "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
           "sha512": ("2.16.840.1.101.3.4.2.3", hashes.SHA512())}
CIPHERS = {"aes128": ("2.16.840.1.101.3.4.1.2", algorithms.AES, 16, 16), "aes192": ("2.16.840.1.101.3.4.1.22", algorithms.AES, 24, 16),
           "aes256": ("2.16.840.1.101.3.4.1.42", algorithms.AES, 32, 16), "des3": ("1.2.840.113549.3.7", algorithms.TripleDES, 24, 8),
           "des": ("1.3.14.3.2.7", algorithms.TripleDES, 8, 8)}  # three times the same key is DES


def make_key(bits_wanted=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits_wanted)


def pool_key(number):
    """The same key for a number in every run."""
    POOL.mkdir(parents=True, exist_ok=True)
    path = POOL / f"{number}.pem"
    with open(POOL / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            new = path.with_suffix(".new")
            new.write_bytes(key_pem(make_key()))
            new.rename(path)
    return serialization.load_pem_private_key(path.read_bytes(), None)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_der(key):
    """SubjectPublicKeyInfo of a private key or a certificate."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def der_of(certificate):
    return certificate.public_bytes(serialization.Encoding.DER)


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def csr(key, challenge, subject="device", extensions=(), digest=hashes.SHA256()):
    """A certification request; `extensions`: (extension, critical) pairs it asks for."""
    build = x509.CertificateSigningRequestBuilder().subject_name(common_name(subject))
    if challenge is not None:
        build = build.add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.encode())
    for extension, critical in extensions:
        build = build.add_extension(extension, critical)
    return build.sign(key, digest).public_bytes(serialization.Encoding.DER)


def raw_csr(key, attributes):
    """A certification request with these attributes as they are (DER)."""
    info = seq(integer(0), common_name("device").public_bytes(), public_der(key), tagged(0, b"".join(attributes)))
    signature = key.sign(info, rsa_padding.PKCS1v15(), hashes.SHA256())
    return seq(info, seq(oid("1.2.840.113549.1.1.11"), NULL), bits(signature))


def pss_csr(key, challenge, digest, mask=None):
    """A certification request signed with RSASSA-PSS."""
    attribute = seq(oid("1.2.840.113549.1.9.7"), set_of(printable(challenge)))
    info = seq(integer(0), common_name("device").public_bytes(), public_der(key), tagged(0, attribute))
    algorithm, scheme = signature_scheme(key, digest, mask or digest)
    return seq(info, algorithm, bits(key.sign(info, *scheme)))


def self_signed(key, digest=hashes.SHA256()):
    """The temporary certificate of a client: like Apple's, its subject says nothing."""
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(common_name("temporary")).issuer_name(common_name("temporary"))
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1)).sign(key, digest))


OAEP = rsa_padding.OAEP(mgf=rsa_padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
KEY_TRANSPORT = {"pkcs1": (RSA, NULL, rsa_padding.PKCS1v15()), "oaep": ("1.2.840.113549.1.1.7", seq(), OAEP)}


def envelop(plain, recipient, cipher="aes256", garble=None, transport="pkcs1", recipients=1):
    """EnvelopedData; garble: "rsa" or "last" flips a bit of the encrypted key or of the last block."""
    transport_oid, transport_parameters, transport_padding = KEY_TRANSPORT[transport]
    algorithm_oid, algorithm, key_bytes, block = CIPHERS[cipher]
    key, iv = secrets.token_bytes(key_bytes), secrets.token_bytes(block)
    pad = padding.PKCS7(block * 8).padder()
    encryptor = Cipher(algorithm(key * 3 if cipher == "des" else key), modes.CBC(iv)).encryptor()
    encrypted = bytearray(encryptor.update(pad.update(plain) + pad.finalize()) + encryptor.finalize())
    wrapped = bytearray(recipient.public_key().encrypt(key, transport_padding))
    if garble == "rsa":
        wrapped[100] ^= 1
    if garble == "last":
        encrypted[-1] ^= 1
    info = seq(integer(0), seq(recipient.issuer.public_bytes(), integer(recipient.serial_number)), seq(oid(transport_oid), transport_parameters),
               octets(bytes(wrapped)))
    content = seq(oid(DATA), seq(oid(algorithm_oid), octets(iv)), tagged(0, bytes(encrypted), constructed=False))
    return seq(oid(ENVELOPED), tagged(0, seq(integer(0), set_of(*[info] * recipients), content)))


def signature_scheme(key, digest, pss=None):
    """The AlgorithmIdentifier of a SignerInfo, and what key.sign() takes besides the bytes."""
    name, algorithm = DIGESTS[digest]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return seq(oid("1.2.840.10045.4.3.2")), (ec.ECDSA(algorithm),)
    if pss is None:
        return seq(oid(RSA), NULL), (rsa_padding.PKCS1v15(), algorithm)
    mask_name, mask = DIGESTS[pss]
    parameters = seq(tagged(0, seq(oid(name), NULL)), tagged(1, seq(oid("1.2.840.113549.1.1.8"), seq(oid(mask_name), NULL))),
                     tagged(2, integer(algorithm.digest_size)))
    scheme = rsa_padding.PSS(mgf=rsa_padding.MGF1(mask), salt_length=algorithm.digest_size)
    return seq(oid("1.2.840.113549.1.1.10"), parameters), (scheme, algorithm)


@dataclasses.dataclass
class Message:
    """The knobs of the outer SignedData; `encode` gives the bytes."""
    content: bytes
    key: object
    message_type: str | None = "19"
    transaction_id: str | bytes | None = None
    nonce: bytes | None = None
    digest: str = "sha256"
    pss: str | None = None  # RSASSA-PSS with this mask digest
    signers: int = 1
    break_signature: bool = False
    certificate: object = None
    extra_certificates: tuple = ()

    def encode(self):
        self.transaction_id = hashlib.sha1(public_der(self.key)).hexdigest() if self.transaction_id is None else self.transaction_id
        self.nonce = secrets.token_bytes(16) if self.nonce is None else self.nonce
        certificate = self.certificate or self_signed(self.key)
        infos = [self.signer_info(certificate) for _ in range(self.signers)]
        certificates = b"".join([der_of(certificate), *map(der_of, self.extra_certificates)])
        algorithm = seq(oid(DIGESTS[self.digest][0]), NULL)
        signed = seq(integer(1), set_of(algorithm), seq(oid(DATA), tagged(0, octets(self.content))),
                     tagged(0, certificates), tlv(0x31, b"".join(infos)))
        return seq(oid(SIGNED), tagged(0, signed))

    def attributes(self):
        digest = hashes.Hash(DIGESTS[self.digest][1])
        digest.update(self.content)
        values = {"1.2.840.113549.1.9.3": oid(DATA), "1.2.840.113549.1.9.4": octets(digest.finalize())}
        if self.message_type is not None:
            values[SCEP + "2"] = printable(self.message_type)
        if self.nonce:
            values[SCEP + "5"] = octets(self.nonce)
        if self.transaction_id:
            values[SCEP + "7"] = printable(self.transaction_id)
        return set_of(*(seq(oid(name), set_of(value)) for name, value in values.items()))

    def signer_info(self, certificate):
        attributes = self.attributes()
        algorithm, scheme = signature_scheme(self.key, self.digest, self.pss)
        signature = bytearray(self.key.sign(attributes, *scheme))
        if self.break_signature:
            signature[10] ^= 1
        return seq(integer(1), seq(certificate.issuer.public_bytes(), integer(certificate.serial_number)),
                   seq(oid(DIGESTS[self.digest][0]), NULL), tlv(0xA0, read(attributes)[1]), algorithm,
                   octets(bytes(signature)))


class Client:
    def __init__(self, recipient):
        self.recipient = recipient

    def message(self, request, key, cipher="aes256", garble=None, **knobs):
        return Message(envelop(request, self.recipient, cipher, garble), key, **knobs).encode()

    def ask(self, bench, key, challenge, **knobs):
        """One PKCSReq, straight to the program: the reply."""
        answer = bench.post(self.message(csr(key, challenge), key, **knobs))
        if answer.status != 200:
            raise AssertionError(f"status {answer.status}: {answer.body}")
        return read_reply(answer.body)


@dataclasses.dataclass
class Reply:
    attributes: dict  # dotted object identifier -> (tag, value)
    content: bytes
    digest: str
    signer: x509.Certificate

    def text(self, number):
        tag, value = self.attributes[SCEP + str(number)]
        if tag != 0x13:
            raise AssertionError(f"attribute {number} has tag {tag:#x}")
        return value.decode()

    message_type = property(lambda self: self.text(2))
    status = property(lambda self: self.text(3))
    fail_info = property(lambda self: self.text(4))
    transaction_id = property(lambda self: self.text(7))
    recipient_nonce = property(lambda self: self.attributes[SCEP + "6"][1])

    def without_chance(self):
        """Everything that may not tell one failure from another: all but the fresh nonces and the time."""
        fresh = (SCEP + "5", SCEP + "6", SCEP + "7", "1.2.840.113549.1.9.5")
        return {name: value for name, value in self.attributes.items() if name not in fresh}, self.content, self.digest


def dotted(content):
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if byte < 128:
            numbers, value = numbers + [value], 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def openssl(*words, data=None):
    run = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True)
    if run.returncode != 0:
        raise AssertionError(f"openssl {words}: {run.stderr.decode()}")
    return run.stdout


def read_reply(body):
    """A CertRep; openssl checks its signature, the rest is read by hand."""
    with tempfile.TemporaryDirectory() as folder:
        signer = Path(folder) / "signer.pem"
        content = openssl("cms", "-verify", "-inform", "DER", "-noverify", "-binary", "-signer", signer, data=body)
        certificate = x509.load_pem_x509_certificate(signer.read_bytes())
    (_, _), (_, wrapped) = children(read(body)[1])
    signed = children(read(wrapped)[1])
    (info,) = children(signed[-1][1])
    fields = children(info[1])
    attributes = {}
    for _, attribute in children(next(value for tag, value in fields if tag == 0xA0)):
        (_, name), (_, values) = children(attribute)
        (attributes[dotted(name)],) = children(values)
    digest = dotted(children(fields[2][1])[0][1])
    if 0xA0 not in [tag for tag, _ in children(signed[2][1])]:
        raise AssertionError("the reply has no content at all")
    names = {value[0]: name for name, value in DIGESTS.items()}
    return Reply(attributes, content, names[digest], certificate)


def cipher_of(reply):
    enveloped = children(read(children(read(reply.content)[1])[1][1])[1])
    algorithm = children(children(enveloped[2][1])[1][1])
    return {value[0]: name for name, value in CIPHERS.items()}[dotted(algorithm[0][1])]


def issued(reply, key):
    """The certificate in a SUCCESS, as openssl decrypts it with the request's key and cryptography reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "key.pem"
        path.touch(mode=0o600)
        path.write_bytes(key_pem(key))
        certs_only = openssl("cms", "-decrypt", "-inform", "DER", "-inkey", path, "-binary", data=reply.content)
    (certificate,) = pkcs7.load_der_pkcs7_certificates(certs_only)
    return certificate
