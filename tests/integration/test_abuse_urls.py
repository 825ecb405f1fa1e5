"""Every URL of the device side under abuse, through nginx and the real programs: certificates, sizes, methods, types, headers, paths.

Whatever is sent: a 4xx (or 200 where the URL is public), never 401, never 5xx; one line in nginx's log and one in the program's; no secret in
any of them.
"""
import plistlib
import sys
import unittest
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import edge  # noqa: E402
from edge import head  # noqa: E402

CHECK_IN = "application/x-apple-aspen-mdm-checkin"
IDENTITIES = [None, "good", "expired", "foreign", "namesake", "selfsigned"]
# What every request of these tests carries and no log may hold.
BODY = b"body-marker-of-the-abuse-test"
SIGNATURE = b"c2lnbmF0dXJlLW1hcmtlci1vZi10aGUtYWJ1c2UtdGVzdA=="
SECRET_FIELDS = [("Mdm-Signature", SIGNATURE), ("Authorization", "Basic bWFya2VyOm9mLXRoZS1hYnVzZS10ZXN0"),
                 ("Cookie", "session=cookie-marker-of-the-abuse-test")]
MARKERS = [BODY, SIGNATURE, b"bWFya2VyOm9mLXRoZS1hYnVzZS10ZXN0", b"cookie-marker-of-the-abuse-test", b"magic-of-the-abuse-test",
           b"PRIVATE KEY", b"BEGIN CERTIFICATE"]
LIMITS = {"/mdm": 64 << 20, "/mdm/checkin": 64 << 20, "/mdm/connect": 64 << 20, "/checkin": 64 << 20, "/scep": 64 << 10,
          "/enroll/A": 1 << 20, "/enroll": 1 << 20, "/trust": 1 << 10, "/MDMServiceConfig": 1 << 10, "/crl/a.crl": 1 << 10,
          "/ca/a.crt": 1 << 10}
PLAIN = {"/scep", "/crl/a.crl", "/ca/a.crt"}
ADDRESSES = [(url, False) for url in [*LIMITS, "/nowhere", "/"]] + [(url, True) for url in [*LIMITS, "/nowhere"]]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PROPFIND", "MADE-UP", "get"]
PUBLIC = {"/trust", "/MDMServiceConfig"}


class UrlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.edge = edge.Edge(open_enrollment="no")
        cls.addClassCleanup(cls.close)
        cls.ticket = cls.edge.bench.json("ticket", "new")
        cls.secret = cls.ticket["url"].rsplit("/", 1)[1]
        cls.markers = [*MARKERS, cls.secret.encode(), cls.ticket["challenge"].encode(), cls.edge.bench.gate().encode()]

    @classmethod
    def close(cls):
        wrong = cls.edge.stop()
        cls.edge.close()
        assert not wrong, wrong

    def setUp(self):
        self.edge.settle()
        self.before = self.edge.asked, self.edge.access().count("\n"), self.program_lines()

    def tearDown(self):
        """One line for each request, no secret in any."""
        self.edge.settle()
        asked, lines, said = self.before
        self.assertEqual(self.edge.access().count("\n") - lines, self.edge.asked - asked)
        self.assertLessEqual(self.program_lines() - said, self.edge.asked - asked)
        for path in [*self.edge.site.logs.iterdir(), *(h.log_file for h in self.edge.handlers.values())]:
            text = path.read_bytes()
            for marker in self.markers:
                if marker in text:
                    self.fail(f"{marker} is in {path.name}")

    def program_lines(self):
        return sum(self.edge.log(name).count("\n") for name in self.edge.handlers)

    def refused(self, answer, message=None):
        self.assertTrue(400 <= answer.status < 500, f"{message}: {answer.status} {answer.raw[:200]!r}")
        self.assertNotEqual(answer.status, 401, message)
        self.assertNotIn("www-authenticate", answer.headers, message)
        self.assertLess(len(answer.body), 600, message)
        self.assertNotIn(b"com.apple.unrecognized.device", answer.body)
        return answer.status


