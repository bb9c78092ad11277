"""What became of each message, and whether a fault explains each that was done twice."""

from collections import Counter, namedtuple

Run = namedtuple("Run", "time tool id redelivered")

# A connection that is lost in a fault can be noticed this much later: two heartbeats, and a new election.
NOTICED = 15


class Book:
    def __init__(self, world, faults, expected):
        self.faults = faults
        self.expected = {str(number) for number in range(1, expected + 1)}
        self.archive = Counter(world.bodies("next") + world.bodies("archive"))
        self.parked = Counter(world.bodies("parked"))
        self.runs = sorted(read_runs(world.folder / "done"))
        self.wrong = []
        self.tools = {tool.name: tool for tool in world.running}

    def check(self):
        self.lost = self.expected - set(self.archive) - set(self.parked)
        self.accuse("lost", self.lost)
        self.accuse("never published", (set(self.archive) | set(self.parked)) - self.expected)
        self.accuse("done, but not in the next queue", {run.id for run in self.runs} - set(self.archive))
        self.redelivered, self.published_twice, unexplained = self.done_twice()
        self.accuse("done twice without a fault", unexplained)
        self.copies = sum(self.archive.values()) - len(self.archive) + sum(self.parked.values()) - len(self.parked)
        if self.copies and not any(self.breaks("amqp-move", "worker 1", "worker 2", "amqp-publish")):
            self.wrong.append(f"{self.copies} copies without a fault")
        for tool in self.tools.values():
            self.wrong += tool.wrong
            self.accuse(f"{tool.name} lost its connection without a fault", [b for b in tool.breaks if not self.in_fault(b)])

    def done_twice(self):
        """The second run of a message is explained by a broken connection of the first run's worker, or by one of the publisher."""
        redelivered, published, unexplained, last = 0, 0, [], {}
        for run in self.runs:
            before = last.get(run.id)
            last[run.id] = run
            if before is None:
                continue
            if any(before.time - NOTICED <= b <= run.time for b in self.breaks(before.tool)) and run.redelivered:
                redelivered += 1
            elif any(b <= run.time for b in self.breaks("amqp-publish")):
                published += 1
            else:
                unexplained.append(run.id)
        return redelivered, published, unexplained

    def breaks(self, *names):
        return [moment for name in names for moment in self.tools[name].breaks]

    def in_fault(self, moment, until=None):
        return any(fault.begin - 1 <= (until or moment) and moment <= fault.end + NOTICED for fault in self.faults)

    def accuse(self, what, whom):
        if whom:
            self.wrong.append(f"{what}: {len(whom)}: {' '.join(str(one) for one in sorted(whom)[:10])}")

    def pauses(self, kind):
        """For each fault of that kind: how long no message at all was done, and how long one of the workers did none."""
        every = [run.time for run in self.runs]
        workers = [[run.time for run in self.runs if run.tool == name] for name in ("worker 1", "worker 2")]
        faults = [fault for fault in self.faults if fault.kind == kind]
        return [(gap(every, fault), max(gap(times, fault) for times in workers)) for fault in faults]


def read_lines(file):
    """Whole ones: the last may still be written."""
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def read_runs(file):
    for line in read_lines(file):
        time, redelivered, identity, *tool = line.split(" ")
        yield Run(float(time), " ".join(tool), identity, redelivered == "1")


def gap(times, fault):
    """The longest time without one that began with the fault."""
    pairs = zip(times, times[1:])
    return max((b - a for a, b in pairs if b > fault.begin - 0.5 < a < fault.end + 0.5), default=0)
