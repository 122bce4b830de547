"""The HTTP interface: selection, lists, conditional requests, odd targets, rendering."""
import http
import json
import unittest

from promptd import (LITELLM, ServerTest, ask, litellm_path, prompt, prompt_path,
                     run_threads, with_query)

UNIT_ID = "ümlaut/Größe"
SPACED_ID = "a b+c%"


def version(number, *labels, **keys):
    """A version of a prompt whose text says which one it is."""
    keys = {"version": number, "labels": list(labels), **keys}
    return prompt("unversioned" if number is None else f"version {number}",
                  **{k: v for k, v in keys.items() if v not in (None, [])})


FILES = {
    "single.yaml": version("7", "beta"),
    "labelled.v1.yaml": prompt("version 1"),
    "labelled.v2.yaml": prompt("version 2", labels=["production", "tested"]),
    "labelled.v3.yaml": prompt("version 3"),
    "draft.v1.yaml": prompt("version 1"),
    "draft.v2.yaml": prompt("version 2", labels=["staging"]),
    "draft.v3.yaml": prompt("version 3"),
    "counted.v1.yaml": prompt("version 1"),
    "counted.v2.yaml": prompt("version 2"),
    "counted.v10.yaml": prompt("version 10"),
    "unordered-a.yaml": version("1.9", prompt_id="unordered"),
    "unordered-b.yaml": version("1.10", prompt_id="unordered"),
    "unordered-c.yaml": version("2.0-rc1", prompt_id="unordered"),
    "base.yaml": prompt("unversioned"),
    "base.v1.yaml": prompt("version 1"),
    "base.v2.yaml": prompt("version 2"),
    "either-a.yaml": version("x1", prompt_id="either", slug="either"),
    "either-b.yaml": version("x2", "beta", prompt_id="either", slug="either"),
    "support/refund.yaml": prompt("support refund", prompt_template_model="gpt-4"),
    "sales/refund.yaml": prompt("sales refund"),
    "sales/welcome.yaml": prompt("Welcome {name}", labels=["beta"]),
    "sales/variables.yaml": prompt("An id that ends like a verb: {v}"),
    "sales/render.yaml": prompt("Another one: {r}"),
    "free.yaml": prompt("no project", slug="free-slug"),
    "odd.yaml": json.dumps([{"prompt_id": UNIT_ID, "prompt_template": "unit"},
                            {"prompt_id": SPACED_ID, "prompt_template": "spaced"}]),
    "full.yaml": prompt(
        "Hello {name}, {greeting} {mood}", description="Everything set",
        prompt_template_model="gpt-4o", prompt_template_optional_params={"temperature": 0.70},
        metadata={"owner": "team-a", "n": 1}, slug="full-slug",
        variables={"name": {"description": "Who"}, "greeting": {"default": "good day"},
                   "mood": {"required": False}}),
}

IDS = sorted(["single", "labelled", "draft", "counted", "unordered", "base", "either",
              "support/refund", "sales/refund", "sales/welcome", "sales/variables",
              "sales/render", "free", UNIT_ID, SPACED_ID, "full"], key=str.encode)

READS = [litellm_path("full"), litellm_path("support/refund"), "/health", "/ready", "/prompts",
         "/prompts?limit=2", "/prompts/full", "/prompts/labelled?version=1",
         "/prompts/full/variables"]


class HttpTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.serve_for_class("--workers", "2", files=FILES)

    def get(self, path, headers=None):
        return self.server.get(path, headers)


