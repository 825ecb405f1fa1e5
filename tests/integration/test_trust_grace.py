"""An expired identity is heard for one thing: it fetches its renewal, over TLS, for identity-grace, and nothing else."""
# time limit: 600
import dataclasses
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
import mdm_signature  # noqa: E402
import pki  # noqa: E402
from trust_rig import DAY, Offer, TrustTest  # noqa: E402

EXPIRED = "FAILED:certificate has expired"
LIFETIME = 30


class Grace(TrustTest):
    settings = {"reenrollment": "approve", "identity-grace": "180d"}

    def enrolled(self, *arguments, **more):
        return self.rig.enrolled(*arguments, days=LIFETIME, **more)

    def expire(self, *devices, days=1):
        """So many days ago: what the server has recorded of a certificate is what it goes by."""
        self.move(*devices, days=LIFETIME + days)

    def move(self, *devices, days):
        for device in devices:
            self.rig.sql(f"UPDATE certificates SET not_before = not_before - INTERVAL {days} DAY, "
                         f"not_after = not_after - INTERVAL {days} DAY, retiring_at = retiring_at - INTERVAL {days} DAY "
                         f"WHERE id = {device.certificate_id}")
            self.rig.sql(f"UPDATE enrollments SET last_seen_at = last_seen_at - INTERVAL 1 HOUR WHERE external_id = '{device.udid}'")

    def expired(self, device):
        return self.rig.tls(device, EXPIRED)

    def test_it_fetches_its_renewal_past_all_other_commands(self):
        device, silent = self.enrolled(), self.enrolled()
        self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        first, second = self.rig.enqueue(device), self.rig.enqueue(device, "SecurityInfo")
        self.rig.renew(device)
        self.rig.enqueue(silent)
        self.expire(device, silent)
        # nginx says so of a handshake; a session that was resumed or kept since before still says SUCCESS.
        for verify in (EXPIRED, "SUCCESS"):
            with self.subTest(verify):
                params = self.rig.tls(device, verify)
                offer = Offer(self.rig.idle(device, params=params))
                self.assertEqual(self.rig.ticket_of(offer.challenge)[1], "open")
                self.assertIn("expired identity, in grace until", self.rig.last_line())
                self.nothing(self.rig.idle(silent, params=self.rig.tls(silent, verify)))
                self.assertIn("no renewal is queued", self.rig.last_line())
        self.assertIn("it gets its renewal and nothing else", self.events_of(device, "identity.grace"))
        self.assertIn("to an expired identity", self.events_of(device, "renewal.offered"))
        # Its reports are taken in, and answered empty.
        self.nothing(self.rig.report(device, first, params=self.expired(device)))
        self.nothing(self.rig.report(device, offer.uuid, params=self.expired(device)))
        self.assertEqual(self.rig.ticket_of(offer.challenge)[1], "closed")
        states = [self.rig.json("command", "show", uuid)["enrollments"][0]["status"] for uuid in (first, second, offer.uuid)]
        self.assertEqual(states, ["Acknowledged", "queued", "Acknowledged"])

    def test_the_renewed_identity_is_served_as_before(self):
        device = self.enrolled()
        self.rig.renew(device)
        command = self.rig.enqueue(device)
        self.expire(device)
        offer = Offer(self.rig.idle(device, params=self.expired(device)))
        renewed = self.rig.redeem(device, offer)
        self.accepted(self.rig.authenticate(renewed))
        # The connection that is still open shows the old one, which retires now.
        self.nothing(self.rig.report(device, offer.uuid, params=self.expired(device)))
        self.nothing(self.rig.idle(device, params=self.expired(device)))
        self.handed(self.rig.idle(renewed), command)

    def test_a_renewal_that_was_answered_not_now_is_offered_in_the_next_session(self):
        device = self.enrolled()
        self.rig.renew(device)
        self.expire(device)
        offer = Offer(self.rig.idle(device, params=self.expired(device)))
        self.nothing(self.rig.report(device, offer.uuid, "NotNow", params=self.expired(device)))
        self.assertEqual(Offer(self.rig.idle(device, params=self.expired(device))).uuid, offer.uuid)

    def test_check_ins_of_an_expired_identity_are_refused(self):
        device = self.enrolled()
        self.rig.check_in(device, "SetBootstrapToken", BootstrapToken=b"bootstrap")
        self.expire(device)
        row = f"SELECT HEX(push_token), token_update_tally FROM enrollments WHERE current_id = '{device.udid}'"
        before = self.rig.sql(row)
        for verify in (EXPIRED, "SUCCESS"):
            params = self.rig.tls(device, verify)
            for answer in (self.rig.authenticate(device, params=params), self.rig.token_update(device, params=params, Token=b"new"),
                           self.rig.check_in(device, "GetBootstrapToken", params=params),
                           self.rig.check_in(device, "SetBootstrapToken", params=params, BootstrapToken=b"x"),
                           self.rig.check_in(device, "CheckOut", params=params),
                           self.rig.token_update(device, ("USER", "user"), params=params)):
                self.refused(answer, "fetches its renewal and does nothing else")
        self.assertEqual(self.rig.sql(row), before)
        self.assertEqual(self.rig.states(device), ["current"])
        self.assertIn("does nothing else", self.events_of(device, "identity.refused"))

    def test_the_grace_ends(self):
        device = self.enrolled()
        self.rig.renew(device)
        self.expire(device, days=179)
        self.assertTrue(Offer(self.rig.idle(device, params=self.expired(device))).challenge)
        self.move(device, days=2)
        for verify in (EXPIRED, "SUCCESS"):
            self.refused(self.rig.idle(device, params=self.rig.tls(device, verify)), "its grace is over")
            self.refused(self.rig.report(device, "x", params=self.rig.tls(device, verify)), "its grace is over")

    def test_only_what_has_expired_is_heard_after_a_failed_handshake(self):
        device = self.enrolled()
        self.rig.renew(device)
        for verify in (EXPIRED, "FAILED:self-signed certificate", "FAILED:", "FAILEDcertificate", "failed", "SUCCESS "):
            self.refused(self.rig.idle(device, params=self.rig.tls(device, verify)))
        stranger = dataclasses.replace(device, identity=pki.issue(pki.make_ca("Test Device CA"), "device", client=True, days=-1))
        self.refused(self.rig.idle(stranger, params=self.expired(stranger)), "unknown certificate")
        self.expire(device)
        self.assertTrue(Offer(self.rig.idle(device, params=self.expired(device))).challenge)
        # Dates count, not nginx's word for them; a certificate of tomorrow has no grace.
        self.move(device, days=-2 * LIFETIME)
        self.refused(self.rig.idle(device, params=self.rig.tls(device, "FAILED:certificate is not yet valid")), "outside of its dates")

    def test_a_signature_proves_nothing_once_the_identity_has_expired(self):
        signing = self.rig.enrolled(auth="signature", days=LIFETIME)
        tls = self.enrolled()
        for device in (signing, tls):
            self.rig.renew(device)
        self.expire(signing, tls)
        for options in ((), ("-noattr",)):
            self.refused(self.rig.signed(signing, {"Status": "Idle"}, *options)[0], "grace is for TLS only")
            self.refused(self.rig.signed(tls, {"Status": "Idle"}, *options)[0], "grace is for TLS only")
        self.refused(self.rig.idle(signing, params=self.expired(signing)), "an enrolment that has no grace")
        # A header beside a failed handshake changes nothing.
        body = mdm_signature.header(b"junk")
        self.assertTrue(Offer(self.rig.idle(tls, params=self.expired(tls) | body)).challenge)

    def test_what_is_not_served_has_no_grace(self):
        devices = {}
        for name in ("disabled", "checked-out", "replaced", "frozen", "pending", "revoked", "other"):
            devices[name] = self.enrolled()
        self.rig.pomona("enrollment", "disable", devices["disabled"].udid, "--yes")
        self.rig.check_in(devices["checked-out"], "CheckOut")
        self.rig.enroll(self.rig.again(devices["replaced"], bind_udid=devices["replaced"].udid))
        self.rig.sql(f"UPDATE enrollments SET frozen = TRUE WHERE current_id = '{devices['frozen'].udid}'")
        waiting = self.rig.again(devices["pending"], days=LIFETIME)
        self.accepted(self.rig.authenticate(waiting))
        self.rig.sql(f"UPDATE certificates SET status = 'revoked' WHERE id = {devices['revoked'].certificate_id}")
        devices["pending"] = waiting
        victim = self.enrolled()
        devices["other"].udid = victim.udid
        self.expire(*devices.values())
        for name, device in devices.items():
            for answer in (self.rig.idle(device, params=self.expired(device)),
                           self.rig.report(device, "x", params=self.expired(device))):
                with self.subTest(name):
                    self.refused(answer)
        # An expired key is no reason to doubt the generation that took its place.
        self.assertEqual(self.rig.json("enrollment", "show", devices["replaced"].udid)["frozen"], False)

    def test_a_retired_identity_has_no_grace(self):
        device = self.enrolled()
        offer = self.rig.offered(device)
        renewed = self.rig.redeem(device, offer)
        self.accepted(self.rig.authenticate(renewed))
        self.expire(device)
        self.refused(self.rig.idle(device, params=self.expired(device)), "certificate that a renewal has replaced")
        self.assertEqual(self.rig.idle(renewed).status, 200)

    def test_an_expired_renewal_that_was_never_seen_retires_nothing(self):
        device = self.enrolled()
        offer = self.rig.offered(device)
        number = self.rig.ticket_of(offer.challenge)[0]
        identity = pki.issue(self.rig.ca, "renewed", client=True, days=10)
        lost = dataclasses.replace(device, identity=identity,
                                   certificate_id=self.rig.certificate(identity, number, self.rig.enrollment_id(device)))
        self.move(lost, days=11)
        self.assertTrue(Offer(self.rig.idle(lost, params=self.expired(lost))).challenge)
        self.assertEqual(self.rig.status(device), "issued")
        self.assertTrue(Offer(self.rig.idle(device)).challenge)


    def test_the_grace_is_as_long_as_the_admin_says(self):
        device = self.enrolled()
        self.rig.renew(device)
        self.rig.restart(clock=(LIFETIME + 3) * DAY, identity_grace="2d")
        self.refused(self.rig.idle(device, params=self.expired(device)), "its grace is over")
        self.rig.restart(clock=(LIFETIME + 1) * DAY)
        self.assertTrue(Offer(self.rig.idle(device, params=self.expired(device))).challenge)
        self.rig.restart(clock=0, identity_grace="180d")


if __name__ == "__main__":
    unittest.main()
