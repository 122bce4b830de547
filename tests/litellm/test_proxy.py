"""The real LiteLLM proxy with promptd's companion, in front of a fake OpenAI."""

import hashlib
import json
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import support
from support import FakeOpenAI, Promptd, Proxy, request, wait_until, write_files

TOKEN = "promptd-token-of-the-proxy-1"
NEXT_TOKEN = "promptd-token-of-the-proxy-2"
TTL_S = 1

CONFIG = """\
general_settings: {custom_auth: keys.user_api_key_auth, custom_auth_run_common_checks: true}
litellm_settings:
  enable_post_custom_auth_checks: true
  callbacks: [promptd_companion.handler, observer.handler]
model_list:
  - &model
    model_name: cheap
    litellm_params: &params {model: openai/cheap, api_base: OPENAI, api_key: none}
  - {model_name: better, litellm_params: {<<: *params, model: openai/better}}
  - {model_name: guarded, litellm_params: {<<: *params, model: openai/guarded, guardrails: [no-snow]}}
  - {model_name: costly, litellm_params: {<<: *params, model: openai/costly, input_cost_per_token: 1, output_cost_per_token: 1}}
  - {model_name: free, litellm_params: {<<: *params, model: openai/free, input_cost_per_token: 0, output_cost_per_token: 0}}
  - {model_name: watched, litellm_params: {<<: *params, model: openai/watched}}
  - {model_name: piped, litellm_params: {<<: *params, model: openai/piped}}
policies:
  snowless: {guardrails: {add: [no-snow]}}
  pipeline:
    guardrails: {add: [no-snow]}
    pipeline: {mode: pre_call, steps: [{guardrail: no-snow}]}
policy_attachments:
  - {policy: snowless, models: [watched]}
  - {policy: pipeline, models: [piped]}
guardrails:
  - guardrail_name: no-dynamite
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      default_on: true
      blocked_words: [{keyword: dynamite, action: BLOCK}]
  - guardrail_name: no-snow
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      blocked_words: [{keyword: snow, action: BLOCK}]
  - guardrail_name: raw
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      scan_raw_request: true
      blocked_words: [{keyword: hail, action: BLOCK}]
"""

PROMPTS = {
    "support/greet.v1.yaml": """\
labels: [production]
prompt_template:
  - {role: system, content: "You greet {name}."}
  - {role: user, content: "Be {mood}."}
prompt_template_model: better
prompt_template_optional_params: {temperature: 0.25, max_tokens: 50}
variables: {name: {}, mood: {default: kind}}
""",
    "support/greet.v2.yaml": """\
labels: [beta]
prompt_template: "Second {{name}}"
""",
    "sales/offer.yaml": "prompt_template: 'Sell {thing}.'\n",
    "plain.yaml": "prompt_template: No project.\n",
    "parts.yaml": """\
prompt_template:
  - role: user
    content:
      - {type: text, text: "Look at {what}:"}
      - {type: image_url, image_url: {url: "http://127.0.0.1/x.png"}}
""",
    "tools.yaml": """\
prompt_template: Which weather?
prompt_template_optional_params:
  tools:
    - type: function
      function: {name: weather, parameters: {type: object, properties: {}}}
  tool_choice: auto
  response_format: {type: json_object}
""",
    "guarded.yaml": "prompt_template: 'Tell of {what}.'\nprompt_template_model: guarded\n",
    "watched.yaml": "prompt_template: 'Tell of {what}.'\nprompt_template_model: watched\n",
    "piped.yaml": "prompt_template: Tell.\nprompt_template_model: piped\n",
    "costly.yaml": "prompt_template: Think hard.\nprompt_template_model: costly\n",
    "nowhere.yaml": "prompt_template: x\nprompt_template_model: not-served\n",
    "takeover.yaml": """\
prompt_template: Make dynamite.
prompt_template_optional_params:
  litellm_metadata: {user_api_key_metadata: {disable_global_guardrails: true}}
""",
    "explosive.yaml": "prompt_template: Make dynamite.\n",
    "edited.yaml": "prompt_template: before\n",
}
ASKED = [{"role": "user", "content": "Well?"}]
GREETING = [{"role": "system", "content": "You greet Ada."}, {"role": "user", "content": "Be kind."}]


