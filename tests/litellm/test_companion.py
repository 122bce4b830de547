"""The companion's own rules, without a proxy: what it keeps, when it asks, and how it fills in."""

import asyncio
import contextlib
import gc
import json
import logging
import random
import sys
import tempfile
import unittest
import warnings
from pathlib import Path
from types import SimpleNamespace

import support
from support import Promptd, write_files

support.stay_on_loopback()
sys.path.insert(0, str(support.TOOLS))

import httpx  # noqa: E402
import promptd_companion as companion  # noqa: E402
from promptd_companion import PromptError, Prompts, Refused, Settings, Unavailable  # noqa: E402


def setUpModule():
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier", module="pydantic")


def tearDownModule():
    support.refuse_attempts()


def answer(text="Hello {name}", etag='"1"', **more):
    """promptd's answer with one message."""
    body = {"prompt_id": "greet", "prompt_template": [{"role": "user", "content": text}],
            "prompt_template_model": None, "prompt_template_optional_params": None,
            "version": None, "labels": [], "project_name": None,
            "variables": {"name": {"required": True}}, **more}
    headers = {"ETag": etag, "Prompts-Revision": f"r{etag}"}
    return httpx.Response(200, json=body, headers=headers)


def detail(status, text="no", **headers):
    return httpx.Response(status, json={"detail": text}, headers=headers)


