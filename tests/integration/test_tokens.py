"""Tokens: who may ask for what, and that nobody learns of more."""
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from promptd import (LITELLM, ServerTest, ask, binary, clean_environment, prompt, wait_until,
                     with_query)

PROMPTS = {
    "support/refund.yaml": prompt("Refund {x}"),
    "support/greet.v1.yaml": prompt("Hello", labels=["production"]),
    "support/greet.v2.yaml": prompt("Hi"),
    "legal/contract.yaml": prompt("Contract {y}"),
    "legal/shared.yaml": prompt("of legal", prompt_id="shared", version="1"),
    "support/shared.yaml": prompt("of support", prompt_id="shared", version="2"),
    "open.yaml": prompt("Nobody's"),
}
SECRETS = ("contract", "legal", "open")  # words that tell of what support's token may not see


def digest_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


def entry(name, *tokens, **keys):
    """An item of a tokens file, as YAML; JSON values are YAML too."""
    return "- " + json.dumps({"name": name, "sha256": [digest_of(t) for t in tokens], **keys}) + "\n"


TOKENS = (entry("all", "all") + entry("support", "support", projects=["support"]) +
          entry("ops", "ops", rights=["admin"]) +
          entry("writer", "writer", rights=["read", "write"]))


TOKENS_COUNT = TOKENS.count("\n")


