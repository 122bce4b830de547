"""The real LiteLLM proxy with its own client, as `promptd litellm-config` sets it up.

These tests say what LiteLLM does, not what it should do: where one fails with another version of it,
README.md and `promptd litellm-config` have to be looked at.
"""

import hashlib
import shutil
import signal
import subprocess
import time
import unittest

import support
from support import FakeOpenAI, Promptd, Proxy, promptd_program, wait_until, write_files

TOKEN = "promptd-token-of-the-stock-client"
SUPPORT_TOKEN = "promptd-token-of-the-support-team"
WRONG_TOKEN = "promptd-token-that-is-wrong"

MODELS = """\
general_settings: {custom_auth: keys.user_api_key_auth}
litellm_settings: {callbacks: [observer.handler]}
model_list:
  - {model_name: cheap, litellm_params: {model: openai/cheap, api_base: OPENAI, api_key: none}}
  - {model_name: better, litellm_params: {model: openai/better, api_base: OPENAI, api_key: none}}

"""
PROMPTS = {
    "greet.v1.yaml": """\
labels: [production]
prompt_template: First {name}
prompt_template_model: better
prompt_template_optional_params: {temperature: 0.25}
""",
    "greet.v2.yaml": "labels: [beta]\nprompt_template: Second {{name}}\n",
    "sales/offer.yaml": "prompt_template: 'Sell {thing}.'\n",
    "support/help.yaml": "prompt_template: Help.\n",
    "parts.yaml": """\
prompt_template:
  - role: user
    content: [{type: text, text: "Look at {what}:"}]
""",
    "tools.yaml": """\
prompt_template: Which weather?
prompt_template_optional_params:
  tools:
    - type: function
      function: {name: weather, parameters: {type: object, properties: {}}}
  response_format: {type: json_object}
""",
    "edited.yaml": "prompt_template: before\n",
    "slow.yaml": "prompt_template: Slow.\n",
    "kept.yaml": "prompt_template: Kept.\n",
    "late.yaml": "prompt_template: Late.\n",
}
ASKED = [{"role": "user", "content": "Well?"}]
ADA = {"name": "Ada"}


def entry(name, params, api_key="os.environ/PROMPTD_TOKEN"):
    """An entry of `prompts:` that somebody wrote by hand."""
    return f"""\
  - prompt_id: {name}
    litellm_params: {{prompt_integration: generic_prompt_management, {params},
                      api_base: PROMPTD, api_key: {api_key}}}
"""


OWN_ENTRIES = (entry("greet-beta", "prompt_id: greet, provider_specific_query_params: {label: beta}")
               + entry("by-slug", "provider_specific_query_params: {slug: offer}")
               + entry("gone", "prompt_id: no-such-prompt")
               + entry("wrong-token", "prompt_id: greet", WRONG_TOKEN)
               + entry("not-for-support", "prompt_id: sales/offer", SUPPORT_TOKEN)
               + entry("for-support", "prompt_id: support/help", SUPPORT_TOKEN)
               + entry("skipped", "ignore_prompt_manager_model: true"))


