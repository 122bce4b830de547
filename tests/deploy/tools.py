"""The programs that the tests of tools/deploy need beside promptd, and what they look at."""
import functools
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

import yaml

from promptd import binary, clean_environment

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "tools/deploy"
KUBERNETES = DEPLOY / "kubernetes"
MONITORING = KUBERNETES / "monitoring"
PATH = os.pathsep.join([os.environ.get("PROMPTD_TOOLS", ""), os.environ["PATH"]])
ALL = os.environ.get("PROMPTD_ALL")  # set in a full run, in which nothing may be skipped


def find_tool(name):
    """The path of a program. Without it the test is skipped, or fails in a full run."""
    path = shutil.which(name, path=PATH)
    if path:
        return path
    message = f"{name} is missing: tools/test --all installs it"
    raise AssertionError(message) if ALL else unittest.SkipTest(message)


def run_tool(name, *arguments, **kwargs):
    """Run a program, which must find nothing wrong; returns what it printed."""
    done = subprocess.run([find_tool(name), *map(str, arguments)], capture_output=True, text=True,
                          check=False, env=clean_environment(), **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{name}: {done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def known_options():
    return set(re.findall(r"^  (--[a-z-]+)", subprocess.check_output([binary(), "--help"], text=True),
                          re.MULTILINE))


def load_yaml(path):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
