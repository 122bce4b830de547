"""The answers of LiteLLM's mock server, kept for the same requests in --dev mode."""
import json
import unittest
from pathlib import Path

from promptd import LITELLM, PROMPTS_D, ServerTest, compact, litellm_path, prompt

TOKENS = ["test-token-12345", "dev-token-67890", "prod-token-abcdef"]
BAD_FORMAT = "Invalid authorization header format. Expected 'Bearer <token>'"

# id: (model, params, system, user), the mock's own five.
PROMPTS = {
    "hello-world-prompt": (
        "gpt-4", {"temperature": 0.7, "max_tokens": 500},
        "You are a helpful assistant specialized in {domain}.",
        "Help me with: {task}"),
    "code-review-prompt": (
        "gpt-4-turbo", {"temperature": 0.3, "max_tokens": 1500},
        "You are an expert code reviewer with {years_experience} years of experience in"
        " {language}.",
        "Please review the following code for bugs, security issues, and best practices:"
        "\n\n{code}"),
    "customer-support-prompt": (
        "gpt-3.5-turbo", {"temperature": 0.8, "max_tokens": 800, "top_p": 0.9},
        "You are a friendly customer support agent for {company_name}. Always be professional,"
        " empathetic, and solution-oriented.",
        "Customer inquiry: {customer_message}"),
    "data-analysis-prompt": (
        "gpt-4", {"temperature": 0.5, "max_tokens": 2000},
        "You are a data scientist expert in {analysis_type} analysis.",
        "Analyze the following data and provide insights:\n\nDataset: {dataset_name}\n"
        "Data: {data}"),
    "creative-writing-prompt": (
        "gpt-4", {"temperature": 0.9, "max_tokens": 3000, "top_p": 0.95},
        "You are a creative writer specializing in {genre} fiction.",
        "Write a {length} story about: {topic}"),
}

VARIABLES = {
    "hello-world-prompt": ["domain", "task"],
    "code-review-prompt": ["code", "language", "years_experience"],
    "customer-support-prompt": ["company_name", "customer_message"],
    "data-analysis-prompt": ["analysis_type", "data", "dataset_name"],
    "creative-writing-prompt": ["genre", "length", "topic"],
}


def answer_of(prompt_id):
    model, params, system, user = PROMPTS[prompt_id]
    return {
        "prompt_id": prompt_id,
        "prompt_template": [{"role": "system", "content": system},
                            {"role": "user", "content": user}],
        "prompt_template_model": model,
        "prompt_template_optional_params": params,
    }


def examples():
    """The five files; whoever tries promptd out may have put others beside them."""
    return {path.name: path.read_text(encoding="utf-8") for path in PROMPTS_D.iterdir()
            if path.stem in PROMPTS}


