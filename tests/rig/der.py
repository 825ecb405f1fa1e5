"""DER by hand, for messages that no library would make: encoding functions, and a reader of (tag, content) trees."""


def tlv(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def seq(*parts):
    return tlv(0x30, b"".join(parts))


def set_of(*parts):
    return tlv(0x31, b"".join(sorted(parts)))


def integer(number):
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def octets(data):
    return tlv(0x04, data)


def bits(data):
    return tlv(0x03, b"\0" + data)


def printable(text):
    return tlv(0x13, text if isinstance(text, bytes) else text.encode())


def utf8(text):
    return tlv(0x0C, text.encode())


def tagged(number, content, constructed=True):
    return tlv((0xA0 if constructed else 0x80) | number, content)


NULL = tlv(0x05, b"")


def oid(dotted):
    numbers = [int(part) for part in dotted.split(".")]
    out = bytearray()
    for number in [numbers[0] * 40 + numbers[1], *numbers[2:]]:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | (number & 0x7F))
        out += bytes(reversed(digits))
    return tlv(0x06, bytes(out))


def read(data, at=0):
    """(tag, content, end) of the element at `at`; definite lengths only."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length == 0x80:
        raise ValueError("indefinite length")
    if length > 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at:at + size], "big"), at + size
    if at + length > len(data):
        raise ValueError("cut short")
    return tag, data[at:at + length], at + length


def children(content):
    """[(tag, content)] of a constructed element."""
    out, at = [], 0
    while at < len(content):
        tag, inner, at = read(content, at)
        out.append((tag, inner))
    return out
