"""Small or plausible inputs that are dear to whoever reads them without bounds: property lists, BER, base64, percent-encoding.

Each function returns name -> bytes (text for what goes into a header or a URL).
"""
import base64
import plistlib

from der import NULL, children, integer, octets, oid, printable, read, seq, set_of, tagged, tlv

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">'
TAIL = b"</plist>"
IDS = b"<key>Status</key><string>Idle</string><key>UDID</key><string>A</string>"
DATA, SIGNED, ENVELOPED = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.3"
SHA1, RIPEMD160 = "1.3.14.3.2.26", "1.3.36.3.2.1"
SHA256, RSA = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.1"


def document(inner, head=HEAD, tail=TAIL):
    return head + b"<dict>" + IDS + b"<key>X</key>" + inner + b"</dict>" + tail


def shared_binary():
    """A binary property list of a few bytes whose arrays share their children: 2^22 values."""
    depth = 22
    objects = [bytes([0xA2, n + 1, n + 1]) for n in range(depth)] + [b"\x51a"]
    body, offsets = b"bplist00", []
    for one in objects:
        offsets.append(len(body))
        body += one
    table = len(body)
    return body + bytes(offsets) + bytes(6) + b"\1\1" + len(objects).to_bytes(8, "big") + bytes(8) + table.to_bytes(8, "big")


def property_lists():
    keys = b"".join(b"<key>k%d</key><true/>" % n for n in range(200_000))
    colliding = b"".join(b"<key>%s</key><true/>" % b"".join((b"ab", b"bA")[n >> bit & 1] for bit in range(14)) for n in range(16_000))
    entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10 if n else b"lol") for n in range(1, 12))
    return {
        "entities": b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY e0 "lol">' + entities + b"]>" + document(b"<string>&e11;</string>", b"<plist>"),
        "external entity": b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + document(b"<string>&x;</string>", b"<plist>"),
        "external subset": b'<?xml version="1.0"?><!DOCTYPE plist SYSTEM "http://127.0.0.1:9/x.dtd">' + document(b"<true/>", b"<plist>"),
        "nested arrays": document(b"<array>" * 500_000 + b"</array>" * 500_000),
        "nested and never closed": document(b"<array>" * 1_000_000, tail=b"")[:-7],
        "nested dicts": document(b"<dict><key>a</key>" * 100_000 + b"<true/>" + b"</dict>" * 100_000),
        "200,000 keys": document(b"<dict>" + keys + b"</dict>"),
        "keys that collide": document(b"<dict>" + colliding + b"</dict>"),
        "a million elements": document(b"<array>" + b"<true/>" * 1_000_000 + b"</array>"),
        "a million references": document(b"<string>" + b"&lt;" * 1_000_000 + b"</string>"),
        "references in a long string": document(b"<string>" + b"&lt;" * 19_999 + b"x" * 14_000_000 + b"</string>"),
        "references in many strings": document(b"<array>" + (b"<string>" + b"&lt;" * 19_999 + b"</string>") * 150 + b"</array>"),
        "numeric references": document(b"<string>" + b"&#x0000000000000000000000000041;" * 200_000 + b"</string>"),
        "a key twice": document(b"<true/><key>UDID</key><string>B</string>"),
        "a key twice, spelt otherwise": document(b"<true/><key>UDI&#68;</key><string>B</string>"),
        "cdata": document(b"<string><![CDATA[</string>]]></string>"), "comments": document(b"<!-- -->" * 100_000 + b"<true/>"),
        "a comment without end": document(b"<!--" + b"-" * 1_000_000), "instructions": document(b"<?php x ?>" * 50_000 + b"<true/>"),
        "utf-16": b"\xff\xfe" + document(b"<true/>").decode().encode("utf-16-le"), "utf-32": document(b"<true/>").decode().encode("utf-32"),
        "utf-7": document(b"<string>+ADw-</string>", HEAD.replace(b"UTF-8", b"UTF-7")), "nul": document(b"<string>a\0b</string>"),
        "invalid utf-8": document(b"<string>\xc0\xaf\xff</string>"), "behind the end": document(b"<true/>") + b"<plist><dict/></plist>" * 1000,
        "attributes": document(b"<array>" + b"<string x='y'>a</string>" * 10_000 + b"</array>"),
        "numbers": document(b"<integer>" + b"9" * 1_000_000 + b"</integer>"), "reals": document(b"<real>" + b"1" * 1_000_000 + b"e999999999</real>"),
        "dates": document(b"<date>" + b"9" * 500_000 + b"-01-01T00:00:00Z</date>"), "spaces in data": document(b"<data>" + b" \n" * 3_000_000 + b"!</data>"),
        "tags without end": document(b"<" * 1_000_000), "a name without end": document(b"<" + b"a" * 5_000_000),
        "binary": shared_binary(), "binary, lying": b"bplist00" + b"\xff" * 100_000, "openstep": b"{ a = " + b"(" * 200_000, "json": b"[" * 1_000_000,
    }


