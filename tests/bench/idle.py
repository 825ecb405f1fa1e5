"""Polls of devices: the empty queue, a long history, a million enrolments, and reports with the next command."""
import plistlib
import statistics

from load import Duel
from rows import row
from world import FLOOR, FLOOR_INSERT

BOUND = {"tls": 0.7, "signature": 0.6}


def use_identity(world, kind):
    """The devices' enrolments are of this kind from now on."""
    world.sql(f"UPDATE enrollments SET auth = '{kind}'")


def duel(world, devices, kind, sizes, rounds=None):
    plan = world.plan()
    requests = world.in_parallel(lambda d: (d.idle(signed=kind == "signature"), d.idle(FLOOR, kind == "signature")), devices)
    for device, (ours, floor) in zip(devices, requests):
        shown = (device.certificate, device.key) if kind == "tls" else ()
        plan.connect(*shown, pomona=[ours], floor=[floor])
    for _ in range(rounds or sizes.rounds):
        plan.slice("pomona", seconds=sizes.slice)
        plan.slice("floor", seconds=sizes.slice)
    # The first round warms caches and connections to the database.
    return Duel(plan.run()[2:], "pomona", "floor")


def idle(world, sizes):
    for kind in ("tls", "signature"):
        use_identity(world, kind)
        for count in sizes.connections:
            done = duel(world, world.devices[:count], kind, sizes)
            bound = BOUND[kind] if count == 8 else None
            yield row(f"idle.{kind}.{count}", f"Idle, empty queue, {kind} identity, {count} connections; floor", "requests/s",
                      done.value, done.against, done.ratio, at_least=bound, errors=done.errors, detail=done.detail())
    use_identity(world, "tls")


def settle_history(world, devices, count):
    """Results as reports leave them, of commands that are gone."""
    names = ", ".join(f"'{device.udid}'" for device in devices)
    world.sql(f"""
        INSERT INTO results (enrollment_id, command_uuid, request_type, status, body, enqueued_at, received_at)
        SELECT e.id, CONCAT('settled-', seq), 'DeviceInformation', 'Acknowledged', RANDOM_BYTES(400), UTC_TIMESTAMP(6),
            UTC_TIMESTAMP(6) FROM enrollments e JOIN seq_1_to_{count} WHERE e.external_id IN ({names})""")


