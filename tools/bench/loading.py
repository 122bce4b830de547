"""What it costs to load prompts, beside libyaml alone, and to load one of them again; over sizes of the directory."""
import functools
import subprocess
import threading
import time

from client import request_bytes, wrk
from judge import Measured, ratios, summarize
from noise import calmly
from process import cpu_seconds, memory_bytes
from prompts import as_yaml, edit, prompt_id
from report import Row, Table
from servers import CPUS, PATH, PEERS, ROUTE, wait_until

PROMPTD, FLOOR = "promptd", "libyaml alone"
JUDGED_SIZES = (10_000, 100_000)
WINDOW = 1.0  # seconds at rest
RESTING = 0.005  # of a processor
EDITS, PAUSE = 5, 0.2  # seconds from one edit to the next


def ms(seconds):
    return 1e3 * seconds


def start_cost(bench, directory):
    """(CPU, wall) milliseconds of a server from exec until it serves this directory."""
    with bench.promptd(directory=directory, workers=2) as server:
        return ms(server.cpu_when_found), ms(server.found - server.started)


def floor_cost(directory):
    """(CPU, wall) milliseconds of libyaml and of reading the files, on one processor."""
    text = subprocess.run([PEERS / "parse_yaml", directory], capture_output=True, text=True, check=True).stdout
    _, _, wall, cpu = map(int, text.split())
    return cpu / 1e6, wall / 1e6


def pairs(measured):
    """Rounds of pairs as a pair of rounds."""
    return [[Measured(m.value[i], m.calm) for m in measured] for i in range(2)]


def less(rounds, base):
    """The rounds without what is spent before the first file is read."""
    return [Measured(m.value - base.median, m.calm) for m in rounds]


class Loads:
    """Rounds of loading directories: {what: (CPU rounds, wall rounds)}, in turn."""

    def __init__(self, bench, effort):
        costs = {"empty": lambda: start_cost(bench, bench.prompts),
                 ("json", 10_000): functools.partial(start_cost, bench, bench.corpus(10_000, "json"))}
        for size in effort.sizes:
            directory = bench.corpus(size)
            costs["yaml", size] = functools.partial(start_cost, bench, directory)
            costs[FLOOR, size] = functools.partial(floor_cost, directory)
        for cost in costs.values():
            cost()  # from now on the files are in the cache
        found = {key: [] for key in costs}
        for _ in range(effort.rounds):
            for key, cost in costs.items():
                found[key].append(calmly(cost))
        self.rounds = {key: pairs(measured) for key, measured in found.items()}
        self.base = [summarize(rounds) for rounds in self.rounds["empty"]]

    def of(self, key):
        """[CPU rounds, wall rounds] of the prompts alone."""
        return [less(rounds, base) for rounds, base in zip(self.rounds[key], self.base)]


def load_rows(loads, sizes):
    rows = []
    for size in (size for size in sizes if size in JUDGED_SIZES):
        own, floor = loads.of(("yaml", size)), loads.rounds[FLOOR, size]
        for i, (what, limit) in enumerate((("CPU", 2.0), ("time", 1.1))):
            rows.append(Row(f"{what} to load {size:,} YAML prompts, to libyaml", "ms",
                            {PROMPTD: summarize(own[i]), FLOOR: summarize(floor[i])}, ratios(own[i], floor[i]),
                            limit))
    json = loads.of(("json", 10_000))[0]
    rows.append(Row("CPU to load 10,000 JSON prompts, to YAML", "ms", {PROMPTD: summarize(json)},
                    ratios(json, loads.of(("yaml", 10_000))[0]), 1.0))
    if 100_000 in sizes:
        wall = summarize(loads.of(("yaml", 100_000))[1])
        rows.append(Row("time to load 100,000 YAML prompts, of itself", "ms", {PROMPTD: wall}, wall, 3000, "ms"))
    return rows


# One edit

def cpu_ms_of(server, seconds):
    """What a server computes from now on for so long."""
    before = cpu_seconds(server.pid)
    time.sleep(seconds)
    return ms(cpu_seconds(server.pid) - before)