class Reads(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.serve_for_class("--dev", files=examples())

    def test_the_examples_are_the_five_prompts_of_the_mock_with_descriptions(self):
        self.assertEqual(self.server.problems(), [])
        for prompt_id in PROMPTS:
            with self.subTest(prompt_id):
                self.assertTrue(self.server.get("/prompts/" + prompt_id).json["description"])
        kinds = sorted(Path(name).suffix for name in examples())
        self.assertEqual(kinds, [".json", ".json", ".yaml", ".yaml", ".yaml"])

    def test_each_prompt_is_answered_with_the_four_keys_in_order(self):
        for prompt_id in PROMPTS:
            with self.subTest(prompt_id):
                response = self.server.litellm(prompt_id)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.headers["Content-Type"], "application/json")
                self.assertEqual(response.body, compact(answer_of(prompt_id)))

    def test_a_valid_token_unknown_and_empty_parameters_change_nothing(self):
        expected = compact(answer_of("hello-world-prompt"))
        path = litellm_path("hello-world-prompt")
        for token in TOKENS:
            with self.subTest(token):
                response = self.server.get(path, {"Authorization": "Bearer " + token})
                self.assertEqual((response.status, response.body), (200, expected))
        for extra in ("&project_name=&slug=", "&foo=bar", "&version=", "&user_id=7&x"):
            with self.subTest(extra):
                response = self.server.get(path + extra)
                self.assertEqual((response.status, response.body), (200, expected))

    def test_an_unknown_or_empty_id_is_a_404_that_names_it(self):
        for prompt_id in ("nowhere", "", "hello-world-promp", "Hello-World-Prompt"):
            with self.subTest(prompt_id):
                response = self.server.litellm(prompt_id)
                self.assert_detail(response, 404)
                self.assertTrue(response.detail.startswith(f"Prompt '{prompt_id}' not found"),
                                response.detail)

    def test_no_prompt_id_at_all_is_a_422_in_the_form_of_the_mock(self):
        missing = {"detail": [{"loc": ["query", "prompt_id"], "msg": "field required",
                               "type": "value_error.missing"}]}
        for path in (LITELLM, LITELLM + "?project_name=x", LITELLM + "?slug="):
            with self.subTest(path):
                response = self.server.get(path)
                self.assertEqual((response.status, response.body), (422, compact(missing)))

    def test_a_wrong_token_is_a_401(self):
        for path in (litellm_path("hello-world-prompt"), "/prompts", "/prompts/hello-world-prompt",
                     "/prompts/hello-world-prompt/variables"):
            for token in ("wrong", "test-token-1234", "test-token-123456", "TEST-TOKEN-12345"):
                with self.subTest(path=path, token=token):
                    response = self.server.get(path, {"Authorization": "Bearer " + token})
                    self.assertEqual((response.status, response.body),
                                     (401, compact({"detail": "Invalid API key"})))

    def test_another_form_of_the_header_is_a_401_that_says_what_is_expected(self):
        for value in ("Basic dGVzdA==", "bearer test-token-12345", "Bearer", "test-token-12345"):
            with self.subTest(value):
                response = self.server.get(litellm_path("hello-world-prompt"),
                                           {"Authorization": value})
                self.assertEqual((response.status, response.body),
                                 (401, compact({"detail": BAD_FORMAT})))

    def test_health_takes_any_token(self):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
            with self.subTest(headers):
                response = self.server.get("/health", headers)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.json["status"], "healthy")
                self.assertTrue(response.json["service"])
                self.assertTrue(response.json["version"])
                self.assertEqual(response.json["prompts"], 5)

    def test_the_list_has_all_five_with_model_and_has_variables(self):
        response = self.server.get("/prompts")
        self.assertEqual(response.status, 200)
        self.assertEqual(list(response.json), ["prompts", "total"])
        self.assertEqual(response.json["total"], 5)
        listed = [list(entry.items())[:3] for entry in response.json["prompts"]]
        self.assertEqual(listed, [
            [("prompt_id", prompt_id), ("model", PROMPTS[prompt_id][0]), ("has_variables", True)]
            for prompt_id in sorted(PROMPTS)])

    def test_the_variables_are_sorted_and_come_with_an_example(self):
        for prompt_id, names in VARIABLES.items():
            with self.subTest(prompt_id):
                response = self.server.get(f"/prompts/{prompt_id}/variables")
                self.assertEqual(response.status, 200)
                self.assertEqual(list(response.json), ["prompt_id", "variables", "example_usage"])
                self.assertEqual(response.json["prompt_id"], prompt_id)
                self.assertEqual(response.json["variables"], names)
                values = response.json["example_usage"]["prompt_variables"]
                self.assertEqual(list(values.items()), [(n, f"<{n}_value>") for n in names])

    def test_the_variables_of_an_unknown_prompt_are_a_404(self):
        response = self.server.get("/prompts/nowhere/variables")
        self.assert_detail(response, 404, "Prompt 'nowhere' not found")

    def test_an_unknown_path_and_a_wrong_method(self):
        for path in ("/", "/nowhere", "/beta", "/prompts/", "/health/x", LITELLM + "/"):
            with self.subTest(path):
                response = self.server.get(path)
                self.assertEqual((response.status, response.body),
                                 (404, compact({"detail": "Not Found"})))
        for method, path in (("DELETE", "/prompts"), ("POST", LITELLM), ("PUT", "/health")):
            with self.subTest(method=method, path=path):
                response = self.server.request(method, path)
                self.assertEqual((response.status, response.body),
                                 (405, compact({"detail": "Method Not Allowed"})))