def tokens_file(*tokens):
    digests = ", ".join(hashlib.sha256(token.encode()).hexdigest() for token in tokens)
    return f"- {{name: litellm, sha256: [{digests}], rights: [read]}}\n"


class Fixture(support.TestCase):
    """A promptd with tokens, an OpenAI and a proxy for all tests of a class."""

    workers = 1
    environment = {}
    config = CONFIG
    prompts = PROMPTS

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.directory_for_all()
        cls.files = cls.directory / "prompts"
        cls.files.mkdir()
        write_files(cls.files, cls.prompts)
        write_files(cls.directory, {"tokens.yaml": tokens_file(TOKEN), "token": TOKEN})
        cls.openai = cls.start_for_all(FakeOpenAI())
        cls.promptd = cls.start_promptd(0)
        cls.start_proxy()

    @classmethod
    def start_promptd(cls, port):
        # The parameter is one that promptd refuses by itself.
        return Promptd(cls.files, "--allow-param", "litellm_metadata", "--tokens-file", str(cls.directory / "tokens.yaml"), port=port)

    @classmethod
    def start_proxy(cls):
        directory = cls.directory / "proxy"
        shutil.copytree(support.HERE / "proxy", directory, dirs_exist_ok=True)
        support.copy_companion(directory)
        config = cls.config.replace("OPENAI", cls.openai.url)
        write_files(directory, {"config.yaml": config.replace("PROMPTD,", f"{cls.promptd.url},")})
        cls.observed = directory / "observed"
        cls.proxy = cls.start_for_all(Proxy(directory, {
            "PROMPTD_URL": cls.promptd.url, "PROMPTD_TOKEN": TOKEN, "PROMPTD_TOKEN_FILE": str(cls.directory / "token"),
            "PROMPTD_TTL": str(TTL_S), "PROMPTD_TIMEOUT": "3", "OBSERVER_FILE": str(cls.observed),
            **cls.environment}, cls.workers)).wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.promptd.stop()

    def setUp(self):
        self.started.append(self.promptd)
        self.openai.bodies.clear()

    def ask(self, prompt_id, variables=None, path="/v1/chat/completions", key="sk-all", **more):
        body = {"model": "cheap", "prompt_id": prompt_id, "prompt_variables": variables}
        body.update({"input": "Well?"} if path == "/v1/responses" else {"messages": ASKED})
        body.update(more)
        return self.proxy.post(path, {name: value for name, value in body.items()
                                      if value is not None}, key)

    def sent(self, *args, **kwargs):
        """Ask, and return the body that OpenAI got."""
        answer = self.ask(*args, **kwargs)
        self.assertEqual(answer.status, 200, answer.text)
        self.answer = answer
        self.assertEqual(len(self.openai.bodies), 1)
        return self.openai.bodies.pop()

    def refused(self, status, *args, **kwargs):
        """Ask, and return the message that says why there is no answer."""
        answer = self.ask(*args, **kwargs)
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(self.openai.bodies, [])
        return answer.error


