#!/usr/bin/env python3
"""A randomised model test of live reload.

An episode is a list of operations on a directory that a real promptd serves. While they run,
readers look for torn, foreign and missing prompts. Afterwards what is served must be what a fresh
look at the directory, taken here and not by the server, says. What fails is shrunk to a short list
that --replay FILE runs again:

    PROMPTD=… python3 tests/reload/model.py --seconds 3600 --mode all
"""
import argparse
import collections
import contextlib
import errno
import functools
import hashlib
import itertools
import json
import math
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "integration"))

from promptd import binary, litellm_path, pause, wait_until  # noqa: E402
from replicas import git_command, git_environment  # noqa: E402
from support import SCRATCH, LiveServer, exchange  # noqa: E402

SLOW = float(os.environ.get("PROMPTD_SLOW") or 1)
MODES = {"inotify": [], "poll": ["--watch", "poll"], "few": [], "chaos": []}  # and their options
OPTIONS = ["--workers", "2", "--empty-grace", "300ms"]
BLIND = ("poll", "few")
FEW_WATCHES = 8
READERS = 2
LONGEST_STOP = 2.0  # seconds; readers wait for a stopped server no longer than ten
# Where no event tells of a file, it counts as complete when it was left alone for 300 ms: a writer
# that was kept waiting for nearly as long, by whatever else the machine did, has to be forgiven.
LONGEST_GAP = 0.24
HARMLESS = {errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ELOOP,
            errno.EINVAL, errno.EBUSY}


class Divergence(AssertionError):
    """The server did what it must not."""


# Contents: a text that carries its number and checksum, so that a part of it is known as such

HEAD = "prompt_template: |-\n"


@functools.lru_cache(maxsize=256)
def text_of(number, size):
    """A text of exactly so many characters, of at least 200."""
    room, lines = size - 7 - 65, []
    while sum(map(len, lines)) < room:
        lines.append(f"\nline {len(lines)} of {number}")
    body = "".join(lines)[:room].rstrip("\n ").ljust(room, "x")
    return f"{number:06} {checksum(number, body)} {body}"


def checksum(number, body):
    return hashlib.sha256(f"{number:06} {body}".encode()).hexdigest()


def is_whole(text):
    number, _, rest = text.partition(" ")
    found, _, body = rest.partition(" ")
    return number.isdigit() and found == checksum(int(number), body)


def encode(name, content):
    """A file's bytes for a content [number, size]. Any first part of a YAML file is one too."""
    text = text_of(*content)
    if name.endswith(".json"):
        return json.dumps({"prompt_template": text}).encode()
    return (HEAD + "".join(f"  {line}\n" for line in text.split("\n"))).encode()


def decode(name, data):
    """The text that a file's bytes give, or None where they are no whole content."""
    try:
        text = data.decode()
        text = from_json(text) if name.endswith(".json") else from_yaml(text)
    except ValueError:
        return None
    return text if isinstance(text, str) and is_whole(text) else None


def from_json(text):
    value = json.loads(text)
    return value.get("prompt_template") if isinstance(value, dict) and len(value) == 1 else None


def from_yaml(text):
    lines = text.split("\n")
    if lines[0] + "\n" != HEAD or lines[-1] != "":
        return None
    if not all(line.startswith("  ") for line in lines[1:-1]):
        return None
    return "\n".join(line[2:] for line in lines[1:-1])


def bad_bytes(kind, name, content):
    """Bytes that are no prompt file, though some nearly are."""
    good = encode(name, content)
    return {"empty": b"", "blank": b"\n \n", "comment": b"# nothing\n", "null": b"null\n",
            "conflict": b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> theirs\n",
            "garbage": b"\xff\xfe\x00[{" + good[::-1], "nul": good + b"\0" * 100,
            "key": good.replace(b"prompt_template", b"prompt_templat", 1)}[kind]


BAD_KINDS = ("empty", "blank", "comment", "null", "conflict", "garbage", "nul", "key")


# The oracle: what a fresh look at the directory finds

class Sight:
    """good: {id: text}. bad: ids of files that are there and no good. hidden: directories that
    cannot be looked into; what was below them counts as there ("" is the served directory)."""

    def __init__(self, root):
        self.good, self.bad, self.hidden = {}, set(), []
        try:
            self.root = os.path.realpath(root, strict=True)
            self.enter(self.root, "", (), False)
        except OSError:
            self.hidden.append("")

    def is_there(self, prompt_id):
        return prompt_id in self.good or prompt_id in self.bad or self.is_hidden(prompt_id)

    def is_hidden(self, prompt_id):
        return any(h == "" or prompt_id.startswith(h + "/") for h in self.hidden)

    def is_inside(self, path):
        return path == self.root or path.startswith(self.root + "/")

    def enter(self, path, relative, above, linked):
        about = os.stat(path)
        identity = (about.st_dev, about.st_ino)
        if identity in above:
            raise OSError(errno.ELOOP, "leads back", path)
        if os.path.islink(path + "/..data"):
            path = os.path.realpath(path + "/..data", strict=True)
            if not self.is_inside(path):
                raise OSError(errno.EXDEV, "leads out", path)
        for name in os.listdir(path):
            if name[0] not in ".#_" and name[-1] != "~":
                self.take(path + "/" + name, f"{relative}/{name}".lstrip("/"), (*above, identity),
                          linked)

    def take(self, path, relative, above, linked):
        link = os.path.islink(path)
        try:
            real = os.path.realpath(path, strict=True) if link else path
            about = os.stat(real)
        except OSError as error:
            if error.errno == errno.ELOOP and is_prompt_name(relative):
                self.bad.add(id_of(relative))
            return  # a link to nothing is nothing
        if stat.S_ISDIR(about.st_mode):
            self.take_directory(real, relative, above, linked, link)
        elif is_prompt_name(relative):
            self.take_file(real, relative)

    def take_directory(self, real, relative, above, linked, link):
        try:
            if link and (linked or not self.is_inside(real)):
                raise OSError(errno.EXDEV, "not followed", real)
            self.enter(real, relative, above, linked or link)
        except OSError:
            self.hidden.append(relative)

    def take_file(self, real, relative):
        text = None
        with contextlib.suppress(OSError):
            if self.is_inside(real):
                text = decode(relative, Path(real).read_bytes())
        if text is None:
            self.bad.add(id_of(relative))
        else:
            self.good[id_of(relative)] = text