class Stock(support.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = cls.directory_for_all()
        cls.files, cls.home = directory / "prompts", directory / "proxy"
        write_files(cls.files, PROMPTS)
        cls.tokens = directory / "tokens.yaml"
        digests = [hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, SUPPORT_TOKEN)]
        write_files(directory, {"tokens.yaml": f"""\
- {{name: litellm, sha256: {digests[0]}, rights: [read]}}
- {{name: support, sha256: {digests[1]}, rights: [read], projects: [support]}}
"""})
        cls.openai = cls.start_for_all(FakeOpenAI())
        cls.promptd = cls.start_promptd(0)
        block = subprocess.run(
            [promptd_program(), "litellm-config", cls.files, "--api-base", cls.promptd.url],
            check=True, capture_output=True, text=True).stdout
        config = (MODELS.replace("OPENAI", cls.openai.url) + block
                  + OWN_ENTRIES.replace("PROMPTD,", f"{cls.promptd.url},"))
        write_files(cls.home, {"config.yaml": config})
        for name in ("keys.py", "observer.py"):
            shutil.copy(support.HERE / "proxy" / name, cls.home)
        cls.proxy = cls.start_proxy()

    @classmethod
    def start_promptd(cls, port):
        return Promptd(cls.files, "--tokens-file", str(cls.tokens), port=port)

    @classmethod
    def start_proxy(cls):
        environment = {"PROMPTD_TOKEN": TOKEN, "OBSERVER_FILE": str(cls.home / "observed")}
        return Proxy(cls.home, environment, workers=2).wait_ready()

    @classmethod
    def tearDownClass(cls):
        cls.proxy.stop()
        cls.promptd.stop()
        log = cls.proxy.log()
        for token in (TOKEN, SUPPORT_TOKEN, WRONG_TOKEN):  # since 1.106 it puts REDACTED
            assert token not in log, "a token is in the proxy's log"

    def setUp(self):
        self.started += [self.promptd, self.proxy]
        self.openai.bodies.clear()

    def ask(self, prompt_id, variables=None, path="/v1/chat/completions", key="sk-all", **more):
        body = {"model": "cheap", "prompt_id": prompt_id, **more}
        if variables is not None:
            body["prompt_variables"] = variables
        body.update({"input": "Well?"} if path == "/v1/responses" else {"messages": ASKED})
        return self.proxy.post(path, body, key)

    def sent(self, *args, **kwargs):
        """Ask, and return the body that OpenAI got."""
        answer = self.ask(*args, **kwargs)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(len(self.openai.bodies), 1)
        return self.openai.bodies.pop()

    def texts(self, *args, **kwargs):
        return [message["content"] for message in self.sent(*args, **kwargs)["messages"]]

    def failure(self, *args, **kwargs):
        answer = self.ask(*args, **kwargs)
        self.assertNotEqual(answer.status, 200)
        self.assertEqual(self.openai.bodies, [])
        for token in (TOKEN, SUPPORT_TOKEN, WRONG_TOKEN):
            self.assertNotIn(token, answer.text)
        return answer.status, answer.error

    def test_no_version_is_promptds_default(self):
        body = self.sent("greet", ADA)
        self.assertEqual((body["model"], body["temperature"]), ("better", 0.25))
        self.assertEqual(body["messages"], [{"role": "user", "content": "First Ada"}, *ASKED])

    def test_versions(self):
        self.assertEqual(self.texts("greet", ADA, prompt_version=1), ["First Ada", "Well?"])
        self.assertEqual(self.texts("greet", ADA, prompt_version=2), ["Second Ada", "Well?"])

    def test_the_name_of_a_versions_entry_does_not_choose_it(self):
        self.assertEqual(self.texts("greet.v2", ADA), ["First Ada", "Well?"])

    def test_an_id_with_a_selector_comes_twice(self):
        # No entry has it, so the first manager asks promptd for it, and the SDK asks once more.
        self.assertEqual(self.texts("greet@2", ADA), ["Second Ada", "Second Ada", "Well?"])

    def test_a_version_without_an_entry_is_not_refused(self):
        # It is the default's text, and its model goes past the proxy's list of models.
        status, error = self.failure("greet", ADA, prompt_version=3)
        self.assertEqual(status, 400)
        self.assertIn("You passed model=better", error)

    def test_labels(self):
        self.assertEqual(self.texts("greet-beta", ADA), ["Second Ada", "Well?"])
        self.assertEqual(self.texts("greet", ADA, prompt_label="beta"), ["First Ada", "Well?"],
                         "the caller's label goes nowhere")

    def test_by_slug_alone(self):
        self.assertEqual(self.texts("by-slug", {"thing": "tea"}), ["Sell tea.", "Well?"])

    def test_an_entry_that_names_no_prompt_is_skipped_without_a_word(self):
        self.assertEqual(self.texts("skipped"), ["Well?"])

    def test_tools_and_response_format(self):
        body = self.sent("tools")
        self.assertEqual(body["tools"][0]["function"]["name"], "weather")
        self.assertEqual(body["response_format"], {"type": "json_object"})

    def test_text_parts_are_not_filled_in(self):
        self.assertEqual(self.texts("parts", {"what": "this"}),
                         [[{"type": "text", "text": "Look at {what}:"}], "Well?"])

    def test_a_missing_variable_stays_a_placeholder(self):
        self.assertEqual(self.texts("greet"), ["First {name}", "Well?"])

    def test_responses(self):
        body = self.sent("greet", ADA, path="/v1/responses")
        self.assertEqual([item["content"] for item in body["input"]], ["First Ada", "Well?"])

    def test_unknown_prompts(self):
        for name in ("gone", "never-heard-of"):
            status, error = self.failure(name)
            self.assertEqual(status, 500)
            self.assertIn("Client error '404 Not Found' for url", error)

    def test_a_wrong_token(self):
        status, error = self.failure("wrong-token")
        self.assertEqual(status, 500)
        self.assertIn("Client error '401 Unauthorized' for url", error)

    def test_two_projects(self):
        # A token of promptd's for each: LiteLLM itself knows no projects.
        self.assertEqual(self.texts("for-support"), ["Help.", "Well?"])
        self.assertIn("404 Not Found", self.failure("not-for-support")[1])
        self.assertEqual(self.texts("sales/offer", {"thing": "tea"}), ["Sell tea.", "Well?"])

    def test_permissions_do_not_hold_for_the_prompts_model(self):
        self.assertEqual(self.sent("greet", ADA, key="sk-cheap-key")["model"], "better")

    def test_promptd_slow(self):
        self.promptd.process.send_signal(signal.SIGSTOP)
        try:
            with self.assertRaises(TimeoutError):
                support.request(self.proxy.url, "POST", "/v1/chat/completions",
                                {"model": "cheap", "prompt_id": "slow", "messages": ASKED},
                                "sk-all", timeout_s=3)
        finally:
            self.promptd.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.openai.bodies, "the caller had gone, its request came through")

    def test_promptd_down_and_up_again(self):
        self.texts_of_both_workers("kept")
        self.promptd.stop()
        try:
            self.assertEqual(self.texts_of_both_workers("kept"), {"Kept."})
            self.assertIn("Cannot connect", self.failure("late")[1])
        finally:
            type(self).promptd = self.start_promptd(self.promptd.port)
        self.assertEqual(self.texts("late"), ["Late.", "Well?"])

    def texts_of_both_workers(self, name):
        """Ask until both workers have answered, and return what they sent."""
        texts, workers, deadline = set(), set(), time.monotonic() + support.DEADLINE_S
        while len(workers) < 2:
            answer = self.ask(name)
            self.assertEqual(answer.status, 200, answer.text)
            workers.add(answer.headers["x-worker"])
            texts.add(self.openai.bodies.pop()["messages"][0]["content"])
            self.assertLess(time.monotonic(), deadline, "only one worker answers")
        return texts

    def test_an_edit_waits_for_a_restart_of_the_proxy(self):
        self.assertEqual(self.texts_of_both_workers("edited"), {"before"})
        write_files(self.files, {"edited.yaml": "prompt_template: after\n"})
        wait_until(lambda: "after" in self.promptd.get("/prompts/edited", TOKEN).text,
                   "promptd serves the edit")
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            self.assertEqual(self.texts("edited")[0], "before")
        self.proxy.stop()
        type(self).proxy = self.start_proxy()
        self.started.append(self.proxy)
        self.assertEqual(self.texts_of_both_workers("edited"), {"after"})


if __name__ == "__main__":
    unittest.main()
