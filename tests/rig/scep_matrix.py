"""The matrix of SCEP clients: what each client does at each kind of CA, and the table of it in docs/certificates.md.

    with Matrix(folder) as matrix:
        matrix.run()
        matrix.cells[row, kind]          "yes", "refused: badAlg", "client stops"
        matrix.table()                   as it stands in the page
        matrix.transcripts[row, kind]    what the client said

Every "yes" was judged by openssl (chain, strictly; key) and by the database. Three rounds: YOUNG is 400 days ago and issues
what is due for renewal TODAY; CLOSED has scep-renewal and scep-allow-des at their defaults.
"""
import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

from cryptography import x509

sys.path.insert(0, str(Path(__file__).resolve().parent))
from scep_client import der_of, pool_key  # noqa: E402
from scep_golden import Apple, Sscep  # noqa: E402
from scep_outcome import Outcome  # noqa: E402
from polling import poll  # noqa: E402
from scep_stand import ROOT, Stands  # noqa: E402
from scep_strangers import Certmonger, GoClient, StrongSwan  # noqa: E402

PAGE = ROOT / "docs/certificates.md"
BEGIN, END = "<!-- client matrix: written by tests/e2e/test_scep_matrix.py -->", "<!-- end -->"
ONE = "RSA-2048, no RA"
KINDS = {"RSA-2048": ["--key", "rsa-2048"], "RSA-3072": ["--key", "rsa-3072"], "RSA-4096": ["--key", "rsa-4096"],
         "P-256": ["--key", "p-256"], "P-384": ["--key", "p-384"], ONE: ["--key", "rsa-2048", "--one-certificate"]}
OPEN = {"scep-renewal": "yes", "scep-allow-des": "tls"}
DEFAULT = {"scep-renewal": "no", "scep-allow-des": "no"}
YES, BAD_ALG, BAD_REQUEST, STOPS = "yes", "refused: badAlg", "refused: badRequest", "client stops"
WRONG = "AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLLMMMM"


class Visit:
    """All clients at one stand, and what they came home with."""

    def __init__(self, stand, folder, certmonger):
        self.stand, self.certmonger = stand, certmonger
        folder.mkdir()
        self.iphone, self.mac = Apple(stand, folder / "ios", "iOS"), Apple(stand, folder / "macos", "macOS")
        self.sscep, self.strongswan = Sscep(stand, folder / "sscep"), StrongSwan(stand, folder / "strongswan")
        self.go = {name: GoClient(stand, folder / f"go-{name}") for name in ("plain", "tls", "http", "wrong", "closed")}
        self.tickets, self.enrolled, self.bound = {}, {}, {}

    def challenge(self, name=None):
        ticket = self.stand.ticket()
        if name:
            self.tickets[name] = ticket
        return ticket.challenge

    def keep(self, name, outcome):
        self.enrolled[name] = outcome
        return outcome

    def bind(self):
        self.bound = {name: self.stand.bind(self.tickets[name]) for name, outcome in self.enrolled.items() if outcome.certificate}

    def named(self, name):
        """certmonger's name of this stand's things."""
        return f"{self.stand.database}-{name}"


def apple_enrols(visit):
    return visit.keep("apple", visit.iphone.enrol(pool_key(33), visit.challenge("apple")))


def apple_renews(visit):
    ticket = visit.stand.ticket(purpose="renew", enrollment_id=visit.bound["apple"])
    return visit.iphone.enrol(pool_key(38), ticket.challenge)


def strongswan_enrols(visit):
    done, text = visit.strongswan.fetch_ca()
    return visit.keep("strongswan", visit.strongswan.enrol(visit.challenge("strongswan"))) if done else Outcome(trouble=text)


def with_options(*options, name=None):
    def act(visit):
        outcome = visit.strongswan.enrol(visit.challenge(name), *options)
        return visit.keep(name, outcome) if name else outcome
    return act


def sscep_enrols(cipher, over, name=None):
    def act(visit):
        outcome = visit.sscep.enrol(pool_key(34), visit.challenge(name), cipher, over)
        return visit.keep(name, outcome) if name else outcome
    return act


def sscep_renews(visit):
    old = x509.load_pem_x509_certificate(visit.enrolled["sscep"].certificate.read_bytes())
    return visit.sscep.renew(pool_key(35), old, pool_key(34))


