"""Pomona's speed against what the machine can give, as ratios within one run. Called by scripts/bench.

scripts/bench [--quick] [--json] [--only MEASURE] [--build DIR]

  --quick     small numbers, a minute in all: shows that the bench works, says little about speed
  --json      an array of rows (tests/bench/rows.py) instead of the table
  --only      one of: idle history report scep memory fleet push delay; may be repeated

Exit code: 0 measured (whatever came out), 1 a measurement failed, 2 usage.
"""
import argparse
import contextlib
import importlib
import os
import sys
import types
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
ROOT = Path(__file__).resolve().parent.parent.parent

FULL = types.SimpleNamespace(
    devices=256, connections=(1, 8, 64, 256), rounds=6, slice=1.0, settled=20_000, enrolments=1_000_000, commands=400, scep=100,
    questions=25, memory={name: (5_000, 200_000) for name in ("pomona-mdm", "pomona-scep", "pomona-enroll")}, pushes=100_000,
    slots=3, slot=60, enqueued=720)
QUICK = types.SimpleNamespace(
    devices=16, connections=(1, 8), rounds=2, slice=0.3, settled=1_000, enrolments=5_000, commands=10, scep=8, questions=4,
    memory={name: (200, 600) for name in ("pomona-mdm", "pomona-scep", "pomona-enroll")}, pushes=400, slots=1, slot=4, enqueued=12)
# In this order: the million enrolments come last.
MEASURES = {"idle": "idle", "history": "idle", "report": "idle", "scep": "scep", "memory": "memory", "fleet": "idle",
            "push": "push", "delay": "push"}   # and the module of each
WITHOUT_STACK = ("push", "delay")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", action="append", choices=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    return parser.parse_args(arguments)


def measure(options):
    import world
    sizes = QUICK if options.quick else FULL
    chosen = [name for name in MEASURES if name in (options.only or MEASURES)]
    on_stack = [name for name in chosen if name not in WITHOUT_STACK]
    with world.World(options.build, sizes.devices) if on_stack else contextlib.nullcontext() as measured:
        for name in on_stack:
            yield from getattr(importlib.import_module(MEASURES[name]), name)(measured, sizes)
    for name in chosen:
        if name not in on_stack:
            yield from getattr(importlib.import_module(MEASURES[name]), name)(None, sizes)


def main(arguments):
    options = parse(arguments)
    options.build = options.build.resolve()
    os.environ["POMONA_BUILD"] = str(options.build)
    import rows
    if not options.json:
        print(rows.HEADING, flush=True)
    told = []
    for row in measure(options):
        told.append(row)
        print(rows.as_line(row), file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(rows.as_json(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
