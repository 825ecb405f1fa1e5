"""Processes by recorded pid. A pid counts together with the moment its process began, so a reused one is never hit."""
import json
import os
import signal
import time
from pathlib import Path


def began(pid):
    """The start time of a process in clock ticks since boot, or None when there is none (or only its remains)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def record(path, pid):
    new = path.with_name(f".{path.name}.new")
    new.write_text(json.dumps({"pid": pid, "began": began(pid)}) + "\n")
    new.rename(path)


def recorded(path):
    """The pid in a file made by record(), if that very process still runs."""
    try:
        entry = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    alive = entry["began"] is not None and began(entry["pid"]) == entry["began"]
    return entry["pid"] if alive else None


def signal_recorded(path, number):
    pid = recorded(path)
    if pid is None:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(path, seconds):
    deadline = time.monotonic() + seconds
    while recorded(path) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_recorded(path, patience=30):
    """SIGTERM, then SIGKILL after a while; removes the file."""
    if signal_recorded(path, signal.SIGTERM) and not wait_gone(path, patience):
        signal_recorded(path, signal.SIGKILL)
        wait_gone(path, 10)
    path.unlink(missing_ok=True)
