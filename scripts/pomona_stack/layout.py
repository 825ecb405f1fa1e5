"""Where everything of one private stack lies: one folder, closed to everybody else."""
import fcntl
import json
import os
import random
import secrets
import socket
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# A Unix socket's path has 107 bytes; ours must also fit into MariaDB's and nginx's own buffers.
SOCKET_PATH_LIMIT = 100
LONGEST_SOCKET = "pomona-enroll.sock"
PORTS = ("https", "http", "apns", "apns_open")


class StackError(Exception):
    """Something the user can read and act on; `code` is the exit code."""

    def __init__(self, text, code=1):
        super().__init__(text)
        self.code = code


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(names):
    """Free ports below the range from which the kernel takes ports for outgoing connections."""
    chosen = {}
    while len(chosen) < len(names):
        port = random.randint(20000, 32000)
        if port not in chosen.values() and port_is_free(port):
            chosen[names[len(chosen)]] = port
    return chosen


class Layout:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.logs = self.folder / "logs"
        self.conf = self.folder / "pomona.conf"
        self.data = self.folder / "mariadb"
        self.passwords = self.folder / "passwords"
        self.keys = self.folder / "keys"
        self.gate = self.folder / "gate"
        self.https = self.folder / "https"
        self.push = self.folder / "push"
        self.nginx = self.folder / "nginx"
        self.done = self.folder / "done"
        self.temporary = self.folder / "tmp"
        self.device_cas = self.folder / "device-cas.pem"
        self.apns_log = self.logs / "apns-pushes.jsonl"
        self.apns_script = self.folder / "apns-script.json"
        self.plan = self.folder / "plan.json"
        self.supervisor_pid = self.folder / "supervisor.pid"
        self.settings_file = self.folder / "settings.json"
        self.settings = {"ports": {}, "set": {}, "kept": {}, "build": None, "sockets": None}
        if self.settings_file.exists():
            self.settings |= json.loads(self.settings_file.read_text())

    def exists(self):
        return self.settings_file.exists()

    def create(self):
        """Makes the folders, and once for all the ports and the gate's secret."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for path in (self.logs, self.https, self.nginx, self.done, self.temporary):
            path.mkdir(exist_ok=True)
        missing = [name for name in PORTS if name not in self.settings["ports"]]
        self.settings["ports"] |= choose_ports(missing)
        self.settings["sockets"] = str(self.socket_folder())
        self.save()
        if not self.gate.exists():
            self.write_private(self.gate, secrets.token_hex(32) + "\n")
        # A log that exists can be followed before the first push.
        self.apns_log.touch(mode=0o600)

    def save(self):
        self.write_private(self.settings_file, json.dumps(self.settings, indent=1) + "\n")

    @staticmethod
    def write_private(path, text):
        """Replaces a file in one step; says whether it changed."""
        if path.exists() and path.read_text() == text:
            return False
        new = path.with_name(f".{path.name}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)
        new.rename(path)
        return True

    def socket_folder(self):
        """FOLDER/sockets, or a short folder elsewhere where that path would be too long for a socket."""
        near = self.folder / "sockets"
        if len(os.fsencode(near / LONGEST_SOCKET)) <= SOCKET_PATH_LIMIT:
            near.mkdir(exist_ok=True)
            return near
        kept = self.settings["sockets"]
        if kept and os.path.isdir(kept) and os.stat(kept).st_uid == os.geteuid():
            return Path(kept)
        return Path(tempfile.mkdtemp(prefix="pomona-", dir=os.environ.get("XDG_RUNTIME_DIR") or None))

    def socket(self, name):
        return Path(self.settings["sockets"]) / f"{name}.sock"

    def forget_socket_folder(self):
        """After `down`: a folder elsewhere does not outlive the stack."""
        kept = self.settings["sockets"]
        if kept and Path(kept).parent != self.folder and os.path.isdir(kept) and not os.listdir(kept):
            os.rmdir(kept)

    def port(self, name):
        return self.settings["ports"][name]

    def url(self):
        return f"https://127.0.0.1:{self.port('https')}"

    def http_url(self):
        return f"http://127.0.0.1:{self.port('http')}"

    def apns_url(self):
        return f"https://127.0.0.1:{self.port('apns')}"

    def bin(self):
        return Path(self.settings["build"]) / "bin"

    def lock(self):
        """Held by `up` and `down`, so that two of them do not meet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = open(self.folder / "lock", "w")
        fcntl.flock(handle, fcntl.LOCK_EX)
        return handle
