"""The real LiteLLM SDK against a running promptd.

LiteLLM fetches the prompts from promptd and sends its chat completions to a fake OpenAI endpoint;
the tests look at what that endpoint received.
"""

import asyncio
import tempfile
import unittest
import warnings

import support
from support import FakeOpenAI, Promptd, write_files

support.stay_on_loopback()

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


def setUpModule():
    # Here and not at import time, as unittest sets the filters anew when it starts the tests.
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier", module="pydantic")


def tearDownModule():
    support.refuse_attempts()


class LiteLLMTest(support.TestCase):
    def setUp(self):
        # LiteLLM copies litellm.callbacks into further lists, where it would find an old manager.
        litellm.logging_callback_manager._reset_all_callbacks()
        self.addCleanup(litellm.logging_callback_manager._reset_all_callbacks)

        self.openai = self.start(FakeOpenAI())
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        write_files(directory.name, PROMPTS)
        self.promptd = self.start(Promptd(directory.name, "--dev"))

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
