"""POST /prompts: a body becomes a file in the directory, whole or not at all."""
import json
import os
import signal
import unittest

from promptd import (ServerTest, litellm_path, prompt, prompt_path,
                     run_threads)


def new(prompt_id="new", text="Say {what}", **keys):
    return {"prompt_id": prompt_id, "prompt_template": text, **keys}


def nested(levels, value):
    for _ in range(levels):
        value = [value]
    return value


class WriteTest(ServerTest):
    def assert_created(self, server, body, path):
        """The prompt is answered for, stands in that file, and is served at once."""
        response = server.post("/prompts", body)
        self.assertEqual(response.status, 200, response)
        self.assertEqual(response.json["status"], "created")
        self.assertEqual(response.json["prompt_id"], body["prompt_id"])
        query = {"version": body["version"]} if "version" in body else {}
        served = server.litellm(body["prompt_id"], **query)
        self.assertEqual(served.status, 200, served)
        self.assertEqual(served.json["prompt_id"], body["prompt_id"])
        self.assertIn(path, server.file_names())
        return response

    def assert_survives(self, server, *paths):
        """The files alone give the same answers: what was told holds after a new look, and for
        another server on the same directory."""
        answers = [server.get(path).body for path in paths]
        revision = server.revision()
        server.signal(signal.SIGHUP)
        server.write("zz-barrier.yaml", prompt("barrier"))
        server.wait_for_text("zz-barrier", "barrier")
        server.remove("zz-barrier.yaml")
        server.wait_until_gone("zz-barrier")
        self.assertEqual((server.problems(), server.revision()), ([], revision))
        self.assertEqual([server.get(path).body for path in paths], answers)
        other = self.serve(directory=server.directory)
        self.assertEqual([other.get(path).body for path in paths], answers)


class Creation(WriteTest):
    def test_the_body_becomes_indented_json(self):
        for option in ("--writable", "--dev"):
            with self.subTest(option):
                server = self.serve(option)
                body = new(prompt_template_model="gpt-4", description="Größe",
                           prompt_template_optional_params={"temperature": 0.7})
                self.assert_created(server, body, "new.json")
                text = server.path("new.json").read_text(encoding="utf-8")
                self.assertEqual(json.loads(text), body)
                self.assertIn('\n  "prompt_template_model": "gpt-4"', text)
                self.assert_survives(server, litellm_path("new"), "/prompts/new")

    def test_any_key_of_a_prompt_file_may_be_given(self):
        server = self.serve("--writable")
        body = {
            "$schema": "https://example.org/s", "x-note": [1, {"a": None}],
            "prompt_id": "full", "version": "3", "labels": ["production"],
            "prompt_template": [{"role": "user", "content": "{a}", "name": "n"}],
            "prompt_template_model": None, "prompt_template_optional_params": None,
            "project_name": "team", "slug": "other", "description": "d",
            "variables": {"a": {"default": "x"}, "b": None}, "metadata": {"k": {"n": 1}}}
        self.assert_created(server, body, "full.v3.json")
        self.assertEqual(json.loads(server.path("full.v3.json").read_text()), body)
        whole = server.get("/prompts/full").json
        self.assertEqual((whole["version"], whole["labels"], whole["slug"]),
                         ("3", ["production"], "other"))
        self.assert_survives(server, litellm_path("full"), "/prompts/full")

    def test_slashes_of_the_id_are_directories(self):
        server = self.serve("--writable")
        self.assert_created(server, new("support/eu/refund"), "support/eu/refund.json")
        self.assert_created(server, new("support/eu/return", version="2"),
                            "support/eu/return.v2.json")
        self.assertEqual(server.get("/prompts?project_name=support").json["total"], 2)
        self.assert_survives(server, "/prompts/support%2Feu%2Frefund", "/prompts/support/eu/return")

    def test_a_file_made_below_a_new_directory_can_be_edited(self):
        server = self.serve("--writable")
        self.assert_created(server, new("a/b/c"), "a/b/c.json")
        server.write("a/b/c.json", json.dumps(new("a/b/c", "edited")))
        server.wait_for_text("a/b/c", "edited")

    def test_a_prompt_below_a_new_directory_is_served_at_once(self):
        server = self.serve("--writable", "--settle", "10m", "--max-latency", "10m")
        for prompt_id in ("a/p", "b/c/p", "b/d/p"):
            self.assert_created(server, new(prompt_id), f"{prompt_id}.json")

    def test_ids_that_need_care_in_file_names(self):
        server = self.serve("--writable")
        for prompt_id in ("ümlaut", "with space", "a__b", "per%cent", "plus+", "x.yaml", "q?#&=",
                          "back\\slash", "'quotes\"", "variables", "sub/render"):
            with self.subTest(prompt_id):
                self.assert_created(server, new(prompt_id), prompt_id + ".json")
        self.assert_survives(server, "/prompts", prompt_path("a__b"), prompt_path("sub/render"))

    def test_numbers_keep_their_source_text(self):
        server = self.serve("--writable")
        body = (b'{"prompt_id":"n","prompt_template":"x","prompt_template_optional_params":'
                b'{"temperature":0.70,"seed":9223372036854775808,"top_p":1e-1}}')
        self.assertEqual(server.post("/prompts", body).status, 200)
        for text in (server.litellm("n").body, server.path("n.json").read_bytes()):
            for number in (b"0.70", b"9223372036854775808", b"1e-1"):
                self.assertIn(number, text)

    def test_text_survives_the_way_through_the_file(self):
        server = self.serve("--writable")
        text = 'quote " backslash \\ slash / newline \n tab \t bell \x07 \x7f \u2028 ü 😀 {v}'
        self.assert_created(server, new(text=text), "new.json")
        self.assertEqual(server.text_of("new"), text)
        self.assert_survives(server, litellm_path("new"))

    def test_unknown_keys_are_left_out_and_named(self):
        server = self.serve("--writable")
        response = self.assert_created(server, new(modle="gpt-4", owner={"a": 1}), "new.json")
        self.assertEqual(list(response.json), ["status", "prompt_id", "message", "warnings"])
        warnings = json.dumps(response.json["warnings"])
        self.assertIn("modle", warnings)
        self.assertIn("owner", warnings)
        self.assertEqual(json.loads(server.path("new.json").read_text()), new())
        self.assert_survives(server, litellm_path("new"))

    def test_without_warnings_there_is_no_such_key(self):
        response = self.serve("--writable").post("/prompts", new())
        self.assertEqual(list(response.json), ["status", "prompt_id", "message"])

    def test_unknown_keys_further_down_are_left_out_too(self):
        server = self.serve("--writable")
        body = new(text="{a}", variables={"a": {"default": "x", "colour": "red"}})
        response = self.assert_created(server, body, "new.json")
        self.assertIn("colour", json.dumps(response.json["warnings"]))
        self.assertEqual(server.problems(), [])
        self.assert_survives(server, litellm_path("new"), "/prompts/new")


