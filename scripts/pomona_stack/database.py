"""A MariaDB of our own: data folder, server arguments, accounts. Never touches an installed server or its files."""
import fcntl
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The database users are named like the programs (sql/grants.sql).
USERS = ["pomona", "pomona-mdm", "pomona-scep", "pomona-enroll", "pomona-api", "pomona-admin", "pomona-push",
         "pomona-dep-sync", "pomona-webhook", "pomona-ca", "pomona-maintain"]
LOG_SIZE = "--innodb-log-file-size=16M"


class DatabaseError(Exception):
    pass


def as_root():
    return ["--user=root"] if os.geteuid() == 0 else []


def install(data):
    """Makes a data folder with MariaDB's own script: root without password, reachable by the socket only."""
    run = subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", *as_root(), LOG_SIZE,
                          "--auth-root-authentication-method=normal", "--skip-test-db"], capture_output=True, text=True)
    if run.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise DatabaseError(f"mariadb-install-db failed:\n{run.stdout}{run.stderr}")


def ensure_data(data, template_home=ROOT / "build"):
    """A data folder, copied from one that was made once; complete or absent, whenever this is interrupted."""
    if data.exists():
        return
    version = subprocess.run(["mariadbd", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    new = data.with_name(data.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        template_home.mkdir(parents=True, exist_ok=True)
        lock = open(template_home / "mariadb-template.lock", "w")
    except OSError:
        install(new)
    else:
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            template = template_home / f"mariadb-template-{version}-{os.geteuid()}"
            if not template.exists():
                making = template.with_name(template.name + ".new")
                shutil.rmtree(making, ignore_errors=True)
                install(making)
                making.rename(template)
            subprocess.run(["cp", "-a", "--reflink=auto", template, new], check=True)
    new.rename(data)


def server_argv(data, socket, temporary):
    return ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", f"--tmpdir={temporary}",
            f"--pid-file={data}/mariadbd.pid", "--skip-networking", *as_root(), LOG_SIZE,
            "--max-allowed-packet=64M", "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=128M",
            "--max-connections=200"]


def client(socket, sql, database=None):
    """Runs SQL as root and returns what the client printed (tab-separated, no headings)."""
    argv = ["mariadb", "--no-defaults", "-u", "root", "-S", str(socket), "--batch", "--skip-column-names"]
    run = subprocess.run(argv + ([database] if database else []), input=sql, capture_output=True, text=True)
    if run.returncode != 0:
        raise DatabaseError(run.stderr.strip())
    return run.stdout


def wait_until_up(socket, alive, seconds=60):
    """Polls until the server answers; `alive` says whether it still runs."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return client(socket, "SELECT 1")
        except DatabaseError as error:
            if time.monotonic() > deadline or not alive():
                raise DatabaseError(f"MariaDB does not answer: {error}") from None
            time.sleep(0.05)


def ensure_passwords(folder):
    """A file with a random password for each database user."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for user in USERS:
        path = folder / user
        if not path.exists():
            new = folder / f".{user}"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(secrets.token_hex(24) + "\n")
            new.rename(path)


def ensure_accounts(socket, name, passwords):
    """The database and its users; what sql/setup.sql does in production, but with passwords instead of unix_socket."""
    sql = f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
    for user in USERS:
        password = (passwords / user).read_text().strip()
        sql += (f"CREATE USER IF NOT EXISTS '{user}'@'localhost';\n"
                f"ALTER USER '{user}'@'localhost' IDENTIFIED BY '{password}';\n")
    sql += (f"GRANT ALL PRIVILEGES ON `{name}`.* TO 'pomona'@'localhost' WITH GRANT OPTION;\n"
            "GRANT CREATE USER ON *.* TO 'pomona'@'localhost';\n")
    client(socket, sql)
