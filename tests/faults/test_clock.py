"""A wall clock that jumps, as on a machine that finds the time late: nothing that matters goes by it."""
import json
import socket
import unittest

from promptd import DEADLINE, pause, prompt, wait_until
from session import FILES, GREET, REQUESTS, TOKEN, get, tokens_file
from test_loading import RELOAD
from test_requests import RequestTest

YEARS = 10 * 365 * 24 * 3600
JUMPS = (YEARS, -YEARS)


class Jumping(RequestTest):
    def serve_patiently(self):
        """Nothing is cut before its time, which does not come in this test."""
        server = self.start("--writable", "--tokens-file", str(self.tokens), "--quiet", "5ms", files=FILES)
        self.right = {name: server.exchange(data).replies for name, data in REQUESTS.items()}
        return server

    def test_connections_go_on(self):
        for jump in JUMPS:
            with self.subTest(jump):
                server = self.serve_patiently()
                idle, head, body = (socket.create_connection(("127.0.0.1", server.port), DEADLINE) for _ in range(3))
                for connection in (idle, head, body):
                    self.addCleanup(connection.close)
                render = REQUESTS["render"]
                head.sendall(get(GREET)[:30])
                body.sendall(render[:-5])
                server.control.skew_seconds = jump
                pause(0.6)  # all are looked at
                idle.sendall(get(GREET))
                head.sendall(get(GREET)[30:])
                body.sendall(render[-5:])
                for connection, name in ((idle, "litellm"), (head, "litellm"), (body, "render")):
                    received = b"".join(iter(lambda c=connection: c.recv(65536), b""))
                    self.assertEqual(server.outcome_of(received, b"").replies, self.right[name])

    def test_deadlines_come(self):
        for jump in JUMPS:
            with self.subTest(jump):
                server = self.serve_session()
                with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
                    connection.sendall(get(GREET)[:30])
                    server.control.skew_seconds = jump
                    received = b"".join(iter(lambda c=connection: c.recv(65536), b""))
                self.assertTrue(received.startswith(b"HTTP/1.1 408 "), received)

    def test_files_are_served(self):
        for jump in JUMPS:
            with self.subTest(jump):
                server = self.serve_patiently()
                generation = self.status(server)["generation"]
                server.control.skew_seconds = jump
                self.assertIn(server.exchange(RELOAD).replies[0][0], (200, 422))
                self.assertEqual(self.status(server)["generation"], generation)
                self.change_all(server, "after a jump")
                server.control.skew_seconds = 0
                self.change_all(server, "back again")
                self.assertEqual(server.exchange(REQUESTS["litellm"]).replies, self.right["litellm"])

    def test_a_start_long_before_or_behind_the_time_of_the_files(self):
        for jump in JUMPS:
            with self.subTest(jump):
                server = self.start("--tokens-file", str(self.tokens), "--quiet", "5ms", files=FILES, skew=jump)
                self.change_all(server, "changed")
                server.remove("zz/own.yaml")
                wait_until(lambda s=server: s.exchange(get("/prompts/zz/own")).replies[0][0] == 404, "it is gone")

    def change_all(self, server, text):
        """Change files in each way, and see that it is served."""
        server.write("zz/own.yaml", prompt(text))
        server.write("greet2.yaml", prompt(text, prompt_id="zz/renamed"))
        server.replace("zz/moved.yaml", prompt(text))
        for name in ("own", "renamed", "moved"):
            wait_until(lambda n=name: server.exchange(get(f"/prompts/zz/{n}")).replies[0][1].count(text.encode()),
                       f"{name} is served")
        if server.control.skew_seconds:
            age = [line for line in server.exchange(get("/metrics")).replies[0][1].decode().splitlines()
                   if line.startswith("promptd_snapshot_age_seconds ")]
            self.assertTrue(0 <= float(age[0].split()[1]) < 3600, age)
        server.write("greet2.yaml", FILES["greet2.yaml"])

    @staticmethod
    def status(server):
        return json.loads(server.exchange(get("/-/status")).replies[0][1])

    def test_tokens_are_taken(self):
        for jump in JUMPS:
            with self.subTest(jump):
                server = self.serve_patiently()
                server.control.skew_seconds = jump
                self.write_beside(self.tokens, tokens_file(TOKEN, "new"))
                ask = REQUESTS["litellm"].replace(TOKEN.encode(), b"new")
                wait_until(lambda s=server: s.exchange(ask).replies == self.right["litellm"], "the new one is in force")


if __name__ == "__main__":
    unittest.main()