class Script:
    """A promptd that answers by a script: the last answer goes on for ever. An exception is raised;
    a coroutine function makes the answer."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        step = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(step, Exception):
            raise step
        return await step() if callable(step) else step


REFUSED = httpx.ConnectError("refused")


class PromptsTest(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        self.addCleanup(setattr, companion, "time", companion.time)
        companion.time = clock
        logging.getLogger("LiteLLM Proxy.promptd").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("LiteLLM Proxy.promptd").setLevel, logging.NOTSET)

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # it would tell of every slow step

    def serve(self, *answers, **settings):
        self.script = Script(*answers)
        self.prompts = Prompts(Settings(**settings))
        self.prompts.http = httpx.AsyncClient(transport=httpx.MockTransport(self.script))
        self.addAsyncCleanup(self.prompts.http.aclose)
        return self.prompts

    async def get(self, prompt_id="greet", **selectors):
        prompt = await self.prompts.get(prompt_id, selectors)
        return prompt.answer["prompt_template"][0]["content"]

    async def settle(self):
        """Let what was started in the background end."""
        while self.prompts.flights:
            await asyncio.gather(*self.prompts.flights.values(), return_exceptions=True)
            await asyncio.sleep(0)

    async def test_a_young_prompt_is_not_asked_for_again(self):
        self.serve(answer("one"), answer("two", '"2"'))
        self.assertEqual(await self.get(), "one")
        self.now += 0.9
        self.assertEqual(await self.get(), "one")
        self.assertEqual(len(self.script.requests), 1)

    async def test_past_half_the_ttl_it_is_asked_for_in_the_background(self):
        self.serve(answer("one"), answer("two", '"2"'))
        await self.get()
        self.now += 1.1
        self.assertEqual(await self.get(), "one")
        await self.settle()
        self.assertEqual(await self.get(), "two")
        self.assertEqual(len(self.script.requests), 2)

    async def test_the_age_counts_from_the_question(self):
        async def slow():
            self.now += 1.9
            return answer("one")

        self.serve(slow, answer("two", '"2"'))
        self.assertEqual(await self.get(), "one")
        self.now += 0.2
        self.assertEqual(await self.get(), "two")

    async def test_past_the_ttl_a_request_waits_for_the_new_one(self):
        self.serve(answer("one"), answer("two", '"2"'))
        await self.get()
        self.now += 2.1
        self.assertEqual(await self.get(), "two")

    async def test_an_unchanged_prompt_is_validated_by_its_etag(self):
        unchanged = httpx.Response(304, headers={"ETag": '"1"', "Prompts-Revision": "later"})
        self.serve(answer("one"), unchanged)
        await self.get()
        self.now += 2.1
        self.assertEqual(await self.get(), "one")
        self.assertEqual(self.script.requests[1].headers["If-None-Match"], '"1"')
        self.assertEqual((await self.prompts.get("greet", {})).revisions, {"revision": "later"})
        self.now += 0.9
        await self.get()
        self.assertEqual(len(self.script.requests), 2, "it is young again")

    async def test_many_requests_make_one_flight(self):
        gate = asyncio.Event()

        async def late():
            await gate.wait()
            return answer("one")

        self.serve(late, timeout=10)
        waiting = [asyncio.create_task(self.get()) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # its caller has left: the others still get their answer
        await asyncio.sleep(0)
        gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        self.assertIsInstance(results[0], asyncio.CancelledError)
        self.assertEqual(results[1:], ["one"] * 19)
        self.assertEqual(len(self.script.requests), 1)

    async def test_each_version_and_label_is_a_prompt_of_its_own(self):
        self.serve(answer("one"))
        for selectors in ({}, {"version": "2"}, {"label": "beta"}, {"version": "a b&c"}):
            await self.get("a/b @ü", **selectors)
        self.assertEqual([request.url.raw_path.decode() for request in self.script.requests],
                         ["/prompts/a%2Fb%20%40%C3%BC", "/prompts/a%2Fb%20%40%C3%BC?version=2",
                          "/prompts/a%2Fb%20%40%C3%BC?label=beta",
                          "/prompts/a%2Fb%20%40%C3%BC?version=a+b%26c"])

    async def test_the_last_good_answer_outlives_every_failure(self):
        async def never():
            await asyncio.Event().wait()

        failures = {
            "unreachable": REFUSED, "401": detail(401), "403": detail(403), "429": detail(429),
            "500": detail(500), "503": detail(503), "timeout": never, "redirect": detail(302),
            "a page": httpx.Response(200, text="<html>"), "a list": httpx.Response(200, json=[]),
            "no ETag": httpx.Response(200, json={"prompt_template": [], "variables": {}}),
            "405": detail(405), "421": detail(421),
            "another program's 404": detail(404, "Not Found"),
            "no files": detail(404, "Prompt 'greet' not found. No prompts are loaded"),
            "a balancer's 404": httpx.Response(404, text="default backend - 404"),
            "a bug": ZeroDivisionError(),
        }
        for name, failure in failures.items():
            with self.subTest(name):
                self.serve(answer("one"), failure, timeout=0.05)
                await self.get()
                for _ in range(100):
                    self.now += 860
                    self.assertEqual(await self.get(), "one")
                    await self.settle()
                self.assertEqual(len(self.script.requests), 101)
                self.now += 401
                with self.assertRaises(Unavailable):
                    await self.get()

    async def test_in_an_outage_nobody_waits_for_what_is_kept(self):
        gate = asyncio.Event()

        async def late():
            await gate.wait()
            return answer("two", '"2"')

        self.serve(answer("one"), REFUSED, late, timeout=10)
        await self.get()
        self.now += 3
        self.assertEqual(await self.get(), "one")
        self.now += 5
        self.assertEqual(await self.get(), "one")  # it would hang here
        gate.set()
        await self.settle()
        self.assertEqual(await self.get(), "two")

    async def test_an_outage_of_long_ago_counts_no_more(self):
        self.serve(answer("one"), REFUSED, answer("two", '"2"'))
        await self.get()
        self.now += 3
        self.assertEqual(await self.get(), "one")
        self.now += 3600
        self.assertEqual(await self.get(), "two")

    async def test_a_failure_in_the_background_is_nobodys(self):
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        self.serve(answer("one"), REFUSED)
        await self.get()
        self.now += 1.1
        await self.get()
        while self.prompts.flights:  # without asking them how it went
            await asyncio.sleep(0)
        gc.collect()
        self.assertEqual(self.prompts.failures, 1)
        self.assertEqual(told, [])

    async def test_a_prompt_that_is_validated_while_it_is_forgotten(self):
        gate = asyncio.Event()

        async def late():
            await gate.wait()
            return httpx.Response(304, headers={"ETag": '"1"'})

        self.serve(answer("one"), late, answer("other"), timeout=10)
        await self.get()
        self.now += 86401
        waiting = asyncio.create_task(self.get())
        await asyncio.sleep(0)
        self.assertEqual(await self.get("other"), "other")
        gate.set()
        self.assertEqual(await waiting, "one")
        self.assertEqual(self.prompts.failures, 0)

    async def test_the_timeout_is_for_all_of_an_answer(self):
        async def slow_refusal():
            await asyncio.sleep(0.15)
            write_files(directory, {"token": "new"})
            return detail(401)

        async def slow():
            await asyncio.sleep(0.15)
            return answer("one")

        with tempfile.TemporaryDirectory() as directory:
            write_files(directory, {"token": "old"})
            self.serve(slow_refusal, slow, token_file=f"{directory}/token", timeout=0.2)
            with self.assertRaisesRegex(Unavailable, "no answer within 0.2 s"):
                await self.get()

    async def test_a_busy_process_is_no_failure_of_promptd(self):
        async def never():
            self.now += 1  # while the timer was due
            await asyncio.Event().wait()

        self.serve(answer("one"), never, timeout=0.05)
        await self.get()
        self.now += 2.1
        self.assertEqual(await self.get(), "one")
        self.assertEqual(self.prompts.failures, 0)

    async def test_what_is_kept_can_be_not_good_enough(self):
        self.serve(answer("one"), REFUSED)
        await self.get()
        with self.assertRaises(Unavailable):
            await self.prompts.get("greet", {}, is_kept_good=False)

    async def test_the_log_is_not_flooded(self):
        logging.getLogger("LiteLLM Proxy.promptd").setLevel(logging.NOTSET)
        self.serve(*[answer("one"), REFUSED] * 50)
        with self.assertLogs("LiteLLM Proxy.promptd") as logs:
            for _ in range(100):
                with contextlib.suppress(Unavailable):
                    await self.get()
                self.now += 3
        self.assertLess(len(logs.output), 12)

    async def test_a_failing_promptd_is_left_alone_for_longer_and_longer(self):
        self.serve(answer("one"), REFUSED)
        await self.get()
        tries = []
        for _ in range(6000):
            self.now += 0.01
            before = len(self.script.requests)
            await self.get()
            await self.settle()
            if len(self.script.requests) > before:
                tries.append(self.now)
        pauses = [round(b - a, 1) for a, b in zip(tries, tries[1:])]
        self.assertEqual(pauses[:5], [0.5, 1, 2, 4, 5])
        self.assertEqual(set(pauses[5:]), {5})

    async def test_many_failures_at_once_count_as_one(self):
        self.serve(*[answer("one")] * 20, REFUSED)
        names = [f"greet{i}" for i in range(20)]
        for name in names:
            await self.get(name)
        self.now += 3
        await asyncio.gather(*map(self.get, names))
        self.assertEqual(self.prompts.failures, 1)

    async def test_a_late_success_ends_the_pause(self):
        gate = asyncio.Event()

        async def late():
            await gate.wait()
            return answer("late")

        self.serve(answer("one"), late, REFUSED, answer("two", '"2"'), timeout=10)
        await self.get()
        other = asyncio.create_task(self.get("other"))
        await asyncio.sleep(0)
        self.now += 2.1
        await self.get()
        self.assertEqual(self.prompts.failures, 1)
        gate.set()
        await other
        self.assertEqual(await self.get(), "two")

    async def test_retry_after_is_respected(self):
        self.serve(answer("one"), detail(429, **{"Retry-After": "50"}), answer("two", '"2"'))
        await self.get()
        self.now += 3
        await self.get()
        self.now += 49.9
        await self.get()
        await self.settle()
        self.assertEqual(len(self.script.requests), 2)
        self.now += 0.2
        await self.get()
        await self.settle()
        self.assertEqual(await self.get(), "two")

    async def test_what_is_not_kept_is_asked_for_in_a_pause_too_one_by_one(self):
        gate = asyncio.Event()

        async def late():
            await gate.wait()
            return answer("late")

        self.serve(REFUSED, late, timeout=10)
        with self.assertRaisesRegex(Unavailable, "refused"):
            await self.get("other")
        waiting = asyncio.create_task(self.get("new"))
        while len(self.script.requests) < 2:
            await asyncio.sleep(0)
        for _ in range(50):
            with self.assertRaisesRegex(Unavailable, "refused"):
                await self.get("other")
        self.assertEqual(len(self.script.requests), 2)
        gate.set()
        self.assertEqual(await waiting, "late")

    async def test_a_prompt_that_is_gone_is_gone(self):
        self.serve(answer("one"), detail(404, "Prompt 'greet' not found"))
        await self.get()
        self.now += 1.1
        self.assertEqual(await self.get(), "one")
        await self.settle()
        with self.assertRaisesRegex(Refused, "'greet' not found"):
            await self.get()
        self.assertEqual(self.prompts.kept, {})
        self.assertEqual(self.prompts.failures, 0)

    async def test_unknown_prompts_are_not_kept(self):
        self.serve(detail(404, "Prompt 'x' not found"))
        for number in range(20):
            with self.assertRaises(Refused):
                await self.get(f"guess{number}")
        self.assertEqual((self.prompts.kept, self.prompts.flights), ({}, {}))

    async def test_prompts_that_nobody_asks_for_are_forgotten(self):
        self.serve(answer("one"))
        for number in range(20):
            await self.get(f"old{number}")
        self.now += 86401
        await self.get("new")
        self.assertEqual(list(self.prompts.kept), ["/prompts/new"])

    async def test_the_token_is_read_again_when_it_is_refused(self):
        with tempfile.TemporaryDirectory() as directory:
            write_files(directory, {"token": "old\n"})
            self.serve(answer("one"), detail(401), answer("two", '"2"'),
                       token_file=f"{directory}/token")
            await self.get()
            write_files(directory, {"token": "new\n"})
            self.now += 2.1
            self.assertEqual(await self.get(), "two")
        self.assertEqual([request.headers["Authorization"] for request in self.script.requests],
                         ["Bearer old", "Bearer old", "Bearer new"])

    async def test_the_token_in_the_file_counts_more_than_the_other(self):
        with tempfile.TemporaryDirectory() as directory:
            write_files(directory, {"token": "from-the-file"})
            self.serve(answer("one"), token="from-the-environment", token_file=f"{directory}/token")
            await self.get()
        self.assertEqual(self.script.requests[0].headers["Authorization"], "Bearer from-the-file")

    async def test_one_reading_of_the_token_serves_all_flights(self):
        with tempfile.TemporaryDirectory() as directory:
            write_files(directory, {"token": "old"})

            async def answer_by_token(request):
                if request.headers["Authorization"] == "Bearer old":
                    write_files(directory, {"token": "new"})
                    return detail(401)
                return answer("one")

            self.serve(REFUSED, token_file=f"{directory}/token")
            self.prompts.http = httpx.AsyncClient(transport=httpx.MockTransport(answer_by_token))
            names = [f"greet{number}" for number in range(10)]
            self.assertEqual(await asyncio.gather(*map(self.get, names)), ["one"] * 10)

    async def test_a_token_that_no_header_can_hold_is_told_nowhere(self):
        with tempfile.TemporaryDirectory() as directory:
            for text in ("two words", "two\nlines", "wärter"):
                write_files(directory, {"token": text})
                self.serve(answer("one"), token_file=f"{directory}/token")
                with self.assertRaises(Unavailable) as caught:
                    await self.get()
                self.assertEqual(str(caught.exception), "PROMPTD_TOKEN_FILE must hold the token and nothing else")
                self.assertEqual(self.script.requests, [])

    async def test_an_answer_is_never_changed(self):
        self.serve(answer("Hello {name}", prompt_template_optional_params={"stop": ["x"]}))
        prompt = await self.prompts.get("greet", {})
        before = json.dumps(prompt.answer)
        messages = companion.fill(prompt, {"name": "Ada"})
        messages[0]["content"] = messages[0]["more"] = "changed"
        data = {}
        companion.Companion(Settings())._set_params(
            data, prompt.answer["prompt_template_optional_params"])
        data["stop"].append("y")
        self.assertEqual(json.dumps(prompt.answer), before)


class SettingsTest(unittest.TestCase):
    def read(self, **environment):
        before = companion.os.environ
        companion.os.environ = environment
        try:
            return Settings.from_environment()
        finally:
            companion.os.environ = before

    def test_defaults(self):
        self.assertEqual(self.read(PROMPTD_TTL=""), Settings())

    def test_each_is_read(self):
        given = {"url": "http://p:1", "token_file": "/t", "token": "x", "ttl": 0.5, "max_age": 60.0,
                 "timeout": 2.0, "on_missing": "pass", "parameters": "fill"}
        environment = {f"PROMPTD_{name.upper()}": str(value) for name, value in given.items()}
        self.assertEqual(self.read(**environment), Settings(**given))

    def test_what_is_wrong_is_refused(self):
        for name, text in (("TTL", "2s"), ("TTL", "nan"), ("TTL", "-1"), ("MAX_AGE", "1e999"),
                           ("ON_MISSING", "fail"), ("PARAMETERS", "merge")):
            with self.assertRaisesRegex(ValueError, f"PROMPTD_{name} is '{text}': give it"):
                self.read(**{f"PROMPTD_{name}": text})
        for text in ("promptd:8080", "ftp://promptd", "http://", "http://user:words@promptd"):
            with self.assertRaisesRegex(ValueError, "PROMPTD_URL is no address") as caught:
                self.read(PROMPTD_URL=text)
            self.assertNotIn("words", str(caught.exception))
        with self.assertRaises(ValueError) as caught:
            self.read(PROMPTD_TOKEN="two words")
        self.assertNotIn("words", str(caught.exception))


class FillTest(support.TestCase):
    """The companion fills in exactly like POST /prompts/ID/render."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def compare(self, files, given):
        write_files(self.directory, files)
        promptd = self.start(Promptd(self.directory, "--dev"))
        names = [entry["prompt_id"] for entry in promptd.get("/prompts?limit=1000").json["prompts"]]
        self.assertEqual(len(names), len(files))
        outcomes = set()
        for name in names:
            for values in given:
                told = support.request(promptd.url, "POST", f"/prompts/{name}/render",
                                       {"variables": values})
                with self.subTest(name, values=values):
                    mine = self.fill(promptd.get(f"/prompts/{name}"), values)
                    outcomes.add(told.status)
                    if told.status == 200:
                        self.assertEqual(mine, told.json["messages"])
                    else:
                        self.assertEqual(mine, told.status)
        return outcomes

    def fill(self, told, values):
        response = httpx.Response(told.status, content=told.text.encode(),
                                  headers={"ETag": told.headers["ETag"]})
        prompt = companion.Prompt.parse(response)
        try:
            return companion.fill(prompt, companion.choose_values(prompt, values, "error"))
        except PromptError as error:
            return error.status_code

    def test_values_of_every_kind(self):
        files = {"declared.yaml": """\
prompt_template:
  - role: system
    content: "{a} {{b}} {{ c }} {d} {undeclared} {{e}} { a }"
  - role: user
    content:
      - {type: text, text: "part {a} {{b}}"}
      - {type: image_url, image_url: {url: "http://x/{a}"}}
      - {type: text, text: ""}
  - role: assistant
    content: null
    tool_calls: [{id: x, type: function, function: {name: "{a}", arguments: "{}"}}]
variables:
  a: {default: one}
  b: {default: 1.50}
  c: {required: false}
  d: {default: true, required: true}
  e: {}
""", "bare.yaml": "prompt_template: 'Dear {{name}}, {ü_1} {name}{name}'\n"}
        outcomes = self.compare(files, [
            {}, {"e": "x"}, {"e": "{a}", "a": "{b}"}, {"e": None}, {"e": 1, "a": 2.5, "b": True},
            {"e": False, "c": "", "d": "\\1 \\g<0> é"}, {"e": ["x"]}, {"e": {"a": "b"}},
            {"name": "{ü_1}", "ü_1": "{name}"}, {"name": "x"}])
        self.assertEqual(outcomes, {200, 422})

    def test_braces_of_every_kind(self):
        seed = random.randrange(2 ** 32)
        chance = random.Random(seed)
        pieces = ["{", "}", "{{", "}}", " ", "a", "b", "c", "{a}", "{{b}}", "{{ c }}", "x: 1"]
        files = {}
        for number in range(200):
            text = "".join(chance.choices(pieces, k=chance.randrange(1, 12)))
            prompt = {"prompt_template": [{"role": "user", "content": text}]}
            if number % 2:
                prompt["variables"] = {"a": {"default": "{b}"}, "b": {"required": False}}
            files[f"p{number}.json"] = json.dumps(prompt)
        with self.subTest(seed=seed):
            outcomes = self.compare(files, [{"a": "{b}", "b": "{{c}}", "c": "}"}, {"c": "{a"}])
            self.assertEqual(outcomes, {200, 422})


if __name__ == "__main__":
    unittest.main()
