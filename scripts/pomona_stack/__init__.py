"""The private stack: its own MariaDB, nginx, programs and stand-ins in one folder. Steered by scripts/stack."""
