"""Identities in use, for tests of what a SCEP message signed by one gets: made by the program itself, bound by SQL.

    device = enrolled(bench)                            an enrolment whose identity was seen, in the second half of its life
    reply = renew(bench, device, pool_key(1))           RenewalReq; knobs as Client.message
    renewals(bench, device)                             rows that renew its certificate, oldest first
"""
import dataclasses
import itertools
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from scep_client import Client, csr, issued, pool_key, read_reply

COUNTER = itertools.count(1)


@dataclasses.dataclass
class Held:
    """What a device holds, and the ids of its rows."""
    key: object
    certificate: x509.Certificate
    ticket: object
    row: int
    enrollment: int
    uuid: str
    udid: str


def recipient(bench):
    if not hasattr(bench, "recipient"):
        bench.recipient = bench.ra_and_ca()[0]
    return bench.recipient


def row_of(bench, certificate):
    return int(bench.sql(f"SELECT id FROM certificates WHERE sha256 = UNHEX('{certificate.fingerprint(hashes.SHA256()).hex()}')"))


def new_enrollment(bench, state="current"):
    number, name = next(COUNTER), str(uuid.uuid4()).upper()
    udid = f"UDID-{name}"
    device = int(bench.sql(f"INSERT INTO devices (external_id, created_at, updated_at) VALUES ('{udid}', UTC_TIMESTAMP(), "
                           "UTC_TIMESTAMP()) RETURNING id"))
    current = f"'{udid}'" if state == "current" else "NULL"
    row = int(bench.sql(f"INSERT INTO enrollments (uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, "
                        f"created_at) VALUES ('{name}', {device}, {number}, 'device', '{udid}', {current}, '{state}', 'tls', 't', "
                        "UTC_TIMESTAMP()) RETURNING id"))
    return row, name, udid


def put_in_use(bench, row, enrollment):
    """As pomona-mdm leaves the identity of a device that enrolled long ago: 30 days of life, 20 of them over."""
    bench.sql(f"UPDATE certificates SET enrollment_id = {enrollment}, first_seen_at = UTC_TIMESTAMP(), "
              "not_before = UTC_TIMESTAMP() - INTERVAL 20 DAY, not_after = UTC_TIMESTAMP() + INTERVAL 10 DAY "
              f"WHERE id = {row}")


def enrolled(bench, key=None, in_use=True):
    key = key or pool_key(0)
    ticket = bench.ticket()
    certificate = issued(Client(recipient(bench)).ask(bench, key, ticket.challenge), key)
    row = row_of(bench, certificate)
    enrollment, name, udid = new_enrollment(bench)
    bench.sql(f"UPDATE certificates SET enrollment_id = {enrollment} WHERE id = {row}; "
              f"UPDATE tickets SET state = 'closed' WHERE id = {ticket.id}")
    if in_use:
        put_in_use(bench, row, enrollment)
    return Held(key, certificate, ticket, row, enrollment, name, udid)


def renewal(bench, device, key, challenge=None, request=None, **knobs):
    """The message; by default what strongSwan sends: type 17, no challenge."""
    knobs = {"certificate": device.certificate, "message_type": "17", "transaction_id": f"renew-{device.row}"} | knobs
    return Client(recipient(bench)).message(request or csr(key, challenge), knobs.pop("signed_by", device.key), **knobs)


def renew(bench, device, key, challenge=None, **knobs):
    return post(bench, renewal(bench, device, key, challenge, **knobs))


def post(bench, message, **options):
    answer = bench.post(message, **options)
    if answer.status != 200:
        raise AssertionError(f"status {answer.status}: {answer.body}")
    return read_reply(answer.body)


def renewals(bench, device):
    """(status, serial in hex, enrolment) of what renews its certificate."""
    rows = bench.sql(f"SELECT status, HEX(serial), enrollment_id FROM certificates WHERE renews_id = {device.row} ORDER BY id")
    return [tuple(line.split("\t")) for line in rows.splitlines()]


def last_line(bench):
    return bench.log.read_text().splitlines()[-1]
