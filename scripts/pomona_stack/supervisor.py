"""The supervisor of the private stack: supervisor.py FOLDER [--owner PID]

Reads FOLDER/plan.json, a list of services in the order in which they start; each is an object:
  name, argv, env       what to run; stdout and stderr go to FOLDER/logs/NAME.log
  sockets               Unix sockets that this program listens on and hands over as LISTEN_FDS, as systemd does
  every                 a worker: run again so many seconds after it ended well, as cron would
  stamp                 any text; another stamp means another program or configuration: restart
  reload                any text; another one means SIGHUP
  last                  ended after all others (the database)
  patience              seconds between SIGTERM and SIGKILL (30)
  back_off              longest pause before it is started again after it died (5 seconds)
Restarts what died, with a short back-off. SIGHUP: read the plan again. SIGTERM: end everything it started, and leave.
It leaves as well when the process OWNER is gone (tests). Each child has FOLDER/pids/NAME; FOLDER/status.json tells all.
"""
import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from pomona_stack import processes  # noqa: E402

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
PR_SET_PDEATHSIG = 1
STEADY_SECONDS = 10
MAX_BACK_OFF = 5.0
LIBC = ctypes.CDLL(None)


def say(text):
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)


def listen(path):
    """A listening Unix socket for the stack's own user; takes the place of what an earlier supervisor left."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, 0o660)
    listener.listen(4096)
    return listener


class Service:
    def __init__(self, folder, spec):
        self.folder, self.spec, self.wanted = folder, spec, spec
        self.name = spec["name"]
        self.sockets = [listen(path) for path in spec.get("sockets", [])]
        self.pid, self.started, self.stop_by = None, 0.0, None
        self.failures, self.restarts, self.due = 0, 0, 0.0
        self.last_exit, self.since = None, None

    def pid_file(self):
        return self.folder / "pids" / self.name

    def start(self):
        self.spec = self.wanted
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self.become(parent)
            except BaseException as error:
                os.write(2, f"{self.name}: cannot run {self.spec['argv'][0]}: {error}\n".encode())
            os._exit(127)
        self.pid, self.started, self.stop_by = pid, time.monotonic(), None
        self.since = int(time.time())
        processes.record(self.pid_file(), pid)

    def become(self, parent):
        """In the child: the environment that systemd would give, then the program."""
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
        log = os.open(self.folder / "logs" / f"{self.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # Two steps, because the target numbers may be those of other sockets.
        high = [os.dup(s.fileno()) for s in self.sockets]
        while any(fd < 3 + len(high) for fd in high):
            high = [os.dup(fd) for fd in high]
        for number, fd in enumerate(high):
            os.dup2(fd, 3 + number)
        environment = dict(self.spec.get("env", {}))
        if high:
            environment |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvpe(self.spec["argv"][0], self.spec["argv"], environment)

    def stop(self):
        if self.pid and self.stop_by is None:
            self.stop_by = time.monotonic() + self.spec.get("patience", 30)
            os.kill(self.pid, signal.SIGTERM)

    def update(self, spec):
        """Takes a new plan: nothing, SIGHUP, or a restart."""
        old, self.wanted = self.wanted, spec
        if spec.get("sockets", []) != old.get("sockets", []):
            for listener in self.sockets:
                listener.close()
            self.sockets = [listen(path) for path in spec.get("sockets", [])]
        if {**old, "reload": None} != {**spec, "reload": None}:
            self.failures, self.due = 0, 0.0
            self.stop()
        elif old.get("reload") != spec.get("reload") and self.pid:
            os.kill(self.pid, signal.SIGHUP)

    def ended(self, code):
        """Its process is gone; decides when the next one is due."""
        asked, lived = self.stop_by is not None, time.monotonic() - self.started
        self.pid, self.stop_by, self.last_exit = None, None, code
        self.pid_file().unlink(missing_ok=True)
        if asked:
            self.due = 0.0
            return
        if self.spec.get("every") is not None and code in (0, 75):
            self.failures = 0
            self.due = time.monotonic() + self.spec["every"]
            return
        self.failures = 1 if lived > STEADY_SECONDS else self.failures + 1
        self.restarts += 1
        pause = min(self.spec.get("back_off", MAX_BACK_OFF), 0.1 * 2 ** min(self.failures - 1, 10))
        self.due = time.monotonic() + pause
        say(f"{self.name} ended with {code} after {lived:.1f} s; starting it again in {pause:.1f} s")

    def close(self):
        for listener in self.sockets:
            listener.close()
        for path in self.wanted.get("sockets", []):
            if os.path.exists(path):
                os.unlink(path)

    def status(self):
        return {"pid": self.pid, "since": self.since if self.pid else None,
                "restarts": self.restarts, "last_exit": self.last_exit, "worker": self.spec.get("every") is not None}


class Supervisor:
    def __init__(self, folder, owner):
        self.folder = folder
        self.owner = (owner, processes.began(owner)) if owner else None
        self.services, self.leaving = {}, []
        self.ending, self.told = False, None

    def read_plan(self):
        plan = json.loads((self.folder / "plan.json").read_text())
        names = [spec["name"] for spec in plan]
        for name in [n for n in self.services if n not in names]:
            gone = self.services.pop(name)
            gone.stop()
            self.leaving.append(gone)
        for spec in plan:
            if spec["name"] in self.services:
                self.services[spec["name"]].update(spec)
            else:
                self.services[spec["name"]] = Service(self.folder, spec)
        self.services = {name: self.services[name] for name in names}

    def everyone(self):
        return list(self.services.values()) + self.leaving

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for service in self.everyone():
                if service.pid == pid:
                    service.ended(os.waitstatus_to_exitcode(status))

    def tick(self):
        """Starts what is due, kills what does not end."""
        now = time.monotonic()
        for service in self.everyone():
            if service.stop_by is not None and now > service.stop_by:
                say(f"{service.name} did not end; killing it")
                os.kill(service.pid, signal.SIGKILL)
                service.stop_by = now + 60
        for service in [s for s in self.leaving if s.pid is None]:
            service.close()
            self.leaving.remove(service)
        if self.ending:
            first = [s for s in self.everyone() if s.pid and not s.spec.get("last")]
            for service in first or self.everyone():
                service.stop()
            return
        for service in self.services.values():
            if service.pid is None and now >= service.due:
                service.start()

    def write_status(self):
        text = json.dumps({name: s.status() for name, s in self.services.items()}, indent=1) + "\n"
        if text == self.told:
            return
        self.told = text
        new = self.folder / ".status.json.new"
        new.write_text(text)
        new.rename(self.folder / "status.json")

    def pause(self):
        """Seconds until something is due that no signal announces."""
        now = time.monotonic()
        moments = [s.due for s in self.services.values() if s.pid is None] if not self.ending else []
        moments += [s.stop_by for s in self.everyone() if s.stop_by is not None]
        return max(0.0, min([m - now for m in moments] + [1.0]))

    def run(self):
        self.read_plan()
        while True:
            self.tick()
            self.write_status()
            if self.ending and not any(s.pid for s in self.everyone()):
                break
            got = signal.sigtimedwait(SIGNALS, self.pause() + 0.01)
            self.reap()
            if got and got.si_signo == signal.SIGHUP and not self.ending:
                self.read_plan()
            elif got and got.si_signo in (signal.SIGTERM, signal.SIGINT):
                self.ending = True
            if self.owner and processes.began(self.owner[0]) != self.owner[1]:
                self.ending = True
        for service in self.services.values():
            service.close()
        (self.folder / "status.json").unlink(missing_ok=True)


def main():
    folder = Path(sys.argv[1]).resolve()
    owner = int(sys.argv[3]) if sys.argv[2:3] == ["--owner"] else None
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.umask(0o077)
    (folder / "pids").mkdir(exist_ok=True)
    pid_file = folder / "supervisor.pid"
    processes.record(pid_file, os.getpid())
    say("supervisor started")
    try:
        Supervisor(folder, owner).run()
    finally:
        pid_file.unlink(missing_ok=True)
    say("supervisor ended")


if __name__ == "__main__":
    main()