class Selection(HttpTest):
    def assert_served(self, text, prompt_id, **query):
        for path in (litellm_path(prompt_id, **query), with_query(prompt_path(prompt_id), **query)):
            with self.subTest(path):
                response = self.get(path)
                self.assertEqual(response.status, 200, response)
                self.assertEqual(response.text, text)
                self.assertEqual(response.json["prompt_id"], prompt_id.partition("@")[0])

    def assert_not_served(self, prompt_id, *listed, **query):
        for path in (litellm_path(prompt_id, **query), with_query(prompt_path(prompt_id), **query)):
            with self.subTest(path):
                response = self.get(path)
                self.assert_detail(response, 404)
                for name in listed:
                    self.assertIn(name, response.detail)

    def test_all_files_are_good(self):
        self.assertEqual(self.server.problems(), [])

    def test_one_version_only_is_served_whatever_its_labels(self):
        self.assert_served("version 7", "single")

    def test_the_default_label_chooses_among_versions(self):
        self.assert_served("version 2", "labelled")

    def test_labels_without_the_default_one_are_a_404_that_lists_them(self):
        self.assert_not_served("draft", "1", "2", "3", "staging")

    def test_without_labels_the_highest_number_is_served(self):
        self.assert_served("version 10", "counted")

    def test_no_order_is_guessed(self):
        self.assert_not_served("unordered", "1.9", "1.10", "2.0-rc1")

    def test_the_unversioned_file_wins_without_labels(self):
        self.assert_served("unversioned", "base")

    def test_a_version_is_served_exactly(self):
        self.assert_served("version 3", "labelled@3")
        self.assert_served("version 3", "labelled", version="3")
        self.assert_served("version 1.10", "unordered@1.10")
        self.assert_served("version 1", "counted", version="1")

    def test_a_label_is_served_exactly(self):
        self.assert_served("version 2", "draft@staging")
        for parameter in ("label", "environment"):
            self.assert_served("version 2", "draft", **{parameter: "staging"})
            self.assert_served("version 7", "single", **{parameter: "beta"})

    def test_behind_the_at_a_version_goes_before_a_label(self):
        self.assert_served("version x1", "either@x1")
        self.assert_served("version x2", "either@beta")

    def test_what_does_not_exist_is_never_substituted(self):
        for query in ({"version": "4"}, {"label": "beta"}, {"environment": "production"}):
            self.assert_not_served("draft", "1", "2", "3", "staging", **query)
        self.assert_not_served("draft@4", "1", "2", "3")
        self.assert_not_served("draft@production", "staging")
        self.assert_not_served("single", "7", version="6")
        self.assert_not_served("unordered", "1.10", version="1.1")
        self.assert_not_served("counted", "10", version="01")

    def test_a_version_parameter_is_no_label_and_the_other_way_round(self):
        self.assert_not_served("draft", version="staging")
        self.assert_not_served("draft", label="2")

    def test_selectors_that_agree_are_fine(self):
        self.assert_served("version 3", "labelled@3", version="3")
        self.assert_served("version 2", "draft@staging", label="staging")
        self.assert_served("version 2", "draft", label="staging", environment="staging")
        self.assert_served("version 2", "draft", environment="staging", label="")

    def test_two_different_selectors_are_a_422(self):
        for prompt_id, query in (("labelled@3", {"version": "2"}),
                                 ("labelled@3", {"label": "production"}),
                                 ("labelled@tested", {"environment": "production"}),
                                 ("labelled", {"label": "tested", "environment": "production"}),
                                 ("labelled", {"version": "1", "label": "production"})):
            with self.subTest(prompt_id=prompt_id, query=query):
                self.assert_invalid(self.server.litellm(prompt_id, **query))
                self.assert_invalid(self.get(with_query(prompt_path(prompt_id), **query)))

    def test_the_verbs_take_the_same_selectors(self):
        files = {"p.v1.yaml": prompt("{a}"), "p.v2.yaml": prompt("{b}")}
        server = self.serve(files=files)
        self.assertEqual(server.get("/prompts/p@1/variables").json["variables"], ["a"])
        self.assertEqual(server.get("/prompts/p/variables?version=1").json["variables"], ["a"])
        self.assertEqual(server.get("/prompts/p/variables").json["variables"], ["b"])
        rendered = server.post("/prompts/p@1/render", {"variables": {"a": "x"}})
        self.assertEqual(rendered.json["messages"], [{"role": "user", "content": "x"}])

    def test_the_default_labels_are_an_ordered_list(self):
        for option, expected in (("staging,production", {"draft": 2, "both": 1, "labelled": 2}),
                                 ("production,staging", {"draft": 2, "both": 3, "labelled": 2}),
                                 ("tested", {"draft": None, "both": None, "labelled": 2})):
            both = {"both.v1.yaml": prompt("version 1", labels=["staging"]),
                    "both.v2.yaml": prompt("version 2"),
                    "both.v3.yaml": prompt("version 3", labels=["production"])}
            server = self.serve("--default-label", option, files={**FILES, **both})
            for prompt_id, number in expected.items():
                with self.subTest(option=option, prompt_id=prompt_id):
                    text = None if number is None else f"version {number}"
                    self.assertEqual(server.text_of(prompt_id), text)


class Filters(HttpTest):
    def test_project_and_slug_must_equal_the_prompt_s_own(self):
        for status, query in ((200, {"project_name": "support"}), (404, {"project_name": "sales"}),
                              (200, {"slug": "refund"}), (404, {"slug": "refunds"}),
                              (200, {"project_name": "support", "slug": "refund"}),
                              (404, {"project_name": "sales", "slug": "refund"})):
            with self.subTest(query):
                self.assertEqual(self.server.litellm("support/refund", **query).status, status)

    def test_a_prompt_without_a_project_matches_any(self):
        self.assertEqual(self.server.litellm("free", project_name="sales").status, 200)

    def test_a_slug_alone_finds_its_prompt(self):
        for path in (LITELLM + "?slug=free-slug", LITELLM + "?prompt_id=&slug=free-slug",
                     LITELLM + "?slug=free-slug&project_name=anything"):
            with self.subTest(path):
                response = self.get(path)
                self.assertEqual((response.status, response.json["prompt_id"]), (200, "free"))

    def test_a_slug_of_two_ids_is_a_409_that_the_project_settles(self):
        self.assert_detail(self.get(LITELLM + "?slug=refund"), 409)
        for project in ("sales", "support"):
            response = self.get(LITELLM + f"?prompt_id=&slug=refund&project_name={project}")
            self.assertEqual((response.status, response.text), (200, f"{project} refund"))
        self.assert_detail(self.get(LITELLM + "?slug=refund&project_name=other"), 404)

    def test_an_unknown_slug_is_a_404(self):
        self.assert_detail(self.get(LITELLM + "?slug=nowhere"), 404)

    def test_a_slug_goes_together_with_a_selector(self):
        response = self.get(LITELLM + "?slug=draft&version=3")
        self.assertEqual((response.status, response.text), (200, "version 3"))
        self.assert_detail(self.get(LITELLM + "?slug=draft"), 404, "staging")