class Edits:
    """Edits of one prompt of a directory that is served."""

    def __init__(self, server, directory, size):
        self.server, self.directory, self.number, self.seed = server, directory, size // 2, 0
        self.request = request_bytes(f"{ROUTE}?prompt_id={prompt_id(self.number)}")
        wait_until(self.is_resting, "the server rests")

    def is_resting(self):
        self.idle = cpu_ms_of(self.server, WINDOW) / WINDOW
        return self.idle < ms(RESTING)

    def edit(self):
        self.seed += 1
        edit(self.directory, self.number, as_yaml(self.number, seed=-self.seed))

    def latency_ms(self):
        """From the edit to the first new answer."""
        with self.server.client() as client:
            old = client.ask(self.request).body
            begun = time.perf_counter()
            self.edit()
            wait_until(lambda: client.ask(self.request).body != old, "the edit is served")
            return ms(time.perf_counter() - begun)

    def cpu_ms(self):
        """What the server computes for an edit that nobody asks for meanwhile, beyond what it does at rest."""
        begun, before = time.perf_counter(), cpu_seconds(self.server.pid)
        for _ in range(EDITS):
            self.edit_and_wait()
        spent = ms(cpu_seconds(self.server.pid) - before)
        return (spent - self.idle * (time.perf_counter() - begun)) / EDITS

    def edit_and_wait(self):
        """Edit, and look now and then whether that is served."""
        with self.server.client() as client:
            old = client.ask(self.request).body
            self.edit()
            time.sleep(PAUSE)
            while client.ask(self.request).body == old:
                time.sleep(PAUSE)


# Over sizes

class Size:
    """What is measured of a server of so many prompts, beside loading."""

    def __init__(self, bench, effort, size):
        directory = bench.corpus(size)
        with bench.promptd(directory=directory) as server:
            self.resident = Measured(memory_bytes(server.pid)[0] / 1e6)
            edits = Edits(server, directory, size)
            self.cpus = [calmly(edits.cpu_ms, [server.pid]) for _ in range(effort.size_rounds)]
            self.latencies = [calmly(edits.latency_ms, [server.pid]) for _ in range(effort.size_rounds)]
            server.pin(CPUS[-1:])
            self.lookups = [calmly(lambda: self.lookup_us(server, size), [server.pid]) for _ in range(effort.size_rounds)]

    @staticmethod
    def lookup_us(server, size):
        before = cpu_seconds(server.pid)
        done = wrk(server, ROUTE, 1, script="lookup.lua", arguments=[size], cpu=CPUS[0])
        return 1e6 * (cpu_seconds(server.pid) - before) / done.requests


def edit_row(loads, sizes):
    """What an edit costs, beside what libyaml needs for one file of so many."""
    size = 10_000
    edits, floor = ([Measured(1e3 * m.value / count, m.calm) for m in measured]
                    for measured, count in ((sizes[size].cpus, 1), (loads.rounds[FLOOR, size][0], size)))
    return Row(f"CPU of an edit among {size:,} prompts, and of parsing one", "µs",
               {PROMPTD: summarize(edits), FLOOR: summarize(floor)})


def growth_table(loads, sizes):
    names = {size: f"{size:,}" for size in sizes}

    def row(what, unit, rounds, key=()):
        return Row(what, unit, {names[size]: summarize(rounds(size)) for size in sizes}, key=key)

    return Table("Number of prompts", tuple(names.values()), [
        row("CPU from exec to ready", "ms", lambda size: loads.rounds["yaml", size][0]),
        row("time from exec to ready", "ms", lambda size: loads.rounds["yaml", size][1], ("ready",)),
        row("resident memory", "MB", lambda size: [sizes[size].resident], ("resident",)),
        row("time from an edit to the new answer", "ms", lambda size: sizes[size].latencies),
        row("CPU of an edit", "ms", lambda size: sizes[size].cpus),
        row("CPU of a GET of any of them", "µs", lambda size: sizes[size].lookups)])


# Requests while prompts change

class Editor(threading.Thread):
    """Edits a prompt every 100 ms, as a context manager."""

    def __init__(self, edits):
        super().__init__()
        self.edits, self.ended = edits, threading.Event()

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(0.1):
            self.edits.edit()


def latency_rows(bench, effort):
    """The 99th percentile of what clients wait who ask at an even pace, at rest and while prompts change."""
    directory, rest, changing = bench.corpus(10_000), [], []
    with bench.promptd(directory=directory, workers=2) as server:
        edits = Edits(server, directory, 10_000)
        path = PATH.replace("hello-world-prompt", prompt_id(0))

        def p99():
            return wrk(server, path, effort.pace_seconds, script="paced.lua").p99_ms

        for _ in range(effort.rounds):
            rest.append(calmly(p99, [server.pid]))
            with Editor(edits):
                changing.append(calmly(p99, [server.pid]))
    return [Row("p99 of requests, 10 edits a second among 10,000 prompts, to rest", "ms",
                {"at rest": summarize(rest), PROMPTD: summarize(changing)}, ratios(changing, rest), 2.0)]


def measure(bench, effort):
    loads = Loads(bench, effort)
    sizes = {size: Size(bench, effort, size) for size in effort.sizes}
    rows = [*load_rows(loads, sizes), edit_row(loads, sizes), *latency_rows(bench, effort)]
    return [Table("Loading", (PROMPTD, FLOOR, "at rest"), rows), growth_table(loads, sizes)]
