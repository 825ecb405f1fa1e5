"""A FastCGI responder that answers with what it was sent, for tests of the nginx files.

Echo(path) listens on a Unix socket in threads. The answer is JSON: params, body length and SHA-256, the keep flag.
With `die_on` set to a path, the first request for that path is dropped in the middle, like a handler that was killed.
"""
import hashlib
import json
import os
import socket
import struct
import threading

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def decode_params(data):
    params, at = {}, 0

    def length():
        nonlocal at
        if data[at] < 128:
            at += 1
            return data[at - 1]
        at += 4
        return struct.unpack(">I", data[at - 4:at])[0] & 0x7FFFFFFF

    while at < len(data):
        name_length, value_length = length(), length()
        name = data[at:at + name_length].decode()
        value = data[at + name_length:at + name_length + value_length].decode(errors="replace")
        params[name] = value
        at += name_length + value_length
    return params


def record(kind, content):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


class Echo:
    def __init__(self, path, answer=None):
        self.path, self.answer, self.die_on = str(path), answer, None
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection):
        with connection:
            try:
                self.exchange(connection)
            except (EOFError, OSError):
                pass

    def exchange(self, connection):
        params, digest, size, keep = b"", hashlib.sha256(), 0, None
        while True:
            _, kind, _, length, padding = struct.unpack(">BBHHBx", read_exactly(connection, 8))
            content = read_exactly(connection, length)
            read_exactly(connection, padding)
            if kind == BEGIN:
                keep = bool(content[2] & 1)
            elif kind == PARAMS:
                params += content
            elif kind == STDIN and length:
                digest.update(content)
                size += length
            elif kind == STDIN:
                break
        decoded = decode_params(params)
        self.requests.append(decoded)
        if decoded.get("DOCUMENT_URI") == self.die_on:
            self.die_on = None
            return
        text = json.dumps({"params": decoded, "size": size, "sha256": digest.hexdigest(), "keep": keep}).encode()
        head = self.answer or b"Status: 200 OK\r\nContent-Type: application/json\r\n\r\n"
        for start in range(0, len(head + text), 32768):
            connection.sendall(record(STDOUT, (head + text)[start:start + 32768]))
        connection.sendall(record(STDOUT, b"") + record(END, struct.pack(">IB3x", 0, 0)))

    def close(self):
        self.listener.close()
        os.unlink(self.path)
