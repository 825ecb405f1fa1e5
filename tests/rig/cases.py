"""Golden cases: one text file is one test; a new one needs no code.

    # What the case shows, in a sentence.
    PUT /mdm                        method and target, as sent
    Content-Type: text/plain        request headers
    @https | @http                  which of the stack's URLs (default @https)
                                    an empty line, then the body, if any, up to the next ---
    ---
    400                             expected status
    Content-Type: text/plain        expected headers; *** stands for any text, also inside a value
    !Www-Authenticate               a header that must be absent
    ---
    Bad Request                     expected body; *** stands for any text, over lines too; without this part any body will do

One newline at the end of a body belongs to the file, not to the body. `{64k}` in a request stands for 65,536 letters x (any size in k or M).
"""
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Case:
    name: str
    sentence: str
    method: str
    target: str
    secure: bool = True
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    status: int = 0
    wanted: dict = field(default_factory=dict)
    absent: list = field(default_factory=list)
    wanted_body: str | None = None


class CaseError(ValueError):
    pass


def fill(text):
    return re.sub(r"\{(\d+)([kM])\}", lambda m: "x" * (int(m[1]) * {"k": 1 << 10, "M": 1 << 20}[m[2]]), text)


def take_request(case_lines, name):
    if not case_lines or not case_lines[0].startswith("# "):
        raise CaseError(f"{name}: the first line is '# ' and a sentence")
    method, _, target = case_lines[1].partition(" ")
    if not target.startswith("/"):
        raise CaseError(f"{name}: the second line is METHOD /target")
    case = Case(name, case_lines[0][2:], method, fill(target))
    at = 2
    while at < len(case_lines) and case_lines[at]:
        line = case_lines[at]
        if line in ("@https", "@http"):
            case.secure = line == "@https"
        else:
            key, colon, value = line.partition(":")
            if not colon:
                raise CaseError(f"{name}: not a header: {line}")
            case.headers[key] = fill(value.strip())
        at += 1
    case.body = fill("\n".join(case_lines[at + 1:])).encode()
    return case


def read(path):
    parts = re.split(r"^---\n", Path(path).read_text(), flags=re.M)
    if len(parts) not in (2, 3):
        raise CaseError(f"{path}: request, ---, answer[, ---, body]")
    case = take_request(parts[0].removesuffix("\n").split("\n"), str(path))
    lines = [line for line in parts[1].split("\n") if line]
    case.status = int(lines[0])
    for line in lines[1:]:
        if line.startswith("!"):
            case.absent.append(line[1:])
        else:
            key, _, value = line.partition(":")
            case.wanted[key] = value.strip()
    if len(parts) == 3:
        case.wanted_body = parts[2].removesuffix("\n")
    return case


def matches(pattern, text):
    return re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("***")), text, flags=re.S) is not None


def differences(case, status, headers, body):
    """What is not as the case wants it; an empty list when all is. `headers` is a mapping with names in lower case."""
    wrong = []
    if status != case.status:
        wrong.append(f"status {status}, wanted {case.status}")
    for key, value in case.wanted.items():
        got = headers.get(key.lower())
        if got is None or not matches(value, got):
            wrong.append(f"{key}: {got}, wanted {value}")
    for key in case.absent:
        if key.lower() in headers:
            wrong.append(f"{key}: {headers[key.lower()]}, wanted none")
    text = body.decode("utf-8", "backslashreplace").removesuffix("\n")
    if case.wanted_body is not None and not matches(case.wanted_body, text):
        wrong.append(f"body:\n{text[:2000]}\nwanted:\n{case.wanted_body}")
    return wrong