class Versions(WriteTest):
    def test_further_versions_of_an_id(self):
        server = self.serve("--writable", files={"p.yaml": prompt("unversioned")})
        for number in ("1", "2", "10"):
            self.assert_created(server, new("p", f"text {number}", version=number),
                                f"p.v{number}.json")
        self.assertEqual(server.text_of("p"), "unversioned")
        self.assert_created(server, new("p", "current", version="11", labels=["production"]),
                            "p.v11.json")
        self.assertEqual(server.text_of("p"), "current")
        self.assert_survives(server, litellm_path("p"), "/prompts/p")

    def test_versions_need_not_be_numbers(self):
        server = self.serve("--writable")
        for name in ("1.10", "2.0-rc1", "1.10.3"):
            with self.subTest(name):
                self.assert_created(server, new("p", name, version=name), f"p.v{name}.json")
        self.assert_survives(server, "/prompts/p?version=1.10")

    def test_a_version_may_begin_with_a_letter(self):
        # Its file's name gives no version then, but the file itself does.
        server = self.serve("--writable")
        self.assert_created(server, new("p", "draft", version="draft"), "p.vdraft.json")
        self.assert_survives(server, "/prompts/p?version=draft")

    def test_the_same_version_again_is_a_409(self):
        server = self.serve("--writable", files={"p.v1.yaml": prompt("one")})
        response = server.post("/prompts", new("p", version="1"))
        self.assert_detail(response, 409, "Prompt 'p' already exists")
        self.assertEqual(server.file_names(), ["p.v1.yaml"])

    def test_an_id_that_exists_needs_a_version(self):
        for name in ("p.v1.yaml", "p.yaml"):
            with self.subTest(name):
                server = self.serve("--writable", files={name: prompt("one")})
                self.assert_detail(server.post("/prompts", new("p")), 409, "already exists")
                self.assertEqual(server.file_names(), [name])
                self.assertEqual(server.text_of("p"), "one")

    def test_a_file_of_that_name_is_never_replaced(self):
        taken = {"p.json": json.dumps(new("other")), "q.json": "{", "r.v1.json": "{"}
        server = self.serve("--writable", files=taken)
        for body in (new("p"), new("q"), new("r", version="1")):
            with self.subTest(body["prompt_id"]):
                self.assert_detail(server.post("/prompts", body), 409)
        for name, text in taken.items():
            self.assertEqual(server.path(name).read_text(), text)
        self.assertEqual(server.file_names(), sorted(taken))

    def test_of_concurrent_posts_of_one_id_exactly_one_is_created(self):
        server = self.serve("--writable", "--workers", "4")
        for attempt in range(5):
            answers = []

            def work(number, name=f"p{attempt}"):
                response = server.post("/prompts", new(name, f"from {number}"))
                answers.append((response.status, number))

            run_threads(8, work)
            statuses = sorted(status for status, _ in answers)
            self.assertEqual(statuses, [200] + [409] * 7)
            winner = min(answers)[1]
            self.assertEqual(server.text_of(f"p{attempt}"), f"from {winner}")

    def test_concurrent_posts_of_different_ids_are_all_created(self):
        server = self.serve("--writable", "--workers", "4")

        def work(number):
            for i in range(5):
                name = f"dir{i}/p{number}"
                self.assertEqual(server.post("/prompts", new(name, name)).status, 200)
                self.assertEqual(server.text_of(name), name)

        run_threads(8, work)
        self.assertEqual(server.get("/prompts").json["total"], 40)
        self.assertEqual(server.problems(), [])


