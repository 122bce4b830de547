"""What the tests of live reload share: prompts that carry their own checksum, a server that is
asked for its state, readers that tell torn, missing and mixed prompts, and tools."""
import collections
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from promptd import (DEADLINE, Promptd, ReloadTest, binary, litellm_path, look_inside,
                     text_or_status, wait_until, with_query)

# Editors write in other ways below /tmp, so the tests work elsewhere.
SCRATCH = os.environ.get("PROMPTD_SCRATCH") or "/var/tmp"
LONG = bool(os.environ.get("PROMPTD_LONG"))
IS_ROOT = os.geteuid() == 0


# Prompts that tell whether they are whole, whose they are, and of which set

def signed(name, rev, lines=8):
    """A text for one prompt of the set rev, in lines, that carries its own checksum."""
    body = f"{rev} {name}" + "".join(f"\nline {i} of {name}" for i in range(lines))
    return f"{hashlib.sha256(body.encode()).hexdigest()} {body}"


def is_whole(text):
    checksum, _, body = text.partition(" ")
    return checksum == hashlib.sha256(body.encode()).hexdigest()


def rev_of(text):
    """The set a signed text belongs to."""
    return text.split(" ", 2)[1]


def signed_prompt(name, rev, **keys):
    """The file of such a prompt. Its last key has many lines, so that most parts are YAML too."""
    text = "".join(f"  {line}\n" for line in signed(name, rev).split("\n"))
    rest = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
    return rest + "prompt_template: |-\n" + text


def signed_texts(names, rev):
    """{id: text} of one set."""
    return {name: signed(name, rev) for name in names}


def signed_files(names, rev):
    """{path: text} for the same set, in which ids are paths."""
    return {f"{name}.yaml": signed_prompt(name, rev) for name in names}


def write_files(directory, files):
    for path, text in files.items():
        target = Path(directory, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


# The server

class LiveServer(Promptd):
    """A promptd that is asked for the state of its directory."""

    def status(self, everything=False):
        response = self.get("/-/status" + ("?files=all" if everything else ""))
        if response.status != 200:
            raise AssertionError(f"/-/status: {response}")
        return response.json

    def generation(self):
        return self.status()["generation"]

    def wait_for_status(self, predicate, what, deadline=DEADLINE):
        """Wait until the status is as wanted, and return it."""
        def look():
            status = self.status()
            return status if predicate(status) else None

        return wait_until(look, what, deadline)

    def wait_settled(self, deadline=2 * DEADLINE):
        return self.wait_for_status(lambda s: s["settled"], "all is settled", deadline)

    def wait_for_hold(self, cause, deadline=DEADLINE):
        return self.wait_for_status(lambda s: cause in [h["cause"] for h in s["holds"]],
                                    f"it is held because of {cause}", deadline)

    def reload(self):
        """Ask for a scan that begins now, and wait for its end."""
        return self.request("POST", "/-/reload", headers={"Content-Length": "0"})

    def file_states(self):
        """{path: state} of all files."""
        return {f["path"]: f["state"] for f in self.status(everything=True)["file_list"]}

    def metric(self, name):
        """A metric, or the sum of all that differ by labels only."""
        lines = self.get("/metrics").body.decode().splitlines()
        found = [line for line in lines if name in (line.split("{")[0], line.rsplit(" ", 1)[0])]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def served(self):
        """{id: text} of all that is served; None before the first publication."""
        ids, cursor = [], None
        while True:
            page = self.get(with_query("/prompts", **({"cursor": cursor} if cursor else {})))
            if page.status == 503:  # before the first publication
                return None
            page = page.json
            ids += [p["prompt_id"] for p in page["prompts"]]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        with self.raw_connection() as connection:
            answers = list(ask_for_all(connection, ids))[1:-1]
        return {prompt_id: text_or_status(answer) for prompt_id, answer in zip(ids, answers)}

    def wait_for_served(self, expected, deadline=2 * DEADLINE):
        """Wait until exactly these texts are served; says what was when they never are."""
        try:
            wait_until(lambda: self.served() == expected, "the expected texts are served", deadline)
        except AssertionError as error:
            found = self.served() or {}
            wrong = sorted(k for k in {**found, **expected} if found.get(k) != expected.get(k))
            raise AssertionError(f"{error}; of {len(expected)} differ {wrong[:10]}") from None


class LiveTest(ReloadTest):
    """A test with a scratch directory outside /tmp, in which its servers' directories lie."""

    def setUp(self):
        super().setUp()
        self.scratch = Path(tempfile.mkdtemp(prefix="promptd-", dir=SCRATCH))
        self.scratch.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)

    def serve(self, *args, directory=None, **kwargs):
        """Serve a directory, by default a new one below the scratch directory."""
        if directory is None:
            directory = self.scratch / "prompts"
            directory.mkdir(exist_ok=True)
        server = LiveServer(*args, directory=directory, **kwargs)
        server.env = {**self.server_env, **(server.env or {})}
        server.__enter__()
        self.servers.append(server)
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def assert_unchanged(self, server, generation):
        """Not even a scan of everything makes a new generation."""
        self.assertEqual(server.reload().status, 200)
        status = server.status()
        self.assertEqual((status["generation"], status["problems"]), (generation, []))

    @contextlib.contextmanager
    def generations(self, server, number):
        """What happens in the block makes exactly so many new generations."""
        before = server.wait_settled()["generation"]
        yield
        server.reload()  # not even a scan of everything makes one more
        status = server.status()
        self.assertEqual(status["generation"] - before, number, status["reloads"][:number + 3])

    def shell(self, server, script):
        """Run a script of bash in the served directory."""
        return run("bash", "-euc", script, cwd=server.directory, env=tool_environment(self.scratch))


