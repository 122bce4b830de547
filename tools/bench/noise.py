"""Whether the machine did anything else while something was measured.

Two witnesses: the time that our processors spent on others than the measured (their busy time less that of the servers and
of this process and its children) or that the hypervisor took away, and a loop of fixed length, which takes longer than it
did of late where a neighbour has the caches, or the clock is slower.
"""
import collections
import os
import statistics
import time
from dataclasses import dataclass

from judge import Measured
from process import cpu_seconds, machine_seconds
from servers import CPUS

FOREIGN = 0.05  # of the time of the processors that we may use
SLOWER = 1.10  # than the median of the last loops

tries = 3  # until a measurement that was disturbed is taken as it is


def spin():
    """The CPU seconds of the fixed loop, the least of three."""
    def once():
        begun = time.thread_time()
        total = 0
        for number in range(100_000):
            total += number
        return time.thread_time() - begun

    return min(once() for _ in range(3))


@dataclass
class Disturbance:
    foreign: float
    slowness: float

    @property
    def calm(self):
        return self.foreign <= FOREIGN and self.slowness <= SLOWER


def foreign_share(busy, own, stolen, wall):
    """Of our processors' time, what was not ours. The machine counts in ticks, one of which may be off for each."""
    tick = len(CPUS) / os.sysconf("SC_CLK_TCK")
    return max(0.0, busy - own + stolen - tick) / (wall * len(CPUS))


seen = []  # of each measurement that was taken


class Watch:
    """Watches the machine during a block; the processes are those that are measured and live longer than it."""

    spins = collections.deque(maxlen=100)

    def __init__(self, pids=()):
        self.pids = pids

    def own_seconds(self):
        times = os.times()
        return sum(times[:4]) + sum(cpu_seconds(pid) for pid in self.pids)

    def __enter__(self):
        self.spins.append(spin())
        self.begun, self.own, self.machine = time.monotonic(), self.own_seconds(), machine_seconds(CPUS)
        return self

    def __exit__(self, *_):
        wall, own = time.monotonic() - self.begun, self.own_seconds() - self.own
        busy, stolen = (now - then for now, then in zip(machine_seconds(CPUS), self.machine))
        self.spins.append(spin())
        slowest = max(self.spins[-2], self.spins[-1])
        self.disturbance = Disturbance(foreign_share(busy, own, stolen, wall), slowest / statistics.median(self.spins))


def calmly(measure, pids=()):
    """Measure, again if the machine was disturbed, and say whether it was still so the last time."""
    for _ in range(tries):
        with Watch(pids) as watch:
            value = measure()
        if watch.disturbance.calm:
            break
    seen.append(watch.disturbance)
    return Measured(value, watch.disturbance.calm)


def witnesses():
    """What was seen of others, in words."""
    if not seen:
        return "nothing was timed"
    disturbed = [d for d in seen if not d.calm]
    if not disturbed:
        return f"the machine was calm in all {len(seen)} measurements"
    return (f"the machine was disturbed in {len(disturbed)} of {len(seen)} measurements: others used up to "
            f"{100 * max(d.foreign for d in disturbed):.0f} % of the processors, and a loop of fixed length took up to "
            f"{max(d.slowness for d in disturbed):.2f} times as long as usual")