class Companion(Fixture):
    # LiteLLM's own client beside the companion: it must not take a prompt a second time.
    config = CONFIG + """\
prompts:
  - prompt_id: stock
    litellm_params: {prompt_integration: generic_prompt_management, prompt_id: plain,
                     api_base: PROMPTD, api_key: os.environ/PROMPTD_TOKEN}
"""

    def test_messages_model_and_parameters(self):
        body = self.sent("support/greet", {"name": "Ada"}, temperature=1)
        self.assertEqual(body["messages"], GREETING + ASKED)
        self.assertEqual((body["model"], body["temperature"], body["max_tokens"]),
                         ("better", 0.25, 50))
        self.assertEqual([name for name in body if "prompt" in name], [])

    def test_litellms_own_client_beside_it(self):
        self.assertEqual([message["content"] for message in self.sent("stock")["messages"]],
                         ["No project.", "Well?"])
        self.assertNotIn("x-promptd-prompt", self.answer.headers)
        self.assertIn("config.yaml has 1 `prompts:`: LiteLLM's own client answers", self.proxy.log())

    def test_no_model_is_needed_where_the_prompt_has_one(self):
        self.assertEqual(self.sent("support/greet", {"name": "Ada"}, model=None)["model"], "better")

    def test_no_messages_are_needed(self):
        body = self.sent("support/greet", {"name": "Ada"}, messages=None)
        self.assertEqual(body["messages"], GREETING)

    def test_a_request_without_prompt_id_is_left_alone(self):
        body = self.sent(None, messages=[{"role": "user", "content": "{name} {{x}}"}])
        self.assertEqual(body["messages"], [{"role": "user", "content": "{name} {{x}}"}])
        self.assertEqual(body["model"], "cheap")
        self.assertNotIn("x-promptd-prompt", self.answer.headers)

    def test_values_are_filled_in_once(self):
        body = self.sent("support/greet", {"name": "{mood}", "mood": "{{name}}"})
        self.assertEqual([message["content"] for message in body["messages"]],
                         ["You greet {mood}.", "Be {{name}}.", "Well?"])

    def test_versions_and_labels(self):
        for asked in ({"prompt_version": 2}, {"prompt_version": "2"}, {"prompt_label": "beta"},
                      {"prompt_environment": "beta"}):
            with self.subTest(asked):
                body = self.sent("support/greet", {"name": "Ada"}, **asked)
                self.assertEqual(body["messages"][0]["content"], "Second Ada")
        for name in ("support/greet@2", "support/greet@beta"):
            self.assertEqual(self.sent(name, {"name": "Ada"})["messages"][0]["content"], "Second Ada")
        self.assertIn("not found with version '3'", self.refused(404, "support/greet", prompt_version=3))
        self.assertIn("label 'none'", self.refused(404, "support/greet", prompt_label="none"))
        error = self.refused(422, "support/greet", prompt_version=1, prompt_label="beta")
        self.assertEqual(error, "promptd: version: it and label or environment choose two different versions: "
                                "give one")

    def test_text_parts(self):
        body = self.sent("parts", {"what": "this"})
        self.assertEqual(body["messages"][0]["content"], [
            {"type": "text", "text": "Look at this:"},
            {"type": "image_url", "image_url": {"url": "http://127.0.0.1/x.png"}}])

    def test_tools_and_response_format(self):
        body = self.sent("tools")
        self.assertEqual(body["tools"][0]["function"]["name"], "weather")
        self.assertEqual((body["tool_choice"], body["response_format"]),
                         ("auto", {"type": "json_object"}))

    def test_streaming(self):
        answer = self.ask("support/greet", {"name": "Ada"}, stream=True)
        self.assertEqual(answer.status, 200)
        self.assertIn("Certainly.", answer.text)
        self.assertIn("data: [DONE]", answer.text)
        self.assertTrue(answer.headers["x-promptd-prompt"].startswith("support/greet@1; "))
        body = self.openai.bodies.pop()
        self.assertTrue(body["stream"])
        self.assertEqual(body["messages"], GREETING + ASKED)

    def test_responses(self):
        body = self.sent("support/greet", {"name": "Ada"}, path="/v1/responses")
        self.assertEqual(text_of_items(body["input"]), [
            ("system", "You greet Ada."), ("user", "Be kind."), ("user", "Well?")])
        self.assertEqual((body["model"], body["temperature"], body["max_output_tokens"]),
                         ("better", 0.25, 50))
        self.assertTrue(self.answer.headers["x-promptd-prompt"].startswith("support/greet@1; "))

    def test_responses_as_a_stream(self):
        answer = self.ask("support/greet", {"name": "Ada"}, path="/v1/responses", stream=True)
        self.assertEqual(answer.status, 200)
        self.assertIn("response.completed", answer.text)
        self.assertTrue(answer.headers["x-promptd-prompt"].startswith("support/greet@1; "))
        self.assertEqual(text_of_items(self.openai.bodies.pop()["input"])[0],
                         ("system", "You greet Ada."))

    def test_responses_with_parts_and_tools(self):
        body = self.sent("parts", {"what": "this"}, path="/v1/responses",
                         input=[{"role": "user", "content": "Well?"}])
        kinds = [part["type"] for part in body["input"][0]["content"]]
        self.assertEqual(kinds, ["input_text", "input_image"])
        self.assertEqual(body["input"][-1], {"role": "user", "content": "Well?"})
        body = self.sent("tools", path="/v1/responses")
        self.assertEqual(body["tools"][0]["name"], "weather")
        self.assertEqual(body["text"]["format"]["type"], "json_object")

    def test_other_end_points_say_so(self):
        for path in ("/v1/embeddings", "/v1/messages", "/v1/completions"):
            answer = self.ask("plain", path=path, input="x", prompt="x", max_tokens=5)
            self.assertEqual(answer.status, 422, answer.text)
            self.assertIn("/v1/chat/completions and /v1/responses", answer.text)
        self.assertEqual(self.openai.bodies, [])

    def test_unknown_and_unfit_names(self):
        self.assertIn("Prompt 'plane' not found", self.refused(404, "plane"))
        # (Of a number, LiteLLM's own registry makes a 500 before the companion sees it.)
        for name in ("", "x" * 201, "é" * 101, ["plain"]):
            with self.subTest(name=name):
                self.refused(422, name)
        # promptd answers each of these: none may make it look as if it failed.
        for name in (".", "..", "...", "/", "a/", "//", "a/../plain", "a\nb", "a\0b", "%", "a?b", "#a",
                     "\x7f", "plain/variables", "plain/render", "\u00a0", "é" * 100, "plain@", "@"):
            with self.subTest(name=name):
                answer = self.ask(name, **{key: "é" * 100 for key in ("prompt_label", "prompt_version")})
                self.assertIn(answer.status, (400, 404, 422), answer.text)
                answer = self.ask(name)
                self.assertIn(answer.status, (400, 404, 422), answer.text)
        for path, more in (("/v1/chat/completions", {"messages": 5}), ("/v1/chat/completions", {"messages": "x"}),
                           ("/v1/responses", {"input": 5})):
            with self.subTest(more):
                self.refused(422, "plain", path=path, **more)
        for more in ({"prompt_version": [1]}, {"prompt_version": True}, {"prompt_label": {}},
                     {"prompt_variables": ["x"]}):
            with self.subTest(more):
                self.refused(422, "plain", **more)
        self.assertEqual(self.sent("plain")["messages"][0]["content"], "No project.")
        self.assertNotIn("fails: ", self.proxy.log())

    def test_missing_variables(self):
        self.assertIn("lacks a value for 'name'", self.refused(422, "support/greet", {"mood": "x"}))
        self.assertIn("'name' must be a string", self.refused(422, "support/greet", {"name": [1]}))

    def test_a_key_without_the_prompts_model_is_refused(self):
        for key in ("sk-cheap-key", "sk-cheap-team"):
            with self.subTest(key):
                self.sent("plain", key=key)
                error = self.refused(403, "support/greet", {"name": "Ada"}, key=key)
                self.assertIn("better", error)

    def test_no_model_at_all(self):
        self.assertEqual(self.refused(422, "plain", model=None),
                         "the request names no model, and of prompt 'plain' none is used")

    def test_a_model_that_the_proxy_does_not_serve(self):
        self.refused(400, "nowhere")

    def test_a_budget_for_the_prompts_model(self):
        for key in ("sk-little-budget", "sk-little-team-budget", "sk-little-customer-budget"):
            self.sent("costly", key=key)
            wait_until(lambda: self.ask("costly", key=key).status != 200, "the budget is spent")
            self.openai.bodies.clear()
            self.assertIn("budget for model=costly", self.refused(422, "costly", key=key))
            self.sent("plain", key=key)

    def test_a_budget_for_everything_holds_behind_a_free_model(self):
        self.assertIn("Budget has been exceeded",
                      self.refused(422, "costly", model="free", key="sk-spent"))
        self.sent("plain", model="free", key="sk-spent")

    def test_aliases_of_keys_and_teams(self):
        for key in ("sk-alias", "sk-team-alias"):  # for them, "better" is another name of "cheap"
            with self.subTest(key):
                self.assertEqual(self.sent(None, model="better", key=key)["model"], "cheap")
                body = self.sent("support/greet", {"name": "Ada"}, key=key)
                self.assertEqual(body["model"], "cheap")

    def test_what_a_prompt_may_not_set(self):
        self.assertIn("the prompt sets litellm_metadata, which is not a prompt's to set",
                      self.refused(500, "takeover"))

    def test_projects_of_teams_and_keys(self):
        greet, offer = ("support/greet", {"name": "Ada"}), ("sales/offer", {"thing": "x"})
        sees = {"sk-all": (greet, offer, ("plain", None)), "sk-support-team": (greet,),
                "sk-sales-team": (offer,), "sk-both-projects": (greet, offer), "sk-neither": ()}
        for key, prompts in sees.items():
            for prompt in (greet, offer, ("plain", None)):
                with self.subTest(key=key, prompt=prompt[0]):
                    if prompt in prompts:
                        self.sent(*prompt, key=key)
                        self.assertEqual("revision=" in self.answer.headers["x-promptd-prompt"],
                                         key == "sk-all")
                    else:
                        self.assertEqual(self.refused(404, *prompt, key=key),
                                         f"promptd has no prompt '{prompt[0]}'")
        # What there is not and what they may not see are told in the same words.
        self.assertEqual(self.refused(404, "sales/offers", key="sk-support-team"),
                         "promptd has no prompt 'sales/offers'")
        for key in ("sk-misconfigured", "sk-null"):
            self.assertIn("promptd_projects", self.refused(403, *greet, key=key))

    def test_guardrails_see_the_prompts_text(self):
        self.assertEqual(self.sent("guarded", {"what": "rain"})["model"], "guarded")
        for path in ("/v1/chat/completions", "/v1/responses"):
            with self.subTest(path):
                self.assertIn("dynamite", self.refused(400, "explosive", path=path))
                self.refused(400, "support/greet", {"name": "dynamite"}, path=path)
                # These two guard a model, which only the prompt brings.
                for name in ("guarded", "watched"):
                    self.assertIn("snow", self.refused(400, name, {"what": "snow"}, path=path))
        self.sent("support/greet", {"name": "snow"})

    def test_a_guardrail_that_would_not_see_the_text_refuses_the_request(self):
        self.sent(None, guardrails=["raw"])
        error = self.refused(500, "plain", guardrails=["raw"])
        self.assertTrue(error.startswith("raw would not see the text of the prompt: "), error)
        self.sent(None, model="piped")
        error = self.refused(500, "piped")
        self.assertTrue(error.startswith("no-snow would not see the text of the prompt: "), error)

    def test_what_was_served_is_told(self):
        told = self.promptd.get("/prompts/support/greet", TOKEN)
        etag, revision = told.headers["ETag"], told.headers["Prompts-Revision"]
        for path in ("/v1/chat/completions", "/v1/responses"):
            with self.subTest(path):
                self.sent("support/greet", {"name": "Ada"}, path=path)
                record = self.wait_for_record(self.answer.headers["x-litellm-call-id"])
                self.assertEqual(
                    self.answer.headers["x-promptd-prompt"],
                    f"support/greet@1; labels=production; etag={etag[1:-1]}; revision={revision}")
                self.assertIn("You greet Ada.", json.dumps(record["messages"]))
                self.assertEqual(record["promptd"], {
                    "prompt_id": "support/greet", "version": "1", "labels": ["production"],
                    "etag": etag, "revision": revision})

    def wait_for_record(self, call):
        def read():
            lines = self.observed.read_text(encoding="utf-8") if self.observed.exists() else ""
            records = map(json.loads, lines.splitlines())
            return next((record for record in records if record["call"] == call), None)
        return wait_until(read, "a logger is told of the call")

    def test_a_caller_cannot_pretend_to_a_prompt(self):
        self.sent(None, metadata={"promptd": {"prompt_id": "x", "version": "1", "labels": [],
                                              "etag": "y"}})
        self.assertNotIn("x-promptd-prompt", self.answer.headers)
        record = self.wait_for_record(self.answer.headers["x-litellm-call-id"])
        self.assertIsNone(record["promptd"])
        self.assertNotIn("Error in post_call_response_headers_hook", self.proxy.log())