def certmonger_enrols(visit):
    """By itself: it asks for the certificates and sorts them into CA and RA."""
    name = visit.named("found")
    visit.certmonger.add(name, visit.stand)
    poll(lambda: visit.certmonger.asked(name))
    visit.certmonger.request(name, name, 36, visit.challenge("certmonger"))
    return visit.keep("certmonger", visit.certmonger.result(name))


def certmonger_told(visit):
    name, folder = visit.named("told"), visit.stand.folder
    visit.certmonger.add(name, visit.stand, "-r", folder / "recipient.pem", "-N", folder / "ca.pem", "-I", folder / "ca.pem")
    visit.certmonger.request(name, name, 36, visit.challenge("certmonger-told"))
    return visit.keep("certmonger-told", visit.certmonger.result(name))


def certmonger_wrong(visit):
    name = visit.named("wrong")
    visit.certmonger.request(visit.named("told"), name, 37, WRONG)
    return visit.certmonger.result(name)


def certmonger_rekeys(visit):
    return visit.certmonger.rekey(visit.named("told"))


def go_enrols(name, url, right=True, pinned=True):
    def act(visit):
        challenge = visit.challenge(f"go-{name}") if right else WRONG
        outcome = visit.go[name].enrol(getattr(visit.stand, url), challenge, pinned)
        return visit.keep(f"go-{name}", outcome) if outcome.certificate else outcome
    return act


@dataclasses.dataclass(frozen=True)
class Row:
    client: str
    operation: str
    act: Callable
    wanted: str = YES
    but: dict = dataclasses.field(default_factory=dict, compare=False)   # kind of CA -> what is wanted there
    binds: str = ""    # the enrolment that the new certificate must belong to

    def expected(self, kind):
        return self.but.get(kind, self.wanted)


APPLE_I, APPLE_M, SWAN, CERTMONGER, GO, SSCEP = (
    "Apple, iOS (golden)", "Apple, macOS (golden)", "strongSwan `pki`", "certmonger", "`scepclient` (Go)", "sscep (golden)")
YOUNG = [
    Row(APPLE_I, "enrol: streamed BER, AES-128, SHA-512", apple_enrols),
    Row(APPLE_M, "enrol: streamed BER, AES-128, SHA-256, names asked for", lambda v: v.mac.enrol(pool_key(33), v.challenge())),
    Row(APPLE_I, "wrong challenge", lambda v: v.iphone.enrol(pool_key(33), WRONG), BAD_REQUEST),
    Row(SWAN, "enrol: AES, SHA-256", strongswan_enrols),
    Row(SWAN, "enrol, `--digest sha512`", with_options("--digest", "sha512", name="strongswan-2")),
    Row(SWAN, "enrol, `--cipher des3`", with_options("--cipher", "des3"), BAD_ALG),
    Row(SWAN, "enrol, `--cipher des3 --digest sha1`", with_options("--cipher", "des3", "--digest", "sha1"), BAD_ALG),
    Row(SWAN, "enrol, `--rsa-padding pss`", with_options("--rsa-padding", "pss")),
    Row(SWAN, "wrong challenge", lambda v: v.strongswan.enrol(WRONG), BAD_REQUEST),
    Row(SWAN, "renew before half of its life", lambda v: v.strongswan.renew(v.enrolled["strongswan"]), BAD_REQUEST),
    Row(CERTMONGER, "enrol", certmonger_enrols, but={ONE: STOPS}),
    Row(CERTMONGER, "enrol, certificates named (`-r`, `-N`, `-I`)", certmonger_told),
    Row(CERTMONGER, "wrong challenge", certmonger_wrong, BAD_REQUEST),
    Row(GO, "enrol over TLS: DES, SHA-1", go_enrols("plain", "https_url", pinned=False), but={"P-256": STOPS, "P-384": STOPS}),
    Row(GO, "the same, `-ca-fingerprint` of the recipient", go_enrols("tls", "https_url")),
    Row(GO, "the same over plain HTTP", go_enrols("http", "url"), BAD_ALG),
    Row(GO, "wrong challenge", go_enrols("wrong", "https_url", right=False), BAD_REQUEST),
    Row(SSCEP, "enrol: POST, AES-128", sscep_enrols("aes128", "POST", "sscep")),
    Row(SSCEP, "enrol: GET, AES-256", sscep_enrols("aes256", "GET")),
    Row(SSCEP, "enrol: POST, 3DES", sscep_enrols("des3", "POST"), BAD_ALG),
    Row(SSCEP, "wrong challenge", lambda v: v.sscep.enrol(pool_key(34), WRONG), BAD_REQUEST),
]
TODAY = [
    Row(APPLE_I, "renew by profile: type 19, challenge of a renewal ticket", apple_renews, binds="apple"),
    Row(SWAN, "renew: type 17", lambda v: v.strongswan.renew(v.enrolled["strongswan"]), binds="strongswan"),
    Row(CERTMONGER, "rekey: type 19 signed by the old certificate", certmonger_rekeys, binds="certmonger-told"),
    Row(GO, "renew over TLS: type 17", lambda v: v.go["tls"].renew(v.stand.https_url), binds="go-tls"),
    Row(SSCEP, "renew: type 19 signed by the old certificate", sscep_renews, binds="sscep"),
]
CLOSED = [
    Row(SWAN, "renew, `scep-renewal = no`", lambda v: v.strongswan.renew(v.enrolled["strongswan-2"]), BAD_REQUEST),
    Row(GO, "enrol over TLS, `scep-allow-des = no`", go_enrols("closed", "https_url"), BAD_ALG),
]
ROWS = YOUNG + TODAY + CLOSED


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"openssl {words[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def judge(visit, row, outcome):
    """The cell; an AssertionError where the client has a certificate that it should not be content with."""
    if not outcome.certificate:
        return f"refused: {outcome.refusal}" if outcome.refusal else STOPS
    stand = visit.stand
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", stand.folder / "ca.pem", outcome.certificate)
    if openssl("x509", "-in", outcome.certificate, "-noout", "-pubkey") != openssl("pkey", "-in", outcome.key, "-pubout"):
        raise AssertionError("the certificate is for another key")
    certificate = x509.load_pem_x509_certificate(outcome.certificate.read_bytes())
    found = stand.sql(f"SELECT status, enrollment_id FROM certificates WHERE kind = 'identity' AND der = X'{der_of(certificate).hex()}'")
    wanted = visit.bound[row.binds] if row.binds else "NULL"
    if found != f"issued\t{wanted}\n":
        raise AssertionError(f"in the database: {found!r}, wanted issued, enrolment {wanted}")
    return YES


