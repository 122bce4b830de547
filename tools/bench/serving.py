"""What answering a request costs: CPU time, user instructions and system calls, beside the peers'."""
import contextlib
import json
import time

from client import asking, request_bytes, wrk
from instructions import count_instructions, count_system_calls, UNCONFINED
from judge import exact, ratios, summarize
from noise import calmly
from process import cpu_seconds, written_bytes
from report import Row, Table
from servers import CPUS, PATH, wait_until

PROMPTD, LOGGING, TLS, EVHTTP, EPOLL, NGINX, FASTAPI = (
    "promptd", "promptd --access-log", "promptd over TLS", "bare evhttp", "epoll loop", "nginx", "FastAPI")
COLUMNS = (PROMPTD, EVHTTP, EPOLL, NGINX, FASTAPI)
WARM = 10  # answers over each connection, before it counts
USUAL = 32  # connections

# What the largest is held against; a lone connection is the dearest, as each of its requests is waited for.
BASES = {"connections": USUAL, "workers": 1}


def microseconds(server, seconds, **load):
    """The CPU time of one request, connecting included."""
    def once():
        before = cpu_seconds(server.pid)
        done = wrk(server, PATH, seconds, cpu=CPUS[0], **load)
        spent = cpu_seconds(server.pid) - before
        server.forget_log()
        return 1e6 * spent / done.requests

    return calmly(once, [server.pid])


def microseconds_connected(server, seconds, connections, cpu, threads=1):
    """The CPU time of one request over connections that were all asked over before; what is written tells how many it were."""
    with server.client() as client:
        length = len(client.ask(request_bytes(PATH)).bytes)

    def once():
        first = written_bytes(server.pid)
        with asking(server, PATH, connections=connections, cpu=cpu, threads=threads):
            wait_until(lambda: written_bytes(server.pid) - first > WARM * connections * length, f"{server.name} answers")
            before, cpu_before = written_bytes(server.pid), cpu_seconds(server.pid)
            time.sleep(seconds)
            spent, written = cpu_seconds(server.pid) - cpu_before, written_bytes(server.pid) - before
        return 1e6 * spent * length / written

    return calmly(once, [server.pid])


def check_peer(bench, server):
    """All must send the same JSON, and the bare handler the same headers, or the comparison is none."""
    with server.client() as client:
        reply = client.ask(request_bytes(PATH))
    same = reply.status == 200 and json.loads(reply.body) == json.loads(bench.reply.body)
    if server.name in (EVHTTP, EPOLL):
        same = same and names_of(reply) == names_of(bench.reply) and reply.body == bench.reply.body
    if not same:
        raise RuntimeError(f"{server.name} answers {reply.bytes!r}, promptd {bench.reply.bytes!r}")


def names_of(reply):
    return sorted(name for name, _ in reply.headers)


def side_by_side(bench, effort):
    """{server: its rounds}, each measured in turn."""
    cpus = CPUS[-1:]
    servers = (bench.promptd(cpus=cpus), bench.bare_evhttp(cpus=cpus), bench.promptd_with_access_log(cpus=cpus),
               bench.promptd_with_tls(cpus=cpus), bench.bare_epoll(cpus=cpus), bench.nginx(cpus=cpus),
               bench.fastapi(cpus=cpus))
    rounds = {server.name: [] for server in servers}
    rounds["304"] = []
    unchanged = [f"If-None-Match: {bench.reply.header('ETag')}"]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
            if server.name != TLS:
                check_peer(bench, server)
        for _ in range(effort.rounds):
            for server in servers:
                rounds[server.name].append(microseconds(server, effort.seconds))
            rounds["304"].append(microseconds(servers[0], effort.seconds, headers=unchanged))
    return rounds


