"""Topics of push certificates: another one is refused with the devices it would lose, given up only with their count, and a step back works
without restarting any worker."""
import os
import pty
import subprocess
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
from polling import poll  # noqa: E402
from push_bench import ApnsCase  # noqa: E402

DAY = 86400
OTHER = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555"


class Topics(ApnsCase):
    def setUp(self):
        super().setUp()
        self.forget_certificates()
        self.bench.checked("push-cert", "import", self.bench.certs / "client.pem", self.bench.certs / "client.key")

    def make(self, name, uid=None, ca=None, **options):
        identity = pki.issue(ca or self.push_ca, f"APSP:{name}", client=True, uid=uid or self.topic, **options)
        paths = self.bench.folder / f"{name}.pem", self.bench.folder / f"{name}.key"
        identity.write(*paths)
        return paths

    def refused(self, *arguments, exit=1):
        before = self.bench.json("push-cert", "list")
        done = self.bench.pomona("push-cert", *arguments)
        self.assertEqual(done.returncode, exit, done.stdout + done.stderr)
        self.assertEqual(self.bench.json("push-cert", "list"), before)
        return done.stderr

    def active(self):
        return sorted(c["sha256"] for c in self.bench.json("push-cert", "show"))

    def active_topics(self):
        return sorted(c["topic"] for c in self.bench.json("push-cert", "show"))

    def pushed_with(self, udid):
        """The topic that the stand-in took the device's push with, in one round."""
        self.bench.due(udid)
        before = len(self.bench.pushes())
        self.bench.push()
        pushes = self.bench.pushes()[before:]
        return [push["topic"] for push in pushes if bytes.fromhex(push["token"]).rstrip(b"\0").decode() == udid]

    def test_another_topic_is_refused_with_the_count_and_every_way_out(self):
        for udid in "ABC":
            self.bench.enroll(udid)
        said = self.refused("import", *self.make("other", uid=OTHER))
        for words in (f"{self.topic} (3 devices)", "Renew, not Create", "same Apple ID", "--new-topic", f"--replace-topic {self.topic}"):
            self.assertIn(words, said)

    def test_a_topic_is_given_up_only_with_the_number_of_devices_that_are_lost(self):
        for udid in "ABC":
            self.bench.enroll(udid)
        files = self.make("instead", uid=OTHER)
        for confirm in ((), ("--confirm", "2"), ("--confirm", "0"), ("--confirm", "4")):
            with self.subTest(confirm=confirm):
                said = self.refused("import", *files, "--replace-topic", self.topic, *confirm)
                self.assertIn("3 devices enrolled, and they are lost", said)
                self.assertIn("--confirm 3", said)
        done = self.bench.json("push-cert", "import", *files, "--replace-topic", self.topic, "--confirm", "3")
        self.assertEqual((done["topic"], done["devices_lost"]), (OTHER, 3))
        self.assertEqual(self.active_topics(), [OTHER])
        self.assertEqual(self.bench.events("push-cert.topic-replaced"), [f"topic {self.topic} given up for {OTHER}, lost: 3 devices"])
        self.assertEqual(self.pushed_with("A"), [])
        # A mistake is not the end: the certificate of the topic given up is kept.
        self.bench.checked("push-cert", "rollback", self.topic)
        self.assertEqual(self.active_topics(), sorted([OTHER, self.topic]))
        self.assertEqual(self.pushed_with("A"), [self.topic])

    def test_on_a_terminal_the_number_is_typed(self):
        self.bench.enroll("A")
        self.bench.enroll("B")
        files = self.make("typed", uid=OTHER)
        for typed, exit in (("3", 1), ("yes", 1), ("2", 0)):
            with self.subTest(typed=typed):
                leader, follower = pty.openpty()
                worker = subprocess.Popen(self.bench.argv("pomona", "push-cert", "import", *files, "--replace-topic", self.topic),
                                          stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                os.close(follower)
                os.write(leader, typed.encode() + b"\n")
                _, said = worker.communicate(timeout=60)
                os.close(leader)
                self.assertEqual(worker.returncode, exit, said)
                self.assertIn("2 devices enrolled", said)
                self.assertIn("Type the number of devices", said)
        self.assertEqual(self.active_topics(), [OTHER])

    def test_options_that_contradict_each_other_are_refused(self):
        files = self.make("contra", uid=OTHER)
        self.refused("import", *files, "--new-topic", "--replace-topic", self.topic, exit=2)
        self.refused("import", *files, "--new-topic", "--confirm", "1", exit=2)
        self.assertIn("no such topic", self.refused("import", *files, "--replace-topic", "com.apple.mgmt.External.none"))
        self.assertIn("a renewal", self.refused("import", *self.make("same", days=400), "--replace-topic", self.topic))

    def test_a_topic_without_devices_is_given_up_without_a_number(self):
        self.bench.checked("push-cert", "import", *self.make("free", uid=OTHER), "--replace-topic", self.topic)
        self.assertEqual(self.active_topics(), [OTHER])

    def test_rollback_is_one_step_back_and_forth(self):
        (first,) = self.active()
        self.bench.checked("push-cert", "import", *self.make("second", days=400))
        (second,) = self.active()
        self.bench.checked("push-cert", "import", *self.make("third", days=401))
        (third,) = self.active()
        done = self.bench.json("push-cert", "rollback")
        self.assertEqual((done["sha256"], done["set_aside"]), (second, third))
        self.assertEqual(self.active(), [second])
        self.bench.checked("push-cert", "rollback", self.topic)
        self.assertEqual(self.active(), [third])
        self.assertEqual(len({first, second, third}), 3)
        self.assertEqual(len(self.bench.events("push-cert.rolled-back")), 2)

    def test_what_cannot_be_rolled_back_is_said(self):
        self.assertIn("there is no earlier certificate", self.refused("rollback"))
        self.assertIn("no earlier certificate", self.refused("rollback", "com.apple.mgmt.External.none"))
        self.bench.checked("push-cert", "import", *self.make("longer", days=800))
        done = self.bench.pomona("push-cert", "rollback", clock=500 * DAY)
        self.assertEqual(done.returncode, 1)
        self.assertIn("expired on", done.stderr)
        self.bench.checked("push-cert", "import", *self.make("two", uid=OTHER), "--new-topic")
        self.assertIn("several topics", self.refused("rollback"))

    def test_workers_use_what_was_imported_and_rolled_back_in_their_next_round(self):
        for udid in "ABC":
            self.bench.enroll(udid)
        worker = self.bench.start("pomona-push", "--forever")
        self.addCleanup(lambda: (worker.terminate(), worker.communicate(timeout=60)))

        def pushed(udid):
            return any(bytes.fromhex(push["token"]).rstrip(b"\0").decode() == udid for push in self.bench.pushes())

        self.bench.due("A")
        poll(lambda: pushed("A"))
        # Of a CA that the stand-in does not know: what happens with it tells that it is in use.
        self.bench.checked("push-cert", "import", *self.make("foreign", ca=pki.make_ca("Not Apple")))
        self.bench.due("B")
        poll(lambda: self.bench.state("B")["attempts"] not in ("0", None))
        self.assertFalse(pushed("B"))
        self.bench.checked("push-cert", "rollback")
        poll(lambda: pushed("B"))
        self.bench.checked("push-cert", "import", *self.make("renewed", days=400))
        self.bench.due("C")
        poll(lambda: pushed("C"))
        self.assertIsNone(worker.poll())

    def test_two_who_import_at_once_leave_one_active_certificate(self):
        pairs = [self.make(f"at-once-{number}") for number in range(4)]
        codes = []
        threads = [threading.Thread(target=lambda p=p: codes.append(self.bench.pomona("push-cert", "import", *p).returncode)) for p in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(codes), {0, 75})
        self.assertIn(0, codes)
        self.assertEqual(len(self.active()), 1)

    def test_importing_it_again_mends_a_key_that_is_gone_or_was_altered(self):
        again = "push-cert", "import", self.bench.certs / "client.pem", self.bench.certs / "client.key"
        self.bench.enroll("A", self.topic)
        for harm in ("DELETE FROM secrets", "UPDATE secrets SET body = CONCAT('x', SUBSTRING(body, 2))"):
            with self.subTest(harm):
                self.bench.sql(harm)
                self.assertEqual(self.pushed_with("A"), [])
                self.assertEqual([self.bench.json(*again)["changed"] for _ in range(2)], [True, False])
                self.assertEqual(self.pushed_with("A"), [self.topic])
                self.bench.forget()
                self.bench.enroll("A", self.topic)

    def test_apple_id_and_notes_are_kept_over_renewals_and_shown(self):
        renewed = self.make("noted", days=366)
        self.bench.checked("push-cert", "import", *renewed, "--apple-id", "mdm@example.org", "--note", "portal serial 1A2B; Ada has the password")
        self.bench.checked("push-cert", "import", *self.make("later", days=370), "--note", "portal serial 3C4D")
        (shown,) = self.bench.json("push-cert", "show")
        self.assertEqual((shown["apple_id"], shown["note"]), ("mdm@example.org", "portal serial 3C4D"))
        self.assertIn("Apple ID: mdm@example.org", self.bench.checked("push-cert", "list"))
        text = self.bench.checked("push-cert", "show", clock=360 * DAY)
        self.assertRegex(text, "Next Step: renew it .*the Apple ID is mdm@example.org")
        self.assertIn("the Apple ID is mdm@example.org", self.bench.checked("certs", clock=360 * DAY))
        self.refused("import", *renewed, "--note", "x" * 1001, exit=2)


if __name__ == "__main__":
    unittest.main()
