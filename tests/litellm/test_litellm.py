"""The real LiteLLM SDK against a running promptd.

    python3 -m venv VENV && VENV/bin/pip install --require-hashes -r requirements.txt
    PROMPTD=/path/to/promptd VENV/bin/python -m unittest discover -v -s tests/litellm

LiteLLM fetches the prompts from promptd and sends its chat completions to a fake OpenAI endpoint;
the tests look at what that endpoint received.
"""

import asyncio
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE_S = 30
LOOPBACK = "127.0.0.1"

outside = []


def refuse_outside(event, args):
    """Audit hook: let no socket of this process leave loopback, and note each attempt."""
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if host not in (LOOPBACK, LOOPBACK.encode()):
        outside.append(f"{event} {host}")
        raise ConnectionRefusedError(f"{event}: {host} is not loopback")


# While it is imported, LiteLLM downloads a table of prices and, unless in production mode, reads
# the nearest .env file. A proxy in the environment would be asked for loopback addresses too.
for name in ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "BLOG_POSTS"):
    os.environ[f"LITELLM_LOCAL_{name}"] = "True"
os.environ["LITELLM_MODE"] = "PRODUCTION"
os.environ["NO_PROXY"] = os.environ["no_proxy"] = LOOPBACK
sys.addaudithook(refuse_outside)

import litellm  # noqa: E402
from litellm.integrations.generic_prompt_management import GenericPromptManager  # noqa: E402
from litellm.llms.custom_httpx.async_client_cleanup import (  # noqa: E402
    close_litellm_async_clients,
)
from litellm.types.utils import StandardCallbackDynamicParams  # noqa: E402

litellm.suppress_debug_info = True

PROMPTS = {
    "greet.v1.yaml": """\
prompt_id: greet
prompt_template:
  - role: system
    content: You are the first greeter.
prompt_template_model: gpt-4
""",
    "greet.v2.yaml": """\
prompt_id: greet
version: 2
prompt_template:
  - role: system
    content: You are a helpful assistant specialized in {domain}.
  - role: user
    content: "Help me with: {task}"
prompt_template_model: gpt-4-turbo
prompt_template_optional_params:
  temperature: 0.25
  max_tokens: 500
""",
    "double.yaml": """\
prompt_id: double
prompt_template:
  - role: user
    content: Dear {{name}}, are you {{ name }}?
""",
    "farewell.json": """\
{
  "prompt_id": "farewell",
  "prompt_template": [{"role": "assistant", "content": "Goodbye, {name}: \\u00e0 bient\\u00f4t."}],
  "prompt_template_model": "gpt-3.5-turbo"
}
""",
}

GREET = [
    {"role": "system", "content": "You are a helpful assistant specialized in {domain}."},
    {"role": "user", "content": "Help me with: {task}"},
]
GREET_FILLED = [
    {"role": "system", "content": "You are a helpful assistant specialized in tea."},
    {"role": "user", "content": "Help me with: the kettle"},
]
VARIABLES = {"domain": "tea", "task": "the kettle"}
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Well?"}]


