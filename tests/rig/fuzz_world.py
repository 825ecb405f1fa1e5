"""The databases that fuzz targets of whole requests need, with devices, tickets, a CA, and identities whose keys are known.

    with fuzz_world.make("mdm_request") as world:     None for a target that needs none
        world.conf                                    goes into POMONA_FUZZ_CONF; identities/ and other files stand beside it

From a shell: tests/rig/fuzz_world.py TARGET COMMAND [ARGUMENT...]

`CALL fuzz_world.restore()` brings the database back to what it was: each input finds the same.
"""
import contextlib
import os
import plistlib
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
DAY = 86400


def snapshot(db):
    """Copies of all tables in a second database, and the procedure that puts them back."""
    tables = db.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'")
    name, work = db.name, ""
    db.sql("CREATE DATABASE fuzz_world; SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    for table in tables.split():
        db.sql(f"CREATE TABLE fuzz_world.`{table}` AS SELECT * FROM `{table}`")
        work += f"DELETE FROM `{name}`.`{table}`; INSERT INTO `{name}`.`{table}` SELECT * FROM fuzz_world.`{table}`;\n"
    db.sql("DELIMITER //\nCREATE PROCEDURE fuzz_world.restore() BEGIN\nSET foreign_key_checks = 0; START TRANSACTION;\n"
           f"{work}COMMIT; END//\nDELIMITER ;\nGRANT EXECUTE ON fuzz_world.* TO 'pomona'@'localhost'")


def keep(folder, name, identity):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.pem").write_bytes(identity.key_pem() + identity.cert_pem())


@contextlib.contextmanager
def mdm_world():
    """Devices in every state that a sender may be in; build_plist.cpp knows their names."""
    import mdm_rig
    import pki
    import trust_rig
    with trust_rig.TrustRig(message_limit="32k") as rig:
        def kept(name, device):
            keep(rig.folder / "identities", name, device.identity)
            return device

        rig.restart(clock=-3 * DAY // 2)
        expired = pki.issue(rig.ca, "device", client=True, days=-1)
        lapsed = kept("expired", rig.enrolled("FUZZ-EXPIRED", identity=expired))
        rig.restart()
        tls = kept("a-tls", rig.enrolled("FUZZ-TLS", serial="C02FUZZ", token_update={"UnlockToken": b"unlock"}))
        rig.token_update(tls, user=("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "jane"))
        kept("renewal", rig.renewed(tls))
        kept("again", rig.again(tls))
        signed = kept("b-signature", rig.enrolled("FUZZ-SIGNATURE", auth="signature"))
        kept("fresh", rig.device("FUZZ-FRESH"))
        kept("fresh-signature", rig.device("FUZZ-FRESH-SIGNATURE", auth="signature"))
        kept("user-enrollment", rig.enrolled("FUZZ-USER-ENROLLMENT", user_enrollment=True))
        pending = rig.enrolled("FUZZ-PENDING")
        rig.authenticate(kept("pending", rig.again(pending)))
        kept("unknown", mdm_rig.Device("", pki.issue(rig.ca, "unknown", client=True), 0))
        for number, target in enumerate(["FUZZ-TLS", "FUZZ-TLS", "FUZZ-SIGNATURE", "FUZZ-USER-ENROLLMENT"], 1):
            command = {"CommandUUID": f"FUZZ-COMMAND-{number}", "Command": {"RequestType": "DeviceInformation", "Queries": ["UDID"]}}
            rig.pomona("command", "enqueue", target, "-", stdin=plistlib.dumps(command))
        for device in (lapsed, signed):
            rig.renew(device)
        rig.stop()
        snapshot(rig.db)
        yield rig


@contextlib.contextmanager
def scep_world():
    """A CA; open, spent and expired tickets; identities of ours: one that may be renewed, one that is new, one to poll for."""
    import pki
    from cryptography.hazmat.primitives.serialization import Encoding
    from scep_bench import ScepBench
    from scep_client import Client, issued, pool_key
    from scep_identities import enrolled
    with ScepBench({"scep-renewal": "yes", "scep-allow-des": "yes"}) as bench:
        challenges = []

        def kept(name, certificate, key, ticket):
            keep(bench.folder / "identities", name, pki.Identity(certificate, key))
            challenges.append(ticket.challenge)

        for number, name in enumerate(["a-old", "b-new"]):
            held = enrolled(bench, pool_key(number), in_use=number == 0)
            kept(name, held.certificate, held.key, held.ticket)
        key, ticket = pool_key(2), bench.ticket()
        reply = Client(bench.ra_and_ca()[0]).ask(bench, key, ticket.challenge, transaction_id="T")
        kept("c-polled", issued(reply, key), key, ticket)
        for name, certificate in zip(("ra", "ca"), bench.ra_and_ca()):
            (bench.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        bench.end()
        challenges += [bench.ticket(**wish).challenge for wish in (
            {"days": 9}, {"days": 9, "uses": 5}, {"days": -1}, {"days": 9, "state": "revoked"}, {"days": 9, "attempts": 0})]
        (bench.folder / "challenges").write_text("\n".join(challenges) + "\n")
        snapshot(bench.db)
        yield bench


WORLDS = {"mdm_request": mdm_world, "scep_request": scep_world}


def make(target):
    return WORLDS.get(target, contextlib.nullcontext)()


def environment(world):
    return os.environ | ({"POMONA_FUZZ_CONF": str(world.conf)} if world else {})


def main():
    with make(sys.argv[1]) as world:
        return subprocess.run(sys.argv[2:], env=environment(world)).returncode


if __name__ == "__main__":
    sys.exit(main())
