"""Slow senders, idle connections, forged headers, and a site that sets what would harm: nobody else waits, and nothing is believed.

The time-outs of the snippets are shortened for the test; what the site says at http level is against us wherever it can be.
"""
import plistlib
import ssl
import sys
import time
import unittest
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import edge  # noqa: E402
from edge import head  # noqa: E402

SHORT = {"client_header_timeout     15s": "client_header_timeout 1s", "client_body_timeout       20s": "client_body_timeout 1s"}
SITE = """    fastcgi_request_buffering off;
    fastcgi_buffering         off;
    fastcgi_intercept_errors  on;
    fastcgi_keep_conn         on;
    underscores_in_headers    on;
    client_max_body_size      0;
    auth_basic                "The site";
    auth_basic_user_file      /nowhere;
"""
UDID = "DEVICE-OF-THE-SLOW-TEST"
IDLE = plistlib.dumps({"Status": "Idle", "UDID": UDID})
# Shortened time-outs and what a loaded machine adds.
BOUND = 8


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.edge = edge.Edge(snippets={"pomona-tls.conf": SHORT, "pomona-plain.conf": SHORT}, extra=SITE, open_enrollment="no")
        cls.addClassCleanup(cls.close)
        cls.edge.enrolled("enrolled", UDID)

    @classmethod
    def close(cls):
        wrong = cls.edge.stop()
        cls.edge.close()
        assert not wrong, wrong

    def ends(self, parts, plain):
        """Sends the parts, then nothing; the server must end it, with 408 or without a word."""
        began = time.monotonic()
        with self.edge.connect(plain=plain, timeout=BOUND) as connection:
            for part in parts:
                connection.sendall(part)
            raw = b""
            try:
                while part := connection.recv(65536):
                    raw += part
            except (ConnectionError, ssl.SSLEOFError):
                pass
        self.edge.asked += 1
        self.assertIn(edge.parse(raw).status, (0, 408), raw[:200])
        self.assertLess(time.monotonic() - began, BOUND)

    def test_who_never_finishes_its_headers_or_its_body_is_sent_away(self):
        for plain, url in ((False, "/mdm"), (True, "/scep"), (False, f"/enroll/{'A' * 32}")):
            self.ends([f"PUT {url} HTTP/1.1\r\nHost: localh".encode()], plain)
            self.ends([f"PUT {url} HTT".encode()], plain)
            self.ends([head("POST", url, [("Content-Length", 1000)]), b"x" * 999], plain)
            self.ends([head("POST", url, [("Transfer-Encoding", "chunked")]), b"ff\r\nxx"], plain)
        self.ends([], True)

    def test_slow_bodies_and_idle_connections_keep_nobody_waiting(self):
        slow = [self.edge.connect() for _ in range(12)]
        idle = [self.edge.connect(plain=True) for _ in range(200)]
        for connection in slow:
            connection.sendall(head("PUT", "/mdm", [("Content-Length", 1000)]))
        try:
            for _ in range(6):
                for connection in slow:
                    connection.sendall(b"x")
                began = time.monotonic()
                self.assertEqual(self.edge.put("/mdm", IDLE, identity="enrolled").status, 200)
                self.assertLess(time.monotonic() - began, 1.5)
                time.sleep(0.1)
        finally:
            for connection in slow + idle:
                connection.close()

    def test_headers_that_look_like_nginx_s_own_parameters_are_believed_in_nothing(self):
        """With the certificate of an enrolled device, which is no secret: only its key would be a proof."""
        self.assertEqual(self.edge.put("/mdm", IDLE, identity="enrolled").status, 200)
        pem = urllib.parse.quote((self.edge.folder / "enrolled.pem").read_text(), safe="")
        values = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_CERT": pem, "HTTPS": "on", "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "PUT",
                  "DOCUMENT_URI": "/mdm", "POMONA_GATE": self.edge.bench.gate(), "SCRIPT_NAME": "/mdm", "CONTENT_TYPE": "x"}
        for form in (str, lambda name: name.replace("_", "-"), lambda name: "X-" + name.replace("_", "-"), lambda name: "HTTP_" + name, str.lower):
            fields = [(form(name), value) for name, value in values.items()]
            for identity in (None, *edge.REJECTED):
                answer = self.edge.put("/mdm", IDLE, fields, identity=identity)
                self.assertEqual((answer.status, answer.body), (400, b"Bad Request"), f"{form('SSL_CLIENT_VERIFY')} {identity}")
        for name in ("Mdm-Signature", "Mdm_Signature", "MDM-SIGNATURE"):
            self.assertEqual(self.edge.put("/mdm", IDLE, [(name, "x"), (name, "y")]).status, 400)
        answer = self.edge.request("GET", "/trust", fields=[("Proxy", "http://evil.example"), ("Host", "evil.example")])
        self.assertNotIn(b"evil", answer.raw)

    def test_what_a_site_sets_brings_no_password_prompt_and_no_page_of_its_own(self):
        for url in ("/mdm", "/scep", "/enroll", f"/enroll/{'A' * 32}", "/trust", "/crl/a", "/ca/a"):
            for identity in (None, "expired", "enrolled"):
                answer = self.edge.request("GET", url, identity=identity)
                self.assertLess(answer.status, 500, url)
                self.assertNotIn(answer.status, (401, 403), url)
                self.assertNotIn("www-authenticate", answer.headers)
                self.assertNotIn(b"<html>", answer.body, url)


if __name__ == "__main__":
    unittest.main()