class QuickTest(LiveTest):
    """What no event proves complete is left alone for less long, so that most tests wait less."""

    def serve(self, *args, **kwargs):
        return super().serve("--settle", "100ms", *args, **kwargs)

    def serve_by_events(self, files, *args, **kwargs):
        """Serve files of which only events can show that they are complete: nothing is waited for to
        see if one is left alone."""
        server = self.serve("--settle", "10m", "--max-latency", "10m", *args, **kwargs)
        for path, text in files.items():
            server.replace(path, text)
        server.wait_settled()
        return server


# Readers

# texts: {id: text, or None where it is absent}
Sweep = collections.namedtuple("Sweep", "revision source texts")


def ask_for_all(connection, names):
    """One answer each, in order, with all requests sent before the first answer is read. What the
    server says of itself comes first and last."""
    paths = ["/health", *map(litellm_path, names), "/health"]
    for at in range(0, len(paths), 100):
        connection.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                                 for path in paths[at:at + 100]))
        for _ in paths[at:at + 100]:
            yield connection.read_reply()


class Reader(threading.Thread):
    """Takes all prompts in one go, again and again, as a context manager.

    sweeps: each different set that was seen whole, in order; what was taken while the revision
    changed is thrown away. torn: texts that are not whole. absent: ids of `always` that got a 404.
    odd: answers of another status (503 is none before the first publication).
    """

    def __init__(self, server, names, always=()):
        super().__init__(daemon=True)
        self.server, self.names, self.always = server, list(names), set(always)
        self.sweeps, self.torn, self.absent, self.odd = [], set(), set(), []
        self.count, self.failure, self.ended = 0, None, threading.Event()

    def __enter__(self):
        self.start()
        wait_until(lambda: self.count or self.failure, "a first set of prompts")
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def run(self):
        try:
            with self.server.raw_connection() as connection:
                is_last = False
                while not is_last:
                    is_last = self.ended.is_set()  # one more sweep, so that the end is seen
                    self.take(list(ask_for_all(connection, self.names)))
        except BaseException as error:  # told to the test when it leaves the block
            self.failure = error

    def take(self, answers):
        healths, reads = [answers[0].json, answers[-1].json], answers[1:-1]
        texts = {name: self.text_of(name, r) for name, r in zip(self.names, reads)}
        good = [r.headers for r in reads if r.status == 200]
        states = {(h.get("Prompts-Revision"), h.get("Prompts-Source-Revision")) for h in good}
        states |= {(h.get("revision"), h.get("source_revision")) for h in healths}
        if len(states) == 1 and all(r.status in (200, 404) for r in reads):
            sweep = Sweep(*states.pop(), texts)
            if not self.sweeps or self.sweeps[-1] != sweep:
                self.sweeps.append(sweep)
            self.count += 1

    def text_of(self, name, response):
        if response.status == 200:
            if not is_whole(response.text) or response.text.split(None, 3)[2] != name:
                self.torn.add(response.text[:200])
            return response.text
        if response.status == 404 and name in self.always:
            self.absent.add(name)
        elif response.status not in (404, 503):
            self.odd.append(response)
        return None