def is_prompt_name(path):
    return path.endswith((".yaml", ".yml", ".json"))


def id_of(path):
    """The id that a file without a prompt_id inside has."""
    directory, slash, name = path.rpartition("/")
    return directory + slash + name.rpartition(".")[0].replace("__", "/")


# What was seen of the directory and of the server since both were known to agree

class Era:
    """served: {id: text} at its beginning. held: {id: texts that its path held}. lost: {id: when
    its file was last known to be there}. seen: (id, text) that readers got. missing: {id: when}
    of their first 404."""

    def __init__(self, served):
        self.served = served
        self.held = collections.defaultdict(set)
        for prompt_id, text in served.items():
            self.held[prompt_id].add(text)
        self.lost, self.seen, self.missing = {}, set(), {}
        self.looked = time.monotonic()

    def look(self, root):
        """Note what the directory holds now. To be called after each step of an operation."""
        now, sight = time.monotonic(), Sight(root)
        for prompt_id, text in sight.good.items():
            self.held[prompt_id].add(text)
        for prompt_id in self.served:
            if not sight.is_there(prompt_id):
                self.lost.setdefault(prompt_id, self.looked)
        self.looked = now
        return sight

    def lose_all(self):
        """The server remembers nothing any more."""
        for prompt_id in self.served:
            self.lost.setdefault(prompt_id, self.looked)

    def fault_in(self, prompt_id, text, sight):
        """What is wrong with serving a text, None for nothing, for an id; None if all is well."""
        good = sight.good.get(prompt_id)
        if good is not None:
            return None if text == good else f"{show(text)} instead of {show(good)}"
        if not sight.is_there(prompt_id):
            return None if text is None else f"{show(text)}, but the file is gone"
        if text is None:
            kept = prompt_id in self.served and prompt_id not in self.lost
            return "not served, but a last good version is known" if kept else None
        return None if text in self.held[prompt_id] else f"{show(text)} was never there"

    def faults(self, served, sight):
        ids = sorted({*served, *self.held, *sight.good})
        found = {i: self.fault_in(i, served.get(i), sight) for i in ids}
        return [f"{i}: {fault}" for i, fault in found.items() if fault]

    def check_readers(self):
        """Fail if a reader got what was never there, or missed what always was."""
        for prompt_id, text in list(self.seen):
            if text not in self.held[prompt_id]:
                raise Divergence(f"{prompt_id}: a reader got {show(text)}, which was never there")
        for prompt_id, when in list(self.missing.items()):
            if prompt_id in self.served and when < self.lost.get(prompt_id, math.inf):
                raise Divergence(f"{prompt_id}: a reader got 404 while the file was there")


def show(text):
    return "nothing" if text is None else f"the text {text[:20]!r}… of {len(text)}"


