"""sys/fcgi, seen through a test program over a Unix socket: limits, refusals, threads, and how it stops."""
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import fcgi_client  # noqa: E402
from fcgi_client import BEGIN_REQUEST, PARAMS, STDIN, Exchange, record, request, request_params  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = Path(os.environ.get("POMONA_BUILD", ROOT / "build/asan")) / "bin/pomona-echo-fcgi"
QUICKLY = 2.0


def wait_until(condition, what, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class FcgiTest(unittest.TestCase):
    def setUp(self):
        self.holder = tempfile.TemporaryDirectory()
        self.addCleanup(self.holder.cleanup)
        self.folder = Path(self.holder.name)
        self.socket = self.folder / "s.sock"
        self.log = self.folder / "log"

    def start(self, *arguments, wait=True, **popen):
        with open(self.log, "ab") as log:
            process = subprocess.Popen([PROGRAM, "--socket", self.socket, *arguments], stderr=log, **popen)
        self.addCleanup(self.finish, process)
        if wait:
            fcgi_client.wait_for_socket(self.socket, process)
        return process

    def finish(self, process):
        if process.poll() is None:
            process.kill()
        process.wait(10)

    def hold(self, name):
        """Starts a request that stays in its handler until release(name); returns the future of its answer."""
        file = self.folder / name
        future = self.pool.submit(request, self.socket, "PUT", "/hold", b"body", {"HOLD_FILE": str(file)}, timeout=30)
        wait_until((self.folder / f"{name}.started").exists, "the request did not reach its handler")
        return future

    def release(self, name):
        (self.folder / f"{name}.release").touch()

    @property
    def pool(self):
        if not hasattr(self, "_pool"):
            self._pool = ThreadPoolExecutor(64)
            self.addCleanup(self._pool.shutdown)
        return self._pool


class Requests(FcgiTest):
    def test_a_request_reaches_the_handler_whole(self):
        self.start()
        body = bytes(range(256)) * 3000
        response = request(self.socket, "PUT", "/mdm/a%20b?x=1", body, {"CONTENT_TYPE": "application/x-apple"})
        self.assertEqual(response.status, 200)
        head, _, echoed = response.body.partition(b"\n\n")
        self.assertEqual(echoed, body)
        params = dict(line.split("=", 1) for line in head.decode().splitlines())
        self.assertEqual(params["REQUEST_METHOD"], "PUT")
        self.assertEqual(params["QUERY_STRING"], "x=1")
        self.assertEqual(params["CONTENT_TYPE"], "application/x-apple")
        self.assertEqual(int(response.headers["content-length"]), len(response.body))

    def test_head_is_answered_without_body_but_with_its_length(self):
        self.start()
        response = request(self.socket, "HEAD", "/big?1000")
        self.assertEqual((response.status, response.body), (200, b""))
        self.assertEqual(response.headers["content-length"], "1000")

    def test_a_large_answer_arrives_whole(self):
        self.start()
        self.assertEqual(request(self.socket, "GET", "/big?20000000").body, b"x" * 20_000_000)

    def test_a_body_above_the_limit_is_answered_413(self):
        self.start("--limit", "1000")
        self.assertEqual(request(self.socket, "PUT", body=b"x" * 1000).status, 200)
        response = request(self.socket, "PUT", body=b"x" * 1001)
        self.assertEqual((response.status, response.text), (413, "Content Too Large"))
        self.assertEqual(request(self.socket, "PUT", body=b"x" * 3_000_000).status, 413)
        self.assertEqual(request(self.socket, "PUT", params={"CONTENT_LENGTH": "9" * 30}).status, 413)

    def test_a_short_body_is_answered_400(self):
        self.start()
        response = request(self.socket, "PUT", body=b"12345", params={"CONTENT_LENGTH": "6"})
        self.assertEqual((response.status, response.text), (400, "Bad Request"))
        with Exchange(self.socket) as exchange:
            exchange.begin()
            exchange.params(request_params("PUT", "/", b"", {"CONTENT_LENGTH": "1000"}))
            exchange.body(b"half")
            exchange.half_close()
            self.assertEqual(exchange.answer().status, 400)

    def test_a_malformed_length_is_answered_400(self):
        self.start()
        for length in ("x", "-1", "+5", "5 ", "0x5", "5.0"):
            with self.subTest(length):
                self.assertEqual(request(self.socket, "PUT", body=b"12345", params={"CONTENT_LENGTH": length}).status, 400)

    def test_too_many_or_too_large_parameters_are_answered_400(self):
        self.start()
        many = {f"P{number}": "x" for number in range(200)}
        self.assertEqual(request(self.socket, params=many).status, 200)
        self.assertEqual(request(self.socket, params=many | {f"Q{number}": "x" for number in range(60)}).status, 400)
        self.assertEqual(request(self.socket, params={"LARGE": "x" * 500_000}).status, 200)
        self.assertEqual(request(self.socket, params={"LARGE": "x" * 530_000}).status, 400)

    def test_exceptions_of_a_handler_are_answered_500_and_logged_on_one_line(self):
        self.start()
        response = request(self.socket, uri="/throw")
        self.assertEqual((response.status, response.text), (500, "Internal Server Error"))
        self.assertEqual(request(self.socket, uri="/throw-odd").status, 500)
        self.assertEqual(request(self.socket, uri="/").status, 200)
        lines = [line for line in self.log.read_text().splitlines() if "thrown on demand" in line]
        self.assertEqual(len(lines), 1)
        self.assertIn("in two lines", lines[0])
        self.assertIn("status=500", lines[0])

    def test_a_header_with_a_line_break_is_never_sent(self):
        self.start()
        response = request(self.socket, uri="/bad-header")
        self.assertEqual(response.status, 500)
        self.assertNotIn(b"Set-Cookie", response.raw)

    def test_the_gate_refuses_who_does_not_know_the_secret_and_hides_it_from_the_handler(self):
        self.start("--gate", "s3cret")
        for wrong in (None, "", "s3cre", "s3cret2", "S3CRET"):
            with self.subTest(wrong):
                response = request(self.socket, "PUT", body=b"x", params={"POMONA_GATE": wrong})
                self.assertEqual((response.status, response.text), (403, "Forbidden"))
        response = request(self.socket, params={"POMONA_GATE": "s3cret"})
        self.assertEqual(response.status, 200)
        self.assertNotIn("s3cret", response.text)
        self.assertNotIn("s3cret", self.log.read_text())

    def test_a_refused_sender_cannot_forge_a_line_of_the_log(self):
        self.start("--gate", "s3cret")
        request(self.socket, "GET\nevent=forged status=200", params={"REMOTE_ADDR": "a\r\nevent=forged \x1b[2J"})
        self.assertEqual([line.split()[0] for line in self.log.read_text().splitlines() if "event=" in line], ["event=request"])
        self.assertNotIn("\x1b", self.log.read_text())

    def test_a_proxy_header_of_the_client_is_dropped(self):
        self.start()
        response = request(self.socket, params={"HTTP_PROXY": "http://evil", "HTTP_ACCEPT": "*/*"})
        self.assertNotIn("evil", response.text)
        self.assertIn("HTTP_ACCEPT", response.text)

    def test_truncated_and_foreign_records_harm_nobody_else(self):
        process = self.start("--threads", "2")
        begin = record(BEGIN_REQUEST, struct.pack(">HBxxxxx", 1, 0))
        for junk in (b"", b"GET / HTTP/1.1\r\n\r\n", begin[:5], begin, begin + record(PARAMS, b"\xff\xff"),
                     begin + record(PARAMS, b"\x05\x05abc"), begin + struct.pack(">BBHHBx", 1, PARAMS, 1, 500, 0) + b"x",
                     begin + record(PARAMS) + record(STDIN, b"x" * 100), struct.pack(">BBHHBx", 9, 9, 9, 9, 9) * 20,
                     os.urandom(4096)):
            with self.subTest(junk[:20]), Exchange(self.socket) as exchange:
                exchange.send(junk)
        with Exchange(self.socket) as exchange:
            exchange.begin()
            exchange.params(request_params("PUT", "/", b"", {"CONTENT_LENGTH": "3"}))
            exchange.send(record(STDIN, b"abc", padding=7) + record(STDIN))
            self.assertEqual(exchange.answer().status, 200)
        self.assertIsNone(process.poll())

    def test_a_connection_is_never_kept_because_it_would_hold_a_thread(self):
        self.start("--threads", "1")
        with Exchange(self.socket) as first:
            first.begin(keep=True)
            first.params(request_params("GET", "/", b"", None))
            first.end_body()
            self.assertEqual(first.answer().status, 200)
            self.assertTrue(first.is_closed_by_peer())
            self.assertEqual(request(self.socket, keep=True).status, 200)


class Threads(FcgiTest):
    def test_eight_threads_serve_a_parallel_load_without_mixing_answers(self):
        self.start("--threads", "8")

        def ask(number):
            body = f"{number}-".encode() * (number % 50 * 100 + 1)
            return request(self.socket, "PUT", f"/x?{number}", body).body.partition(b"\n\n")[2] == body

        self.assertTrue(all(self.pool.map(ask, range(1000))))

    def test_each_thread_has_a_handler_of_its_own(self):
        self.start("--threads", "4")
        held = [self.hold(f"h{number}") for number in range(3)]
        answers = {request(self.socket, uri="/thread").text for _ in range(5)}
        self.assertEqual(len(answers), 1)
        for number in range(3):
            self.release(f"h{number}")
        self.assertEqual([future.result().text for future in held], ["released"] * 3)


class Stopping(FcgiTest):
    def stop(self, process, number=signal.SIGTERM):
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(20)
        return code, time.monotonic() - began

    def test_an_idle_server_stops_quickly_with_exit_code_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                process = self.start("--threads", "8")
                code, seconds = self.stop(process, number)
                self.assertEqual(code, 0)
                self.assertLess(seconds, QUICKLY)
                self.assertFalse(self.socket.exists())

    def test_requests_in_flight_are_finished_before_the_end(self):
        process = self.start("--threads", "4")
        held = [self.hold("a"), self.hold("b")]
        process.send_signal(signal.SIGTERM)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        self.release("a")
        self.release("b")
        self.assertEqual([future.result().text for future in held], ["released"] * 2)
        self.assertEqual(process.wait(10), 0)

    def test_a_body_that_is_still_coming_in_is_read_to_its_end(self):
        process = self.start("--threads", "2")
        with Exchange(self.socket) as exchange:
            exchange.begin()
            exchange.params(request_params("PUT", "/", b"", {"CONTENT_LENGTH": "6"}))
            exchange.body(b"abc")
            # The parameters have been read when another request on the same number of threads still works.
            self.assertEqual(request(self.socket).status, 200)
            process.send_signal(signal.SIGTERM)
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(0.3)
            exchange.body(b"def")
            exchange.end_body()
            response = exchange.answer()
        self.assertEqual(response.status, 200)
        self.assertTrue(response.body.endswith(b"\n\nabcdef"))
        self.assertEqual(process.wait(10), 0)

    def test_a_connection_that_says_nothing_does_not_delay_the_end(self):
        process = self.start("--threads", "2")
        with Exchange(self.socket), Exchange(self.socket):
            code, seconds = self.stop(process)
        self.assertEqual(code, 0)
        self.assertLess(seconds, QUICKLY)

    def test_a_connection_that_says_nothing_holds_a_thread_for_two_seconds_only(self):
        self.start("--threads", "1")
        with Exchange(self.socket) as silent:
            self.assertEqual(request(self.socket).status, 200)
            self.assertTrue(silent.is_closed_by_peer())

    def test_two_servers_on_one_socket_lose_no_request_when_one_is_restarted(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.socket))
        listener.listen(256)
        statuses, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                statuses.append(request(self.socket, "PUT", body=b"x" * 2000).status)

        servers = [self.start_passed(listener) for _ in range(2)]
        self.addCleanup(stop.set)  # else a failure would leave them asking for ever
        askers = [self.pool.submit(ask) for _ in range(4)]
        for turn in range(6):
            seen = len(statuses)
            wait_until(lambda: len(statuses) > seen + 50, "no progress")
            self.assertEqual(self.stop(servers[turn % 2])[0], 0)
            servers[turn % 2] = self.start_passed(listener)
        stop.set()
        for asker in askers:
            asker.result()
        self.assertEqual(set(statuses), {200})

    def start_passed(self, listener):
        """As systemd does: the listening socket as descriptor 3, LISTEN_PID set after the fork."""
        script = 'exec 3<&"$1"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$2" --threads 4'
        process = subprocess.Popen(["/bin/bash", "-c", script, "sh", str(listener.fileno()), PROGRAM],
                                   pass_fds=[listener.fileno()])
        self.addCleanup(self.finish, process)
        wait_until(lambda: takes_sigterm(process.pid), "the server does not get ready")
        return process


