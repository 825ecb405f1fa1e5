"""What must hold whatever was killed: the database against the devices' own journals (see facts.py).

    report = invariants.check(facts)      {name: Verdict(count, violations)}: count says how much was looked at
    invariants.show(report)               a table for people; True when nothing is violated

Each rule is a function of this module named after what it claims; it yields None for everything that it looked at and found
right, and a sentence for everything that is wrong.
"""
import bisect
import collections
import dataclasses

from facts import FINAL

USUAL_PRIORITY = 100
COMMAND_EVENTS = {"command.acknowledged", "command.error", "command.format-error", "command.unreadable", "command.oversized"}


@dataclasses.dataclass
class Verdict:
    count: int
    violations: list


def per_exchange(facts):
    for story in facts.stories.values():
        for exchange in story.exchanges:
            yield story, exchange


def only(rows):
    return rows[0] if len(rows) == 1 else None


# --- reports and deliveries ---------------------------------------------------------------------------------------------


def answered_report_is_stored_once(facts):
    told = {}
    for story, exchange in per_exchange(facts):
        if exchange.final() and exchange.ok():
            told.setdefault((facts.speaker(exchange), exchange.sent.command), (story.udid, exchange.sent.status))
    for (enrollment, uuid), (udid, status) in told.items():
        rows = facts.settled[enrollment, uuid]
        if len(rows) != 1:
            yield f"{udid}: report {status} of {uuid} was answered 200 and is stored {len(rows)} times"
        elif rows[0].status != status:
            yield f"{udid}: report {status} of {uuid} is stored as {rows[0].status}"
        elif facts.queued[enrollment, uuid]:
            yield f"{udid}: {uuid} is settled and still queued"
        else:
            yield None


def stored_report_was_sent(facts):
    sent = {(facts.speaker(exchange), exchange.sent.command, exchange.sent.status)
            for _, exchange in per_exchange(facts) if exchange.sent.message == "Report"}
    for row in facts.results:
        enrollment = facts.enrollment.get(row.enrollment)
        if enrollment is None:
            yield f"result {row.id} belongs to no enrolment"
        elif enrollment.external in facts.stories:
            known = (row.enrollment, row.uuid, row.status) in sent
            yield None if known else f"{enrollment.external}: {row.status} of {row.uuid} is stored, but was never sent"


def settled_command_is_not_offered_again(facts):
    for story in facts.stories.values():
        settled = set()
        for exchange in story.exchanges:
            enrollment = facts.speaker(exchange)
            if exchange.final() and exchange.ok():
                settled.add((enrollment, exchange.sent.command))
            offered = exchange.answer.get("offered") if exchange.ok() else None
            if offered:
                yield (f"{story.udid}: {offered} is offered at {exchange.answer.time} after its report was answered 200"
                       if (enrollment, offered) in settled else None)


def offered_command_is_the_devices(facts):
    for story, exchange in per_exchange(facts):
        offered = exchange.answer.get("offered") if exchange.ok() else None
        if offered:
            place = facts.speaker(exchange), offered
            known = facts.queued[place] or facts.settled[place]
            yield None if known else f"{story.udid}: {offered} was offered, but neither queue nor results of its enrolment have it"


def queued_command_is_not_lost(facts):
    places = collections.defaultdict(collections.Counter)
    for row in facts.queue + facts.results:
        if row.enrollment in facts.enrollment:
            places[facts.enrollment[row.enrollment].external, row.uuid][row.enrollment] += 1
    for order in facts.enqueued:
        for external in order.ids:
            # In two enrolments where the device enrolled again before who queued it, killed at first, did so once more.
            counts = places[external, order.uuid]
            once = counts and set(counts.values()) == {1}
            yield None if once else f"{external}: command {order.uuid} was queued and is in queue and results {dict(counts)} times"


def queue_of_finished_device_is_empty(facts):
    waiting = collections.Counter(row.enrollment for row in facts.queue)
    for story in facts.stories.values():
        if story.end is None or story.end.get("finished") != "yes":
            yield f"{story.udid} did not come to its end: {story.end.get('state') if story.end else 'no last line'}"
        elif story.udid in facts.current:
            count = waiting[facts.current[story.udid].id]
            yield f"{story.udid} got an empty answer, but {count} commands wait for it" if count else None


class Session:
    """What an enrolment has answered so far, and what therefore may be passed over."""

    def __init__(self):
        self.reported = set()     # a final report was sent: it may be settled
        self.not_now = set()      # until an Idle was answered

    def take(self, exchange):
        if exchange.sent.message == "Idle" and exchange.ok():
            self.not_now.clear()
        elif exchange.final():
            self.reported.add(exchange.sent.command)
        elif exchange.sent.message == "Report" and exchange.ok():
            self.not_now.add(exchange.sent.command)


