"""A private stack under fire: a fleet lives on it, commands are queued all the time, and everything is killed at random.

    with Chaos(devices=100, seed=1) as chaos:
        chaos.run(seconds=40)          kills, crash points, database and APNs faults, at random times
        chaos.settle(seconds=120)      everything heals; the fleet finishes what it began
        chaos.check()                  {rule: Verdict}, see invariants.py
        chaos.counts                   what was done
"""
import collections
import datetime
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

import facts
import invariants
import stack
from pomona_stack.database import DatabaseError

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("lib", "cgi", "workers", "admin")
HANDLERS = ("mdm-1", "mdm-2", "scep", "enroll", "push")
TYPES = ("DeviceInformation", "SecurityInfo", "ProfileList", "CertificateList", "InstalledApplicationList", "Restrictions")
BACK_OFF = 0.1
APNS_FAULTS = [{"status": 500, "reason": "InternalServerError"}, {"status": 503, "reason": "Shutdown"},
               {"status": 429, "reason": "TooManyRequests"}, {"status": 403, "reason": "InvalidProviderToken"},
               {"status": 400, "reason": "BadDeviceToken"}, {"status": 410, "reason": "Unregistered"}, {"hang": True}, {"reset": True}, {"goaway": True}, {"delay": 0.5}]


def crash_points():
    """Every name that the programs pass to sys::crash_point, from their source."""
    names = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.cpp"):
            names.update(re.findall(r'crash_point\(\s*"([^"]+)"\)', path.read_text()))
    return sorted(names)


def utc_now():
    return datetime.datetime.utcnow().strftime("%Y-%m-%d %H:%M:%S.%f")