class Lists(HttpTest):
    def ids(self, path):
        response = self.get(path)
        self.assertEqual(response.status, 200, response)
        return [entry["prompt_id"] for entry in response.json["prompts"]], response.json["total"]

    def test_each_id_is_listed_once_sorted(self):
        self.assertEqual(self.ids("/prompts"), (IDS, len(IDS)))

    def test_entries_are_as_served_when_nothing_is_asked(self):
        entries = {e["prompt_id"]: e for e in self.get("/prompts").json["prompts"]}
        self.assertEqual(entries["support/refund"]["model"], "gpt-4")
        self.assertEqual(entries["support/refund"]["has_variables"], False)
        self.assertEqual(entries["full"]["has_variables"], True)
        for prompt_id in ("draft", "unordered"):
            self.assertIsNone(entries[prompt_id]["model"])

    def test_an_undecided_id_has_no_model_even_if_each_version_has(self):
        files = {f"p.v{n}.yaml": prompt("x", labels=[f"l{n}"], prompt_template_model="gpt-4")
                 for n in (1, 2)}
        server = self.serve(files=files)
        self.assertEqual([e["model"] for e in server.get("/prompts").json["prompts"]], [None])

    def test_the_filters_take_equal_only(self):
        sales = ["sales/refund", "sales/render", "sales/variables", "sales/welcome"]
        self.assertEqual(self.ids("/prompts?project_name=sales"), (sales, 4))
        self.assertEqual(self.ids("/prompts?project_name=support"), (["support/refund"], 1))
        self.assertEqual(self.ids("/prompts?project_name=none"), ([], 0))
        self.assertEqual(self.ids("/prompts?project_name="), (IDS, len(IDS)))
        beta = ["either", "sales/welcome", "single"]
        self.assertEqual(self.ids("/prompts?label=beta"), (beta, 3))
        self.assertEqual(self.ids("/prompts?label=beta&project_name=sales"), (["sales/welcome"], 1))

    def test_pages_follow_one_another_by_the_last_id(self):
        for limit in (1, 3, len(IDS) - 1, len(IDS)):
            with self.subTest(limit):
                self.assertEqual(self.walk(limit), IDS)

    def walk(self, limit):
        """The ids of all pages, until one is empty."""
        found, cursor = [], ""
        for _ in range(len(IDS) + 1):
            page, total = self.ids(with_query("/prompts", limit=limit, cursor=cursor))
            self.assertEqual(total, len(IDS))
            self.assertLessEqual(len(page), limit)
            if not page:
                return found
            found += page
            cursor = page[-1]
        return self.fail("the pages never end")

    def test_a_cursor_need_not_be_an_id(self):
        page, _ = self.ids("/prompts?cursor=drafu&limit=1")
        self.assertEqual(page, [i for i in IDS if i > "drafu"][:1])
        self.assertEqual(self.ids("/prompts?cursor=%F4%8F%BF%BF")[0], [])

    def test_a_thousand_are_listed_without_a_limit(self):
        names = [f"p{i:04}" for i in range(1005)]
        server = self.serve(files={"all.json": json.dumps(
            [{"prompt_id": n, "prompt_template": "x"} for n in names])})
        first = server.get("/prompts").json
        self.assertEqual([e["prompt_id"] for e in first["prompts"]], names[:1000])
        self.assertEqual(first["total"], 1005)
        rest = server.get("/prompts?cursor=p0999").json
        self.assertEqual([e["prompt_id"] for e in rest["prompts"]], names[1000:])

    def test_a_limit_that_is_no_number_is_a_422(self):
        for limit in ("0", "-1", "x", "1e2", "99999999999999999999", "1 "):
            with self.subTest(limit):
                self.assert_invalid(self.get(with_query("/prompts", limit=limit)),
                                    "query", "limit")


