"""Free TCP ports on 127.0.0.1, below the range from which the kernel takes ports for outgoing connections."""
import random
import socket


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count):
    found = []
    while len(found) < count:
        port = random.randint(20000, 32000)
        if port not in found and is_free(port):
            found.append(port)
    return found
