"""A promptd, a LiteLLM proxy and a fake OpenAI for the tests beside.

    python3 -m venv VENV && VENV/bin/pip install --require-hashes --no-deps -r requirements.txt
    PROMPTD=/path/to/promptd VENV/bin/python -m unittest discover -v -s tests/litellm
"""

import http.client
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import loopback

DEADLINE_S = 60
LOOPBACK = loopback.ADDRESS
HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / "tools/litellm"

# While it is imported, LiteLLM downloads a table of prices and, unless in production mode, reads
# the nearest .env file. A proxy in the environment would be asked for loopback addresses too.
ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "NO_PROXY": LOOPBACK,
    "no_proxy": LOOPBACK,
}


def stay_on_loopback():
    """To be called before litellm is imported."""
    os.environ.update(ENVIRONMENT)
    loopback.install()


def refuse_attempts():
    """Fail if something of this process tried to leave loopback."""
    if loopback.attempts:
        raise AssertionError(f"LiteLLM tried to leave loopback: {loopback.attempts}")


def promptd_program():
    program = os.environ.get("PROMPTD", "")
    if not os.access(program, os.X_OK):
        raise AssertionError("PROMPTD must hold the path of the promptd program")
    return program


def write_files(directory, files):
    """Write files, by name; each is the old one or the new one at any time."""
    for name, text in files.items():
        path = Path(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        part.write_text(text, encoding="utf-8")
        part.chmod(0o600)
        part.replace(path)


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Wait until condition() is true, and return that value."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.02)
    return value


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode("utf-8")

    @property
    def json(self):
        return json.loads(self.text)

    @property
    def error(self):
        return self.json["error"]["message"]


def request(url, method, path, body=None, token=None, timeout_s=DEADLINE_S):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def chat_completion(body):
    message = {"role": "assistant", "content": "Certainly."}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}


def chat_chunks(body):
    for delta, reason in (({"role": "assistant", "content": "Certainly."}, None), ({}, "stop")):
        yield {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
               "model": body["model"],
               "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def model_response(body):
    text = {"type": "output_text", "text": "Certainly.", "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
               "content": [text]}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
            "model": body["model"], "output": [message], "parallel_tool_calls": False,
            "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "temperature": None, "top_p": None,
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}


def model_response_events(body):
    response = model_response(body)
    yield {"type": "response.created", "sequence_number": 0,
           "response": {**response, "status": "in_progress", "output": []}}
    yield {"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1",
           "output_index": 0, "content_index": 0, "delta": "Certainly."}
    yield {"type": "response.completed", "sequence_number": 2, "response": response}


class FakeOpenAI:
    """Answers every chat completion and response, and keeps the request bodies."""

    STREAMS = {"/v1/chat/completions": chat_chunks, "/v1/responses": model_response_events}
    ANSWERS = {"/v1/chat/completions": chat_completion, "/v1/responses": model_response}

    def __init__(self):
        self.bodies = bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path not in FakeOpenAI.ANSWERS:
                    self.send_error(404)
                    return
                bodies.append(json.loads(body))
                if bodies[-1].get("stream"):
                    chunks = FakeOpenAI.STREAMS[self.path](bodies[-1])
                    answer = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
                    answer += "data: [DONE]\n\n"
                    kind = "text/event-stream"
                else:
                    answer = json.dumps(FakeOpenAI.ANSWERS[self.path](bodies[-1]))
                    kind = "application/json"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def log(self):
        return ""

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Promptd:
    """A running promptd, that is ready."""

    def __init__(self, directory, *options, port=0):
        self.lines = []
        self.queue = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [promptd_program(), "--listen", f"{LOOPBACK}:{port}", *options, str(directory)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        # A thread reads to the end, so that a talkative server never blocks on a full pipe.
        self.reader = threading.Thread(target=self.read_log)
        self.reader.start()
        try:
            self.url = self.wait_for_address()
            wait_until(lambda: request(self.url, "GET", "/ready").status == 200,
                       "promptd is ready")
        except BaseException:
            self.process.kill()
            self.stop()
            raise

    def read_log(self):
        with self.process.stderr as stderr:
            for line in stderr:
                self.lines.append(line)
                self.queue.put(line)
        self.queue.put(None)

    def wait_for_address(self):
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                line = self.queue.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"promptd does not listen after {DEADLINE_S} s") from None
            if line is None:
                raise AssertionError(f"promptd ended before it listened:\n{self.log()}")
            address = address_in(line)
            if address is not None:
                return address

    @property
    def port(self):
        return urlsplit(self.url).port

    def get(self, path, token=None):
        return request(self.url, "GET", path, token=token)

    def log(self):
        return "".join(self.lines)

    def stop(self):
        """Ask promptd to end; it must do so in peace."""
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        if self.process.returncode != 0:
            raise AssertionError(f"promptd's exit status is {self.process.returncode}")


def address_in(line):
    """Return the address that this log line announces, or None."""
    try:
        message = json.loads(line)["msg"]
    except (ValueError, KeyError, TypeError):
        return None
    before, found, address = str(message).partition("listening on ")
    return address.split()[0] if found else None


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


class Proxy:
    """A running LiteLLM proxy. Its directory holds config.yaml and what that names."""

    KEY = "sk-for-the-tests-5d2d1c0b7f3a4e69"

    def __init__(self, directory, environment=None, workers=1):
        self.directory = Path(directory)
        write_files(directory, {"sitecustomize.py": "import loopback\nloopback.install()\n"})
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self.log_path = self.directory / "proxy.log"
        paths = os.pathsep.join((str(self.directory), str(HERE)))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("litellm"), "--config", "config.yaml",
                 "--host", LOOPBACK, "--port", str(port), "--num_workers", str(workers)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                start_new_session=True,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1",
                     "LITELLM_MASTER_KEY": self.KEY, **(environment or {})})

    def wait_ready(self):
        try:
            wait_until(self.is_ready, "the LiteLLM proxy is ready", 3 * DEADLINE_S)
        except BaseException:
            print(self.log(), file=sys.stderr)
            self.stop()
            raise
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the LiteLLM proxy ended with {self.process.returncode}")
        try:
            return request(self.url, "GET", "/health/liveliness").status == 200
        except OSError:
            return False

    def post(self, path, body, key=None):
        return request(self.url, "POST", path, body, key or self.KEY)

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait(self):
        """Wait for the end of the process, and return its exit status."""
        try:
            return self.process.wait(3 * DEADLINE_S)
        finally:
            self.kill()

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        if loopback.MARK in self.log():
            raise AssertionError("LiteLLM tried to leave loopback, see its log")


def copy_companion(directory):
    shutil.copy(TOOLS / "promptd_companion.py", directory)


class TestCase(unittest.TestCase):
    """A test that shows the logs of what it uses when it fails."""

    shared = ()  # what the class started

    def run(self, result=None):
        self.started = list(self.shared)
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for thing in self.started:
                print(f"\n{type(thing).__name__}'s log in {self.id()}:\n{thing.log()[-200000:]}",
                      file=sys.stderr)
        return result

    def start(self, thing):
        self.started.append(thing)
        self.addCleanup(thing.stop)
        return thing

    @classmethod
    def start_for_all(cls, thing):
        cls.shared = (*cls.shared, thing)
        cls.addClassCleanup(thing.stop)
        return thing

    @classmethod
    def directory_for_all(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        return Path(directory.name)
