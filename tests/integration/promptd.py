"""A promptd of a test's own: its directory, its process, and the ways to ask it."""
import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from urllib.parse import quote, urlencode

import contract

PROMPTS_D = Path(__file__).resolve().parents[2] / "prompts.d"
LITELLM = "/beta/litellm_prompt_management"
DEADLINE = 10.0  # seconds; generous, because sanitizers are slow
STOP_DEADLINE = 30.0  # a drain alone may take ten
POLL = 0.005
LISTENING = re.compile(r"listening on https?://127\.0\.0\.1:(\d+)")


def binary():
    """The program under test; absolute, because some tests start it in another directory."""
    path = os.environ.get("PROMPTD")
    if not path or not os.path.isabs(path):
        raise RuntimeError("set PROMPTD to the absolute path of the promptd to test")
    return path


@functools.cache
def is_instrumented():
    """Whether the program has inside what the sandbox takes away: sanitizers look into /proc, and coverage is
    written down at the end."""
    data = Path(binary()).read_bytes()
    return any(mark in data for mark in (b"__asan_init", b"__tsan_init", b".gcda"))


def clean_environment(extra=None):
    """The environment without options of promptd that the caller happens to have set."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PROMPTD")}
    if is_instrumented():
        env["PROMPTD_SANDBOX"] = "off"
    env.update(extra or {})
    return env


def look_inside(test):
    """Let a test see what /proc tells of its servers, and trace them. The sandbox hides that from all but root."""
    if os.geteuid() != 0:
        test.server_env = {"PROMPTD_SANDBOX": "off"}


def as_somebody_else(test):
    """How to run promptd as a user who is not root, for Promptd(**...): root may read everything. The
    program is a copy, as the build may lie where others cannot look; if it counts what it covers,
    it cannot do so there and would complain."""
    if os.geteuid() != 0:
        return {"wrapper": [], "program": binary()}
    if shutil.which("setpriv") is None:
        test.skipTest("setpriv is missing: install util-linux")
    folder = tempfile.mkdtemp(prefix="promptd-")
    test.addCleanup(shutil.rmtree, folder)
    os.chmod(folder, 0o1777)
    return {"wrapper": ["env", f"GCOV_PREFIX={folder}",
                        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            "program": shutil.copy(binary(), folder)}


def wait_until(predicate, what, deadline=DEADLINE):
    """Poll until the predicate holds and return its value. The only place that sleeps."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(POLL)


def pause(seconds):
    """Let time pass, as a slow writer does; nothing may be concluded from its length."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "the time is over")


def prompt(text, **keys):
    """The text of a YAML file with one prompt; JSON values are YAML too."""
    keys = {"prompt_template": text, **keys}
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())


def block_prompt(text):
    """The same prompt in lines, of which any first part is a good file too."""
    return "prompt_template: |-\n" + "".join(f"  {line}\n" for line in text.split("\n"))


def compact(value):
    """The bytes of JSON as the mock and promptd write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def with_query(path, **query):
    return path + "?" + urlencode(query) if query else path


def litellm_path(prompt_id, **query):
    return with_query(LITELLM, prompt_id=prompt_id, **query)


def prompt_path(prompt_id, verb=None):
    """The path of a prompt, with everything in its id encoded, slashes too."""
    return "/prompts/" + quote(prompt_id, safe="") + (f"/{verb}" if verb else "")


