"""The nginx files: what reaches the programs, what is logged, and where nginx itself says no."""
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/rig")]
import fcgi_echo  # noqa: E402
import pki  # noqa: E402
from pomona_stack import nginx  # noqa: E402
from ports import free_ports  # noqa: E402

TICKET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Server:
    """nginx with the stack's frame and the project's snippets before echo responders."""

    def __init__(self, folder, listen_options=""):
        self.folder = folder
        self.make_certificates()
        self.echo = {}
        sockets = {"mdm": ["mdm-1", "mdm-2"], "scep": ["scep"], "enroll": ["enroll"]}
        for names in sockets.values():
            for name in names:
                self.echo[name] = fcgi_echo.Echo(folder / f"{name}.sock")
        self.https_port, self.http_port = free_ports(2)
        logs = folder / "logs"
        logs.mkdir()
        self.site = nginx.Site(
            folder=folder / "nginx", snippets=ROOT / "nginx", logs=logs, https_port=self.https_port,
            http_port=self.http_port, certificate=folder / "server.pem", key=folder / "server.key",
            sockets={k: [folder / f"{n}.sock" for n in v] for k, v in sockets.items()},
            device_cas=folder / "devices.pem", gate="the-gate-secret", acme_root=folder / "acme",
            listen_options=listen_options)
        nginx.write(self.site)
        self.process = subprocess.Popen(nginx.argv(self.site), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.curl("/nowhere").returncode != 0:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError((logs / "nginx-error.log").read_text())
            time.sleep(0.05)

    def make_certificates(self):
        https_ca = pki.make_ca("HTTPS CA")
        pki.issue(https_ca, "localhost", server=["127.0.0.1", "localhost"]).write(
            self.folder / "server.pem", self.folder / "server.key")
        (self.folder / "https-ca.pem").write_bytes(https_ca.cert_pem())
        first, second, foreign = pki.make_ca("Device CA 1"), pki.make_ca("Device CA 2"), pki.make_ca("Foreign CA")
        (self.folder / "devices.pem").write_bytes(first.cert_pem() + second.cert_pem())
        for name, ca, days in (("good", first, 30), ("other", second, 30), ("expired", first, -5),
                               ("foreign", foreign, 30)):
            pki.issue(ca, name, client=True, days=days).write(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def curl(self, path, *arguments, identity=None, plain=False):
        url = f"http://127.0.0.1:{self.http_port}" if plain else f"https://127.0.0.1:{self.https_port}"
        argv = ["curl", "-sS", "--max-time", "30", "--cacert", self.folder / "https-ca.pem", "-w", "\n%{http_code}",
                "--path-as-is", *arguments, url + path]
        if identity:
            argv += ["--cert", self.folder / f"{identity}.pem", "--key", self.folder / f"{identity}.key"]
        return subprocess.run([str(a) for a in argv], capture_output=True, text=True)

    def ask(self, path, *arguments, **options):
        """Returns (status, decoded JSON of the echo or the text)."""
        run = self.curl(path, *arguments, **options)
        body, _, status = run.stdout.rpartition("\n")
        try:
            return int(status), json.loads(body)
        except ValueError:
            return int(status or 0), body

    def log(self, pattern):
        """The access log, once a line matches."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            text = (self.site.logs / "nginx-access.log").read_text()
            if re.search(pattern, text):
                return text
            time.sleep(0.02)
        raise AssertionError(f"{pattern} is not in the access log:\n{text}")

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        for echo in self.echo.values():
            echo.close()


class NginxTest(unittest.TestCase):
    listen_options = ""

    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.server = Server(Path(cls.holder.name), cls.listen_options)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()
        cls.holder.cleanup()

    def put(self, path, body, *arguments, **options):
        file = self.server.folder / "body"
        file.write_bytes(body)
        return self.server.ask(path, "-X", "PUT", "--data-binary", f"@{file}", *arguments, **options)


class Reentry(NginxTest):
    """A certificate that nginx refuses leads back into the normal location."""

    def check_reaches_mdm(self, identity, verdict, path="/mdm"):
        body = b"<plist>" + bytes(range(256)) * 1200
        status, answer = self.put(path + "?tenant=7", body, "-H", "Content-Type: application/x-apple-aspen-mdm",
                                  identity=identity)
        self.assertEqual(status, 200, answer)
        params = answer["params"]
        self.assertRegex(params["SSL_CLIENT_VERIFY"], verdict)
        self.assertEqual(params["REQUEST_METHOD"], "PUT")
        self.assertEqual((params["DOCUMENT_URI"], params["REQUEST_URI"]), (path, path + "?tenant=7"))
        self.assertEqual(params["QUERY_STRING"], "tenant=7")
        self.assertEqual(answer["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual(params["CONTENT_LENGTH"], str(len(body)))
        self.assertTrue(params["SSL_CLIENT_CERT"].startswith("-----BEGIN%20CERTIFICATE-----"))

    def test_a_certificate_of_each_device_ca_is_a_success(self):
        self.check_reaches_mdm("good", "^SUCCESS$")
        self.check_reaches_mdm("other", "^SUCCESS$")

    def test_an_expired_certificate_reaches_the_program_with_method_and_body(self):
        self.check_reaches_mdm("expired", "^FAILED:certificate has expired$")
        self.check_reaches_mdm("expired", "^FAILED:", path="/mdm/checkin")
        self.check_reaches_mdm("expired", "^FAILED:", path="/checkin")

    def test_a_certificate_of_a_foreign_ca_reaches_the_program_as_failed(self):
        self.check_reaches_mdm("foreign", "^FAILED:unable to")

    def test_no_certificate_is_none(self):
        status, answer = self.put("/mdm", b"x")
        self.assertEqual((status, answer["params"]["SSL_CLIENT_VERIFY"]), (200, "NONE"))
        self.assertEqual(answer["params"].get("SSL_CLIENT_CERT", ""), "")

    def test_the_body_limit_of_the_location_holds_after_a_failed_certificate(self):
        self.assertEqual(self.put("/scep", b"x" * 70_000, identity="expired")[0], 413)
        self.assertEqual(self.put("/enroll", b"x" * 1_200_000, identity="expired")[0], 413)
        self.assertEqual(self.put("/mdm", b"x" * 20_000_000, identity="expired")[0], 200)
        self.assertEqual(self.put("/mdm", b"x" * (64 * 1024 * 1024 + 1), identity="expired")[0], 413)

    def test_a_failed_certificate_on_an_unknown_path_is_404(self):
        self.assertEqual(self.server.ask("/nowhere", identity="expired")[0], 404)

    def test_scep_and_enroll_ignore_certificates_and_do_not_see_them(self):
        for path in ("/scep?operation=GetCACaps", f"/enroll/{TICKET}", "/trust"):
            for identity in ("expired", "good", None):
                status, answer = self.server.ask(path, identity=identity)
                self.assertEqual(status, 200)
                self.assertFalse([key for key in answer["params"] if key.startswith("SSL_")])


class ReentryHttp2(Reentry):
    listen_options = " http2"


class Edge(NginxTest):
    """What a client can and cannot make the programs see."""

    def test_clients_cannot_forge_what_nginx_says(self):
        _, answer = self.server.ask("/mdm", "-H", "SSL-CLIENT-VERIFY: SUCCESS", "-H", "SSL_CLIENT_VERIFY: SUCCESS",
                                    "-H", "POMONA-GATE: x", "-H", "POMONA_GATE: y", "-H", "Proxy: evil", "-H", "HTTPS: no")
        params = answer["params"]
        self.assertEqual((params["SSL_CLIENT_VERIFY"], params["POMONA_GATE"]), ("NONE", "the-gate-secret"))
        self.assertEqual((params.get("HTTP_PROXY", ""), params["HTTPS"]), ("", "on"))

    def test_every_location_sends_the_gate_and_keeps_no_connection(self):
        paths = ["/mdm", "/mdm/checkin", "/mdm/connect", "/mdm/file/a", "/checkin", "/scep", "/enroll", "/enroll/T",
                 "/enroll/dep/A", "/trust", "/MDMServiceConfig", "/crl/a.crl", "/ca/a.crt"]
        for path in paths:
            status, answer = self.server.ask(path)
            self.assertEqual((status, answer["params"]["POMONA_GATE"]), (200, "the-gate-secret"), path)
            self.assertFalse(answer["keep"], "fastcgi_keep_conn would starve threads of libfcgi")

    def test_plain_http_serves_what_protects_itself_and_nothing_else(self):
        for path in ("/scep?operation=GetCACert", "/crl/a.crl", "/ca/a.crt"):
            status, answer = self.server.ask(path, plain=True)
            self.assertEqual((status, answer["params"].get("HTTPS", "")), (200, ""))
        for path in ("/mdm", "/enroll", f"/enroll/{TICKET}", "/trust", "/"):
            self.assertEqual(self.server.ask(path, plain=True)[0], 404, path)

    def test_acme_challenges_come_from_the_webroot(self):
        folder = self.server.site.acme_root / ".well-known/acme-challenge"
        folder.mkdir(parents=True)
        (folder / "token").write_text("token.thumbprint")
        self.assertEqual(self.server.ask("/.well-known/acme-challenge/token", plain=True), (200, "token.thumbprint"))

    def test_headers_and_urls_of_31_kb_pass(self):
        status, answer = self.server.ask("/mdm", "-H", "Mdm-Signature: " + "A" * 31_000)
        self.assertEqual((status, len(answer["params"]["HTTP_MDM_SIGNATURE"])), (200, 31_000))
        for plain in (False, True):
            status, answer = self.server.ask("/scep?operation=PKIOperation&message=" + "B" * 31_000, plain=plain)
            self.assertEqual(status, 200)

    def test_a_put_whose_handler_died_is_given_to_the_other(self):
        for name in ("mdm-1", "mdm-2"):
            self.server.echo[name].die_on = "/mdm/checkin"
        statuses = [self.put("/mdm/checkin", b"report")[0] for _ in range(3)]
        self.assertEqual(statuses[-1], 200)
        self.assertIn(502, statuses[:1])   # both died on the first
        self.server.echo["mdm-1"].die_on = "/mdm/connect"
        self.assertEqual([self.put("/mdm/connect", b"report")[0] for _ in range(2)], [200, 200])

    def test_no_error_of_nginx_is_401_or_large(self):
        cases = [self.put("/mdm", b"x" * (64 * 1024 * 1024 + 1)), self.put("/scep", b"x" * 70_000),
                 self.server.ask("/mdm", "-H", "X: " + "A" * 40_000), self.server.ask("/nowhere"),
                 self.server.ask("/%zz", plain=True)]
        for status, body in cases:
            self.assertIn(status, (400, 404, 413))
            self.assertLess(len(body), 300)


class Logs(NginxTest):
    """No ticket stands in any log."""

    def test_tickets_are_redacted_wherever_they_stand(self):
        ways = [(f"/enroll/{TICKET}",), (f"//enroll//{TICKET}",), (f"/x/../enroll/{TICKET}?a=b",),
                (f"/%65nroll/{TICKET}",), (f"/enroll%2f{TICKET}",), (f"/ENROLL/{TICKET}",),
                ("/trust", "-H", f"Referer: https://mdm.example.org/enroll/{TICKET}"),
                ("/trust", "-H", f"Referer: https://mdm.example.org/%65nroll/{TICKET}"),
                (f"/trust?next=/enroll/{TICKET}",), (f"/trust?next=%2Fenroll%2F{TICKET}",)]
        for plain in (False, True):
            for way in ways:
                self.server.ask(*way, plain=plain)
        self.server.ask(f"/enroll/{TICKET}", "-H", "Host:")
        self.server.ask(f"/enroll/{TICKET}" + "x" * 40_000)
        self.put(f"/enroll/{TICKET}", b"x" * 1_200_000)
        self.server.ask("/trust?end")
        text = self.server.log(r"GET /trust\?end")
        self.assertIn("GET /enroll/- HTTP/1.1", text)
        for log in self.server.site.logs.iterdir():
            self.assertNotIn(TICKET, log.read_text(), log.name)

    def test_a_dead_program_does_not_put_tickets_into_the_error_log(self):
        self.server.echo["enroll"].die_on = f"/enroll/{TICKET}"
        self.assertEqual(self.server.ask(f"/enroll/{TICKET}")[0], 502)
        self.server.ask("/trust?dead")
        self.server.log(r"GET /trust\?dead")
        self.assertNotIn(TICKET, (self.server.site.logs / "nginx-error.log").read_text())

    def test_scep_messages_are_not_logged(self):
        self.server.ask("/scep?operation=PKIOperation&message=MIIBsecret")
        text = self.server.log(r'"GET /scep\?operation=PKIOperation HTTP/1.1" 200')
        self.assertNotIn("MIIBsecret", text)

    def test_enrolment_is_limited_without_a_trace_in_the_error_log(self):
        url = f"https://127.0.0.1:{self.server.https_port}/enroll/{TICKET}"
        run = subprocess.run(["curl", "-sS", "--parallel", "--parallel-max", "250", "--max-time", "4", "--cacert",
                              self.server.folder / "https-ca.pem", "-w", "%{http_code}\n"]
                             + ["-o", "/dev/null", url] * 300, capture_output=True, text=True)
        self.assertIn("429", run.stdout)
        self.assertNotIn(TICKET, (self.server.site.logs / "nginx-error.log").read_text())


class Files(unittest.TestCase):
    """The files as an admin would install them."""

    def test_the_example_site_is_accepted_by_nginx(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            nginx.link_snippets(ROOT / "nginx", folder / "snippets")
            (folder / "snippets/pomona-upstreams.conf").symlink_to(ROOT / "nginx/pomona-upstreams.conf")
            (folder / "snippets/pomona-gate.conf").write_text((ROOT / "nginx/pomona-gate.conf.example").read_text())
            ca = pki.make_ca("CA")
            pki.issue(ca, "mdm.example.org", server=["mdm.example.org"]).write(folder / "fullchain.pem", folder / "privkey.pem")
            (folder / "device-cas.pem").write_bytes(ca.cert_pem())
            site = (ROOT / "nginx/example-site.conf").read_text()
            for path in ("/etc/letsencrypt/live/mdm.example.org", "/etc/pomona", "/var/log/nginx"):
                self.assertIn(path, site)
                site = site.replace(path, name)
            site = re.sub(r"listen( +)(\[::\]:)?(80|443)", lambda m: f"listen{m[1]}{m[2] or ''}{int(m[3]) + 20000}", site)
            (folder / "site.conf").write_text(site)
            (folder / "nginx.conf").write_text(
                f'pid "{folder}/pid";\nevents {{}}\nhttp {{ include "{folder}/site.conf"; }}\n')
            run = subprocess.run(["nginx", "-t", "-p", f"{folder}/", "-c", folder / "nginx.conf", "-e", folder / "error.log"],
                                 capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertNotIn("[warn]", run.stderr.replace("the \"user\" directive", ""))

    def test_no_snippet_keeps_fastcgi_connections(self):
        text = "".join(p.read_text() for p in (ROOT / "nginx").glob("*.conf"))
        self.assertNotRegex(text, r"(?m)^\s*(fastcgi_keep_conn\s+on|keepalive\s)")
        self.assertRegex(text, r"(?m)^\s*fastcgi_keep_conn\s+off;")

    def test_every_location_body_goes_through_the_common_file(self):
        for path in (ROOT / "nginx").glob("pomona-*.conf"):
            text = path.read_text()
            if "fastcgi_pass" in text:
                self.assertIn("include snippets/pomona-fastcgi.conf;", text, path.name)


if __name__ == "__main__":
    unittest.main()
