"""Requests while memory is out or system calls fail: a right answer, an honest error or none, and then right ones."""
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from failing import FaultTest, is_sanitized
from promptd import wait_until
from session import CHANGING, FILES, REQUESTS, TOKEN, get, post, tokens_file

# A connection that fails without a sign is given up soon.
SOON = [word for name in ("head", "body", "reply", "idle") for word in (f"--{name}-timeout", "1s")]


class RequestTest(FaultTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(prefix="promptd-test-")
        self.addCleanup(shutil.rmtree, folder)
        self.tokens = Path(folder, "tokens.yaml")
        self.write_beside(self.tokens, tokens_file(TOKEN))

    def serve_session(self, *args, **kwargs):
        """A server that must have given back all memory in the end but what another one, where nothing fails, leaves to
        its libraries."""
        twin, server = (self.start("--writable", "--tokens-file", str(self.tokens), "--behind-proxy", "--audit-log",
                                   str(self.tokens.with_name("audit.log")), *SOON, *args, files=FILES, **kwargs)
                        for _ in range(2))
        self.right = {name: twin.exchange(data).replies for name, data in REQUESTS.items()}
        self.warm_up(twin)
        twin.stop()
        self.left = twin.control.live
        self.addCleanup(self.check_leaks, server)
        return server

    def warm_up(self, server):
        """What leaves something to the libraries, beside requests."""

    def check_leaks(self, server):
        """A sanitizer looks by itself, and does not count all."""
        if server.process.poll() is None:
            server.stop()
        if not is_sanitized():
            self.assertEqual(server.control.live, self.left, "allocations are left")

    @staticmethod
    def write_beside(path, text):
        """Put a file that is not for everybody in another's place."""
        beside = path.with_name(".new")
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o600)
        os.rename(beside, path)

    def assert_serves(self, server, names=("litellm", "render")):
        """Service is back."""
        for name in names:
            self.assertEqual(server.exchange(REQUESTS[name]).replies, self.right[name], name)


class Asking(RequestTest):
    def test_what_is_asked_has_the_answers_that_it_should(self):
        server = self.serve_session()
        statuses = {name: [status for status, _ in replies] for name, replies in self.right.items()}
        self.assertEqual({name: found for name, found in statuses.items() if found != [200]}, {
            "not modified": [304], "not found": [404], "no such label": [404], "nothing asked": [422],
            "no token": [401], "another token": [401], "limit": [422], "encoded": [404], "malformed": [400],
            "missing": [422], "no JSON": [422], "another type": [415], "exists": [409],
            "no method": [405], "no path": [404], "refused": [400],
            "pipelined": [200, 200, 200, 200, 404], "refused at last": [200, 400], "a long body": [413]})
        self.assert_serves(server, REQUESTS)

    def test_requests(self):
        server = self.serve_session()
        for name, data in REQUESTS.items():
            with self.subTest(name):
                def check(_, outcome, name=name):
                    self.assert_honest(outcome, self.right[name])
                    self.assert_serves(server, {name, "litellm"})

                self.sweep(server, lambda _, data=data: server.exchange(data), check, some=0)
        self.assert_serves(server, REQUESTS)
        self.assertGreater(self.faults, 100)

    def test_requests_whose_answers_change(self):
        server = self.serve_session()
        for name, data in CHANGING.items():
            with self.subTest(name):
                shape = self.shape_of(server.exchange(data).replies[0][1])

                def check(_, outcome, data=data, shape=shape):
                    self.assertFalse(outcome.is_torn)
                    for status, body in outcome.replies:
                        if status < 500:
                            self.assertEqual((status, self.shape_of(body)), (200, shape))
                    again = server.exchange(data).replies
                    self.assertEqual([(s, self.shape_of(b)) for s, b in again], [(200, shape)])
                    self.assert_serves(server)

                self.sweep(server, lambda _, data=data: server.exchange(data), check, some=0)

    @staticmethod
    def shape_of(body):
        """A body without its figures, and what may be unknown."""
        if body.startswith(b"{"):
            value = json.loads(body)
            # A look at the files may just have been taken, in which the fault struck the directory itself.
            return sorted(value), [p for p in value["problems"] if not p.startswith(".: ")], value.get("warnings")
        lines = [line.rpartition(" ")[0] for line in body.decode().split("\n")]
        return [line for line in lines if "promptd_http_connections" not in line and
                (line.startswith("# ") or "duration" in line)]


class Writing(RequestTest):
    def test_what_is_created_is_there_and_what_is_not_is_not(self):
        server = self.serve_session("--poll", "200ms")
        bodies = {}

        def act(number):
            bodies[number] = {"prompt_id": f"made/by{number}", "prompt_template": f"Text {number}"}
            return server.exchange(post("/prompts", bodies[number]))

        def check(number, outcome):
            self.check_created(server, bodies[number], outcome)
            self.assert_serves(server, ["litellm"])

        self.sweep(server, act, check)

    def check_created(self, server, body, outcome):
        self.assertFalse(outcome.is_torn)
        path = server.path(body["prompt_id"] + ".json")
        ask = get(f"/prompts/{body['prompt_id']}")
        is_created = [status for status, _ in outcome.replies] == [200]
        if is_created:
            self.assertEqual(server.exchange(ask).replies[0][0], 200)
        else:
            for status, _ in outcome.replies:
                self.assertGreaterEqual(status, 500, outcome)
            # What it could not say may have been done. It can be done again, or is there.
            again = server.exchange(post("/prompts", body)).replies
            self.assertIn([status for status, _ in again], ([200], [409]))
        wait_until(lambda: server.exchange(ask).replies[0][0] == 200, "it is served")
        self.assertEqual(json.loads(path.read_bytes()), body)
        self.assertEqual([p for p in server.file_names() if ".tmp" in p], [])


if __name__ == "__main__":
    unittest.main()