class Response:
    def __init__(self, status, reason, headers, body):
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def detail(self):
        return self.json["detail"]

    @property
    def text(self):
        """The content of a prompt's first message."""
        return self.json["prompt_template"][0]["content"]

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class RawConnection:
    """A socket that sends exactly the bytes it is told to and reads replies one by one. As long as what it
    sends are requests, the replies are those of the contract."""

    REQUEST = re.compile(rb"(GET|HEAD|POST) (\S+) HTTP/1\.[01]\r\n(.*?)\r\n\r\n", re.DOTALL)

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.buffered = b""
        self.sent = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        if self.sent is not None:
            self.sent += data
        self.socket.sendall(data)

    def _next_request(self):
        """(method, target) of the next request that was sent; None from the first on that is none."""
        request = self.REQUEST.match(self.sent) if self.sent else None
        if request is None or b"\r\n\r\n" in request[3]:
            self.sent = None
            return None
        length = re.search(rb"^content-length: *(\d+)\s*$", request[3], re.IGNORECASE | re.MULTILINE)
        self.sent = self.sent[request.end() + int(length[1] if length else 0):]
        return request[1].decode(), request[2].decode("latin-1")

    def _receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the server closed the connection after {self.buffered!r}")
        self.buffered += data

    def read_reply(self, to_head=False):
        while b"\r\n\r\n" not in self.buffered:
            self._receive()
        head, _, self.buffered = self.buffered.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        _, status, reason = lines[0].split(" ", 2)
        headers = http.client.HTTPMessage()
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        length = int(headers.get("Content-Length", 0))
        if to_head or status == "304":
            length = 0
        while len(self.buffered) < length:
            self._receive()
        body, self.buffered = self.buffered[:length], self.buffered[length:]
        response = Response(int(status), reason, headers, body)
        request = self._next_request()
        if request is not None:
            contract.check(*request, response.status, headers, body)
        return response

    def read_to_end(self):
        """All bytes until the server ends the connection."""
        with contextlib.suppress(EOFError):
            while True:
                self._receive()
        return self.buffered

    def is_closed(self):
        """Whether the server ends the connection without a further byte."""
        try:
            return self.buffered == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


