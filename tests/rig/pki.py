"""Certificates for tests and stand-ins, made with Python's cryptography module. All keys are ECDSA P-256 unless asked."""
import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass
class Identity:
    """A certificate with its private key."""
    certificate: x509.Certificate
    key: object

    def cert_pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def write(self, cert_path, key_path):
        """Writes both as PEM, the key readable by the owner only."""
        key_path.touch(mode=0o600)
        key_path.write_bytes(self.key_pem())
        cert_path.write_bytes(self.cert_pem())


def new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name, uid=None):
    attributes = [x509.NameAttribute(NameOID.USER_ID, uid)] if uid else []
    return x509.Name(attributes + [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def builder(subject, issuer, public_key, not_before, not_after):
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(not_before).not_valid_after(not_after)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False))


def key_usage(**on):
    bits = dict.fromkeys(["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                          "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(**{**bits, **on})


def make_ca(common_name, kind="ec", days=3650):
    key, now = new_key(kind), datetime.datetime.utcnow()
    subject = name(common_name)
    cert = (builder(subject, subject, key.public_key(), now - DAY, now + days * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(key, hashes.SHA256()))
    return Identity(cert, key)


def issue(ca, common_name, client=False, server=(), uid=None, kind="ec", days=365, not_before=None):
    """A leaf: `client` for clientAuth, `server` = host names and addresses for serverAuth; days < 0 is expired."""
    key, now = new_key(kind), datetime.datetime.utcnow()
    start = not_before or min(now, now + days * DAY) - DAY
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH] * client + [ExtendedKeyUsageOID.SERVER_AUTH] * bool(server)
    build = (builder(name(common_name, uid), ca.certificate.subject, key.public_key(), start, now + days * DAY)
             .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
             .add_extension(key_usage(digital_signature=True, key_encipherment=kind == "rsa"), critical=True)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False))
    if usages:
        build = build.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if server:
        names = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in server]
        build = build.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Identity(build.sign(ca.key, hashes.SHA256()), key)