class Refusals(WriteTest):
    def test_a_server_that_is_not_writable_answers_403(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        for body in (new(), new("p"), {}, b"{"):
            self.assert_detail(server.post("/prompts", body), 403)
        self.assertEqual(server.file_names(), ["p.yaml"])

    def test_a_body_needs_a_content_type(self):
        server = self.serve("--writable")
        body = json.dumps(new()).encode()
        for kind in (None, "text/plain", "application/x-www-form-urlencoded"):
            with self.subTest(kind):
                headers = {"Content-Type": kind} if kind else {}
                response = server.request("POST", "/prompts", body, headers)
                self.assert_detail(response, 415)
        self.assertEqual(server.file_names(), [])

    def test_every_fault_is_listed_with_its_place(self):
        server = self.serve("--writable")
        response = server.post("/prompts", {
            "prompt_template": [{"role": 1, "content": "x"}, {"role": "user"}],
            "prompt_template_optional_params": {"api_base": "http://evil"},
            "labels": ["ok", "Not Ok"], "version": "-", "slug": "UPPER"})
        self.assert_invalid(response)
        places = [item["loc"] for item in response.detail]
        for place in (["body", "prompt_id"], ["body", "prompt_template", 0, "role"],
                      ["body", "prompt_template", 1, "content"],
                      ["body", "prompt_template_optional_params", "api_base"],
                      ["body", "labels", 1], ["body", "version"], ["body", "slug"]):
            self.assertIn(place, places)
        self.assertEqual(server.file_names(), [])

    def test_ids_that_lead_anywhere_else_are_refused(self):
        server = self.serve("--writable")
        for prompt_id in ("", "/", "../x", "a/../../x", "a/..", "./x", "/etc/x", "a//b", "a/", ".x",
                          "a/.x", "_x", "#x", "x~", "a@b", "a\nb", "x" * 201, "..data/x"):
            with self.subTest(prompt_id):
                self.assert_invalid(server.post("/prompts", new(prompt_id)), "body", "prompt_id")
        self.assertEqual(server.file_names(), [])
        self.assertEqual(os.listdir(server.directory.parent), ["prompts"])

    def test_what_cannot_come_back_from_its_file_is_not_created(self):
        # What is served depends on the files alone: a 200 for what no scan can load would be a lie.
        for body in (new("/".join("d" * 40)),  # deeper than directories are looked into
                     new("many", metadata={"n": [0] * 150000}),  # more values than a file may hold
                     new("big", metadata={"n": nested(60, [0] * 90000)}),  # larger when indented
                     new("n" * 198 + "é"), new("like.v2"), new("p", version="1.v2")):
            with self.subTest(body["prompt_id"][:20]):
                server = self.serve("--writable")
                response = server.post("/prompts", body)
                if response.status == 200:
                    query = {"version": body["version"]} if "version" in body else {}
                    self.assert_survives(server, litellm_path(body["prompt_id"], **query))
                else:
                    self.assertIn(response.status, (413, 422), response)
                    self.assertEqual(server.file_names(), [])

    def test_a_label_that_another_version_carries_is_not_given_twice(self):
        server = self.serve("--writable", files={
            "p.v1.yaml": prompt("one", labels=["production"])})
        response = server.post("/prompts", new("p", "two", version="2", labels=["production"]))
        carriers = [v["version"] for v in server.get("/prompts/p").json["versions"]
                    if "production" in v["labels"]]
        self.assertEqual(carriers, ["1"])
        self.assertEqual(server.text_of("p"), "one")
        if response.status == 200:  # a conflict costs only the label, and is told
            self.assertEqual(server.litellm("p", version="2").text, "two")
            self.assertIn("production", server.wait_for_problem("p.v2.json"))

    def test_no_file_is_read_on_behalf_of_a_body(self):
        server = self.serve("--writable")
        secret = server.temporary / "secret.txt"
        secret.write_text("the secret")
        named = str(secret)
        self.assert_invalid(server.post("/prompts", new("a", {"file": named})))
        self.assert_invalid(server.post("/prompts", new(
            "b", [{"role": "user", "content": {"file": named}}])))
        for i, text in enumerate((named, "file://" + named, "@" + named, "{{file:" + named + "}}",
                                  "!include " + named)):
            self.assertEqual(server.post("/prompts", new(f"c{i}", text)).status, 200)
            self.assertEqual(server.text_of(f"c{i}"), text)
        for path in ("/prompts", "/prompts/c0", "/prompts/c1", "/health"):
            self.assertNotIn(b"the secret", server.get(path).body)

    def test_links_on_the_way_are_not_followed_out_of_the_directory(self):
        server = self.serve("--writable")
        outside = server.temporary / "outside"
        outside.mkdir()
        os.symlink(outside, server.path("out"))
        os.symlink(outside / "target.json", server.path("hole.json"))
        for prompt_id in ("out/p", "out/sub/p", "hole"):
            with self.subTest(prompt_id):
                response = server.post("/prompts", new(prompt_id))
                self.assertGreaterEqual(response.status, 400, response)
                self.assertIsInstance(response.detail, str)
        self.assertEqual(list(outside.iterdir()), [])
        self.assertEqual(server.file_names(), ["hole.json", "out"])

    def test_a_file_where_a_directory_is_needed(self):
        server = self.serve("--writable", files={"p.json": json.dumps(new("p")), "d": "a file"})
        for prompt_id in ("d/p", "p.json/q"):
            with self.subTest(prompt_id):
                response = server.post("/prompts", new(prompt_id))
                self.assertGreaterEqual(response.status, 400, response)
        self.assertEqual(server.file_names(), ["d", "p.json"])

    def test_no_temporary_file_is_left(self):
        server = self.serve("--writable", files={"taken.json": "{"})
        for body in (new("a"), new("b/c"), new("a"), new("taken"), new("e", version="1"), {}):
            server.post("/prompts", body)
        self.assertEqual(server.file_names(),
                         ["a.json", "b", "b/c.json", "e.v1.json", "taken.json"])


class FullDisk(WriteTest):
    def fill(self, server):
        """Create prompts until there is no more room; returns the ids that were created."""
        created = []
        for i in range(100):
            response = server.post("/prompts", new(f"dir{i}/p{i}", f"{i} " + "x" * 6000))
            if response.status != 200:
                self.assert_detail(response, 507)
                return created
            created.append(f"dir{i}/p{i}")
        self.fail("the disk did not fill up")

    def test_a_full_disk_is_a_507_and_nothing_is_half_written(self):
        server = self.serve_on_small_disk("64k")
        created = self.fill(server)
        self.assertTrue(created)
        self.assertEqual([n for n in server.file_names() if n.endswith(".json") or ".tmp" in n],
                         sorted(f"{i}.json" for i in created))
        self.assertEqual(server.get("/prompts").json["total"], len(created))
        self.assertEqual(server.problems(), [])
        self.assertEqual(server.litellm(f"dir{len(created)}/p{len(created)}").status, 404)
        for prompt_id in created:
            self.assertEqual(server.litellm(prompt_id).status, 200)

    def test_once_there_is_room_again_it_goes_on(self):
        server = self.serve_on_small_disk("64k")
        first = self.fill(server)[0]
        server.remove(first + ".json")
        server.wait_until_gone(first)
        self.assertEqual(server.post("/prompts", new("again")).status, 200)
        self.assertEqual(server.litellm("again").status, 200)


class NotServed(ServerTest):
    def test_what_is_held_back_is_not_acknowledged(self):
        """The file is written, but a bad one holds the whole set."""
        server = self.serve("--writable", "--on-bad-file", "hold", files={"p.yaml": prompt("x")})
        server.write("p.yaml", "prompt_template: [")
        server.wait_for_problem("p.yaml:")
        self.assert_detail(server.post("/prompts", {"prompt_id": "q", "prompt_template": "x"}), 503, "not served yet")
        self.assertEqual(server.litellm("q").status, 404)
        self.assertIn("q.json", server.file_names())
        server.write("p.yaml", prompt("y"))
        server.wait_for_text("q", "x")


if __name__ == "__main__":
    unittest.main()
