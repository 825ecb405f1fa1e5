"""sys/http_client, seen through a test program: against the APNs stand-in (HTTP/2) and Python's own server (HTTP/1.1)."""
import collections
import http.server
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import pki  # noqa: E402
import push_pki  # noqa: E402
from ports import free_ports  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin/pomona-http-fetch"

Answer = collections.namedtuple("Answer", "status size type error")


def fetch(requests, *options, env=None):
    """Runs the program; returns {(round, number): Answer} in the order of the answers."""
    run = subprocess.run([str(word) for word in (PROGRAM, *options)], input="\n".join(requests) + "\n", text=True,
                         capture_output=True, timeout=120, env=env)
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    answers = {}
    for line in run.stdout.splitlines():
        turn, number, status, size, kind, error = line.split(" ", 5)
        answers[int(turn), int(number) if number != "-" else None] = Answer(int(status), int(size), kind, error)
    return answers


def fetch_one(request, *options, env=None):
    (answer,) = fetch([request], *options, env=env).values()
    return answer


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.accepted += 1

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/slow":
            self.server.released.wait(20)
        self.send_response(302 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("Location", "/target")
        content = b"x" * int(self.path[6:]) if self.path.startswith("/size/") else b"ok"
        self.send_header("Content-Type", "text/x-test")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(content)
            except OSError:
                self.close_connection = True  # a client that did not wait

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server:
    """HTTP/1.1 with or without TLS, on a free port."""

    def __init__(self, folder=None, most=None):
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.seen, self.http.accepted, self.http.released = [], 0, threading.Event()
        if folder is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "server.pem", folder / "server.key")
            if most is not None:
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, most
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"{'http' if folder is None else 'https'}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.released.set()
        self.http.shutdown()
        self.http.server_close()


class HttpClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = Path(cls.holder.name)
        cls.topic = push_pki.ensure(cls.folder)

    def server(self, **options):
        server = Server(**options)
        self.addCleanup(server.close)
        return server