class Fill(Fixture):
    """The caller's model and parameters first, and what is missing passes."""

    environment = {"PROMPTD_PARAMETERS": "fill", "PROMPTD_ON_MISSING": "pass"}

    def test_the_caller_wins(self):
        body = self.sent("support/greet", {"name": "Ada"}, temperature=1)
        self.assertEqual((body["model"], body["temperature"], body["max_tokens"]), ("cheap", 1, 50))
        self.assertEqual(body["messages"], GREETING + ASKED)

    def test_the_prompt_fills(self):
        body = self.sent("support/greet", {"name": "Ada"}, model=None)
        self.assertEqual((body["model"], body["temperature"]), ("better", 0.25))
        error = self.refused(403, "support/greet", {"name": "Ada"}, model=None, key="sk-cheap-key")
        self.assertIn("better", error)

    def test_a_missing_variable_stays_a_placeholder(self):
        body = self.sent("support/greet", {"mood": "{name}"})
        self.assertEqual([message["content"] for message in body["messages"]],
                         ["You greet {name}.", "Be {name}.", "Well?"])

    def test_a_request_for_an_unknown_prompt_goes_on_without(self):
        self.assertEqual(self.sent("plane")["messages"], ASKED)
        self.assertNotIn("x-promptd-prompt", self.answer.headers)
        self.assertEqual(self.sent("sales/offer", key="sk-support-team")["messages"], ASKED)


