"""Measure promptd beside its peers; see run."""
import argparse
import json
import sys
from dataclasses import dataclass

import report
import serving
from servers import ROOT, Bench

PARTS = {"serving": serving.measure}


@dataclass
class Effort:
    """How long is measured."""
    rounds: int
    seconds: int


QUICK, FULL = Effort(rounds=3, seconds=1), Effort(rounds=7, seconds=3)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, smaller sizes")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given again")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    tables = []
    with Bench() as bench:
        for name in arguments.only or PARTS:
            tables.append(PARTS[name](bench, QUICK if arguments.quick else FULL))
            print(report.as_text(tables[-1]), end="\n\n", flush=True)
    (ROOT / "build/bench.json").write_text(json.dumps(report.as_json(tables), indent=1, ensure_ascii=False) + "\n",
                                           encoding="utf-8")
    print(report.summary_line(tables))
    return report.exit_code(tables)


if __name__ == "__main__":
    sys.exit(main())
