#!/usr/bin/env python3
"""Figures of live reload on this machine, none of them a test: how soon an edit is served among so
many files, what idling and a storm of writes cost, and what requests feel while files churn.

    PROMPTD=… python3 tests/reload/measure.py [edit|idle|storm|churn]...

Build the preset release for it, and let the machine do nothing else.
"""
import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from churn import CONNECTIONS, Churn, Load, load_beside  # noqa: E402
from promptd import binary, litellm_path, pause  # noqa: E402
from support import (SCRATCH, LiveServer, cpu_seconds, is_whole, rev_of, signed_files,  # noqa: E402
                     signed_prompt, write_files)

PER_FOLDER = 100


def names_of(count):
    return [f"d{i // PER_FOLDER}/p{i % PER_FOLDER}" for i in range(count)]


@contextlib.contextmanager
def served(names, *options, rev="r0"):
    """A server of signed prompts that is settled."""
    with tempfile.TemporaryDirectory(prefix="promptd-measure-", dir=SCRATCH) as scratch:
        directory = Path(scratch, "prompts")
        write_files(directory, signed_files(names, rev))
        with LiveServer(*options, directory=directory) as server:
            server.wait_settled(120)
            yield server


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def show(what, **figures):
    print(f"{what:<44}" + "  ".join(f"{k} {v}" for k, v in figures.items()), flush=True)


# How soon an edit is served

def time_edit(server, connection, name, rev, in_place):
    """Milliseconds from the end of a write until the text is served."""
    text = signed_prompt(name, rev)
    path = server.path(name + ".yaml")
    beside = path.with_name(".beside")
    (path if in_place else beside).write_text(text, encoding="utf-8")
    if not in_place:
        os.rename(beside, path)
    start = time.perf_counter()
    request = f"GET {litellm_path(name)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    while True:
        connection.send(request)
        if rev_of(connection.read_reply().text) == rev:
            return 1000 * (time.perf_counter() - start)


def measure_edits():
    for count, edits in ((500, 400), (10_000, 60), (100_000, 30)):
        names = names_of(count)
        with served(names) as server, server.raw_connection() as connection:
            times = [time_edit(server, connection, names[i * 7919 % count], f"e{i}", i % 2 == 0)
                     for i in range(edits)]
            show(f"one edit among {count} files, in ms", least=f"{min(times):.1f}",
                 median=f"{statistics.median(times):.1f}", p99=f"{percentile(times, .99):.1f}",
                 most=f"{max(times):.1f}")


# What it costs

def measure_idle(seconds=130):
    with served(names_of(10_000)) as server:
        before = cpu_seconds(server)
        for _ in range(seconds):
            pause(1)
        share = (cpu_seconds(server) - before) / seconds
        show(f"idle with 10000 files for {seconds} s", cpu=f"{100 * share:.4f} %")


def measure_storm(seconds=10):
    """A thousand writes a second to one of 500 files."""
    with served(names_of(500)) as server, server.raw_connection() as connection:
        texts = [signed_prompt("d0/p0", f"s{i}") for i in range(100)]
        request = f"GET {litellm_path('d0/p0')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        path, seen, torn, writes = server.path("d0/p0.yaml"), [], 0, 0
        before, start = cpu_seconds(server), time.monotonic()
        while time.monotonic() < start + seconds:
            path.write_text(texts[writes % 100], encoding="utf-8")
            writes += 1
            if writes % 50 == 0:
                connection.send(request)
                text = connection.read_reply().text
                torn += not is_whole(text)
                if not seen or seen[-1][1] != text:
                    seen.append((time.monotonic(), text))
            pause(max(0, start + writes / 1000 - time.monotonic()))
        cpu = cpu_seconds(server) - before
        gaps = [b[0] - a[0] for a, b in zip(seen, seen[1:])]
        show(f"a storm of {writes / seconds:.0f} writes a second for {seconds} s",
             cpu=f"{100 * cpu / seconds:.0f} % of a core", publications=len(seen) - 1,
             longest_gap=f"{max(gaps):.2f} s", torn=torn)


# What requests feel

def measure_churn(seconds=10, rounds=3):
    """The same load and the same churn, first in a directory that is not served, then in the served
    one: so the machine is equally busy."""
    names = [f"p{i}" for i in range(100)]
    with tempfile.TemporaryDirectory(prefix="promptd-measure-", dir=SCRATCH) as scratch:
        inside = Churn(Path(scratch, "prompts"), names)
        outside = Churn(Path(scratch, "elsewhere"), names)
        with LiveServer(directory=Path(scratch, "prompts")) as server:
            server.wait_settled(60)
            rest, busy = (Load(server, inside.prompts()) for _ in range(2))
            for _ in range(rounds):
                load_beside(outside, rest, seconds)
                load_beside(inside, busy, seconds)
            for what, load in (("rest", rest), ("churn", busy)):
                show(f"{CONNECTIONS} connections, {what}", requests=load.sent, failed=load.failed,
                     torn=load.torn, median=f"{statistics.median(load.times):.2f} ms",
                     p99=f"{percentile(load.times, .99):.2f} ms")
            ratio = percentile(busy.times, .99) / percentile(rest.times, .99)
            show("p99 of churn to that of rest", ratio=f"{ratio:.2f}",
                 generations=server.generation())


MEASURES = {"edit": measure_edits, "idle": measure_idle, "storm": measure_storm,
            "churn": measure_churn}


def main():
    parser = argparse.ArgumentParser(description="Figures of live reload on this machine.")
    parser.add_argument("what", nargs="*", choices=[[], *MEASURES], help="default: all")
    binary()  # which fails where none is given
    for what in parser.parse_args().what or MEASURES:
        MEASURES[what]()


if __name__ == "__main__":
    main()