def takes_sigterm(pid):
    """From now on SIGTERM is a request to stop. Its threads block it; the main thread does not while it waits for it."""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        blocked = next(line for line in status.read_text().splitlines() if line.startswith("SigBlk:")).split()[1]
        if int(blocked, 16) & (1 << (signal.SIGTERM - 1)):
            return True
    return False


class Sockets(FcgiTest):
    def listener(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.socket))
        listener.listen(16)
        return listener

    def test_the_socket_file_is_for_owner_and_group_only(self):
        self.start()
        self.assertEqual(self.socket.stat().st_mode & 0o777, 0o660)

    def test_the_socket_file_of_a_killed_server_is_replaced(self):
        process = self.start()
        process.kill()
        process.wait(10)
        self.assertTrue(self.socket.exists())
        self.start()
        self.assertEqual(request(self.socket).status, 200)

    def test_the_socket_of_a_living_server_and_other_files_are_left_alone(self):
        self.start()
        second = self.start(wait=False)
        self.assertEqual(second.wait(20), 1)
        self.assertIn("another process answers there", self.log.read_text())
        self.assertEqual(request(self.socket).status, 200)
        self.socket = self.folder / "file"
        self.socket.write_text("precious")
        self.assertEqual(self.start(wait=False).wait(20), 1)
        self.assertEqual(self.socket.read_text(), "precious")

    def test_a_socket_passed_as_systemd_passes_it_is_served_and_outlives_the_server(self):
        listener = self.listener()
        process = Stopping.start_passed(self, listener)
        self.assertEqual(request(self.socket).status, 200)
        process.terminate()
        self.assertEqual(process.wait(10), 0)
        waiting = self.pool.submit(request, self.socket)
        Stopping.start_passed(self, listener)
        self.assertEqual(waiting.result().status, 200)

    def test_a_socket_on_descriptor_0_is_served(self):
        process = subprocess.Popen([PROGRAM], stdin=self.listener())
        self.addCleanup(self.finish, process)
        self.assertEqual(request(self.socket).status, 200)
        process.terminate()
        self.assertEqual(process.wait(10), 0)

    def test_descriptors_meant_for_another_process_are_not_taken(self):
        environment = {"PATH": os.environ["PATH"], "LISTEN_FDS": "1", "LISTEN_PID": "1"}
        result = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, env=environment, capture_output=True, timeout=20)
        self.assertEqual(result.returncode, 2)

    def test_without_any_socket_it_says_how_to_start_it_and_exits_2(self):
        environment = {name: value for name, value in os.environ.items() if name != "GATEWAY_INTERFACE"}
        result = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, env=environment, capture_output=True, timeout=20)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stdout, b"")
        self.assertIn(b"--socket", result.stderr)


class PlainCgi(FcgiTest):
    def run_cgi(self, body=b"", **params):
        environment = {"PATH": os.environ["PATH"]} | request_params("PUT", "/", body, params)
        result = subprocess.run([PROGRAM], input=body, env=environment, capture_output=True, timeout=20)
        self.assertEqual(result.returncode, 0, result.stderr)
        return fcgi_client.parse(result.stdout, result.stderr)

    def test_one_request_is_answered(self):
        response = self.run_cgi(b"hello", SCRIPT_NAME="/cgi-bin/mdm")
        self.assertEqual(response.status, 200)
        self.assertTrue(response.body.endswith(b"\n\nhello"))

    def test_a_short_body_is_answered_400(self):
        self.assertEqual(self.run_cgi(b"hello", CONTENT_LENGTH="9").status, 400)

    def test_script_name_and_path_info_make_the_path(self):
        self.assertEqual(self.run_cgi(DOCUMENT_URI=None, SCRIPT_NAME="", PATH_INFO="/thread").text, "0")


if __name__ == "__main__":
    unittest.main()
