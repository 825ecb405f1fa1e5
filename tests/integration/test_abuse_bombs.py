"""Bombs through nginx to the real programs: refused in bounded CPU time and memory, whoever sends them.

CPU time is that of the handler itself, from /proc; memory is the growth of its resident peak. On a sanitised build the bounds are wide; those of a
release build (POMONA_BUILD=build/release) are the ones that count.
"""
import base64
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "rig"))
import bombs  # noqa: E402
import edge  # noqa: E402
import mdm_signature  # noqa: E402
import pki  # noqa: E402
import scep_client  # noqa: E402
from cryptography.hazmat.primitives.serialization import pkcs7  # noqa: E402

SANITISED = "asan" in os.environ.get("POMONA_BUILD", "build/asan")
MEGABYTE = 1 << 20
# A refusal; a document near the limits, which libplist reads whole.
REFUSAL_CPU, WHOLE_CPU = (2.5, 6.0) if SANITISED else (0.12, 0.6)
STRANGER_CPU = 0.4 if SANITISED else 0.06
# The body itself, the parsed tree of one near the limits, and what the allocator of the sanitizer keeps back.
MEMORY = (900 if SANITISED else 200) * MEGABYTE
CHECK_IN = "application/x-apple-aspen-mdm-checkin"


class Bombs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.edge = edge.Edge(open_enrollment="no")
        cls.addClassCleanup(cls.close)
        known = pki.issue(cls.edge.device_ca, "device", client=True)
        cls.edge.identity("known", known)
        cls.edge.bench.put_certificate("identity", known, status="issued")

    @classmethod
    def close(cls):
        wrong = cls.edge.stop()
        cls.edge.close()
        assert not wrong, wrong

    def bounded(self, name, what, ask, cpu=REFUSAL_CPU, statuses=range(400, 500)):
        before = self.edge.usage(name)
        answer = ask()
        used = self.edge.usage(name).since(before)
        if os.environ.get("POMONA_SHOW"):
            print(f"{name} {what}: {answer.status} {used.cpu:.2f} s {used.peak >> 20} MiB", flush=True)
        self.assertIn(answer.status, statuses, f"{what}: {answer.raw[:200]!r}\n{self.edge.log(name)[-500:]}")
        self.assertLess(used.cpu, cpu, what)
        self.assertLess(used.peak, MEMORY, what)
        return answer

    def test_property_lists_are_refused_before_they_cost_anything(self):
        """With a certificate that is known: without one they are not even looked at."""
        for what, body in bombs.property_lists().items():
            kinds = [CHECK_IN, "application/x-apple-aspen-mdm"] if len(body) < 2 * MEGABYTE else ["application/x-apple-aspen-mdm"]
            for kind in kinds:
                self.bounded("mdm", what, lambda: self.edge.put("/mdm", body, content_type=kind, identity="known"))

    def test_large_documents_of_a_stranger_are_refused_before_they_are_read(self):
        """Anybody can make a signature; certificates that nginx takes may still be unknown here."""
        stranger, body = pki.make_ca("Stranger"), bombs.near_the_limits()["five large dicts"]
        signature = mdm_signature.header(mdm_signature.sign(stranger, body))["HTTP_MDM_SIGNATURE"]
        for identity in (*edge.REJECTED, None, "good"):
            self.bounded("mdm", identity, lambda: self.edge.put("/mdm", body, [("Mdm-Signature", signature)], identity=identity), STRANGER_CPU)

    def test_documents_near_the_limits_of_a_known_device_are_read_in_bounded_time(self):
        for what, body in bombs.near_the_limits(few=SANITISED).items():
            self.bounded("mdm", what, lambda: self.edge.put("/mdm", body, identity="known"), WHOLE_CPU)

    def test_ber_and_base64_in_a_signature_are_refused(self):
        body = bombs.plausible()
        headers = bombs.base64_texts(31_000) | {what: base64.b64encode(data).decode() for what, data in bombs.ber(23_000).items()}
        for what, text in headers.items():
            self.bounded("mdm", what, lambda: self.edge.put("/mdm", body, [("Mdm-Signature", text)]))

    def test_a_signature_that_lists_thousands_of_digests_is_not_computed_with_each(self):
        """The list is not signed, so anybody can make it of one sound signature; OpenSSL would hash the body once for each entry."""
        body, stranger = bombs.document(b"<string>" + b"x" * 250_000 + b"</string>"), pki.make_ca("Stranger")
        text = base64.b64encode(bombs.with_digests(mdm_signature.sign(stranger, body), 23_000)).decode()
        answer = self.bounded("mdm", "digests", lambda: self.edge.put("/mdm", body, [("Mdm-Signature", text)]), STRANGER_CPU, [400])
        self.assertIn("more than four digest algorithms", self.edge.log("mdm"))
        ra = pkcs7.load_der_pkcs7_certificates(self.edge.request("GET", "/scep?operation=GetCACert").body)[0]
        message = scep_client.Client(ra).message(b"x" * 30_000, scep_client.pool_key(0))
        answer = self.bounded("scep", "digests", lambda: self.edge.request("POST", "/scep?operation=PKIOperation", bombs.with_digests(message, 65_000)),
                              STRANGER_CPU, [400])
        self.assertNotIn(b"digest", answer.body)

    def test_ber_to_scep_is_refused_in_a_post_and_in_a_get(self):
        for what, data in bombs.ber(65_000).items():
            self.bounded("scep", what, lambda: self.edge.request("POST", "/scep?operation=PKIOperation", data))
        gets = bombs.escapes(31_000) | {what: text.replace(" ", "%20").replace("\t", "%09") for what, text in bombs.base64_texts(30_000).items()}
        gets |= {f"{what} in a URL": base64.b64encode(data).decode() for what, data in bombs.ber(23_000).items()}
        for what, text in gets.items():
            self.bounded("scep", what, lambda: self.edge.request("GET", f"/scep?operation=PKIOperation&message={text[:40_000]}"))

    def test_bombs_inside_a_scep_envelope_get_a_signed_refusal(self):
        ra = pkcs7.load_der_pkcs7_certificates(self.edge.request("GET", "/scep?operation=GetCACert").body)[0]
        key, client = scep_client.pool_key(0), None
        client = scep_client.Client(ra)
        for what, data in bombs.ber(40_000).items():
            message = client.message(data, key)
            answer = self.bounded("scep", what, lambda: self.edge.request("POST", "/scep?operation=PKIOperation", message), statuses=[200])
            self.assertEqual(scep_client.read_reply(answer.body).status, "2", what)

    def test_memory_does_not_grow_with_the_number_of_bombs(self):
        body = bombs.document(b"<array>" + b"<string>x</string>" * 20_000 + b"</array>")
        for _ in range(5):
            self.edge.put("/mdm", body, identity="known")
        before = self.edge.usage("mdm").peak
        for _ in range(20):
            self.edge.put("/mdm", body, identity="known")
        self.assertLess(self.edge.usage("mdm").peak - before, 64 * MEGABYTE)


if __name__ == "__main__":
    unittest.main()
