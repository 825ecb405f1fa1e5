"""A FastCGI client (the web server's side of the protocol) for tests that talk to a handler without nginx.

    response = request("/run/x.sock", "PUT", "/mdm", body=b"...", params={"SSL_CLIENT_VERIFY": "SUCCESS"})
    response.status, response.headers["content-type"], response.body, response.stderr

`request` sends one whole request on its own connection. For requests that stop in the middle use `Exchange`, whose
methods send one part each. Every wait has a deadline; a connection that ends before the answer is complete raises
EOFError, so a killed handler is told from one that answers.
"""
import dataclasses
import socket
import struct
import time

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
RESPONDER, KEEP_CONN, REQUEST_ID = 1, 1, 1
LARGEST_RECORD = 65535


@dataclasses.dataclass
class Response:
    status: int
    headers: dict  # names in lower case
    body: bytes
    stderr: bytes
    raw: bytes

    @property
    def text(self):
        return self.body.decode()


def record(kind, content=b"", padding=0):
    return struct.pack(">BBHHBx", 1, kind, REQUEST_ID, len(content), padding) + content + bytes(padding)


def records(kind, content):
    """The content in as many records as it needs; none when it is empty."""
    return b"".join(record(kind, content[at:at + LARGEST_RECORD]) for at in range(0, len(content), LARGEST_RECORD))


def encode_length(length):
    return struct.pack(">B", length) if length < 128 else struct.pack(">I", length | 0x80000000)


def encode_params(params):
    out = b""
    for name, value in params.items():
        name, value = str(name).encode(), value if isinstance(value, bytes) else str(value).encode()
        out += encode_length(len(name)) + encode_length(len(value)) + name + value
    return out


def request_params(method, uri, body, params):
    """The parameters that nginx would send, overridden by `params`; a value of None leaves one out."""
    path, _, query = uri.partition("?")
    usual = {
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": method, "REQUEST_URI": uri,
        "DOCUMENT_URI": path, "QUERY_STRING": query, "REMOTE_ADDR": "192.0.2.1", "HTTPS": "on",
        "CONTENT_LENGTH": str(len(body)) if body else "", "CONTENT_TYPE": "",
    }
    return {name: value for name, value in (usual | (params or {})).items() if value is not None}


def parse(stdout, stderr):
    head, separator, body = stdout.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError(f"no header block in {stdout[:200]!r}")
    headers = {}
    for line in head.decode().split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"malformed header line {line!r}")
        headers[name.strip().lower()] = value.strip()
    return Response(int(headers.get("status", "200").split()[0]), headers, body, stderr, stdout)


class Exchange:
    """One request in parts: begin(), params(), body() as often as wanted, end_body(), answer()."""

    def __init__(self, path, timeout=20.0):
        self.deadline = time.monotonic() + timeout
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(timeout)
        try:
            self.connection.connect(str(path))
        except OSError:
            self.connection.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def send(self, data):
        """Raw bytes, for tests of what is no FastCGI."""
        self.connection.sendall(data)

    def begin(self, keep=False):
        self.send(record(BEGIN_REQUEST, struct.pack(">HBxxxxx", RESPONDER, KEEP_CONN if keep else 0)))

    def params(self, params):
        self.send(records(PARAMS, encode_params(params)) + record(PARAMS))

    def body(self, data):
        self.send(records(STDIN, data))

    def end_body(self):
        self.send(record(STDIN))

    def half_close(self):
        self.connection.shutdown(socket.SHUT_WR)

    def answer(self):
        stdout, stderr = bytearray(), bytearray()
        while True:
            kind, content = self.read_record()
            if kind == STDOUT:
                stdout += content
            elif kind == STDERR:
                stderr += content
            elif kind == END_REQUEST:
                return parse(bytes(stdout), bytes(stderr))

    def is_closed_by_peer(self):
        """Waits for the end of the connection."""
        self.limit()
        return self.connection.recv(1) == b""

    def read_record(self):
        _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", self.read(8))
        return kind, self.read(length + padding)[:length]

    def read(self, count):
        data = b""
        while len(data) < count:
            self.limit()
            part = self.connection.recv(count - len(data))
            if not part:
                raise EOFError(f"the handler closed the connection after {len(data)} of {count} bytes")
            data += part
        return data

    def limit(self):
        rest = self.deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError("no complete answer in time")
        self.connection.settimeout(rest)


def request(path, method="GET", uri="/", body=b"", params=None, keep=False, timeout=20.0):
    with Exchange(path, timeout) as exchange:
        exchange.begin(keep)
        exchange.params(request_params(method, uri, body, params))
        try:
            exchange.body(body)
            exchange.end_body()
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before the body was sent; nginx reads the answer too
        return exchange.answer()


def wait_for_socket(path, process=None, timeout=20.0):
    """Until something accepts on the path, or the process has ended."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            Exchange(path).close()
            return
        except OSError:
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"the program ended with {process.returncode} before it listened") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