class WholePrompt(HttpTest):
    def test_it_has_all_that_the_file_says(self):
        whole = self.get("/prompts/full").json
        self.assertEqual(whole["prompt_template"][0]["content"], "Hello {name}, {greeting} {mood}")
        self.assertEqual(whole["prompt_template_model"], "gpt-4o")
        self.assertEqual(whole["prompt_template_optional_params"], {"temperature": 0.7})
        self.assertEqual(whole["description"], "Everything set")
        self.assertEqual(whole["metadata"], {"owner": "team-a", "n": 1})
        self.assertEqual(whole["slug"], "full-slug")
        self.assertIsNone(whole["version"])
        self.assertEqual(sorted(whole["variables"]), ["greeting", "mood", "name"])
        self.assertEqual(whole["variables"]["greeting"]["default"], "good day")
        self.assertEqual(whole["source"], {"file": "full.yaml", "line": 1})
        self.assertNotEqual(whole["state"], "stale")

    def test_it_has_the_versions_with_their_labels(self):
        whole = self.get("/prompts/labelled").json
        self.assertEqual(whole["version"], "2")
        self.assertEqual(whole["labels"], ["production", "tested"])
        self.assertEqual(whole["versions"], [{"version": "1", "labels": []},
                                             {"version": "2", "labels": ["production", "tested"]},
                                             {"version": "3", "labels": []}])

    def test_the_line_is_that_of_the_prompt_in_its_file(self):
        text = "# two prompts\n" + prompt("a", prompt_id="a") + "---\n" + prompt("b", prompt_id="b")
        server = self.serve(files={"dir/two.yaml": text})
        self.assertEqual(server.get("/prompts/a").json["source"],
                         {"file": "dir/two.yaml", "line": 2})
        self.assertEqual(server.get("/prompts/b").json["source"],
                         {"file": "dir/two.yaml", "line": 5})

    def test_metadata_is_never_part_of_the_litellm_answer(self):
        self.assertEqual(list(self.server.litellm("full").json),
                         ["prompt_id", "prompt_template", "prompt_template_model",
                          "prompt_template_optional_params"])

    def test_what_is_absent_is_null_and_never_empty(self):
        whole = self.get("/prompts/single").json
        self.assertNotIn("", list(whole.values()))
        self.assertIsNone(whole["description"])


class Paths(HttpTest):
    def assert_id(self, path, prompt_id):
        response = self.get(path)
        self.assertEqual((response.status, response.json.get("prompt_id")), (200, prompt_id))

    def test_slashes_of_an_id_may_be_literal_or_encoded(self):
        for path in ("/prompts/support/refund", "/prompts/support%2Frefund",
                     "/prompts/support%2frefund", "/prompts/s%75pport/refund"):
            with self.subTest(path):
                self.assert_id(path, "support/refund")
                self.assert_id(path + "/variables", "support/refund")

    def test_the_last_raw_segment_is_the_verb(self):
        self.assert_id("/prompts/sales%2Fvariables", "sales/variables")
        self.assert_id("/prompts/sales%2Frender", "sales/render")
        response = self.get("/prompts/sales/variables/variables")
        self.assertEqual(response.json["variables"], ["v"])
        response = self.get("/prompts/sales%2Frender/variables")
        self.assertEqual(response.json["variables"], ["r"])
        response = self.server.post("/prompts/sales/render/render", {"variables": {"r": "x"}})
        self.assertEqual(response.status, 200, response)

    def test_a_verb_without_its_id_is_a_404(self):
        # /prompts/sales/variables asks for the variables of "sales", which is no prompt.
        self.assert_detail(self.get("/prompts/sales/variables"), 404, "Prompt 'sales' not found")

    def test_ids_beyond_ascii_and_with_spaces(self):
        for prompt_id in (UNIT_ID, SPACED_ID):
            with self.subTest(prompt_id):
                self.assert_id(prompt_path(prompt_id), prompt_id)
                self.assert_id(litellm_path(prompt_id), prompt_id)

    def test_a_plus_is_a_space_in_the_query_only(self):
        self.assert_id(LITELLM + "?prompt_id=a+b%2Bc%25", SPACED_ID)
        self.assert_id("/prompts/a%20b+c%25", SPACED_ID)
        self.assert_detail(self.get("/prompts/a+b+c%25"), 404)
        self.assert_detail(self.get(LITELLM + "?prompt_id=a+b+c%25"), 404)

    def test_nothing_is_decoded_twice(self):
        self.assert_detail(self.get("/prompts/support%252Frefund"), 404, "support%2Frefund")
        self.assert_detail(self.get(LITELLM + "?prompt_id=support%252Frefund"), 404,
                           "support%2Frefund")

    def test_malformed_encodings_are_a_400_in_json(self):
        for bad in ("%", "%2", "%zz", "%2x", "%%20", "%00", "%0a", "%0D%0A", "%1f", "%7f", "%ff",
                    "%c0%af", "%ed%a0%80", "%c3"):
            for path in ("/prompts/x" + bad, LITELLM + "?prompt_id=x" + bad,
                         f"/prompts/x{bad}/variables", f"/prompts?cursor={bad}"):
                with self.subTest(path):
                    self.assert_detail(self.get(path), 400)

    def test_a_malformed_parameter_that_is_not_known_is_ignored(self):
        for pair in ("%zz=1", "%ff=1", "utm=100%", "x=%E9", "%"):
            with self.subTest(pair):
                self.assertEqual(self.get("/prompts?" + pair).status, 200)

    def test_dots_lead_nowhere(self):
        for path in ("/prompts/../health", "/prompts/..%2f..%2fetc%2fpasswd", "/./health",
                     "//health", "/prompts//etc/passwd"):
            with self.subTest(path):
                with self.server.raw_connection() as connection:
                    connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    self.assert_detail(connection.read_reply(), 400 if path.startswith("//") else 404)

    def test_unknown_parameters_are_ignored(self):
        expected = self.server.litellm("draft", version="3").body
        for extra in ("&x=1", "&x", "&", "&&", "&=1", "&prompt_id_=y", "&VERSION=1",
                      "&version%3D=1"):
            with self.subTest(extra):
                response = self.get(litellm_path("draft", version="3") + extra)
                self.assertEqual((response.status, response.body), (200, expected))

    def test_of_a_repeated_parameter_the_last_counts(self):
        response = self.get(LITELLM + "?prompt_id=full&prompt_id=draft&version=1&version=3")
        self.assertEqual(response.text, "version 3")
        self.assert_detail(self.get(LITELLM + "?prompt_id=full&prompt_id="), 404,
                           "Prompt '' not found")

    def test_an_empty_parameter_is_an_absent_one(self):
        expected = self.server.litellm("labelled").body
        for name in ("version", "label", "environment", "project_name", "slug"):
            for form in (f"&{name}=", f"&{name}", f"&{name}=9&{name}="):
                with self.subTest(form):
                    response = self.get(litellm_path("labelled") + form)
                    self.assertEqual((response.status, response.body), (200, expected))
        self.assertEqual(self.get("/prompts?limit=&cursor=&label=").json["total"], len(IDS))

    def test_the_absolute_form_of_a_target(self):
        for target, status in ((f"http://127.0.0.1:{self.server.port}/health", 200),
                               ("http://localhost:1/prompts/full?version=", 200),
                               ("http://example.org/prompts/full", 403),
                               ("http://example.org/nowhere", 404)):
            with self.subTest(target):
                reply, = self.server.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                self.assertEqual(reply.status, status)


