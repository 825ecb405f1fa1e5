"""The private stack that is measured: the build's programs, enrolled devices, and the floors beside them in the same nginx.

    with World(build, devices=64) as world:
        world.devices[0].idle(), .report(...)      raw requests
        world.plan()                               a Plan at the TLS port that watches every process
"""
import base64
import concurrent.futures
import os
import plistlib
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import stack  # noqa: E402
from load import Plan, http  # noqa: E402
from mdm_signature import streamed  # noqa: E402
from polling import poll  # noqa: E402

CONNECT = "application/x-apple-aspen-mdm; charset=UTF-8"
AGENT = "MDM-OSX/1.0 mdmclient/1661"
FLOOR, FLOOR_INSERT = "/bench/floor", "/bench/floor/insert"
KEYS = ROOT / "build/bench-keys"

# The floor gets what nginx gives to any FastCGI program. The limits against load are for the world outside.
TLS = """\
keepalive_requests 100000000;
location ^~ /bench/floor { include /etc/nginx/fastcgi_params; fastcgi_pass bench_floor; }
location = /bench/enroll { include snippets/pomona-fastcgi.conf; fastcgi_param DOCUMENT_URI $arg_path; fastcgi_pass pomona_enroll; }
"""
PLAIN = """\
keepalive_requests 100000000;
location = /bench/scep { include snippets/pomona-fastcgi.conf; client_body_buffer_size 64k; fastcgi_pass pomona_scep; }
"""


class Device:
    def __init__(self, folder):
        self.udid = folder.name
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"

    def body(self, **keys):
        return plistlib.dumps({"UDID": self.udid} | keys)

    def sign(self, body):
        """The header, as Apple's clients make it."""
        done = subprocess.run(["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-noattr", "-md", "sha1", "-signer",
                               self.certificate, "-inkey", self.key], input=body, capture_output=True, check=True)
        return {"Mdm_Signature": base64.b64encode(streamed(done.stdout)).decode()}

    def put(self, path, body, **headers):
        return http("PUT", path, body, Content_Type=CONNECT, User_Agent=AGENT, **headers)

    def idle(self, path="/mdm", signed=False):
        body = self.body(Status="Idle")
        return self.put(path, body, **(self.sign(body) if signed else {}))


class World:
    def __init__(self, build, devices, settings=None):
        self.build = build
        self.floors = []
        self.stack = stack.Stack(settings, build=build)
        try:
            self.folder = self.stack.folder
            self.port = int(self.stack.env["POMONA_URL"].rpartition(":")[2])
            self.http_port = int(self.stack.env["POMONA_HTTP_URL"].rpartition(":")[2])
            self.trust = self.stack.env["POMONA_CA_FILE"]
            self.start_floors()
            self.devices = self.enroll(devices)
        except BaseException:
            self.close()
            raise

    def sql(self, text):
        return self.stack.sql(text)

    def start_floors(self):
        """Two processes with as many threads as the two of pomona-mdm."""
        password = secrets.token_hex(16)
        (self.folder / "passwords/bench").write_text(password + "\n")
        self.sql(f"""
            CREATE TABLE bench_read (id BIGINT NOT NULL PRIMARY KEY, value VARCHAR(255) NOT NULL) ENGINE=InnoDB;
            INSERT INTO bench_read SELECT seq, REPEAT('x', 200) FROM seq_1_to_1000;
            CREATE TABLE bench_written (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, body BLOB NOT NULL) ENGINE=InnoDB;
            CREATE USER bench@localhost IDENTIFIED BY '{password}';
            GRANT SELECT, INSERT ON bench_read TO bench@localhost; GRANT SELECT, INSERT ON bench_written TO bench@localhost""")
        sockets = [self.folder / f"floor-{number}.sock" for number in (1, 2)]
        for socket in sockets:
            self.floors.append(subprocess.Popen(
                [self.build / "bin/pomona-floor", socket, "4", self.stack.env["POMONA_MYSQL_SOCKET"],
                 self.stack.env["POMONA_DATABASE"], "bench", self.folder / "passwords/bench"], stdin=subprocess.DEVNULL))
        local = self.folder / "nginx/local"
        local.mkdir()
        servers = " ".join(f'server "unix:{socket}" max_fails=0;' for socket in sockets)
        (local / "http-bench.conf").write_text(f"upstream bench_floor {{ {servers} }}\n")
        (local / "tls-bench.conf").write_text(TLS)
        (local / "plain-bench.conf").write_text(PLAIN)
        self.stack.up()
        poll(lambda: self.stack.curl(FLOOR)[0] == 200)

    def enroll(self, count):
        states = self.folder / "fleet"
        KEYS.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        self.stack.run("pomona-device", "fleet", "--url", f"{self.stack.env['POMONA_URL']}/enroll", "--count", count, "--state",
                       states, "--ca-file", self.trust, "--keys", KEYS, "--rounds", "0", "--parallel", "8", timeout=600)
        self.enrolling = time.monotonic() - began
        return sorted((Device(folder) for folder in states.iterdir()), key=lambda device: device.udid)

    def in_parallel(self, work, items):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(work, items))

    def processes(self):
        nginx = self.stack.pid("nginx")
        workers = Path(f"/proc/{nginx}/task/{nginx}/children").read_text().split()
        return {"pomona-mdm": [self.stack.pid("mdm-1"), self.stack.pid("mdm-2")], "pomona-scep": [self.stack.pid("scep")],
                "pomona-enroll": [self.stack.pid("enroll")], "mariadbd": [self.stack.pid("mariadb")], "nginx": workers,
                "floor": [process.pid for process in self.floors]}

    def plan(self, plain=False):
        plan = Plan(self.build, self.folder, self.http_port if plain else self.port, None if plain else self.trust)
        for name, pids in self.processes().items():
            plan.watch(name, pids)
        return plan

    def close(self):
        for process in self.floors:
            process.kill()   # libfcgi takes SIGTERM for a wish
            process.wait()
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
