"""Between a program and MariaDB, Unix socket to Unix socket: looks at the statements that pass and breaks the connection at one of them.

    with DatabaseProxy(folder / "proxy.sock", bench.db.socket) as proxy:       programs get proxy.path as database-socket
        proxy.cut_before("COMMIT")         the next statement that begins so does not arrive, its connection ends
        proxy.cut_after("COMMIT")          it is done, its connection ends before the client hears of it
        proxy.hang_at("COMMIT")            neither it nor anything later on any connection passes, until release()
        proxy.cut_before(number=3)         by place: the third statement from now on
        proxy.fired.wait(5)                set once that has happened
        proxy.waiting                      connections on which something has come since then and is held
        proxy.statements                   texts of what was executed since forget()

A statement is a COM_QUERY or a COM_STMT_EXECUTE; the latter is known by the text that was prepared on its connection.
"""
import dataclasses
import select
import socket
import threading

QUERY, PREPARE, EXECUTE = 0x03, 0x16, 0x17
STEP = 0.05


@dataclasses.dataclass
class Order:
    what: str     # before | after | hang
    begins: str = ""
    number: int = 1


class DatabaseProxy:
    def __init__(self, path, upstream):
        self.path, self.upstream = path, str(upstream)
        self.lock = threading.Lock()
        self.order = None
        self.fired, self.passing = threading.Event(), threading.Event()
        self.passing.set()
        self.ended = False
        self.statements = []
        self.waiting = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(100)
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while not self.ended:
            if not select.select([self.listener], [], [], STEP)[0]:
                continue
            client, _ = self.listener.accept()
            thread = threading.Thread(target=self.serve, args=(client,))
            self.threads.append(thread)
            thread.start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        with client, server:
            try:
                server.connect(self.upstream)
                Link(self, client, server).run()
            except OSError:
                pass

    # --- orders ---------------------------------------------------------------------------------------------------------

    def give(self, order):
        with self.lock:
            self.order = order
            self.fired.clear()

    def cut_before(self, begins="", number=1):
        self.give(Order("before", begins, number))

    def cut_after(self, begins="", number=1):
        self.give(Order("after", begins, number))

    def hang_at(self, begins="", number=1):
        self.give(Order("hang", begins, number))

    def release(self):
        self.give(None)
        self.passing.set()

    def forget(self):
        with self.lock:
            self.statements = []

    def judge(self, statement):
        """What is to happen at this statement, which is about to be sent on: None, before, after."""
        with self.lock:
            self.statements.append(statement)
            order = self.order
            if order is None or not statement.startswith(order.begins):
                return None
            order.number -= 1
            if order.number > 0:
                return None
            self.order = None
            if order.what == "hang":
                self.passing.clear()
            self.fired.set()
        return order.what

    def close(self):
        self.ended = True
        self.passing.set()
        for thread in self.threads:
            thread.join(20)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Link:
    """One connection."""

    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.pending = b""       # of the client, less than a packet
        self.preparing = None    # text whose number the server is about to tell
        self.prepared = {}
        self.cutting = False     # the next word of the server is the answer that must not arrive

    def run(self):
        while not self.proxy.ended:
            for ready in select.select([self.client, self.server], [], [], STEP)[0]:
                self.wait_while_hung()
                data = ready.recv(1 << 20)
                if not data:
                    return
                if not (self.from_client(data) if ready is self.client else self.from_server(data)):
                    return

    def wait_while_hung(self):
        if self.proxy.passing.is_set():
            return
        with self.proxy.lock:
            self.proxy.waiting += 1
        while not self.proxy.passing.wait(STEP) and not self.proxy.ended:
            pass
        with self.proxy.lock:
            self.proxy.waiting -= 1

    def from_server(self, data):
        if self.cutting:
            return False
        if self.preparing is not None:
            if data[4] == 0:
                self.prepared[data[5:9]] = self.preparing
            self.preparing = None
        self.client.sendall(data)
        return True

    def from_client(self, data):
        self.pending += data
        while len(self.pending) >= 4:
            size = 4 + int.from_bytes(self.pending[:3], "little")
            if len(self.pending) < size:
                break
            packet, self.pending = self.pending[:size], self.pending[size:]
            if not self.packet(packet):
                return False
        return True

    def packet(self, packet):
        kind = packet[4] if packet[3] == 0 and len(packet) > 4 else None
        if kind == PREPARE:
            self.preparing = packet[5:].decode(errors="replace")
        if kind in (QUERY, EXECUTE):
            text = packet[5:].decode(errors="replace") if kind == QUERY else self.prepared.get(packet[5:9], "?")
            what = self.proxy.judge(text)
            if what == "before":
                return False
            if what == "hang":
                self.wait_while_hung()
            self.cutting = what == "after"
        self.server.sendall(packet)
        return True
