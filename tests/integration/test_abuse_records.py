"""Truncated and lying FastCGI records, straight at the socket of each handler: whoever can open it harms nobody else.

No database is there: what these tests send is refused before one is needed, and so is the request that must be answered in between.
"""
import os
import secrets
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import fcgi_client  # noqa: E402
from edge import usage_of  # noqa: E402
from fcgi_client import ABORT_REQUEST, BEGIN_REQUEST, PARAMS, STDIN, Exchange, encode_params, record, records, request_params  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin"
GATE = "gate-secret-of-the-records-test"
# What each answers without a database.
HANDLERS = {"pomona-mdm": ("GET", "/mdm", 405), "pomona-scep": ("GET", "/scep?operation=No", 400),
            "pomona-enroll": ("GET", "/MDMServiceConfig", 200)}
BEGIN = record(BEGIN_REQUEST, struct.pack(">HBxxxxx", 1, 0))
MEGABYTE = 1 << 20


def with_id(data, number):
    return data[:2] + struct.pack(">H", number) + data[4:]


def whole(body=b"body", gate=GATE, **params):
    """The bytes of one valid request."""
    usual = request_params("PUT", "/nowhere", body, {"POMONA_GATE": gate, **params})
    return BEGIN + records(PARAMS, encode_params(usual)) + record(PARAMS) + records(STDIN, body) + record(STDIN)


def lies():
    """name -> bytes that no web server sends."""
    params = encode_params(request_params("PUT", "/nowhere", b"", {"POMONA_GATE": GATE}))
    huge = struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF)
    rest = records(PARAMS, params) + record(PARAMS) + record(STDIN)
    return {
        "nothing": b"", "http": b"PUT /mdm HTTP/1.1\r\nHost: a\r\n\r\n", "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        "random": secrets.token_bytes(4096), "zeros": bytes(4096),
        "wrong version": b"\x02" + BEGIN[1:] + rest, "version 0 in params": BEGIN + b"\0" + rest[1:],
        "authorizer": record(BEGIN_REQUEST, struct.pack(">HBxxxxx", 2, 0)) + rest,
        "filter": record(BEGIN_REQUEST, struct.pack(">HBxxxxx", 3, 0)) + rest,
        "role 65535": record(BEGIN_REQUEST, struct.pack(">HBxxxxx", 65535, 0)) + rest,
        "short begin": record(BEGIN_REQUEST, b"\0\1") + rest, "long begin": record(BEGIN_REQUEST, bytes(64)) + rest,
        "request id 0": with_id(BEGIN, 0) + rest, "no begin": rest, "two begins": BEGIN + BEGIN + rest,
        "another id begins": BEGIN + with_id(BEGIN, 2) + rest, "params of another id": BEGIN + with_id(rest, 2),
        "ids take turns": BEGIN + with_id(BEGIN, 2) + records(PARAMS, params) + with_id(records(PARAMS, params), 2) + record(PARAMS),
        "abort at once": BEGIN + record(ABORT_REQUEST), "abort after params": BEGIN + records(PARAMS, params) + record(ABORT_REQUEST),
        "body before params end": BEGIN + records(PARAMS, params) + record(STDIN, b"x") + record(PARAMS),
        "unknown types": BEGIN + b"".join(record(kind, b"x" * 8) for kind in range(8, 40)),
        "management": with_id(record(9, encode_params({"FCGI_MAX_CONNS": ""})), 0) * 50,
        "stdout from a client": BEGIN + record(6, b"Status: 200\r\n\r\n") + rest,
        "names of 2 GiB": BEGIN + record(PARAMS, huge + b"x" * 100) + record(PARAMS),
        "name beyond the record": BEGIN + record(PARAMS, b"\x7f\x01abc") + record(PARAMS),
        "value beyond the record": BEGIN + record(PARAMS, b"\x01\x7fa") + record(PARAMS),
        "length without value": BEGIN + record(PARAMS, b"\x80\0\0") + record(PARAMS),
        "names without bytes": BEGIN + record(PARAMS, bytes(60_000)) + record(PARAMS) + record(STDIN),
        "content announced and kept": BEGIN + struct.pack(">BBHHBx", 1, PARAMS, 1, 65535, 255),
        "padding only": BEGIN + (struct.pack(">BBHHBx", 1, PARAMS, 1, 1, 255) + bytes(256)) * 100,
    }


