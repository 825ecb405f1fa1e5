"""A stand-in for Apple's push service: HTTP/2 over TLS, refusing what Apple refuses of an MDM push.

apns.py --cert PEM --key PEM --client-ca PEM --port N --log FILE [--open-port N] [--script FILE] [--max-streams N]

The port wants a client certificate of the push CA, whose subject UID is the only topic it may push to (without one:
403 MissingProviderToken, as Apple does). The open port asks for none, for load tools that cannot send one. Accepted
pushes are appended to the log, one JSON object a line: time, token, topic, headers, payload.
The script is a JSON object from token (or "*", all others) to a verdict, or to a list of verdicts for the first, second,
... push, the last one staying: {} (accepted), {"status": 410, "reason": "Unregistered", "timestamp": 1700000000000},
{"delay": seconds}, {"hang": true} (no answer), {"reset": true} (the stream ends), {"goaway": true} (the connection ends
before the stream was taken; later streams are lost with it), {"close": true} (the TCP connection is lost, without a
word). It is read again whenever it changes.
"""
import argparse
import asyncio
import datetime
import json
import re
import signal
import ssl
import sys
import time
import uuid
from pathlib import Path

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from cryptography import x509

from push_pki import topic_of

PAYLOAD_LIMIT = 4096
TOKEN = re.compile(r"^(?:[0-9a-f]{2}){32,100}$")
TOPIC = re.compile(r"^com\.apple\.mgmt\.[A-Za-z0-9.-]+$")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
EXPIRATION = re.compile(r"^(0|[1-9][0-9]{0,10})$")


class Refusal(Exception):
    """What the sender is told: a status and Apple's word for the reason."""

    def __init__(self, status, reason, timestamp=None):
        super().__init__(f"{status} {reason}")
        self.status, self.reason, self.timestamp = status, reason, timestamp


def judge_headers(headers, certified_topic):
    """Checks everything but token and payload. `headers` is a list of pairs; returns them as a dict."""
    names = [name for name, _ in headers if name.startswith("apns-")]
    if len(set(names)) != len(names):
        raise Refusal(400, "DuplicateHeaders")
    have = dict(headers)
    if have.get("apns-push-type") != "mdm":
        raise Refusal(400, "InvalidPushType")
    topic = have.get("apns-topic")
    if topic is None:
        raise Refusal(400, "MissingTopic")
    if not TOPIC.match(topic):
        raise Refusal(400, "BadTopic")
    if certified_topic not in (None, topic):
        raise Refusal(400, "TopicDisallowed")
    if have.get("apns-priority", "10") not in ("10", "5", "1"):
        raise Refusal(400, "BadPriority")
    if not EXPIRATION.match(have.get("apns-expiration", "0")):
        raise Refusal(400, "BadExpirationDate")
    if "apns-id" in have and not UUID.match(have["apns-id"]):
        raise Refusal(400, "BadMessageId")
    if len(have.get("apns-collapse-id", "").encode()) > 64:
        raise Refusal(400, "BadCollapseId")
    return have


def judge_target(have):
    """The token that method and path name."""
    if have.get(":method") != "POST":
        raise Refusal(405, "MethodNotAllowed")
    path = have.get(":path", "")
    if path in ("/3/device", "/3/device/"):
        raise Refusal(400, "MissingDeviceToken")
    if not path.startswith("/3/device/") or "/" in path[10:] or "?" in path:
        raise Refusal(404, "BadPath")
    if not TOKEN.match(path[10:]):
        raise Refusal(400, "BadDeviceToken")
    return path[10:]


def judge_payload(have, body):
    """The payload of an MDM push is {"mdm": PushMagic} and nothing else, and it is not compressed."""
    if len(body) > PAYLOAD_LIMIT:
        raise Refusal(413, "PayloadTooLarge")
    if not body:
        raise Refusal(400, "PayloadEmpty")
    try:
        if "content-encoding" in have:
            raise ValueError
        pairs = json.loads(body.decode("utf-8"), object_pairs_hook=list)
        ((key, magic),) = pairs
    except (ValueError, TypeError):
        raise Refusal(400, "BadPayload") from None   # the stand-in's own word; Apple would drop the push silently
    if key != "mdm" or not isinstance(magic, str) or not magic:
        raise Refusal(400, "BadPayload")
    return {"mdm": magic}


class Script:
    """Verdicts written by a test; see the head of this file."""

    def __init__(self, path):
        self.path, self.stamp, self.verdicts = path, None, {}

    def next(self, token):
        if self.path is None or not self.path.exists():
            return {}
        status = self.path.stat()
        if (status.st_mtime_ns, status.st_size) != self.stamp:
            self.stamp, self.verdicts = (status.st_mtime_ns, status.st_size), json.loads(self.path.read_text())
        verdict = self.verdicts.get(token, self.verdicts.get("*", {}))
        if isinstance(verdict, list):
            verdict = verdict.pop(0) if len(verdict) > 1 else verdict[0]
        return verdict


