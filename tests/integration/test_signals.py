"""Signals: how a server ends, and what must not disturb it."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from promptd import (STOP_DEADLINE, Observer, ReloadTest, binary, clean_environment, litellm_path, pause,
                     prompt, text_or_status, wait_until)

HOST = b"Host: localhost\r\n"
READY = b"GET /ready HTTP/1.1\r\n" + HOST + b"\r\n"
GET = b"GET /prompts/p HTTP/1.1\r\n" + HOST + b"\r\n"


def post(path, value):
    body = json.dumps(value).encode()
    return (b"POST %s HTTP/1.1\r\n" % path.encode() + HOST + b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


class SignalTest(ReloadTest):
    def serve_at_work(self, *args):
        """A server with a creation under way, which waits as long as git holds its lock."""
        server = self.serve("--workers", "1", "--writable", *args, files={"p.yaml": prompt("{x}")})
        server.write(".git/index.lock", "")
        creation = self.connect(server)
        creation.send(post("/prompts", {"prompt_id": "new", "prompt_template": "made"}))
        wait_until(lambda: server.path("new.json").exists(), "the file is written")
        return server, creation

    def connect(self, server):
        connection = server.raw_connection()
        self.addCleanup(connection.socket.close)
        return connection

    def told_to_stop(self, server):
        server.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.messages(), "it is told that it stops")


class Ending(SignalTest):
    def test_not_ready_then_nothing_is_cut(self):
        server, creation = self.serve_at_work()
        probe, *idle = [self.connect(server) for _ in range(40)]
        for connection in (probe, *idle):
            connection.send(READY)
            self.assertEqual(connection.read_reply().status, 200)
        half = self.connect(server)
        render = post("/prompts/p/render", {"variables": {"x": "y" * 5000}})
        half.send(render[:-2000])
        wait_until(lambda: server.get("/ready").status == 200, "the half has arrived")
        self.told_to_stop(server)
        pause(0.3)  # longer than one that is done waits
        probe.send(READY)
        self.assertEqual(probe.read_reply().status, 503)
        for connection in idle:
            connection.send(GET * 20)
        half.send(render[-2000:])
        for connection in idle:
            replies = [connection.read_reply().status for _ in range(20)]
            self.assertEqual(replies, [200] * 20)
        self.assertIn("y" * 5000, half.read_reply().json["messages"][0]["content"])
        server.remove(".git/index.lock")
        self.assertEqual(creation.read_reply().json["status"], "created")
        for connection in (probe, *idle, half, creation):
            self.assertTrue(connection.is_closed())
        self.assertEqual(server.wait_for_exit(), 0)

    def test_a_second_signal_ends_it_at_once(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT),
                              (signal.SIGINT, signal.SIGTERM)):
            with self.subTest(first=first, second=second):
                server, _ = self.serve_at_work("--git-wait", "10m")
                server.signal(first)
                wait_until(lambda s=server: "stopping" in s.messages(), "it is told that it stops")
                server.signal(second)
                self.assertEqual(server.wait_for_exit(), -second)
                server.process.returncode = 0  # as it should be

    def test_while_the_first_prompts_are_loaded(self):
        """A file that is never finished keeps it loading."""
        for number in (signal.SIGTERM, signal.SIGINT):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "p.yaml").write_text(prompt("x"), encoding="utf-8")
                with subprocess.Popen(
                        [binary(), "--listen", "127.0.0.1:0", "--workers", "1", "--settle", "60s", "--max-latency", "60s",
                         folder], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=clean_environment()) as process:
                    try:
                        tasks = Path(f"/proc/{process.pid}/task")
                        wait_until(lambda t=tasks: len(list(t.iterdir())) > 1, "a worker runs")
                        process.send_signal(number)
                        self.assertEqual(process.wait(STOP_DEADLINE), 0)
                        self.assertNotIn(b"listening", process.stderr.read())
                    finally:
                        process.kill()

    def test_a_delay_lets_balancers_see_it(self):
        server = self.serve("--drain-delay", "60s", files={"p.yaml": prompt("x")})
        self.told_to_stop(server)
        wait_until(lambda: server.get("/ready").status == 503, "it is not ready")
        for _ in range(5):  # over new connections
            self.assertEqual(server.litellm("p").status, 200)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_for_exit(), -signal.SIGTERM)
        server.process.returncode = 0  # that was asked for


class Disturbing(SignalTest):
    def test_whatever_interrupts_it(self):
        """A stopped process finds its waits and some of its calls interrupted when it goes on: signal(7)."""
        server = self.serve("--workers", "2", files={"p.yaml": prompt("text 0")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for number in range(1, 9):
                server.replace("p.yaml", prompt(f"text {number}"))
                for what in (signal.SIGSTOP, signal.SIGCONT, signal.SIGHUP, signal.SIGIO, signal.SIGPIPE,
                             signal.SIGURG, signal.SIGWINCH) * 20:
                    server.signal(what)
                server.wait_for_text("p", f"text {number}")
        self.assert_saw(observer, *(f"text {number}" for number in range(9)))
        server.stop()
        errors = [line for line in server.log_lines() if '"level":"error"' in line]
        self.assertEqual(errors, [])


class Unread(SignalTest):
    def test_nobody_reads_the_log_any_more(self):
        if shutil.which("bash") is None:
            self.skipTest("bash is missing: install bash")
        script = 'exec "$@" 2> >(sed "/listening on/q" >&2)'
        server = self.serve("--writable", files={"p.yaml": prompt("x")},
                            wrapper=["bash", "-c", script, "bash"])
        told = len(server.lines)
        for number in range(5):
            server.write("p.yaml", prompt(f"text {number}"))
            server.wait_for_text("p", f"text {number}")
        self.assertEqual(len(server.lines), told)

    def test_standard_descriptors_that_are_closed(self):
        """The log must not go where something else was opened."""
        server = self.serve(files={"p.yaml": prompt("x")})
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", binary(), "--writable", "--listen",
                                    f"127.0.0.1:{port}", str(server.directory)], env=clean_environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        server.port = port
        wait_until(lambda: self.is_ready(server), "it is ready")
        for number in range(5):
            reply = server.post("/prompts", {"prompt_id": f"new{number}", "prompt_template": "made"})
            self.assertEqual(reply.status, 200, reply)
            self.assertEqual(json.loads(server.path(f"new{number}.json").read_text()),
                             {"prompt_id": f"new{number}", "prompt_template": "made"})
        targets = [f"/proc/{process.pid}/fd/{number}" for number in range(3)]
        self.assertEqual({os.readlink(target) for target in targets}, {"/dev/null"})
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(STOP_DEADLINE), 0)

    @staticmethod
    def is_ready(server):
        with contextlib.suppress(OSError):
            return server.get("/ready").status == 200
        return False

    def test_clients_that_go_away_while_they_are_answered(self):
        files = {f"p{i}.json": json.dumps({"prompt_template": "x", "description": "x" * 900000}) for i in range(8)}
        server = self.serve("--workers", "1", files=files)
        for _ in range(20):
            with server.raw_connection(receive_buffer=4096) as connection:
                connection.send(b"GET /prompts HTTP/1.1\r\n" + HOST + b"\r\n")
                connection.socket.recv(1)
        self.assertEqual(server.get("/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
