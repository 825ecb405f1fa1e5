"""Opens what the database holds sealed, with Python's cryptography: what a thief of a dump and of key files could do.

    seals.key_ids(sql)                          {domain: ids of the keys, in hex, under which anything of it is sealed}
    seals.open_message(sql, keys, id)           the check-in body of a row of `messages`, with message.key of the folder
    seals.open_message(sql, keys, id, key_hex)  with another key; raises seals.InvalidTag where it is the wrong one
    seals.open_secret(sql, id_hex, key_hex)     a row of `secrets`
    seals.sealed_tables()                       the tables that `pomona secrets rotate` looks through, from its source
"""
import collections
import re
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidTag  # noqa: F401
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS = ("commands", "results", "messages")


def sealed_tables():
    text = (ROOT / "lib/store/reseal.hpp").read_text()
    return set(re.search(r"enum class SealedTable \{([^}]*)\}", text).group(1).replace(",", " ").split())


def key_ids(sql):
    found = collections.defaultdict(set)
    for line in sql("SELECT DISTINCT domain, LOWER(HEX(key_id)) FROM secrets").split("\n"):
        if line:
            domain, key_id = line.split("\t")
            found[domain].add(key_id)
    for table in COLUMNS:
        found["message"] |= set(sql(f"SELECT DISTINCT LOWER(HEX(SUBSTRING(body, 2, 8))) FROM {table} WHERE body IS NOT NULL").split())
    return found


def unseal(key_hex, domain, row_id, nonce, body, purpose):
    row_key = HKDF(hashes.SHA256(), 32, None, b"pomona row " + row_id).derive(bytes.fromhex(key_hex))
    aad = row_id + bytes([len(domain)]) + domain.encode() + purpose.encode()
    return AESGCM(row_key).decrypt(nonce, body, aad)


def open_message(sql, keys, number, key_hex=None):
    enrollment, kind, text = sql(f"SELECT enrollment_id, type, HEX(body) FROM messages WHERE id = {number}").split("\t")
    sealed = bytes.fromhex(text)
    key_hex = key_hex or (Path(keys) / "message.key").read_text().split()[0]
    packed = unseal(key_hex, "message", sealed[9:25], sealed[25:37], sealed[37:], f"message:{enrollment}:{kind}")
    return zlib.decompress(packed[4:])


def open_secret(sql, id_hex, key_hex):
    domain, purpose, nonce, body = sql(f"SELECT domain, purpose, HEX(nonce), HEX(body) FROM secrets WHERE id = X'{id_hex}'").split("\t")
    return unseal(key_hex, domain, bytes.fromhex(id_hex), bytes.fromhex(nonce), bytes.fromhex(body), purpose)
