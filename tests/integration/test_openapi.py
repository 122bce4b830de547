"""/openapi.json: it is OpenAPI 3.1, and all that it says can be had. That nothing else can is checked wherever
a test asks a server (contract.py)."""
import hashlib
import json
import re
import subprocess
import tempfile
import unittest

import jsonschema  # Debian: python3-jsonschema

import contract
from promptd import (LITELLM, ServerTest, binary, litellm_path, prompt, run_threads, wait_until)
from support import injected, strace_works  # tests/reload

FILES = {
    "p.yaml": prompt("Hi {name}, {n}", prompt_template_model="gpt-4", description="d",
                     prompt_template_optional_params={"temperature": 0.5}, metadata={"a": 1},
                     variables={"name": {"default": "x", "description": "who"}, "n": {"required": False}}),
    "v.v1.yaml": prompt("one", labels=["production"]), "v.v2.yaml": prompt("{two}"),
    "a/same.yaml": prompt("x"), "b/same.yaml": prompt("x"),
}
READS = {"getPromptForLitellm": litellm_path("p"), "listPrompts": "/prompts?limit=2",
         "getPrompt": "/prompts/p", "getVariables": "/prompts/a/same/variables", "getHealth": "/health",
         "getReady": "/ready", "getStatus": "/-/status?files=all", "getMetrics": "/metrics",
         "getOpenapi": "/openapi.json"}
WRITES = {"createPrompt": "/prompts", "renderPrompt": "/prompts/p/render", "reload": "/-/reload"}
OF_PROMPTS = ("getPromptForLitellm", "listPrompts", "getPrompt", "getVariables", "createPrompt", "renderPrompt")


def documented():
    return {(operation["operationId"], int(status)) for operation in contract.OPERATIONS.values()
            for status in operation["responses"]}


class Document(ServerTest):
    def test_it_is_served_as_it_is_here(self):
        served = self.serve(files=FILES).get("/openapi.json").json
        version = served["info"].pop("version")
        self.assertIn(version, subprocess.check_output([binary(), "--version"], text=True))
        wanted = json.loads(json.dumps(contract.DOCUMENT))
        del wanted["info"]["version"]
        self.assertEqual(served, wanted)

    def test_it_is_whole(self):
        self.assertEqual(contract.DOCUMENT["openapi"], "3.1.0")
        schemas = contract.expand(contract.DOCUMENT["components"]["schemas"], contract.DOCUMENT)
        for name, schema in schemas.items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
        ids = [operation["operationId"] for operation in contract.OPERATIONS.values()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(ids), set(READS) | set(WRITES))
        for (template, _), operation in contract.OPERATIONS.items():
            parameters = operation.get("parameters", []) + contract.PATHS[template].get("parameters", [])
            self.assertEqual(set(re.findall(r"{(\w+)}", template)),
                             {p["name"] for p in parameters if p["in"] == "path"}, template)

    def test_nothing_in_it_is_unused(self):
        text = json.dumps(contract.DOCUMENT)
        for kind, named in contract.DOCUMENT["components"].items():
            for name in named if kind != "securitySchemes" else ():
                self.assertIn(f'"#/components/{kind}/{name}"', text)

    def test_a_new_prompt_has_the_keys_of_a_file(self):
        schema = json.loads(subprocess.check_output([binary(), "schema"]))
        new = contract.DOCUMENT["components"]["schemas"]["NewPrompt"]
        self.assertEqual(set(new["properties"]), set(schema["$defs"]["prompt"]["properties"]))