class Reader(threading.Thread):
    """Asks for all prompts again and again, over one connection for as long as the server lives."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.server = world, world.server
        self.torn, self.failure, self.count = [], None, 0
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.is_set() and self.failure is None:
            was_up, life = self.server.is_up, self.server.life
            try:
                if was_up:
                    self.read(life)
            except (OSError, EOFError) as error:
                if self.server.is_up and self.server.life == life:
                    self.failure = f"a reader's connection broke: {error!r}"
            self.ended.wait(0.01)

    def read(self, life):
        with self.server.raw_connection() as connection:
            while not self.ended.wait(0.01) and life == self.server.life:
                self.ask_for_all(connection, life)

    def ask_for_all(self, connection, life):
        era, ids = self.world.era, self.world.ids
        requests = (f"GET {litellm_path(i)} HTTP/1.1\r\nHost: localhost\r\n\r\n" for i in ids)
        connection.send("".join(requests).encode())
        for prompt_id in ids:
            self.take(era, prompt_id, connection.read_reply(), life)

    def take(self, era, prompt_id, reply, life):
        self.count += 1
        if reply.status == 404:
            era.missing.setdefault(prompt_id, time.monotonic())
        elif reply.status == 200 and is_whole(reply.text):
            era.seen.add((prompt_id, reply.text))
        elif reply.status == 200:
            self.torn.append((prompt_id, reply.text))
        elif reply.status != 503 or life == 0:  # none before the first publication
            self.failure = f"{prompt_id}: {reply}"

    def check(self):
        if self.failure:
            raise Divergence(self.failure)
        for prompt_id, text in self.torn:
            if text[:6] not in self.world.forgiven:
                raise Divergence(f"{prompt_id}: a reader got {show(text)}, which is torn")


# The server

class ModelServer(LiveServer):
    """A promptd that is stopped, continued, killed and started again."""

    life, is_up, stopped_at, silent = 0, False, None, False

    def start(self):
        self.lines = []
        super().start()
        self.is_up = True

    def restart(self, number):
        self.thaw()
        self.is_up = False
        self.signal(number)
        if self.wait_for_exit() != (0 if number == signal.SIGTERM else -number):
            raise Divergence(f"promptd ended with {self.process.returncode}")
        self.process.stderr.close()
        self.life += 1
        self.start()

    def stop(self):
        try:
            super().stop()
        except AssertionError as error:  # the log tells what a sanitizer found
            raise Divergence(f"{error}\nlog:\n{self.log_tail()}") from None

    def freeze(self):
        super().freeze()
        self.stopped_at = self.stopped_at or time.monotonic()

    def thaw(self):
        super().thaw()
        self.stopped_at = None

    def is_at_rest(self):
        """Whether nothing is left to be done, or there is no directory."""
        status = self.status()
        if "directory" not in status:  # in the midst of a scan the server tells less
            return False
        return status["settled"] or not status["directory"]["available"]

    def print_log(self):
        """Nobody wants the logs of all that shrinking tries."""

    def log_tail(self):
        return "\n".join(self.log_lines()[-60:])


class Chaos(threading.Thread):
    """Stops and continues the server at any time, but not while it is held back."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server, self.random = server, random.Random(seed)
        self.ended, self.lock = threading.Event(), threading.Lock()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(self.random.random() * 0.2):
            with self.lock:
                self.server.freeze()
                self.ended.wait(self.random.choice((0.005, 0.03, 0.1, 0.4)))
                self.server.thaw()


# The world that operations change

