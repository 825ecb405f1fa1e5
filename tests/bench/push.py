"""Pushes: how many a second against what the stand-in can take, and how long one waits under cron."""
import datetime
import hashlib
import json
import re
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
from push_bench import PushBench  # noqa: E402

from rows import row

BULK = """
    INSERT INTO devices (id, external_id, created_at, updated_at)
        SELECT seq, CONCAT('bulk-', seq), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) FROM seq_1_to_{count};
    INSERT INTO enrollments (id, uuid, device_id, generation, channel, external_id, current_id, state, auth, topic, push_magic,
            push_token, token_update_tally, created_at, token_updated_at)
        SELECT seq, INSERT(MD5(seq), 9, 0, '-'), seq, 1, 'device', CONCAT('bulk-', seq), CONCAT('bulk-', seq), 'current', 'tls',
            '{topic}', CONCAT('magic-', seq), UNHEX(SHA2(seq, 256)), 1, UTC_TIMESTAMP(6) - INTERVAL 1 DAY,
            UTC_TIMESTAMP(6) - INTERVAL 1 DAY FROM seq_1_to_{count}
"""
ROUNDS = 4   # of h2load, half of them before and half after


def start(bench, count, **settings):
    (bench.folder / "keys/message.key").write_text(secrets.token_hex(32) + "\n")
    bench.write_conf(organization="Bench", **settings)
    bench.checked("push-cert", "import", bench.certs / "client.pem", bench.certs / "client.key")
    bench.start_apns()
    bench.sql(BULK.format(count=count, topic=bench.topic))


def h2load(bench, requests):
    """Pushes a second, as the tool tells them, and how many were not accepted."""
    payload = bench.folder / "payload"
    payload.write_text(json.dumps({"mdm": "magic-1"}))
    headers = [f"apns-topic: {bench.topic}", "apns-push-type: mdm", "apns-priority: 10", "apns-expiration: 0"]
    url = f"https://127.0.0.1:{bench.open_port}/3/device/{hashlib.sha256(b'1').hexdigest()}"
    told = subprocess.run(["h2load", "-n", str(requests), "-c", "1", "-m", "100", "-d", payload,
                           *[word for header in headers for word in ("-H", header)], url],
                          capture_output=True, text=True, check=True).stdout
    accepted = int(re.search(r"status codes: (\d+) 2xx", told)[1])
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", told)[1]), requests - accepted


def push_all(bench, count):
    """Seconds until everything that is due was pushed."""
    bench.sql(f"INSERT INTO push_state (enrollment_id, due_at) SELECT seq, UTC_TIMESTAMP(6) - INTERVAL 1 SECOND FROM seq_1_to_{count}")
    began = time.monotonic()
    while int(bench.sql("SELECT COUNT(*) FROM push_state WHERE last_pushed_at IS NULL")):
        process = bench.start("pomona-push")
        _, told = process.communicate(timeout=900)
        if process.returncode != 0:
            raise RuntimeError(f"pomona-push: exit {process.returncode}\n{told[-2000:]}")
    return time.monotonic() - began


def push(_world, sizes):
    count = sizes.pushes
    with PushBench() as bench:
        start(bench, count, push_url=f"https://127.0.0.1:{bench.open_port}")
        share = count // ROUNDS
        before = [h2load(bench, share) for _ in range(ROUNDS // 2)]
        accepted = len(bench.pushes())
        seconds = push_all(bench, count)
        accepted = len(bench.pushes()) - accepted
        after = [h2load(bench, share) for _ in range(ROUNDS // 2)]
    against = statistics.median(rate for rate, _ in before + after)
    yield row("push", f"pushes to {count:,} enrolments of one topic; h2load on the same port of the stand-in", "pushes/s",
              count / seconds, against, at_least=0.4, errors=abs(count - accepted) + sum(failed for _, failed in before + after),
              detail={"seconds": round(seconds, 1), "h2load": [round(rate) for rate, _ in before + after]})


def enqueue_range(bench, seconds, count, done):
    """One command to each of the next enrolments, evenly; seconds since the epoch by token."""
    given, began = {}, time.monotonic()
    for number in range(done + 1, done + count + 1):
        pause = began + (number - done - 1) * seconds / count - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        given[hashlib.sha256(str(number).encode()).hexdigest()] = time.time()
        bench.checked("command", "enqueue", f"bulk-{number}", "--type", "DeviceInformation")
    return given


def delay(_world, sizes):
    """Slots as cron gives them: a new worker each minute, which overlaps the one before."""
    slot, count = sizes.slot, sizes.enqueued
    with PushBench() as bench:
        start(bench, count)
        workers = []
        given = {}
        for _ in range(sizes.slots):
            workers.append(bench.start("pomona-push", "--for", f"{slot + 5}s"))
            given |= enqueue_range(bench, slot, count // sizes.slots, len(given))
        codes = [worker.wait(slot + 60) for worker in workers]
        first = {}
        for entry in bench.pushes():
            first.setdefault(entry["token"], datetime.datetime.fromisoformat(entry["time"]).timestamp())
    waits = sorted(first[token] - at for token, at in given.items() if token in first)
    lost = len(given) - len(waits)
    p99 = waits[int(0.99 * (len(waits) - 1))] if waits else None
    yield row("delay", f"from the start of `pomona command enqueue` to the push: p99 of {len(given):,}, workers as cron starts them",
              "s", p99 if p99 is not None else float("inf"), at_most=1, errors=lost, also=not any(codes),
              detail={"p50_s": round(statistics.median(waits), 3) if waits else None, "slots": sizes.slots, "slot_s": slot})
