"""The Dockerfile, without an engine that would build it: its form, what it copies, and what it runs."""
import json
import re
import subprocess
import unittest

from promptd import PROMPTS_D, ServerTest, binary, clean_environment
from test_kubernetes import admin_port
from tools import DEPLOY, ROOT, known_options, run_tool

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")


def instruction(name):
    """What the last such instruction says."""
    return re.findall(rf"^{name} (.*)$", TEXT, re.MULTILINE)[-1]


class Dockerfile(ServerTest):
    def test_hadolint_finds_nothing(self):
        run_tool("hadolint", DEPLOY / "Dockerfile")

    def test_it_installs_what_a_build_needs(self):
        setup = (ROOT / "tools/setup").read_text(encoding="utf-8")
        wanted = re.search(r'\[build\]="(.*)"', setup)[1].split()
        self.assertLessEqual(set(wanted), set(TEXT.split()))

    def test_the_package_finds_its_files_in_the_context(self):
        let_in = re.findall(r"^!(.*)$", (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8"),
                            re.MULTILINE)
        cmake = "".join((ROOT / path).read_text(encoding="utf-8")
                        for path in ["CMakeLists.txt", "tools/deploy/package.cmake"])
        named = re.findall(r"(?<![\w./-])(?:src|tools|prompts\.d|LICENSE|README\.md|CHANGELOG\.md)"
                           r"(?:/[\w./-]+)?(?![\w-])", cmake)
        self.assertGreater(len(named), 100)
        for name in {*named, "CMakeLists.txt", "CMakePresets.json"}:
            self.assertTrue(any(f"{name}/".startswith(f"{path}/") for path in let_in), name)

    def test_its_user_is_a_number_and_not_root(self):
        self.assertRegex(instruction("USER"), r"^[1-9]\d*:[1-9]\d*$")

    def test_the_health_check_sees_whether_it_lives(self):
        environment = dict(pair.split("=") for pair in instruction("ENV").split())
        self.assertLessEqual({"--" + name[len("PROMPTD_"):].lower().replace("_", "-")
                              for name in environment}, known_options())
        self.assertEqual(json.loads(instruction("ENTRYPOINT")), ["promptd"])
        command = json.loads(instruction("CMD"))
        self.assertEqual(command, ["serve", "/prompts"])
        server = self.serve(
            command=[binary(), command[0], str(PROMPTS_D)],
            env={**environment, "PROMPTD_LISTEN": "127.0.0.1:0", "PROMPTD_ADMIN_LISTEN": "127.0.0.1:0"})
        health = json.loads(re.search(r" CMD (\[.*\])$", instruction("HEALTHCHECK"))[1])
        self.assertEqual(health[:2], ["bash", "-c"])
        port = admin_port(server)

        def check(text=health[2]):
            return subprocess.run([*health[:2], text], stderr=subprocess.DEVNULL, check=False,
                                  env=clean_environment({"PROMPTD_ADMIN_LISTEN": f"0.0.0.0:{port}"})).returncode

        self.assertEqual(check(), 0)
        self.assertNotEqual(check(health[2].replace("/health", "/nothing")), 0)
        server.stop()
        self.assertNotEqual(check(), 0)


if __name__ == "__main__":
    unittest.main()
