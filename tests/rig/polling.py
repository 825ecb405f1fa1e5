"""Waiting for something with a deadline."""
import time


def poll(what, seconds=30, every=0.02):
    """Calls `what` until it gives something true; returns that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing after {seconds} s")
        time.sleep(every)
    return found