class TokenTest(ServerTest):
    def write_tokens(self, text, mode=0o600):
        """Put a tokens file in its place at once, as git-sync or a kubelet would."""
        path = self.folder / "tokens.yaml"
        beside = self.folder / ".tokens"
        beside.write_text(text, encoding="utf-8")
        beside.chmod(mode)
        os.rename(beside, path)
        return path

    def setUp(self):
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(prefix="promptd-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def serve_tokens(self, *args, tokens=TOKENS, files=None):
        server = self.serve("--tokens-file", str(self.write_tokens(tokens)), *args,
                            files=PROMPTS if files is None else files)
        wait_until(lambda: self.ask(server, "all", "/prompts").status != 503, "it is loaded")
        return server

    def ask(self, server, token, path, method="GET", body=None, **headers):
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        with server.connection() as connection:
            return ask(connection, method, path, body, headers)

    def run_promptd(self, *args):
        return subprocess.run([binary(), *args], capture_output=True, text=True, check=False,
                              timeout=30, stdin=subprocess.DEVNULL, env=clean_environment())


class Asking(TokenTest):
    def test_who_has_no_token(self):
        server = self.serve_tokens()
        for token, detail in ((None, "Expected 'Bearer"), ("", "Expected 'Bearer"),
                              ("wrong", "Invalid API key"), ("al", "Invalid"), ("all!", "Invalid")):
            with self.subTest(token):
                reply = self.ask(server, token, with_query(LITELLM, prompt_id="support/refund"))
                self.assertEqual((reply.status, reply.headers["WWW-Authenticate"]), (401, "Bearer"))
                self.assertIn(detail, reply.detail)

    def test_two_digests_are_valid_while_a_token_is_changed(self):
        server = self.serve_tokens(tokens=entry("all", "all", "next"))
        for token in ("all", "next"):
            self.assertEqual(self.ask(server, token, "/prompts").status, 200)

    def test_answers_differ_by_token(self):
        server = self.serve_tokens()
        self.assertEqual(self.ask(server, "all", "/prompts").headers["Vary"], "Authorization")

    def test_probes_tell_nothing_without_a_token(self):
        server = self.serve_tokens()
        for token in (None, "wrong", "support"):
            health = self.ask(server, token, "/health")
            self.assertEqual((health.status, set(health.json)),
                             (200, {"status", "service", "version"}))
            self.assertEqual(self.ask(server, token, "/ready").json, {"status": "ready"})
            self.assertNotIn("Prompts-Revision", health.headers)
        self.assertIn("revision", self.ask(server, "all", "/health").json)


class Sight(TokenTest):
    """What support's token may not see is as if it were not there."""

    def test_lists_and_totals(self):
        server = self.serve_tokens()
        listed = self.ask(server, "support", "/prompts")
        self.assertEqual([p["prompt_id"] for p in listed.json["prompts"]],
                         ["shared", "support/greet", "support/refund"])
        self.assertEqual(listed.json["total"], 3)
        self.assertNotIn("Prompts-Revision", listed.headers)
        self.assertEqual(self.ask(server, "all", "/prompts").json["total"], 5)

    def test_versions_are_chosen_among_those_in_sight(self):
        server = self.serve_tokens()
        self.assertEqual(self.ask(server, "support", "/prompts/shared").json["versions"],
                         [{"version": "2", "labels": []}])
        missing = self.ask(server, "support", "/prompts/shared@1")
        absent = self.ask(server, "support", "/prompts/shared@9")
        self.assertEqual((missing.status, missing.detail.replace("'1'", "'9'")),
                         (404, absent.detail))

    def test_what_is_hidden_is_answered_like_what_is_absent(self):
        server = self.serve_tokens()
        for path in ("/prompts/{}", "/prompts/{}/variables", LITELLM + "?prompt_id={}",
                     LITELLM + "?slug={}"):
            for hidden in ("legal/contract", "open", "contract"):
                replies = [self.ask(server, "support", path.format(name))
                           for name in (hidden, hidden[:-1] + "~")]
                details = [r.detail.replace(hidden[:-1] + "~", hidden) for r in replies]
                with self.subTest(path, hidden=hidden):
                    self.assertEqual([r.status for r in replies], [404, 404])
                    self.assertEqual(details[0], details[1])

    def test_no_answer_tells_of_other_projects(self):
        """Every end point, with every method: nothing that support gets names what it may not see."""
        server = self.serve_tokens()
        paths = ["/prompts", "/health", "/ready", "/metrics", "/-/status", "/-/reload", "/openapi.json", "/nothing",
                 "/prompts?project_name=legal", "/prompts/zzz", "/prompts/a", "/prompts/m",
                 "/prompts/support/greet", "/prompts/support/refund/variables", "/prompts/shared",
                 LITELLM + "?prompt_id=m", LITELLM + "?prompt_id=shared", LITELLM + "?slug=contract"]
        for path, method in itertools.product(paths, ("GET", "HEAD", "POST", "PUT", "DELETE")):
            reply = self.ask(server, "support", path, method, {} if method == "POST" else None)
            if path == "/openapi.json":
                self.assertEqual(reply.body, self.ask(server, "all", path, method).body)
                continue
            text = reply.body.decode() + str(reply.headers)
            for asked in re.findall(r"\w+", path):
                text = text.replace(asked, "")
            with self.subTest(path, method=method):
                self.assertEqual([w for w in SECRETS if w in text], [], text)


class Rights(TokenTest):
    def test_each_right_opens_its_own(self):
        server = self.serve_tokens("--writable")
        calls = {"read": [("GET", "/prompts", None), ("GET", "/prompts/open", None),
                          ("POST", "/prompts/open/render", {})],
                 "write": [("POST", "/prompts", {"prompt_id": "new", "prompt_template": "x"})],
                 "admin": [("GET", "/metrics", None), ("GET", "/-/status", None),
                           ("POST", "/-/reload", None)]}
        for token, rights in (("all", {"read"}), ("ops", {"admin"}), ("writer", {"read", "write"})):
            for right, requests in calls.items():
                for method, path, body in requests:
                    reply = self.ask(server, token, path, method, body)
                    with self.subTest(token=token, path=path):
                        self.assertEqual(reply.status, 200 if right in rights else 403, reply)
                        if right not in rights:
                            self.assertIn(f"has not the right '{right}'", reply.detail)

    def test_a_project_writes_below_its_own_directory_only(self):
        tokens = TOKENS + entry("w", "w", projects=["support"], rights=["read", "write"])
        files = {k: v for k, v in PROMPTS.items() if "shared" not in k}
        server = self.serve_tokens("--writable", "--projects", "strict", tokens=tokens, files=files)
        replies = [self.ask(server, "w", "/prompts", "POST",
                            {"prompt_id": prompt_id, "prompt_template": "x"})
                   for prompt_id in ("legal/contract", "legal/none", "open", "top", "supportx/a")]
        self.assertEqual({r.status for r in replies}, {403})
        self.assertEqual({r.detail for r in replies}, {
            "The token 'w' may write prompts whose id begins with 'support/' only"})
        made = self.ask(server, "w", "/prompts", "POST",
                        {"prompt_id": "support/new", "prompt_template": "x"})
        self.assertEqual(made.status, 200, made)


class EveryToken(TokenTest):
    """Tokens of all rights and projects, at all end points, with all methods, against a rule of our own."""

    FILES = {"support/a.yaml": prompt("a {x}"), "legal/b.yaml": prompt("b {x}"),
             "top.yaml": prompt("c {x}")}
    PROJECTS = {"support/a": "support", "legal/b": "legal", "top": None}
    METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")

    def tokens(self):
        """{name: (rights, projects)}; projects are None for all."""
        found = {}
        for count in range(4):
            for rights in itertools.combinations(("read", "write", "admin"), count):
                for projects in (None, ["support"], ["legal"], ["legal", "support"]):
                    if "admin" not in rights or projects is None:
                        found[f"t{len(found)}"] = (rights, projects)
        return found

    def serve_all(self, tokens):
        text = "".join(entry(name, name, rights=list(rights), **({"projects": p} if p else {}))
                       for name, (rights, p) in tokens.items()) + entry("all", "all")
        return self.serve_tokens("--writable", "--projects", "strict", tokens=text,
                                 files=self.FILES)

    @staticmethod
    def sees(projects, prompt_id):
        return projects is None or EveryToken.PROJECTS[prompt_id] in projects

    def calls(self, rights, projects):
        """(path, {method: body}, the right that is needed, the status for those who have it)."""
        yield "/prompts", {"GET": None}, "read", 200
        for prompt_id in self.PROJECTS:
            status = 200 if self.sees(projects, prompt_id) else 404
            yield f"/prompts/{prompt_id}", {"GET": None}, "read", status
            yield f"/prompts/{prompt_id}/variables", {"GET": None}, "read", status
            yield (f"/prompts/{prompt_id}/render", {"POST": {"variables": {"x": "1"}}}, "read",
                   status)
            yield with_query(LITELLM, prompt_id=prompt_id), {"GET": None}, "read", status
        yield "/metrics", {"GET": None}, "admin", 200
        yield "/-/status", {"GET": None}, "admin", 200
        yield "/-/reload", {"POST": None}, "admin", 200
        yield "/openapi.json", {"GET": None}, "read", 200

    def test_rights_and_projects(self):
        tokens = self.tokens()
        server = self.serve_all(tokens)
        for name, (rights, projects) in tokens.items():
            for path, bodies, right, status in self.calls(rights, projects):
                methods = {**bodies, **({"HEAD": None} if "GET" in bodies else {})}
                for method in self.METHODS:
                    reply = self.ask(server, name, path, method, methods.get(method))
                    expected = status if right in rights else 403
                    if method not in methods:
                        expected = 405
                    if path == "/prompts" and method == "POST":
                        expected = 422 if "write" in rights else 403  # no body
                    with self.subTest(name, rights=rights, projects=projects, path=path,
                                      method=method):
                        self.assertEqual(reply.status, expected, reply)

    def test_lists_and_writing(self):
        tokens = self.tokens()
        server = self.serve_all(tokens)
        for name, (rights, projects) in tokens.items():
            with self.subTest(name, rights=rights, projects=projects):
                if "read" in rights:
                    listed = self.ask(server, name, "/prompts").json
                    ids = [p["prompt_id"] for p in listed["prompts"]]
                    old = [i for i in ids if i in self.PROJECTS]
                    self.assertEqual(old, [i for i in sorted(self.PROJECTS) if self.sees(projects, i)])
                    self.assertEqual(listed["total"], len(ids))
                for folder in ("support/", "legal/", ""):
                    body = {"prompt_id": f"{folder}new-{name}", "prompt_template": "x"}
                    may = "write" in rights and (projects is None or folder[:-1] in projects)
                    reply = self.ask(server, name, "/prompts", "POST", body)
                    self.assertEqual(reply.status, 200 if may else 403, reply)


class TheFile(TokenTest):
    def test_it_is_read_again_when_it_changes(self):
        server = self.serve_tokens()
        self.write_tokens(entry("all", "other"))
        wait_until(lambda: self.ask(server, "other", "/prompts").status == 200, "the new token")
        self.assertIn(self.ask(server, "all", "/prompts").status, (401, 429))

    def test_the_last_good_tokens_stay(self):
        server = self.serve_tokens()
        for text, mode, told in (("- {name: x}\n", 0o600, "tokens.yaml:1:3: sha256 is missing"),
                                 (entry("x", "other"), 0o644, "everyone may read"),
                                 ("", 0o600, "the file is empty")):
            self.write_tokens(text, mode)
            wait_until(lambda t=told: [m for m in server.messages() if t in m], told)
            self.assertEqual(self.ask(server, "all", "/prompts").status, 200)
            self.assertEqual(self.ask(server, "other", "/prompts").status, 401)
            self.assertEqual(self.figures(server), (TOKENS_COUNT, 1))
        self.write_tokens(TOKENS + entry("ops2", "ops2", rights=["admin"]))
        wait_until(lambda: self.figures(server) == (TOKENS_COUNT + 1, 0), "the good file counts")

    def figures(self, server):
        """(tokens in force, whether the file is bad)."""
        text = self.ask(server, "ops", "/metrics").body.decode()
        return tuple(int(re.search(rf"^promptd_{name} (\d+)$", text, re.MULTILINE)[1])
                     for name in ("tokens", "tokens_file_bad"))

    def test_a_bad_file_at_the_start(self):
        for text, mode, told in (("- {name: x}\n", 0o600, "has mistakes"),
                                 (TOKENS, 0o604, "everyone may read"),
                                 (TOKENS, 0o602, "everyone may write"),
                                 (entry("x", "x", projects=["a"], rights=["write"]), 0o600,
                                  "--projects strict")):
            path = self.write_tokens(text, mode)
            ended = self.run_promptd("--listen", "127.0.0.1:0", "--tokens-file", str(path), "/tmp")
            with self.subTest(told):
                self.assertEqual(ended.returncode, 1)
                self.assertIn(told, ended.stderr)
        ended = self.run_promptd("--tokens-file", str(self.folder / "none"), "/tmp")
        self.assertEqual((ended.returncode, "No such file" in ended.stderr), (1, True))

    def test_a_new_token_is_let_in(self):
        made = self.run_promptd("token", "new", "fresh")
        token = made.stdout.splitlines()[0]
        self.assertRegex(token, r"\Apd_[\w-]{43}\Z")
        lines = made.stdout[made.stdout.index("- name: fresh"):]
        server = self.serve_tokens(tokens=TOKENS + lines)
        self.assertEqual(self.ask(server, token, "/prompts").status, 200)
        self.assertNotEqual(self.run_promptd("token", "new").stdout.splitlines()[0], token)

    def test_a_new_token_needs_a_good_name(self):
        for arguments, told in ((("new", "Not Ok"), "Not Ok"), (("old",), "old"), ((), "token")):
            ended = self.run_promptd("token", *arguments)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""))
            self.assertIn(told, ended.stderr)


