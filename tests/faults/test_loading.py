"""Files, tokens and certificates that change while memory is out or system calls fail: what is served is old or new, and then new."""
import json
import os
import ssl
import unittest

from failing import ALLOCATIONS, CALLS
from promptd import litellm_path, prompt, wait_until
from session import REQUESTS, TOKEN, get, post, tokens_file
from test_requests import RequestTest
from test_tls import make_certificate

RELOAD = post("/-/reload", b"")
NAMES = ("set/one", "set/deep/two", "set/three")
QUICK = ("--quiet", "5ms", "--settle", "20ms", "--delete-grace", "20ms", "--poll", "2s")


class Loading(RequestTest):
    """The set number n of files: three prompts of one text, one of which is broken in each third set, and one that is in
    each second one alone, in a directory of its own."""

    def write_set(self, server, number):
        server.write("set/one.yaml", prompt(f"set {number}"))
        server.write("set/deep/two.json", json.dumps({"prompt_template": f"set {number}"}))
        server.write("set/three.yaml", "oops: 1\n" if number % 3 == 2 else prompt(f"set {number}"))
        if number % 2 == 1:
            server.write("set/more/four.yaml", prompt(f"set {number}"))
        elif server.path("set/more").exists():
            server.remove("set/more/four.yaml")
            os.rmdir(server.path("set/more"))

    def texts(self, server):
        """What is served of each: a text, or a status."""
        found = {}
        for name in (*NAMES, "set/more/four"):
            status, body = server.exchange(get(litellm_path(name))).replies[0]
            found[name] = json.loads(body)["prompt_template"][0]["content"] if status == 200 else status
        return found

    def check_set(self, server, number, before):
        """Each prompt was the old or the new one; then all are new."""
        found = self.texts(server)
        for name in NAMES:
            self.assertIn(found[name], (before[name], f"set {number}"), name)
        self.assertIn(found["set/more/four"], (before["set/more/four"], f"set {number}", 404))

    def expected(self, number, before):
        texts = {name: f"set {number}" for name in NAMES}
        if number % 3 == 2:
            texts["set/three"] = before["set/three"]
        return {**texts, "set/more/four": f"set {number}" if number % 2 == 1 else 404}

    def serve_sets(self, *args):
        server = self.serve_session(*QUICK, *args)
        self.number = 1
        self.write_set(server, 1)
        server.exchange(RELOAD)
        self.assertEqual(self.texts(server), self.expected(1, {}))
        self.before = self.texts(server)
        return server

    def next_set(self, server):
        self.number += 1
        self.before = self.texts(server)
        self.write_set(server, self.number)

    def settle(self, server, status):
        """A reload that nothing disturbs has the last say."""
        expected = self.expected(self.number, self.before)
        wait_until(lambda: [s for s, _ in server.exchange(RELOAD).replies] == [status]
                   and self.texts(server) == expected, "the files are served")

    def is_sighted(self, server):
        status = json.loads(server.exchange(get("/-/status")).replies[0][1])
        return status["watch"]["mode"] == "inotify" and not status["watch"]["blind"] and status["settled"]

    def test_reloads_that_are_asked_for(self):
        server = self.serve_sets()

        def act(_):
            return server.exchange(RELOAD)

        def check(_, outcome):
            self.assertFalse(outcome.is_torn)
            for status, _ in outcome.replies:
                self.assertIn(status, (200, 422, 500, 503))
            self.check_set(server, self.number, self.before)
            self.settle(server, 422)  # bad.yaml
            self.assert_serves(server)
            self.next_set(server)

        self.next_set(server)
        self.sweep(server, act, check, some=4)
        wait_until(lambda: self.is_sighted(server), "inotify sees everything")

    def test_reloads_by_events(self):
        server = self.serve_sets()

        def act(_):
            """Change the files, and wait until it is told that they are published, or as long as that should take."""
            told = len(server.lines)
            self.number += 1
            self.write_set(server, self.number)
            try:
                wait_until(lambda: any("published" in line for line in server.lines[told:]), "", 0.3)
            except AssertionError:
                pass

        def check(_, _outcome):
            self.check_set(server, self.number, self.before)
            expected = self.expected(self.number, self.before)
            wait_until(lambda: self.texts(server) == expected, "the files are served without being asked for")
            self.before = expected
            self.assert_serves(server)

        self.sweep(server, act, check, some=4)
        wait_until(lambda: self.is_sighted(server), "inotify sees everything")


