"""Plans for pomona-load (tests/bench/load_plan.hpp), and what it measured.

    plan = Plan(folder, port, trust)
    plan.connect(certificate, key, floor=[request, ...])    a connection and what each contestant sends on it
    plan.follow("report", idle, report)                     of the last connection; the report holds 36 @
    plan.watch("pomona-mdm", [pid, ...])                    processor time
    plan.slice("floor", seconds=1)
    for slice in plan.run(): slice.rate, slice.errors, slice.cpu["pomona-mdm"]
"""
import json
import os
import statistics
import subprocess

LONGEST_RUN = 600


class Slice:
    def __init__(self, told):
        self.contestant, self.requests, self.errors = told["contestant"], told["requests"], told["errors"]
        self.seconds, self.statuses, self.p50, self.p99 = told["seconds"], told["statuses"], told["p50"], told["p99"]
        self.generator_cpu, self.cpu = told["generator_cpu"], told["cpu"]
        self.rate = (self.requests - self.errors) / self.seconds if self.seconds else 0.0


def http(method, path, body=b"", **headers):
    """The bytes of a request; names of headers with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Plan:
    def __init__(self, build, folder, port, trust=None):
        self.program, self.folder, self.files = build / "bin/pomona-load", folder, 0
        self.lines = [f"server 127.0.0.1 {port}"] + ([f"trust {trust}"] if trust else [])

    def store(self, requests):
        self.files += 1
        path = self.folder / f"requests-{self.files}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            for request in requests:
                out.write(f"{len(request)}\n".encode() + request)
        return path

    def connect(self, certificate="-", key="-", **scripts):
        self.lines.append(f"connection {certificate} {key}")
        self.lines += [f"requests {name} {self.store(requests)}" for name, requests in scripts.items()]

    def follow(self, contestant, first, then):
        self.lines.append(f"follow {contestant} {self.store([first, then])}")

    def pool(self, contestant, requests):
        self.lines.append(f"pool {contestant} {self.store(requests)}")

    def watch(self, name, pids):
        self.lines += [f"process {name} {pid}" for pid in pids]

    def slice(self, contestant, seconds=None, requests=None):
        end = f"seconds {seconds}" if seconds else f"requests {requests}" if requests else "drained"
        self.lines.append(f"slice {contestant} {end}")

    def run(self):
        path = self.folder / "plan"
        path.write_text("\n".join(self.lines) + "\n")
        run = subprocess.run([self.program, path], capture_output=True, text=True, timeout=LONGEST_RUN)
        if run.returncode != 0:
            raise RuntimeError(run.stderr.strip())
        return [Slice(told) for told in json.loads(run.stdout)]


class Duel:
    """Slices of two contestants in turn, A B A B: the median of each, and the median of the ratios of neighbours."""

    def __init__(self, slices, first, second):
        self.first = [s for s in slices if s.contestant == first]
        self.second = [s for s in slices if s.contestant == second]
        self.value = statistics.median(s.rate for s in self.first)
        self.against = statistics.median(s.rate for s in self.second)
        self.ratio = statistics.median(a.rate / b.rate for a, b in zip(self.first, self.second) if b.rate)
        self.errors = sum(s.errors for s in slices)

    @staticmethod
    def served(cpu):
        return sum(value for name, value in cpu.items() if name != "generator")

    @staticmethod
    def cpu(slices):
        """Microseconds of processor time of a request, by process, and of the load generator."""
        requests = max(1, sum(s.requests for s in slices))
        names = {name for s in slices for name in s.cpu}
        told = {name: sum(s.cpu[name] for s in slices) / requests * 1e6 for name in sorted(names)}
        told["generator"] = sum(s.generator_cpu for s in slices) / requests * 1e6
        return {name: round(value, 1) for name, value in told.items() if value >= 0.5}

    def detail(self):
        """cpu_ratio: as the ratio, of processor time; other programs on the machine disturb it less."""
        busiest = max(s.generator_cpu / s.seconds for s in self.first + self.second)
        ours, theirs = self.cpu(self.first), self.cpu(self.second)
        return {"cpu_us": ours, "cpu_us_against": theirs, "cpu_ratio": round(self.served(theirs) / self.served(ours), 3),
                "p99_ms": round(statistics.median(s.p99 for s in self.first) * 1e3, 2),
                "p99_ms_against": round(statistics.median(s.p99 for s in self.second) * 1e3, 2),
                "generator_busy": round(busiest, 2)}
