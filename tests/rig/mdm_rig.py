"""pomona-mdm alone with a database: devices made of certificates and ticket rows, messages sent without nginx.

    with Rig(reenrollment="approve") as rig:
        device = rig.device("UDID-1", serial="C02")       a ticket and an identity issued under it; nothing sent yet
        rig.enroll(device)                                Authenticate and TokenUpdate
        rig.idle(device), rig.report(device, uuid, "Acknowledged", QueryResponses={})
        rig.pomona("command", "enqueue", ...), rig.json("enrollment", "list"), rig.sql("SELECT 1")

Certificates come from Python's cryptography, signatures from openssl: none of our own code makes what is tested.
"""
import dataclasses
import datetime
import json
import os
import plistlib
import secrets
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import fcgi_client  # noqa: E402
import mariadb  # noqa: E402
import pki  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402

BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))
TOPIC = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"
CHECKIN = "application/x-apple-aspen-mdm-checkin"
CONNECT = "application/x-apple-aspen-mdm; charset=UTF-8"


def sql_text(value):
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def sql_time(time):
    return time.strftime("%Y-%m-%d %H:%M:%S")


@dataclasses.dataclass
class Device:
    """What a device knows: who it is and with which identity it speaks."""
    udid: str
    identity: pki.Identity
    certificate_id: int
    serial: str = None
    auth: str = "tls"
    topic: str = TOPIC
    token: bytes = b""
    magic: str = ""
    user_enrollment: bool = False
    number: int = 0  # of its ticket

    def ids(self, user=None):
        """`user`: (UserID, short name) of a user channel."""
        named = {"EnrollmentID" if self.user_enrollment else "UDID": self.udid}
        if user and self.user_enrollment:
            return named | {"EnrollmentUserID": user[0]}
        return named | ({"UserID": user[0], "UserShortName": user[1], "UserLongName": user[1].title()} if user else {})

    def sha256(self):
        return self.identity.certificate.fingerprint(hashes.SHA256())