class Http1(HttpClientTest):
    def test_each_method_is_sent_as_it_is_without_headers_of_libcurls_own(self):
        server = self.server()
        answers = fetch([f"GET {server.url}/a", f"POST {server.url}/b body one", f"PUT {server.url}/c x", f"POST {server.url}/d",
                         f"DELETE {server.url}/e", f"HEAD {server.url}/f"], "--parallel", 1, "--header", "X-Test: yes")
        self.assertEqual([answer.status for answer in answers.values()], [200] * 6)
        self.assertEqual([answer.type for answer in answers.values()], ["text/x-test"] * 6)
        self.assertEqual([(method, path, body) for method, path, _, body in server.http.seen],
                         [("GET", "/a", b""), ("POST", "/b", b"body one"), ("PUT", "/c", b"x"), ("POST", "/d", b""),
                          ("DELETE", "/e", b""), ("HEAD", "/f", b"")])
        for _, _, headers, _ in server.http.seen:
            self.assertEqual(headers["X-Test"], "yes")
            self.assertNotIn("Expect", headers)
            self.assertNotIn("Content-Type", headers)

    def test_a_content_type_that_was_given_is_sent_once(self):
        server = self.server()
        fetch_one(f"POST {server.url}/ x", "--header", "content-type: application/json")
        self.assertEqual(server.http.seen[0][2]["content-type"], "application/json")

    def test_a_connection_is_used_again_within_and_between_rounds(self):
        server = self.server(folder=self.folder)
        answers = fetch([f"GET {server.url}/{n}" for n in range(5)], "--ca", self.folder / "ca.pem", "--parallel", 1, "--rounds", 3)
        self.assertEqual([answer.status for answer in answers.values()], [200] * 15)
        self.assertEqual(server.http.accepted, 1)

    def test_a_host_sees_at_most_four_connections(self):
        server = self.server()
        answers = fetch([f"GET {server.url}/{n}" for n in range(200)], "--parallel", 50)
        self.assertEqual({answer.status for answer in answers.values()}, {200})
        self.assertLessEqual(server.http.accepted, 4)

    def test_redirects_are_answers_and_are_not_followed(self):
        server = self.server()
        self.assertEqual(fetch_one(f"GET {server.url}/redirect").status, 302)
        self.assertEqual(len(server.http.seen), 1)

    def test_proxies_of_the_environment_are_not_used(self):
        server = self.server()
        proxy = f"http://127.0.0.1:{free_ports(1)[0]}"
        env = dict(os.environ) | {"http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy}
        self.assertEqual(fetch_one(f"GET {server.url}/", env=env).status, 200)

    def test_an_answer_above_the_limit_is_no_answer(self):
        server = self.server()
        self.assertEqual(fetch_one(f"GET {server.url}/size/10000", "--limit", 11000).size, 10000)
        answer = fetch_one(f"GET {server.url}/size/10001", "--limit", 10000)
        self.assertEqual((answer.status, answer.size), (0, 0))
        self.assertIn("larger than 10000 bytes", answer.error)

    def test_a_server_that_does_not_answer_in_time_is_given_up(self):
        for server in (self.server(), self.server(folder=self.folder)):
            with self.subTest(server.url):
                answers = fetch([f"GET {server.url}/slow", f"GET {server.url}/"], "--timeout", 1500, "--ca", self.folder / "ca.pem")
                self.assertEqual([answers[0, 0].status, answers[0, 1].status], [0, 200])
                self.assertIn("timed out", answers[0, 0].error)
                self.assertEqual(list(answers)[0], (0, 1))

    def test_nobody_listening_is_an_error_and_not_an_exception(self):
        answer = fetch_one(f"GET http://127.0.0.1:{free_ports(1)[0]}/")
        self.assertEqual(answer.status, 0)
        self.assertNotEqual(answer.error, "")

    def test_other_schemes_and_malformed_requests_are_refused(self):
        server = self.server()
        for request in ("GET file:///etc/passwd", "GET ftp://127.0.0.1/", "GET gopher://127.0.0.1/", "get http://127.0.0.1/",
                        "GET 127.0.0.1", "GET http://"):
            with self.subTest(request):
                answer = fetch_one(request)
                self.assertEqual((answer.status, answer.size), (0, 0))
                self.assertNotEqual(answer.error, "")
        self.assertEqual(fetch_one(f"GET {server.url}/", "--header", "X: a\nY: b").status, 0)
        self.assertEqual(server.http.seen, [])

    def test_an_untrusted_server_is_refused(self):
        server = self.server(folder=self.folder)
        pki.make_ca("Other").write(self.folder / "other.pem", self.folder / "other.key")
        self.assertEqual(fetch_one(f"GET {server.url}/", "--ca", self.folder / "ca.pem").status, 200)
        self.assertEqual(fetch_one(f"GET {server.url}/").status, 0)
        self.assertEqual(fetch_one(f"GET {server.url}/", "--ca", self.folder / "other.pem").status, 0)

    def test_a_certificate_for_another_name_is_refused(self):
        server = self.server(folder=self.folder)
        url = server.url.replace("127.0.0.1", "127.0.0.2")
        self.assertEqual(fetch_one(f"GET {url}/", "--ca", self.folder / "ca.pem").status, 0)

    def test_tls_before_1_2_is_refused(self):
        old = self.server(folder=self.folder, most=ssl.TLSVersion.TLSv1_1)
        self.assertEqual(fetch_one(f"GET {old.url}/", "--ca", self.folder / "ca.pem").status, 0)
        new = self.server(folder=self.folder, most=ssl.TLSVersion.TLSv1_2)
        self.assertEqual(fetch_one(f"GET {new.url}/", "--ca", self.folder / "ca.pem").status, 200)

    def test_a_server_without_http_2_is_refused_where_it_is_required(self):
        server = self.server(folder=self.folder)
        answer = fetch_one(f"GET {server.url}/", "--ca", self.folder / "ca.pem", "--http2", "yes")
        self.assertEqual((answer.status, answer.error), (0, "the server does not speak HTTP/2"))

    def test_a_client_certificate_is_never_used_without_tls(self):
        server = self.server()
        answer = fetch_one(f"GET {server.url}/", "--cert", self.folder / "client.pem", "--key", self.folder / "client.key")
        self.assertEqual(answer.status, 0)
        self.assertEqual(server.http.seen, [])

    def test_a_source_that_throws_ends_its_round_and_leaves_the_client_usable(self):
        server = self.server()
        answers = fetch([f"GET {server.url}/", f"GET {server.url}/", "THROW x"], "--parallel", 1, "--rounds", 2)
        self.assertEqual(answers[0, None].error, "thrown by the source")
        self.assertEqual([answers[turn, number].status for turn in (0, 1) for number in (0, 1)], [200] * 4)


class Http2(HttpClientTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.port,) = free_ports(1)
        cls.process = subprocess.Popen(
            ["/usr/bin/python3", ROOT / "tests/rig/apns.py", "--cert", cls.folder / "server.pem", "--key", cls.folder / "server.key",
             "--client-ca", cls.folder / "ca.pem", "--port", str(cls.port), "--log", cls.folder / "log",
             "--script", cls.folder / "script", "--max-streams", "20"])
        cls.addClassCleanup(cls.process.wait, 10)
        cls.addClassCleanup(cls.process.terminate)
        deadline = time.monotonic() + 20
        while cls.push(["aa" * 32])[0, 0].status == 0:
            if time.monotonic() > deadline or cls.process.poll() is not None:
                raise RuntimeError("the stand-in does not answer")
            time.sleep(0.05)

    def setUp(self):
        self.script({})
        (self.folder / "log").write_text("")

    def script(self, verdicts):
        (self.folder / "script").write_text(json.dumps(verdicts))

    @classmethod
    def push(cls, tokens, *options, cert=True):
        lines = [f'POST https://127.0.0.1:{cls.port}/3/device/{token} {{"mdm":"magic"}}' for token in tokens]
        identity = ("--cert", cls.folder / "client.pem", "--key", cls.folder / "client.key") if cert else ()
        return fetch(lines, "--ca", cls.folder / "ca.pem", "--http2", "yes", "--header", f"apns-topic: {cls.topic}",
                     "--header", "apns-push-type: mdm", *identity, *options)

    @staticmethod
    def tokens(count):
        return [f"{number:064x}" for number in range(count)]

    def logged(self):
        return collections.Counter(json.loads(line)["token"] for line in (self.folder / "log").read_text().splitlines())

    def test_a_thousand_pushes_go_out_once_each_although_the_server_takes_twenty_at_a_time(self):
        tokens = self.tokens(1000)
        answers = self.push(tokens)
        self.assertEqual({answer.status for answer in answers.values()}, {200})
        self.assertEqual(self.logged(), collections.Counter(tokens))

    def test_each_answer_comes_with_the_number_of_its_request(self):
        tokens = self.tokens(60)
        self.script({token: {"status": 410, "reason": "Unregistered"} for token in tokens[::3]})
        answers = self.push(tokens, "--rounds", 2)
        for (_, number), answer in answers.items():
            self.assertEqual(answer.status, 200 if number % 3 else 410)
            self.assertEqual(answer.type, "-" if number % 3 else "application/json")

    def test_the_client_certificate_is_shown(self):
        self.assertEqual(self.push(self.tokens(1), cert=False)[0, 0].status, 403)
        self.assertEqual(self.push(self.tokens(1))[0, 0].status, 200)

    def test_requests_that_hang_do_not_hold_up_the_others(self):
        tokens = self.tokens(100)
        self.script({token: {"hang": True} for token in tokens[:5]})
        answers = self.push(tokens, "--timeout", 4000, "--parallel", 10)
        self.assertEqual([answers[0, number].status for number in range(100)], [0] * 5 + [200] * 95)
        self.assertEqual([number for _, number in list(answers)[-5:]], [0, 1, 2, 3, 4])

    def test_a_stream_that_is_reset_fails_alone(self):
        tokens = self.tokens(30)
        self.script({tokens[7]: {"reset": True}})
        answers = self.push(tokens)
        self.assertEqual([number for (_, number), answer in answers.items() if answer.status != 200], [7])

    def test_a_connection_that_the_server_ends_is_made_again(self):
        tokens = self.tokens(40)
        self.script({tokens[10]: [{"goaway": True}, {}]})
        answers = self.push(tokens, "--parallel", 1, "--rounds", 2)
        self.assertEqual(len(answers), 80)
        self.assertLessEqual(sum(answer.status != 200 for answer in answers.values()), 1)
        self.assertEqual({answers[1, number].status for number in range(40)}, {200})


if __name__ == "__main__":
    unittest.main()
