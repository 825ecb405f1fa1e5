"""What the supervisor runs, and the configuration that the programs read."""
import hashlib
import os
import subprocess

from . import database, nginx
from .layout import ROOT, StackError

PROGRAMS = ["pomona", "pomona-mdm", "pomona-scep", "pomona-enroll", "pomona-push"]
# Each handler with its sockets; two of pomona-mdm stand behind one upstream.
HANDLERS = {"mdm-1": "pomona-mdm", "mdm-2": "pomona-mdm", "scep": "pomona-scep", "enroll": "pomona-enroll"}
UPSTREAMS = {"mdm": ["mdm-1", "mdm-2"], "scep": ["scep"], "enroll": ["enroll"]}
PASSED_ON = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "POMONA_TEST_CLOCK", "POMONA_CRASH_AT")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(layout):
    """What programs and stand-ins see: nothing of the caller's POMONA_ variables, which would be read as keys."""
    base = {"PATH": f"{layout.bin()}:{SYSTEM_PATH}", "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8",
            "TMPDIR": str(layout.temporary)}
    return base | {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def check_programs(layout):
    missing = [name for name in PROGRAMS if not (layout.bin() / name).exists()]
    if missing:
        raise StackError(f"{', '.join(missing)} not found in {layout.bin()}. Build first:\n"
                         f"  cmake --preset release && cmake --build --preset release\n"
                         f"or name another build folder with --build.", 3)


def configuration(layout):
    """pomona.conf: what a private stack needs, then what the user set."""
    values = {
        "server-url": layout.url(),
        "database-socket": layout.socket("mysql"),
        "database-password-file": f"{layout.passwords}/%p",
        "key-dir": layout.keys,
        "gate-file": layout.gate,
        "https-ca-file": layout.https / "ca.pem",
        "https-certificate-file": layout.https / "server.pem",
        "organization": "Pomona private stack",
        "open-enrollment": "yes",
        "reenrollment": "allow",
        "scep-allow-des": "tls",
        "scep-renewal": "yes",
        "push-url": layout.apns_url(),
        "push-ca-file": layout.push / "ca.pem",
    } | layout.settings["set"]
    return "# Written by scripts/stack; `scripts/stack up --set KEY=VALUE` changes it.\n" + "".join(
        f"{key} = {value}\n" for key, value in values.items())


def digest(text):
    return hashlib.sha256(text).hexdigest()[:16]


def program_stamp(layout, program):
    """Changes when the program was built again or its configuration is another one."""
    state = os.stat(program)
    return digest(f"{state.st_ino} {state.st_size} {state.st_mtime_ns} ".encode() + layout.conf.read_bytes())


def content_stamp(*paths):
    return digest(b"\0".join(path.read_bytes() for path in paths))


def site(layout):
    return nginx.Site(
        folder=layout.nginx, snippets=ROOT / "nginx", logs=layout.logs, https_port=layout.port("https"),
        http_port=layout.port("http"), certificate=layout.https / "server.pem", key=layout.https / "server.key",
        sockets={name: [layout.socket(h) for h in handlers] for name, handlers in UPSTREAMS.items()},
        device_cas=layout.device_cas, gate=layout.gate.read_text().strip(), acme_root=layout.folder / "acme")


def base_plan(layout):
    """What must run before the programs can be set up."""
    argv = ["/usr/bin/python3", "-u", str(ROOT / "tests/rig/apns.py"), "--cert", str(layout.push / "server.pem"),
            "--key", str(layout.push / "server.key"), "--client-ca", str(layout.push / "ca.pem"),
            "--port", str(layout.port("apns")), "--open-port", str(layout.port("apns_open")),
            "--log", str(layout.apns_log), "--script", str(layout.apns_script)]
    return [
        {"name": "mariadb", "argv": database.server_argv(layout.data, layout.socket("mysql"), layout.temporary),
         "env": {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}, "last": True, "patience": 60},
        {"name": "apns", "argv": argv, "env": {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
         "stamp": content_stamp(ROOT / "tests/rig/apns.py", layout.push / "server.pem")},
    ]


def full_plan(layout):
    env, plan = environment(layout), base_plan(layout)
    for name, program in HANDLERS.items():
        path = layout.bin() / program
        plan.append({"name": name, "argv": [str(path), "--config", str(layout.conf)], "env": env,
                     "sockets": [str(layout.socket(name))], "stamp": program_stamp(layout, path)})
    worker = layout.bin() / "pomona-push"
    plan.append({"name": "push", "argv": [str(worker), "--config", str(layout.conf), "--forever"], "env": env,
                 "stamp": program_stamp(layout, worker)})
    files = [*sorted(layout.nginx.glob("snippets/*")), *sorted(layout.nginx.glob("local/*.conf")),
             layout.nginx / "nginx.conf", layout.device_cas, layout.https / "server.pem"]
    plan.append({"name": "nginx", "argv": nginx.argv(site(layout)), "env": {"PATH": SYSTEM_PATH},
                 "reload": content_stamp(*files)})
    if "back_off" in layout.settings:
        plan = [{**spec, "back_off": layout.settings["back_off"]} for spec in plan]
    return plan


def run_program(layout, *arguments, conf=None):
    """Runs the `pomona` command on this stack; its words become ours when it fails."""
    run = subprocess.run([layout.bin() / "pomona", "--config", conf or layout.conf, *map(str, arguments)],
                         env=environment(layout), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if run.returncode != 0:
        raise StackError(f"pomona {' '.join(map(str, arguments))} failed ({run.returncode}):\n"
                         f"{(run.stdout + run.stderr).strip()}")
    return run.stdout