class Certificates(UrlTest):
    def test_no_certificate_that_we_did_not_issue_opens_anything(self):
        idle = plistlib.dumps({"Status": "Idle", "UDID": "A", "Note": BODY.decode()})
        for identity in IDENTITIES:
            for url in ("/mdm", "/mdm/checkin", "/mdm/connect", "/checkin"):
                with self.subTest(url, identity=identity):
                    answer = self.edge.put(url, idle, SECRET_FIELDS, identity=identity)
                    self.assertEqual(self.refused(answer), 400)
                    self.assertIn("status=400", self.edge.log("mdm").splitlines()[-1])

    def test_public_urls_do_not_care_about_certificates(self):
        wanted = {f"/enroll/{self.secret}": 200, f"/enroll/{self.secret.lower()}": 200, "/trust": 200, "/MDMServiceConfig": 200,
                  "/scep?operation=GetCACaps": 200, "/scep?operation=GetCACert": 200, f"/enroll/{'A' * 32}": 404, "/enroll": 404,
                  "/enroll/": 404, "/crl/a.crl": 404, "/ca/a.crt": 404, "/": 404, "/nowhere": 404}
        for url, status in wanted.items():
            bodies = set()
            for identity in IDENTITIES:
                answer = self.edge.request("GET", url, fields=SECRET_FIELDS, identity=identity)
                self.assertEqual(answer.status, status, f"{identity} {url}")
                bodies.add(answer.body)
            self.assertEqual(len(bodies), 1, url)