class Watched:
    """Several readers, and what may be said of all they saw."""

    def __init__(self, test, server, names, always=(), readers=2):
        self.test = test
        self.readers = [Reader(server, names, always) for _ in range(readers)]
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        for reader in self.readers:
            self.stack.enter_context(reader)
        return self

    def __exit__(self, kind, *rest):
        self.stack.__exit__(kind, *rest)
        if kind is None:
            self.check()

    def count(self):
        return sum(reader.count for reader in self.readers)

    def sweeps(self):
        return [sweep for reader in self.readers for sweep in reader.sweeps]

    def check(self):
        """No text was torn, and what is always there never was missing."""
        for reader in self.readers:
            self.test.assertEqual(reader.torn, set(), "torn")
            self.test.assertEqual(reader.absent, set(), "missing")
            self.test.assertEqual(reader.odd, [])

    def check_sets(self, sets):
        """Every sweep was one of the sets {id: text}, whole, with nothing of another."""
        for sweep in self.sweeps():
            there = {name: text for name, text in sweep.texts.items() if text is not None}
            if there not in sets:
                revs = collections.Counter(map(rev_of, there.values()))
                self.test.fail(f"a set that never was: {len(there)} prompts, of {dict(revs)}")


# Tools

def need(test, tool, package):
    """Skip the test, saying what to install, where a program is missing."""
    if shutil.which(tool) is None:
        test.skipTest(f"{tool} is missing: install {package}")


def tool_environment(scratch):
    """No configuration of the user's, no display. TMPDIR is not the scratch directory itself, as editors
    take all that lies below TMPDIR for temporary files."""
    for name in ("home", "tmp"):
        (scratch / name).mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(scratch / "home"), "TMPDIR": str(scratch / "tmp"),
            "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh", "TERM": "vt100"}


def run(*command, **kwargs):
    """Run a command that must do well."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def exchange(one, other):
    """Let two names change places in one step (renameat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, rename_exchange = -100, 2
    if libc.renameat2(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other),
                      rename_exchange) != 0:
        raise OSError(ctypes.get_errno(), "renameat2", str(one))


def is_sanitized():
    """Whether the program has a sanitizer inside, which stands neither failing memory nor a lack of
    /proc."""
    data = Path(binary()).read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


