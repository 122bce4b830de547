"""User instructions and system calls of a request, counted and not timed: callgrind, strace.

Callgrind leaves malloc as it is, and both servers run on the same libraries. It knows no SHA extensions of a processor, so
that a digest costs more instructions in it than it would outside.
"""
import re
import signal
import subprocess
import time
from pathlib import Path

from client import request_bytes
from servers import DEADLINE, PATH, PROMPT_ID

SHORT, LONG = 200, 1200  # requests; what comes once is in both
UNCONFINED = {"PROMPTD_SANDBOX": "off"}  # valgrind and strace look inside


def kinds(etag):
    """{kind of request: (its bytes, the status of its answer)}"""
    return {
        "GET, 200": (request_bytes(PATH), 200),
        "GET, 304": (request_bytes(PATH, headers=[f"If-None-Match: {etag}"]), 304),
        "GET by slug, 200": (request_bytes(PATH.replace("prompt_id=", "slug=")), 200),
        "GET, 404": (request_bytes(PATH + "-not"), 404),
        "POST render, 200": (request_bytes(f"/prompts/{PROMPT_ID}/render", "POST",
                                           body=b'{"variables":{"domain":"a","task":"b"}}'), 200),
    }


def callgrind(folder):
    """The command in front of a server's, whose counts are left in the folder."""
    return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out"]


class Counter:
    """The instructions of a server under callgrind from one look to the next."""

    def __init__(self, server, folder):
        self.server, self.folder, self.dumps = server, Path(folder), 0

    def count(self):
        self.dumps += 1
        subprocess.run(["vgdb", f"--pid={self.server.pid}", "dump"], check=True, capture_output=True)
        dump = self.folder / f"callgrind.out.{self.dumps}"
        return int(re.search(r"^totals: (\d+)", dump.read_text(encoding="utf-8"), re.MULTILINE)[1])

    def per_request(self, request, status):
        counts = []
        with self.server.client() as client:
            client.repeat(request, SHORT, status)
            for length in (SHORT, LONG):
                self.count()
                client.repeat(request, length, status)
                counts.append(self.count())
        return (counts[1] - counts[0]) / (LONG - SHORT)


def count_instructions(bench):
    """{kind of request: user instructions}, of the bare evhttp handler too."""
    counts = {}
    asked = kinds(bench.reply.header("ETag"))
    first = {"GET, 200": asked["GET, 200"]}
    for name, wanted, start in (
            ("", asked, lambda wrapper: bench.promptd(wrapper=wrapper, env=UNCONFINED)),
            (" with access log", first, lambda wrapper: bench.promptd("--access-log", wrapper=wrapper, env=UNCONFINED)),
            (" of bare evhttp", first, lambda wrapper: bench.bare_evhttp(wrapper=wrapper))):
        folder = bench.scratch / f"callgrind{name.replace(' ', '-')}"
        folder.mkdir()
        with start(callgrind(folder)) as server:
            counter = Counter(server, folder)
            for kind, (request, status) in wanted.items():
                counts[kind + name] = counter.per_request(request, status)
    return counts


def is_traced(pid):
    statuses = [status.read_text(encoding="ascii") for status in Path(f"/proc/{pid}/task").glob("*/status")]
    return all("TracerPid:\t0\n" not in status for status in statuses)


def trace(server, request, count, output):
    """{system call: how often} while a client asks so many times."""
    tracer = subprocess.Popen(["strace", "--follow-forks", "--summary-only", "--output", output,
                               "--attach", str(server.pid)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + DEADLINE
        while not is_traced(server.pid):
            if time.monotonic() > end or tracer.poll() is not None:
                raise RuntimeError(f"strace may not trace {server.name}: be root, or set kernel.yama.ptrace_scope to 0")
            time.sleep(0.01)
        with server.client() as client:
            client.repeat(request, count)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(DEADLINE)
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", Path(output).read_text(encoding="utf-8"),
                      re.MULTILINE)
    return {name: int(calls) for calls, name in rows if name != "total"}


def count_system_calls(bench, server):
    """{system call: how often a request} of a server that is running."""
    request = request_bytes(PATH)
    short, long = (trace(server, request, count, bench.scratch / "strace") for count in (SHORT, LONG))
    counts = {name: round((calls - short.get(name, 0)) / (LONG - SHORT), 2) for name, calls in long.items()}
    return {name: count for name, count in sorted(counts.items()) if count >= 0.05}
