"""What is wrong on the server's side is never told as the sender's fault: a missing grant is 500, an absent database 503, on every URL."""
import concurrent.futures
import plistlib
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import edge  # noqa: E402
import scep_client  # noqa: E402
from cryptography.hazmat.primitives.serialization import pkcs7  # noqa: E402
from polling import poll  # noqa: E402

IDLE = plistlib.dumps({"Status": "Idle", "UDID": "A"})


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.edge = edge.Edge(open_enrollment="yes")
        cls.addClassCleanup(cls.edge.close)

    def message(self):
        ra = pkcs7.load_der_pkcs7_certificates(self.edge.request("GET", "/scep?operation=GetCACert").body)[0]
        key = scep_client.pool_key(0)
        return scep_client.Client(ra).message(scep_client.csr(key, "no-such-challenge"), key)

    def requests(self):
        """URL -> (the program behind it, a request that needs the database)."""
        message, ask = self.message(), self.edge.request
        return {
            "/mdm": ("mdm", lambda: self.edge.put("/mdm", IDLE, identity="good")),
            "/scep": ("scep", lambda: ask("POST", "/scep?operation=PKIOperation", message)),
            "/enroll/TICKET": ("enroll", lambda: ask("GET", "/enroll/" + "A" * 32)),
            "/enroll": ("enroll", lambda: ask("GET", "/enroll")),
        }

    def test_a_missing_grant_is_500_on_every_url(self):
        grants = {"/mdm": "SELECT ON pomona.certificates_device", "/scep": "SELECT ON pomona.tickets",
                  "/enroll/TICKET": "SELECT ON pomona.tickets", "/enroll": "INSERT ON pomona.tickets"}
        for url, (name, ask) in self.requests().items():
            with self.subTest(url):
                before, user = ask().status, f"'pomona-{name}'@'localhost'"
                self.assertLess(before, 500)
                self.edge.bench.sql(f"REVOKE {grants[url]} FROM {user}")
                answer = ask()
                self.assertEqual((answer.status, answer.body), (500, b"Internal Server Error"))
                self.assertIn("forbidden", self.edge.log(name).splitlines()[-1])
                self.edge.bench.sql(f"GRANT {grants[url]} TO {user}")
                self.assertEqual(ask().status, before)

    def test_an_absent_database_is_503_and_says_when_to_come_back(self):
        requests = self.requests()
        self.edge.bench.db.stop()
        self.addCleanup(self.edge.bench.db.start)
        for url, (_, ask) in requests.items():
            with self.subTest(url):
                answer = ask()
                self.assertEqual((answer.status, answer.headers.get("retry-after")), (503, "60"))

    def test_a_database_that_stops_answering_is_503_within_ten_seconds_for_everybody_and_is_found_again(self):
        requests = self.requests()
        before = {url: ask().status for url, (_, ask) in requests.items()}
        processes = {name: self.edge.pid(name) for name in ("mdm", "scep", "enroll")}
        self.addCleanup(self.edge.bench.db.resume)
        self.edge.bench.db.pause()

        def timed(ask):
            began = time.monotonic()
            answer = ask()
            return answer.status, answer.headers.get("retry-after"), time.monotonic() - began

        with concurrent.futures.ThreadPoolExecutor(20) as pool:   # more than the programs have threads
            waiting = [(url, pool.submit(timed, ask)) for url, (_, ask) in requests.items() for _ in range(5)]
            for url, answer in waiting:
                status, again, took = answer.result()
                self.assertEqual((status, again), (503, "60"), url)
                self.assertLess(took, 10, url)
        self.edge.bench.db.resume()
        for url, (_, ask) in requests.items():
            poll(lambda ask=ask, url=url: ask().status == before[url], 10)
        self.assertEqual({name: self.edge.pid(name) for name in processes}, processes)
        self.assertEqual([self.edge.handlers[name].process.poll() for name in processes], [None] * 3)


if __name__ == "__main__":
    unittest.main()