class Rig:
    def __init__(self, threads=2, **settings):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-mdm-")
        self.folder = Path(self.holder.name)
        self.socket = self.folder / "mdm.sock"
        self.gate = secrets.token_hex(16)
        self.process = None
        self.db = mariadb.Scratch()
        try:
            self.ca = pki.make_ca("Test Device CA")
            self.configure({"threads": threads} | {key.replace("_", "-"): value for key, value in settings.items()})
            self.pomona("secrets", "init")
            self.pomona("db", "migrate")
            self.start()
        except BaseException:
            self.close()
            raise

    def configure(self, settings):
        values = {"server-url": "https://mdm.example.test", "database-socket": self.db.socket,
                  "database-password-file": f"{self.db.passwords}/%p", "key-dir": self.folder / "keys",
                  "gate-file": self.folder / "gate"} | settings
        (self.folder / "gate").write_text(self.gate + "\n")
        self.conf = self.folder / "pomona.conf"
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in values.items()))

    def start(self, clock=0):
        self.clock = clock
        self.log = open(self.folder / "mdm.log", "ab")
        environment = os.environ | {"POMONA_TEST_CLOCK": str(clock)}
        self.process = subprocess.Popen([BUILD / "bin/pomona-mdm", "--config", self.conf, "--socket", self.socket],
                                        stdin=subprocess.DEVNULL, stderr=self.log, env=environment)
        fcgi_client.wait_for_socket(self.socket, self.process)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        if self.process:
            self.log.close()
        return self.process.returncode if self.process else 0

    def restart(self, clock=0, **settings):
        """With other settings, or another time: `clock` seconds from now."""
        self.stop()
        if settings:
            self.configure({key.replace("_", "-"): value for key, value in settings.items()})
        self.start(clock)

    def close(self):
        self.stop()
        self.db.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def log_text(self):
        return (self.folder / "mdm.log").read_text()

    def sql(self, text):
        return self.db.sql(text).strip("\n")

    def pomona(self, *arguments, check=True, stdin=None, clock=0):
        run = subprocess.run([BUILD / "bin/pomona", *map(str, arguments), "--config", self.conf], capture_output=True,
                             input=stdin, env=os.environ | {"POMONA_TEST_CLOCK": str(clock)})
        if check and run.returncode != 0:
            raise RuntimeError(f"pomona {arguments}: exit {run.returncode}\n{run.stdout.decode()}{run.stderr.decode()}")
        return run

    def json(self, *arguments, check=True):
        return json.loads(self.pomona(*arguments, "--json", check=check).stdout)

    # --- tickets and identities, as pomona-enroll and pomona-scep leave them -----------------------------------------

    def insert(self, table, **columns):
        names, values = ", ".join(columns), ", ".join(sql_text(value) for value in columns.values())
        return int(self.sql(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING id"))

    def ticket(self, purpose="enroll", topic=TOPIC, auth="tls", kind="scep", bind_udid=None, bind_serial=None,
               enrollment=None):
        now = datetime.datetime.utcnow()
        return self.insert(
            "tickets", uuid=str(uuid.uuid4()).upper(), challenge_sha256=secrets.token_bytes(32), purpose=purpose,
            auth=auth, identity=kind, topic=topic, bind_udid=bind_udid, bind_serial=bind_serial, enrollment_id=enrollment,
            attempts_left=3, expires_at=sql_time(now + datetime.timedelta(days=7)), created_at=sql_time(now),
            created_by="test")

    def certificate(self, identity, ticket, enrollment=None):
        """An issued identity; `enrollment` for one that renews it."""
        cert = identity.certificate
        return self.insert(
            "certificates", kind="identity", status="issued", serial=cert.serial_number.to_bytes(20, "big").lstrip(b"\0"),
            subject="CN=test", issuer="CN=Test Device CA", sha256=cert.fingerprint(hashes.SHA256()),
            spki_sha256=secrets.token_bytes(32), not_before=sql_time(cert.not_valid_before),
            not_after=sql_time(cert.not_valid_after), der=cert.public_bytes(serialization.Encoding.DER), ticket_id=ticket,
            enrollment_id=enrollment, created_at=sql_time(datetime.datetime.utcnow()),
            issued_at=sql_time(datetime.datetime.utcnow()))

    def device(self, udid=None, serial=None, user_enrollment=False, identity=None, days=365, topic=TOPIC, **ticket):
        """A ticket (bound as `ticket` says), and an identity that was issued under it."""
        number = self.ticket(topic=topic, **ticket)
        identity = identity or pki.issue(self.ca, "device", client=True, days=days)
        row = self.certificate(identity, number)
        return Device(udid or str(uuid.uuid4()).upper(), identity, row, serial, ticket.get("auth", "tls"), topic,
                      secrets.token_bytes(32), str(uuid.uuid4()).upper(), user_enrollment, number)

    def again(self, device, **ticket):
        """The same device with a new identity under a new ticket: it enrols again."""
        return self.device(device.udid, device.serial, device.user_enrollment, **ticket)

    def enrollment_id(self, device):
        return int(self.sql(f"SELECT id FROM enrollments WHERE current_id = {sql_text(device.udid)}"))

    def renewed(self, device, by_ticket=True):
        """The same device with a second identity, issued to renew the enrolment that is current; without a ticket: by RenewalReq."""
        enrollment = self.enrollment_id(device)
        number = self.ticket(purpose="renew", topic=device.topic, auth=device.auth, enrollment=enrollment) if by_ticket else None
        identity = pki.issue(self.ca, "device", client=True)
        return dataclasses.replace(device, identity=identity, number=number,
                                   certificate_id=self.certificate(identity, number, enrollment))

    # --- requests -----------------------------------------------------------------------------------------------------

    def put(self, body, content_type=CONNECT, params=None, path="/mdm", method="PUT", timeout=30):
        base = {"POMONA_GATE": self.gate, "CONTENT_TYPE": content_type, "SSL_CLIENT_VERIFY": "NONE", "SSL_CLIENT_CERT": ""}
        return fcgi_client.request(self.socket, method, path, body=body, params=base | (params or {}), timeout=timeout)

    @staticmethod
    def tls(device, verify="SUCCESS"):
        """Parameters as nginx sets them for a client certificate."""
        pem = device.identity.cert_pem().decode()
        return {"SSL_CLIENT_VERIFY": verify, "SSL_CLIENT_CERT": urllib.parse.quote(pem, safe="")}

    def send(self, device, body, content_type=CONNECT, params=None, **more):
        data = body if isinstance(body, bytes) else plistlib.dumps(body)
        return self.put(data, content_type, params or self.tls(device), **more)

    def check_in(self, device, message_type, user=None, params=None, **keys):
        return self.send(device, {"MessageType": message_type} | device.ids(user) | keys, CHECKIN, params)

    def authenticate(self, device, params=None, **keys):
        message = {"Topic": device.topic, "DeviceName": "Test", "Model": "A1", "ModelName": "iPhone", "OSVersion": "17.6"}
        if device.serial:
            message["SerialNumber"] = device.serial
        return self.check_in(device, "Authenticate", params=params, **(message | keys))

    def token_update(self, device, user=None, params=None, **keys):
        message = {"Topic": device.topic, "Token": device.token, "PushMagic": device.magic}
        return self.check_in(device, "TokenUpdate", user, params, **(message | keys))

    def enroll(self, device, **keys):
        for response in (self.authenticate(device), self.token_update(device, **keys)):
            if response.status != 200 or response.body:
                raise AssertionError(f"{response.status} {response.body!r}\n{self.log_text()[-2000:]}")
        return device

    def enrolled(self, *arguments, token_update=None, **keys):
        return self.enroll(self.device(*arguments, **keys), **(token_update or {}))

    def idle(self, device, user=None, params=None):
        return self.send(device, {"Status": "Idle"} | device.ids(user), params=params)

    def report(self, device, command_uuid, status="Acknowledged", user=None, params=None, **keys):
        return self.send(device, {"Status": status, "CommandUUID": command_uuid} | device.ids(user) | keys, params=params)

    # --- what there is --------------------------------------------------------------------------------------------------

    def enqueue(self, device, request_type="DeviceInformation", user=None, *options):
        """Queues a command as an admin would and returns its CommandUUID."""
        target = device.udid + (f":{user[0]}" if user else "")
        command = {"CommandUUID": str(uuid.uuid4()).upper(), "Command": {"RequestType": request_type}}
        self.pomona("command", "enqueue", target, "-", *options, stdin=plistlib.dumps(command))
        return command["CommandUUID"]

    def states(self, device):
        """States of the device's generations, oldest first."""
        return self.sql("SELECT e.state FROM enrollments e JOIN devices d ON d.id = e.device_id "
                        f"WHERE d.external_id = {sql_text(device.udid)} AND e.parent_id IS NULL "
                        "ORDER BY e.generation").split("\n")

    def events(self, what):
        return self.sql(f"SELECT detail FROM events WHERE what = {sql_text(what)} ORDER BY id").split("\n")

    def count(self, table, where="TRUE"):
        return int(self.sql(f"SELECT COUNT(*) FROM {table} WHERE {where}"))


class MdmTest(unittest.TestCase):
    """A test class with one rig; its program must leave with 0 and without a word of the sanitizers."""
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.rig = Rig(**cls.settings)

    @classmethod
    def tearDownClass(cls):
        code, text = cls.rig.stop(), cls.rig.log_text()
        cls.rig.close()
        assert code == 0 and "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    def accepted(self, response):
        self.assertEqual((response.status, response.body), (200, b""), self.rig.log_text()[-1000:])

    def refused(self, response, reason=None):
        """400 with the reason phrase; the reason itself is in the log only."""
        self.assertEqual((response.status, response.body.strip()), (400, b"Bad Request"), self.rig.log_text()[-1000:])
        if reason:
            self.assertIn(reason, self.rig.log_text().splitlines()[-1])

    def handed(self, response, command_uuid):
        self.assertEqual(response.status, 200)
        self.assertEqual((command_of(response) or (None,))[0], command_uuid)


def command_of(response):
    """(CommandUUID, RequestType) of the command in an answer; None when it is empty."""
    if not response.body:
        return None
    command = plistlib.loads(response.body)
    return command["CommandUUID"], command["Command"]["RequestType"]