def cpu_rows(bench, effort):
    rounds = side_by_side(bench, effort)
    figures = {name: summarize(values) for name, values in rounds.items()}
    answers = {name: figures[name] for name in COLUMNS}
    logging = {PROMPTD: figures[LOGGING], EVHTTP: figures[EVHTTP]}
    return [
        Row("CPU of a GET, to bare evhttp", "µs", answers, ratios(rounds[PROMPTD], rounds[EVHTTP]), 1.15, key=("peers",)),
        *(Row(f"the same, to {name}", "µs", {PROMPTD: figures[PROMPTD], name: figures[name]},
              ratios(rounds[PROMPTD], rounds[name])) for name in (NGINX, FASTAPI)),
        Row("CPU with `--access-log`, to bare evhttp", "µs", logging, ratios(rounds[LOGGING], rounds[EVHTTP]), 1.25),
        Row("CPU over TLS, to plain", "µs", {PROMPTD: figures[TLS]}, ratios(rounds[TLS], rounds[PROMPTD])),
        Row("CPU of a 304, to a 200", "µs", {PROMPTD: figures["304"]}, ratios(rounds["304"], rounds[PROMPTD]))]


def instruction_rows(bench):
    counts = {kind: exact(count) for kind, count in count_instructions(bench).items()}
    bare = counts.pop("GET, 200 of bare evhttp")
    limits = {"GET, 200": 1.15, "GET, 200 with access log": 1.25}
    rows = [Row(f"instructions of a {kind}", "", {PROMPTD: count, EVHTTP: bare}, exact(count.median / bare.median),
                limits.get(kind)) for kind, count in counts.items()]
    unchanged, changed = counts["GET, 304"], counts["GET, 200"]
    return rows + [Row("instructions of a 304, to a 200", "", {PROMPTD: unchanged},
                       exact(unchanged.median / changed.median), 1.0)]


def system_call_rows(bench):
    counts = {}
    for server in (bench.promptd(env=UNCONFINED), bench.bare_evhttp(), bench.nginx()):
        with server:
            counts[server.name] = count_system_calls(bench, server)
    figures = {name: exact(sum(calls.values())) for name, calls in counts.items()}
    names = ", ".join(f"{count:g} {name}" for name, count in counts[PROMPTD].items())
    return [Row(f"system calls of a GET ({names})", "", figures,
                exact(figures[PROMPTD].median / figures[EVHTTP].median), 1.15)]


def in_turn(effort, sizes, servers, cost):
    """{size: {server: its rounds}} of servers that all run, and are asked in turn."""
    rounds = {size: {} for size in sizes}
    with contextlib.ExitStack() as stack:
        for size in sizes:
            for server in servers(size):
                stack.enter_context(server)
                rounds[size][server] = []
        for _ in range(effort.rounds):
            for size in sizes:
                for server, measured in rounds[size].items():
                    measured.append(cost(server, size))
    return {size: {server.name: measured for server, measured in rounds[size].items()} for size in sizes}


def growth_rows(what, rounds):
    """Rows over sizes, to bare evhttp where it was asked, and the largest to the base."""
    base = BASES[what]
    rows = [Row(f"CPU of a GET, {size:,} {what if size > 1 else what[:-1]}", "µs",
                {name: summarize(values) for name, values in measured.items()},
                ratios(measured[PROMPTD], measured[EVHTTP]) if EVHTTP in measured else None,
                key=(what, size))
            for size, measured in rounds.items()]
    last = max(rounds)
    growth = {name: ratios(values, rounds[base][name]) for name, values in rounds[last].items()}
    return rows + [Row(f"{last:,} {what}, to {base}", "×", growth, growth[PROMPTD], 1.10)]


def connection_rows(bench, effort):
    cpus = CPUS[-1:]
    return growth_rows("connections", in_turn(
        effort, effort.connections,
        lambda _: (bench.promptd(cpus=cpus), bench.bare_evhttp(cpus=cpus), bench.bare_epoll(cpus=cpus)),
        lambda server, size: microseconds_connected(server, effort.window, size, CPUS[0])))


def worker_rows(bench, effort):
    """One thread of wrk's could not keep several workers busy, and waking them would be counted."""
    return growth_rows("workers", in_turn(
        effort, effort.workers, lambda size: (bench.promptd(workers=size),),
        lambda server, _: microseconds_connected(server, effort.window, USUAL, None, threads=2)))


def measure(bench, effort):
    rows = cpu_rows(bench, effort) + instruction_rows(bench) + system_call_rows(bench)
    rows += connection_rows(bench, effort) + worker_rows(bench, effort)
    return [Table("Serving", COLUMNS, rows)]
