"""chaos: kills handlers, workers and the database at random under a fleet, then holds the database against the devices' journals.

scripts/soak chaos [--minutes N] [--devices D] [--seed S] [--json] [--keep DIR]

Starts a private stack of the test build (build/asan, or POMONA_BUILD), lets simulated devices enrol, poll, report, renew and
leave on it while commands are queued, and at random kills -9 pomona-mdm, pomona-scep, pomona-enroll, pomona-push and MariaDB at
any instruction or at a named boundary (crash points), stops MariaDB for seconds, reloads nginx, and lets the APNs stand-in
fail. At the end everything heals, the devices finish, and the checker prints what it looked at and what was violated.
Exit 0 only when nothing was. With an odd seed a device that enrols again waits for `pomona enrollment approve`;
with a seed whose remainder by 4 is 2 or 3 devices are known by Mdm-Signature instead of TLS.
"""
import argparse
import json
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
os.environ.setdefault("POMONA_BUILD", str(ROOT / "build/asan"))
import chaos  # noqa: E402
import invariants  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="scripts/soak chaos", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--devices", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=20, help="seconds between the sessions of a device, pushes apart (20)")
    parser.add_argument("--tick", type=float, default=0.5, help="seconds between two faults, on average (0.5)")
    parser.add_argument("--keep", metavar="DIR", help="copy journal, orders and logs there, with a dump of the database")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    options = parser.parse_args()
    def tell(text):
        if not options.json:
            print(text, flush=True)
    settings = {"reenrollment": "approve" if options.seed % 2 else "allow",
                "open-enrollment-auth": "signature" if options.seed % 4 >= 2 else "tls"}
    with chaos.Chaos(options.devices, options.seed, options.every, settings=settings) as run:
        tell(f"{options.devices} devices, seed {options.seed}, {options.minutes:g} minutes; logs in {run.stack.folder}/logs")
        run.run(options.minutes * 60, options.tick, tell)
        tell("healing; the devices finish what they began")
        done = run.settle()
        run.wait_for_pushes()
        report = run.check()
        if options.keep:
            keep(run, Path(options.keep))
    clean = done and not any(verdict.violations for verdict in report.values())
    if options.json:
        print(json.dumps({"devices": options.devices, "seed": options.seed, "minutes": options.minutes, "ok": clean,
                          "counts": dict(run.counts), "rules": {name: {"count": verdict.count, "violations": verdict.violations}
                                                                for name, verdict in report.items()}}, indent=1))
    else:
        for name, count in sorted(run.counts.items()):
            print(f"{count:>9}  {name}")
        print()
        invariants.show(report)
        print(f"\n{'nothing was violated' if clean else 'VIOLATED' if done else 'VIOLATED: some devices did not come to their end'}")
    return 0 if clean else 1


def keep(run, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in (run.journal, run.orders.path):
        shutil.copy(path, folder)
    shutil.copytree(run.stack.folder / "logs", folder / "logs", dirs_exist_ok=True)
    dump = run.stack.run("mariadb-dump", "--no-defaults", "--hex-blob", "-u", "root", "-S", run.stack.env["POMONA_MYSQL_SOCKET"], "pomona",
                         text=False)
    (folder / "dump.sql").write_bytes(dump.stdout)


if __name__ == "__main__":
    sys.exit(main())