class Errors(HttpTest):
    def test_a_wrong_method_is_a_405_with_what_is_allowed(self):
        allowed = {LITELLM: "GET, HEAD, OPTIONS", "/health": "GET, HEAD, OPTIONS", "/ready": "GET, HEAD, OPTIONS",
                   "/prompts": "GET, HEAD, POST, OPTIONS", "/prompts/full": "GET, HEAD, OPTIONS",
                   "/prompts/full/variables": "GET, HEAD, OPTIONS", "/prompts/full/render": "POST, OPTIONS"}
        for path, methods in allowed.items():
            expected = set(methods.split(", "))
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - expected:
                with self.subTest(method=method, path=path):
                    response = self.server.request(method, path)
                    self.assert_detail(response, 405, "Method Not Allowed")
                    self.assertEqual(set(response.headers["Allow"].split(", ")), expected)

    def test_head_of_a_verb_that_only_takes_post_is_a_405(self):
        response = self.server.request("HEAD", "/prompts/full/render")
        self.assertEqual((response.status, response.headers["Allow"]), (405, "POST, OPTIONS"))

    def test_an_unknown_path_is_a_404(self):
        for path in ("/", "/favicon.ico", "/Prompts", "/prompts/", "/beta/", "/ready/"):
            for method in ("GET", "POST", "DELETE"):
                with self.subTest(method=method, path=path):
                    self.assert_detail(self.server.request(method, path), 404, "Not Found")

    def test_reason_phrases_are_fixed(self):
        phrases = {status: {status.phrase} for status in http.HTTPStatus}
        phrases[422] = {"Unprocessable Entity", "Unprocessable Content"}
        requests = [("GET", "/health"), ("GET", "/prompts/nowhere%20X-Evil"),
                    ("GET", "/x%0d%0aX:y"), ("DELETE", "/health"), ("GET", LITELLM),
                    ("GET", "/prompts/%zz"),
                    ("POST", "/prompts"), ("GET", LITELLM + "?slug=refund")]
        for method, path in requests:
            with self.subTest(path):
                response = self.server.request(method, path)
                self.assertIn(response.reason, phrases[response.status])

    def test_the_prompt_endpoints_need_no_token_without_tokens(self):
        for value in ("Bearer x", "Basic y", "nonsense"):
            with self.subTest(value):
                response = self.get(litellm_path("full"), {"Authorization": value})
                self.assertEqual(response.status, 200)
                self.assertIsNone(response.headers["Vary"])