class Answers(ServerTest):
    """Each answer that is documented."""

    def ask(self, server, name, query="", headers=None, body=None):
        path = READS.get(name) or WRITES[name]
        path += (("&" if "?" in path else "?") + query) if query else ""
        if name in WRITES:
            return server.post(path, body if body is not None else {}, headers)
        return server.get(path, headers)

    def good(self):
        server = self.serve("--writable", files=FILES)
        for name in READS:
            response = self.ask(server, name)
            self.assertEqual(response.status, 200, response)
            if "ETag" in response.headers and name != "getMetrics":
                again = self.ask(server, name, headers={"If-None-Match": response.headers["ETag"]})
                self.assertEqual(again.status, 304, again)
        self.assertEqual(self.ask(server, "createPrompt", body={"prompt_id": "new", "prompt_template": "x",
                                                               "colour": 1}).status, 200)
        self.assertEqual(self.ask(server, "renderPrompt").status, 200)
        self.assertEqual(self.ask(server, "reload").status, 200)

    def bad_requests(self):
        server = self.serve("--writable", files=FILES)
        for name in [*READS, *WRITES]:
            self.assertEqual(self.ask(server, name, query="label=%zz").status, 400)
            self.assertEqual(self.ask(server, name, headers={"Host": "example.com"}).status, 403)
        for path in (litellm_path("q"), "/prompts/q", "/prompts/v@3", "/prompts/q/variables"):
            self.assertEqual(server.get(path).status, 404)
        self.assertEqual(server.post("/prompts/q/render", {}).status, 404)
        self.assertEqual(server.get(LITELLM + "?slug=same").status, 409)
        self.assertEqual(self.ask(server, "createPrompt", body={"prompt_id": "p", "prompt_template": "x"}).status,
                         409)
        for path in (LITELLM, "/prompts?limit=0", "/prompts/v?version=1&label=x",
                     "/prompts/v/variables?version=1&label=x"):
            self.assertEqual(server.get(path).status, 422)
        self.assertEqual(server.post("/prompts/v@2/render", {}).status, 422)
        self.assertEqual(server.post("/prompts", {"prompt_id": "x"}).status, 422)
        for path in ("/prompts", "/prompts/p/render"):
            self.assertEqual(server.post(path, b"x", {"Content-Type": "text/plain"}).status, 415)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
            self.assertEqual(server.raw(head.encode())[0].status, 413)

    def tokens(self):
        guarded = [name for name in [*READS, *WRITES] if name not in ("getHealth", "getReady")]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            for name, keys in (("t", ""), ("slow", ", rate_limit: 1, rights: [read, write, admin]")):
                file.write(f"- {{name: {name}, sha256: {hashlib.sha256(name.encode()).hexdigest()}{keys}}}\n")
            file.flush()
            server = self.serve("--tokens-file", file.name, files=FILES)
        for name in guarded:
            self.assertEqual(self.ask(server, name).status, 401)
        self.assertEqual(self.ask(server, "reload", headers={"Authorization": "Bearer t"}).status, 403)
        for name in guarded:  # the first of a second is answered
            wait_until(lambda n=name: self.ask(server, n, headers={"Authorization": "Bearer slow"}).status == 429,
                       "it is limited")

    def nothing_loaded(self):
        server = self.serve(directory=self.serve().directory.parent / "later")
        for name in OF_PROMPTS:
            self.assertEqual(self.ask(server, name).status, 503)
        self.assertEqual(self.ask(server, "getReady").status, 503)

    def bad_files(self):
        server = self.serve(files={**FILES, "bad.yaml": "x"})
        self.assertEqual(self.ask(server, "reload").status, 422)

    def disks_that_fail(self):
        server = self.serve("--writable", files=FILES)
        for reason, status in (("ENOSPC", 507), ("EIO", 500)):
            with injected(server, (["fsync", "fdatasync"], f"error={reason}")):
                self.assertEqual(self.ask(server, "createPrompt",
                                          body={"prompt_id": "q", "prompt_template": "x"}).status, status)

    def scan_is_under_way(self, server):
        return not re.search(r"^promptd_scan_in_progress_seconds 0$", server.get("/metrics").body.decode(),
                             re.MULTILINE)

    def ask_while_a_scan_hangs(self):
        """The statuses of all that waits for the reload thread."""
        server = self.serve("--writable", files=FILES)
        statuses = {}

        def ask_one(number):
            if number > 0:
                wait_until(lambda: self.scan_is_under_way(server), "the scan")
            name = ("reload", "getStatus", "createPrompt")[number]
            statuses[name] = self.ask(server, name, body={"prompt_id": "q", "prompt_template": "x"}).status

        with injected(server, (["getdents64"], "delay_enter=12s:when=1")):
            run_threads(3, ask_one)
            self.assertIn("scan_in_progress_ms", self.ask(server, "getStatus").json)
            wait_until(lambda: not self.scan_is_under_way(server), "the end of the scan")
        return statuses

    def a_scan_that_hangs(self):
        """It is given up after ten seconds; a status that is asked for half a second late is told at once."""
        for _ in range(3):
            statuses = self.ask_while_a_scan_hangs()
            if statuses["getStatus"] == 503:
                break
        self.assertEqual(set(statuses.values()), {503}, statuses)

    def test_each_is_given(self):
        strace_works(self)
        contract.answered.clear()
        for produce in (self.good, self.bad_requests, self.tokens, self.nothing_loaded, self.bad_files,
                        self.disks_that_fail, self.a_scan_that_hangs):
            with self.subTest(produce.__name__):
                produce()
        self.assertEqual(documented() - contract.answered, set())
        self.assertEqual(contract.answered - documented() - {None}, set())


class Contract(unittest.TestCase):
    """The check that every test relies on sees what is not documented."""

    JSON = {"Content-Type": "application/json", "ETag": '"' + "0" * 32 + '"', "Cache-Control": "no-cache"}
    READY = b'{"status":"ready"}'

    def assert_unknown(self, *arguments):
        with self.assertRaisesRegex(AssertionError, "does not know"):
            contract.check(*arguments)

    def test_what_is_documented_passes(self):
        contract.check("GET", "/ready", 200, self.JSON, self.READY)
        contract.check("HEAD", "/ready?x=1", 200, self.JSON, b"")
        contract.check("PUT", "/ready", 405, {**self.JSON, "Allow": "GET"}, b'{"detail":"no"}')
        contract.check("GET", "/nothing", 404, self.JSON, b'{"detail":"Not Found"}')

    def test_what_is_not_does_not(self):
        for arguments in (("GET", "/ready", 418, self.JSON, self.READY),
                          ("GET", "/ready", 200, self.JSON, b'{"status":"ready","more":1}'),
                          ("GET", "/ready", 200, self.JSON, b'{"status":1}'),
                          ("GET", "/ready", 200, self.JSON, b"{}"),
                          ("GET", "/ready", 200, self.JSON, b"ready"),
                          ("GET", "/ready", 200, {**self.JSON, "Content-Type": "text/html"}, self.READY),
                          ("GET", "/ready", 200, {**self.JSON, "ETag": "W/1"}, self.READY),
                          ("GET", "/ready", 200, {"Content-Type": "application/json"}, self.READY),
                          ("HEAD", "/ready", 200, self.JSON, self.READY),
                          ("PUT", "/ready", 405, self.JSON, b'{"detail":"no"}'),
                          ("GET", "/nothing", 200, self.JSON, b"{}"),
                          ("GET", "/prompts/a/b/render", 200, self.JSON, b"{}")):
            with self.subTest(arguments):
                self.assert_unknown(*arguments)


if __name__ == "__main__":
    unittest.main()