def near_the_limits(few=False):
    """The dearest documents that the gate lets pass; `few`: a tenth of the elements, which a sanitizer's allocator takes badly."""
    keys = b"<dict>" + b"".join(b"<key>k%d</key><true/>" % n for n in range(24_900)) + b"</dict>"
    return {
        "five large dicts": document(b"<array>" + keys * 5 + b"</array>"),
        "fifteen megabytes of string": document(b"<string>" + b"x" * 15_000_000 + b"</string>"),
        "references up to the budget": document(b"<array>" + (b"<string>" + b"&lt;" * 2000 + b"x" * 30_000 + b"</string>") * 26 + b"</array>"),
        "deep as allowed": document(b"<array>" * 60 + b"</array>" * 60),
        "290,000 elements": document(b"<array>" + b"<true/>" * (29_000 if few else 290_000) + b"</array>"),
    }


def signed(signers=b"", certificates=b"", content=b"", digests=None, wrap=octets):
    return seq(oid(SIGNED), tagged(0, seq(integer(1), digests or set_of(seq(oid(SHA256), NULL)), seq(oid(DATA), tagged(0, wrap(content))),
                                          tagged(0, certificates), tlv(0x31, signers))))


def signer(attributes=b"", number=1):
    return seq(integer(1), seq(seq(), integer(number)), seq(oid(SHA256), NULL), tagged(0, attributes), seq(oid(RSA), NULL), octets(b"x" * 64))


def ber(limit):
    """CMS as bytes of at most about `limit`."""
    attribute = seq(oid("1.2.3.4"), set_of(printable("x")))
    recipient = seq(integer(0), seq(seq(), integer(1)), seq(oid(RSA), NULL), octets(b"x" * 16))
    enveloped = seq(oid(ENVELOPED), tagged(0, seq(integer(0), tlv(0x31, recipient * (limit // len(recipient) - 4)),
                                                  seq(oid(DATA), seq(oid("2.16.840.1.101.3.4.1.42"), octets(b"i" * 16)), tagged(0, b"", False)))))
    strings = limit // 4 - 200
    found = {
        "nested sequences": b"\x30\x80" * (limit // 2), "nested sets": b"\x31\x80" * (limit // 2), "nested, closed": b"\x30\x80" * (limit // 4) + b"\0\0" * (limit // 4),
        "indefinite without end": seq(oid(SIGNED))[:-11] + b"\x30\x80" + oid(SIGNED) + b"\xa0\x80\x30\x80", "a length of 2^63": b"\x30\x88\x7f" + b"\xff" * 7,
        "a length of 127 bytes": b"\x30\xff" + b"\xff" * 127 + b"x" * 100, "a tag of many bytes": b"\x3f" + b"\xff" * (limit - 100) + b"\x7f\0",
        "a nested octet string": signed(wrap=lambda content: b"\x24\x80" * strings + octets(content) + b"\0\0" * strings),
        "many small octet strings": signed(wrap=lambda content: b"\x24\x80" + b"\x04\x01x" * (limit // 3 - 200) + b"\0\0"),
        "many signers": signed(b"".join(signer(number=n) for n in range(limit // len(signer()) - 4))),
        "many attributes": signed(signer(attribute * (limit // len(attribute) - 20))), "many digests": signed(digests=set_of(*[seq(oid(SHA256), NULL)] * (limit // 20))),
        "many certificates that are none": signed(signer(), seq(seq(), seq(), b"\3\1\0") * (limit // 12)),
        "many recipients inside": signed(signer(), content=enveloped[:limit - 300]), "only an envelope": enveloped,
        "an object identifier": seq(b"\x06\x83" + (limit - 100).to_bytes(3, "big") + b"\xff" * (limit - 100)), "empty": b"", "one byte": b"\x30", "zeros": bytes(limit - 10),
    }
    return {name: data[:limit] for name, data in found.items()}


def with_digests(cms, limit):
    """A sound SignedData (DER) that lists as many digests as fit; whoever verifies it may run the content through each."""
    (_, kind), (_, wrapped) = children(read(cms)[1])
    (_, version), _, *rest = children(read(wrapped)[1])
    listed = (seq(oid(RIPEMD160)), seq(oid(SHA1)))
    many = tlv(0x31, b"".join(listed) * ((limit - len(cms)) // len(b"".join(listed)) - 2))
    signed_data = seq(tlv(0x02, version), many, *(tlv(tag, value) for tag, value in rest))
    return seq(tlv(0x06, kind), tagged(0, signed_data))


def base64_texts(limit):
    """Of headers and URLs: at most `limit` characters that a web server lets pass."""
    good = base64.b64encode(signed(signer())).decode()
    return {
        "spaces": good[:40] + " " * (limit - 100) + good[40:80], "tabs": "\t".join(good * 10)[:limit], "padding in the middle": "QUJD=QUJD" * (limit // 10),
        "padding alone": "=" * limit, "padding first": "==" + good, "no alphabet": "!" * limit, "url alphabet": "-_" * (limit // 2),
        "one character": "A", "a run of A": "A" * limit, "signed": good,
    }


def escapes(limit):
    """Percent-encoded forms of a SCEP message in a URL."""
    return {
        "all escaped": "%41" * (limit // 3), "escaped spaces": "%0A" * (limit // 3), "escaped percent": "%25" * (limit // 3), "half an escape": "QUJD" * 10 + "%4",
        "no hex": "%zz" * 10, "nul": "%00" * 1000, "plus signs": "+" * limit, "overlong": "%c0%80" * (limit // 6), "many messages": "QUJD&message=" * (limit // 13),
        "many ampersands": "&" * limit, "many equals": "=" * limit,
    }


def plausible():
    """A small sound report, to be answered in between."""
    return plistlib.dumps({"Status": "Idle", "UDID": "A"})
