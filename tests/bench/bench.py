"""Pomona's speed against what the machine can give, as ratios within one run. Called by scripts/bench.

scripts/bench [--quick] [--json] [--only MEASURE] [--build DIR]

  --quick     small numbers, a minute in all: shows that the bench works, says little about speed
  --json      an array of rows (tests/bench/rows.py) instead of the table
  --only      one of: idle history report scep push delay memory fleet; may be repeated

Exit code: 0 measured (whatever came out), 1 a measurement failed, 2 usage.
"""
import argparse
import os
import sys
import types
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
ROOT = Path(__file__).resolve().parent.parent.parent

FULL = types.SimpleNamespace(devices=256, connections=(1, 8, 64, 256), rounds=6, slice=1.0, settled=20_000, enrolments=1_000_000,
                             commands=400)
QUICK = types.SimpleNamespace(devices=16, connections=(1, 8), rounds=2, slice=0.3, settled=1_000, enrolments=5_000, commands=10)
# On one world, in this order: the million enrolments come last.
ON_STACK = ("idle", "history", "report", "fleet")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", action="append", choices=ON_STACK, metavar="MEASURE")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release")
    return parser.parse_args(arguments)


def measure(options):
    import idle
    import world
    sizes = QUICK if options.quick else FULL
    chosen = options.only or ON_STACK
    if any(name in ON_STACK for name in chosen):
        with world.World(options.build, sizes.devices) as measured:
            for name in ON_STACK:
                if name in chosen:
                    yield from getattr(idle, name)(measured, sizes)


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
