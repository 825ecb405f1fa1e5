"""pomona-mdm enrols a device, hands it commands in order, and takes its reports whatever they are."""
# time limit: 600
import plistlib
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import mdm_rig  # noqa: E402
from mdm_rig import command_of  # noqa: E402


class Mdm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rig = mdm_rig.Rig()

    @classmethod
    def tearDownClass(cls):
        code = cls.rig.stop()
        text = cls.rig.log_text()
        cls.rig.close()
        assert code == 0 and "Sanitizer" not in text and "runtime error" not in text, text[-4000:]

    def accepted(self, response):
        self.assertEqual((response.status, response.body), (200, b""))

    def refused(self, response):
        self.assertEqual((response.status, response.body.strip()), (400, b"Bad Request"))

    def test_a_device_enrols_and_answers_a_command(self):
        device = self.rig.device("FIRST-1", serial="C02FIRST")
        self.accepted(self.rig.authenticate(device))
        self.accepted(self.rig.idle(device))
        self.accepted(self.rig.token_update(device))
        self.accepted(self.rig.idle(device))
        uuid = self.rig.enqueue(device)
        answer = self.rig.idle(device)
        self.assertEqual(answer.headers["content-type"], "application/xml; charset=UTF-8")
        self.assertEqual(command_of(answer), (uuid, "DeviceInformation"))
        self.accepted(self.rig.report(device, uuid, QueryResponses={"OSVersion": "17.6"}))
        self.accepted(self.rig.idle(device))
        shown = self.rig.json("command", "show", uuid)
        self.assertEqual(shown["enrollments"][0]["status"], "Acknowledged")
        report = plistlib.loads(shown["enrollments"][0]["report"].encode())
        self.assertEqual(report["QueryResponses"], {"OSVersion": "17.6"})
        listed = {row["id"]: row for row in self.rig.json("enrollment", "list")}
        self.assertEqual(listed["FIRST-1"]["state"], "current")
        self.assertEqual(listed["FIRST-1"]["serial_number"], "C02FIRST")


if __name__ == "__main__":
    unittest.main()