class Many(RequestTest):
    """So many files that several threads parse them."""
    NAMES = [f"many/p{number}" for number in range(200)]
    SEEDS = range(1, 25)

    def write_all(self, server, number):
        for name in self.NAMES:
            server.write(f"{name}.yaml", prompt(f"set {number}"))

    def warm_up(self, server):
        """The system keeps the stacks of threads that have ended; they begin where many files are found at once."""
        server.freeze()
        self.write_all(server, 0)
        server.thaw()
        wait_until(lambda: server.exchange(RELOAD).replies and self.found(server) == {"set 0"}, "the files are served")

    def found(self, server):
        replies = (server.exchange(get(litellm_path(name))).replies[0] for name in self.NAMES)
        return {json.loads(body)["prompt_template"][0]["content"] if status == 200 else status for status, body in replies}

    def test_memory_that_is_out_for_some_of_them(self):
        server = self.serve_session(*QUICK)
        self.warm_up(server)
        for seed in self.SEEDS:
            with self.subTest(seed=seed):
                self.write_all(server, seed)
                server.control.arm_sample(CALLS if seed % 4 == 0 else ALLOCATIONS, seed, (20, 200, 2000)[seed % 3])
                try:
                    server.exchange(RELOAD)
                finally:
                    server.control.disarm()
                self.assertIsNone(server.process.poll(), "it lives")
                self.faults += server.control.failed
                self.assertLessEqual(self.found(server), {f"set {seed - 1}", f"set {seed}"})
                wait_until(lambda: [status for status, _ in server.exchange(RELOAD).replies] == [422]  # bad.yaml
                           and self.found(server) == {f"set {seed}"}, "all are served")
        self.assertGreater(self.faults, len(self.SEEDS))


class Rotating(RequestTest):
    def wait_for_line(self, server, text, since):
        try:
            wait_until(lambda: any(text in line for line in server.lines[since:]), "", 2.5)
        except AssertionError:
            pass

    def test_tokens(self):
        server = self.serve_session()

        def act(number):
            since = len(server.lines)
            self.write_beside(self.tokens, tokens_file(TOKEN, f"new {number}"))
            self.wait_for_line(server, "tokens are in force", since)

        def check(number, _):
            self.assert_serves(server)
            ask = REQUESTS["litellm"].replace(TOKEN.encode(), b"new %d" % number)
            wait_until(lambda: server.exchange(ask).replies == self.right["litellm"], "the new token is in force")

        self.sweep(server, act, check, some=6)

    def test_certificates(self):
        folder = self.tokens.parent
        for name in ("a", "b"):
            make_certificate(folder, name)
        trust = ssl.create_default_context()
        for name in ("a", "b"):
            trust.load_verify_locations(folder / f"{name}.cert")
        for end in ("cert", "key"):
            self.write_beside(folder / f"in-force.{end}", (folder / f"a.{end}").read_text())
        server = self.serve_session("--tls-cert", str(folder / "in-force.cert"), "--tls-key",
                                    str(folder / "in-force.key"), trust=trust)

        def act(number):
            since = len(server.lines)
            for end in ("cert", "key"):
                self.write_beside(folder / f"in-force.{end}", (folder / f"{'ab'[number % 2]}.{end}").read_text())
            self.wait_for_line(server, "the certificate is in force", since)

        def check(number, _):
            self.assert_serves(server)
            wait_until(lambda: server.subject() == "ab"[number % 2], "the new certificate is in force")

        self.sweep(server, act, check, some=6)


if __name__ == "__main__":
    unittest.main()