class Differences(ServerTest):
    """What is wanted to differ, and what none of the five prompts shows."""

    def test_a_prompt_without_model_and_params_has_null_for_both(self):
        server = self.serve("--dev", files={"bare.yaml": prompt("Hi")})
        self.assertEqual(server.litellm("bare").body, compact({
            "prompt_id": "bare",
            "prompt_template": [{"role": "user", "content": "Hi"}],
            "prompt_template_model": None,
            "prompt_template_optional_params": None}))
        self.assertEqual(server.get("/prompts").json["prompts"][0]["has_variables"], False)

    def test_double_braces_are_served_as_single_ones(self):
        server = self.serve("--dev", files={"p.yaml": prompt("{{a}} {{ b }} {c} { d } {}")})
        self.assertEqual(server.text_of("p"), "{a} {b} {c} { d } {}")

    def test_parts_null_content_and_further_keys_pass_through(self):
        messages = [
            {"role": "user", "content": [
                {"type": "text", "text": "Look: {what}"},
                {"type": "image_url", "image_url": {"url": "https://example.org/{x}.png"}}]},
            {"role": "assistant", "content": None,
             "tool_calls": [{"id": "1", "type": "function",
                             "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "42", "name": "f"}]
        server = self.serve("--dev", files={"p.yaml": prompt(messages)})
        self.assertEqual(server.litellm("p").json["prompt_template"], messages)

    def test_a_404_names_up_to_five_neighbours_instead_of_every_id(self):
        names = [f"p{i:02}" for i in range(40)]
        server = self.serve("--dev", files={"all.yaml": json.dumps(
            [{"prompt_id": n, "prompt_template": "x"} for n in names])})
        detail = server.litellm("p20x").detail
        named = [n for n in names if f"'{n}'" in detail]
        self.assertTrue(1 <= len(named) <= 5, detail)
        self.assertIn("p20", named)
        self.assertIn("p21", named)


class Writes(ServerTest):
    def new(self, **changes):
        body = {"prompt_id": "new-prompt",
                "prompt_template": [{"role": "user", "content": "Say {what}"}],
                "prompt_template_model": "gpt-4",
                "prompt_template_optional_params": {"temperature": 0.7}}
        body.update(changes)
        return {key: value for key, value in body.items() if value is not ...}

    def test_a_new_prompt_is_created_once(self):
        server = self.serve("--dev", files=examples())
        response = server.post("/prompts", self.new())
        self.assertEqual(response.status, 200, response)
        self.assertEqual(list(response.json), ["status", "prompt_id", "message"])
        self.assertEqual(response.json["status"], "created")
        self.assertEqual(response.json["prompt_id"], "new-prompt")
        self.assertIn("new-prompt", response.json["message"])
        self.assertEqual(server.litellm("new-prompt").json, self.new())
        again = server.post("/prompts", self.new())
        self.assertEqual((again.status, again.body),
                         (409, compact({"detail": "Prompt 'new-prompt' already exists"})))
        one_of_the_files = server.post("/prompts", self.new(prompt_id="hello-world-prompt"))
        self.assert_detail(one_of_the_files, 409, "Prompt 'hello-world-prompt' already exists")

    def test_a_body_that_is_no_prompt_is_a_422_that_lists_every_fault(self):
        server = self.serve("--dev")
        messages = [
            ([{"role": "user"}], ["body", "prompt_template", 0, "content"]),
            ([{"role": "user", "content": "x"}, {"content": "x"}],
             ["body", "prompt_template", 1, "role"]),
            ([{"role": "user", "content": 3}], ["body", "prompt_template", 0, "content"]),
            (["x"], ["body", "prompt_template", 0]),
            (7, ["body", "prompt_template"])]
        for template, location in messages:
            with self.subTest(template):
                response = server.post("/prompts", self.new(prompt_template=template))
                self.assert_invalid(response, *location)
        for missing in ("prompt_id", "prompt_template"):
            with self.subTest(missing):
                response = server.post("/prompts", self.new(**{missing: ...}))
                self.assert_invalid(response, "body", missing)
                self.assertIn({"loc": ["body", missing], "msg": "field required",
                               "type": "value_error.missing"}, response.detail)
        both = server.post("/prompts", {})
        self.assertEqual(sorted(item["loc"] for item in both.detail),
                         [["body", "prompt_id"], ["body", "prompt_template"]])

    def test_wrong_types_name_their_key(self):
        server = self.serve("--dev")
        for key, value in (("prompt_id", 7), ("prompt_template_model", []),
                           ("prompt_template_optional_params", "x")):
            with self.subTest(key):
                self.assert_invalid(server.post("/prompts", self.new(**{key: value})),
                                    "body", key)

    def test_what_is_not_a_json_object_is_a_422_about_the_body(self):
        server = self.serve("--dev")
        for body in (b"", b"{", b"hello", b"[]", b"7", b'{"prompt_id": "a",}', b"\xff"):
            with self.subTest(body):
                response = server.post("/prompts", body)
                self.assert_invalid(response)
                self.assertEqual(response.detail[0]["loc"][0], "body")
        self.assertEqual(server.file_names(), [])

    def test_a_wrong_token_may_not_write(self):
        server = self.serve("--dev")
        response = server.post("/prompts", self.new(), {"Authorization": "Bearer wrong"})
        self.assert_detail(response, 401, "Invalid API key")
        self.assertEqual(server.file_names(), [])
        response = server.post("/prompts", self.new(), {"Authorization": "Bearer " + TOKENS[0]})
        self.assertEqual(response.status, 200)


if __name__ == "__main__":
    unittest.main()
