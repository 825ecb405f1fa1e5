"""The sub-commands of scripts/stack."""
import argparse
import datetime
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import database, https, nginx, processes, services
from .layout import PORTS, ROOT, Layout, StackError, port_is_free

HELP = """\
The private stack: its own MariaDB, nginx, every program and stand-in, in one folder.

  up       start it, or bring a running one up to date with the build and the settings
  down     end everything that it started; the folder keeps the data
  status   what runs
  env      shell lines for using it: eval "$(scripts/stack env)"
  logs     the logs: all, or those of the names given (mdm-1 mdm-2 scep enroll push nginx-access nginx-error mariadb apns)
"""


def say(text):
    print(text, flush=True)


def running(layout):
    return processes.recorded(layout.supervisor_pid)


def start_or_reload(layout, plan, owner):
    """Hands the plan to the supervisor; starts one where none runs."""
    changed = layout.write_private(layout.plan, json.dumps(plan, indent=1) + "\n")
    if running(layout):
        if changed:
            processes.signal_recorded(layout.supervisor_pid, signal.SIGHUP)
        return
    for path in (layout.folder / "pids").glob("*"):
        processes.end_recorded(path)   # left by a supervisor that was killed
    for name in PORTS:
        if not port_is_free(layout.port(name)):
            raise StackError(f"port {layout.port(name)} ({name}) of this stack is taken by another program. End that, or "
                             f"remove {layout.folder} to start afresh with other ports.")
    argv = ["/usr/bin/python3", "-B", str(ROOT / "scripts/pomona_stack/supervisor.py"), str(layout.folder)]
    argv += ["--owner", str(owner)] if owner else []
    with open(layout.logs / "supervisor.log", "a") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   cwd="/", env={"PATH": services.SYSTEM_PATH, "LANG": "C.UTF-8"})
    deadline = time.monotonic() + 20
    while running(layout) != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"the supervisor did not start; see {layout.logs}/supervisor.log")
        time.sleep(0.01)


def once(layout, name, content, action):
    """Does something that need not be done again while `content` is the same."""
    marker = layout.done / name
    mark = hashlib.sha256(content).hexdigest() + "\n"
    if not marker.exists() or marker.read_text() != mark:
        action()
        marker.write_text(mark)


def set_up_programs(layout):
    """Keys, schema, CA and push certificate, by the `pomona` command as an admin would."""
    run = services.run_program
    if not (layout.keys / "master.key").exists():
        run(layout, "secrets", "init")
    program = layout.bin() / "pomona"
    once(layout, "migrate", services.program_stamp(layout, program).encode(), lambda: run(layout, "db", "migrate"))
    run(layout, "ca", "init")  # changes nothing where there is one
    push = layout.push / "client.pem"
    once(layout, "push-cert", push.read_bytes(),
         lambda: run(layout, "push-cert", "import", push, layout.push / "client.key"))
    layout.write_private(layout.device_cas, run(layout, "ca", "list", "--pem"))


def answers(url, ca_file, statuses):
    run = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "--cacert",
                          str(ca_file), url], capture_output=True, text=True)
    return run.stdout in statuses


def wait_until_ready(layout, seconds=60):
    """Every handler answers through nginx. A refusal of /mdm is an answer too; 502 is none."""
    asked = {f"{layout.url()}/scep?operation=GetCACaps": ("200",), f"{layout.url()}/mdm": ("400", "405"),
             f"{layout.url()}/enroll/x": ("400", "403", "404"), f"{layout.http_url()}/scep?operation=GetCACaps": ("200",)}
    deadline = time.monotonic() + seconds
    for url, statuses in asked.items():
        while not answers(url, layout.https / "ca.pem", statuses):
            if time.monotonic() > deadline:
                raise StackError(f"{url} does not answer; see the logs in {layout.logs}")
            time.sleep(0.05)


def apply_settings(layout, options):
    build = options.build or os.environ.get("POMONA_BUILD") or layout.settings["build"] or ROOT / "build/release"
    layout.settings["build"] = str(Path(build).resolve())
    layout.settings["set"] = dict(layout.settings["kept"])
    if options.back_off is not None:
        layout.settings["back_off"] = options.back_off
    for setting in options.set:
        key, equals, value = setting.partition("=")
        if not equals:
            raise StackError(f"--set {setting}: KEY=VALUE is needed", 2)
        if value:
            layout.settings["set"][key] = value
        else:
            layout.settings["set"].pop(key, None)


def take_configuration(layout):
    """Writes pomona.conf once the programs accept it; a setting that they refuse is not kept."""
    new = layout.folder / "pomona.conf.tried"
    layout.write_private(new, services.configuration(layout))
    try:
        services.run_program(layout, "config", "dump", conf=new)
    except StackError as error:
        layout.settings["set"] = layout.settings["kept"]
        layout.save()
        raise StackError(str(error), 2) from None
    new.unlink()
    layout.settings["kept"] = layout.settings["set"]
    layout.save()
    layout.write_private(layout.conf, services.configuration(layout))


