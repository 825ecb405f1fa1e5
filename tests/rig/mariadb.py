"""A scratch MariaDB for tests.

    with mariadb.Scratch() as db:         a server of its own; gone at the end
        db.sql("SELECT 1")                as root, tab-separated text
        db.session()                      a client that stays and holds its locks: .say(sql), .close()
        db.until_blocked()                waits until somebody waits for a lock
        db.socket, db.folder, db.passwords   passwords/NAME for each program's user
        db.stop(), db.kill(), db.pause(), db.resume(), db.start()    for tests of faults

From a shell: tests/rig/mariadb.py COMMAND [ARGUMENT...] runs a command with POMONA_TEST_MYSQL_SOCKET naming its socket.
"""
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
from polling import poll  # noqa: E402
from pomona_stack import database  # noqa: E402


class Session:
    """A client that stays: what it locks is held until it says COMMIT or is closed."""

    def __init__(self, socket, database):
        self.shell = subprocess.Popen(["mariadb", "--no-defaults", "-u", "root", "-S", str(socket), "--batch", "--unbuffered",
                                       "--skip-column-names", "--force", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, sql):
        """Returns when it was done."""
        self.shell.stdin.write(f"{sql}; SELECT 'said';\n")
        self.shell.stdin.flush()
        while "said" not in self.shell.stdout.readline():
            pass

    def close(self):
        self.shell.stdin.close()
        self.shell.kill()
        self.shell.wait()
        self.shell.stdout.close()


class Scratch:
    def __init__(self, name="pomona"):
        self.name = name
        self.holder = tempfile.TemporaryDirectory(prefix="pomona-db-")
        self.folder = Path(self.holder.name)
        self.socket = self.folder / "sock"
        self.passwords = self.folder / "passwords"
        self.process = None
        try:
            database.ensure_data(self.folder / "data")
            database.ensure_passwords(self.passwords)
            self.start()
            database.ensure_accounts(self.socket, self.name, self.passwords)
        except BaseException:
            self.close()
            raise

    def start(self):
        argv = database.server_argv(self.folder / "data", self.socket, self.folder)
        with open(self.folder / "mariadbd.log", "a") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            database.wait_until_up(self.socket, lambda: self.process.poll() is None)
        except database.DatabaseError as error:
            raise database.DatabaseError(f"{error}\n{(self.folder / 'mariadbd.log').read_text()}") from None

    def sql(self, text):
        return database.client(self.socket, text, self.name)

    def session(self):
        return Session(self.socket, self.name)

    def until_blocked(self):
        # MariaDB shows the same picture again to whoever asks more often than every 0.1 s.
        poll(lambda: self.sql("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'") != "0", every=0.2)

    def password(self, user):
        return (self.passwords / user).read_text().strip()

    def as_user(self, user, text):
        """Runs SQL as a program's user; returns (exit code, output with errors)."""
        run = subprocess.run(["mariadb", "--no-defaults", "-u", user, f"-p{self.password(user)}", "-S", str(self.socket),
                              "--batch", "--skip-column-names", self.name], input=text, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def close(self):
        self.stop()
        self.holder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    with Scratch() as db:
        environment = os.environ | {"POMONA_TEST_MYSQL_SOCKET": str(db.socket)}
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
