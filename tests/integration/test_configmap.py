"""promptd configmap: what Kubernetes mounts of it is served like the directory that it was made of."""
import json
import re
import unittest
from pathlib import Path

import yaml  # Debian: python3-yaml

from promptd import PROMPTS_D, prompt
from replicas import ConfigMap
from test_commands import CommandTest

CASES = Path(__file__).parent.parent / "cases" / "good"
USUAL, MOST = 262144, 1048576
TEXTS = {
    "windows.yaml": 'prompt_template: "x"\r\nslug: a\r\n',
    "mixed.yaml": 'prompt_template: "x"\r\nslug: a\n',
    "blank-first.yaml": "\n\nprompt_template: x\n",
    "comment-first.yaml": "  # c\nprompt_template: x\n",
    "indented.yaml": "  prompt_template: x\n  slug: a\n",
    "no-end.yaml": "prompt_template: x",
    "ends.yaml": "prompt_template: |+\n  x\n\n\n",
    "blanks.yaml": "prompt_template: |\n  x  \n \n   \n  \ty\t\n  ",
    "mark.yaml": "\ufeffprompt_template: x\n",
    "tab.json": '\t{"prompt_template":\t"x"}',
    "plain.json": '{\n  "prompt_template": "a\\nb \\" \\\\ <b>"\n}\n',
    "odd.json": '{"prompt_template": "\x7f \x85 \u2028 \u2029 \ufeff \ufffe \xa0 \ud7ff \U0001f600 \U0010ffff"}\n',
    "documents.yaml": "---\nprompt_id: a1\nprompt_template: x\n...\n---\nprompt_id: b1\nprompt_template: y\n---\n"
                      "- {prompt_id: c1, prompt_template: z}\n",
    "quotes.yaml": "prompt_template: \"a: 'b' # {c} \\\\ \\u0007\"\nslug: a\n",
    "wide.yaml": "prompt_template: " + "é漢😀 " * 5000 + "x\n",
    "kinds.yaml": "prompt_template: x\nmetadata: {a: 1e3, b: 0x1F, c: no, d: 1:30, e: ~}\n",
}
COPY = "kubectl.kubernetes.io/last-applied-configuration"


def manifests_of(text):
    """The ConfigMaps, as two readers of YAML see them."""
    slow, quick = (list(yaml.load_all(text, loader)) for loader in (yaml.SafeLoader, yaml.CSafeLoader))
    assert slow == quick, "the readers differ"
    return slow


def volume_of(text):
    """The volume that stands in the comment at the top."""
    lines = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    return yaml.safe_load("\n".join(lines[lines.index("- name: prompts"):]))[0]


def json_of(manifest):
    """A manifest as kubectl keeps it: encoding/json of Go escapes what could end a script."""
    text = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def fields_of(manifest):
    """What the API server keeps of who has set which key."""
    return json.dumps({f"f:{key}": {} for key in manifest["data"]}, separators=(",", ":")).encode()


class ConfigMapTest(CommandTest):
    def put(self, files, directory=None):
        """Write files: {path: text}."""
        for path, text in files.items():
            path = (directory or self.files) / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def print(self, *args, **kwargs):
        ended = self.run_command("configmap", *args, **kwargs)
        self.assertEqual(ended.returncode, 0, ended)
        return ended.stdout

    def make(self, *args, **kwargs):
        return manifests_of(self.print(*args, **kwargs))

    def data_of(self, manifests):
        """All keys together; none is in two ConfigMaps."""
        data = {}
        for manifest in manifests:
            self.assertEqual({"apiVersion", "kind", "metadata", "data"}, set(manifest))
            self.assertFalse(set(data) & set(manifest["data"]))
            data.update(manifest["data"])
        return data

    def mount(self, data, path="mounted"):
        """What a kubelet makes of a projected volume."""
        volume = ConfigMap(self.directory / path)
        volume.project(data)
        return volume.directory

    def served_of(self, directory):
        return (self.output_of("revision", "--dir", str(directory)),
                json.loads(self.output_of("list", "--format", "json", "--dir", str(directory))))

    def assert_kept(self, directory=None, mounted="mounted"):
        """A mount of the ConfigMaps is served like the directory. Returns their data."""
        directory = directory or self.files
        data = self.data_of(self.make(str(directory)))
        self.assertEqual(self.served_of(self.mount(data, mounted)), self.served_of(directory))
        return data

    def refusals_of(self, *args, status=1):
        """{file: what is said of it}; nothing is printed that could be applied."""
        ended = self.run_command("configmap", *args)
        self.assertEqual((ended.returncode, ended.stdout), (status, ""), ended)
        told = re.findall(r'^promptd: (".*?") (.+)\n  (.+)\n', ended.stderr, re.MULTILINE)
        self.assertEqual(len(ended.stderr.splitlines()), 2 * len(told), ended.stderr)
        return {json.loads(path): f"{what}: {advice}" for path, what, advice in told}