class Promptd:
    """A running promptd; as a context manager it ends with SIGTERM and must then exit with 0.

    files: {relative path: text} to begin with. directory: serve this one instead of an own.
    wrapper: a command that ends in exec of its arguments, such as setpriv. program: another promptd.
    command: the whole command, which must listen on any free port of loopback.
    """

    pass_fds = ()  # descriptors that it inherits

    def __init__(self, *args, files=None, directory=None, env=None, wrapper=(),
                 program=None, command=None):
        self.args = args
        self.files = files or {}
        self.temporary = None
        self.directory = Path(directory) if directory else None
        self.env = env
        self.wrapper = list(wrapper)
        self.program = program or binary()
        self.command = command
        self.process = None
        self.port = None
        self.lines = []
        self.reader = None

    def __enter__(self):
        self.make_directory()
        try:
            self.start()
        except BaseException:
            self.clean_up()
            raise
        return self

    def __exit__(self, kind, *_):
        try:
            self.stop()
        except AssertionError:
            self.print_log()
            raise
        finally:
            self.clean_up()
        if kind is not None:
            self.print_log()

    # The process

    def make_directory(self):
        self.temporary = Path(tempfile.mkdtemp(prefix="promptd-test-"))
        self.temporary.chmod(0o755)
        if self.directory is None:
            self.directory = self.temporary / "prompts"
            self.directory.mkdir()
        for path, text in self.files.items():
            self.write(path, text)

    def start(self):
        command = self.command or [*self.wrapper, self.program, "--listen", "127.0.0.1:0",
                                   *self.args, str(self.directory)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=clean_environment(self.env), cwd=self.temporary, pass_fds=self.pass_fds)
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()
        try:
            self.port = wait_until(self._find_port, "the line that says where it listens",
                                   STOP_DEADLINE)
        except AssertionError:
            self.process.kill()
            self.process.wait()
            self.print_log()
            raise

    def _collect(self):
        for line in self.process.stderr:
            self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))

    def _find_port(self):
        for message in self.messages():
            found = LISTENING.fullmatch(message)
            if found:
                return int(found.group(1))
        if self.process.poll() is not None:
            self.reader.join()
            raise AssertionError(f"promptd ended with {self.process.returncode} at its start")
        return None

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        """Stop the process; returns once every thread stands (kill(2) does not wait for that)."""
        self.signal(signal.SIGSTOP)
        wait_until(self._stands_still, "every thread stands")

    def thaw(self):
        self.signal(signal.SIGCONT)

    def _stands_still(self):
        try:
            stats = [stat.read_text(encoding="utf-8")
                     for stat in Path(f"/proc/{self.process.pid}/task").glob("*/stat")]
        except OSError:  # a thread ended
            return False
        return {stat.rpartition(")")[2].split()[0] for stat in stats} == {"T"}

    def restart(self):
        self.stop()
        self.process.stderr.close()
        self.lines.clear()
        self.start()

    def wait_for_exit(self, deadline=STOP_DEADLINE):
        """Wait for the end of the process; past the deadline it is killed and the test fails."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"promptd did not end within {deadline:g} s of SIGTERM") from None
        self.reader.join(DEADLINE)
        return status

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait_for_exit()
        if status != 0:
            raise AssertionError(f"promptd ended with status {status}, not 0")

    def clean_up(self):
        if self.process is not None and self.process.stderr is not None:
            self.process.stderr.close()
        shutil.rmtree(self.temporary, ignore_errors=True)

    # The log

    def log_lines(self):
        return list(self.lines)

    def messages(self):
        """The msg of each JSON line of the log; other lines, such as a sanitizer's, as they are."""
        found = []
        for line in self.log_lines():
            try:
                found.append(json.loads(line)["msg"])
            except (ValueError, KeyError, TypeError):
                found.append(line)
        return found

    def print_log(self):
        print(f"--- log of promptd {' '.join(self.args)} {self.directory}", file=sys.stderr)
        for line in self.log_lines():
            print(line, file=sys.stderr)
        print("--- end of log", file=sys.stderr)

    # The files

    def path(self, relative):
        return self.directory / relative

    def write(self, relative, text):
        """Write a file in place, as an editor without safe-writing does."""
        path = self.path(relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def replace(self, relative, text):
        """Write a file beside it and rename it over, as safe-writing editors do."""
        path = self.path(relative)
        new = path.with_name("." + path.name + ".new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.replace(new, path)
        return path

    def remove(self, relative):
        self.path(relative).unlink()

    def file_names(self):
        """Everything below the directory, as relative paths, hidden names too."""
        return sorted(str(p.relative_to(self.directory)) for p in self.directory.rglob("*"))

    # Requests

    @contextlib.contextmanager
    def connection(self):
        # A server that gives a request up says so after ten seconds.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.5 * DEADLINE)
        try:
            yield connection
        finally:
            connection.close()

    def request(self, method, path, body=None, headers=None):
        with self.connection() as connection:
            return ask(connection, method, path, body, headers)

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, value, headers=None):
        """Send JSON; bytes are sent as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request("POST", path, body,
                            {"Content-Type": "application/json", **(headers or {})})

    def litellm(self, prompt_id, **query):
        return self.get(litellm_path(prompt_id, **query))

    def raw_connection(self, receive_buffer=None):
        return RawConnection(self.port, receive_buffer)

    def raw(self, data, replies=1):
        """Send bytes over a connection of their own and read so many replies."""
        with self.raw_connection() as connection:
            connection.send(data)
            return [connection.read_reply() for _ in range(replies)]

    # What is served

    def text_of(self, prompt_id):
        """The first message of a prompt, or None where it is not served."""
        response = self.litellm(prompt_id)
        return response.text if response.status == 200 else None

    def revision(self):
        return self.get("/health").json["revision"]

    def problems(self):
        return [p if isinstance(p, str) else json.dumps(p)
                for p in self.get("/health").json["problems"]]

    def wait_for_text(self, prompt_id, text):
        wait_until(lambda: self.text_of(prompt_id) == text,
                   f"{prompt_id} is served as {text[:60]!r}")

    def wait_until_gone(self, prompt_id):
        # A deletion is held for a while, and longer where it empties the directory.
        wait_until(lambda: self.litellm(prompt_id).status == 404, f"{prompt_id} is gone",
                   deadline=2 * DEADLINE)

    def wait_for_problem(self, part):
        return wait_until(lambda: [p for p in self.problems() if part in p],
                          f"a problem that names {part}")[0]


def ask(connection, method, path, body=None, headers=None):
    """One request over a connection of http.client that may serve further ones."""
    connection.request(method, path, body=body, headers=headers or {})
    reply = connection.getresponse()
    answer = Response(reply.status, reply.reason, reply.headers, reply.read())
    contract.check(method, path, answer.status, answer.headers, answer.body)
    return answer


def why_no_namespaces():
    """Why a small disk of one's own cannot be had; empty where it can."""
    try:
        tried = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True,
            text=True, check=False, env=clean_environment())
    except FileNotFoundError:
        return "unshare is missing: install util-linux"
    if tried.returncode == 0:
        return ""
    return ("a user and mount namespace cannot be had (allow kernel.unprivileged_userns_clone, or "
            "run as root): " + tried.stderr.strip())


