"""The example in tools/litellm answers as it stands there, without a provider."""

import json
import os
import shutil
import subprocess
import sys
import unittest

import support
from support import Promptd, Proxy, promptd_program, write_files

PROMPTS = support.HERE.parent.parent / "prompts.d"
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant specialized in data science."},
    {"role": "user", "content": "Help me with: customer churn"},
    {"role": "user", "content": "Where do I start?"},
]


class Example(support.TestCase):
    def serve(self, config, change=lambda text: text):
        """Start promptd and the proxy with this configuration of the example."""
        self.promptd = self.start(Promptd(PROMPTS, "--dev"))
        directory = self.directory_for_all()
        shutil.copytree(support.TOOLS, directory, dirs_exist_ok=True)
        write_files(directory, {"config.yaml": change((directory / config).read_text("utf-8"))})
        self.proxy = self.start(Proxy(directory, {"PROMPTD_URL": self.promptd.url}).wait_ready())

    def run_client(self):
        program = subprocess.run(
            [sys.executable, support.TOOLS / "openai_sdk.py"], check=True, capture_output=True,
            text=True, env={**os.environ, "OPENAI_BASE_URL": f"{self.proxy.url}/v1",
                            "OPENAI_API_KEY": self.proxy.KEY})
        sent = json.loads(program.stdout)
        self.assertEqual(sent["messages"], MESSAGES)
        self.assertEqual((sent["model"], sent["temperature"], sent["max_tokens"]),
                         ("gpt-4", 0.7, 500))

    def test_with_the_companion(self):
        self.serve("config.yaml")
        self.run_client()
        answer = self.proxy.post("/v1/chat/completions", {
            "model": "gpt-4", "prompt_id": "hello-world-prompt", "stream": True,
            "prompt_variables": {"domain": "law", "task": "it"}, "messages": []})
        self.assertIn("specialized in law", answer.text)

    def test_with_litellms_own_client(self):
        self.serve("config-stock.yaml",
                   lambda text: text.replace("http://127.0.0.1:8080", self.promptd.url))
        self.run_client()

    def test_the_entries_are_those_that_promptd_prints(self):
        block = subprocess.run([promptd_program(), "litellm-config", PROMPTS], check=True,
                               capture_output=True, text=True).stdout
        self.assertTrue((support.TOOLS / "config-stock.yaml").read_text("utf-8").endswith(block))

    def test_check_finds_nothing_wrong(self):
        for config in ("config.yaml", "config-stock.yaml"):
            checked = subprocess.run(
                [promptd_program(), "check", "--litellm-config", support.TOOLS / config, PROMPTS],
                capture_output=True, text=True)
            self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)


if __name__ == "__main__":
    unittest.main()