def deliveries(facts):
    """(priority, enqueued_at) by (enrolment, uuid), and for each enrolment the sorted list of (when known, key, uuid)."""
    priority = {order.uuid: (order.get("priority", USUAL_PRIORITY), order.done) for order in facts.enqueued}
    keys, known = {}, collections.defaultdict(list)
    for row in facts.queue + facts.results:
        if row.uuid in priority and row.enqueued:
            keys[row.enrollment, row.uuid] = (priority[row.uuid][0], row.enqueued)
            known[row.enrollment].append((priority[row.uuid][1], (priority[row.uuid][0], row.enqueued), row.uuid))
    for rows in known.values():
        rows.sort()
    return keys, known


def order_is_kept(facts):
    keys, known = deliveries(facts)
    for story in facts.stories.values():
        sessions = collections.defaultdict(Session)
        for exchange in story.exchanges:
            enrollment = facts.speaker(exchange)
            session = sessions[enrollment]
            session.take(exchange)
            if not exchange.ok() or exchange.sent.message not in ("Idle", "Report"):
                continue
            offered = exchange.answer.get("offered")
            if offered and (enrollment, offered) not in keys:
                continue   # a renewal
            rows = known[enrollment]
            before = rows[:bisect.bisect_left(rows, (exchange.sent.time,))]
            passed = [uuid for _, key, uuid in before if uuid not in session.reported and uuid not in session.not_now
                      and (not offered or key < keys[enrollment, offered])]
            yield (f"{story.udid}: {offered or 'nothing'} is offered at {exchange.answer.time}, and {', '.join(passed[:3])} passed over"
                   if passed else None)


def not_now_waits_for_the_next_session(facts):
    for story in facts.stories.values():
        refused = set()
        for exchange in story.exchanges:
            if exchange.sent.message == "Idle":
                refused.clear()
            if exchange.sent.message != "Report":
                pass
            elif exchange.sent.status == "NotNow" and exchange.ok():
                refused.add(exchange.sent.command)
            offered = exchange.answer.get("offered") if exchange.ok() else None
            if offered:
                yield f"{story.udid}: {offered} is offered again after NotNow in one session" if offered in refused else None


# --- identities -----------------------------------------------------------------------------------------------------------


def issued_certificate_is_known(facts):
    for story, exchange in per_exchange(facts):
        sha256 = exchange.answer.get("issued") if exchange.answer else None
        if sha256:
            row = facts.by_sha.get(sha256)
            yield None if row and row.signed else f"{story.udid}: holds certificate {sha256}, which the database has not"


def certificates_are_accounted_for(facts):
    serials = collections.Counter((row.issuer, row.serial) for row in facts.certificates)
    for (issuer, serial), count in serials.items():
        yield f"serial {serial} of issuer {issuer} stands {count} times" if count > 1 else None
    valid = collections.Counter(row.ticket for row in facts.certificates if row.ticket and row.status != "revoked")
    for ticket, count in valid.items():
        yield f"ticket {ticket} has {count} unrevoked certificates" if count > 1 else None
    for row in facts.certificates:
        yield f"certificate {row.id} (serial {row.serial}) is still pending" if row.status == "pending" else None


def one_identity_speaks(facts):
    """Of a live enrolment one certificate that was seen is issued: its device's own. The older ones retire."""
    issued = collections.defaultdict(list)
    for row in facts.certificates:
        if row.status == "issued" and row.seen:
            issued[row.enrollment].append(row)
    for row in facts.enrollments:
        if row.state != "current" or row.parent:
            continue
        story = facts.stories.get(row.external)
        mine = only(issued[row.id])
        if mine is None:
            yield f"{row.external}: {len(issued[row.id])} certificates are in use at once"
        elif story and story.end and story.end.get("finished") == "yes" and mine.sha256 != story.end.certificate:
            yield f"{row.external}: the server holds {mine.sha256} for the device's identity, the device {story.end.certificate}"
        else:
            yield None


def enrolment_is_as_the_device_says(facts):
    lives = collections.Counter(row.external for row in facts.enrollments if row.state == "current")
    for external, count in lives.items():
        yield f"{external} has {count} current enrolments" if count > 1 else None
    for row in facts.enrollments:
        yield f"enrolment {row.id} of {row.external} is frozen" if row.frozen else None
    for story in facts.stories.values():
        row = facts.current.get(story.udid)
        if story.end is None or story.end.get("finished") != "yes":
            continue
        if story.end.state != "enrolled":
            yield f"{story.udid} has checked out and is still {row.state}" if row else None
        elif row is None:
            yield f"{story.udid} is enrolled, but the server has no current enrolment of it"
        else:
            same = (row.token, row.magic) == (story.end.token, story.end.magic)
            yield None if same and row.tally != "0" else f"{story.udid}: push token or PushMagic are not the device's latest"


def escrowed_token_is_kept(facts):
    kept = {row.enrollment for row in facts.escrow if row.kind == "bootstrap-token"}
    served = {row.id for row in facts.enrollments if row.served}
    for story, exchange in per_exchange(facts):
        enrollment = facts.speaker(exchange)
        if exchange.sent.message == "SetBootstrapToken" and exchange.ok() and enrollment in served:
            yield None if enrollment in kept else f"{story.udid}: the bootstrap token that was answered 200 is not there"