def history(world, sizes):
    """The same slices for devices with and without; half of the devices each."""
    half = min(8, len(world.devices) // 2)
    fresh, old = world.devices[:half], world.devices[half:2 * half]
    settle_history(world, old, sizes.settled)
    plan = world.plan()
    for one, other in zip(fresh, old):
        plan.connect(one.certificate, one.key, fresh=[one.idle()])
        plan.connect(other.certificate, other.key, old=[other.idle()])
    for _ in range(sizes.rounds):
        plan.slice("old", seconds=sizes.slice)
        plan.slice("fresh", seconds=sizes.slice)
    done = Duel(plan.run()[2:], "fresh", "old")
    yield row("history", f"slower with {sizes.settled:,} settled commands on each device than with none, {half} connections",
              "requests/s", done.value, done.against, done.ratio, at_most=1.2, errors=done.errors, detail=done.detail())


# One statement for each table; names and times as real ones, certificates of a usual length.
BULK = """
    SET SESSION unique_checks = 0, foreign_key_checks = 0;
    SET @device = (SELECT MAX(id) FROM devices), @enrollment = (SELECT MAX(id) FROM enrollments);
    SET @issuer = (SELECT MAX(id) FROM certificates WHERE kind = 'ca');
    INSERT INTO devices (id, external_id, serial_number, model, product_name, os_version, created_at, updated_at)
        SELECT @device + seq, UPPER(MD5(seq)), CONCAT('C02', seq), 'A2991', 'Mac15,3', '14.5', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)
        FROM seq_1_to_{count};
    INSERT INTO enrollments (id, uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, push_magic,
            push_token, token_update_tally, created_at, token_updated_at, last_seen_at)
        SELECT @enrollment + seq, INSERT(MD5(CONCAT('e', seq)), 9, 0, '-'), @device + seq, 1, 'device', UPPER(MD5(seq)),
            UPPER(MD5(seq)), 'current', 'tls', 'com.apple.mgmt.External.bulk', UUID(), UNHEX(SHA2(seq, 256)), 1,
            UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM seq_1_to_{count};
    INSERT INTO certificates (kind, status, issuer_id, serial, subject, issuer, sha256, spki_sha256, not_before, not_after, der,
            enrollment_id, created_at, issued_at, first_seen_at)
        SELECT 'identity', 'issued', @issuer, UNHEX(MD5(CONCAT('s', seq))), 'CN=bulk', 'CN=bulk CA', UNHEX(SHA2(CONCAT('c', seq), 256)),
            UNHEX(SHA2(CONCAT('k', seq), 256)), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 YEAR, REPEAT('x', 900),
            @enrollment + seq, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM seq_1_to_{count}
"""


def fill(world, count):
    """Other enrolments by the hundred thousand; the server gets room for that, and gives it back."""
    before = world.sql("SELECT @@innodb_log_file_size, @@innodb_buffer_pool_size").split()
    world.sql("SET GLOBAL innodb_log_file_size = 512 << 20, innodb_buffer_pool_size = 1536 << 20")
    world.sql(BULK.format(count=count))
    world.sql("SET GLOBAL innodb_log_file_size = {}, innodb_buffer_pool_size = {}".format(*before))
    world.sql("ANALYZE TABLE devices, enrollments, certificates")


def fleet(world, sizes):
    """Both are measured against the floor of their own minute, because they cannot run side by side."""
    devices = world.devices[:8]
    small = duel(world, devices, "tls", sizes)
    fill(world, sizes.enrolments)
    large = duel(world, devices, "tls", sizes)
    yield row("fleet", f"slower among {sizes.enrolments:,} enrolments than among {len(world.devices)}, 8 connections, both as "
              "parts of the floor", "of floor", small.ratio, large.ratio, at_most=1.5, errors=small.errors + large.errors,
              detail={"small": round(small.value), "large": round(large.value), "floor_small": round(small.against),
                      "floor_large": round(large.against), "cpu_us": large.detail()["cpu_us"]})


def requeue(world, devices):
    """Every command once more for each of the devices, as if none had been reported."""
    names = ", ".join(f"'{device.udid}'" for device in devices)
    these = f"(SELECT id FROM enrollments WHERE external_id IN ({names}))"
    world.sql(f"""
        DELETE FROM results WHERE enrollment_id IN {these}; DELETE FROM queue WHERE enrollment_id IN {these};
        INSERT INTO queue (enrollment_id, command_id, enqueued_at)
            SELECT e.id, c.id, c.created_at FROM commands c JOIN enrollments e ON e.external_id IN ({names})""")


def report_body(device):
    """1.5 kB in all."""
    keys = {"Status": "Acknowledged", "CommandUUID": "@" * 36, "QueryResponses": {"DeviceName": ""}}
    room = 1500 - len(device.body(**keys))
    return device.body(**keys | {"QueryResponses": {"DeviceName": "x" * room}})


def report(world, sizes):
    devices = world.devices[:8]
    for _ in range(sizes.commands):
        world.stack.run("pomona", "command", "enqueue", ",".join(d.udid for d in devices), "--type", "DeviceInformation", "--no-push")
    slices = []
    for _ in range(sizes.rounds):
        requeue(world, devices)
        plan = world.plan()
        for device in devices:
            body = report_body(device)
            plan.connect(device.certificate, device.key, floor=[device.put(FLOOR_INSERT, body)])
            plan.follow("pomona", device.idle(), device.put("/mdm", body))
        plan.slice("pomona")
        plan.slice("floor", requests=sizes.commands * len(devices))
        slices += plan.run()
    done = Duel(slices[2:], "pomona", "floor")
    settled = int(world.sql("SELECT COUNT(*) FROM results WHERE status = 'Acknowledged' AND command_id IS NOT NULL"))
    left = int(world.sql("SELECT COUNT(*) FROM queue"))
    yield row("report", "report of 1.5 kB and the next command, 8 connections; floor commits 1.5 kB for each request", "requests/s",
              done.value, done.against, done.ratio, at_least=0.6, errors=done.errors + left,
              also=settled == sizes.commands * len(devices), detail=done.detail() | {"settled": settled})