class Service:
    """What all connections share."""

    def __init__(self, options):
        self.script = Script(options.script)
        self.log = open(options.log, "a", buffering=1)
        self.max_streams = options.max_streams
        self.connections = set()

    def accept(self, token, have, payload):
        entry = {"time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
                 "token": token, "topic": have["apns-topic"],
                 "headers": {key: value for key, value in have.items() if not key.startswith(":")}, "payload": payload}
        self.log.write(json.dumps(entry) + "\n")


class Connection:
    """One HTTP/2 connection; streams are answered as they end."""

    def __init__(self, service, reader, writer, certificate_wanted):
        self.service, self.reader, self.writer = service, reader, writer
        self.certificate_wanted = certificate_wanted
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 16384})
        self.streams = {}
        self.slow = set()

    def certified_topic(self):
        """The topic of the client certificate; None on the open port; refused without certificate."""
        if not self.certificate_wanted:
            return None
        der = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if der is None:
            raise Refusal(403, "MissingProviderToken")
        topic = topic_of(x509.load_der_x509_certificate(der))
        if topic is None or not TOPIC.match(topic):
            raise Refusal(403, "BadCertificate")
        return topic

    async def run(self):
        if self.writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self.writer.close()
            return
        self.h2.initiate_connection()
        # A limit counts from the moment when the client has acknowledged it (RFC 9113 section 6.5.3): what it sent before is
        # no offence, however late it is read.
        self.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self.service.max_streams})
        self.service.connections.add(self)
        try:
            await self.flush()
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    self.take(event)
                await self.flush()
        except h2.exceptions.ProtocolError:
            await self.flush()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.service.connections.discard(self)
            self.writer.close()

    async def flush(self):
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = (event.headers, bytearray())
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self.streams and len(self.streams[event.stream_id][1]) <= PAYLOAD_LIMIT:
                self.streams[event.stream_id][1].extend(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(event.stream_id, None)
        if isinstance(event, h2.events.StreamEnded) and event.stream_id in self.streams:
            headers, body = self.streams.pop(event.stream_id)
            self.answer(event.stream_id, headers, bytes(body))

    def answer(self, stream, headers, body):
        have = dict(headers)
        asked = have.get("apns-id", "")
        push_id = asked if UUID.match(asked) else str(uuid.uuid4())
        try:
            topic = self.certified_topic()
            token = judge_target(have)
            have = judge_headers(headers, topic)
            payload = judge_payload(have, body)
            verdict = self.service.script.next(token)
            if "delay" in verdict:
                self.later(verdict["delay"], stream, push_id, verdict, (token, have, payload))
            else:
                self.obey(stream, push_id, verdict, (token, have, payload))
        except Refusal as refusal:
            self.refuse(stream, push_id, refusal)

    def later(self, seconds, *arguments):
        async def wait():
            await asyncio.sleep(seconds)
            try:
                self.obey(*arguments)
                await self.flush()
            except (OSError, h2.exceptions.ProtocolError):
                pass   # the connection has gone in the meantime
        task = asyncio.ensure_future(wait())
        self.slow.add(task)
        task.add_done_callback(self.slow.discard)

    def obey(self, stream, push_id, verdict, push):
        if verdict.get("hang"):
            return
        if verdict.get("reset"):
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif verdict.get("close"):
            self.writer.transport.abort()
        elif verdict.get("goaway"):
            self.h2.close_connection(last_stream_id=max(0, stream - 2))
        elif verdict.get("status", 200) != 200:
            self.refuse(stream, push_id, Refusal(verdict["status"], verdict["reason"], verdict.get("timestamp")))
        else:
            self.service.accept(*push)
            self.h2.send_headers(stream, [(":status", "200"), ("apns-id", push_id)], end_stream=True)

    def refuse(self, stream, push_id, refusal):
        content = {"reason": refusal.reason}
        if refusal.status == 410:
            content["timestamp"] = refusal.timestamp or int(time.time() * 1000)
        body = json.dumps(content).encode()
        self.h2.send_headers(stream, [(":status", str(refusal.status)), ("apns-id", push_id),
                                      ("content-type", "application/json"), ("content-length", str(len(body)))])
        self.h2.send_data(stream, body, end_stream=True)


def tls(options, ask_certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(options.cert, options.key)
    context.set_alpn_protocols(["h2"])
    if ask_certificate:
        context.load_verify_locations(options.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL   # a wrong one ends the handshake; none at all is answered 403
    return context


async def serve(options):
    service = Service(options)
    servers = []
    for port, wanted in ((options.port, True), (options.open_port, False)):
        if port is not None:
            def connected(reader, writer, wanted=wanted):
                return Connection(service, reader, writer, wanted).run()
            servers.append(await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls(options, wanted)))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    for server in servers:
        server.close()
    for connection in list(service.connections):
        connection.h2.close_connection()
        await connection.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cert", "--key", "--client-ca", "--log"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--open-port", type=int)
    parser.add_argument("--script", type=Path)
    parser.add_argument("--max-streams", type=int, default=100)
    options = parser.parse_args()
    asyncio.run(serve(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
