"""What the bench tells: one row for each line of its table.

measure        its name; what --only names
value, against the two numbers, of one run; unit says of what
ratio          value / against, where that is meaningful
at_least, at_most   the bound that the ratio, or without one the value, is held to; null where there is none
ok             the bound holds and no request failed
errors         requests that failed
detail         further numbers, for people: processor time of a request by process, latencies, counts
"""
import json

KEYS = ["measure", "what", "unit", "value", "against", "ratio", "at_least", "at_most", "ok", "errors", "detail"]


def row(measure, what, unit, value, against=None, ratio=None, at_least=None, at_most=None, errors=0, also=True, detail=None):
    """also: a further condition that `what` names."""
    if ratio is None and against:
        ratio = value / against
    judged = value if ratio is None else ratio
    ok = errors == 0 and also and (at_least is None or judged >= at_least) and (at_most is None or judged <= at_most)
    values = [measure, what, unit, value, against, ratio, at_least, at_most, bool(ok), errors, detail or {}]
    return dict(zip(KEYS, values))


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def as_line(told):
    bound = f">= {told['at_least']}" if told["at_least"] is not None else f"<= {told['at_most']}" if told["at_most"] is not None else ""
    verdict = "ok" if told["ok"] else "MISSED"
    if told["at_least"] is None and told["at_most"] is None and told["ok"]:
        verdict = ""
    errors = f"  {told['errors']} errors" if told["errors"] else ""
    return (f"{told['measure']:<22} {number(told['value']):>9} {number(told['against']):>9} {told['unit']:<12} "
            f"{number(told['ratio']):>6} {bound:<8} {verdict:<6} {told['what']}{errors}")


HEADING = f"{'measure':<22} {'value':>9} {'against':>9} {'unit':<12} {'ratio':>6} {'bound':<8}"


def as_json(rows):
    return "[\n" + ",\n".join(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in one.items()})
                              for one in rows) + "\n]"