def end_process(process):
    """End a process of our own, which stops what it does on the first signal."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


# Mounts of the server's own

NAMESPACE = ["-m"] if IS_ROOT else ["-Urm"]


def own_mounts(test, setup=""):
    """How to run promptd with mounts that nobody else sees, for serve(wrapper=…): after a shell
    text that makes the first of them."""
    for tool, package in (("unshare", "util-linux"), ("nsenter", "util-linux"), ("mount", "mount")):
        need(test, tool, package)
    if subprocess.run(["unshare", *NAMESPACE, "true"], capture_output=True,
                      check=False).returncode != 0:
        test.skipTest("no mounts of one's own here: run as root, or allow user namespaces")
    return ["unshare", *NAMESPACE, "sh", "-ec", setup + '\nexec "$@"', "sh"]


def in_mounts_of(server, script):
    """Run a shell text that sees and changes the mounts of a server."""
    user = [] if IS_ROOT else ["-U", "--preserve-credentials"]
    return run("nsenter", "-t", str(server.process.pid), "-m", *user, "sh", "-ec", script)


# Slowed and failing system calls

def strace_works(test):
    need(test, "strace", "strace")
    look_inside(test)
    if subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True,
                      check=False).returncode != 0:
        test.skipTest("strace may not trace here: run as root, or with kernel.yama.ptrace_scope=0")


def calls(names):
    """Names of system calls for strace; those that a machine does not have are passed over."""
    return ",".join("?" + name for name in names)


def start_strace(arguments):
    """Start an strace that attaches to what runs, and wait until it has."""
    process = subprocess.Popen(["strace", *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if " attached" in line:
            return process
        if process.poll() is not None or "attach" in line:
            break
    end_process(process)
    raise AssertionError("strace could not attach")


def reload_thread(server):
    """The thread of a server that looks at files: the one that opens some when it is told to."""
    if hasattr(server, "reload_thread"):
        return server.reload_thread
    with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
        process = start_strace(["-f", "-o", log.name, "-e", "trace=" + calls(["openat", "openat2"]),
                                "-p", str(server.process.pid)])
        try:
            def find():
                server.signal(signal.SIGHUP)
                return re.search(r"^(\d+) +openat", Path(log.name).read_text(encoding="utf-8"),
                                 re.MULTILINE)

            server.reload_thread = int(wait_until(find, "a thread opens a directory").group(1))
        finally:
            end_process(process)
    return server.reload_thread


@contextlib.contextmanager
def injected(server, *faults):
    """Let system calls of a server's reload thread fail or take long, for the length of a block.
    Each fault is (names of calls, what strace does to them): `error=EIO:when=3+2`,
    `delay_enter=20ms`, … Some of them must have been made in the block."""
    every = calls(name for names, _ in faults for name in names)
    what = [part for names, action in faults for part in ("-e", f"inject={calls(names)}:{action}")]
    thread = reload_thread(server)
    with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
        process = start_strace(["-o", log.name, "-e", f"trace={every}", *what, "-p", str(thread)])
        try:
            yield
        finally:
            end_process(process)
        if not re.search(r"\((INJECTED|DELAYED)\)|--- SIGSTOP",
                         Path(log.name).read_text("utf-8", "replace")):
            raise AssertionError(f"no {every} was made that could meet {what}")


@contextlib.contextmanager
def failing(server, call, path, action):
    """Let a system call of the reload thread that names a path fail, for the length of a block."""
    process = start_strace(["-o", "/dev/null", "-P", path, "-e", f"trace={call}",
                            "-e", f"inject={call}:{action}", "-p", str(reload_thread(server))])
    try:
        yield
    finally:
        end_process(process)


def stands_still(server):
    """Whether a server has taken the SIGSTOP that strace sent one of its threads."""
    stats = [path.read_text(encoding="utf-8")
             for path in Path(f"/proc/{server.process.pid}/task").glob("*/stat")]
    states = [text.rpartition(")")[2].split()[0] for text in stats]
    return states.count("t") == 1 and set(states) == {"T", "t"}


def cpu_seconds(server):
    """The CPU time that all threads of a server have had."""
    tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9


def traced_from_the_start(arguments):
    """How to run promptd under an strace, for serve(wrapper=…). To be ended by stop_tracing."""
    return ["strace", "-D", "-f", *arguments]


def stop_tracing(server):
    """End a server's strace, which heeds no other signal: no leak sanitizer works beside it."""
    def tracer():
        lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"^TracerPid:\s*(\d+)", lines, re.MULTILINE).group(1))

    if tracer():
        os.kill(tracer(), signal.SIGKILL)
    wait_until(lambda: tracer() == 0, "nobody traces the server")