def honest_device_is_not_refused(facts):
    # An admin approved another of the generations that a device had made meanwhile.
    turned_away = {row.id for row in facts.enrollments if row.state == "rejected"}
    for story, exchange in per_exchange(facts):
        told = exchange.answer or {}
        refused = told.get("http", "").startswith("4") or "removes its MDM profile" in told.get("what", "")
        refused = refused or "refused" in told   # by SCEP
        refused = refused and facts.speaker(exchange) not in turned_away
        yield f"{story.udid}: {exchange.sent.message} was refused at {told.get('time')}: {dict(told)}" if refused else None
    for story in facts.stories.values():
        for trouble in story.troubles:
            yield f"{story.udid}: {trouble.what} at {trouble.time}"
    for event in facts.events:
        if event.what in ("identity.refused", "identity.conflict", "identity.grace") and event.enrollment not in turned_away:
            yield f"{event.external}: event {event.what} at {event.at}: {event.detail}"


# --- events and pushes ----------------------------------------------------------------------------------------------------


def one_event_per_settled_result(facts):
    told = collections.Counter((row.enrollment, row.uuid) for row in facts.events if row.what in COMMAND_EVENTS)
    settled = {(row.enrollment, row.uuid) for row in facts.results if row.command}
    for place in settled:
        yield None if told[place] == 1 else f"{place[1]} of enrolment {place[0]} is settled and has {told[place]} events"
    for place in set(told) - settled:
        yield f"{place[1]} of enrolment {place[0]} has an event, but is not settled"
    for row in facts.events:
        if row.what == "command.unknown":
            yield f"{row.external}: the report of {row.uuid} was taken for one of a command never queued"


def one_event_per_change(facts):
    told = collections.Counter((row.what, row.enrollment) for row in facts.events)
    approved = {(row.device, int(row.generation)) for row in facts.enrollments if told["enrollment.approved", row.id]}
    for row in facts.enrollments:
        if row.parent:
            continue
        begun = told["enrollment.new", row.id] + told["enrollment.pending", row.id]
        yield None if begun == 1 else f"enrolment {row.id} of {row.external} began with {begun} events"
        gone, left = told["enrollment.replaced", row.id], told["enrollment.checked-out", row.id]
        # An approval tells it of the generation that it lets in.
        by_approval = any(device == row.device and generation > int(row.generation) for device, generation in approved)
        replaced = int(row.state == "replaced")
        yield (None if gone == replaced or (replaced and by_approval) else
               f"enrolment {row.id} of {row.external} is {row.state} and has {gone} times enrollment.replaced")
        yield (None if left == int(row.state == "checked-out") else
               f"enrolment {row.id} of {row.external} is {row.state} and has {left} times enrollment.checked-out")
    certificate = collections.Counter((row.what, row.certificate) for row in facts.events if row.certificate)
    renewals = {row.id for row in facts.tickets if row.purpose == "renew"}
    for row in facts.certificates:
        issued, renewed = certificate["certificate.issued", row.sha256], certificate["enrollment.renewed", row.sha256]
        if row.sha256:
            yield None if issued == 1 else f"certificate {row.id} has {issued} times certificate.issued"
            wanted = int(bool(row.seen) and (row.ticket in renewals or row.renews is not None))
            yield None if renewed == wanted else f"certificate {row.id} has {renewed} times enrollment.renewed, not {wanted}"


def event_deliveries_have_an_event(facts):
    for row in facts.deliveries:
        yield None if row.found else f"event delivery {row.id} to {row.target} is of no event"


def waiting_command_is_pushed(facts):
    for row in facts.waiting:
        told = row.due or row.dead or (row.pushed or "") >= row.newest
        yield None if told else f"{row.external}: a command waits since {row.newest}, and no push is due or was sent since"


def no_push_is_stuck(facts):
    for row in facts.push:
        yield f"the push to enrolment {row.enrollment} is overdue and in nobody's hands" if row.overdue else None
    for row in facts.push + facts.leases:
        if row.owner:
            yield f"{row.owner} holds {row.get('name') or row.get('enrollment')} without an end" if row.endless else None


RULES = [answered_report_is_stored_once, stored_report_was_sent, settled_command_is_not_offered_again,
         offered_command_is_the_devices, queued_command_is_not_lost, queue_of_finished_device_is_empty, order_is_kept,
         not_now_waits_for_the_next_session, issued_certificate_is_known, certificates_are_accounted_for, one_identity_speaks,
         enrolment_is_as_the_device_says, escrowed_token_is_kept, honest_device_is_not_refused, one_event_per_settled_result, one_event_per_change,
         event_deliveries_have_an_event, waiting_command_is_pushed, no_push_is_stuck]


def check(facts):
    report = {}
    for rule in RULES:
        found = list(rule(facts))
        report[rule.__name__.replace("_", " ")] = Verdict(len(found), [text for text in found if text])
    return report


def show(report, most=10):
    for name, verdict in report.items():
        print(f"{verdict.count:>9}  {len(verdict.violations):>4} violations  {name}")
        for text in verdict.violations[:most]:
            print(f"           {text}")
        if len(verdict.violations) > most:
            print(f"           and {len(verdict.violations) - most} more")
    return not any(verdict.violations for verdict in report.values())
