"""What the server keeps in memory: at rest, by the bytes of its prompts, and after many reloads."""
import random

from client import request_bytes
from judge import exact
from process import memory_bytes
from prompts import as_yaml, edit
from report import Row, Table

PROMPTD, PRIVATE, FILES = "resident", "of it private", "files"
RELOAD = request_bytes("/-/reload", "POST", headers=["Content-Length: 0"])
MEGA = 1e6


def bytes_of(directory):
    return sum(path.stat().st_size for path in directory.rglob("*.yaml"))


def figures(server, directory):
    resident, _, private = memory_bytes(server.pid)
    return {PROMPTD: exact(resident / MEGA), PRIVATE: exact(private / MEGA), FILES: exact(bytes_of(directory) / MEGA)}


def limit_of(directory):
    return 2.5 * bytes_of(directory) / MEGA + 6


def row(what, server, directory, limit):
    found = figures(server, directory)
    return Row(what, "MB", found, found[PROMPTD], limit, "MB")


def reload_often(server, directory, size, times, chooser):
    """Change a file, any of them, and have it read, so many times; sizes vary, and with them what fits where."""
    with server.client() as client:
        for _ in range(times):
            number = chooser.randrange(size)
            edit(directory, number, as_yaml(number, chooser.randint(600, 1448), chooser.random()))
            client.repeat(RELOAD, 1)


def reload_rows(bench, effort):
    size = 10_000
    directory, chooser = bench.corpus(size), random.Random(1)
    with bench.promptd(directory=directory, workers=2) as server:
        reload_often(server, directory, size, effort.reloads // 10, chooser)
        early = figures(server, directory)
        reload_often(server, directory, size, effort.reloads - effort.reloads // 10, chooser)
        after = row(f"after {effort.reloads:,} reloads", server, directory, limit_of(directory))
    growth = exact(after.judged.median / early[PROMPTD].median)
    return [after, Row(f"the same, to after {effort.reloads // 10:,}", "MB", early, growth, 1.02)]


def measure(bench, effort):
    rows = []
    with bench.promptd(workers=2) as server:
        rows.append(row("5 prompts", server, bench.prompts, 8.0))
    for size in (size for size in effort.sizes if size >= 10_000):
        directory = bench.corpus(size)
        with bench.promptd(directory=directory, workers=2) as server:
            rows.append(row(f"{size:,} prompts", server, directory, limit_of(directory)))
    return [Table("Memory", (PROMPTD, PRIVATE, FILES), rows + reload_rows(bench, effort))]
