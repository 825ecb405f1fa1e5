"""The certificates of the APNs stand-in: push_pki.py FOLDER [--topic-uuid UUID] [--prefix NAME]

Writes to FOLDER what is not there yet: ca.pem, ca.key (the push CA), server.pem, server.key (127.0.0.1 and localhost)
and PREFIX.pem, PREFIX.key (default client): a push certificate in the form of Apple's, CN APSP:<uuid>, subject UID
com.apple.mgmt.External.<uuid>, clientAuth. Prints the topic.
"""
import argparse
import uuid
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

import pki


def load(cert_path, key_path):
    return pki.Identity(x509.load_pem_x509_certificate(cert_path.read_bytes()),
                        serialization.load_pem_private_key(key_path.read_bytes(), None))


def topic_of(certificate):
    """The topic of a push certificate, or None."""
    values = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
    return values[0].value if values else None


def ensure(folder, topic_uuid=None, prefix="client", days=365):
    """Makes what is missing and returns the topic of PREFIX.pem."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_cert, ca_key = folder / "ca.pem", folder / "ca.key"
    if not ca_cert.exists():
        pki.make_ca("Stand-in Push CA", kind="rsa").write(ca_cert, ca_key)
    ca = load(ca_cert, ca_key)
    if not (folder / "server.pem").exists():
        pki.issue(ca, "localhost", server=["127.0.0.1", "localhost"], days=3650).write(
            folder / "server.pem", folder / "server.key")
    client = folder / f"{prefix}.pem"
    if not client.exists():
        number = topic_uuid or str(uuid.uuid4())
        pki.issue(ca, f"APSP:{number}", client=True, uid=f"com.apple.mgmt.External.{number}", kind="rsa",
                  days=days).write(client, folder / f"{prefix}.key")
    return topic_of(x509.load_pem_x509_certificate(client.read_bytes()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--topic-uuid")
    parser.add_argument("--prefix", default="client")
    options = parser.parse_args()
    print(ensure(options.folder, options.topic_uuid, options.prefix))


if __name__ == "__main__":
    main()
