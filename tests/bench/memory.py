"""Whether the handlers' memory stays flat: resident after many requests against after few."""
import re
from pathlib import Path

from load import http
from rows import row

LIMIT = 30 << 20


def resident(pids):
    """Bytes: of the process that holds most."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return max(int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024 for text in texts)


def mdm_plan(world, _sizes):
    plan = world.plan()
    for device in world.devices[:8]:
        plan.connect(device.certificate, device.key, load=[device.idle()])
    return plan


def scep_plan(world, sizes):
    """Mostly small questions, and now and then an enrolment that is sent again."""
    import scep
    plan = world.plan(plain=True)
    messages = scep.requests_for(world, 8)
    questions = [http("GET", f"/bench/scep?operation={name}") for name in ("GetCACaps", "GetCACert")]
    for message in messages:
        plan.connect(load=[*questions * sizes.questions, scep.post("/bench/scep?operation=PKIOperation", message)])
    return plan


def enroll_plan(world, _sizes):
    tickets = [world.stack.json("pomona", "ticket", "new", "--uses", "1")["url"] for _ in range(8)]
    plan = world.plan()
    for url in tickets:
        path = "/enroll/" + url.rpartition("/")[2]
        plan.connect(load=[http("GET", f"/bench/enroll?path={path}")])
    return plan


PLANS = {"pomona-mdm": mdm_plan, "pomona-scep": scep_plan, "pomona-enroll": enroll_plan}


def memory(world, sizes):
    for program, make in PLANS.items():
        few, many = sizes.memory[program]
        first = make(world, sizes)
        first.slice("load", requests=few)
        done = first.run()
        before = resident(world.processes()[program])
        second = make(world, sizes)
        second.slice("load", requests=many - few)
        done += second.run()
        after = resident(world.processes()[program])
        yield row(f"memory.{program}", f"resident after {many:,} requests; after {few:,}; and under 30 MB", "MB", after / 2**20,
                  before / 2**20, at_most=1.1, errors=sum(s.errors for s in done), also=after < LIMIT,
                  detail={"requests_per_s": round(done[-1].rate), "cpu_us": done_cpu(done)})


def done_cpu(slices):
    from load import Duel
    return Duel.cpu(slices[-1:])