class Addresses(TokenTest):
    def test_beyond_loopback_needs_tokens(self):
        for addresses in (("--listen", "0.0.0.0:0"),
                          ("--listen", "127.0.0.1:0", "--admin-listen", "0.0.0.0:0")):
            ended = self.run_promptd(*addresses, "/tmp")
            self.assertEqual((ended.returncode, "--tokens-file" in ended.stderr), (1, True), ended)
        ended = self.run_promptd("--dev", "--tokens-file", "/dev/null", "/tmp")
        self.assertIn("--dev", ended.stderr)

    def test_a_name_of_another_machine_is_refused_without_tokens(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        for host, status in (("localhost", 200), ("LOCALHOST:80", 200), ("127.0.0.1:8080", 200),
                             ("127.1.2.3", 200), ("[::1]:8080", 200), ("evil.example", 403),
                             ("localhost.evil.example", 403), ("127.0.0.1.evil.example", 403),
                             ("[::2]", 403), ("", 403)):
            with self.subTest(host):
                reply = server.request("GET", "/prompts", headers={"Host": host})
                self.assertEqual(reply.status, status)
                if status == 403:
                    self.assertIn("--tokens-file", reply.detail)
        server = self.serve_tokens()
        self.assertEqual(self.ask(server, "all", "/prompts", Host="prompts.example").status, 200)

    def test_an_address_of_its_own_for_operators(self):
        server = self.serve_tokens("--admin-listen", "127.0.0.1:0")
        url = wait_until(lambda: re.search(r'"url":"http://127\.0\.0\.1:(\d+)"',
                                           "\n".join(server.log_lines())), "its address")
        main, admin = server.port, int(url.group(1))
        for path in ("/metrics", "/-/status"):
            self.assertEqual(self.ask(server, "ops", path).status, 404)
        self.assertEqual(self.ask(server, "all", "/prompts").status, 200)
        server.port = admin
        try:
            for path in ("/metrics", "/-/status", "/ready", "/health"):
                self.assertEqual(self.ask(server, None, path).status, 200, path)
            self.assertIn("revision", self.ask(server, None, "/health").json)
            self.assertEqual(self.ask(server, "all", "/prompts").status, 404)
            for token, status in ((None, 401), ("all", 403), ("ops", 200)):
                self.assertEqual(self.ask(server, token, "/-/reload", "POST").status, status)
        finally:
            server.port = main


class StrictProjects(TokenTest):
    def test_the_first_directory_is_the_project(self):
        files = {"a/good.yaml": prompt("x"), "top.yaml": prompt("x"),
                 "a/other.yaml": prompt("x", project_name="b"),
                 "a/steals.yaml": prompt("x", prompt_id="b/steals"),
                 "up.yaml": prompt("x", prompt_id="b/up"),
                 "claims.yaml": prompt("x", project_name="b"),
                 "A B/unfit.yaml": prompt("x"), "a__b.yaml": prompt("x")}
        server = self.serve("--projects", "strict", files=files)
        wait_until(lambda: len(server.problems()) >= 5, "the problems are told")
        told = dict(p.split(":", 1) for p in server.problems())
        self.assertEqual(sorted(told), ["A B/unfit.yaml", "a/other.yaml", "a/steals.yaml",
                                        "claims.yaml", "up.yaml"])
        self.assertIn('here "a"', told["a/other.yaml"])
        self.assertIn("begin it with a/", told["a/steals.yaml"])
        self.assertIn("a file at the top has ids without a slash", told["up.yaml"])
        self.assertEqual([p["prompt_id"] for p in server.get("/prompts").json["prompts"]],
                         ["a/b", "a/good", "top"])


if __name__ == "__main__":
    unittest.main()