class World:
    """base/served is what the server serves; beside it lies what comes and goes."""

    def __init__(self, base, episode):
        self.base, self.root = base, base / "served"
        self.beside = base / "beside"
        self.beside.mkdir()
        self.is_blind = episode["mode"] in BLIND
        self.patience = (15 if self.is_blind else 5) * SLOW * episode.get("patience", 1)
        self.server, self.chaos = None, contextlib.nullcontext()
        self.era, self.ids = Era({}), ()
        self.forgiven = set()  # numbers of contents whose writer was kept waiting too long
        self.silent = False  # something was done that no event tells
        self.count, self.skipped = 0, collections.Counter()

    def at(self, path):
        """The place of a path, with the directories that lead to it."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def new(self, name="new"):
        """A new name beside the served directory."""
        self.count += 1
        return self.base / f"{name}-{self.count}"

    def step(self):
        """Note the state of the directory after something that happened in one go."""
        sight = self.era.look(self.root)
        known = {*self.ids, *sight.good, *sight.bad}
        if len(known) > len(self.ids):
            self.ids = tuple(sorted(known))
        stopped_at = self.server.stopped_at if self.server else None
        if stopped_at and time.monotonic() > stopped_at + LONGEST_STOP:
            self.server.thaw()
        return sight

    def pause(self, milliseconds):
        if milliseconds:
            pause(milliseconds / 1000)

    def forget_events(self):
        """Wait until the server has nothing in hand. That a file was closed a moment ago counts as
        proof that it is complete: a writer whom no event tells must not begin within that moment."""
        with self.chaos_held():
            self.server.thaw()
            wait_until(self.server.is_at_rest, "the server has nothing in hand", self.patience)

    def write_pieces(self, write, data, content, gaps):
        """Write in as many pieces as there are gaps, and one more."""
        ends = [len(data) * (i + 1) // (len(gaps) + 1) for i in range(len(gaps) + 1)]
        begin, last = 0, None
        for end, gap in zip(ends, (*gaps, 0)):
            write(data[begin:end])
            if last is not None and time.monotonic() - last > LONGEST_GAP:
                self.forgiven.add(f"{content[0]:06}")
            begin, last = end, time.monotonic()
            self.pause(gap)

    def write(self, place, data, content, gaps, truncate=True):
        with open(place, "wb" if truncate or not place.exists() else "r+b", buffering=0) as file:
            self.write_pieces(file.write, data, content, gaps)
            file.truncate()
        self.step()

    def replace(self, place, data):
        new = place.with_name("." + place.name + ".new")
        new.write_bytes(data)
        os.replace(new, place)
        self.step()

    def fill(self, directory, files):
        """Make a directory that nobody looks at yet."""
        directory.mkdir(parents=True)
        for path, content in files:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(encode(path, content))
        return directory

    def link(self, place, target, at_once):
        """Make a symbolic link, in one step or with a gap."""
        if at_once:
            new = place.with_name(".link")
            new.unlink(missing_ok=True)
            os.symlink(target, new)
            os.replace(new, place)
        else:
            place.unlink(missing_ok=True)
            self.step()
            os.symlink(target, place)
        self.step()

    def remove_tree(self, directory):
        """What rm -rf does, in steps."""
        if directory.is_symlink():
            directory.unlink()
            return
        for entry in sorted(os.scandir(directory), key=lambda e: e.name, reverse=True):
            if entry.is_dir(follow_symlinks=False):
                self.remove_tree(Path(entry.path))
            else:
                os.unlink(entry.path)
                self.step()
        directory.rmdir()
        self.step()

    def act(self, op):
        """Do one operation; it is skipped where something is missing or in the way."""
        arguments = {k: v for k, v in op.items() if k not in ("op", "after")}
        try:
            OPERATIONS[op["op"]](self, **arguments)
        except OSError as error:
            if error.errno not in HARMLESS:
                raise
            self.skipped[op["op"]] += 1
        self.step()
        self.pause(op.get("after", 0))

    # The server's side

    def served(self):
        """{id: text}; what went while it was asked for is left out."""
        served = self.server.served() or {}
        return {i: text for i, text in served.items() if isinstance(text, str)}

    def faults(self, served):
        sight = self.step()
        faults = self.era.faults(served, sight)
        return faults if self.server.is_at_rest() else [*faults, "the server is not settled"]

    def settle(self):
        """Wait until the server serves what it should: a new era."""
        with self.chaos_held():
            self.server.thaw()
            if self.silent:
                self.reload()
            served = self.wait_for_agreement()
            self.era.check_readers()
            self.era = Era(served)

    def wait_for_agreement(self):
        """Wait until what is served is right, and return it."""
        end = time.monotonic() + self.patience
        while True:
            served = self.served()
            faults = self.faults(served)
            if not faults:
                return served
            if time.monotonic() > end:
                raise Divergence("; ".join(faults[:5]) + f"\nstatus: {self.server.status()}")
            pause(0.01)

    def reload(self):
        self.server.thaw()
        try:
            reply = self.server.reload()
        except OSError as error:
            raise Divergence(f"POST /-/reload: {error!r}") from None
        if reply.status not in (200, 422):
            raise Divergence(f"POST /-/reload: {reply}")
        self.silent = False
        if reply.json["settled"]:
            self.check_reloaded(reply.json)

    def check_reloaded(self, status):
        """Behind a reload all good files are served; deletions may have some time left."""
        sight, served = self.step(), self.served()
        for prompt_id, text in sight.good.items():
            if served.get(prompt_id) != text:
                raise Divergence(f"{prompt_id}: {show(served.get(prompt_id))} instead of "
                                 f"{show(text)}, behind POST /-/reload\nstatus: {status}")

    def check_full_look(self):
        """A look at everything finds nothing that events had not told."""
        before = self.server.status().get("generation")
        self.reload()
        self.wait_for_agreement()
        status = self.server.status()
        is_there = status.get("directory", {}).get("available")
        knows_all = is_there and not self.is_blind
        if knows_all and status["generation"] != before:
            raise Divergence(f"a full look made a new generation: {status['reloads'][:2]}")

    def chaos_held(self):
        return self.chaos.lock if isinstance(self.chaos, Chaos) else contextlib.nullcontext()


# Operations; all are harmless where they do not apply

OPERATIONS = {}


def operation(function):
    OPERATIONS[function.__name__] = function
    return function


@operation
def write(world, path, content, gaps=(), truncate=True):
    world.write(world.at(path), encode(path, content), content, gaps, truncate)


@operation
def replace(world, path, content):
    world.replace(world.at(path), encode(path, content))


@operation
def bad(world, path, kind, content, in_place, gaps=()):
    data = bad_bytes(kind, path, content)
    if in_place:
        world.write(world.at(path), data, content, gaps)
    else:
        world.replace(world.at(path), data)


@operation
def unlink(world, path):
    (world.root / path).unlink()


@operation
def move(world, path, to):
    os.rename(world.root / path, world.at(to))


@operation
def swap(world, path, other):
    exchange(world.root / path, world.root / other)


@operation
def remove_tree(world, path):
    world.remove_tree(world.root / path)


@operation
def move_tree(world, path, to):
    os.rename(world.root / path, world.at(to))


@operation
def link(world, path, target, at_once):
    place = world.at(path)
    world.link(place, os.path.relpath(target, os.path.dirname(path) or "."), at_once)


@operation
def hard_link(world, path, to):
    new = world.at(to).with_name(".hard")
    os.link(world.root / path, new)
    os.rename(new, world.at(to))
    new.unlink(missing_ok=True)  # rename does nothing for two names of one file


@operation
def link_beside(world, path, name):
    """Give a file a name where nobody watches."""
    (world.beside / name).unlink(missing_ok=True)
    os.link(world.root / path, world.beside / name)


@operation
def write_beside(world, name, content, gaps):
    place = world.beside / name
    if place.exists():
        world.forget_events()
        world.silent = True
        world.write(place, encode("x.yaml", content), content, gaps)


@operation
def nameless(world, path, content):
    """Write a file without a name, and give it one."""
    place = world.at(path)
    descriptor = os.open(place.parent, os.O_TMPFILE | os.O_WRONLY, 0o644)
    try:
        os.write(descriptor, encode(path, content))
        place.unlink(missing_ok=True)
        world.step()
        # With a directory given, os.link follows the link in /proc.
        os.link(f"/proc/self/fd/{descriptor}", place, src_dir_fd=descriptor)
    finally:
        os.close(descriptor)


@operation
def store(world, path, content, gaps):
    """Write through a mapping, whose later stores nothing tells, not even the file's times."""
    data, place = encode(path, content), world.root / path
    world.forget_events()
    with open(place, "r+b", buffering=0) as file:
        if os.fstat(file.fileno()).st_size != len(data):
            file.truncate(len(data))
        with mmap.mmap(file.fileno(), len(data)) as mapped:
            world.write_pieces(mapped.write, data, content, () if world.is_blind else gaps)
    if world.is_blind:
        os.utime(place)  # not every file system changes the times for a mapping