class Ignore(Fixture):
    """The prompt's messages alone."""

    environment = {"PROMPTD_PARAMETERS": "ignore"}

    def test_model_and_parameters_are_the_callers(self):
        body = self.sent("support/greet", {"name": "Ada"})
        self.assertEqual((body["model"], body["messages"]), ("cheap", GREETING + ASKED))
        self.assertTrue(body.keys().isdisjoint({"temperature", "max_tokens"}))
        self.assertEqual(self.sent("support/greet", {"name": "Ada"}, key="sk-cheap-key")["model"],
                         "cheap")


class Start(support.TestCase):
    """The proxy does not start where something would look at requests before the companion."""

    OURS = "callbacks: [promptd_companion.handler, observer.handler]"

    def refusal(self, config, environment=None):
        with tempfile.TemporaryDirectory() as directory:
            shutil.copytree(support.HERE / "proxy", directory, dirs_exist_ok=True)
            support.copy_companion(directory)
            write_files(directory, {"config.yaml": config.replace("OPENAI", "http://127.0.0.1:9")})
            proxy = Proxy(directory, environment)
            self.assertNotEqual(proxy.wait(), 0)
            return proxy.log()

    def test_second_in_the_list(self):
        log = self.refusal(CONFIG.replace(
            self.OURS, "callbacks: [observer.handler, promptd_companion.handler]"))
        self.assertIn("observer.handler would not see the text of prompts: put "
                      "promptd_companion.handler first in litellm_settings.callbacks", log)

    def test_guardrails_of_the_old_kind_in_front(self):
        log = self.refusal(CONFIG.replace(self.OURS, """guardrails:
    - old: {callbacks: [hidden.handler], default_on: true}
  """ + self.OURS))
        self.assertIn("Hidden would not see the text of prompts: put promptd_companion.handler first",
                      log)

    def test_a_token_file_without_a_token(self):
        for path, words in (("/no/such/file", "cannot be read"), (__file__, "must hold the token")):
            log = self.refusal(CONFIG, {"PROMPTD_TOKEN_FILE": path})
            self.assertIn(f"ValueError: PROMPTD_TOKEN_FILE {words}", log)

    def test_a_wrong_setting(self):
        log = self.refusal(CONFIG, {"PROMPTD_TTL": "2s"})
        self.assertIn("PROMPTD_TTL is '2s': give it a number of seconds", log)


