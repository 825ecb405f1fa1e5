"""What a recorded Mdm-Signature yields on another host: no certificate, no token, and no command that the server puts a secret into."""
# time limit: 600
import plistlib
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
import pki  # noqa: E402
import trust_rig  # noqa: E402
from mdm_rig import CHECKIN  # noqa: E402
from trust_rig import HOUR, Offer, TrustTest  # noqa: E402

STATIC = ("-noattr", "-md", "sha1")  # as Apple's client signs: no attributes, so no time
TIMED = ()


class Replay(TrustTest):
    def enrolled(self, **more):
        return self.rig.enrolled(auth="signature", kind_of_key="rsa", **more)

    def test_a_recorded_idle_fetches_a_renewal_that_only_the_device_can_read(self):
        for form in (STATIC, TIMED):
            with self.subTest(form):
                device, thief = self.enrolled(), pki.issue(self.rig.ca, "thief", client=True, kind="rsa")
                _, recorded = self.rig.signed(device, {"Status": "Idle"}, *form)
                self.rig.renew(device)
                sealed = Offer(self.rig.put(*recorded))
                self.assertTrue(sealed.encrypted)
                self.assertNotIn("PayloadContent", sealed.root)
                with self.assertRaises(ValueError):
                    trust_rig.decrypted(sealed.root["EncryptedPayloadContent"], thief)
                opened = Offer(sealed.response, device.identity)
                self.assertEqual(self.rig.ticket_of(opened.challenge)[1], "open")
                self.assertEqual(opened.mdm["SignMessage"], True)
                for secret in (opened.challenge.encode(), opened.scep["PayloadUUID"].encode()):
                    self.assertNotIn(secret, sealed.response.body)

    def test_the_device_itself_is_renewed_by_what_it_decrypts(self):
        device = self.enrolled()
        self.rig.renew(device)
        offer = Offer(self.rig.signed(device, {"Status": "Idle"}, *STATIC)[0], device.identity)
        renewed = self.rig.redeem(device, offer, "rsa")
        self.nothing(self.rig.signed(renewed, {"Status": "Acknowledged", "CommandUUID": offer.uuid}, *STATIC)[0])
        self.assertEqual((self.rig.status(device), self.rig.status(renewed)), ("retiring", "issued"))

    def test_a_recorded_report_fetches_no_renewal_in_the_clear_either(self):
        device = self.enrolled()
        command = self.rig.enqueue(device)
        _, recorded = self.rig.signed(device, {"Status": "Acknowledged", "CommandUUID": command}, *STATIC)
        self.rig.renew(device)
        self.assertTrue(Offer(self.rig.put(*recorded)).encrypted)

    def test_a_signature_without_a_time_fetches_no_bootstrap_token(self):
        device = self.enrolled()
        self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        ask = {"MessageType": "GetBootstrapToken"}
        answer, recorded = self.rig.signed(device, ask, *STATIC, content_type=CHECKIN)
        self.assertEqual(plistlib.loads(answer.body), {})
        self.assertIn("may be a recorded one", self.rig.last_line())
        self.assertEqual(plistlib.loads(self.rig.put(*recorded).body), {})
        timed, recorded = self.rig.signed(device, ask, *TIMED, content_type=CHECKIN)
        self.assertEqual(plistlib.loads(timed.body), {"BootstrapToken": b"bootstrap"})
        self.assertEqual(plistlib.loads(self.rig.check_in(device, "GetBootstrapToken").body), {"BootstrapToken": b"bootstrap"})
        self.rig.restart(clock=HOUR + 60)
        self.assertEqual(plistlib.loads(self.rig.put(*recorded).body), {})

    def test_a_clock_that_is_hours_off_either_way_gets_no_command(self):
        device = self.enrolled()
        self.rig.renew(device)
        for clock in (-2 * HOUR, 2 * HOUR):
            self.rig.restart(clock=clock)
            self.nothing(self.rig.signed(device, {"Status": "Idle"}, *TIMED)[0])
            self.assertIn("signed at another time", self.rig.last_line())
        self.assertEqual(self.rig.count("tickets", f"purpose = 'renew' AND enrollment_id = {self.rig.enrollment_id(device)}"), 0)
        for clock in (-HOUR // 2, HOUR // 2):
            self.rig.restart(clock=clock)
            self.assertTrue(Offer(self.rig.signed(device, {"Status": "Idle"}, *TIMED)[0]).encrypted)

    def test_what_a_replay_still_yields_is_a_stored_command(self):
        """Said in docs/data-and-trust.md; when this changes, that does."""
        device = self.enrolled()
        _, recorded = self.rig.signed(device, {"Status": "Idle"}, *STATIC)
        command = self.rig.enqueue(device)
        self.handed(self.rig.put(*recorded), command)

    def test_over_tls_a_renewal_comes_in_the_clear_and_can_be_read_without_the_key(self):
        self.assertFalse(self.rig.offered(self.rig.enrolled()).encrypted)
        self.assertFalse(self.rig.offered(self.enrolled()).encrypted)

    def test_the_admin_decides_what_is_encrypted(self):
        signing, tls = self.enrolled(), self.rig.enrolled(kind_of_key="ec")
        for device in (signing, tls):
            self.rig.renew(device)
        self.rig.restart(encrypt_renewal="yes")
        for sealed, device in ((Offer(self.rig.idle(signing)), signing), (Offer(self.rig.idle(tls)), tls)):
            self.assertTrue(sealed.encrypted)
            self.assertEqual(self.rig.ticket_of(Offer(sealed.response, device.identity).challenge)[1], "open")
        self.rig.restart(encrypt_renewal="no")
        self.assertFalse(Offer(self.rig.signed(signing, {"Status": "Idle"}, *STATIC)[0]).encrypted)
        self.rig.restart(encrypt_renewal="auto")


if __name__ == "__main__":
    unittest.main()
