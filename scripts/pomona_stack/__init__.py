"""The private stack: its own MariaDB, nginx, programs and stand-ins in one folder. Steered by scripts/stack."""
import os

# A plain user's PATH lacks the folders of nginx and mariadbd.
os.environ["PATH"] = ":".join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])
