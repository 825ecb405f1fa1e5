"""pomona secrets rotate at a running pomona-mdm: killed anywhere it goes on, and what programs write meanwhile is not lost."""
import os
import plistlib
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import seals  # noqa: E402
from mdm_rig import BUILD, MdmTest  # noqa: E402
from polling import poll  # noqa: E402

POINTS = ["rotate-wanted", "rotate-key-written", "rotate-key-seals", "rotate-batch-written", "rotate-batch-committed", "rotate-pass-done",
          "rotate-key-removed", "rotate-master-settled"]
MASTER_POINTS = ["rotate-wanted", "rotate-key-seals", "rotate-batch-committed", "rotate-key-removed", "rotate-master-settled"]
KILLED = -9
BOOTSTRAP = b"the bootstrap token"


class Rotating(MdmTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = cls.rig.folder / "keys"
        cls.device = cls.rig.enrolled()
        cls.rig.check_in(cls.device, "SetBootstrapToken", BootstrapToken=BOOTSTRAP)
        cls.answered = cls.rig.enqueue(cls.device)
        cls.rig.idle(cls.device)
        cls.rig.report(cls.device, cls.answered, QueryResponses={"DeviceName": "before"})
        cls.waiting = cls.rig.enqueue(cls.device, "SecurityInfo")

    def rotate(self, *arguments, crash_at=None):
        environment = os.environ | ({"POMONA_CRASH_AT": crash_at} if crash_at else {})
        return subprocess.run([BUILD / "bin/pomona", "secrets", "rotate", *arguments, "--config", self.rig.conf], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)

    def rotated(self, *arguments):
        run = self.rotate(*arguments, "--wait", "0s")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return run

    def status(self):
        return {row["domain"]: row for row in self.rig.json("secrets", "rotate", "--status")}

    def key_lines(self, domain):
        return (self.keys / f"{domain}.key").read_text().split()

    def what_there_was_opens(self):
        """As the device and the admin see it."""
        self.handed(self.rig.idle(self.device), self.waiting)
        answer = plistlib.loads(self.rig.check_in(self.device, "GetBootstrapToken").body)
        self.assertEqual(answer["BootstrapToken"], BOOTSTRAP)
        shown = self.rig.json("command", "show", self.answered)
        self.assertEqual(plistlib.loads(shown["enrollments"][0]["report"].encode())["QueryResponses"], {"DeviceName": "before"})

    def everything_opens(self):
        self.what_there_was_opens()
        fresh = self.rig.enqueue(self.device, "ProfileList", None, "--priority", "1")
        self.handed(self.rig.idle(self.device), fresh)
        self.handed(self.rig.report(self.device, fresh), self.waiting)
        self.assertEqual(self.rig.json("command", "show", fresh)["enrollments"][0]["status"], "Acknowledged")

    def settled(self, before, domains):
        status = self.status()
        for domain, row in status.items():
            self.assertEqual((row["state"], row["older"], row["unopenable"]), ("settled", 0, 0), domain)
            self.assertEqual(row["key"] != before[domain]["key"], domain in domains, domain)
            self.assertEqual(len(self.key_lines(domain)), 1)
        for domain, ids in seals.key_ids(self.rig.sql).items():
            self.assertLessEqual(ids, {status[domain]["key"]}, domain)
        return status

    def killed_everywhere(self, points, *arguments, domains):
        before = self.status()
        for name in points:
            with self.subTest(name):
                run = self.rotate(*arguments, "--wait", "0s", crash_at=name)
                self.assertEqual(run.returncode, KILLED, run.stdout + run.stderr)
                self.what_there_was_opens()
                self.rotated(*(arguments if name != "rotate-master-settled" else ()))
                self.what_there_was_opens()
                after = self.settled(before, domains)
                self.assertEqual([after[domain]["generation"] - before[domain]["generation"] for domain in domains],
                                 [int("--master" not in arguments)] * len(domains))
                before = after
        self.everything_opens()

    def test_killed_at_any_point_of_a_domain_it_goes_on(self):
        self.killed_everywhere(POINTS, "message", "escrow", domains=("message", "escrow"))

    def test_killed_at_any_point_of_the_master_it_goes_on(self):
        masters = {(self.keys / "master.key").read_text()}
        self.killed_everywhere(MASTER_POINTS, "--master", "--yes", domains=self.status())
        masters.add((self.keys / "master.key").read_text())
        self.assertEqual(len(masters), 2)
        self.assertNotIn("previous", (self.keys / "master.key").read_text())

    def test_killed_between_two_files_each_run_that_names_nothing_goes_on(self):
        before = self.status()
        self.rotate("all", "--wait", "0s", crash_at="rotate-key-written")
        self.rotate("--wait", "0s", crash_at="rotate-key-seals")
        self.rotate("--wait", "0s", crash_at="rotate-batch-committed")
        stages = [row["state"] for row in self.status().values()]
        self.assertEqual(set(stages), {"being sealed anew"})
        self.rotate("--wait", "0s", crash_at="rotate-key-removed")
        self.assertIn(1, [len(self.key_lines(domain)) for domain in before])
        self.assertIn(2, [len(self.key_lines(domain)) for domain in before])
        self.rotated()
        self.settled(before, before)
        self.everything_opens()

    def test_what_is_written_under_the_old_key_meanwhile_is_sealed_anew(self):
        before = self.status()
        rows = self.rig.sql("SELECT enrollment_id, type, HEX(body) FROM messages LIMIT 1").split("\t")
        self.assertEqual(self.rotate("message", "--wait", "0s", crash_at="rotate-pass-done").returncode, KILLED)
        # A program that had sealed it just before the new key came, and commits now.
        late = self.rig.sql(f"INSERT INTO messages (enrollment_id, type, body, received_at) VALUES ({rows[0]}, '{rows[1]}', "
                            f"X'{rows[2]}', UTC_TIMESTAMP(6)) RETURNING id")
        self.assertEqual(self.status()["message"]["older"], 1)
        self.rotated("message")
        self.settled(before, ("message",))
        self.assertIn(b"MessageType", seals.open_message(self.rig.sql, self.keys, late))

    def test_it_waits_for_programs_that_are_at_work_and_takes_what_they_wrote(self):
        before = self.status()
        rows = self.rig.sql("SELECT enrollment_id, type, HEX(body) FROM messages LIMIT 1").split("\t")
        key = self.key_lines("message")[0]
        process = subprocess.Popen([BUILD / "bin/pomona", "secrets", "rotate", "message", "--wait", "3s", "--config", self.rig.conf],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        poll(lambda: len(self.key_lines("message")) == 2 and self.key_lines("message")[0] != key)
        poll(lambda: self.status()["message"]["older"] == 0)
        self.rig.sql(f"INSERT INTO messages (enrollment_id, type, body, received_at) VALUES ({rows[0]}, '{rows[1]}', X'{rows[2]}', "
                     "UTC_TIMESTAMP(6))")
        other = self.rotate("ca", "--wait", "0s")
        self.assertEqual(other.returncode, 75, other.stderr)
        self.assertEqual(process.wait(60), 0, process.stderr.read())
        process.stderr.close()
        self.settled(before, ("message",))

    def test_rows_of_a_restored_backup_are_sealed_anew(self):
        rows = self.rig.sql("SELECT id, HEX(body), HEX(body_hmac) FROM commands WHERE body IS NOT NULL").split("\n")
        self.rotated("message")
        for row in rows:
            number, body, mac = row.split("\t")
            self.rig.sql(f"UPDATE commands SET body = X'{body}', body_hmac = X'{mac}' WHERE id = {number}")
        self.assertEqual(self.status()["message"]["older"], len(rows))
        self.rotated()
        self.assertEqual(self.status()["message"]["older"], 0)
        self.everything_opens()

    def test_the_same_command_again_is_still_told_from_another_with_its_uuid(self):
        command = {"CommandUUID": "again-1", "Command": {"RequestType": "DeviceInformation", "Queries": ["UDID"]}}
        text = plistlib.dumps(command)
        self.rig.pomona("command", "enqueue", self.device.udid, "-", stdin=text)
        for step in ("rotate-key-seals", None):
            self.rotate("message", "--wait", "0s", crash_at=step)
            other = self.rig.enrolled()
            self.rig.pomona("command", "enqueue", other.udid, "-", stdin=text)
            self.handed(self.rig.idle(other), "again-1")
            different = plistlib.dumps(command | {"Command": {"RequestType": "SecurityInfo"}})
            refused = self.rig.pomona("command", "enqueue", other.udid, "-", stdin=different, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(b"is taken by another command", refused.stderr)
        self.rig.sql("DELETE q FROM queue q JOIN commands c ON c.id = q.command_id WHERE c.uuid = 'again-1'")

    def test_an_altered_row_keeps_the_old_key_until_it_is_dealt_with(self):
        row = self.rig.sql("SELECT id, HEX(body) FROM messages ORDER BY id DESC LIMIT 1").split("\t")
        self.rig.sql(f"UPDATE messages SET body = CONCAT(LEFT(body, 45), 'XXXX', SUBSTRING(body, 50)) WHERE id = {row[0]}")
        run = self.rotate("message", "--wait", "0s")
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"messages {row[0]} ", run.stderr)
        self.assertEqual(len(self.key_lines("message")), 2)
        self.everything_opens()
        self.rig.sql(f"UPDATE messages SET body = X'{row[1]}' WHERE id = {row[0]}")
        self.rotated()
        self.assertEqual(len(self.key_lines("message")), 1)
        self.assertIn(b"MessageType", seals.open_message(self.rig.sql, self.keys, row[0]))

    def test_a_dump_made_afterwards_does_not_open_with_the_old_key(self):
        old = self.key_lines("message")[0]
        number = self.rig.sql("SELECT MAX(id) FROM messages")
        self.assertIn(b"MessageType", seals.open_message(self.rig.sql, self.keys, number, old))
        self.rotated("message")
        self.assertIn(b"MessageType", seals.open_message(self.rig.sql, self.keys, number))
        with self.assertRaises(seals.InvalidTag):
            seals.open_message(self.rig.sql, self.keys, number, old)

    def test_a_lost_domain_key_comes_back_in_its_present_generation(self):
        self.rotated("escrow")
        present = self.key_lines("escrow")
        (self.keys / "escrow.key").unlink()
        self.rig.pomona("secrets", "init")
        self.assertEqual(self.key_lines("escrow")[0], present[0])
        self.everything_opens()
        self.rotated()
        self.assertEqual(self.key_lines("escrow"), present)

    def test_a_lost_domain_key_does_not_bring_the_one_before_back(self):
        self.rotated("escrow")
        before = self.status()
        (self.keys / "escrow.key").unlink()
        self.rig.pomona("secrets", "init")
        self.assertEqual(len(self.key_lines("escrow")), 1)
        self.rotated("escrow")
        self.settled(before, ("escrow",))

    def test_an_older_copy_of_the_master_key_brings_no_former_key_back(self):
        master = self.keys / "master.key"
        older = master.read_text()
        self.rotated("message")
        before = self.status()
        master.write_text(older)
        self.rotated()
        self.settled(before, ())
        master.write_text(older)
        (self.keys / "message.key").unlink()   # all of the folder from an older copy: only the rows know better
        self.rig.pomona("secrets", "init")
        self.rotated()
        self.settled(before, ())
        self.rotated("message")
        self.settled(before, ("message",))
        self.everything_opens()

    def test_a_master_key_put_in_for_a_backup_is_no_answer_to_a_wish(self):
        before = self.status()
        with open(self.keys / "master.key", "a") as master:
            master.write("previous " + os.urandom(32).hex() + "\n")
        self.rotated("ca")
        self.settled(before, ("ca",))
        self.assertNotIn("previous", (self.keys / "master.key").read_text())

    def test_who_may_read_a_key_file_stays_as_it_was(self):
        path, elsewhere = self.keys / "signing.key", self.rig.folder / "signing-elsewhere.key"
        path.rename(elsewhere)
        elsewhere.chmod(0o440)
        if os.geteuid() == 0:
            os.chown(elsewhere, 4242, 4343)
        path.symlink_to(elsewhere)
        was, key = elsewhere.stat(), self.key_lines("signing")
        self.rotated("signing")
        self.assertNotEqual(self.key_lines("signing"), key)
        self.assertTrue(path.is_symlink())
        now = elsewhere.stat()
        self.assertEqual((now.st_uid, now.st_gid, now.st_mode), (was.st_uid, was.st_gid, was.st_mode))

    def test_a_key_file_that_a_program_cannot_read_is_told_once_and_the_key_before_serves(self):
        path = self.keys / "message.key"
        good = path.read_text()
        self.handed(self.rig.idle(self.device), self.waiting)   # it has read the keys of now
        path.write_text("half an admin's work\n")
        self.addCleanup(lambda: path.write_text(good))
        for _ in range(2):
            self.handed(self.rig.idle(self.device), self.waiting)
        told = [line for line in self.rig.log_text().splitlines() if "event=key-file.unreadable" in line]
        self.assertEqual(len(told), 1, told)
        self.assertIn(str(path), told[0])
        path.write_text(good)
        self.everything_opens()

    def test_each_rotation_is_told_of_from_its_beginning_even_when_it_was_killed(self):
        count = "SELECT what, COUNT(*) FROM events WHERE what LIKE 'secrets.%' GROUP BY what ORDER BY what"
        counts = lambda: dict(line.split("\t") for line in self.rig.sql(count).split("\n") if line)   # noqa: E731
        before = counts()
        self.rotate("dep", "--wait", "0s", crash_at="rotate-key-removed")
        self.rotated()
        after = counts()
        for what in ("secrets.rotation-begun", "secrets.rotated"):
            self.assertEqual(int(after[what]) - int(before.get(what, 0)), 1, what)

    def test_what_is_sealed_without_being_known_to_it_would_be_seen(self):
        """Every column that says so is looked through: a new one must be added to store/reseal."""
        columns = self.rig.sql("SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns WHERE table_schema = DATABASE() "
                               "AND column_comment LIKE '%sealed%' AND column_comment NOT LIKE '%first bytes%'").split()
        self.assertEqual(set(columns), {"commands.body", "results.body", "messages.body"})
        self.assertEqual(seals.sealed_tables(), {"secrets", "commands", "results", "messages"})

    def test_wrong_usage_changes_nothing(self):
        before = {path.name: path.read_bytes() for path in self.keys.iterdir()}
        for arguments, word in ((("nonsense",), "no domain"), (("ca", "--master"), "name none"), (("--master",), "--yes"), (("ca", "--wait", "x"), "--wait")):
            run = self.rotate(*arguments)
            self.assertEqual(run.returncode, 2, run.stderr)
            self.assertIn(word, run.stderr)
        self.assertEqual({path.name: path.read_bytes() for path in self.keys.iterdir()}, before)


if __name__ == "__main__":
    unittest.main()
