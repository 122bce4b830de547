"""Measure promptd beside its peers; see run."""
import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import version
from dataclasses import dataclass

import hotpath
import loading
import memory
import noise
import report
import serving
import starting
from servers import CPUS, ROOT, Bench

PARTS = {"serving": serving.measure, "loading": loading.measure, "memory": memory.measure, "start": starting.measure}


@dataclass
class Effort:
    """How much is measured, and for how long."""
    rounds: int
    size_rounds: int
    tries: int
    seconds: int
    window: float
    pace_seconds: int
    connections: tuple
    workers: tuple
    sizes: tuple
    reloads: int
    starts: int


FULL = Effort(rounds=15, size_rounds=7, tries=3, seconds=1, window=0.3, pace_seconds=2, connections=(1, 32, 200, 1000),
              workers=(1, 2, 4), sizes=(10, 1000, 10_000, 100_000), reloads=1000, starts=50)
QUICK = Effort(rounds=3, size_rounds=1, tries=1, seconds=1, window=0.3, pace_seconds=1, connections=(32, 1000),
               workers=(1, 2), sizes=(10, 10_000), reloads=20, starts=5)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, smaller sizes")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again")
    parser.add_argument("--check", action="store_true",
                        help="hold the instructions, by those of bare evhttp, against the recorded ones, and no more")
    parser.add_argument("--record", action="store_true", help="record the instructions, and no more")
    parser.add_argument("--write", action="store_true", help="put what was measured into README.md, with plots")
    arguments = parser.parse_args()
    if arguments.write and (arguments.quick or arguments.only):
        parser.error("--write needs all of it, measured at length")
    if len(CPUS) < 2 and not (arguments.check or arguments.record):
        parser.error("two processors are wanted, one for the servers and one for those who ask")
    return arguments


def measure(bench, names, effort):
    """Measure these parts, and print what comes of it at once."""
    noise.tries = effort.tries
    tables = []
    for name in names:
        for table in PARTS[name](bench, effort):
            print(report.as_text(table), end="\n\n", flush=True)
            tables.append(table)
    print(f"{report.summary_line(tables)}; {noise.witnesses()}")
    return tables


def notes(tables):
    """On what it was measured and what came of it, for the README."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    known = hotpath.versions()
    nginx = hotpath.first_line("dpkg-query", "-W", "-f=${Version}", "nginx-light").partition("-")[0]
    return (f"Measured on {os.cpu_count()} processors ({processor[1] if processor else platform.machine()}), Linux "
            f"{'.'.join(platform.release().split('.')[:2])}, {known['C library']}, libevent {known['libevent']}; nginx {nginx}, "
            f"FastAPI {version('fastapi')}, uvicorn {version('uvicorn')}. {noise.witnesses().capitalize()}. "
            f"Together: {report.summary_line(tables)}.")


def write(tables):
    """Put the tables and plots where the README shows them."""
    import plots  # as it takes long to load, and only this needs it
    pictures = {what: path.relative_to(ROOT) for what, path in plots.plot(tables).items()}
    readme = ROOT / "README.md"
    page = report.as_page(tables, notes(tables), pictures)
    readme.write_text(report.between_marks(readme.read_text(encoding="utf-8"), page), encoding="utf-8")


def run(arguments):
    """Do what is asked for, and return the exit status."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # 1,000 connections are more than is usual
    with Bench() as bench:
        if arguments.record:
            return hotpath.record(bench)
        if arguments.check:
            return hotpath.check(bench)
        tables = measure(bench, arguments.only or PARTS, QUICK if arguments.quick else FULL)
    if arguments.quick:
        print("--quick: too few rounds for 95 %; a range reaches from the lowest to the highest")
    (ROOT / "build/bench.json").write_text(json.dumps(report.as_json(tables), indent=1, ensure_ascii=False) + "\n",
                                           encoding="utf-8")
    if arguments.write:
        write(tables)
    return report.exit_code(tables)


def main():
    """The exit status: what run says, or 2 where it could not be measured."""
    arguments = parse_arguments()
    try:
        return run(arguments)
    except (RuntimeError, OSError, EOFError, subprocess.SubprocessError) as error:
        print(f"tools/bench/run: {error}", file=sys.stderr)
        if getattr(error, "stderr", None):
            print(os.fsdecode(error.stderr).rstrip("\n"), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
