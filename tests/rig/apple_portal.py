"""Apple's side of push certificates, made with openssl and Python's cryptography module: developer.apple.com and identity.apple.com.

    apple = Portal(folder, push_ca)          push_ca: an Identity of pki.py, whom the APNs stand-in trusts
    apple.chain_file                         WWDR intermediates of several generations and the root, PEM
    der = apple.vendor_certificate(csr_pem)  "MDM CSR": the vendor certificate, as mdm.cer
    pem = apple.create(request_file)         Create a Certificate: a new topic; Refused with the portal's words
    pem = apple.renew(topic, request_file)   Renew: the same topic

A request file is read as strictly as the portal would: base64, three strings, the vendor's chain, its dates, its signature.
"""
import base64
import binascii
import datetime
import plistlib
import subprocess
import tempfile
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID

import pki

DAY = datetime.timedelta(days=1)


class Refused(Exception):
    """What the portal shows."""


def certify(ca, subject, public_key, days, client=False, ca_certificate=False):
    """A certificate for a key that is not ours."""
    now = datetime.datetime.utcnow()
    start = min(now, now + days * DAY) - DAY
    build = (pki.builder(subject, ca.certificate.subject, public_key, start, now + days * DAY)
             .add_extension(x509.BasicConstraints(ca=ca_certificate, path_length=None), critical=True)
             .add_extension(pki.key_usage(digital_signature=not ca_certificate, key_cert_sign=ca_certificate), critical=True)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False))
    if client:
        build = build.add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return build.sign(ca.key, hashes.SHA256())


def wwdr_name(generation):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Stand-in Worldwide Developer Relations Certification Authority"),
                      x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, generation)])


class Portal:
    def __init__(self, folder, push_ca):
        self.push_ca = push_ca
        self.root = pki.make_ca("Stand-in Apple Root CA", kind="rsa")
        self.wwdr = {}
        for generation, days in {"G3": 900, "G4": 1000, "G6": 1100}.items():
            key = pki.new_key("rsa")
            self.wwdr[generation] = pki.Identity(
                certify(self.root, wwdr_name(generation), key.public_key(), days, ca_certificate=True), key)
        self.chain_file = Path(folder) / "apple-chain.pem"
        self.chain_file.write_bytes(b"".join(i.cert_pem() for i in [self.root, *self.wwdr.values()]))

    def vendor_certificate(self, csr_pem, days=365, generation="G4"):
        csr = x509.load_pem_x509_csr(csr_pem.encode() if isinstance(csr_pem, str) else csr_pem)
        if not csr.is_signature_valid:
            raise Refused("the CSR is not signed by its key")
        owner = csr.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
        cert = certify(self.wwdr[generation], pki.name(f"MDM Vendor: {owner}"), csr.public_key(), days)
        return cert.public_bytes(serialization.Encoding.DER)

    def vendor(self, owner="Someone", days=365):
        """A vendor that is not this server: its Identity."""
        key = pki.new_key("rsa")
        return pki.Identity(certify(self.wwdr["G4"], pki.name(f"MDM Vendor: {owner}"), key.public_key(), days), key)

    def sign_request(self, vendor, csr_der, algorithm=None):
        """A request file of that vendor, by another program than ours."""
        signature = vendor.key.sign(csr_der, padding.PKCS1v15(), algorithm or hashes.SHA256())
        chain = b"".join(i.cert_pem() for i in [vendor, self.wwdr["G4"], self.root]).decode()
        return base64.b64encode(plistlib.dumps({"PushCertRequestCSR": base64.b64encode(csr_der).decode(), "PushCertCertificateChain": chain,
                                                "PushCertSignature": base64.b64encode(signature).decode()}))

    def read_request(self, data):
        """The CSR in a request file that the portal takes; Refused otherwise."""
        try:
            plist = plistlib.loads(base64.b64decode(data, validate=True))
            strings = [plist[k] for k in ("PushCertRequestCSR", "PushCertCertificateChain", "PushCertSignature")]
        except (binascii.Error, ValueError, KeyError, plistlib.InvalidFileException) as error:
            raise Refused(f"Invalid certificate signing request: {error!r}") from error
        if not all(isinstance(value, str) for value in strings):
            raise Refused("Invalid certificate signing request: not strings")
        csr_der, signature = (base64.b64decode(strings[i], validate=True) for i in (0, 2))
        self.check_chain(strings[1])
        vendor = x509.load_pem_x509_certificate(strings[1].encode())
        if vendor.not_valid_after < datetime.datetime.utcnow():
            raise Refused("Certificate Signature Verification failed: the signing certificate is expired")
        try:
            vendor.public_key().verify(signature, csr_der, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise Refused("Certificate Signature Verification failed: the signature is invalid") from error
        csr = x509.load_der_x509_csr(csr_der)
        if not csr.is_signature_valid or csr.public_key().key_size != 2048:
            raise Refused("Invalid certificate signing request: key")
        if not csr.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            raise Refused("Invalid certificate signing request: e-mail address")
        return csr

    def check_chain(self, pem):
        """By openssl, against the root that we know: leaf first, then its issuer, lines of 64 characters."""
        if any(len(line) > 64 for line in pem.splitlines()):
            raise Refused("Invalid certificate chain: line length")
        blocks = [block + "-----END CERTIFICATE-----\n" for block in pem.split("-----END CERTIFICATE-----")[:-1]]
        if len(blocks) != 3 or x509.load_pem_x509_certificate(blocks[2].encode()) != self.root.certificate:
            raise Refused("Invalid certificate chain: vendor, intermediate and Apple Root CA are wanted, in this order")
        with tempfile.TemporaryDirectory(prefix="pomona-portal-") as folder:
            names = [Path(folder) / name for name in ("leaf", "intermediate", "root")]
            for path, block in zip(names, blocks):
                path.write_text(block)
            run = subprocess.run(["openssl", "verify", "-no_check_time", "-CAfile", names[2], "-untrusted", names[1], names[0]],
                                 capture_output=True, text=True)
        if run.returncode != 0:
            raise Refused(f"Invalid certificate chain: {run.stdout}{run.stderr}")

    def issue(self, data, topic, days):
        number = topic.rsplit(".", 1)[1]
        cert = certify(self.push_ca, pki.name(f"APSP:{number}", topic), self.read_request(data).public_key(), days, client=True)
        return cert.public_bytes(serialization.Encoding.PEM)

    def create(self, data, days=365):
        return self.issue(data, f"com.apple.mgmt.External.{uuid.uuid4()}", days)

    def renew(self, topic, data, days=365):
        return self.issue(data, topic, days)