def text_of_items(items):
    """Return (role, text) of each item of a Responses input."""
    texts = []
    for item in items:
        content = item["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        texts.append((item["role"], content))
    return texts


class Outage(Fixture):
    """Two workers, while promptd is edited, down, slow, and takes another token."""

    workers = 2

    def setUp(self):
        super().setUp()
        text = self.id()  # only who has got hold of promptd knows it
        write_files(self.files, {"edited.yaml": f"prompt_template: {text}\n"})
        wait_until(lambda: self.everyone_says("edited", text), "both workers know the text")

    def text(self):
        return json.loads(self.promptd.get("/prompts/edited", TOKEN).text)["prompt_template"][0][
            "content"]

    def once(self, prompt_id="edited"):
        """Ask once; return the text that was sent to the model."""
        body = self.sent(prompt_id)
        self.workers_seen.add(self.answer.headers["x-worker"])
        return body["messages"][0]["content"]

    def everyone_says(self, prompt_id, text):
        """Whether both workers, asked now, use this text."""
        self.workers_seen = set()
        texts = set()
        deadline = time.monotonic() + support.DEADLINE_S
        while len(self.workers_seen) < self.workers:
            texts.add(self.once(prompt_id))
            if time.monotonic() > deadline:
                raise AssertionError(f"only one worker answers: {self.workers_seen}")
        return texts == {text}

    def restart_promptd(self):
        type(self).promptd = self.start_promptd(self.promptd.port)

    def test_an_edit_reaches_both_workers_within_the_ttl(self):
        for number in range(3):
            text = f"edit {number}"
            edited = time.monotonic()
            write_files(self.files, {"edited.yaml": f"prompt_template: {text}\n"})
            wait_until(lambda: self.text() == text, "promptd serves the edit")
            reloaded = time.monotonic()
            stale_until = reloaded
            while (asked := time.monotonic()) < reloaded + TTL_S:
                if self.once() != text:
                    stale_until = asked
            self.assertTrue(self.everyone_says("edited", text))
            print(f"edit {number}: promptd served it after {reloaded - edited:.3f} s, the proxy's last "
                  f"old answer was {stale_until - edited:.3f} s after the edit")

    def test_the_last_good_prompt_serves_while_promptd_is_down(self):
        text = self.text()
        self.promptd.stop()
        deadline = time.monotonic() + 3 * TTL_S
        while time.monotonic() < deadline:
            self.assertEqual(self.once(), text)
        self.assertEqual(self.refused(503, "support/greet", {"name": "Ada"}, prompt_version=2),
                         "prompt 'support/greet' with version '2' is not at hand, as promptd fails: see the "
                         "proxy's log")
        write_files(self.files, {"edited.yaml": "prompt_template: after the outage\n"})
        self.restart_promptd()
        wait_until(lambda: self.everyone_says("edited", "after the outage"), "the edit arrives")
        self.assertIn("prompts the last good answer is kept", self.proxy.log())
        self.assertIn("answers again, after", self.proxy.log())

    def test_a_promptd_that_hangs(self):
        self.sent("support/greet", {"name": "Ada"})
        self.promptd.process.send_signal(signal.SIGSTOP)
        try:
            text = self.once()
            # Of what may not be seen, an outage tells no more than of what is not there.
            for name in ("support/greet", "support/great"):
                self.assertEqual(self.refused(503, name, key="sk-sales-team"),
                                 f"prompt '{name}' is not at hand, as promptd fails: see the proxy's log")
            for _ in range(20):
                self.assertEqual(self.once(), text)
        finally:
            self.promptd.process.send_signal(signal.SIGCONT)

    def test_another_token(self):
        write_files(self.directory, {"tokens.yaml": tokens_file(NEXT_TOKEN)})
        wait_until(lambda: self.promptd.get("/prompts", TOKEN).status == 401, "the old one ends")
        for _ in range(20):
            self.once()
        write_files(self.directory, {"token": NEXT_TOKEN})
        write_files(self.files, {"edited.yaml": "prompt_template: by the next token\n"})
        wait_until(lambda: self.everyone_says("edited", "by the next token"), "the edit arrives")
        write_files(self.directory, {"tokens.yaml": tokens_file(TOKEN), "token": TOKEN})
        wait_until(lambda: self.promptd.get("/prompts", TOKEN).status == 200, "the old one is back")

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        log = cls.proxy.log()
        for token in (TOKEN, NEXT_TOKEN):
            assert token not in log, "a token is in the proxy's log"


if __name__ == "__main__":
    unittest.main()