class Conditional(HttpTest):
    def test_every_read_has_a_strong_etag_and_says_no_cache(self):
        revision = self.server.revision()
        for path in READS:
            with self.subTest(path):
                response = self.get(path)
                self.assertEqual(response.status, 200)
                self.assertRegex(response.headers["ETag"], r'^"[!#-~]+"$')
                self.assertEqual(response.headers["Cache-Control"], "no-cache")
                self.assertEqual(response.headers["Prompts-Revision"], revision)

    def test_the_same_bytes_have_the_same_etag_and_others_another(self):
        bodies = {}
        for path in READS + [litellm_path("draft", version=n) for n in "123"]:
            first, second = self.get(path), self.get(path)
            self.assertEqual(first.headers["ETag"], second.headers["ETag"])
            bodies.setdefault(first.headers["ETag"], set()).add(first.body)
        for etag, texts in bodies.items():
            with self.subTest(etag):
                self.assertEqual(len(texts), 1)

    def test_if_none_match_in_all_its_forms(self):
        for path in READS:
            etag = self.get(path).headers["ETag"]
            for value in (etag, "W/" + etag, f'"x", {etag}', f'"x" ,W/"y",\t{etag}', "*",
                          f'{etag}, "z"'):
                with self.subTest(path=path, value=value):
                    response = self.get(path, {"If-None-Match": value})
                    self.assertEqual((response.status, response.body), (304, b""))
                    self.assertEqual(response.headers["ETag"], etag)
                    self.assertEqual(response.headers["Cache-Control"], "no-cache")
                    self.assertEqual(response.headers["Prompts-Revision"], self.server.revision())

    def test_if_none_match_of_something_else(self):
        for path in READS:
            etag = self.get(path).headers["ETag"]
            for value in ('"x"', etag[:-1], etag.strip('"'), etag[:-2] + '"', 'W/"x"', "",
                          etag[:-1] + 'x"'):
                with self.subTest(path=path, value=value):
                    self.assertEqual(self.get(path, {"If-None-Match": value}).status, 200)

    def test_an_error_is_never_a_304(self):
        self.assert_detail(self.get("/prompts/nowhere", {"If-None-Match": "*"}), 404)

    def test_head_takes_if_none_match_too(self):
        etag = self.get("/prompts/full").headers["ETag"]
        response = self.server.request("HEAD", "/prompts/full", headers={"If-None-Match": etag})
        self.assertEqual(response.status, 304)

    def test_with_tokens_every_answer_varies_by_authorization(self):
        server = self.serve("--dev", files=FILES)
        for path in READS + ["/prompts/nowhere"]:
            with self.subTest(path):
                self.assertEqual(server.get(path).headers["Vary"], "Authorization")
        etag = server.get("/prompts").headers["ETag"]
        unchanged = server.get("/prompts", {"If-None-Match": etag})
        self.assertEqual((unchanged.status, unchanged.headers["Vary"]), (304, "Authorization"))

    def test_the_revision_is_that_of_the_prompts_not_of_their_files(self):
        one_file = {"all.yaml": prompt("x", prompt_id="a") + "---\n" + prompt("y", prompt_id="b")}
        two_files = {"b.json": json.dumps({"prompt_template": "y"}),
                     "second.yml": "# a comment\n" + prompt("x", prompt_id="a")}
        other = {"a.yaml": prompt("x"), "b.yaml": prompt("z")}
        revisions = [self.serve(files=f).revision() for f in (one_file, two_files, other)]
        self.assertEqual(revisions[0], revisions[1])
        self.assertNotEqual(revisions[0], revisions[2])

    def test_the_etag_of_an_answer_is_the_same_on_every_replica(self):
        replica = self.serve(files=FILES)
        for path in (litellm_path("full"), "/prompts", "/prompts/full"):
            with self.subTest(path):
                self.assertEqual(self.get(path).headers["ETag"], replica.get(path).headers["ETag"])


class Head(HttpTest):
    def test_head_has_the_headers_of_get_and_no_body(self):
        for path in READS + ["/prompts/nowhere", "/nowhere", LITELLM, "/prompts/%zz",
                             litellm_path("draft")]:
            with self.subTest(path), self.server.raw_connection() as connection:
                request = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                connection.send((request + request.replace("HEAD", "GET")).encode())
                head = connection.read_reply(to_head=True)
                get = connection.read_reply()
                self.assertEqual(head.status, get.status)
                self.assertEqual(self.comparable(head), self.comparable(get))
                self.assertEqual(int(head.headers["Content-Length"]), len(get.body))

    def comparable(self, reply):
        return sorted((k, v) for k, v in reply.headers.items()
                      if k not in ("Date", "X-Request-Id"))

    def test_ready_is_a_503_to_head_too(self):
        server = self.serve()
        self.assertEqual(server.request("HEAD", "/ready").status, 503)

    def test_the_connection_stays_usable(self):
        with self.server.connection() as connection:
            for path in READS:
                head = ask(connection, "HEAD", path)
                get = ask(connection, "GET", path)
                self.assertEqual((head.status, head.body), (200, b""))
                self.assertEqual((get.status, len(get.body)),
                                 (200, int(head.headers["Content-Length"])))