class Orders:
    """Queues commands through `pomona command enqueue` and notes which devices took them."""

    def __init__(self, chaos, pause, renewals):
        self.chaos, self.pause, self.renewals = chaos, pause, renewals
        self.random = random.Random(chaos.random.random())
        self.path = chaos.stack.folder / "orders.jsonl"
        self.over = threading.Event()
        self.dropped = False   # the outcome of what runs is of no interest any more
        self.threads = [threading.Thread(target=work) for work in (self.go_on, self.go_on_approving)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def go_on_approving(self):
        while not self.over.wait(0.5):
            try:
                self.approve()
            except DatabaseError:
                pass   # it is down just now

    def go_on(self):
        while not self.over.wait(self.pause):
            ids = self.chaos.enrolled()
            if not ids:
                continue
            if self.random.random() < self.renewals:
                self.renew(self.random.choice(ids))
            else:
                self.enqueue(self.random.sample(ids, max(1, len(ids) * self.random.randint(1, 30) // 100)))

    def patiently(self, *argv):
        """Runs a program until it has done its work; it dies at crash points, and the database may be away."""
        while not self.dropped:
            run = self.chaos.pomona(*argv)
            if run.returncode in (0, 1) and run.stdout.strip():
                return json.loads(run.stdout)
            if run.returncode in (1, 2, 3):
                return None   # refused: nothing was queued
            time.sleep(0.2)
        return None

    def enqueue(self, ids):
        command = str(uuid.UUID(int=self.random.getrandbits(128))).upper()
        priority = self.random.choice([100, 100, 100, 50, 200])
        told = self.patiently("command", "enqueue", ",".join(ids), "--type", self.random.choice(TYPES), "--uuid", command,
                              "--priority", priority)
        if told is None:
            return
        # "has answered" is what a second try is told of a device that was quick.
        took = [target["id"] for target in told["targets"] if target["queued"] or "has answered" in target["error"]]
        self.note({"uuid": command, "ids": took, "priority": priority})
        self.chaos.counts["commands queued"] += len(took)

    def renew(self, device):
        if self.patiently("enrollment", "renew", device) is not None:
            self.chaos.counts["renewals queued"] += 1

    def approve(self):
        """Lets in who enrolled again, where that waits for an admin."""
        for line in self.chaos.stack.sql("SELECT uuid FROM enrollments e WHERE state = 'pending' AND token_update_tally > 0 AND generation = "
                                         "(SELECT MAX(generation) FROM enrollments WHERE device_id = e.device_id)").split():
            self.chaos.counts["approvals"] += self.chaos.pomona("enrollment", "approve", line).returncode == 0

    def note(self, order):
        with open(self.path, "a") as out:
            out.write(json.dumps(order | {"done": utc_now()}) + "\n")

    def end(self):
        self.over.set()
        for thread in self.threads:
            if thread.is_alive():
                thread.join()


class Chaos:
    def __init__(self, devices=100, seed=1, every=5.0, pause=0.5, renewals=0.2, options=(), settings=None):
        self.devices, self.seed = devices, seed
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.fleet = self.orders = None
        self.waiting = []
        self.commands = {}   # `pomona` at work, by pid
        self.points = crash_points()
        if not self.points:
            raise RuntimeError("the source names no crash point")
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-chaos-")
        self.crash_file = Path(self.holder.name) / "crash-at"
        self.stack = stack.Stack(settings, back_off=BACK_OFF, environment={"POMONA_CRASH_AT": f"@{self.crash_file}"})
        self.journal = self.stack.folder / "journal.jsonl"
        try:
            self.start_fleet(every, options)
            self.orders = Orders(self, pause, renewals)
            self.orders.start()
        except BaseException:
            self.close()
            raise

    def start_fleet(self, every, options):
        stack.KEYS.mkdir(parents=True, exist_ok=True)
        self.fleet_log = open(self.stack.folder / "logs/fleet.log", "w")
        argv = ["pomona-device", "live", "--url", f"{self.stack.env['POMONA_URL']}/enroll", "--ca-file",
                self.stack.env["POMONA_CA_FILE"], "--keys", stack.KEYS, "--count", self.devices, "--every", every, "--seed",
                self.seed, "--journal", self.journal, "--apns-log", self.stack.env["POMONA_APNS_LOG"], "--timeout", 180, *options]
        self.fleet = subprocess.Popen([str(word) for word in argv], env=self.stack.env, stdin=subprocess.DEVNULL,
                                      stdout=self.fleet_log, stderr=self.fleet_log)

    def pomona(self, *argv):
        process = subprocess.Popen(["pomona", *map(str, argv), "--json"], env=self.stack.env | {"POMONA_CRASH_AT": f"@{self.crash_file}"},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.commands[process.pid] = process
        out, _ = process.communicate()
        del self.commands[process.pid]
        return subprocess.CompletedProcess(argv, process.returncode, out)

    def enrolled(self):
        try:
            return self.stack.sql("SELECT external_id FROM enrollments WHERE current_id IS NOT NULL AND token_update_tally > 0").split()
        except DatabaseError:
            return []

    def results(self):
        try:
            return int(self.stack.sql("SELECT COUNT(*) FROM results"))
        except DatabaseError:
            return 0

    # --- what goes wrong ------------------------------------------------------------------------------------------------

    def hit(self, name, number=signal.SIGKILL):
        pid = self.stack.pid(name)
        if pid is None:
            return
        try:
            os.kill(pid, number)
            self.counts[f"{'kill -9' if number == signal.SIGKILL else 'signal ' + signal.Signals(number).name} {name}"] += 1
        except ProcessLookupError:
            pass

    def kill_command(self):
        for process in list(self.commands.values())[:1]:
            process.kill()
            self.counts["kill -9 pomona"] += 1

    def kill_handler(self):
        self.hit(self.random.choices(HANDLERS, [4, 4, 3, 2, 2])[0])

    def set_crash_point(self):
        name = self.random.choice(self.points)
        order = self.random.choice([name, name, f"{name}:0.5", f"*:{self.random.choice(['0.005', '0.02', '0.05'])}"])
        self.order_crash(order)
        self.counts["crash points set"] += 1

    def order_crash(self, order):
        new = self.crash_file.with_suffix(".new")
        new.write_text(order + "\n")
        new.rename(self.crash_file)

    def kill_database(self):
        self.hit("mariadb")

    def stop_database(self):
        pid = self.stack.pid("mariadb")
        if pid is None:
            return
        self.hit("mariadb", signal.SIGSTOP)
        time.sleep(self.random.choice([1, 2, 4, 12]))
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def reload_nginx(self):
        self.hit("nginx", signal.SIGHUP)

    def trouble_apns(self):
        script = {"*": [self.random.choice(APNS_FAULTS) for _ in range(self.random.randint(1, 30))] + [{}]}
        self.stack.script_pushes(script)
        self.counts["APNs faults set"] += 1

    def run(self, seconds, tick=0.4, tell=lambda text: None):
        deeds = {self.kill_handler: 50, self.set_crash_point: 25, self.kill_command: 5, self.reload_nginx: 2, self.trouble_apns: 4,
                 self.kill_database: 90 * tick / 60, self.stop_database: 90 * tick / 60}   # about once a minute each
        end = time.monotonic() + seconds
        told = 0
        while (left := end - time.monotonic()) > 0:
            if self.fleet.poll() is not None:
                raise RuntimeError(f"the fleet ended by itself: {self.fleet.returncode}")
            self.random.choices(list(deeds), list(deeds.values()))[0]()
            time.sleep(self.random.uniform(0, 2 * tick))
            if time.monotonic() - told > 5:
                told = time.monotonic()
                self.sample()
                tell(f"{left:6.0f} s left  {self.died()} processes died, {self.counts['commands queued']} commands queued for "
                     f"{len(self.enrolled())} devices, {self.journal.stat().st_size // 1000 if self.journal.exists() else 0} kB of journal")

    def sample(self):
        """Looks at what is wrong at any moment if it is wrong at all."""
        try:
            self.waiting += facts.waiting(self.stack.sql)
        except DatabaseError:
            pass

    # --- the end --------------------------------------------------------------------------------------------------------

    def died(self):
        return len(re.findall(r"ended with -9 ", (self.stack.folder / "logs/supervisor.log").read_text()))

    def heal(self):
        self.crash_file.unlink(missing_ok=True)
        self.stack.script_pushes({})
        if pid := self.stack.pid("mariadb"):
            os.kill(pid, signal.SIGCONT)

    def settle(self, seconds=180):
        """True when every device came to its end in time."""
        self.heal()
        self.orders.end()
        self.orders.approve()
        self.heal()   # an order may have waited for the file to go
        time.sleep(1)
        self.fleet.send_signal(signal.SIGTERM)
        try:
            done = self.fleet.wait(seconds + 30) == 0
        except subprocess.TimeoutExpired:
            self.fleet.kill()
            return False
        self.orders.approve()
        return done

    def wait_for_pushes(self, seconds=75):
        """Until none is due; what a killed worker held is free after the time of its lease. What is left is the checker's to judge."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and "1" in self.stack.sql(
                "SELECT 1 FROM push_state p JOIN enrollments e ON e.id = p.enrollment_id WHERE p.due_at < UTC_TIMESTAMP(6) AND "
                "p.dead_since IS NULL AND e.state = 'current' LIMIT 1"):
            time.sleep(1)

    def check(self):
        found = facts.load(self.stack.sql, [self.journal], self.orders.path)
        found.waiting += self.waiting
        report = invariants.check(found)
        report["programs die when they are killed and never by themselves"] = self.deaths()
        answers = collections.Counter()
        for story in found.stories.values():
            for exchange in story.exchanges:
                answers[(exchange.answer or {}).get("http", "none")] += 1
        self.counts["processes died"] = self.died()
        access = (self.stack.folder / "logs/nginx-access.log").read_text(errors="replace")
        self.counts["requests that nginx gave to a second handler"] = len(re.findall(r"upstream=[\d-]+, \d+", access))
        self.counts |= {f"answers {status}": count for status, count in answers.items()}
        for name in ("enrollments", "certificates", "results", "events"):
            self.counts[f"{name} stored"] = len(getattr(found, name))
        return report

    def deaths(self):
        """Ends that nobody asked for, and words of the sanitizers."""
        log = (self.stack.folder / "logs/supervisor.log").read_text()
        ends = re.findall(r"(\S+) ended with (-?\d+) ", log)
        wrong = [f"{name} ended with {code}" for name, code in ends if code != "-9" and not (name == "push" and code in ("1", "75"))]
        for path in (self.stack.folder / "logs").glob("*.log"):
            text = path.read_text(errors="replace")
            wrong += [f"{path.name}: {line}" for line in text.splitlines() if "Sanitizer" in line or "runtime error" in line or "defect:" in line]
        return invariants.Verdict(len(ends), wrong)

    def close(self):
        self.crash_file.unlink(missing_ok=True)
        if self.fleet and self.fleet.poll() is None:
            self.fleet.kill()
            self.fleet.wait()
        if self.orders:
            self.orders.dropped = True
            self.orders.over.set()
            for process in list(self.commands.values()):
                process.kill()
            self.orders.end()
        self.stack.close()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