@operation
def touch(world, path, seconds_ago):
    then = time.time() - seconds_ago
    os.utime(world.root / path, (then, then))


@operation
def chmod(world, path, mode):
    place = world.root / path
    if place.is_dir():
        mode |= 0o700
    place.chmod(mode)


@operation
def tree_in(world, path, files):
    """Move a directory with files in."""
    os.rename(world.fill(world.new(), files), world.at(path))


@operation
def tree_out(world, path, name, content):
    """Move a directory out, and go on working there."""
    away = world.new()
    os.rename(world.root / path, away)
    world.step()
    (away / name).write_bytes(encode(name, content))


@operation
def replace_tree(world, path, files, at_once):
    new, old, place = world.fill(world.new(), files), world.new("old"), world.at(path)
    if at_once:
        exchange(new, place)
    else:
        os.rename(place, old)
        world.step()
        os.rename(new, place)


@operation
def config_map(world, path, files):
    """What the kubelet does: a new directory, one rename of the link to it, then the names."""
    directory = world.at(path + "/.").resolve()
    directory.mkdir(exist_ok=True)
    world.count += 1
    new = world.fill(directory / f"..{world.count}", files)
    old = directory / "..data"
    old = directory / os.readlink(old) if old.is_symlink() else None
    world.link(directory / "..data", new.name, True)
    names = {name for name, _ in files}
    for name in names:
        if not os.path.lexists(directory / name):
            os.symlink("..data/" + name, directory / name)
            world.step()
    for entry in directory.iterdir():
        if entry.name[0] != "." and entry.name not in names and entry.is_symlink():
            entry.unlink()
            world.step()
    if old is not None:
        world.remove_tree(old)