def up(options):
    packages = subprocess.run([ROOT / "scripts/install-packages", "run"])
    if packages.returncode != 0:
        return packages.returncode
    with Layout(options.dir).lock():
        layout = Layout(options.dir)
        apply_settings(layout, options)
        services.check_programs(layout)
        layout.create()
        was_running = running(layout)
        database.ensure_data(layout.data)
        database.ensure_passwords(layout.passwords)
        https.ensure(layout.https)
        subprocess.run(["/usr/bin/python3", "-B", ROOT / "tests/rig/push_pki.py", layout.push], check=True,
                       stdout=subprocess.DEVNULL)
        take_configuration(layout)
        if not was_running:
            say("Starting the database and the APNs stand-in")
            start_or_reload(layout, services.base_plan(layout), options.owner)
        database.wait_until_up(layout.socket("mysql"), lambda: running(layout))
        once(layout, "accounts", b"".join(p.read_bytes() for p in sorted(layout.passwords.iterdir())),
             lambda: database.ensure_accounts(layout.socket("mysql"), "pomona", layout.passwords))
        say("Setting up keys, schema, CA and push certificate" if not was_running else "Bringing the stack up to date")
        set_up_programs(layout)
        nginx.write(services.site(layout))
        start_or_reload(layout, services.full_plan(layout), options.owner)
        wait_until_ready(layout)
    say(f"The stack is up: {layout.url()}")
    return 0


def down(options):
    layout = Layout(options.dir)
    if not layout.exists():
        say(f"There is no stack in {layout.folder}")
        return
    with layout.lock():
        processes.end_recorded(layout.supervisor_pid, 120)
        for path in (layout.folder / "pids").glob("*"):
            processes.end_recorded(path)
        layout.forget_socket_folder()
    say("The stack is down")


def status(options):
    layout = Layout(options.dir)
    file = layout.folder / "status.json"
    if not running(layout) or not file.exists():
        say(f"No stack runs in {layout.folder}")
        return 3
    say(f"{layout.url()}  (plain HTTP: {layout.http_url()})")
    told = json.loads(file.read_text())
    for name, entry in told.items():
        since = f"since {datetime.datetime.fromtimestamp(entry['since']):%Y-%m-%d %H:%M:%S}" if entry["since"] else ""
        state = f"pid {entry['pid']}" if entry["pid"] else "between two rounds" if entry["worker"] else "not running"
        restarts = f"  restarted {entry['restarts']} times" if entry["restarts"] else ""
        say(f"  {name:<10} {state:<20} {since}{restarts}")
    return 0 if all(entry["pid"] or entry["worker"] for entry in told.values()) else 1


def env(options):
    layout = Layout(options.dir)
    if not layout.exists():
        raise StackError(f"there is no stack in {layout.folder}; start one with: scripts/stack up", 3)
    values = {
        "POMONA_URL": layout.url(),
        "POMONA_HTTP_URL": layout.http_url(),
        "POMONA_CA_FILE": layout.https / "ca.pem",
        "POMONA_CONF": layout.conf,
        "POMONA_MYSQL_SOCKET": layout.socket("mysql"),
        "POMONA_DATABASE": "pomona",
        "POMONA_APNS_LOG": layout.apns_log,
        "POMONA_APNS_URL": layout.apns_url(),
    }
    for key, value in values.items():
        say(f"export {key}={shlex.quote(str(value))}")
    say(f"export PATH={shlex.quote(str(layout.bin()))}:\"$PATH\"")


def logs(options):
    layout = Layout(options.dir)
    names = options.names or sorted(p.stem for p in layout.logs.glob("*.log"))
    paths = [layout.logs / f"{name}.log" for name in names]
    for path in paths:
        if not path.exists():
            raise StackError(f"there is no log {path}")
    follow = ["-F"] if options.follow else []
    os.execvp("tail", ["tail", "-n", str(options.lines), *follow, *map(str, paths)])


def main(arguments):
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="scripts/stack", description=HELP,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "status", "env", "logs"])
    parser.add_argument("names", nargs="*", help="for logs: whose")
    parser.add_argument("--dir", default=ROOT / "run", help="the stack's folder (default: run)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="up: a configuration key, kept in the folder; an empty value takes it back")
    parser.add_argument("--build", metavar="DIR", help="up: folder of the built programs (or POMONA_BUILD; build/release)")
    parser.add_argument("--owner", type=int, help=argparse.SUPPRESS)   # tests: the stack ends with this process
    parser.add_argument("--back-off", type=float, help=argparse.SUPPRESS)   # tests that kill: no long pause before restarts
    parser.add_argument("-f", "--follow", action="store_true", help="logs: go on as they grow")
    parser.add_argument("-n", "--lines", type=int, default=20, help="logs: how many lines of each")
    options = parser.parse_args(arguments)
    if options.names and options.command != "logs":
        parser.error(f"{options.command} takes no names")
    if options.command not in ("up", "down"):   # those write to programs that may have ended, such as a refused client
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        return globals()[options.command](options) or 0
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return error.code
    except (database.DatabaseError, RuntimeError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
