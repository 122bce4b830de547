"""How large the program is, and how soon after exec it answers."""
import functools
import subprocess
import time

import servers
from client import request_bytes
from judge import Measured, exact, summarize
from noise import calmly
from process import cpu_seconds
from report import Row, Table
from servers import PATH, PEERS, RELEASE

PROMPTD, EVHTTP, NGINX, FASTAPI = COLUMNS = ("promptd", "bare evhttp", "nginx", "FastAPI")
SLOW = 10  # times fewer starts of one that takes long


def first_answer(start):
    """(wall, CPU) milliseconds from exec until the first answer has come."""
    with start() as server:
        with server.client() as client:
            client.repeat(request_bytes(PATH), 1)
        return 1e3 * (time.perf_counter() - server.started), 1e3 * cpu_seconds(server.pid)


def start_rows(bench, effort):
    starts = {PROMPTD: lambda: bench.promptd(workers=2), EVHTTP: bench.bare_evhttp, NGINX: bench.nginx,
              FASTAPI: bench.fastapi}
    rounds = {name: [] for name in starts}
    for number in range(effort.starts):
        for name, start in starts.items():
            if name != FASTAPI or number % SLOW == 0:
                rounds[name].append(calmly(functools.partial(first_answer, start)))
    wall, cpu = ({name: summarize([Measured(m.value[i], m.calm) for m in measured])
                  for name, measured in rounds.items()} for i in range(2))
    return [Row("exec to first answer, 5 prompts", "ms", wall, wall[PROMPTD], 15.0, "ms"),
            Row("CPU until then", "ms", cpu)]


def stripped_kilobytes(bench, program):
    output = bench.scratch / "stripped"
    subprocess.run(["strip", "-o", output, program], check=True)
    return exact(output.stat().st_size / 1e3)


def size_row(bench):
    programs = {PROMPTD: RELEASE / "promptd", EVHTTP: PEERS / "bare_evhttp", NGINX: servers.NGINX}
    sizes = {name: stripped_kilobytes(bench, program) for name, program in programs.items()}
    return Row("program, stripped", "KB", sizes, sizes[PROMPTD], 300, "KB")


def measure(bench, effort):
    return [Table("Size and start", COLUMNS, [size_row(bench), *start_rows(bench, effort)])]
