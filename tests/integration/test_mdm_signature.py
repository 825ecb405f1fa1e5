"""Enrolments that are identified by Mdm-Signature: every form that devices send is read, nothing else is believed."""
# time limit: 600
import base64
import plistlib
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
import mdm_signature as cms  # noqa: E402
import pki  # noqa: E402
from mdm_rig import CHECKIN, CONNECT, command_of  # noqa: E402

HOUR = 3600


class MdmSignature(mdm_rig.MdmTest):
    def setUp(self):
        if self.rig.clock:
            self.rig.restart()

    def signed(self, device, message, *options, content_type=CONNECT, form=lambda der: der):
        body = plistlib.dumps(message | device.ids())
        return self.rig.put(body, content_type, cms.header(form(cms.sign(device.identity, body, *options))))

    def enrolled(self, *options, identity=None, form=lambda der: der):
        device = self.rig.device(auth="signature", identity=identity)
        for message in ({"MessageType": "Authenticate", "Topic": device.topic},
                        {"MessageType": "TokenUpdate", "Topic": device.topic, "Token": device.token, "PushMagic": "m"}):
            self.accepted(self.signed(device, message, *options, content_type=CHECKIN, form=form))
        command = self.rig.enqueue(device)
        self.handed(self.signed(device, {"Status": "Idle"}, *options, form=form), command)
        return device

    def test_every_form_of_a_signature_is_read(self):
        def der(bytes_):
            return bytes_
        rsa, ecdsa = (pki.issue(self.rig.ca, "named", client=True, kind=kind) for kind in ("rsa", "ec"))
        forms = {"DER with signed attributes": (rsa, (), der),
                 "without signed attributes": (pki.issue(self.rig.ca, "x", client=True, kind="rsa"), ("-noattr",), der),
                 "SHA-1, no attributes, no subject, BER": (cms.nameless(self.rig.ca), ("-noattr", "-md", "sha1"), cms.streamed),
                 "BER with attributes": (cms.nameless(self.rig.ca), (), cms.streamed),
                 "ECDSA": (ecdsa, (), der),
                 "ECDSA without attributes, no subject": (cms.nameless(self.rig.ca, "ec"), ("-noattr",), der)}
        for name, (identity, options, form) in forms.items():
            with self.subTest(name):
                self.enrolled(*options, identity=identity, form=form)

    def test_the_streamed_form_really_is_ber(self):
        identity = cms.nameless(self.rig.ca)
        ber = cms.streamed(cms.sign(identity, b"body", "-noattr", "-md", "sha1"))
        self.assertEqual(ber[:2], b"\x30\x80")
        told = subprocess.run(["openssl", "asn1parse", "-inform", "DER"], input=ber, capture_output=True, check=True).stdout
        self.assertGreaterEqual(told.count(b"l=inf"), 5)

    def test_a_signature_over_other_bytes_is_refused(self):
        device = self.enrolled(identity=cms.nameless(self.rig.ca))
        body = plistlib.dumps({"Status": "Idle"} | device.ids())
        good = cms.sign(device.identity, body)
        for options in ((), ("-noattr",)):
            self.refused(self.rig.put(body + b"\n", params=cms.header(cms.sign(device.identity, body, *options))))
        self.refused(self.rig.put(body, params=cms.header(cms.sign(device.identity, body, "-nodetach"))))
        self.refused(self.rig.put(body, params=cms.header(cms.sign(device.identity, body, "-nocerts"))))
        self.refused(self.rig.put(body, params=cms.header(cms.sign(device.identity, body, "-md", "md5"))))
        two = cms.sign(device.identity, body, certificates=(pki.issue(self.rig.ca, "second", client=True),))
        self.refused(self.rig.put(body, params=cms.header(two)))
        for broken in ("", "junk", "!" * 100, base64.b64encode(b"\x30\x80" * 500).decode(), "A" * 40_000,
                       base64.b64encode(good[:-20]).decode(), base64.b64encode(good + b"x" * 33_000).decode()):
            self.refused(self.rig.put(body, params={"HTTP_MDM_SIGNATURE": broken}))
        self.assertEqual(self.rig.put(body, params=cms.header(good)).status, 200)

    def test_a_signature_of_a_stranger_is_refused(self):
        device = self.enrolled()
        body = plistlib.dumps({"Status": "Idle"} | device.ids())
        stranger = pki.issue(pki.make_ca("Other"), "device", client=True)
        self.refused(self.rig.put(body, params=cms.header(cms.sign(stranger, body))), "unknown certificate")
        other = self.enrolled()
        self.refused(self.rig.put(body, params=cms.header(cms.sign(other.identity, body))), "certificate of another enrolment")

    def test_a_tls_enrolment_is_never_identified_by_a_signature(self):
        device = self.rig.enrolled()
        self.refused(self.signed(device, {"Status": "Idle"}), "Mdm-Signature in an enrolment that is identified by TLS")
        fresh = self.rig.device()
        self.refused(self.signed(fresh, {"MessageType": "Authenticate", "Topic": fresh.topic}, content_type=CHECKIN),
                     "Mdm-Signature under a ticket for TLS")
        self.accepted(self.rig.idle(device))

    def test_tls_identifies_a_signature_enrolment_too(self):
        device = self.enrolled()
        self.assertIsNotNone(command_of(self.rig.idle(device)))
        self.refused(self.rig.idle(device, params=self.rig.tls(device, "FAILED:certificate has expired")))

    def test_a_signature_of_another_hour_settles_but_gets_no_command(self):
        device = self.enrolled()
        command = command_of(self.signed(device, {"Status": "Idle"}))[0]
        following = self.rig.enqueue(device)
        token = {"MessageType": "SetBootstrapToken", "BootstrapToken": b"bootstrap"}
        self.accepted(self.signed(device, token, content_type=CHECKIN))
        self.rig.restart(clock=2 * HOUR)
        self.accepted(self.signed(device, {"Status": "Idle"}))
        self.accepted(self.signed(device, {"Status": "Acknowledged", "CommandUUID": command}))
        self.assertEqual(self.rig.json("command", "show", command)["enrollments"][0]["status"], "Acknowledged")
        answer = self.signed(device, {"MessageType": "GetBootstrapToken"}, content_type=CHECKIN)
        self.assertEqual(plistlib.loads(answer.body), {})
        self.handed(self.signed(device, {"Status": "Idle"}, "-noattr"), following)
        self.rig.restart(clock=HOUR // 2)
        self.handed(self.signed(device, {"Status": "Idle"}), following)


if __name__ == "__main__":
    unittest.main()
