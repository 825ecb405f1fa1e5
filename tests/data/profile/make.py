#!/usr/bin/python3
"""Writes the golden profiles of this folder with Python's plistlib; test_profile.cpp renders the same values."""
import hashlib
import os
import plistlib
import uuid

here = os.path.dirname(os.path.abspath(__file__))
ROOT = "11111111-1111-4111-8111-111111111111"
IDENTITY = "22222222-2222-4222-8222-222222222222"
CA = b"\x30\x03\x02\x01\x01"  # stands for a certificate; nothing here looks into it


def derived(base, label):
    raw = hashlib.sha256(base.encode() + b"\0" + (label if isinstance(label, bytes) else label.encode())).digest()[:16]
    value = int.from_bytes(raw, "big") & ~(0xF << 76) & ~(3 << 62) | 8 << 76 | 2 << 62
    return str(uuid.UUID(int=value)).upper()


def frame(kind, identifier, number, name, description, owner):
    return {"PayloadType": kind, "PayloadVersion": 1, "PayloadIdentifier": identifier, "PayloadUUID": number,
            "PayloadDisplayName": name, "PayloadDescription": description, "PayloadOrganization": owner}


def root_certificate(base, base_uuid, owner, name):
    tag = hashlib.sha256(CA).hexdigest()[:16]
    identifier = f"{base}.trust.{tag}"
    return frame("com.apple.security.root", identifier, derived(base_uuid, identifier), name,
                 "Makes this device trust the server's certificate.", owner) | {
        "PayloadCertificateFileName": f"{tag}.cer", "PayloadContent": CA}


def enrollment(owner="Küche & Co", sign=False, trust=True, name="devices"):
    base = "org.example.mdm.enrollment"
    content = {"URL": "http://mdm.example.org/scep", "Subject": [[["O", owner]], [["CN", IDENTITY]]],
               "Challenge": "SECRETCHALLENGE", "Keysize": 2048, "Key Type": "RSA", "Key Usage": 5,
               "CAFingerprint": bytes(range(32)), "Retries": 3, "RetryDelay": 10, "KeyIsExtractable": False}
    if name:
        content["Name"] = name
    scep = frame("com.apple.security.scep", f"{base}.scep", IDENTITY, "Device identity",
                 "The certificate by which the server knows this device.", owner) | {"PayloadContent": content}
    mdm = frame("com.apple.mdm", f"{base}.mdm", derived(ROOT, f"{base}.mdm"), "Device management",
                "Lets the server manage this device.", owner) | {
        "IdentityCertificateUUID": IDENTITY, "Topic": "com.apple.mgmt.External.x", "ServerURL": "https://mdm.example.org/mdm",
        "CheckInURL": "https://mdm.example.org/mdm", "AccessRights": 8191, "SignMessage": sign, "CheckOutWhenRemoved": True,
        "ServerCapabilities": ["com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"]}
    root = frame("Configuration", base, ROOT, f"{owner} device management",
                 f"Enrols this device with {owner}, which can then configure it, install software and erase it.", owner)
    certificates = [root_certificate(base, ROOT, owner, "Example CA")] if trust else []
    return root | {"PayloadContent": certificates + [scep, mdm]}


def trust(owner="Küche & Co"):
    base = "org.example.mdm.trust"
    number = derived(base, CA)
    root = frame("Configuration", base, number, f"{owner} certificates",
                 f"Makes this device trust the certificates of {owner}'s management server.", owner)
    return root | {"PayloadContent": [root_certificate(base, number, owner, "Example CA")]}


PROFILES = {"enrollment": enrollment(), "signature": enrollment(sign=True, trust=False, name=""), "trust": trust()}
for file, profile in PROFILES.items():
    with open(os.path.join(here, f"{file}.plist"), "wb") as out:
        plistlib.dump(profile, out, sort_keys=False)
