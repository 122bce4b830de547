"""The commands that end by themselves: check, list, show, render, revision."""
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml  # Debian: python3-yaml

from promptd import (PROMPTS_D, STOP_DEADLINE, ServerTest, binary, clean_environment, prompt,
                     wait_until)


class CommandTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.directory = Path(tempfile.mkdtemp(prefix="promptd-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.files = self.directory / "prompts.d"
        self.files.mkdir()

    def write(self, **files):
        """Write files of the served directory: "__" in a name stands for a slash, "_" for a dot."""
        for name, text in files.items():
            path = self.files / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run_command(self, *args, env=None, directory=None):
        return subprocess.run([binary(), *args], capture_output=True, text=True, check=False,
                              timeout=STOP_DEADLINE, stdin=subprocess.DEVNULL,
                              cwd=directory or self.directory, env=clean_environment(env))

    def output_of(self, *args, status=0, **kwargs):
        ended = self.run_command(*args, **kwargs)
        self.assertEqual((ended.returncode, ended.stderr), (status, ""), ended)
        return ended.stdout

    def refusal_of(self, *args, status=1, **kwargs):
        """On stderr a line that says what is wrong and mostly a second one that says what to do; nothing on
        stdout."""
        ended = self.run_command(*args, **kwargs)
        self.assertEqual((ended.returncode, ended.stdout), (status, ""), ended)
        self.assertRegex(ended.stderr, r"\Apromptd: [^\n]+\n(  [^\n]+\n)?\Z")
        return ended.stderr

    def on_terminal(self, *args):
        """What a command prints on a terminal."""
        master, slave = pty.openpty()
        process = subprocess.Popen([binary(), *args], stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=slave, cwd=self.directory, env=clean_environment())
        os.close(slave)
        with open(master, "rb", closefd=True) as output:
            data = b""
            try:
                while chunk := output.read1():
                    data += chunk
            except OSError:  # the other side is closed
                pass
        self.assertEqual(process.wait(STOP_DEADLINE), 0)
        return data.decode().replace("\r\n", "\n")


class Check(CommandTest):
    def test_the_examples_are_good(self):
        self.assertEqual(self.output_of("check", str(PROMPTS_D)),
                         "5 files, 5 prompts: 0 errors, 0 warnings\n")

    def test_each_mistake_has_its_place(self):
        self.write(a_yaml="prompt_templat: x\n", b_yaml="prompt_template: x\n",
                   c_yaml='prompt_template: "é"\nslug: "Ä B"\nlabels: [Ok]\n')
        out = self.output_of("check", status=1)
        words = "  use lower-case letters, digits, _, . and -, starting with a letter or digit"
        self.assertEqual(out.splitlines(), [
            'prompts.d/a.yaml:1:1: error: unknown key "prompt_templat" [schema]',
            '  did you mean "prompt_template"?',
            "    prompt_templat: x",
            "    ^",
            "prompts.d/a.yaml:1:1: error: prompt_template is missing [schema]",
            '  rename "prompt_templat", if that is meant',
            "    prompt_templat: x",
            "    ^",
            'prompts.d/c.yaml:2:7: error: slug "Ä B" does not fit [schema]',
            words,
            '    slug: "Ä B"',
            "          ^",
            'prompts.d/c.yaml:3:10: error: label "Ok" does not fit [schema]',
            words + ", and not all digits",
            "    labels: [Ok]",
            "             ^",
            "3 files, 1 prompt: 4 errors, 0 warnings"])

    def test_one_line_for_an_editor(self):
        self.write(a_yaml="prompt_templat: x\n", b_yaml='prompt_template: x\nprompt_template_model: ""\n')
        self.assertEqual(self.output_of("check", "--format", "gcc", status=1).splitlines(), [
            'prompts.d/a.yaml:1:1: error: unknown key "prompt_templat": did you mean "prompt_template"? [schema]',
            'prompts.d/a.yaml:1:1: error: prompt_template is missing: rename "prompt_templat", if that is meant [schema]',
            "prompts.d/b.yaml:2:24: warning: prompt_template_model is empty and served as null: remove it "
            "[doubtful]"])

    def test_a_server_says_the_same(self):
        self.write(a_yaml="prompt_templat: x\n", b_json='{"prompt_template": "x",}',
                   c_yaml=prompt("x", prompt_id="d"), d_yaml=prompt("y"))
        server = self.serve(directory=self.files)
        wait_until(lambda: len(server.problems()) >= 4, "all problems are told")
        self.assertEqual(self.told("error"), server.problems())

    def told(self, severity):
        """What check says, in the form of the server."""
        lines = self.run_command("check", "--format", "gcc").stdout.splitlines()
        return [line.rpartition(" [")[0].replace(f": {severity}: ", ": ", 1).removeprefix("prompts.d/")
                for line in lines if f": {severity}: " in line]

    def test_a_server_warns_in_the_same_words(self):
        self.write(a_yaml='prompt_template: "Hi { name }"\n', b_v1_yaml=prompt("x", labels=["beta"]),
                   b_v2_yaml=prompt("y"), my__x_yaml=prompt("x {a}", variables={"b": {}}),
                   n_yaml="# promptd: ignore yaml-1.1\nprompt_template: x\nversion: no\n")
        server = self.serve(directory=self.files)
        server.wait_for_text("a", "Hi { name }")
        told = self.told("warning")
        self.assertEqual(len(told), 4, told)
        status = server.get("/-/status").json
        self.assertEqual((sorted(status["warnings"]), status["n_warnings"]), (sorted(told), 4))
        def logged():
            return [m for m in server.messages() if ".yaml:" in m]
        wait_until(lambda: len(logged()) >= len(told), "the warnings are logged")
        self.assertEqual(sorted(logged()), sorted(told))
        self.assertEqual(server.problems(), [])
        server.replace("a.yaml", 'prompt_template: "Ho { name }"\n')  # the same mistake is not told again
        server.wait_for_text("a", "Ho { name }")
        server.replace("b.v2.yaml", prompt("z"))
        server.replace("c.yaml", 'prompt_template: "{% if x %}"\n')
        server.wait_for_text("c", "{% if x %}")
        wait_until(lambda: len(logged()) > len(told), "the new warning is logged")
        self.assertEqual([m[:9] for m in logged()[len(told):]], ["c.yaml:1:"])

    def test_a_server_does_not_drown_in_warnings(self):
        for number in range(150):
            (self.files / f"p{number}.yaml").write_text("prompt_template: x\nversion: no\n", encoding="utf-8")
        server = self.serve(directory=self.files)
        server.wait_for_text("p149", "x")
        wait_until(lambda: any(m.startswith("there are more warnings") for m in server.messages()),
                   "it is logged that there are more")
        self.assertEqual(self.warnings_of(server), 100)
        for query, listed in (("", 100), ("?files=all", 150)):
            status = server.get("/-/status" + query).json
            self.assertEqual((len(status["warnings"]), status["n_warnings"]), (listed, 150))

    def test_nor_in_those_of_several_looks(self):
        """What nothing is known of, as in a directory that was moved, keeps a set from being published meanwhile."""
        moved, staged = self.files / "moved", self.directory / "staged"
        staged.mkdir()
        server = self.serve("--settle", "60s", "--max-latency", "120s", directory=self.files)
        (staged / "p.yaml").write_text(prompt("x"), encoding="utf-8")
        staged.rename(moved)
        for looks, text in enumerate(("version: no\n", "version: yes\n"), 1):
            for number in range(75):
                (self.files / f"p{looks}-{number}.yaml").write_text(f"prompt_template: x\n{text}", encoding="utf-8")
            told = min(75 * looks, 100)
            wait_until(lambda told=told: self.warnings_of(server) == told, f"{told} warnings are logged")
        (moved / "p.yaml").write_text(prompt("y"), encoding="utf-8")
        server.wait_for_text("moved/p", "y")
        wait_until(lambda: len([m for m in server.messages() if m.startswith("there are more warnings")]) == 1,
                   "it is logged that there are more")
        self.assertEqual(self.warnings_of(server), 100)

    @staticmethod
    def warnings_of(server):
        return len([m for m in server.messages() if "YAML 1.1" in m])

    def test_a_server_tells_of_a_default_that_is_gone(self):
        self.write(p_v1_yaml=prompt("x", labels=["production"]), p_v2_yaml=prompt("y"),
                   q_v1_yaml=prompt("x", labels=["beta"]), q_v2_yaml=prompt("y"))
        server = self.serve(directory=self.files)
        server.wait_for_text("p", "x")

        def told():
            return [m for m in server.messages() if "no version of" in m]
        self.assertEqual([m[:10] for m in told()], ["q.v1.yaml:"])
        server.replace("q.v2.yaml", prompt("z"))  # it had no default before
        server.replace("p.v1.yaml", prompt("x", labels=["beta"]))
        server.wait_until_gone("p")
        wait_until(lambda: len(told()) > 1, "the warning is logged")
        self.assertEqual([m[:10] for m in told()], ["q.v1.yaml:", "p.v1.yaml:"])

    def test_warnings_alone_are_no_failure(self):
        self.write(p_yaml='prompt_template: x\nprompt_template_model: ""\n')
        out = self.output_of("check")
        self.assertIn("prompts.d/p.yaml:2:24: warning: ", out)
        self.assertTrue(out.endswith("1 file, 1 prompt: 0 errors, 1 warning\n"), out)

    def test_fresh_files_and_gits_lock_are_not_waited_for(self):
        (self.directory / ".git").mkdir()
        (self.directory / ".git/HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
        (self.directory / ".git/index.lock").touch()  # as in a hook of git commit
        self.write(p_yaml=prompt("x"))
        self.assertIn("1 file, 1 prompt", self.output_of("check"))

    def test_json(self):
        self.write(a_yaml="prompt_templat: x\n", b_yaml="prompt_template: x\n")
        report = json.loads(self.output_of("check", "--format", "json", status=1))
        self.assertEqual(report["directory"], "prompts.d")
        self.assertEqual({k: report[k] for k in ("files", "prompts", "errors", "warnings")},
                         {"files": 2, "prompts": 1, "errors": 2, "warnings": 0})
        self.assertEqual(report["problems"][0], {
            "file": "a.yaml", "line": 1, "column": 1, "severity": "error", "rule": "schema",
            "message": 'unknown key "prompt_templat": did you mean "prompt_template"?'})

    def test_annotations_of_github(self):
        self.write(a_yaml="prompt_templat: x\n", b_yaml='prompt_template: x\nslug: "50%: a, b"\n')
        lines = self.output_of("check", "--format", "github", status=1).splitlines()
        self.assertEqual(lines[0], "::error file=prompts.d/a.yaml,line=1,col=1::unknown key "
                                   '"prompt_templat": did you mean "prompt_template"? [schema]')
        self.assertIn('slug "50%25: a, b" does not fit: use ', lines[2])

    def test_nothing_to_check(self):
        self.assertIn("no prompt file", self.refusal_of("check", status=2))
        self.assertIn("No such file", self.refusal_of("check", "nowhere", status=2))

    def test_nothing_in_a_file_acts_on_the_terminal(self):
        self.write(p_yaml='"\x1b[2J": 1\n'.replace("\x1b", "\\e"), q_yaml="prompt_template: {x\n")
        self.assertNotIn("\x1b", self.output_of("check", status=1))


class Lint(CommandTest):
    """Each rule: a file that breaks it, the place, and a file beside it that does not."""

    MESSAGE = "prompt_template:\n- role: user\n  content: "
    RULES = {
        "unused-variable": (MESSAGE + "x {a}\nvariables: {a: {}, b: {}}\n", (4, 20),
                            MESSAGE + "x {a} {b}\nvariables: {a: {}, b: {}}\n"),
        "undeclared-variable": (MESSAGE + "x {a} {bb}\nvariables: {a: {}}\n", (3, 18),
                                MESSAGE + "x {a} {\\d} {3}\nvariables: {a: {}}\n"),
        "placeholder-in-parts": (MESSAGE + "[{type: text, text: 'x {a}'}]\n", (3, 35),
                                 MESSAGE + "[{type: text, text: 'x {a'}]\n"),
        "odd-placeholder": (MESSAGE + "x {user-name}\n", (3, 14), MESSAGE + "x {user_name} \\frac{a-b}\n"),
        "unknown-role": ("prompt_template:\n- {role: User, content: x}\n", (2, 10),
                         "prompt_template:\n- {role: user, content: x}\n"),
        "template-logic": (MESSAGE + "|-\n    x\n    {% if y %}\n", (5, 5),
                           MESSAGE + "|-\n    x\n    { % if y %}\n"),
        "spaced-placeholder": (MESSAGE + "x { a }\n", (3, 14), MESSAGE + "'x { \"a\": 1 } {{ a }}'\n"),
        "cut-text": (MESSAGE + "x # y\n", (3, 13), MESSAGE + "'x # y'\n"),
        "secret": (MESSAGE + "x sk-abcdefghijklmnopqrstuvwxyz1\n", (3, 14),
                   MESSAGE + "x task-abcdefghijklmnopqrstuvwxyz1 sk-xxxxxxxxxxxxxxxxxxxxxxxxxx\n"),
        "yaml-1.1": ("prompt_template: x\nversion: no\n", (2, 10), "prompt_template: x\nversion: 'no'\n"),
        "doubtful": ('prompt_template: x\nprompt_template_model: ""\n', (2, 24), "prompt_template: x\n"),
    }

    def warnings_of(self, *args):
        return json.loads(self.output_of("check", "--format", "json", *args))["problems"]

    def test_each_rule(self):
        for rule, (bad, place, good) in self.RULES.items():
            with self.subTest(rule):
                self.write(p_yaml=bad)
                found = self.warnings_of()
                self.assertEqual([(f["rule"], (f["line"], f["column"])) for f in found],
                                 [(rule, place)], found)
                self.write(p_yaml=good)
                self.assertEqual(self.warnings_of(), [])

    def test_a_rule_can_be_switched_off(self):
        for rule, (bad, _, _) in self.RULES.items():
            with self.subTest(rule):
                self.write(p_yaml=bad)
                self.assertEqual(self.warnings_of("--ignore", f"stock-id,{rule}"), [])
                self.write(p_yaml=f"# promptd: ignore stock-id, {rule}\n" + bad)
                self.assertEqual(self.warnings_of(), [])
                self.write(p_yaml=f"# promptd: ignore {rule}s\n" + bad)
                self.assertEqual(sorted(w["rule"] for w in self.warnings_of()), sorted([rule, "doubtful"]))

    def test_an_id_that_a_label_takes_away(self):
        self.write(p_v1_yaml=prompt("x", labels=["beta"]), p_v2_yaml=prompt("y"))
        self.assertEqual([(f["rule"], f["file"]) for f in self.warnings_of()],
                         [("no-default", "p.v1.yaml")])
        self.assertEqual(self.warnings_of("--default-label", "beta"), [])

    def test_ids_that_litellms_own_client_takes_apart(self):
        self.write(my_video_yaml=prompt("x"))
        (self.files / "my.video.yaml").rename(self.files / "my_video.yaml")
        self.assertEqual(self.warnings_of(), [])
        self.assertEqual([f["rule"] for f in self.warnings_of("--profile", "stock")], ["stock-id"])

    def test_what_is_nearly_too_large(self):
        self.write(p_yaml=prompt("x" * 900_000), **{"q" * 190 + "_yaml": prompt("x")})
        self.assertEqual([f["rule"] for f in self.warnings_of()], ["near-limit"] * 2)

    def test_each_rule_is_explained(self):
        rules = [line.split()[0] for line in self.output_of("check", "--explain", "all").splitlines()]
        self.assertLessEqual(set(self.RULES), set(rules))
        for rule in rules:
            self.assertEqual(len(self.output_of("check", "--explain", rule).splitlines()), 2)
        self.assertIn("--explain all", self.refusal_of("check", "--explain", "nonsense", status=2))

    def test_errors_cannot_be_ignored(self):
        for rule in ("syntax", "schema", "file", "conflict", "nonsense"):
            self.assertIn("--explain all lists", self.refusal_of("check", "--ignore", rule, status=2))


class Show(CommandTest):
    def test_list(self):
        self.write(greet_v1_yaml=prompt("one", labels=["production"], prompt_template_model="gpt-4"),
                   greet_v2_yaml=prompt("two", labels=["beta"]),
                   support__refund_yaml=prompt("x", description="Gives money back"))
        self.assertEqual(self.output_of("list").splitlines(), [
            "greet\t1\tproduction\tgpt-4\t-\t-",
            "support/refund\t-\t-\t-\tsupport\tGives money back"])
        self.assertEqual([p["prompt_id"] for p in json.loads(self.output_of("list", "--format", "json"))],
                         ["greet", "support/refund"])
        self.assertIn("greet\t2\tbeta", self.output_of("list", "--default-label", "beta"))

    def test_a_list_of_several_pages(self):
        self.write(all_yaml="---\n".join(
            f"prompt_id: p{i:04}\nprompt_template: x\n" for i in range(2500)))
        names = [line.split("\t")[0] for line in self.output_of("list").splitlines()]
        self.assertEqual(names, [f"p{i:04}" for i in range(2500)])
        self.assertEqual([p["prompt_id"] for p in json.loads(self.output_of("list", "--format", "json"))],
                         names)

    def test_an_empty_list(self):
        self.assertEqual(self.output_of("list"), "")
        self.assertEqual(json.loads(self.output_of("list", "--format", "json")), [])

    def test_columns_on_a_terminal(self):
        self.write(a_yaml=prompt("x"), longer_yaml=prompt("x", description="é"))
        lines = self.on_terminal("list").splitlines()
        self.assertTrue(lines[0].startswith("\x1b[1mID      VERSION"), lines)
        self.assertEqual({line.index("-") for line in lines[1:]}, {8 + len("\x1b[0m"), 8}, lines)

    def test_show(self):
        self.write(greet_v1_yaml=prompt("Hello {name}\nHow are you?", labels=["production"],
                                        variables={"name": {"default": "you", "description": "who"}}))
        self.assertEqual(self.output_of("show", "greet@1").splitlines(), [
            "greet", "  version: 1", "  slug: greet", "  state: good", "  labels: production",
            "  file: greet.v1.yaml:1", "variables", "  name = you: who",
            "user", "  Hello {name}", "  How are you?"])
        shown = json.loads(self.output_of("show", "greet", "--format", "json"))
        self.assertEqual((shown["prompt_id"], shown["version"]), ("greet", "1"))

    def test_show_what_is_no_plain_text(self):
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        self.write(a_yaml=json.dumps({
            "prompt_template": [{"role": "assistant", "content": None, "tool_calls": [call]},
                                {"role": "user", "content": [{"type": "text", "text": "{x}"}]}],
            "variables": {"x": {"required": False}}}))
        shown = self.output_of("show", "a").splitlines()
        self.assertIn("  x (optional)", shown)
        for role, part in (("assistant", '"tool_calls":[{"id":"1"'), ("user", '"text":"{x}"')):
            self.assertIn(part, shown[shown.index(role) + 1])

    def test_render(self):
        self.write(a__b_yaml=prompt('Say {what} to {who}: "é"'))
        self.assertEqual(self.output_of("render", "a/b", "what=x=1", "who=\"you\"\n"),
                         'user\n  Say x=1 to "you"\n  : "é"\n')
        self.assertIn("who has no value\n  add who=VALUE\n", self.refusal_of("render", "a/b", "what=x"))
        self.assertIn("NAME=VALUE", self.refusal_of("render", "a/b", "x", status=2))

    def test_bad_files_are_not_passed_over_in_silence(self):
        self.write(good_yaml=prompt("x"), bad_yaml="x")
        for arguments in (("list",), ("show", "good"), ("render", "good"), ("revision",)):
            ended = self.run_command(*arguments)
            self.assertEqual((ended.returncode, ended.stderr),
                             (0, 'promptd: 1 problem in "prompts.d"\n  see promptd check prompts.d\n'))
        self.assertIn("see promptd check", self.run_command("show", "bad").stderr)

    def test_a_full_disk_is_no_success(self):
        self.write(p_yaml=prompt("x"))
        for arguments in (("list",), ("schema",), ("token", "new"), ("--help",), ("--version",), ("check",),
                          ("configmap",)):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                ended = subprocess.run([binary(), *arguments], stdout=full, stderr=subprocess.PIPE, text=True,
                                       cwd=self.directory, env=clean_environment(), check=False,
                                       timeout=STOP_DEADLINE)
                self.assertEqual((ended.returncode, "No space left" in ended.stderr), (2, True), ended)

    def test_what_is_not_there(self):
        self.write(greet_yaml=prompt("x"))
        self.assertIn("Nearby: 'greet'", self.refusal_of("show", "gret"))
        self.assertIn("It has: unversioned", self.refusal_of("show", "greet@7"))
        self.assertIn("No such file", self.refusal_of("list", "--dir", "nowhere"))

    def test_the_revision_is_that_of_a_server(self):
        self.write(greet_yaml=prompt("x"), other_yaml=prompt("y"))
        server = self.serve(directory=self.files)
        server.wait_for_text("greet", "x")
        self.assertEqual(self.output_of("revision"), server.revision() + "\n")
        self.assertEqual(json.loads(self.output_of("revision", "--format", "json")),
                         {"revision": server.revision()})


class Diff(CommandTest):
    def write_both(self, old, new):
        for name, files in (("old", old), ("new", new)):
            folder = self.directory / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for path, text in files.items():
                (folder / path).write_text(text, encoding="utf-8")

    def changes(self, old, new, breaking, *args):
        self.write_both(old, new)
        told = json.loads(self.output_of("diff", "old", "new", "--format", "json", *args,
                                         status=int(breaking)))
        self.assertEqual(told["breaking"], breaking, told)
        return {(c["prompt"], c["change"]): c for c in told["changes"]}

    def test_what_breaks_callers_and_what_does_not(self):
        p, production = prompt("Hi {a}"), {"labels": ["production"]}
        needed = {"variables": {"a": {}, "b": {}}}
        for old, new, expected in (
                ({"p.yaml": p}, {"p.yaml": p}, {}),
                ({"p.yaml": p}, {"q.yaml": prompt("Hi {a}", prompt_id="p")}, {}),
                ({"p.yaml": p}, {"p.yaml": p, "q.yaml": p}, {("q", "added"): None}),
                ({"p.yaml": p, "q.yaml": p}, {"p.yaml": p}, {("q", "removed"): "404"}),
                ({"p.yaml": p}, {"p.yaml": prompt("Ho {a}")}, {("p", "changed"): None}),
                ({"p.yaml": p}, {"p.yaml": prompt("Hi {a} {b}")}, {("p", "changed"): "give b now"}),
                ({"p.yaml": prompt("Hi {a} {b}")}, {"p.yaml": p}, {("p", "changed"): None}),
                ({"p.yaml": prompt("{a}{b}", **needed)},
                 {"p.yaml": prompt("{a}{b}", variables={"a": {}, "b": {"default": "x"}})},
                 {("p", "changed"): None}),
                ({"p.yaml": prompt("{a}{b}", variables={"a": {}, "b": {"required": False}})},
                 {"p.yaml": prompt("{a}{b}", **needed)}, {("p", "changed"): "give b now"}),
                ({"p.v1.yaml": prompt("x", **production), "p.v2.yaml": prompt("y {z}")},
                 {"p.v1.yaml": prompt("x"), "p.v2.yaml": prompt("y {z}", **production)},
                 {("p@1", "changed"): None, ("p@2", "changed"): None,
                  ("p", "default moved"): "give z now"}),
                ({"p.v1.yaml": prompt("x", **production), "p.v2.yaml": prompt("y")},
                 {"p.v1.yaml": prompt("x", labels=["beta"]), "p.v2.yaml": prompt("y")},
                 {("p@1", "changed"): None, ("p", "default moved"): "without a version"}),
                ({"p.yaml": prompt("x", labels=["beta", "production"])}, {"p.yaml": prompt("x", **production)},
                 {("p", "changed"): None, ("p@beta", "label moved"): "404"}),
                ({"p.v1.yaml": prompt("{a}", labels=["beta"]), "p.v2.yaml": prompt("{a}{b}"),
                  "p.v3.yaml": prompt("z", **production)},
                 {"p.v1.yaml": prompt("{a}"), "p.v2.yaml": prompt("{a}{b}", labels=["beta"]),
                  "p.v3.yaml": prompt("z", **production)},
                 {("p@1", "changed"): None, ("p@2", "changed"): None, ("p@beta", "label moved"): "give b now"}),
                ({"p.yaml": prompt("x", slug="a")}, {"p.yaml": prompt("x", slug="b")},
                 {("p", "changed"): "the slug a gets a 404"}),
                ({"p.yaml": prompt("x")}, {"p.yaml": prompt("x", project_name="b")},
                 {("p", "changed"): "another project gets a 404"}),
                ({"p.yaml": prompt("x", project_name="none")}, {"p.yaml": prompt("x", project_name="b")},
                 {("p", "changed"): "the project none gets a 404"}),
                ({"p.yaml": prompt("x {a}")}, {"p.v1.yaml": prompt("x {a}")},
                 {("p", "removed"): None, ("p@1", "added"): None, ("p", "default moved"): None}),
                ({"p.yaml": prompt("x", slug="s")}, {"p.yaml": prompt("x", slug="s"), "q.yaml": prompt("y", slug="s")},
                 {("q", "added"): None, ("s", "slug shared"): "409"}),
                ({"p.yaml": prompt("x", slug="s", project_name="a"), "q.yaml": prompt("x", slug="s", project_name="b")},
                 {"p.yaml": prompt("x", slug="s", project_name="a"), "q.yaml": prompt("x", slug="s", project_name="b"),
                  "r.yaml": prompt("x", slug="s", project_name="b")},
                 {("r", "added"): None, ("s", "slug shared"): "409"}),
                ({"p.yaml": prompt([{"role": "user", "content": "x", "name": "a"}])},
                 {"p.yaml": prompt([{"role": "user", "content": "x", "name": "b"}])}, {("p", "changed"): None}),
                ({"p.yaml": prompt("x", project_name="a")}, {"p.yaml": prompt("x", project_name="b")},
                 {("p", "changed"): "the project a gets a 404"}),
                ({"p.v1.yaml": prompt("x"), "p.v2.yaml": prompt("y")},
                 {"p.v1.yaml": prompt("x"), "p.v2.yaml": prompt("z")}, {("p@2", "changed"): None})):
            with self.subTest(old=old, new=new):
                found = self.changes(old, new, any(expected.values()))
                self.assertEqual(set(found), set(expected))
                for key, why in expected.items():
                    self.assertIn(why or "", found[key]["breaking"] or "")
                    self.assertEqual(bool(why), bool(found[key]["breaking"]), found[key])

    def test_fields_and_texts(self):
        found = self.changes(
            {"p.v1.yaml": prompt("one\n" * 9 + "old\nlast", labels=["production"], slug="a",
                                 prompt_template_model="m1")},
            {"p.v1.yaml": prompt("one\n" * 9 + "new\nlast", labels=["production"], slug="b",
                                 prompt_template_model="m2", description="d")}, True)
        change = found["p@1", "changed"]
        self.assertEqual([(f["field"], f["before"], f["now"]) for f in change["fields"]],
                         [("model", "m1", "m2"), ("slug", "a", "b"), ("description", None, "d")])
        self.assertEqual(change["published"], "production")
        self.assertEqual(change["breaking"], "whoever asks with the slug a gets a 404")
        self.assertEqual(change["diff"].splitlines(),
                         [" …", " one", " one", "-old", "+new", " last"])

    def test_for_people_and_for_pull_requests(self):
        self.write_both({"p.yaml": prompt("x"), "gone.yaml": prompt("x")}, {"p.yaml": prompt("y")})
        text = self.output_of("diff", "old", "new", status=1)
        self.assertTrue(text.startswith("1 removed, 1 changed: breaking\n"), text)
        self.assertIn("\n    -x\n    +y\n", text)
        text = self.output_of("diff", "old", "new", "--format", "markdown", status=1)
        self.assertTrue(text.startswith("### Prompts: 1 removed, 1 changed: breaking\n"), text)
        self.assertIn("\n  ````diff\n   [user]\n  -x\n  +y\n  ````\n", text)
        self.assertIn("\n- `gone` removed: :warning: **breaking**, `whoever asks for it gets a 404`\n", text)
        self.write_both({"p.yaml": prompt("x")}, {"p.yaml": prompt("x", description="@you `a` <b>")})
        self.assertIn("  - description: none -> ``` @you `a` <b> ```\n",
                      self.output_of("diff", "old", "new", "--format", "markdown"))
        self.assertEqual(self.output_of("diff", "new", "new"), "no prompt differs\n")

    def test_a_version_that_is_served_is_published(self):
        versions = {f"p.v{n}.yaml": prompt(f"text {n}") for n in (1, 2)}
        for number, published in ((1, None), (2, "the default")):
            found = self.changes(versions, {**versions, f"p.v{number}.yaml": prompt("other")}, False)
            self.assertEqual(found[f"p@{number}", "changed"]["published"], published)

    def test_mistakes_of_before_do_not_matter(self):
        self.write_both({"p.yaml": prompt("x"), "q.yaml": "x"}, {"p.yaml": prompt("x"), "q.yaml": prompt("y")})
        ended = self.run_command("diff", "old", "new")
        self.assertEqual((ended.returncode, "q  added" in ended.stdout), (0, True), ended)
        self.assertEqual(ended.stderr, 'promptd: 1 problem in "old"\n  see promptd check old\n')

    def test_mistakes_are_not_taken_for_removals(self):
        self.write_both({"p.yaml": prompt("x")}, {"p.yaml": "prompt_template: [x\n"})
        self.assertIn("see promptd check new", self.refusal_of("diff", "old", "new", status=2))
        self.assertIn("No such file", self.refusal_of("diff", "old", "nowhere", status=2))


class CheckOfLitellm(CommandTest):
    """check --litellm-config: the proxy's file and the prompts fit together."""

    MODELS = "model_list:\n- model_name: gpt-4\n- {model_name: 'claude/*'}\n"

    def told(self, config, **files):
        self.write(**files)
        (self.directory / "config.yaml").write_text(config, encoding="utf-8")
        lines = self.run_command("check", "--format", "gcc", "--litellm-config", "config.yaml").stdout.splitlines()
        return [line.removesuffix(" [litellm]") for line in lines]

    def entry(self, **params):
        return self.MODELS + "prompts:\n- prompt_id: x\n  litellm_params: " + json.dumps(
            {"prompt_integration": "generic_prompt_management", **params}) + "\n"

    def test_what_litellm_config_prints_is_good(self):
        self.write(p_v1_yaml=prompt("x", prompt_template_model="gpt-4"), p_v2_yaml=prompt("y"),
                   q_yaml=prompt("x", prompt_template_model="claude/3"))
        self.assertEqual(self.told(self.MODELS + self.output_of("litellm-config")), [])

    def test_models_that_the_proxy_does_not_serve(self):
        files = {"p_yaml": "# a\n" + prompt("x", prompt_template_model="gpt-5"), "q_yaml": prompt("x")}
        self.assertEqual(self.told(self.MODELS, **files), [
            'prompts.d/p.yaml:2:1: error: the proxy does not serve the model "gpt-5" of the prompt "p": add it to '
            "model_list, or name another"])
        self.assertEqual(self.told(self.MODELS + "router_settings: {model_group_alias: {gpt-5: gpt-4}}\n"), [])
        self.assertEqual(self.told("general_settings: {store_model_in_db: true}\n"), [])
        self.assertEqual(self.told(self.MODELS + "general_settings: {store_model_in_db: true}\n"), [])
        self.assertEqual(self.told(self.MODELS + "include: [models.yaml]\n"), [])
        self.assertEqual(self.told("model_list: []\n"), [])

    def test_entries_that_ask_for_nothing(self):
        files = {"p_v1_yaml": prompt("x", labels=["beta"]), "p_v2_yaml": prompt("y", labels=["production"])}
        for params, told in (({"prompt_id": "p"}, None),
                             ({"prompt_id": "p", "provider_specific_query_params": {"version": "2"}}, None),
                             ({"prompt_id": "p", "provider_specific_query_params": {"label": "beta"}}, None),
                             ({"provider_specific_query_params": {"slug": "p"}}, None),
                             ({"prompt_id": "q"}, 'there is no prompt "q"'),
                             ({"prompt_id": "p", "provider_specific_query_params": {"version": "3"}},
                              'no version of the prompt "p" is what this entry asks for'),
                             ({"prompt_id": "p", "provider_specific_query_params": {"slug": "z"}}, "no version of"),
                             ({"prompt_id": "p@2"}, None),
                             ({"prompt_id": "p@beta"}, None),
                             ({"prompt_id": "p@7"}, 'no version of the prompt "p" is what this entry asks for'),
                             ({"prompt_id": "q@7"}, 'there is no prompt "q@7"'),
                             ({"prompt_id": "q", "provider_specific_query_params": {"prompt_id": "p"}}, None),
                             ({"prompt_id": "p", "provider_specific_query_params": {"prompt_id": "q"}},
                              'there is no prompt "q"'),
                             ({"provider_specific_query_params": {"slug": "z"}}, 'no prompt has the slug "z"'),
                             ({"provider_specific_query_params": {"slug": "p", "version": "3"}}, "no version of"),
                             ({"provider_specific_query_params": {}},
                              "LiteLLM passes over this entry without a word"),
                             ({}, "LiteLLM passes over this entry without a word")):
            with self.subTest(params):
                found = self.told(self.entry(**params), **files)
                self.assertEqual(len(found), 1 if told else 0, found)
                self.assertIn(f"config.yaml:5:3: error: {told}" if told else "", "".join(found))

    def test_a_bad_or_missing_configuration(self):
        self.assertEqual(self.told("model_list: [\n", p_yaml=prompt("x"))[0].split(": ")[:2],
                         ["config.yaml:2:1", "error"])
        self.assertIn("config.yaml:2:1", self.run_command("check", "--litellm-config", "config.yaml").stdout)
        self.assertIn("No such file", self.refusal_of("check", "--litellm-config", "nowhere", status=2))
        self.assertIn("Is a directory", self.refusal_of("check", "--litellm-config", ".", status=2))


class LitellmConfig(CommandTest):
    def entries_of(self, *args, directory=None):
        ended = self.run_command("litellm-config", *args, directory=directory)
        self.assertEqual(ended.returncode, 0, ended)
        return yaml.safe_load(ended.stdout)["prompts"], ended.stderr

    @staticmethod
    def params(prompt_id, version=None, api_base="http://127.0.0.1:8080"):
        pinned = {"provider_specific_query_params": {"version": version}} if version else {}
        return {"prompt_integration": "generic_prompt_management", "prompt_id": prompt_id,
                "api_base": api_base, "api_key": "os.environ/PROMPTD_TOKEN", **pinned}

    def test_an_entry_for_each_id_and_version(self):
        self.write(single_yaml=prompt("x"), support__refund_v1_yaml=prompt("one"),
                   support__refund_v2_yaml=prompt("two", labels=["production"]))
        entries, told = self.entries_of("--api-base", "https://promptd.example:8443")
        base = {"api_base": "https://promptd.example:8443"}
        self.assertEqual(told, "")
        self.assertEqual(entries, [
            {"prompt_id": "single", "litellm_params": self.params("single", **base)},
            # The highest is taken where a request names no version, and leaves the choice to promptd.
            {"prompt_id": "support/refund", "version": 1000000,
             "litellm_params": self.params("support/refund", **base)},
            {"prompt_id": "support/refund.v1", "litellm_params": self.params("support/refund", "1", **base)},
            {"prompt_id": "support/refund.v2", "litellm_params": self.params("support/refund", "2", **base)}])

    def test_odd_ids_are_texts(self):
        ids = ["yes", "1.5", "a: b", "é", "- x", "null", "#a"[1:] + " #"]
        self.write(all_yaml="---\n".join(prompt("x", prompt_id=i, slug="s") for i in ids))
        entries, _ = self.entries_of()
        self.assertEqual(sorted(e["prompt_id"] for e in entries), sorted(ids))
        self.assertEqual(sorted(e["litellm_params"]["prompt_id"] for e in entries), sorted(ids))

    def test_what_litellm_does_not_manage(self):
        self.write(a_yaml=prompt("x", version="1.10"), b_yaml=prompt("x", prompt_id="my_video"))
        entries, told = self.entries_of()
        self.assertEqual([e["prompt_id"] for e in entries], ["a", "my_video"])
        self.assertIn("version 1.10 of a, as it knows whole numbers only\n  ", told)
        self.assertIn("cuts the id my_video at its first .v or _v", told)
        self.write(many_yaml="---\n".join(prompt("x", prompt_id=f"p{i}") for i in range(100)))
        told = self.entries_of()[1]
        self.assertIn("each of the 102 entries is one of at most 100 callbacks", told)
        self.assertIn("\n  start LiteLLM with LITELLM_MAX_CALLBACKS=202\n", told)

    def test_nothing_to_register(self):
        self.assertIn("no prompt", self.refusal_of("litellm-config"))
        self.assertIn("takes a URL", self.refusal_of("litellm-config", "--api-base", "promptd:8080", status=2))


class Completion(CommandTest):
    def complete(self, *words):
        """What bash would offer for the last of some words."""
        script = self.output_of("completion", "bash")
        script += 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _promptd; printf "%s\\n" "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash", "-uc", script, "bash", "promptd", *words], capture_output=True,
                              text=True, check=True, timeout=STOP_DEADLINE)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash(self):
        for words, offered in ((("re",), ["render", "revision"]),
                               (("check", "--ig"), ["--ignore"]),
                               (("check", "--profile", ""), ["any", "stock"]),
                               (("--on-bad-file", "h"), ["hold"]), (("list", "--listen"), []),
                               (("--lis",), ["--listen"]), (("show", "x"), [])):
            with self.subTest(words):
                self.assertEqual(self.complete(*words), offered)

    def test_zsh(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is missing: install zsh")
        path = self.directory / "_promptd"
        path.write_text(self.output_of("completion", "zsh"), encoding="utf-8")
        subprocess.run(["zsh", "-n", str(path)], check=True, timeout=STOP_DEADLINE)
        self.assertIn("'--profile[", path.read_text(encoding="utf-8"))

    def test_other_shells(self):
        self.assertIn("bash and zsh", self.refusal_of("completion", "fish", status=2))


class Usage(CommandTest):
    COMMANDS = ("check", "list", "show", "render", "revision")

    def test_each_command_has_a_help_of_its_own(self):
        everything = self.output_of("--help")
        for command in self.COMMANDS:
            with self.subTest(command):
                self.assertIn(f"\n  {command} ", everything)
                text = self.output_of(command, "--help")
                self.assertTrue(text.startswith(f"Usage: promptd {command} "), text)
                self.assertIn("--dir", text)
                self.assertNotIn("--listen", text)

    def test_the_readme_names_every_option(self):
        readme = (PROMPTS_D.parent / "README.md").read_text(encoding="utf-8")
        flags = {flag for command in ((), *((c,) for c in self.COMMANDS), ("diff",), ("schema",), ("litellm-config",),
                 ("configmap",))
                 for flag in re.findall(r"^  (--[\w-]+)", self.output_of(*command, "--help"), re.MULTILINE)}
        self.assertGreater(len(flags), 30)
        self.assertEqual([f for f in sorted(flags - {"--version"}) if f not in readme], [])

    def test_wrong_usage_says_where_to_read_on(self):
        for arguments in (("list", "--listen", "1"), ("show",), ("show", "a", "b"), ("list", "x"),
                          ("check", "a", "b"), ("render",), ("check", "--format", "xml")):
            with self.subTest(arguments):
                told = self.refusal_of(*arguments, status=2)
                self.assertRegex(told, rf"\n  see promptd {arguments[0]} --help\n")

    def test_a_misspelt_option(self):
        for words, meant in ((("check", "--frmat", "json"), "--format"), (("--lissten=1",), "--listen"),
                             (("list", "--dri", "."), "--dir")):
            self.assertIn(f"did you mean {meant}?", self.refusal_of(*words, status=2))

    def test_a_misspelt_command_is_no_directory(self):
        for words, told in ((("chek",), "did you mean check?"), (("help",), "see promptd --help"),
                            (("--listen", "127.0.0.1:0", "shwo"), "did you mean show?")):
            told_of = self.refusal_of(*words, status=2)
            self.assertIn("neither a command nor a directory", told_of)
            self.assertIn(told, told_of)

    def test_options_come_from_the_environment_too(self):
        self.write(p_yaml=prompt("x"))
        env = {"PROMPTD_DIR": str(self.files), "PROMPTD_FORMAT": "json"}
        self.assertEqual(len(json.loads(self.output_of("list", env=env, directory="/"))), 1)
        self.assertIn("no ./prompts.d", self.refusal_of("list", status=2, directory="/"))


if __name__ == "__main__":
    unittest.main()