class FakeOpenAI:
    """Answers every chat completion and keeps the request bodies."""

    def __init__(self):
        self.bodies = bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != "/v1/chat/completions":
                    self.send_error(404)
                    return
                bodies.append(json.loads(body))
                message = {"role": "assistant", "content": "Certainly."}
                answer = json.dumps({
                    "id": "chatcmpl-1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": bodies[-1]["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                }).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Promptd:
    """A running promptd; its log is in .log, its address in .url once wait_ready() has returned."""

    def __init__(self, directory):
        self.log = []
        self.url = None
        self.lines = queue.SimpleQueue()
        self.process = subprocess.Popen(
            [os.environ["PROMPTD"], "--listen", f"{LOOPBACK}:0", "--dev", str(directory)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        # A thread reads to the end, so that a talkative server never blocks on a full pipe.
        self.reader = threading.Thread(target=self.read_log)
        self.reader.start()

    def read_log(self):
        with self.process.stderr as stderr:
            for line in stderr:
                self.log.append(line)
                self.lines.put(line)
        self.lines.put(None)

    def wait_ready(self):
        deadline = time.monotonic() + DEADLINE_S
        while self.url is None:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"promptd does not listen after {DEADLINE_S} s") from None
            if line is None:
                raise AssertionError("promptd ended before it listened")
            self.url = address_in(line)
        while self.get_status("/ready") != 200:
            if time.monotonic() > deadline:
                raise AssertionError(f"promptd is not ready after {DEADLINE_S} s")
            time.sleep(0.01)

    def get_status(self, path):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self):
        """Ask promptd to end and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        return self.process.returncode


def address_in(line):
    """Return the address that this log line announces, or None."""
    try:
        message = json.loads(line)["msg"]
    except (ValueError, KeyError, TypeError):
        return None
    before, found, address = str(message).partition("listening on ")
    return address.split()[0] if found else None


def setUpModule():
    if not os.access(os.environ.get("PROMPTD", ""), os.X_OK):
        raise AssertionError("PROMPTD must hold the path of the promptd program")
    # Here and not at import time, as unittest sets the filters anew when it starts the tests.
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier", module="pydantic")


def tearDownModule():
    if outside:
        raise AssertionError(f"LiteLLM tried to leave loopback: {outside}")


class LiteLLMTest(unittest.TestCase):
    def run(self, result=None):
        """Run the test; if it fails, show what promptd said meanwhile."""
        self.promptd = None
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if self.promptd and len(result.failures) + len(result.errors) > before:
            print(f"\npromptd's log in {self.id()}:\n{''.join(self.promptd.log)}", file=sys.stderr)
        return result

    def setUp(self):
        # LiteLLM copies litellm.callbacks into further lists, where it would find an old manager.
        litellm.logging_callback_manager._reset_all_callbacks()
        self.addCleanup(litellm.logging_callback_manager._reset_all_callbacks)

        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name, text in PROMPTS.items():
            Path(directory.name, name).write_text(text, encoding="utf-8")
        self.openai = FakeOpenAI()
        self.addCleanup(self.openai.stop)
        self.promptd = Promptd(directory.name)
        self.addCleanup(lambda: self.assertEqual(self.promptd.stop(), 0, "promptd's exit status"))
        self.promptd.wait_ready()

    def use_promptd(self, **options):
        """Register promptd with LiteLLM. A new manager every time: each caches for ever."""
        options.setdefault("api_key", "test-token-12345")
        manager = GenericPromptManager(api_base=self.promptd.url, **options)
        litellm.callbacks = [manager]
        return manager

    def arguments(self, prompt_id, variables=None):
        return {"model": "openai/gpt-4o-mini", "messages": list(ASKED), "prompt_id": prompt_id,
                "prompt_variables": variables, "api_base": self.openai.url, "api_key": "none",
                "max_retries": 0}

    def complete(self, *args):
        """Make a chat completion and return the one body that OpenAI received."""
        litellm.completion(**self.arguments(*args))
        return self.the_body()

    def acomplete(self, *args):
        """The same by acompletion()."""
        async def complete():
            try:
                await litellm.acompletion(**self.arguments(*args))
            finally:
                await close_litellm_async_clients()

        asyncio.run(complete())
        return self.the_body()

    def the_body(self):
        self.assertEqual(len(self.openai.bodies), 1)
        return self.openai.bodies[0]

    def test_messages_come_before_the_callers(self):
        self.use_promptd()
        self.assertEqual(self.complete("greet")["messages"], GREET + ASKED)

    def test_no_token_is_fine(self):
        self.use_promptd(api_key=None)
        self.assertEqual(self.complete("greet")["messages"], GREET + ASKED)

    def test_variables_are_filled_in(self):
        self.use_promptd()
        self.assertEqual(self.complete("greet", VARIABLES)["messages"], GREET_FILLED + ASKED)

    def test_model_of_the_prompt_is_used(self):
        self.use_promptd()
        self.assertEqual(self.complete("greet")["model"], "gpt-4-turbo")

    def test_model_of_the_caller_is_kept_if_the_prompt_has_none(self):
        self.use_promptd()
        self.assertEqual(self.complete("double")["model"], "gpt-4o-mini")

    def test_double_braces_are_filled_in(self):
        # LiteLLM itself would make {Ada} of {{name}}, and would leave {{ name }}.
        self.use_promptd()
        self.assertEqual(self.complete("double", {"name": "Ada"})["messages"],
                         [{"role": "user", "content": "Dear Ada, are you Ada?"}] + ASKED)

    def test_prompt_in_a_json_file(self):
        self.use_promptd()
        body = self.complete("farewell", {"name": "Ada"})
        self.assertEqual(body["messages"],
                         [{"role": "assistant", "content": "Goodbye, Ada: à bientôt."}] + ASKED)
        self.assertEqual(body["model"], "gpt-3.5-turbo")

    def test_pinned_version(self):
        self.use_promptd(additional_provider_specific_query_params={"version": "1"})
        body = self.complete("greet")
        self.assertEqual(body["messages"],
                         [{"role": "system", "content": "You are the first greeter."}] + ASKED)
        self.assertEqual(body["model"], "gpt-4")

    def test_parameters_of_the_prompt_reach_the_client(self):
        # completion() drops them; the LiteLLM proxy, which asks the manager itself, applies them.
        manager = self.use_promptd()
        model, messages, params = manager.get_chat_completion_prompt(
            "gpt-4o-mini", list(ASKED), {"temperature": 1.0, "top_p": 0.5}, prompt_id="greet",
            prompt_variables=VARIABLES, dynamic_callback_params=StandardCallbackDynamicParams())
        self.assertEqual(model, "gpt-4-turbo")
        self.assertEqual(messages, GREET_FILLED + ASKED)
        self.assertEqual(params, {"temperature": 0.25, "top_p": 0.5, "max_tokens": 500})

    def test_unknown_id_is_404(self):
        self.use_promptd()
        with self.assertRaisesRegex(ValueError, r"'no-such-prompt'.* '404 Not Found'"):
            self.complete("no-such-prompt")
        self.assertEqual(self.openai.bodies, [])

    def test_wrong_token_is_401(self):
        self.use_promptd(api_key="wrong")
        with self.assertRaisesRegex(ValueError, r"'greet'.* '401 Unauthorized'"):
            self.complete("greet")
        self.assertEqual(self.openai.bodies, [])

    def test_async_puts_the_messages_twice(self):
        # acompletion() runs the prompt's hook, then calls completion(), which runs it again.
        self.use_promptd()
        body = self.acomplete("greet", VARIABLES)
        self.assertEqual(body["messages"], GREET_FILLED + GREET_FILLED + ASKED)
        self.assertEqual(body["model"], "gpt-4-turbo")

    def test_async_unknown_id_is_404(self):
        self.use_promptd()
        with self.assertRaisesRegex(ValueError, r"'no-such-prompt'.* '404 Not Found'"):
            self.acomplete("no-such-prompt")
        self.assertEqual(self.openai.bodies, [])

    def test_async_wrong_token_is_401(self):
        self.use_promptd(api_key="wrong")
        with self.assertRaisesRegex(ValueError, r"'greet'.* '401 Unauthorized'"):
            self.acomplete("greet")
        self.assertEqual(self.openai.bodies, [])


if __name__ == "__main__":
    unittest.main()