class Matrix:
    def __init__(self, folder, kinds=KINDS, threads=3):
        self.cells, self.transcripts, self.kinds = {}, {}, list(kinds)
        self.pool = ThreadPoolExecutor(threads)
        self.certmonger = Certmonger(folder / "certmonger")
        try:
            self.stands = Stands(kinds, OPEN, threads)
        except BaseException:
            self.certmonger.close()
            raise
        self.visits = {stand.name: Visit(stand, folder / stand.database, self.certmonger) for stand in self.stands}

    def run(self):
        self.round(YOUNG, lambda visit: None)
        self.round(TODAY, self.to_today)
        self.round(CLOSED, lambda visit: visit.stand.restart_at(0, **DEFAULT))

    def to_today(self, visit):
        visit.bind()
        visit.stand.restart_at(0)

    def round(self, rows, prepare):
        def at(visit):
            prepare(visit)
            for row in rows:
                self.fill(row, visit)
        list(self.pool.map(at, self.visits.values()))

    def fill(self, row, visit):
        place = row, visit.stand.name
        try:
            outcome = row.act(visit)
            self.transcripts[place] = f"{outcome.trouble}\n{outcome.transcript}"
            self.cells[place] = judge(visit, row, outcome)
        except Exception as error:   # one client's trouble must not hide the others
            self.cells[place] = "wrong"
            self.transcripts[place] = f"{self.transcripts.get(place, '')}\n{type(error).__name__}: {error}"

    def table(self):
        lines = [f"| client | operation | {' | '.join(self.kinds)} |", "|---" * (2 + len(self.kinds)) + "|"]
        for client in dict.fromkeys(row.client for row in ROWS):
            for row in ROWS:
                if row.client == client:
                    cells = " | ".join(self.cells[row, kind] for kind in self.kinds)
                    lines.append(f"| {client} | {row.operation} | {cells} |")
        return "".join(f"{line}\n" for line in lines)

    def log(self, kind):
        return self.visits[kind].stand.log.read_text()

    def close(self):
        self.pool.shutdown()
        self.certmonger.close()
        self.stands.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def shown():
    """The table as it stands in the page."""
    return PAGE.read_text().partition(f"{BEGIN}\n")[2].partition(END)[0]


def show(table):
    before, begin, rest = PAGE.read_text().partition(f"{BEGIN}\n")
    PAGE.write_text(before + begin + table + END + rest.partition(END)[2])
