"""Steady load in which every request comes on a connection of its own: what breaks while something restarts is seen.

    targets = [fresh_load.idle(s, "device-1"),                      a device of the stack (s.enroll() first) says Idle
               fresh_load.report(s, "device-1"),                    it reports a CommandUUID of its own each time
               fresh_load.get(s, "/trust"), fresh_load.get(s, "/scep?operation=GetCACaps", http=True, rate=40)]
    with fresh_load.Load(targets, threads=8) as load:
        os.kill(...)
        load.wait_for(50)                                           until 50 more requests are answered
    load.failures    what was no answer as expected: [Failure(target, seconds since the start, what)]
    load.answered    Counter of answers as expected, by target; load.slowest: seconds, by target
    load.sent        what `report` got 200 for: {target: [CommandUUID, ...]}
    load.text()      the counts and the first failures, for people

A failure is: no connection, no handshake, no whole answer within `timeout`, or another status than the one expected. With
`also` other statuses are borne, such as 503 where a database is away. `rate` bounds a target's requests per second (nginx
limits /enroll and /scep). Each thread takes the targets in turn. The client costs about as much processor time as the server.
"""
import collections
import dataclasses
import plistlib
import socket
import ssl
import threading
import time
import urllib.parse
import uuid

CONNECT = "application/x-apple-aspen-mdm; charset=UTF-8"
RECEIVE = 1 << 16


@dataclasses.dataclass
class Failure:
    target: str
    at: float
    what: str


class Target:
    """`make()` gives (body, token): the token is kept in Load.sent once the answer was as expected."""

    def __init__(self, name, url, method="GET", make=None, headers=None, context=None, expected=200, also=(), rate=None, timeout=30):
        parts = urllib.parse.urlsplit(url)
        self.name, self.host, self.port, self.context = name, parts.hostname, parts.port, context
        self.path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.method, self.make, self.headers = method, make or (lambda: (b"", None)), headers or {}
        self.expected, self.also, self.rate, self.timeout = expected, set(also), rate, timeout
        self.due, self.lock = 0.0, threading.Lock()

    def may_go(self):
        """Takes one of the places that the rate allows."""
        if self.rate is None:
            return True
        with self.lock:
            now = time.monotonic()
            if now < self.due:
                return False
            self.due = max(self.due, now - 1) + 1 / self.rate
            return True

    def request(self, body):
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def exchange(self, body):
        """Status and body of the answer; raises OSError or ValueError where there is no whole one."""
        with socket.create_connection((self.host, self.port), self.timeout) as plain:
            connection = self.context.wrap_socket(plain, server_hostname="localhost") if self.context else plain
            with connection:
                connection.sendall(self.request(body))
                answer = b""
                while data := connection.recv(RECEIVE):
                    answer += data
        return whole(answer)


def whole(answer):
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        raise ValueError(f"closed after {len(answer)} bytes of an answer" if answer else "closed without an answer")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if "chunked" in fields.get("transfer-encoding", "") and not body.endswith(b"0\r\n\r\n"):
        raise ValueError("closed before the last chunk")
    if len(body) < int(fields.get("content-length", 0)):
        raise ValueError(f"closed after {len(body)} of {fields['content-length']} bytes of the body")
    return int(lines[0].split()[1]), body


class Load:
    def __init__(self, targets, threads=8):
        self.targets, self.threads = targets, [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(threads)]
        self.lock, self.more, self.ending = threading.Lock(), None, False
        self.more = threading.Condition(self.lock)
        self.answered, self.sent, self.failures = collections.Counter(), collections.defaultdict(list), []
        self.slowest, self.began, self.ended = collections.defaultdict(float), None, None

    def run(self, number):
        turn = number
        while not self.ending:
            target, turn = self.targets[turn % len(self.targets)], turn + 1
            if target.may_go():
                self.one(target)
            elif turn % len(self.targets) == number % len(self.targets):
                time.sleep(0.005)   # every target had its turn

    def one(self, target):
        body, token = target.make()
        began, failure = time.monotonic(), None
        try:
            status, _ = target.exchange(body)
            if status != target.expected and status not in target.also:
                failure = f"status {status}"
        except (OSError, ValueError) as error:
            status, failure = None, f"{type(error).__name__}: {error}"
        took = time.monotonic() - began
        with self.more:
            self.slowest[target.name] = max(self.slowest[target.name], took)
            if failure:
                self.failures.append(Failure(target.name, round(began - self.began, 3), failure))
            elif status == target.expected:
                self.answered[target.name] += 1
                if token is not None:
                    self.sent[target.name].append(token)
            self.more.notify_all()

    def total(self):
        return sum(self.answered.values()) + len(self.failures)

    def wait_for(self, count, patience=30):
        """Until so many more requests were answered or failed."""
        with self.more:
            wanted = self.total() + count
            if not self.more.wait_for(lambda: self.total() >= wanted, patience):
                raise TimeoutError(f"{count} requests were not answered within {patience} s\n{self.text()}")

    def text(self, most=10):
        seconds = (self.ended or time.monotonic()) - self.began
        lines = [f"{sum(self.answered.values())} requests answered in {seconds:.1f} s, {len(self.failures)} failed"]
        lines += [f"  {name}: {count}, slowest {self.slowest[name]:.2f} s" for name, count in sorted(self.answered.items())]
        return "\n".join(lines + [f"  {f.target} at {f.at}: {f.what}" for f in self.failures[:most]])

    def __enter__(self):
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join()
        self.ended = time.monotonic()


# --- targets on a private stack (stack.py) ----------------------------------------------------------------------------------


def trusting(s, device=None):
    """A TLS client that shows the device's certificate. Its sessions are not resumed: each handshake is whole."""
    context = ssl.create_default_context(cafile=s.env["POMONA_CA_FILE"])
    if device:
        context.load_cert_chain(s.device_state(device) / "cert.pem", s.device_state(device) / "key.pem")
    return context


def udid(s, device):
    return plistlib.loads((s.device_state(device) / "state.plist").read_bytes())["udid"]


def put(s, device, make, name, **options):
    return Target(name, f"{s.env['POMONA_URL']}/mdm", "PUT", make, {"Content-Type": CONNECT}, trusting(s, device), **options)


def idle(s, device, **options):
    body = plistlib.dumps({"Status": "Idle", "UDID": udid(s, device)})
    return put(s, device, lambda: (body, None), f"idle {device}", **options)


def report(s, device, **options):
    identifier = udid(s, device)

    def make():
        command = str(uuid.uuid4()).upper()
        return plistlib.dumps({"Status": "Acknowledged", "UDID": identifier, "CommandUUID": command}), command
    return put(s, device, make, f"report {device}", **options)


def get(s, path, http=False, **options):
    base, context = (s.env["POMONA_HTTP_URL"], None) if http else (s.env["POMONA_URL"], trusting(s))
    return Target(path, base + path, context=context, **options)