class Connections(HttpTest):
    def test_a_connection_is_used_for_many_requests(self):
        with self.server.connection() as connection:
            ask(connection, "GET", "/health")
            sock = connection.sock
            for i in range(50):
                response = ask(connection, "GET", litellm_path(IDS[i % 3], version="none"))
                self.assertEqual(response.status, 404)
            self.assertEqual(ask(connection, "POST", "/prompts").status, 403)
            self.assertEqual(ask(connection, "PUT", "/prompts").status, 405)
            self.assertIs(connection.sock, sock)

    def test_pipelined_requests_are_answered_in_their_order(self):
        paths = [litellm_path("counted", version=n) for n in ("1", "2", "10")] * 20
        paths[7:7] = ["/nowhere", "/health"]
        data = "".join(f"GET {p} HTTP/1.1\r\nHost: localhost\r\n\r\n" for p in paths).encode()
        replies = self.server.raw(data, len(paths))
        expected = [self.get(p) for p in paths]
        self.assertEqual([(r.status, r.body) for r in replies],
                         [(r.status, r.body) for r in expected])

    def test_pipelined_requests_of_all_methods(self):
        body = b'{"variables":{"name":"Ann"}}'
        data = (b"HEAD /prompts/full HTTP/1.1\r\nHost: localhost\r\n\r\n"
                b"POST /prompts/sales%2Fwelcome/render HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\nContent-Length: " + str(len(body)).encode() +
                b"\r\n\r\n" + body +
                b"GET /health HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
                b"DELETE /prompts/full HTTP/1.1\r\nHost: localhost\r\n\r\n"
                b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with self.server.raw_connection() as connection:
            connection.send(data)
            replies = [connection.read_reply(to_head=i == 0) for i in range(5)]
            self.assertTrue(connection.is_closed())
        self.assertEqual([r.status for r in replies], [200, 200, 304, 405, 200])
        self.assertEqual(replies[1].json["messages"][0]["content"], "Welcome Ann")

    def test_a_request_may_arrive_byte_by_byte(self):
        with self.server.raw_connection() as connection:
            for byte in b"GET /prompts/full HTTP/1.1\r\nHost: localhost\r\n\r\n":
                connection.send(bytes([byte]))
            self.assertEqual(connection.read_reply().status, 200)

    def test_http_1_0_is_answered_and_closed(self):
        with self.server.raw_connection() as connection:
            connection.send(b"GET /health HTTP/1.0\r\n\r\n")
            reply = connection.read_to_end()
        head, _, body = reply.partition(b"\r\n\r\n")
        self.assertIn(b" 200 ", head.split(b"\r\n")[0])
        self.assertEqual(json.loads(body)["status"], "healthy")

    def test_a_body_that_is_too_big_is_a_413(self):
        head = (b"POST /prompts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 20000000\r\n\r\n")
        with self.server.raw_connection() as connection:
            connection.send(head)
            self.assertEqual(connection.read_reply().status, 413)
        self.assertEqual(self.get("/health").status, 200)

    def test_headers_may_be_long_but_not_endless(self):
        self.assertEqual(self.get("/health", {"X-Long": "x" * 8000}).status, 200)
        self.assertEqual(self.get(litellm_path("full", unknown="x" * 8000)).status, 200)
        with self.server.raw_connection() as connection:
            connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
            self.send_headers(connection, 4 * 1024 * 1024)
            self.assertTrue(self.is_refused(connection))
        self.assertEqual(self.get("/health").status, 200)

    def send_headers(self, connection, total):
        line = b"X-Long: " + b"x" * 1000 + b"\r\n"
        try:
            for _ in range(total // len(line)):
                connection.send(line)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the end

    def is_refused(self, connection):
        try:
            return connection.read_reply().status in (400, 413, 414, 431)
        except (EOFError, ConnectionResetError):
            return True

    def test_many_connections_at_once_get_the_right_answers(self):
        server = self.serve("--workers", "4", files=FILES)
        asked = [litellm_path("labelled", version=n) for n in "123"]
        asked += ["/prompts", "/prompts/full", "/health", litellm_path("draft"), "/nowhere"]
        expected = {path: server.get(path) for path in asked}

        def work(number):
            with server.connection() as connection:
                for i in range(40):
                    path = asked[(number + i) % len(asked)]
                    response = ask(connection, "GET", path)
                    self.assertEqual((response.status, response.body),
                                     (expected[path].status, expected[path].body))

        run_threads(24, work)

    def test_a_client_that_goes_away_harms_nobody(self):
        for _ in range(30):
            with self.server.raw_connection() as connection:
                connection.send(b"GET /prompts HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20 + b"GET /pro")
        self.assertEqual(self.get("/health").status, 200)


class Rendering(HttpTest):
    def render(self, server, prompt_id, **variables):
        return server.post(prompt_path(prompt_id, "render"), {"variables": variables})

    def rendered(self, template, declared=None, **variables):
        keys = {"variables": declared} if declared is not None else {}
        server = self.serve(files={"p.yaml": prompt(template, **keys)})
        response = self.render(server, "p", **variables)
        self.assertEqual(response.status, 200, response)
        return response.json["messages"]

    def test_values_and_defaults_are_filled_in(self):
        response = self.render(self.server, "full", name="Ann")
        self.assertEqual(response.json["messages"],
                         [{"role": "user", "content": "Hello Ann, good day "}])
        response = self.render(self.server, "full", name="Ann", greeting="hi", mood="!")
        self.assertEqual(response.json["messages"][0]["content"], "Hello Ann, hi !")

    def test_an_empty_value_is_a_value(self):
        response = self.render(self.server, "full", name="", greeting="")
        self.assertEqual(response.json["messages"][0]["content"], "Hello ,  ")

    def test_a_422_names_all_that_is_missing(self):
        server = self.serve(files={"p.yaml": prompt("{one} {two} {three}")})
        response = self.render(server, "p", two="x")
        self.assert_invalid(response)
        named = json.dumps(response.detail)
        self.assertIn("one", named)
        self.assertIn("three", named)
        self.assertNotIn("two", named)
        for body in (b"{}", b'{"variables":{}}', b""):
            with self.subTest(body):
                self.assert_invalid(server.post("/prompts/p/render", body))

    def test_unknown_values_are_ignored(self):
        response = self.render(self.server, "sales/welcome", name="Ann", other="x")
        self.assertEqual(response.json["messages"][0]["content"], "Welcome Ann")

    def test_values_are_filled_in_in_one_pass(self):
        messages = self.rendered("{a} {b}", a="{b}", b="{a}")
        self.assertEqual(messages[0]["content"], "{b} {a}")

    def test_values_are_escaped_as_json(self):
        value = 'a "quote", a \\, a\nline, a \t, \x01, \x7f, ü, 😀, </script>, \u2028'
        messages = self.rendered("<{v}>", v=value)
        self.assertEqual(messages[0]["content"], f"<{value}>")

    def test_both_forms_of_a_placeholder_in_all_messages_and_parts(self):
        template = [{"role": "system", "content": "{a}{{a}}{{ a }}"},
                    {"role": "user", "content": [{"type": "text", "text": "{b}: {a}"}]}]
        self.assertEqual(self.rendered(template, a="1", b="2"), [
            {"role": "system", "content": "111"},
            {"role": "user", "content": [{"type": "text", "text": "2: 1"}]}])

    def test_other_braces_stay(self):
        text = 'Answer as {"key": [1, {}]} or \\d{3,4} {a b} { c } {ä}'
        rendered = self.rendered(text, **{"ä": "x"})[0]["content"]
        self.assertEqual(rendered, text.replace("{ä}", "x"))

    def test_only_declared_variables_are_placeholders(self):
        text = r"\d{3} /users/{id} {{ jinja }} {name}"
        server = self.serve(files={"p.yaml": prompt(text, variables={"name": {}})})
        self.assertEqual(server.text_of("p"), text)
        self.assertEqual(server.get("/prompts/p/variables").json["variables"], ["name"])
        response = self.render(server, "p", name="x", id="y", jinja="z")
        self.assertEqual(response.json["messages"][0]["content"], text.replace("{name}", "x"))

    def test_what_is_rendered_must_exist(self):
        self.assert_detail(self.render(self.server, "nowhere"), 404, "Prompt 'nowhere' not found")
        self.assert_detail(self.render(self.server, "draft"), 404, "staging")

    def test_a_body_needs_a_content_type(self):
        body = b'{"variables":{"name":"Ann"}}'
        path = "/prompts/sales%2Fwelcome/render"
        for kind, status in (("application/json", 200), ("application/json; charset=utf-8", 200),
                             ("Application/JSON", 200), ("text/plain", 415), ("", 415),
                             ("application/jsonp", 415), (None, 415),
                             ("application/x-www-form-urlencoded", 415)):
            with self.subTest(kind):
                headers = {"Content-Length": str(len(body))}
                if kind is not None:
                    headers["Content-Type"] = kind
                response = self.server.request("POST", path, body, headers)
                self.assertEqual(response.status, status, response)

    def test_a_body_of_another_shape_is_a_422(self):
        for body in (b"[]", b"7", b'"x"', b"{", b'{"variables":[]}', b'{"variables":7}',
                     b'{"variables":{"name":"a"}} x', b'{"variables":{"name":"\xff"}}',
                     b'{"variables":{"name":"a","name":"b"}}', b'{"variables":{"name":"\\u0000"}}',
                     b'{"variables":{"name":["a"]}}'):
            with self.subTest(body):
                self.assert_invalid(self.server.post("/prompts/sales%2Fwelcome/render", body))

    def test_the_variables_of_a_prompt(self):
        response = self.get("/prompts/full/variables")
        self.assertEqual(response.json["prompt_id"], "full")
        self.assertEqual(response.json["variables"], ["greeting", "mood", "name"])
        values = response.json["example_usage"]["prompt_variables"]
        self.assertEqual(values["name"], "<name_value>")
        response = self.get("/prompts/single/variables")
        self.assertEqual(response.json["variables"], [])
        self.assertEqual(response.json["example_usage"]["prompt_variables"], {})


class Probes(ServerTest):
    def test_health_tells_what_is_served_and_what_is_wrong(self):
        server = self.serve(files={"good.yaml": prompt("x"), "bad.yaml": "prompt_template: [\n"})
        health = server.get("/health")
        self.assertEqual(health.status, 200)
        self.assertEqual(health.json["prompts"], 1)
        self.assertTrue(health.json["revision"])
        self.assertEqual(len(server.problems()), 1)
        self.assertIn("bad.yaml:", server.problems()[0])

    def test_ready_once_prompts_are_published_even_beside_a_bad_file(self):
        server = self.serve(files={"good.yaml": prompt("x"), "bad.yaml": "oops: 1\n"})
        self.assertEqual(server.get("/ready").status, 200)

    def test_not_ready_without_a_prompt_unless_that_is_allowed(self):
        for files in ({}, {"bad.yaml": "oops: 1\n"}):
            with self.subTest(files):
                self.assertEqual(self.serve(files=files).get("/ready").status, 503)
                self.assertEqual(self.serve("--allow-empty", files=files).get("/ready").status, 200)

    def test_ready_as_soon_as_there_is_a_prompt(self):
        server = self.serve()
        self.assertEqual(server.get("/ready").status, 503)
        self.assertEqual(server.get("/prompts").json, {"prompts": [], "total": 0})
        server.write("p.yaml", prompt("x"))
        server.wait_for_text("p", "x")
        self.assertEqual(server.get("/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