@operation
def rsync(world, path, files, options):
    source = world.fill(world.new(), files)
    place = world.at(path)
    subprocess.run(["rsync", "-a", *options, f"{source}/", f"{place}/"], check=False,
                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@operation
def root_replace(world, files, gap):
    """Rename the served directory away and another one there."""
    os.rename(world.root, world.new("old"))
    world.step()
    world.pause(gap)
    os.rename(world.fill(world.new(), files), world.root)


@operation
def root_again(world, files, gap):
    """Remove the served directory, make it again and fill it."""
    if os.path.lexists(world.root):
        world.remove_tree(world.root)
    world.step()
    world.pause(gap)
    world.root.mkdir()
    for path, content in files:
        write(world, path, content)


@operation
def root_link(world, files):
    """Make the served directory a link to a version of it, or swap that link."""
    version = world.fill(world.new("version"), files)
    if world.root.is_dir() and not world.root.is_symlink():
        os.rename(world.root, world.new("version"))
        world.step()
    world.link(world.root, version.name, True)


@operation
def root_swap(world, files):
    exchange(world.root, world.fill(world.new(), files))


@operation
def root_away(world):
    """Rename the served directory away, or back."""
    away = world.base / "away"
    if os.path.lexists(away):
        os.rename(away, world.root)
    else:
        os.rename(world.root, away)


@operation
def hang_up(world):
    world.server.signal(signal.SIGHUP)


@operation
def reload(world):
    with world.chaos_held():
        world.reload()


@operation
def settle(world):
    world.settle()


@operation
def freeze(world):
    world.server.freeze()


@operation
def thaw(world):
    world.server.thaw()


@operation
def restart(world, number):
    with world.chaos_held():
        world.step()
        world.era.lose_all()
        world.server.restart(number)


@operation
def git(world, command):
    """A command of git, which may well refuse to do it."""
    subprocess.run(git_command(world.root, *command), env=git_environment(), check=False,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# What no episode does: the test of the model wants these to be noticed

@operation
def half(world, path, content):
    """Close a file in the midst of a text."""
    place, data = world.at(path), encode(path, content)
    place.write_bytes(data[:len(data) // 2])


@operation
def vanish(world, path, milliseconds):
    """Take a file away for a time, and tell the oracle nothing of it."""
    place = world.at(path)
    os.rename(place, world.beside / "vanished")
    world.pause(milliseconds)
    os.rename(world.beside / "vanished", place)


@operation
def intrude(world, path, content, milliseconds):
    """Let a file hold another text for a time, and tell the oracle nothing of it."""
    place = world.at(path)
    before = place.read_bytes()
    place.write_bytes(encode(path, content))
    world.pause(milliseconds)
    place.write_bytes(before)


# Episodes

FILES = ("a.yaml", "b.yaml", "c.json", "k__w.yml")
TREES = ("d1", "d1/sub", "d2", "d2/deep/er", "_trees/t1", "_trees/t2")
LINKED_TREES = ("ln1", "ln2", "d2/ln3")
LINKS = ("l1.yaml", "d1/l2.yaml", "_lib/hop")
TARGETS = ("_lib/t1.txt", "_lib/t2.txt", "_lib/sub/t3.txt", "_lib/hop", "a.yaml", "d2/b.yaml",
           "_lib/none")
PAUSES = (0,) * 12 + (2, 5, 10, 20, 40, 60, 60, 100, 150, 250, 400, 700)


class Dice:
    """Draws what operations need."""

    def __init__(self, seed):
        self.random, self.number = random.Random(seed), 0
        self.choice, self.chance = self.random.choice, lambda p: self.random.random() < p

    def content(self):
        """A new content; sizes are often the same."""
        self.number += 1
        big = self.chance(0.1)
        size = self.random.randint(1024, 65536) if big else self.choice((300, 300, 600, 1500))
        return [self.number, size]

    def gaps(self):
        return [self.choice((0, 5, 30, 80)) for _ in range(2)]

    def tree(self):
        return self.choice((*TREES, *LINKED_TREES))

    def file(self, names=FILES):
        directory = self.choice(("", "", "", *TREES[:4], *LINKED_TREES))
        return f"{directory}/{self.choice(names)}".lstrip("/")

    def any_file(self):
        """A prompt file, a link to one, or a link's target."""
        return self.choice((self.file(), self.file(), *LINKS[:2], *TARGETS[:3]))

    def two_files(self):
        """Two of one format."""
        names = FILES[2:3] if self.chance(0.2) else FILES[:2] + FILES[3:]
        return self.file(names), self.file(names)

    def files(self):
        """[[path, content]] for a directory."""
        paths = {self.file() for _ in range(self.random.randint(0, 5))}
        return [[path, self.content()] for path in sorted(paths) if "ln" not in path]

    def flat_files(self):
        return [[name, self.content()] for name in FILES if self.chance(0.6)]


def pair(keys, values):
    return dict(zip(keys, values))


# {operation: how to draw its arguments}
DRAW = {
    "write": lambda d: {"path": d.any_file(), "content": d.content(), "gaps": d.gaps(),
                        "truncate": d.chance(0.7)},
    "replace": lambda d: {"path": d.any_file(), "content": d.content()},
    "bad": lambda d: {"path": d.any_file(), "kind": d.choice(BAD_KINDS), "content": d.content(),
                      "in_place": d.chance(0.5)},
    "unlink": lambda d: {"path": d.any_file()},
    "move": lambda d: pair(("path", "to"), d.two_files()),
    "swap": lambda d: pair(("path", "other"), d.choice((d.two_files(), ("d1", "d2"),
                                                         ("_trees/t1", "_trees/t2")))),
    "remove_tree": lambda d: {"path": d.choice((d.tree(), "cm"))},
    "move_tree": lambda d: {"path": d.tree(), "to": d.tree()},
    "link": lambda d: {"path": d.choice(LINKS), "target": d.choice(TARGETS),
                       "at_once": d.chance(0.6)},
    "link_tree": lambda d: {"path": d.choice(LINKED_TREES), "target": d.choice(TREES),
                            "at_once": d.chance(0.6)},
    "write_target": lambda d: {"path": d.choice(TARGETS[:3]), "content": d.content(),
                               "gaps": d.gaps(), "truncate": d.chance(0.7)},
    "replace_target": lambda d: {"path": d.choice(TARGETS[:3]), "content": d.content()},
    "hard_link": lambda d: pair(("path", "to"), d.two_files()),
    "link_beside": lambda d: {"path": d.file(FILES[:2]), "name": d.choice("xy")},
    "write_beside": lambda d: {"name": d.choice("xy"), "content": d.content(), "gaps": d.gaps()},
    "nameless": lambda d: {"path": d.file(), "content": d.content()},
    "store": lambda d: {"path": d.any_file(), "content": d.content(), "gaps": d.gaps()[:1]},
    "touch": lambda d: {"path": d.any_file(), "seconds_ago": d.choice((0, 10, 10 ** 8))},
    "chmod": lambda d: {"path": d.choice((d.file(), d.tree())),
                        "mode": d.choice((0o644, 0o600, 0o444, 0o755))},
    "tree_in": lambda d: {"path": d.tree(), "files": d.files()},
    "tree_out": lambda d: {"path": d.tree(), "name": "a.yaml", "content": d.content()},
    "replace_tree": lambda d: {"path": d.tree(), "files": d.files(), "at_once": d.chance(0.5)},
    "config_map": lambda d: {"path": "cm", "files": d.flat_files()},
    "rsync": lambda d: {"path": d.tree(), "files": d.flat_files(),
                        "options": d.choice(([], ["--delete"], ["--inplace"],
                                             ["--delay-updates", "--delete-after"]))},
    "root_replace": lambda d: {"files": d.files(), "gap": d.choice((0, 30, 200))},
    "root_again": lambda d: {"files": d.files(), "gap": d.choice((0, 30, 200))},
    "root_link": lambda d: {"files": d.files()},
    "root_swap": lambda d: {"files": d.files()},
    "root_away": lambda d: {},
    "hang_up": lambda d: {},
    "reload": lambda d: {},
    "settle": lambda d: {},
    "freeze": lambda d: {},
    "thaw": lambda d: {},
    "restart": lambda d: {"number": d.choice((signal.SIGKILL, signal.SIGTERM)).value},
}
WEIGHTS = {"write": 4, "replace": 3, "write_target": 2, "config_map": 2, "link_beside": 2,
           "write_beside": 2, "root_away": 0.5, "root_again": 0.5, "root_replace": 0.5,
           "restart": 0.5}
SAME_AS = {"link_tree": "link", "write_target": "write", "replace_target": "replace"}

GIT_DRAW = {
    "git": lambda d: {"command": d.choice((
        ["checkout", "-q", f"r{d.random.randrange(3)}"],
        ["checkout", "-q", "-f", f"r{d.random.randrange(3)}"],
        ["reset", "-q", "--hard", f"r{d.random.randrange(3)}"], ["stash", "-q"],
        ["stash", "pop", "-q"], ["clean", "-fdq"], ["add", "-A"], ["gc", "-q"],
        ["commit", "-qam", "more"]))},
    **{name: DRAW[name] for name in ("write", "replace", "bad", "unlink", "move", "remove_tree",
                                     "hang_up", "reload", "settle", "freeze", "thaw", "restart")}}
GIT_WEIGHTS = {"git": 16, "write": 3, "replace": 3}


def draw_episode(seed, mode):
    """An episode, which is all there is to know to run it again."""
    dice = Dice(seed)
    is_git = shutil.which("git") and dice.chance(0.15)
    episode = {"seed": seed, "mode": mode, "options": draw_options(dice, mode)}
    if is_git:
        episode["commits"] = [draw_files(dice, 8) for _ in range(3)]
    else:
        episode["files"] = draw_files(dice, 6)
    draw, weights = (GIT_DRAW, GIT_WEIGHTS) if is_git else (DRAW, WEIGHTS)
    names = [n for n in draw if n != "rsync" or shutil.which("rsync")]
    count = dice.random.randint(1, 60)
    chosen = dice.random.choices(names, [weights.get(n, 1) for n in names], k=count)
    episode["ops"] = [draw_operation(dice, draw, name) for name in chosen]
    return episode


def draw_operation(dice, draw, name):
    return {"op": SAME_AS.get(name, name), **draw[name](dice), "after": dice.choice(PAUSES)}


def draw_files(dice, most):
    paths = {"a.yaml", *(dice.file() for _ in range(dice.random.randrange(most)))}
    return [[path, dice.content()] for path in sorted(paths) if "ln" not in path]


def draw_options(dice, mode):
    options = dice.choice(([], [], [], ["--quiet", "5ms"], ["--max-latency", "400ms"]))
    if mode in BLIND:
        options = [*options, "--poll", dice.choice(("100ms", "400ms", "2s"))]
    return options


def few_watches():
    """How to run promptd with next to no watches."""
    script = f'echo {FEW_WATCHES} > /proc/sys/user/max_inotify_watches; exec "$@"'
    return ["unshare", "-Ur", "sh", "-ec", script, "sh"]


@functools.lru_cache(maxsize=None)
def why_not(mode):
    """Why a mode cannot be had here, or None."""
    if mode != "few":
        return None
    if shutil.which("unshare") is None:
        return "unshare is missing: install util-linux"
    done = subprocess.run([*few_watches(), "true"], capture_output=True, check=False)
    return "no limits of one's own here: allow user namespaces" if done.returncode else None


def lay(world, episode):
    """Make the directory as it is when the server starts."""
    if "commits" not in episode:
        world.fill(world.root, episode["files"])
        return
    world.root.mkdir()
    git(world, ["init", "-q", "-b", "main"])
    for number, files in enumerate(episode["commits"]):
        for entry in world.root.iterdir():
            if entry.name != ".git":
                world.remove_tree(entry) if entry.is_dir() else entry.unlink()
        for path, content in files:
            world.at(path).write_bytes(encode(path, content))
        git(world, ["add", "-A"])
        git(world, ["commit", "-qm", f"commit {number}"])
        git(world, ["tag", f"r{number}"])


Result = collections.namedtuple("Result", "operations skipped reads forgiven")


def run_episode(episode):
    """Run an episode; raises Divergence where the server did what it must not."""
    base = Path(tempfile.mkdtemp(prefix="promptd-model-", dir=SCRATCH))
    try:
        world = World(base, episode)
        lay(world, episode)
        world.step()
        wrapper = few_watches() if episode["mode"] == "few" else ()
        options = [*OPTIONS, *MODES[episode["mode"]], *episode["options"]]
        world.server = ModelServer(*options, directory=world.root, wrapper=wrapper)
        with world.server:
            return run_served(world, episode)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def run_served(world, episode):
    try:
        world.settle()
        readers = run_operations(world, episode)
        world.check_full_look()
    except AssertionError as error:
        raise Divergence(f"{error}\nlog:\n{world.server.log_tail()}") from None
    finally:
        world.server.thaw()  # a stopped process does not end
    return Result(len(episode["ops"]), sum(world.skipped.values()),
                  sum(reader.count for reader in readers), len(world.forgiven))


def run_operations(world, episode):
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(Reader(world)) for _ in range(READERS)]
        if episode["mode"] == "chaos":
            world.chaos = stack.enter_context(Chaos(world.server, episode["seed"]))
        for op in episode["ops"]:
            world.act(op)
        world.settle()
    world.era.check_readers()
    for reader in readers:
        reader.check()
    return readers


# Shrinking

def fault_of(episode, tries=1):
    """What goes wrong in an episode that is run up to so many times, or None."""
    for _ in range(tries):
        try:
            run_episode(episode)
        except AssertionError as error:
            return str(error)
    return None


def shorten(items, fails, end):
    """Delete parts for as long as what is left fails: ddmin, until a time."""
    parts = 2
    while len(items) >= 2 and time.monotonic() < end:
        size = math.ceil(len(items) / parts)
        for at in range(0, len(items), size):
            rest = items[:at] + items[at + size:]
            if time.monotonic() < end and fails(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(items):
                break
            parts = min(2 * parts, len(items))
    return items


def shrink(episode, seconds, tries=3):
    """A shorter episode that fails too; None where failing is a matter of luck."""
    end = time.monotonic() + seconds
    best = {**episode, "patience": 0.5}
    if fault_of(best, 2 * tries) is None:
        return None
    for key in ("ops", "files"):
        if key in best:
            best[key] = shorten(best[key], lambda items, key=key: fault_of(
                {**best, key: items}, tries) is not None, end)
    for i, op in enumerate(best["ops"]):
        ops = [*best["ops"][:i], {**op, "after": 0}, *best["ops"][i + 1:]]
        if op["after"] and time.monotonic() < end and fault_of({**best, "ops": ops}, tries):
            best["ops"] = ops
    del best["patience"]
    return best


# Runs

class Totals:
    """What was run, by mode."""

    def __init__(self):
        self.by_mode = collections.defaultdict(collections.Counter)
        self.seeds = {}  # the first of each mode; the others follow it

    def add(self, mode, seed, result):
        self.seeds.setdefault(mode, seed)
        self.by_mode[mode].update(result._asdict())
        self.by_mode[mode]["episodes"] += 1

    def lines(self):
        return [f"{mode}: {c['episodes']} episodes from seed {self.seeds[mode]} on, {c['operations']} operations ({c['skipped']} "
                f"did not apply), {c['reads']} reads, {c['forgiven']} slow writers forgiven"
                for mode, c in self.by_mode.items()]


def report_of(episode, fault):
    return (f"the model differs, mode {episode['mode']}, seed {episode['seed']}: {fault}\n"
            f"to be run again by model.py --replay FILE:\n{json.dumps(episode)}")


def run_for(mode, seconds, seeds, shrink_seconds=60, totals=None):
    """Run episodes for a time. Returns a report of the first that fails, shrunk, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        episode = draw_episode(next(seeds), mode)
        try:
            result = run_episode(episode)
        except AssertionError as error:
            print(f"mode {mode}, seed {episode['seed']}: {str(error).splitlines()[0]}; shrinking",
                  file=sys.stderr, flush=True)
            shorter = shrink(episode, shrink_seconds) or episode
            return report_of(shorter, fault_of(shorter, 5) or error)
        if totals is not None:
            totals.add(mode, episode["seed"], result)
    return None


def seeds_from(seed=None):
    """Seeds for ever, one after the other; without one to begin with, from a random one."""
    return itertools.count(random.SystemRandom().randrange(2 ** 32) if seed is None else seed)


def replay(path, mode=None, times=1):
    """Run an episode of a file, in one mode or all it was kept for. Returns a report, or None."""
    episode = json.loads(Path(path).read_text(encoding="utf-8"))
    modes = [mode] if mode else episode.get("modes") or [episode["mode"]]
    for episode["mode"] in modes:
        fault = fault_of(episode, times)
        if fault:
            return report_of(episode, fault)
    return None


def parse_arguments():
    parser = argparse.ArgumentParser(description="A randomised model test of live reload.")
    parser.add_argument("--seconds", type=float, default=60, help="for all modes together")
    parser.add_argument("--mode", choices=(*MODES, "all"), default="all")
    parser.add_argument("--seed", type=int, help="the first one; default: new ones")
    parser.add_argument("--shrink", type=float, default=120, metavar="SECONDS")
    parser.add_argument("--replay", metavar="FILE")
    parser.add_argument("--times", type=int, default=1, help="replay so often")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    binary()  # which fails where none is given
    if arguments.replay:
        mode = None if arguments.mode == "all" else arguments.mode
        report = replay(arguments.replay, mode, arguments.times)
        print(report or "no difference")
        return 1 if report else 0
    modes = list(MODES) if arguments.mode == "all" else (arguments.mode,)
    totals, reports, seeds = Totals(), [], seeds_from(arguments.seed)
    for mode in modes:
        if why_not(mode):
            print(f"mode {mode} is skipped: {why_not(mode)}", file=sys.stderr)
            continue
        seconds = arguments.seconds / len(modes)
        reports.append(run_for(mode, seconds, seeds, arguments.shrink, totals))
    print("\n".join([*totals.lines(), *filter(None, reports)]))
    return 1 if any(reports) else 0


if __name__ == "__main__":
    sys.exit(main())
