"""Runs every golden case of tests/cases against a private stack, through nginx. The form is told in tests/rig/cases.py."""
import http.client
import ssl
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/rig"))
import cases  # noqa: E402
import stack  # noqa: E402


class ComparerTests(unittest.TestCase):
    """A comparer that never complains would make every case pass."""

    def case(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".case") as file:
            file.write(text)
            file.flush()
            return cases.read(file.name)

    def test_a_case_is_read_whole(self):
        case = self.case("# Shows it.\nPUT /x?y=z\nA: b\n@http\n\nbody\nmore {2k}\n---\n200\nC: d***\n!E\n---\nok***\n")
        self.assertEqual((case.method, case.target, case.secure, case.headers), ("PUT", "/x?y=z", False, {"A": "b"}))
        self.assertEqual(case.body, b"body\nmore " + b"x" * 2048)
        self.assertEqual((case.status, case.wanted, case.absent, case.wanted_body), (200, {"C": "d***"}, ["E"], "ok***"))

    def test_every_difference_is_found(self):
        case = self.case("# Shows it.\nGET /\n---\n200\nC: d***\n!E\n---\none***three\n")
        good = (200, {"c": "d;x"}, b"one\ntwo\nthree\n")
        self.assertEqual(cases.differences(case, *good), [])
        for wrong in [(201, *good[1:]), (200, {}, good[2]), (200, {"c": "x"}, good[2]), (200, {"c": "d", "e": ""}, good[2]),
                      (200, good[1], b"one"), (200, good[1], b"one three four")]:
            self.assertEqual(len(cases.differences(case, *wrong)), 1, wrong)

    def test_a_file_that_is_no_case_is_refused(self):
        for text in ("GET /\n---\n200\n", "# x\nGET\n---\n200\n", "# x\nGET /\nheader\n---\n200\n", "# x\nGET /\n"):
            with self.assertRaises(cases.CaseError):
                self.case(text)


class GoldenCases(unittest.TestCase):
    stack = None

    @classmethod
    def setUpClass(cls):
        cls.stack = stack.Stack()

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def ask(self, case):
        url = urlsplit(self.stack.env["POMONA_URL" if case.secure else "POMONA_HTTP_URL"])
        if case.secure:
            trust = ssl.create_default_context(cafile=self.stack.env["POMONA_CA_FILE"])
            connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=trust)
        else:
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        try:
            connection.putrequest(case.method, case.target)
            for key, value in case.headers.items():
                connection.putheader(key, value)
            if case.body or case.method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(case.body)))
            connection.endheaders(case.body or None)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def add(path):
    def test(self):
        case = cases.read(path)
        self.assertEqual(cases.differences(case, *self.ask(case)), [], case.sentence)
    name = "test_" + "_".join(path.relative_to(ROOT / "tests/cases").with_suffix("").parts).replace("-", "_")
    setattr(GoldenCases, name, test)


for found in sorted((ROOT / "tests/cases").rglob("*.case")):
    add(found)

if __name__ == "__main__":
    unittest.main()
