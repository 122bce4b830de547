"""A random sample of failures inside libevent, libyaml, cJSON, nettle and OpenSSL: no crash, no wrong answer, and service afterwards."""
import json
import os
import ssl
import unittest

from failing import ALL, ALLOCATIONS, CALLS
from promptd import prompt, wait_until
from session import REQUESTS, get, post
from test_loading import QUICK, RELOAD
from test_requests import RequestTest
from test_tls import make_certificate

RUNS = 100 if ALL else 10


class Libraries(RequestTest):
    def test_plain(self):
        self.check_sample(self.serve_session(*QUICK))

    def test_tls(self):
        folder = self.tokens.parent
        make_certificate(folder, "a")
        trust = ssl.create_default_context(cafile=folder / "a.cert")
        self.check_sample(self.serve_session(*QUICK, "--tls-cert", str(folder / "a.cert"), "--tls-key",
                                             str(folder / "a.key"), trust=trust))

    def check_sample(self, server):
        """Many runs, in each of which some of all calls of a kind fail."""
        for seed in range(1, RUNS + 1):
            kind, share = (ALLOCATIONS, CALLS)[seed % 2], (50, 500, 5000)[seed % 3]
            with self.subTest(seed=seed, kind=kind, share=share):
                server.control.arm_sample(kind, seed, share)
                try:
                    self.run_session(server, seed, kind)
                finally:
                    server.control.disarm()
                self.assertIsNone(server.process.poll(), "it lives")
                self.faults += server.control.failed
                self.check_recovery(server, seed)
        self.assertGreater(self.faults, RUNS)

    def run_session(self, server, seed, kind):
        for name in sorted(REQUESTS.keys() - {"list", "page"}):  # they have a total
            with self.subTest(name):
                outcome = server.exchange(REQUESTS[name])
                if kind == CALLS or server.trust is not None:  # the connection itself may break
                    outcome = outcome._replace(is_torn=False)
                self.assert_honest(outcome, self.right[name])
        server.write("zz/changing.yaml", prompt(f"text {seed}"))
        os.utime(self.tokens)
        server.exchange(RELOAD)
        server.exchange(post("/prompts", {"prompt_id": f"zz/made{seed}", "prompt_template": "x"}))

    def check_recovery(self, server, seed):
        def is_back():
            replies = server.exchange(get("/prompts/zz/changing")).replies
            return replies and json.loads(replies[0][1]).get("prompt_template") == \
                [{"role": "user", "content": f"text {seed}"}]

        wait_until(is_back, "the changed file is served")
        self.assert_serves(server, ("litellm", "render", "not modified", "chunked", "pipelined", "refused"))


if __name__ == "__main__":
    unittest.main()
