"""A rig with a CA and kept profiles, so that identities can be renewed; plays pomona-enroll and pomona-scep around pomona-mdm.

    device = rig.enrolled()                      with the profile it was given
    rig.renew(device)                            pomona enrollment renew; the answer
    offer = Offer(rig.idle(device))              the renewal as handed out: offer.profile, offer.challenge, ...
    renewed = rig.redeem(device, offer)          a second identity for its challenge, as SCEP gives one
"""
import dataclasses
import datetime
import hashlib
import json
import plistlib
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import mdm_rig  # noqa: E402
import mdm_signature  # noqa: E402
import pki  # noqa: E402

HOUR, DAY = 3600, 24 * 3600
SCEP_URL = "http://scep.example.test/scep"
FROZEN = {"root_identifier": "test.example.old-name.enrollment", "server_url": "https://old.example.test/mdm",
          "checkin_url": "https://old.example.test/checkin", "access_rights": 8187,
          "capabilities": "com.apple.mdm.per-user-connections com.apple.mdm.bootstraptoken"}


class Offer:
    """A renewal in an answer: InstallProfile with an enrolment profile, encrypted to `identity` or in the clear."""

    def __init__(self, response, identity=None):
        self.response = response
        command = plistlib.loads(response.body)
        assert command["Command"]["RequestType"] == "InstallProfile", command
        self.uuid, self.bytes = command["CommandUUID"], command["Command"]["Payload"]
        self.root = plistlib.loads(self.bytes)
        self.encrypted = self.root.get("IsEncrypted", False)
        self.payloads = decrypted(self.root["EncryptedPayloadContent"], identity) if self.encrypted and identity else \
            self.root.get("PayloadContent", [])
        by_type = {payload["PayloadType"]: payload for payload in self.payloads}
        self.mdm, self.scep = by_type.get("com.apple.mdm"), by_type.get("com.apple.security.scep")
        self.challenge = self.scep["PayloadContent"]["Challenge"] if self.scep else None


def decrypted(cms, identity):
    """The payloads of EncryptedPayloadContent, opened by openssl with this identity's key."""
    with tempfile.TemporaryDirectory() as name:
        cert, key = Path(name) / "cert.pem", Path(name) / "key.pem"
        identity.write(cert, key)
        run = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-recip", cert, "-inkey", key], input=cms,
                             capture_output=True)
    if run.returncode != 0:
        raise ValueError(run.stderr.decode())
    return plistlib.loads(run.stdout)


class TrustRig(mdm_rig.Rig):
    def __init__(self, **settings):
        super().__init__(**({"scep_url": SCEP_URL, "organization": "Test"} | settings))
        self.settings = settings
        try:
            self.pomona("ca", "init")
        except BaseException:
            self.close()
            raise

    def ticket(self, purpose="enroll", topic=mdm_rig.TOPIC, auth="tls", **more):
        """With the profile that its holder was given."""
        number = super().ticket(purpose, topic, auth, **more)
        if purpose != "renew":
            self.insert("profiles", ticket_id=number, uuid=str(uuid.uuid4()).upper(), topic=topic,
                        sign_message=int(auth == "signature"), created_at=mdm_rig.sql_time(datetime.datetime.utcnow()), **FROZEN)
        return number

    def device(self, *arguments, identity=None, kind_of_key="ec", days=365, **ticket):
        identity = identity or pki.issue(self.ca, "device", client=True, days=days, kind=kind_of_key)
        return super().device(*arguments, identity=identity, **ticket)

    def renew(self, device, *options, clock=0):
        return json.loads(self.pomona("enrollment", "renew", device.udid, *options, "--json", clock=clock).stdout)

    def offered(self, device):
        """Queues a renewal and fetches it over TLS."""
        self.renew(device)
        return Offer(self.idle(device))

    def ticket_of(self, challenge):
        """(id, state, purpose, enrollment_id, seconds until it expires) of the ticket behind a challenge; None without one."""
        digest = hashlib.sha256(challenge.encode()).hexdigest()
        row = self.sql("SELECT id, state, purpose, enrollment_id, TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), expires_at) FROM tickets "
                       f"WHERE challenge_sha256 = x'{digest}'")
        if not row:
            return None
        number, state, purpose, enrollment, left = row.split("\t")
        return int(number), state, purpose, int(enrollment), int(left)

    def redeem(self, device, offer, kind="ec"):
        """The same device with the identity that SCEP gives for the challenge of an offer."""
        number, state, _, enrollment, _ = self.ticket_of(offer.challenge)
        assert state == "open", state
        identity = pki.issue(self.ca, "renewed", client=True, kind=kind)
        return dataclasses.replace(device, identity=identity, number=number,
                                   certificate_id=self.certificate(identity, number, enrollment))

    def restart(self, clock=0, **settings):
        if settings:
            self.settings = self.settings | {key.replace("_", "-"): value for key, value in settings.items()}
            settings = {"scep-url": SCEP_URL, "organization": "Test", "threads": 2} | self.settings
        super().restart(clock, **settings)

    def status(self, device):
        return self.sql(f"SELECT status FROM certificates WHERE id = {device.certificate_id}")

    def signed(self, device, message, *options, content_type=mdm_rig.CONNECT):
        """(answer, what was sent): a message under Mdm-Signature; `-noattr` for the form without a time."""
        body = plistlib.dumps(message | device.ids())
        sent = body, content_type, mdm_signature.header(mdm_signature.sign(device.identity, body, *options))
        return self.put(*sent), sent

    def last_line(self):
        return self.log_text().splitlines()[-1]


class TrustTest(mdm_rig.MdmTest):
    @classmethod
    def setUpClass(cls):
        cls.rig = TrustRig(**cls.settings)

    def setUp(self):
        if self.rig.clock:
            self.rig.restart()

    def events_of(self, device, what):
        return self.rig.sql(f"SELECT detail FROM events WHERE what = '{what}' AND external_id = '{device.udid}' ORDER BY id")

    def nothing(self, response):
        self.accepted(response)
