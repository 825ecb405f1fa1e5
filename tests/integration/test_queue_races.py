"""Cancel, hold and release against devices that poll and report at the same moment: nothing is offered afterwards, no answer is lost."""
# time limit: 300
import os
import plistlib
import random
import sys
import threading
import time
import unittest
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import command_of  # noqa: E402
from polling import poll  # noqa: E402

DEVICES = 12
ROUNDS = int(os.environ.get("RACE_ROUNDS", 6))   # more by hand: RACE_ROUNDS=200
SEED = random.SystemRandom().randrange(1 << 32)
FINAL = "('command.acknowledged', 'command.error')"


class Poller:
    """A device that polls on and on, answers now and then, and remembers when it was offered what."""

    def __init__(self, rig, device, chance):
        self.rig, self.device, self.chance = rig, device, chance
        self.offers = []        # (asked at, answered at, CommandUUID)
        self.answered = set()   # what a 200 was got for
        self.polls, self.troubles = 0, []

    def idle(self):
        began = time.monotonic()
        answer = self.rig.idle(self.device)
        self.polls += 1
        return self.take(began, answer)

    def report(self, command, status="Acknowledged"):
        began = time.monotonic()
        answer = self.rig.report(self.device, command, status, Mark=self.device.udid)
        if answer.status == 200 and status != "NotNow":
            self.answered.add(command)
        return self.take(began, answer)

    def take(self, began, answer):
        if answer.status != 200:
            self.troubles.append(f"{self.device.udid}: status {answer.status}")
        found = command_of(answer)
        if found:
            self.offers.append((began, time.monotonic(), found[0]))
        return found[0] if found else None

    def run(self, stop, dice):
        while not stop.is_set():
            command = self.idle()
            if command and dice.random() < self.chance:
                self.report(command)
            elif command and dice.random() < self.chance:
                self.report(command, "NotNow")