class Kept(ConfigMapTest):
    """Ids, versions, labels, slugs and projects."""

    def test_the_examples(self):
        data = self.assert_kept(PROMPTS_D)
        self.assertEqual(data, {p.name: p.read_text(encoding="utf-8") for p in PROMPTS_D.iterdir()})

    def test_each_good_case(self):
        cases = [path for path in sorted(CASES.iterdir()) if path.suffix != ".expected"]
        self.assertGreater(len(cases), 30)
        for i, case in enumerate(cases):
            for folder in ("", "team/deeper/"):
                with self.subTest(folder + case.name):
                    directory = self.directory / f"{i}{folder[:1]}"
                    path, text = folder + case.name.replace(" ", "-"), case.read_bytes()
                    self.put({path: text}, directory)
                    data = self.assert_kept(directory, f"mounted-{directory.name}")
                    self.assertEqual(data, {path.replace("/", "__"): text.decode()})

    def test_what_paths_give(self):
        self.put({"top.yaml": prompt("a"), "top.v2.json": '{"prompt_template": "b"}', "support/refund.yaml": prompt("c"),
                  "support/refund.v1.10.yml": prompt("d"), "support/eu.v3/deep/er.v7.yaml": prompt("e"),
                  "support__tone.yaml": prompt("f"), "team_a/x_y.yaml": prompt("g"), "Team/x.yaml": prompt("h"),
                  "sales/-x.yaml": prompt("i"), "sales/1.json": '{"prompt_template": "j"}',
                  "own.yaml": prompt("k", prompt_id="o w ñ", project_name="p", slug="s", labels=["beta"])})
        data = self.assert_kept()
        self.assertIn("support__eu.v3__deep__er.v7.yaml", data)
        self.assertIn("support__tone.yaml", data)
        projects = {p["prompt_id"]: p["project_name"] for p in self.served_of(self.files)[1]}
        self.assertEqual((projects["support/tone"], projects["Team/x"], projects["o w ñ"]), ("support", None, "p"))

    def test_only_prompt_files(self):
        self.put({"a.yaml": prompt("a"), "README.md": "x", ".b.yaml": "x", "_c.yaml": "x", "#d.yaml": "x", "e.yaml~": "x",
                  ".git/f.yaml": "x", "_g/h.yaml": "x", "i/notes.txt": "x"})
        self.assertEqual(list(self.assert_kept()), ["a.yaml"])

    def test_links(self):
        self.put({"a/x.yaml": prompt("a", prompt_id="p"), "out/y.yaml": prompt("b")})
        (self.files / "b").mkdir()
        (self.files / "b" / "x.yaml").symlink_to("../z.yaml")
        (self.files / "z.yaml").symlink_to("out/y.yaml")
        (self.files / "linked").symlink_to("out")
        self.assertEqual(list(self.assert_kept()), ["z.yaml", "a__x.yaml", "b__x.yaml", "linked__y.yaml", "out__y.yaml"])

    def test_a_volume_of_kubernetes(self):
        self.put({"a/x.yaml": prompt("a"), "b.yaml": prompt("b")})
        data = self.assert_kept()
        self.assertEqual(self.assert_kept(self.directory / "mounted", "mounted-again"), data)

    def test_a_folder_mounted_as_a_folder(self):
        """As whoever gives each team a volume of its own does."""
        self.put({"support/refund.yaml": prompt("a"), "support/eu/refund.yaml": prompt("b"), "sales/x.v2.yaml": prompt("c")})
        for team in ("support", "sales"):
            self.mount(self.data_of(self.make(str(self.files / team), "--name", f"prompts-{team}")), f"all/{team}")
        self.assertEqual(self.served_of(self.directory / "all"), self.served_of(self.files))