class Sizes(UrlTest):
    def test_an_announced_body_above_the_limit_is_413_whatever_the_certificate(self):
        for url, limit in LIMITS.items():
            for identity in IDENTITIES:
                fields = [("Content-Length", limit + 1), *SECRET_FIELDS]
                answer = self.edge.ask(head("PUT", url, fields) + BODY, identity=identity)
                self.assertEqual((self.refused(answer), url, identity), (413, url, identity))

    def test_a_body_that_grows_above_the_limit_chunk_by_chunk_is_413_too(self):
        for url, limit in LIMITS.items():
            if limit > 1 << 20:
                continue
            for identity in (None, "expired", "selfsigned"):
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (limit + 1, b"x" * (limit + 1))
                answer = self.edge.ask(head("PUT", url, [("Transfer-Encoding", "chunked")]) + body, identity=identity)
                self.assertEqual((self.refused(answer), url, identity), (413, url, identity))

    def test_a_body_at_the_limit_reaches_the_program(self):
        for url, limit in LIMITS.items():
            if limit <= 1 << 20:
                self.assertEqual(self.edge.put(url, b"x" * limit).status in (400, 404, 405), True, url)

    def test_headers_of_31_kb_reach_the_program_and_larger_ones_are_refused_by_nginx(self):
        idle = plistlib.dumps({"Status": "Idle", "UDID": "A"})
        for size, passes in ((7_900, True), (8_300, True), (31_000, True), (33_000, False), (200_000, False)):
            for identity in (None, "expired"):
                seen = self.program_lines()
                self.assertEqual(self.refused(self.edge.put("/mdm", idle, [("Mdm-Signature", "QUJD" * (size // 4))],
                                                            identity=identity)), 400)
                self.assertEqual(self.program_lines() - seen, int(passes), size)
            for plain in (False, True):
                seen = self.program_lines()
                answer = self.edge.request("GET", "/scep?operation=PKIOperation&message=" + "QUJD" * (size // 4), plain=plain)
                self.assertEqual(self.refused(answer), 400 if passes else 414)
                self.assertEqual(self.program_lines() - seen, int(passes), size)

    def test_many_headers_are_refused(self):
        for count, size in ((300, 20), (2000, 40), (40, 8000)):
            fields = [(f"X-{number}", "x" * size) for number in range(count)]
            for url in ("/mdm", "/scep?operation=GetCACaps", "/trust"):
                self.assertEqual(self.refused(self.edge.request("GET", url, fields=fields), f"{count} {url}"), 400)


class Methods(UrlTest):
    def test_every_method_on_every_url_is_answered_4xx_or_is_public(self):
        for url, plain in ADDRESSES:
            for method in METHODS:
                body = b"" if method in ("GET", "HEAD") else BODY
                answer = self.edge.request(method, url, body, SECRET_FIELDS, plain=plain)
                if url in PUBLIC and method in ("GET", "HEAD") and not plain:
                    self.assertEqual(answer.status, 200)
                    continue
                status = self.refused(answer, f"{method} {url} plain={plain}")
                if plain and url not in PLAIN and method not in ("TRACE", "CONNECT", "get"):
                    self.assertEqual(status, 404, f"{method} {url} in the clear")

    def test_wrong_content_types_on_mdm_are_refused(self):
        types = ["", "text/plain", "application/json", "multipart/form-data; boundary=x", "application/x-apple-aspen-mdm-checkin-x",
                 CHECK_IN + "; charset=utf-7", "x" * 20_000, "application/pkcs7-signature", "\x7f\xff"]
        for kind in types:
            for identity in (None, "good", "expired"):
                self.assertEqual(self.refused(self.edge.put("/mdm", BODY, content_type=kind, identity=identity), kind[:40]), 400)
        for kind in types:
            answer = self.edge.request("POST", "/scep?operation=PKIOperation", BODY, [("Content-Type", kind)])
            self.assertEqual(self.refused(answer, kind[:40]), 400)


class Framing(UrlTest):
    """Requests whose length or lines can be read in two ways, and other forms than HTTP/1.1."""

    def test_what_could_be_read_in_two_ways_is_refused(self):
        put = b"PUT /mdm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        inner = b"GET /trust HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for wrong in (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", b"Content-Length: -1\r\n\r\n",
                      b"Content-Length: 1e9\r\n\r\n", b"Content-Length: 99999999999999999999\r\n\r\n",
                      b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
                      b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
                      b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                      b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
                      b"X: a\0b\r\n\r\n", b"X\0: a\r\n\r\n", b": empty\r\n\r\n", b"X y: z\r\nContent-Length: 3\r\n\r\nabc"):
            answer = self.edge.ask(put + wrong)
            self.refused(answer, wrong)
            self.assertEqual(answer.raw.count(b"HTTP/1.1 "), 1, wrong)

    def test_other_forms_than_http_1_1_are_answered_and_get_nothing_more(self):
        ticket = self.secret.encode()
        for line in (b"PUT /mdm HTTP/1.0\r\n\r\n", b"PUT /mdm HTTP/1.0\r\nHost:\r\n\r\n", b"GET /mdm HTTP/1.1\r\nHost: a/b\r\n\r\n",
                     b"GET /mdm HTTP/1.1\r\n\r\n", b"GET /mdm HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                     b"GET /mdm HTTP/3.0\r\nHost: a\r\n\r\n", b"GET /mdm HTTP/1.1 x\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"\0\r\n\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"GET mdm HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"CONNECT localhost:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                     b"GET /enroll/" + ticket + b" HTTP/1.1\r\nHost: a b\r\n\r\n", b"G@T /enroll/" + ticket + b" HTTP/1.1\r\n\r\n",
                     b"GET /enroll/" + ticket + b" HTTP/9\r\n\r\n", b"GET /enroll/" + ticket + b"\0 HTTP/1.1\r\nHost: a\r\n\r\n"):
            for plain in (False, True):
                self.refused(self.edge.ask(line, plain=plain), line)

    def test_http_0_9_gets_a_body_and_nothing_that_it_would_not_get_otherwise(self):
        for line in (b"GET /mdm\r\n", b"GET /nowhere\r\n", b"GET /enroll/" + b"A" * 32 + b"\r\n"):
            answer = self.edge.ask(line)
            self.assertIn(answer.body.strip()[:100].split(b"\r")[0], (b"Method Not Allowed", b"Not Found", b"<html>"), line)

    def test_plain_http_on_the_tls_port_is_400(self):
        for line in (b"GET /enroll/" + self.secret.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                     head("PUT", "/mdm", [("Content-Length", 0)])):
            ports = self.edge.http_port, self.edge.https_port
            self.edge.http_port = self.edge.https_port
            try:
                self.assertEqual(self.refused(self.edge.ask(line, plain=True)), 400)
            finally:
                self.edge.http_port = ports[0]


class Paths(UrlTest):
    def test_a_path_is_what_it_is_once_decoded_and_nothing_else(self):
        # Where a trick leads: to /mdm (405 for GET), to a public document, or nowhere.
        tricks = {"//mdm": 405, "/./mdm": 405, "/x/../mdm": 405, "/mdm/../scep": 400, "/scep/../mdm": 405, "/%6ddm": 405,
                  "/mdm%2f..%2ftrust": 200, "/mdm/%2e%2e/trust": 200, "/enroll/%2e%2e/trust": 200, "/mdm?/../trust": 405,
                  "/mdm#x": 405, "/mdm;x=1": 404, "/mdm/": 404, "/mdm/x": 404, "/mdm/checkin/": 404, "/mdm/checkin/../x": 404,
                  "/mdm/file/a": 404, "/mdm%20": 404, "/mdm%0a": 404, "/mdm%0d%0aX:%20y": 404, "/mdm.": 404, "/MDM": 404,
                  "/mdm%3f": 404, "/scep/": 404, "/scep%3foperation=GetCACaps": 404, "/scep/x?operation=GetCACaps": 404,
                  "/mdm%00": 400, "/%": 400, "/%zz": 400, "/..": 400, "/%2e%2e/%2e%2e/etc/passwd": 400, "/enroll/../../x": 400,
                  "/enroll/%2e%2e": 404, "/enroll/..;/mdm": 404, "/%c0%ae%c0%ae/mdm": 404, "/%c0%afmdm": 404, "/%ef%bc%8fmdm": 404,
                  "/mdm\\..\\trust": 404, "/%252e%252e/mdm": 404, "/" + "a/" * 10_000: 404, "/" + "../" * 5_000: 400,
                  "/crl/../../../etc/passwd": 400, "/crl/%2e%2e%2f%2e%2e%2fetc%2fpasswd": 400, "/ca/..%5c..%5cx": 404,
                  "/crl/%00.crl": 400, "/.well-known/acme-challenge/../../mdm": 405, "/.git/config": 404}
        for target, status in tricks.items():
            for identity in (None, "expired"):
                answer = self.edge.request("GET", target, identity=identity)
                self.assertEqual(answer.status, status, f"{target[:60]} {identity} {answer.raw[:100]!r}")

    def test_absolute_addresses_and_foreign_hosts_change_nothing(self):
        for target, status in (("http://evil.example/mdm", 405), ("https://evil.example:1/trust", 200), ("http:///mdm", 400),
                               ("http://a/../mdm", 405), ("http://user@evil/mdm", 405), ("ftp://a/mdm", 405), ("//evil.example/mdm", 404)):
            answer = self.edge.request("GET", target)
            self.assertIn(answer.status, (status, 400), target)
            self.assertNotIn(b"evil", answer.raw, target)

    def test_no_way_to_spell_an_enrolment_url_puts_its_ticket_into_a_log(self):
        for way in ("/enroll/{}", "//enroll//{}", "/enroll/{}/", "/enroll/{}/x", "/enroll/{};x", "/enroll/x{}", "/enroll/%20{}",
                    "/Enroll/{}", "/enrol/{}", "/{}", "/enroll{}", "/enroll%2F{}", "/%65nroll/{}", "/%c0%afenroll/{}", "/%c0%aeenroll/{}",
                    "/enroll%5c{}", "/x?u=https://h/enroll/{}", "/x?u=%252fenroll%252f{}", "/trust?{}", "/mdm?ticket={}", "/scep?message={}",
                    "/scep?operation={}", "/enroll?{}", "http://h/enroll/{}", "/enroll/{}%00", "/enroll/{}%zz", "/enroll/%2e%2e/{}", "/crl/{}.crl"):
            for secret in (self.secret, self.secret.lower(), quote(self.secret[:1].encode().hex()).join(["%", self.secret[1:]])):
                for plain in (False, True):
                    self.edge.request("GET", way.format(secret), fields=[("Referer", f"https://h{way.format(secret)}")], plain=plain)
        self.edge.settle()
        for path in self.edge.site.logs.iterdir():
            found = [line for line in path.read_text().splitlines() if self.secret[1:].lower() in line.lower()]
            self.assertEqual(found[:3], [], path.name)


if __name__ == "__main__":
    unittest.main()