class ServerTest(unittest.TestCase):
    """A test that starts servers; where it fails, their logs are printed."""

    def run(self, result=None):
        self.servers = list(getattr(type(self), "shared_servers", []))
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for server in self.servers:
                server.print_log()
        return result

    server_env = {}  # of all servers, unless they say otherwise

    def serve(self, *args, **kwargs):
        """Start a promptd that is stopped, and must end well, after the test."""
        server = Promptd(*args, **kwargs)
        server.env = {**self.server_env, **(server.env or {})}
        server.__enter__()
        self.servers.append(server)
        self.addCleanup(server.__exit__, None, None, None)
        return server

    @classmethod
    def serve_for_class(cls, *args, **kwargs):
        """Start a promptd that all tests of a class share; they must only read."""
        server = Promptd(*args, **kwargs)
        server.__enter__()
        cls.shared_servers = [*getattr(cls, "shared_servers", []), server]
        cls.addClassCleanup(server.__exit__, None, None, None)
        return server

    def serve_on_small_disk(self, size):
        """A writable server whose directory is a file system of so many bytes, which nobody else sees."""
        reason = why_no_namespaces()
        if reason:
            self.skipTest(reason)
        script = 'for last; do :; done; mount -t tmpfs -o size=%s tmpfs "$last" && exec "$@"' % size
        server = self.serve("--writable", wrapper=["unshare", "-rm", "sh", "-c", script, "sh"])
        inside = Path(f"/proc/{server.process.pid}/root") / server.directory.relative_to("/")
        server.directory = inside
        return server

    def assert_detail(self, response, status, part=""):
        """An error is JSON with a detail that is a text."""
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/json")
        self.assertEqual(list(response.json), ["detail"])
        self.assertIsInstance(response.detail, str)
        self.assertIn(part, response.detail)

    def assert_invalid(self, response, *location):
        """A 422 in the mock's form; one of its items is about the location, if that is given."""
        self.assertEqual(response.status, 422, response)
        self.assertIsInstance(response.detail, list)
        self.assertTrue(response.detail)
        for item in response.detail:
            self.assertEqual(list(item), ["loc", "msg", "type"])
        if location:
            self.assertIn(list(location), [item["loc"] for item in response.detail])


def run_threads(count, work):
    """Run work(0), work(1), … at once and pass on the first exception."""
    failures = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:  # a thread must not swallow an assertion
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class ReloadTest(ServerTest):
    def pass_barrier(self, server):
        """Return when a change that was made after everything so far is served."""
        self.barriers = getattr(self, "barriers", 0) + 1
        text = f"barrier {self.barriers}"
        server.replace("zz-barrier.yaml", prompt(text))
        server.wait_for_text("zz-barrier", text)

    def assert_saw(self, observer, *expected):
        """Nothing but these answers came, in this order; a short-lived one may have been missed."""
        self.assertEqual(observer.answers, [e for e in expected if e in observer.answers])
        self.assertEqual(observer.answers[-1], expected[-1])


class Observer(threading.Thread):
    """Asks for one path all the time, as a context manager, and keeps each answer that differs
    from the one before."""

    def __init__(self, server, path, key):
        super().__init__()
        self.server, self.path_asked, self.key = server, path, key
        self.answers, self.failure = [], None
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        wait_until(lambda: self.answers or self.failure, "a first answer")
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def run(self):
        try:
            with self.server.connection() as connection:
                is_last = False
                while not is_last:
                    is_last = self.ended.is_set()  # one more request, so that the end is seen
                    answer = self.key(ask(connection, "GET", self.path_asked))
                    if not self.answers or self.answers[-1] != answer:
                        self.answers.append(answer)
        except BaseException as error:  # told to the test when it leaves the block
            self.failure = error


def text_or_status(response):
    return response.text if response.status == 200 else response.status
