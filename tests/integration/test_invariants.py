"""The checker of the chaos runs: a true world violates nothing, and each violation that is put into it is found."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import chaos  # noqa: E402
import facts  # noqa: E402
import invariants  # noqa: E402
import mdm_rig  # noqa: E402


class Diarist:
    """A device of the rig that keeps a journal as `pomona-device live` does."""

    def __init__(self, rig, device, lines):
        self.rig, self.device, self.lines = rig, device, lines

    def write(self, step, **fields):
        self.lines.append({"time": chaos.utc_now(), "device": self.device.udid, "step": step} | fields)

    def tell(self, message, send, **fields):
        self.write("send", message=message, certificate=self.device.sha256().hex(), **fields)
        response = send()
        offered = mdm_rig.command_of(response) if message in ("Idle", "Report") else None
        self.write("answer", message=message, http=str(response.status), **({"offered": offered[0]} if offered else {}))
        return offered and offered[0]

    def enroll(self):
        self.write("send", message="SCEP")
        self.write("answer", message="SCEP", http="200", issued=self.device.sha256().hex())
        self.tell("Authenticate", lambda: self.rig.authenticate(self.device))
        self.tell("TokenUpdate", lambda: self.rig.token_update(self.device))
        self.tell("SetBootstrapToken", lambda: self.rig.check_in(self.device, "SetBootstrapToken", BootstrapToken=b"secret"))

    def idle(self):
        return self.tell("Idle", lambda: self.rig.idle(self.device))

    def report(self, uuid, status="Acknowledged"):
        return self.tell("Report", lambda: self.rig.report(self.device, uuid, status), command=uuid, status=status)

    def end(self, state="enrolled"):
        self.write("end", state=state, certificate=self.device.sha256().hex(), token=self.device.token.hex(),
                   magic=self.device.magic, finished="yes")


class World:
    """Two devices; A answers three commands, one of them first with NotNow, and renews; B checks out."""

    def __init__(self, rig):
        self.rig, self.lines, self.orders = rig, [], []
        self.a, self.b = (Diarist(rig, rig.device(), self.lines) for _ in range(2))
        for one in (self.a, self.b):
            one.enroll()
        self.first, self.second = self.order(self.a), self.order(self.a)
        assert self.a.idle() == self.first
        assert self.a.report(self.first, "NotNow") == self.second
        assert self.a.report(self.second) is None
        assert self.a.idle() == self.first
        self.a.report(self.first, "Error")
        self.a.device = rig.renewed(self.a.device)
        self.a.write("send", message="SCEP")
        self.a.write("answer", message="SCEP", http="200", issued=self.a.device.sha256().hex())
        self.a.tell("Authenticate", lambda: rig.authenticate(self.a.device))
        self.a.idle()
        self.a.end()
        self.b.tell("CheckOut", lambda: rig.check_in(self.b.device, "CheckOut", Topic=self.b.device.topic))
        self.b.end("bare")
        # The rig's identities were made without pomona-scep, which tells of each.
        rig.sql("INSERT INTO events (at, what, who, certificate_sha256) SELECT UTC_TIMESTAMP(6), 'certificate.issued', 'device', "
                "sha256 FROM certificates WHERE kind = 'identity'")
        self.number = rig.enrollment_id(self.a.device)

    def order(self, one):
        uuid = self.rig.enqueue(one.device)
        self.orders.append({"uuid": uuid, "ids": [one.device.udid], "priority": 100, "done": chaos.utc_now()})
        return uuid

    def check(self, mutation="", lines=None, orders=None):
        """With a mutation of the database that lasts for the check only."""
        def sql(statement):
            return self.rig.db.sql("SET FOREIGN_KEY_CHECKS = 0; SET check_constraint_checks = 0; START TRANSACTION; "
                                   f"{mutation}; {statement}; ROLLBACK" if mutation else statement)
        found = facts.load(sql)
        for line in self.lines if lines is None else lines:
            facts.tell(found.stories, facts.Row(line))
        found.enqueued += [facts.Row(order) for order in (self.orders if orders is None else orders)]
        return {name: verdict.violations for name, verdict in invariants.check(found).items() if verdict.violations}

    def at(self, wanted, **where):
        """The place in the journal of the one line that has these fields (the first when there are several)."""
        return next(i for i, line in enumerate(self.lines) if line["step"] == wanted and where.items() <= line.items())

    def changed(self, place, **fields):
        return [line | fields if i == place else line for i, line in enumerate(self.lines)]


class TestInvariants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = mdm_rig.Rig()
        cls.world = World(cls.rig)
        cls.seen = set()

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def finds(self, rule, mutation="", **other):
        found = self.world.check(mutation, **other)
        self.assertIn(rule, found, f"not found by its rule; found: {found}")
        self.seen.add(rule)

    def test_a_true_world_violates_nothing_and_every_rule_has_something_to_look_at(self):
        self.assertEqual(self.world.check(), {})

    def test_lost_and_doubled_reports_are_found(self):
        w, rule = self.world, "answered report is stored once"
        self.finds(rule, f"DELETE FROM results WHERE command_uuid = '{w.second}'")
        self.finds(rule, f"UPDATE results SET status = 'Acknowledged' WHERE command_uuid = '{w.first}'")
        self.finds(rule, "INSERT INTO queue (enrollment_id, command_id, enqueued_at) SELECT enrollment_id, command_id, enqueued_at "
                         f"FROM results WHERE command_uuid = '{w.second}'")
        self.finds("queued command is not lost", f"DELETE FROM results WHERE command_uuid = '{w.second}'")
        self.finds("queued command is not lost", "INSERT INTO queue (enrollment_id, command_id, enqueued_at) SELECT enrollment_id, "
                   f"command_id, enqueued_at FROM results WHERE command_uuid = '{w.second}'")
        self.finds("queued command is not lost",
                   orders=w.orders + [{"uuid": "NEVER", "ids": [w.a.device.udid], "priority": 100, "done": "2026"}])

    def test_reports_from_nowhere_are_found(self):
        w = self.world
        self.finds("stored report was sent", "INSERT INTO results (enrollment_id, command_uuid, status, received_at) "
                                             f"VALUES ({w.number}, 'X', 'Acknowledged', NOW())")
        self.finds("stored report was sent", "UPDATE results SET enrollment_id = 999999")
        self.finds("offered command is the devices", lines=w.changed(w.at("answer", message="Idle"), offered="FOREIGN"))

    def test_a_settled_command_that_is_offered_again_is_found(self):
        w = self.world
        last = max(i for i, line in enumerate(w.lines) if line.get("message") == "Idle" and line["step"] == "answer")
        self.finds("settled command is not offered again", lines=w.changed(last, offered=w.first))
        report = w.at("send", message="Report", command=w.second) + 1
        self.finds("settled command is not offered again", lines=w.changed(report, offered=w.second))

    def test_a_broken_order_is_found(self):
        w = self.world
        self.finds("order is kept", lines=w.changed(w.at("answer", message="Idle"), offered=w.second))
        self.finds("order is kept", lines=w.changed(w.at("answer", message="Idle"), offered=""))
        self.finds("order is kept", orders=[w.orders[0], w.orders[1] | {"priority": 1}])

    def test_a_refused_command_that_comes_again_in_the_session_is_found(self):
        w = self.world
        self.finds("not now waits for the next session", lines=w.changed(w.at("send", status="NotNow") + 1, offered=w.first))

    def test_devices_that_wait_in_vain_are_found(self):
        w = self.world
        insert = ("INSERT INTO queue (enrollment_id, command_id, enqueued_at) SELECT {0}, id, UTC_TIMESTAMP(6) FROM commands LIMIT 1")
        self.finds("queue of finished device is empty", insert.format(w.number))
        self.finds("queue of finished device is empty", lines=w.changed(w.at("end", device=w.a.device.udid), finished="no"))
        self.finds("waiting command is pushed", insert.format(w.number) + "; UPDATE push_state SET due_at = NULL")
        self.finds("waiting command is pushed", insert.format(w.number) + "; DELETE FROM push_state")

    def test_unaccounted_certificates_are_found(self):
        w = self.world
        device = w.a.device
        self.finds("issued certificate is known", f"DELETE FROM certificates WHERE id = {device.certificate_id}")
        rule = "certificates are accounted for"
        self.finds(rule, f"UPDATE certificates SET status = 'pending', der = NULL, sha256 = NULL WHERE id = {device.certificate_id}")
        self.finds(rule, f"UPDATE certificates SET ticket_id = {w.b.device.number} WHERE id = {device.certificate_id}")
        self.finds(rule, "UPDATE certificates SET serial = x'01'")

    def test_a_wrong_identity_is_found(self):
        w, rule = self.world, "one identity speaks"
        self.finds(rule, f"UPDATE certificates SET status = 'issued' WHERE enrollment_id = {w.number}")
        self.finds(rule, f"UPDATE certificates SET status = 'retiring' WHERE enrollment_id = {w.number}")
        self.finds(rule, lines=w.changed(w.at("end", device=w.a.device.udid), certificate="00"))

    def test_a_wrong_enrolment_is_found(self):
        w, rule = self.world, "enrolment is as the device says"
        self.finds(rule, f"UPDATE enrollments SET state = 'disabled', current_id = NULL WHERE id = {w.number}")
        self.finds(rule, f"UPDATE enrollments SET push_magic = 'other' WHERE id = {w.number}")
        self.finds(rule, f"UPDATE enrollments SET push_token = x'00' WHERE id = {w.number}")
        self.finds(rule, f"UPDATE enrollments SET frozen = TRUE WHERE id = {w.number}")
        self.finds(rule, "UPDATE enrollments SET state = 'current', current_id = external_id")
        self.finds("escrowed token is kept", "DELETE FROM escrow")

    def test_refusals_of_honest_devices_are_found(self):
        w, rule = self.world, "honest device is not refused"
        place = w.at("answer", message="TokenUpdate")
        self.finds(rule, lines=w.changed(place, http="400"))
        self.finds(rule, lines=w.changed(place, http="0", what="a real device now removes its MDM profile"))
        self.finds(rule, lines=w.changed(w.at("answer", message="SCEP"), refused="failInfo 2"))
        self.finds(rule, lines=w.lines + [{"time": "2026", "device": w.a.device.udid, "step": "trouble", "what": "no plist"}])
        self.finds(rule, "INSERT INTO events (at, what, who) VALUES (NOW(), 'identity.refused', 'device')")

    def test_missing_and_doubled_events_are_found(self):
        double = "INSERT INTO events (at, what, who, enrollment_id, command_uuid, certificate_sha256) SELECT at, what, who, " \
                 "enrollment_id, command_uuid, certificate_sha256 FROM events WHERE what = '{0}'"
        for what in ("command.acknowledged", "command.error"):
            self.finds("one event per settled result", f"DELETE FROM events WHERE what = '{what}'")
            self.finds("one event per settled result", double.format(what))
        self.finds("one event per settled result", "DELETE FROM results")
        self.finds("one event per settled result", "INSERT INTO events (at, what, who) VALUES (NOW(), 'command.unknown', 'device')")
        for what in ("enrollment.new", "enrollment.checked-out", "enrollment.renewed", "certificate.issued"):
            self.finds("one event per change", f"DELETE FROM events WHERE what = '{what}'")
            self.finds("one event per change", double.format(what))
        self.finds("event deliveries have an event", "INSERT INTO event_deliveries (event_id, target, next_at) VALUES (0, 'x', NOW())")

    def test_a_push_that_nobody_sends_and_a_lease_without_end_are_found(self):
        w, rule = self.world, "no push is stuck"
        long_due = "UPDATE push_state SET due_at = UTC_TIMESTAMP(6) - INTERVAL 2 MINUTE, lease_owner = 'gone', lease_until = NOW(6) {0}"
        self.finds(rule, long_due.format("- INTERVAL 1 MINUTE"))
        self.assertNotIn(rule, w.check(long_due.format("+ INTERVAL 20 SECOND")))
        self.finds(rule, "UPDATE push_state SET lease_owner = 'gone', lease_until = NOW(6) + INTERVAL 1 DAY")
        self.finds(rule, "INSERT INTO leases VALUES ('x', 'gone', NOW(6) + INTERVAL 9 DAY)")
        self.assertEqual(w.check(), {}, "a mutation outlived its check")

    def test_zz_every_rule_was_tried(self):
        names = {rule.__name__.replace("_", " ") for rule in invariants.RULES}
        self.assertEqual(names - self.seen, set(), "rules that no test showed to be able to fail")


if __name__ == "__main__":
    unittest.main()