class Records(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory(prefix="pomona-records-")
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = Path(cls.holder.name)
        (cls.folder / "keys").mkdir()
        for domain in ("ca", "escrow", "message"):
            (cls.folder / f"keys/{domain}.key").write_text(secrets.token_hex(32) + "\n")
        (cls.folder / "gate").write_text(GATE + "\n")
        (cls.folder / "password").write_text("none\n")
        (cls.folder / "pomona.conf").write_text(
            f"server-url = https://localhost\ndatabase-socket = {cls.folder}/nobody.sock\nkey-dir = {cls.folder}/keys\n"
            f"database-password-file = {cls.folder}/password\ngate-file = {cls.folder}/gate\nthreads = 2\n")
        cls.processes = {}
        cls.addClassCleanup(cls.end)
        for name in HANDLERS:
            with open(cls.folder / f"{name}.log", "w") as log:
                cls.processes[name] = subprocess.Popen(
                    [BIN / name, "--config", cls.folder / "pomona.conf", "--socket", cls.socket(name)], stdin=subprocess.DEVNULL, stderr=log)
        for name, process in cls.processes.items():
            fcgi_client.wait_for_socket(cls.socket(name), process)

    @classmethod
    def end(cls):
        for process in cls.processes.values():
            process.terminate()
        codes = {name: process.wait(30) for name, process in cls.processes.items()}
        texts = {name: (cls.folder / f"{name}.log").read_text() for name in cls.processes}
        assert set(codes.values()) == {0}, codes
        for name, text in texts.items():
            assert "Sanitizer" not in text and "runtime error" not in text, text[-3000:]
            assert GATE not in text and "body-marker" not in text, name

    @classmethod
    def socket(cls, name):
        return cls.folder / f"{name}.sock"

    def ask(self, name, **options):
        method, uri, _ = HANDLERS[name]
        return fcgi_client.request(self.socket(name), method, uri, params={"POMONA_GATE": GATE}, **options)

    def answers_as_ever(self, name, after):
        self.assertEqual(self.ask(name).status, HANDLERS[name][2], f"{name} after {after}")

    def send(self, name, data):
        """Sends, ends its half, and reads until the handler closes; returns what came."""
        with Exchange(self.socket(name), timeout=15) as exchange:
            came = b""
            try:
                exchange.send(data)
                exchange.half_close()
                while part := exchange.connection.recv(65536):
                    came += part
            except (BrokenPipeError, ConnectionResetError):
                pass
            return came

    def test_records_that_no_web_server_sends_are_dropped_and_the_next_request_is_answered(self):
        for name in HANDLERS:
            for lie, data in lies().items():
                came = self.send(name, data)
                if came:
                    self.assertRegex(came, rb"Status: 4\d\d ", f"{name}: {lie}")
                self.answers_as_ever(name, lie)

    def test_a_request_cut_at_every_byte_is_dropped_or_refused(self):
        for name in HANDLERS:
            data = whole(b"body-marker")
            head = data.index(record(PARAMS)) + len(record(PARAMS))
            for cut in range(0, len(data), 1 if name == "pomona-mdm" else 7):
                came = self.send(name, data[:cut])
                if cut < head:
                    self.assertEqual(came, b"", f"{name}: cut at {cut}")
                elif came:
                    self.assertRegex(came, rb"Status: 4\d\d ", f"{name}: cut at {cut}")
            self.answers_as_ever(name, "all cuts")

    def test_a_length_that_is_no_truth_is_400_or_413(self):
        for name in HANDLERS:
            for length, status in (("5", 400), ("100000000000", 413), ("-1", 400), ("9" * 40, 413), ("4.0", 400), ("0x4", 400), ("four", 400),
                                   (" 4", 400), ("4,4", 400), ("", 404)):
                response = self.send(name, whole(CONTENT_LENGTH=length))
                wanted = {404: rb"Status: 4\d\d "}.get(status, b"Status: %d " % status)
                self.assertRegex(response, wanted, f"{name}: {length}")
            self.answers_as_ever(name, "lengths")

    def test_a_neighbour_without_the_gate_secret_gets_403_whatever_it_claims(self):
        claims = {"SSL_CLIENT_VERIFY": "SUCCESS", "REMOTE_ADDR": "127.0.0.1", "REMOTE_USER": "root", "HTTPS": "on"}
        for name in HANDLERS:
            for gate in (None, "", GATE[:-1], GATE + "x", GATE.upper(), GATE + "\0", "\0" + GATE, "x" * 100_000):
                params = request_params("PUT", "/mdm", b"body-marker", {**claims, "POMONA_GATE": gate})
                came = self.send(name, BEGIN + records(PARAMS, encode_params(params)) + record(PARAMS) + records(STDIN, b"body-marker")
                                 + record(STDIN))
                if gate == GATE + "\0":  # parameters are C strings: this one is the secret
                    continue
                self.assertIn(b"Status: 403 ", came, f"{name}: {gate}")
            for pair in ((GATE, "wrong"), ("wrong", "wrong")):
                params = b"".join(encode_params({"POMONA_GATE": one}) for one in pair)
                came = self.send(name, BEGIN + record(PARAMS, params) + record(PARAMS) + record(STDIN))
                self.assertIn(b"Status: 403 ", came, f"{name}: {pair}")
            self.answers_as_ever(name, "neighbours")

    def test_parameters_without_end_are_cut_off_in_bounded_memory(self):
        chunk = record(PARAMS, encode_params({"X": "x" * 30_000}) * 2)
        for name, process in self.processes.items():
            before = usage_of(process.pid).peak
            for data in (chunk, struct.pack(">BBHHBx", 1, PARAMS, 1, 65528, 0) + struct.pack(">II", 0x80000001, 0xF0000000) + b"x" * 65520):
                with self.subTest(name), Exchange(self.socket(name), timeout=20) as exchange:
                    with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                        exchange.send(BEGIN)
                        for _ in range(1000):
                            exchange.send(data)
            self.assertLess(usage_of(process.pid).peak - before, 24 * MEGABYTE, name)
            self.answers_as_ever(name, "endless parameters")

    def test_who_trickles_or_goes_on_sending_loses_the_thread_after_a_bounded_time(self):
        """Both threads of each are taken; each sends a byte before any single wait is over."""
        began, taken = time.monotonic(), {}
        for name in HANDLERS:
            taken[name] = [Exchange(self.socket(name), 60), Exchange(self.socket(name), 60)]
            for exchange in taken[name]:
                self.addCleanup(exchange.close)
            taken[name][0].send(BEGIN)
            taken[name][1].send(whole(gate="wrong"))
        closed = set()
        endless = record(PARAMS, b"\x01\x01aa") * 4000
        at = 0
        while len(closed) < 2 * len(HANDLERS):
            self.assertLess(time.monotonic() - began, 25, f"still held: {closed}")
            for name, exchanges in taken.items():
                for number, exchange in enumerate(exchanges):
                    try:
                        exchange.send(endless[at:at + 1])
                    except (BrokenPipeError, ConnectionResetError):
                        closed.add((name, number))
            at, _ = at + 1, time.sleep(0.1)
        for name in HANDLERS:
            self.answers_as_ever(name, "trickling")


if __name__ == "__main__":
    unittest.main()
