"""What is known after a run: the rows of the database, what the devices' journals say, and what was queued.

    facts = facts.load(sql, journals=[PATH...], enqueued=PATH)

`sql` runs a statement as MariaDB's root and returns tab-separated text. The journals are those of `pomona-device live`;
`enqueued` has a JSON line for each command that was queued: uuid, ids (those that took it), priority, done (UTC, when the
program that queued it had ended). Times are text of one form everywhere, so they compare as text.
"""
import collections
import dataclasses
import json
from pathlib import Path

FINAL = ("Acknowledged", "Error", "CommandFormatError")

TABLES = {
    "certificates": ("SELECT id, status, HEX(serial), LOWER(HEX(sha256)), issuer_id, ticket_id, enrollment_id, renews_id, "
                     "first_seen_at, der IS NOT NULL FROM certificates WHERE kind = 'identity'",
                     "id status serial sha256 issuer ticket enrollment renews seen signed"),
    "enrollments": ("SELECT id, CONVERT(external_id USING utf8mb4), state, current_id IS NOT NULL, device_id, generation, parent_id, "
                    "LOWER(HEX(push_token)), CONVERT(push_magic USING utf8mb4), token_update_tally, frozen FROM enrollments",
                    "id external state served device generation parent token magic tally frozen"),
    "queue": ("SELECT q.id, q.enrollment_id, c.uuid, q.state, q.priority, q.enqueued_at FROM queue q JOIN commands c ON c.id = q.command_id",
              "id enrollment uuid state priority enqueued"),
    "results": ("SELECT id, enrollment_id, command_uuid, command_id, status, enqueued_at FROM results",
                "id enrollment uuid command status enqueued"),
    "tickets": ("SELECT id, state, purpose, enrollment_id FROM tickets", "id state purpose enrollment"),
    "events": ("SELECT id, what, enrollment_id, command_uuid, LOWER(HEX(certificate_sha256)), ticket_id, "
               "CONVERT(external_id USING utf8mb4), at, detail FROM events", "id what enrollment uuid certificate ticket external at detail"),
    "deliveries": ("SELECT d.id, d.event_id, d.target, d.state, e.id FROM event_deliveries d LEFT JOIN events e ON e.id = d.event_id",
                   "id event target state found"),
    # Overdue: nobody has held it for a while, though it could have been claimed.
    "push": ("SELECT p.enrollment_id, p.lease_owner, p.lease_until > NOW(6) + INTERVAL 1 HOUR, p.due_at < UTC_TIMESTAMP(6) - INTERVAL 60 SECOND "
             "AND p.dead_since IS NULL AND COALESCE(p.lease_until, '2000-01-01') < NOW(6) - INTERVAL 20 SECOND "
             "AND e.state = 'current' AND NOT e.frozen AND e.push_token IS NOT NULL "
             "FROM push_state p JOIN enrollments e ON e.id = p.enrollment_id", "enrollment owner endless overdue"),
    # In one statement, so that it may be asked while everything runs: who has commands to fetch, and what was done to tell it.
    "waiting": ("SELECT CONVERT(e.external_id USING utf8mb4), MAX(q.enqueued_at), p.due_at, p.dead_since, p.last_pushed_at FROM queue q "
                "JOIN enrollments e ON e.id = q.enrollment_id LEFT JOIN push_state p ON p.enrollment_id = e.id "
                "WHERE q.state = 'queued' AND e.state = 'current' AND e.token_update_tally > 0 AND NOT e.frozen GROUP BY e.id",
                "external newest due dead pushed"),
    "escrow": ("SELECT enrollment_id, kind FROM escrow", "enrollment kind"),
    "leases": ("SELECT name, owner, lease_until > NOW(6) + INTERVAL 1 DAY FROM leases", "name owner endless"),
}


class Row(dict):
    """A row by the names above; NULL is None."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclasses.dataclass
class Exchange:
    """One message of a device and what came back; `answer` is None when nothing did."""
    number: int
    sent: Row
    answer: Row = None

    def ok(self):
        return self.answer is not None and self.answer.get("http", "").startswith("2")

    def final(self):
        return self.sent.message == "Report" and self.sent.status in FINAL


@dataclasses.dataclass
class Story:
    """A device as its journal tells it."""
    udid: str
    exchanges: list = dataclasses.field(default_factory=list)
    troubles: list = dataclasses.field(default_factory=list)
    end: Row = None


@dataclasses.dataclass
class Facts:
    certificates: list
    enrollments: list
    queue: list
    results: list
    tickets: list
    events: list
    deliveries: list
    push: list
    escrow: list
    leases: list
    waiting: list
    stories: dict
    enqueued: list

    def __post_init__(self):
        self.enrollment = {row.id: row for row in self.enrollments}
        self.by_sha = {row.sha256: row for row in self.certificates if row.sha256}
        self.queued = collections.defaultdict(list)
        self.settled = collections.defaultdict(list)
        for row in self.queue:
            self.queued[row.enrollment, row.uuid].append(row)
        for row in self.results:
            self.settled[row.enrollment, row.uuid].append(row)
        self.current = {row.external: row for row in self.enrollments if row.served}

    def speaker(self, exchange):
        """The enrolment of the identity that a message was sent with; None when the server does not know it."""
        row = self.by_sha.get(exchange.sent.get("certificate"))
        return row.enrollment if row else None


def read_table(sql, statement, names):
    names = names.split()
    rows = []
    for line in sql(statement).splitlines():
        values = [None if value == "NULL" else value for value in line.split("\t")]
        rows.append(Row(zip(names, values)))
    for row in rows:
        for key in ("served", "frozen", "signed", "overdue", "endless"):
            if key in row:
                row[key] = row[key] == "1"
    return rows


def waiting(sql):
    return read_table(sql, *TABLES["waiting"])


def json_lines(path):
    return [Row(json.loads(line)) for line in Path(path).read_text().splitlines()] if path and Path(path).exists() else []


def tell(stories, line):
    """One line of a journal. A device sends one message at a time: an answer belongs to what it sent last."""
    story = stories.setdefault(line.device, Story(line.device))
    if line.step == "send":
        story.exchanges.append(Exchange(len(story.exchanges), line))
    elif line.step == "answer":
        story.exchanges[-1].answer = line
    elif line.step == "end":
        story.end = line
    else:
        story.troubles.append(line)


def load(sql, journals=(), enqueued=None):
    stories = {}
    for path in journals:
        for line in json_lines(path):
            tell(stories, line)
    tables = {name: read_table(sql, *spec) for name, spec in TABLES.items()}
    return Facts(**tables, stories=stories, enqueued=json_lines(enqueued))