class Races(mdm_rig.MdmTest):
    settings = {"threads": 6}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print(f"seed {SEED}", file=sys.stderr)
        cls.dice = random.Random(SEED)
        cls.devices = [cls.rig.enrolled() for _ in range(DEVICES)]
        cls.ids = ",".join(device.udid for device in cls.devices)

    def setUp(self):
        self.rig.pomona("command", "clear", self.ids, "--yes")

    def enqueue(self, name=None):
        name = name or str(uuid.uuid4()).upper()
        body = plistlib.dumps({"CommandUUID": name, "Command": {"RequestType": "ProfileList"}})
        return name, self.rig.pomona("command", "enqueue", self.ids, "-", stdin=body, check=False)

    def running(self, pollers):
        """Their threads, two devices each in turn, and what ends them."""
        stop = threading.Event()
        threads = [threading.Thread(target=poller.run, args=(stop, random.Random(self.dice.random()))) for poller in pollers]
        for thread in threads:
            thread.start()

        def end():
            stop.set()
            for thread in threads:
                thread.join()
        return end

    def everyone_polls(self, pollers):
        before = [poller.polls for poller in pollers]
        poll(lambda: all(poller.polls >= had + 2 for poller, had in zip(pollers, before)))

    def order(self, verb, command):
        """Runs it; returns the moments before and after."""
        began = time.monotonic()
        self.rig.pomona("command", verb, command, "--yes" if verb != "hold" else "--json")
        return began, time.monotonic()

    def rows(self, command):
        """By enrolment: (status, has a body, cancelled, final events, events of the cancellation)."""
        text = self.rig.sql(f"""
            SELECT e.external_id, r.status, r.body IS NOT NULL, r.cancelled_at IS NOT NULL,
              (SELECT COUNT(*) FROM events v WHERE v.enrollment_id = e.id AND v.command_uuid = r.command_uuid AND v.what IN {FINAL}),
              (SELECT COUNT(*) FROM events v WHERE v.enrollment_id = e.id AND v.command_uuid = r.command_uuid AND v.what = 'command.cancelled')
            FROM results r JOIN enrollments e ON e.id = r.enrollment_id WHERE r.command_uuid = '{command}'""")
        return {line.split("\t")[0]: tuple(line.split("\t")[1:]) for line in text.split("\n")}

    def check_round(self, command, pollers, held, cancelled):
        rows = self.rows(command)
        self.assertEqual(self.rig.count("queue q JOIN commands c ON c.id = q.command_id", f"c.uuid = '{command}'"), 0)
        late = 0
        for poller in pollers:
            self.assertEqual(poller.troubles, [])
            for asked, got, offered in poller.offers:
                self.assertFalse(offered == command and held[0] < asked and got < held[1], "offered while it was held")
                self.assertFalse(offered == command and asked > cancelled, "offered after it was cancelled")
            status, body, was_cancelled, final, events = rows[poller.device.udid]
            self.assertEqual(events, was_cancelled)
            if command in poller.answered:
                self.assertEqual((status, body, final), ("Acknowledged", "1", "1"), "an answer was lost")
                late += int(was_cancelled)
            else:
                self.assertEqual((status, body, was_cancelled, final), ("cancelled", "0", "1", "0"))
        return late, sum(command in poller.answered for poller in pollers)

    def test_cancel_hold_and_release_against_polls_and_reports(self):
        late = answered = 0
        for _ in range(ROUNDS):
            command, _ = self.enqueue()
            # Two carry it out for as long as all this takes, and answer in the end.
            pollers = [Poller(self.rig, device, 0.06 if number > 1 else 0) for number, device in enumerate(self.devices)]
            end = self.running(pollers)
            try:
                self.everyone_polls(pollers)
                _, held = self.order("hold", command)
                self.everyone_polls(pollers)
                released, _ = self.order("release", command)
                self.everyone_polls(pollers)
                _, cancelled = self.order("cancel", command)
                self.everyone_polls(pollers)
            finally:
                end()
            for poller in pollers:   # some others were carrying it out too
                if command not in poller.answered and (poller.chance == 0 or self.dice.random() < 0.5):
                    poller.report(command)
            one = self.check_round(command, pollers, (held, released), cancelled)
            late, answered = late + one[0], answered + one[1]
        self.assertGreater(late, ROUNDS)
        self.assertGreater(answered, late, "no device was quicker than the cancellation")

    def test_clear_against_devices_that_work_their_queue_off(self):
        for _ in range(ROUNDS // 2):
            commands = [self.enqueue()[0] for _ in range(3)]
            pollers = [Poller(self.rig, device, 0.5) for device in self.devices]
            end = self.running(pollers)
            try:
                self.rig.pomona("command", "clear", self.ids, "--yes")
                cleared = time.monotonic()
                self.everyone_polls(pollers)
            finally:
                end()
            for command in commands:
                self.check_round(command, pollers, (cleared, 0), cleared)

    def test_a_command_that_is_queued_again_while_it_is_answered_is_given_once(self):
        for _ in range(ROUNDS):
            command, _ = self.enqueue()
            pollers = [Poller(self.rig, device, 1) for device in self.devices]
            end = self.running(pollers)
            try:
                while any(command not in poller.answered for poller in pollers):
                    self.enqueue(command)
            finally:
                end()
            again = self.enqueue(command)[1]
            self.assertEqual(again.stderr.count(b"has answered this command already"), DEVICES)
            self.assertEqual(self.rig.count("queue q JOIN commands c ON c.id = q.command_id", f"c.uuid = '{command}'"), 0)
            for poller in pollers:
                offers = [offered for _, _, offered in poller.offers]
                self.assertEqual((offers.count(command), poller.troubles), (1, []))

    def test_a_command_that_is_queued_again_waits_for_the_answer_that_is_being_stored(self):
        command, _ = self.enqueue()
        device = self.devices[0]
        mine = f"enrollment_id = {self.rig.enrollment_id(device)} AND command_id = (SELECT id FROM commands WHERE uuid = '{command}')"
        settling = self.rig.db.session()
        self.addCleanup(settling.close)
        settling.say(f"""START TRANSACTION;   -- as settle_report does it
            INSERT INTO results (enrollment_id, command_uuid, command_id, status, received_at)
              SELECT enrollment_id, '{command}', command_id, 'Acknowledged', NOW(6) FROM queue WHERE {mine};
            DELETE FROM queue WHERE {mine}""")
        again = []
        thread = threading.Thread(target=lambda: again.append(self.enqueue(command)[1]))
        thread.start()
        self.rig.db.until_blocked()
        settling.say("COMMIT")
        thread.join()
        self.assertIn(f"{device.udid}: it has answered this command already".encode(), again[0].stderr)
        self.assertEqual(self.rig.count("queue", mine), 0)


if __name__ == "__main__":
    unittest.main()
