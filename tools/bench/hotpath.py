"""The instructions of the hot path, held against those that were last recorded.

What is compared is the ratio to the bare evhttp handler of the same run, as another compiler, C library or libevent changes
both. What it was recorded with stands beside it, to tell such a change from ours.
"""
import json
import os
import subprocess

from instructions import count_instructions
from servers import RELEASE, ROOT

FILE = ROOT / "tools/bench/instructions.json"
MARGIN = 0.02
BARE = "GET, 200 of bare evhttp"


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def versions():
    """What the programs were built with, and run on."""
    cache = (RELEASE / "CMakeCache.txt").read_text(encoding="utf-8")
    compiler = next(line.partition("=")[2] for line in cache.split("\n") if line.startswith("CMAKE_C_COMPILER:"))
    return {"compiler": first_line(compiler, "--version"), "C library": os.confstr("CS_GNU_LIBC_VERSION"),
            **{name: first_line("pkg-config", "--modversion", name) for name in ("libevent", "openssl")}}


def ratios_of(counts):
    """{kind of request: its instructions by those of the bare handler}"""
    return {kind: count / counts[BARE] for kind, count in counts.items() if kind != BARE}


def compare(recorded, counted):
    """(what is beyond the margin, what should be recorded anew), in lines."""
    above, below = [f"{kind}: recorded, and not counted" for kind in recorded if kind not in counted], []
    for kind, ratio in counted.items():
        if kind not in recorded:
            above.append(f"{kind}: {ratio:.3f} times bare evhttp, and not recorded")
            continue
        line = f"{kind}: {ratio:.3f} times bare evhttp, recorded {recorded[kind]:.3f}"
        if ratio > recorded[kind] * (1 + MARGIN):
            above.append(line)
        elif ratio < recorded[kind] * (1 - MARGIN):
            below.append(line)
    return above, below


def record(bench):
    counts = count_instructions(bench)
    kinds = {kind: {"instructions": round(counts[kind]), "ratio": round(ratio, 3)}
             for kind, ratio in ratios_of(counts).items()}
    text = {"with": versions(), "bare evhttp": round(counts[BARE]), "kinds": kinds}
    FILE.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"), end="")
    return 0


def check(bench):
    """0 where no kind of request takes more than was recorded, and the margin."""
    recorded = json.loads(FILE.read_text(encoding="utf-8"))
    counted = ratios_of(count_instructions(bench))
    above, below = compare({kind: entry["ratio"] for kind, entry in recorded["kinds"].items()}, counted)
    for line in above + below:
        print(line)
    if above:
        print(f"more than {100 * MARGIN:.0f} % above: make it cheaper, or say why it has to be and record it: "
              "tools/bench/run --record")
        if versions() != recorded["with"]:
            print(f"recorded with {recorded['with']}, now {versions()}")
    elif below:
        print("cheaper than recorded: keep it so with tools/bench/run --record")
    print(f"{len(counted)} kinds of requests counted, {len(above)} above what was recorded")
    return 1 if above else 0
