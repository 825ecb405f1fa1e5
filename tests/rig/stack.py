"""A private stack for a test, in a folder of its own, on the build under test.

    with stack.Stack(settings={"open-enrollment": "no"}) as s:
        s.env["POMONA_URL"], s.env["POMONA_CA_FILE"] ...     what `scripts/stack env` prints, with PATH
        s.run("pomona", "ticket", "new", "--json")           CompletedProcess of a program on this stack; checked
        s.json("pomona", "ticket", "new")                    its decoded --json answer
        s.sql("SELECT COUNT(*) FROM devices")                as MariaDB's root, tab-separated text
        s.log("mdm-1"), s.pid("mdm-1"), s.pushes()           what it wrote; what the stand-in accepted
        s.up(settings={...}), s.down()                       change settings, restart, end

    Stack(back_off=0.1, environment={"POMONA_CRASH_AT": "@FILE"})    for tests that kill: restarts without long pauses, crash points

The stack ends with the test process even where that is killed.
"""
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from pomona_stack import database, processes  # noqa: E402

BUILD = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan"))
# Keys of simulated devices are slow to make; all tests share a pool.
KEYS = ROOT / "build/device-keys"


class Stack:
    def __init__(self, settings=None, build=BUILD, back_off=None, environment=None):
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-stack-")
        self.folder = Path(self.holder.name) / "run"
        self.build = build
        self.extra = ["--back-off", back_off] if back_off is not None else []
        self.environment = environment or {}
        self.env = {}
        try:
            self.up(settings)
        except BaseException:
            self.close()
            raise

    def steer(self, *arguments):
        return subprocess.run([ROOT / "scripts/stack", *map(str, arguments), "--dir", self.folder],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, env=os.environ | self.environment)

    def up(self, settings=None):
        pairs = [word for key, value in (settings or {}).items() for word in ("--set", f"{key}={value}")]
        run = self.steer("up", "--build", self.build, "--owner", os.getpid(), *self.extra, *pairs)
        if run.returncode != 0:
            raise RuntimeError(f"stack up: {run.stdout}{run.stderr}{self.tails()}")
        self.env = self.read_env()

    def down(self):
        return self.steer("down")

    def read_env(self):
        """`stack env` as a mapping, on top of this process's own variables without POMONA_ ones."""
        values = {key: value for key, value in os.environ.items() if not key.startswith("POMONA_")}
        for line in self.steer("env").stdout.splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            if key == "PATH":
                value = value.replace(':"$PATH"', "")
                values["PATH"] = f"{shlex.split(value)[0]}:{values['PATH']}"
            else:
                values[key] = shlex.split(value)[0]
        return values

    def run(self, *argv, check=True, input=None, timeout=120, text=True):
        run = subprocess.run([str(word) for word in argv], env=self.env, input=input, capture_output=True, text=text,
                             timeout=timeout)
        if check and run.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, argv))}: exit {run.returncode}\n{run.stdout}{run.stderr}")
        return run

    def json(self, *argv, **options):
        return json.loads(self.run(*argv, "--json", **options).stdout)

    def device(self, verb, name, *argv, check=True):
        """The simulated device NAME: its state lies in the stack's folder."""
        return self.run("pomona-device", verb, "--state", self.device_state(name), *argv, check=check)

    def device_state(self, name):
        return self.folder / "devices" / name

    def enroll(self, name, url=None, *argv, check=True):
        (self.folder / "devices").mkdir(exist_ok=True)
        KEYS.mkdir(parents=True, exist_ok=True)
        return self.device("enroll", name, "--url", url or f"{self.env['POMONA_URL']}/enroll", "--ca-file",
                           self.env["POMONA_CA_FILE"], "--keys", KEYS, *argv, check=check)

    def curl(self, path, *argv, http=False):
        """Returns (status, body bytes)."""
        base = self.env["POMONA_HTTP_URL" if http else "POMONA_URL"]
        run = self.run("curl", "-sS", "--max-time", "60", "--cacert", self.env["POMONA_CA_FILE"], "-w", "\n%{http_code}", *argv,
                       base + path, check=False, text=False)
        body, _, status = run.stdout.rpartition(b"\n")
        return int(status or 0), body

    def sql(self, text):
        return database.client(self.env["POMONA_MYSQL_SOCKET"], text, self.env["POMONA_DATABASE"])

    def pid(self, name):
        return processes.recorded(self.folder / "pids" / name)

    def log(self, name):
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def pushes(self):
        return [json.loads(line) for line in Path(self.env["POMONA_APNS_LOG"]).read_text().splitlines()]

    def script_pushes(self, verdicts):
        """Verdicts of the APNs stand-in by token; see tests/rig/apns.py."""
        path = self.folder / "apns-script.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps(verdicts))
        new.rename(path)

    def tails(self):
        text = ""
        for path in sorted((self.folder / "logs").glob("*.log")) if self.folder.exists() else []:
            lines = path.read_text(errors="replace").splitlines()[-15:]
            text += f"\n--- {path.name}\n" + "\n".join(lines)
        return text

    def close(self):
        self.down()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.tails(), file=sys.stderr)
        self.close()
