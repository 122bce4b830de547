"""From what was measured to a verdict: medians, their ranges, and whether those are good for one."""
import math
import statistics
from dataclasses import dataclass

SPREAD = 0.10  # of the median: within it a median is a figure, beyond it only the range is
FEWEST = 3  # calm rounds

MET, MISSED, NOISY = "met", "missed", "noisy"


@dataclass(frozen=True)
class Measured:
    """One round's figure, and whether the machine was calm meanwhile."""
    value: float
    calm: bool = True

    def __truediv__(self, other):
        return Measured(self.value / other.value, self.calm and other.calm)


@dataclass(frozen=True)
class Summary:
    """Median of the calm rounds, or of all where too few were calm, and the range in which the true one lies."""
    median: float
    low: float
    high: float
    calm: bool

    @property
    def steady(self):
        return self.calm and self.high - self.low <= SPREAD * self.median


def exact(value):
    """The summary of a figure that is the same however often it is taken."""
    return Summary(value, value, value, True)


def outside(count):
    """How many of the lowest, and of the highest, of so many rounds do not count for the range.

    It is the interval between two of them that has the true median in it with a probability of 95 %, whatever the
    distribution: each round is above it as likely as below. Fewer than six cannot promise that; all of them count.
    """
    below, number = 0.0, 0
    while number < count:
        below += math.comb(count, number) / 2 ** count
        if 2 * below > 0.05:
            break
        number += 1
    return max(0, number - 1)


def summarize(rounds):
    """The summary of several rounds."""
    values = sorted(r.value for r in rounds if r.calm)
    calm = len(values) >= min(FEWEST, len(rounds))
    if not calm:
        values = sorted(r.value for r in rounds)
    trim = outside(len(values))
    return Summary(statistics.median(values), values[trim], values[-1 - trim], calm)


def ratios(rounds, references):
    """The summary of the ratios of each round, which were measured one soon after the other."""
    return summarize([one / other for one, other in zip(rounds, references, strict=True)])


def judge(summary, limit):
    """Whether a figure that may be at most the limit is; no limit, no verdict. A range on one side of it will do."""
    if limit is None:
        return ""
    if not summary.calm:
        return NOISY
    if summary.high <= limit:
        return MET
    if summary.low > limit:
        return MISSED
    if not summary.steady:
        return NOISY
    return MET if summary.median <= limit else MISSED


def distance(summary, limit):
    """How far beyond the limit, in words."""
    percent = 100 * (summary.median / limit - 1)
    return f"{percent:.0f} % above" if percent >= 1 else "less than 1 % above"
