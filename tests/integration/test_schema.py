"""The JSON Schema that editors use says the same of the golden files as the parser."""
import json
import re
import subprocess
import unittest
from pathlib import Path

import jsonschema  # Debian: python3-jsonschema
import yaml  # Debian: python3-yaml

from promptd import PROMPTS_D, binary

CASES = Path(__file__).resolve().parents[1] / "cases"

# Bad files in which a schema sees nothing wrong: it knows no text, no file's name, and no second value.
BEYOND_A_SCHEMA = {
    "alias-inside-its-anchor.yaml", "duplicate-keys-json.json",
    "duplicate-keys.yaml", "empty.yaml", "greet.v3.yaml",
    "half-a-surrogate-pair.json", "key-is-missing.yaml", "label-is-the-version.yaml",
    "levels-through-an-alias.yaml", "merge-keys-twice.yaml", "not-a-number.yaml", "nul-escape.json",
    "nul-escapes.yaml", "only-a-comment.yaml", "path@gives-no-id.yaml", "same-key-by-escape.json",
    "too-many-levels.yaml"}
# It expands to more than a validator gets through in a minute; promptd stops at a budget.
TOO_MUCH = {"alias-bomb.yaml"}
# Python's reader takes them, promptd's does not get as far as the keys.
NOT_READ = {"nan.json", "too-many-levels-json.json"}
# Good files that this reader of YAML does not take: an anchor may be used anew.
BEYOND_THIS_READER = {"anchor-used-anew.yaml"}


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema."""
    yaml_implicit_resolvers = {}


for name, pattern, starts in (
        ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
        ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9]+\Z", "-+0123456789"),
        ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", "-+.0123456789"),
        ("merge", r"<<\Z", "<")):
    Core.add_implicit_resolver("tag:yaml.org,2002:" + name, re.compile(pattern), list(starts))


def documents(path):
    text = path.read_text(encoding="utf-8")
    return [json.loads(text)] if path.suffix == ".json" else list(yaml.load_all(text, Core))


def what_is_wrong(line):
    """The first half of a message, behind its place, without the value and its kind."""
    text = re.sub(r"^\S+:\d+:\d+: ", "", line.removeprefix("1:1: "))
    text = re.sub(r' "(?:[^"\\]|\\.)*"', "", text)
    return re.sub(r", not (an? \w+|null)", "", text.split(": ")[0])


# What promptd says more exactly.
ALSO = {"content must be a string",  # content may be null only beside tool_calls
        "a prompt must be a mapping"}  # a prompt was expected and there is nothing


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([binary(), "schema"], capture_output=True, check=True, timeout=30)
        cls.schema = json.loads(made.stdout)
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def faults(self, path):
        return [e.message for d in documents(path) for e in self.validator.iter_errors(d)]

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)
        for key in self.schema["$defs"]["prompt"]["properties"].values():
            self.assertTrue(key["description"].endswith("."), key)

    def test_good_files_are_valid(self):
        files = [p for folder in (CASES / "good", PROMPTS_D) for p in folder.iterdir()
                 if p.suffix in (".yaml", ".json")]
        self.assertGreater(len(files), 40)
        for path in files:
            if path.name not in BEYOND_THIS_READER:
                with self.subTest(path.name):
                    self.assertEqual(self.faults(path), [])

    def test_editors_say_what_promptd_says(self):
        """The message keywords of what does not fit are promptd's own words, but for the value in them."""
        said = 0
        for path in (CASES / "bad").iterdir():
            if path.suffix not in (".yaml", ".json") or path.name in TOO_MUCH | NOT_READ:
                continue
            own = {what_is_wrong(line) for line in path.with_suffix(".expected").read_text("utf-8").splitlines()}
            try:
                errors = [e for d in documents(path) for e in self.validator.iter_errors(d)]
            except (ValueError, yaml.YAMLError):
                continue
            for error in errors:
                keyword = "patternErrorMessage" if error.validator == "pattern" else "errorMessage"
                if error.validator in ("minimum", "maxLength") or error.schema is False:
                    continue  # editors know no keyword for these; a forbidden key's stands with the others
                with self.subTest(path.name, error=error.message[:100]):
                    self.assertIn(what_is_wrong("1:1: " + error.schema[keyword]), own | ALSO)
                    said += 1
        self.assertGreater(said, 60)

    def test_parameters_can_be_allowed(self):
        made = subprocess.run([binary(), "schema", "--allow-param", "api_base,x-y"], capture_output=True, check=True,
                              timeout=30)
        validator = jsonschema.Draft202012Validator(json.loads(made.stdout))
        for name, good in (("api_base", True), ("api_bases", True), ("api_key", False), ("aws_x", False),
                           ("temperature", True)):
            document = {"prompt_template": "x", "prompt_template_optional_params": {name: 1}}
            self.assertEqual(validator.is_valid(document), good, name)

    def test_bad_files_are_not(self):
        accepted = set()
        for path in (CASES / "bad").iterdir():
            if path.suffix not in (".yaml", ".json") or path.name in TOO_MUCH:
                continue
            try:
                if not self.faults(path):
                    accepted.add(path.name)
            except (ValueError, yaml.YAMLError):
                continue  # not YAML or JSON at all
        self.assertEqual(accepted, BEYOND_A_SCHEMA)


if __name__ == "__main__":
    unittest.main()