class Texts(ConfigMapTest):
    def setUp(self):
        super().setUp()
        self.put({f"team/{name}": text for name, text in TEXTS.items()})
        self.wanted = {f"team__{name}": text for name, text in TEXTS.items()}

    def test_bytes_are_kept(self):
        self.assertEqual(self.assert_kept(), self.wanted)

    def test_texts_of_lines_stay_readable(self):
        out = self.print()
        self.assertIn('  team__plain.json: |\n    {\n      "prompt_template": "a\\nb \\" \\\\ <b>"\n    }\n', out)
        self.assertIn("  team__no-end.yaml: |-\n    prompt_template: x\n", out)


class Sizes(ConfigMapTest):
    def sizes_of(self, manifests):
        """{name: bytes of the copy that kubectl keeps}; of the object that holds the data and that copy, too."""
        for manifest in manifests:
            manifest["metadata"].setdefault("namespace", "n" * 63)
            manifest["metadata"]["annotations"] = {}
        return {m["metadata"]["name"]: len(COPY) + len(json_of(m)) + 1 for m in manifests}

    def test_a_folder_over_the_limit_has_several(self):
        files = {f"big/{i:03}.json": '{"prompt_template": "' + f"{i} <b> & \\n \u2028\u2029 \u2028\u2029" * 200 + '"}' for i in range(100)}
        self.put({**files, "small/a.yaml": prompt("a"), "top.yaml": prompt("b"), "big.yaml": prompt("c")})
        manifests = self.make()
        sizes = self.sizes_of(manifests)
        numbers = len(sizes) - 3
        self.assertGreater(numbers, 2)
        self.assertEqual(list(sizes), ["prompts", "prompts-big", *(f"prompts-big.{i + 2}" for i in range(numbers)),
                                       "prompts-small"])
        self.assertLessEqual(max(sizes.values()), USUAL)
        full = [sizes[name] for name in list(sizes)[1:-2]]
        self.assertGreater(min(full), USUAL * 0.9)  # and not split without need
        self.assertEqual(len(self.data_of(manifests)), 103)
        self.assert_kept()

    def test_a_key_counts_where_texts_are_short(self):
        self.put({f"team/some-folder-with-a-name/another-one-of-them/{i}.json": '{"prompt_template":""}' for i in range(3000)})
        for most in (4096, 65536, USUAL, MOST):
            manifests = self.make("--max-bytes", str(most))
            for manifest in manifests:
                self.assertLessEqual(len(json_of(manifest)) + len(fields_of(manifest)), most)

    def test_the_largest_file_that_fits(self):
        for most, hinted in ((4096, True), (USUAL, True), (MOST, False)):
            with self.subTest(most):
                options = ("--max-bytes", str(most))
                def fill(length):
                    text = prompt("x")
                    self.put({"team/a.yaml": text + "#" * (length - len(text) - 1) + "\n"})
                fill(most - 100)
                told = self.refusals_of(*options)["team/a.yaml"]
                takes, room = map(int, re.findall(r"\d+", told)[:2])
                self.assertGreater(room, most - 2048)
                self.assertEqual("--server-side" in told, hinted)
                fill(most - 100 - (takes - room))
                sizes = self.sizes_of(self.make(*options))
                self.assertEqual(list(sizes), ["prompts-team"])
                self.assertLessEqual(sizes["prompts-team"], most)
                fill(most - 100 - (takes - room) + 1)
                self.assertEqual(list(self.refusals_of(*options)), ["team/a.yaml"])

    def test_a_file_that_never_fits(self):
        self.put({"team/a.yaml": prompt("x") + "#" + "<" * (MOST // 4) + "\n"})
        told = self.refusals_of()["team/a.yaml"]
        self.assertIn("split the file", told)
        self.assertNotIn("--max-bytes", told)

    def test_what_is_told_of_sizes(self):
        self.put({"team/a.yaml": prompt("a"), "team/b.yaml": prompt("b"), "c.yaml": prompt("c")})
        told = self.run_command("configmap").stderr
        self.assertEqual(re.sub(r" +\d+ of", " N of", told), "prompts           1 file N of 262144 bytes\n"
                                                             "prompts-team      2 files N of 262144 bytes\n")


class Names(ConfigMapTest):
    def names_of(self, *args):
        return [m["metadata"]["name"] for m in self.make(*args)]

    def test_of_folders(self):
        """Those that a name cannot tell apart share a ConfigMap; a dot and a number are no folder's."""
        self.put({f"{p}/x.yaml": prompt("x", prompt_id=f"{p}/x", project_name="p")
                  for p in ("a", "a-2", "a.2", "A.2", "b_", "-", "c_d", "c-d")})
        self.put({f"a/{i}.yaml": prompt("y" * 2000) for i in range(6)})
        names = self.names_of("--max-bytes", "8192")
        self.assertEqual(names, ["prompts", "prompts-a", "prompts-a.2", "prompts-a-2", "prompts-b", "prompts-c-d"])
        self.assert_kept()

    def test_of_a_file_that_names_another_project(self):
        self.put({"support/other.yaml": prompt("x", project_name="sales")})
        self.assertEqual(self.names_of(), ["prompts-support"])
        self.assert_kept()

    def test_fit_kubernetes(self):
        for project in ("x" * 240, "Y" * 130 + "-" * 100, "9", "a.b", "Ab_C-"):
            self.put({f"{project}/x.yaml": prompt("x", prompt_id=f"{project[0]}/x", project_name="p")})
        for name in self.names_of("--name", "n" * 63):
            self.assertLessEqual(len(name), 200)
            self.assertRegex(name, r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")

    def test_of_the_command_line(self):
        self.put({"team/a.yaml": prompt("a"), "b.yaml": prompt("b")})
        for manifest in self.make("--name", "on", "--namespace", "123"):
            meta = manifest["metadata"]
            self.assertEqual(meta["namespace"], "123")
            self.assertEqual(meta["labels"], {"app.kubernetes.io/managed-by": "promptd", "app.kubernetes.io/part-of": "on"})
        self.assertEqual(self.names_of("--name", "on"), ["on", "on-team"])
        self.assertNotIn("namespace", self.make()[0]["metadata"])
        self.assertEqual(self.names_of(), [m["metadata"]["name"] for m in self.make("--dir", "prompts.d", directory=self.directory)])

    def test_that_do_not_fit(self):
        for option, value in (("--name", ""), ("--name", "A"), ("--name", "a."), ("--name", "-a"), ("--name", "a-"), ("--name", "a\nb"),
                              ("--name", "a" * 64), ("--namespace", "a_b"), ("--max-bytes", "4095"), ("--max-bytes", "1048577"),
                              ("--max-bytes", "1M")):
            with self.subTest(option=option, value=value):
                self.assertIn(option, self.refusal_of("configmap", option, value, status=2))

    def test_in_the_volume_at_the_top(self):
        self.put({f"team/{i}.yaml": prompt("y" * 2000) for i in range(6)})
        self.put({"b.yaml": prompt("b")})
        text = self.print("--max-bytes", "8192")
        names = [m["metadata"]["name"] for m in manifests_of(text)]
        self.assertGreater(len(names), 2)
        self.assertEqual([s["configMap"]["name"] for s in volume_of(text)["projected"]["sources"]], names)
        self.assertIn(self.output_of("revision").strip(), text.splitlines()[0])


class Order(ConfigMapTest):
    def test_is_that_of_names_and_keys(self):
        paths = ["b.yaml", "a/2.yaml", "a/10.yaml", "a/b/c.yaml", "a/b0.yaml", "a__1.yaml", "a.yaml", "A/x.yaml", "c/x.yaml"]
        printed = set()
        for order in (paths, paths[::-1]):
            folder = self.directory / str(len(printed))
            self.put({path: prompt(path) for path in order}, folder)
            printed.add(self.print(str(folder)))
        self.assertEqual(len(printed), 1)
        manifests = manifests_of(printed.pop())
        self.assertEqual([list(m["data"]) for m in manifests],
                         [["a.yaml", "b.yaml"], ["A__x.yaml", "a__1.yaml", "a__10.yaml", "a__2.yaml", "a__b0.yaml", "a__b__c.yaml"], ["c__x.yaml"]])

    def test_an_edit_changes_its_lines_alone(self):
        self.put({f"{team}/{i}.yaml": prompt(f"{i}") for team in "ab" for i in range(5)})
        before = self.print().splitlines()
        self.put({"a/3.yaml": prompt("other")})
        after = self.print().splitlines()
        changed = [i for i, (old, new) in enumerate(zip(before, after)) if old != new]
        self.assertEqual((len(before), len(changed), changed[0]), (len(after), 2, 0))  # the first has the revision


class Refused(ConfigMapTest):
    def test_names_that_are_no_keys(self):
        bad = {"a b.yaml", "größe.yaml", "c++.yaml", "team/x y/z.yaml", "/".join(["d" * 50] * 5) + ".yaml"}
        self.put({path: prompt("x", prompt_id=f"p{i}") for i, path in enumerate(sorted(bad))})
        self.put({"good.yaml": prompt("x")})
        told = self.refusals_of()
        self.assertEqual(set(told), bad)
        for text in told.values():
            self.assertIn("253 letters", text)
            self.assertIn("rename the file or its folder", text)

    def test_the_longest_key(self):
        path = "/".join(["d" * 47] * 5) + ".yaml"
        key = path.replace("/", "__")
        for more, fits in ((253 - len(key), True), (254 - len(key), False)):
            with self.subTest(more):
                name = "d" * more + path
                self.put({name: prompt("x", prompt_id="p")})
                self.assertEqual(list(self.assert_kept()) if fits else list(self.refusals_of()),
                                 ["d" * more + key] if fits else [name])
                (self.files / name).unlink()

    def test_names_that_give_something_else_as_keys(self):
        self.put({"a__b/c.yaml": prompt("x"), "d_/e.yaml": prompt("x"), "f__g/h.yaml": prompt("x", prompt_id="h"),
                  "good/x.yaml": prompt("x")})
        told = self.refusals_of()
        self.assertEqual(set(told), {"a__b/c.yaml", "d_/e.yaml", "f__g/h.yaml"})
        for path, text in told.items():
            self.assertIn(path.replace("/", "__"), text)
            self.assertIn("prompt_id", text)

    def test_not_where_the_file_says_it_itself(self):
        self.put({"a__b/c.yaml": prompt("x", prompt_id="a__b/c", project_name="a__b"),
                  "d_/e.yaml": prompt("x", prompt_id="d_/e", project_name="d_")})
        self.assertEqual(set(self.assert_kept()), {"a__b__c.yaml", "d___e.yaml"})

    def test_of_a_list_one_is_enough(self):
        self.put({"a__b/c.yaml": yaml.safe_dump([{"prompt_id": "p", "project_name": "q", "prompt_template": "x"},
                                                 {"prompt_id": "r", "prompt_template": "x"}])})
        self.assertEqual(list(self.refusals_of()), ["a__b/c.yaml"])

    def test_two_files_with_one_key(self):
        self.put({"a/b.yaml": prompt("x", prompt_id="p"), "a__b.yaml": prompt("x", prompt_id="q"), "a/c.yaml": prompt("x"),
                  "d.yaml": prompt("x")})
        (path, text), = self.refusals_of().items()
        self.assertTrue({path} | set(re.findall('"(.*?)"', text)) == {"a/b.yaml", "a__b.yaml"}, text)

    def test_a_file_that_is_not_as_it_was_loaded(self):
        """What a link leads to is in place of what counts."""
        self.mount({"a.yaml": prompt("x"), "b.yaml": prompt("y")})
        mounted = self.directory / "mounted"
        (mounted / "a.yaml").unlink()
        (mounted / "a.yaml").write_text(prompt("z"), encoding="utf-8")
        (mounted / "b.yaml").unlink()
        told = self.refusals_of("mounted")
        self.assertEqual(set(told), {"a.yaml", "b.yaml"})
        self.assertIn("try again", told["a.yaml"])

    def test_what_check_refuses(self):
        self.put({"a.yaml": prompt("x"), "b.yaml": "prompt_templat: x\n"})
        self.assertIn("see promptd check prompts.d", self.refusal_of("configmap"))
        self.put({"b.yaml": prompt("x", prompt_id="a")})
        self.assertIn("1 problem", self.refusal_of("configmap"))

    def test_nothing(self):
        self.assertIn("no prompt file", self.refusal_of("configmap", status=2))
        self.assertIn("nowhere", self.refusal_of("configmap", "nowhere", status=2))

    def test_options_of_the_server_count(self):
        self.put({"team/a.yaml": prompt("x", prompt_template_optional_params={"api_base": "http://x"})})
        self.refusal_of("configmap")
        self.assertEqual(len(self.make("--allow-param", "api_base")), 1)
        self.assertEqual(len(self.make("--allow-param", "api_base", "--projects", "strict")), 1)


if __name__ == "__main__":
    unittest.main()
