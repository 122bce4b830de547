"""What the server keeps in memory: at rest, by the bytes of its prompts, and after many reloads."""
import random

from client import request_bytes
from judge import exact
from process import memory_bytes
from prompts import as_yaml, edit, prompt_id
from report import Row, Table
from servers import ROUTE, wait_until

PROMPTD, PRIVATE, FILES = "resident", "of it private", "files"
ANY = request_bytes(f"{ROUTE}?prompt_id={prompt_id(0)}")
AT_ONCE = ("--quiet", "1ms")  # or 1,000 reloads take a minute of waiting for the next edit
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


def revision(client):
    return client.ask(ANY).header("Prompts-Revision")


def reload(client, directory, number, text):
    """Change a file, and wait until a snapshot with it is served."""
    old = revision(client)
    edit(directory, number, text)
    wait_until(lambda: revision(client) != old, "the edit is served")


def reload_often(server, directory, size, times, chooser):
    """Change any of the files, so many times; sizes vary, and with them what fits where."""
    with server.client() as client:
        for _ in range(times):
            number = chooser.randrange(size)
            reload(client, directory, number, as_yaml(number, chooser.randint(600, 1448), chooser.random()))


def reload_rows(bench, effort, size):
    directory, chooser = bench.corpus(size), random.Random(1)
    with bench.promptd(*AT_ONCE, directory=directory, workers=2) as server:
        reload_often(server, directory, size, effort.reloads // 10, chooser)
        early = figures(server, directory)
        reload_often(server, directory, size, effort.reloads - effort.reloads // 10, chooser)
        after = row(f"{size:,} prompts, after {effort.reloads:,} reloads", server, directory, limit_of(directory))
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
        rows += reload_rows(bench, effort, size)
    return [Table("Memory", (PROMPTD, PRIVATE, FILES), rows)]
