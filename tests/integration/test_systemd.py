"""What systemd passes and is told, without systemd: sockets (sd_listen_fds(3)) and messages (sd_notify(3))."""
import collections
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from promptd import (DEADLINE, STOP_DEADLINE, Promptd, ServerTest, ask, clean_environment, pause, prompt, wait_until)
from support import cpu_seconds, end_process, start_strace, strace_works  # tests/reload
from test_gate import GET, read_all, replies_in

FILES = {"p.yaml": prompt("hello")}

# Becomes promptd, with descriptors in the places where systemd puts them.
EXEC = """
import fcntl, os, sys
descriptors, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
for at, high in enumerate([fcntl.fcntl(int(d), fcntl.F_DUPFD, 100) for d in descriptors]):
    os.dup2(high, 3 + at)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(descriptors))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execvp(command[0], command)
"""


def bind(host="127.0.0.1", listens=True, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    one = socket.socket(family, kind)
    one.bind((host, 0))
    if listens:
        one.listen(1024)
    return one


def passing(sockets, names=""):
    """A command that becomes another one with sockets passed to it."""
    return [sys.executable, "-c", EXEC, ",".join(str(one.fileno()) for one in sockets), names]


class Activated(Promptd):
    def __init__(self, *args, sockets, names="", **kwargs):
        super().__init__(*args, wrapper=passing(sockets, names), **kwargs)
        self.pass_fds = [one.fileno() for one in sockets]


class Sockets(ServerTest):
    def bind(self, *args, **kwargs):
        one = bind(*args, **kwargs)
        self.addCleanup(one.close)
        return one

    def activate(self, *args, **kwargs):
        server = Activated(*args, **{"files": FILES, **kwargs})
        server.__enter__()
        self.servers.append(server)
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def refuse(self, *args, sockets, **kwargs):
        """What it says, which ends at once."""
        with tempfile.TemporaryDirectory() as directory:
            ended = subprocess.run(
                [*passing(sockets), os.environ["PROMPTD"], "--listen", "127.0.0.1:0", *args, directory],
                pass_fds=[one.fileno() for one in sockets], capture_output=True, text=True, check=False,
                timeout=STOP_DEADLINE, env=clean_environment(kwargs.get("env")))
        self.assertEqual(ended.returncode, 1, ended)
        return ended.stderr

    def test_all_workers_accept_from_what_was_passed(self):
        one = self.bind()
        server = self.activate("--workers", "3", sockets=[one])
        self.assertEqual(server.port, one.getsockname()[1])
        held = [socket.create_connection(one.getsockname(), DEADLINE) for _ in range(50)]
        for connection in held:  # all at once: whoever accepted one does not wait for the others
            connection.sendall(GET + b"Connection: close\r\n\r\n")
        for connection in held:
            self.assertEqual(replies_in(read_all(connection))[0][0], 200)
            connection.close()

    def test_no_connection_is_refused_while_it_restarts(self):
        one = self.bind()
        server = self.activate(sockets=[one])
        answers, over = collections.Counter(), threading.Event()

        def keep_asking():
            while not over.is_set():
                try:
                    with socket.create_connection(one.getsockname(), STOP_DEADLINE) as connection:
                        connection.sendall(GET + b"Connection: close\r\n\r\n")
                        answers[replies_in(read_all(connection))[0][0]] += 1
                except (OSError, IndexError) as error:
                    answers[repr(error)] += 1

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                seen = sum(answers.values())
                wait_until(lambda seen=seen: sum(answers.values()) > seen + 20, "requests are answered")
                server.restart()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertGreater(answers[200], 60)
        self.assertLessEqual(set(answers), {200, 503}, answers)  # 503 until the first files are read

    def test_it_rests_while_it_drains_though_others_are_to_take_what_comes(self):
        one = self.bind()
        server = self.activate("--workers", "1", sockets=[one])
        with socket.create_connection(one.getsockname(), DEADLINE) as begun:
            begun.sendall(GET + b"\r\n" + GET)
            self.assertIn(b" 200 ", begun.recv(65536))  # so the second one has begun
            server.signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in server.messages(), "it is told that it stops")
            pause(0.5)
            with socket.create_connection(one.getsockname(), DEADLINE):  # in the queue for the next one
                before = cpu_seconds(server)
                pause(1)
                self.assertLess(cpu_seconds(server) - before, 0.1)
            begun.sendall(b"\r\n")
            self.assertEqual(replies_in(read_all(begun))[0][0], 503)  # it is not ready any more
        self.assertEqual(server.wait_for_exit(), 0)

    def test_a_connection_waits_for_the_start(self):
        one = self.bind()
        with socket.create_connection(one.getsockname(), DEADLINE) as early:
            early.sendall(GET + b"Connection: close\r\n\r\n")
            self.activate(sockets=[one])
            self.assertIn(replies_in(read_all(early))[0][0], (200, 503))

    def test_the_one_named_admin_is_for_operators(self):
        one, other = self.bind(), self.bind()
        server = self.activate(sockets=[other, one], names="admin:http")
        self.assertEqual(server.port, one.getsockname()[1])
        self.assertEqual(server.litellm("p").status, 200)
        self.assertEqual(server.get("/metrics").status, 404)
        server.port = other.getsockname()[1]
        self.assertEqual(server.get("/metrics").status, 200)
        self.assertEqual(server.get("/prompts").status, 404)

    def test_each_of_several_is_served(self):
        several = [self.bind() for _ in range(3)]
        server = self.activate("--workers", "1", sockets=several)
        self.assertEqual(server.port, several[0].getsockname()[1])
        for one in several:
            server.port = one.getsockname()[1]
            self.assertEqual(server.litellm("p").status, 200)

    def test_those_of_another_process_are_not_taken(self):
        one = self.bind()
        server = self.activate(sockets=[one], env={"LISTEN_PID": "1"})
        self.assertNotEqual(server.port, one.getsockname()[1])

    def test_others_reach_it_with_tokens_only(self):
        one = self.bind("0.0.0.0")
        said = self.refuse(sockets=[self.bind(), one])
        self.assertRegex(said, r"not listening on http://0\.0\.0\.0:\d+, which was passed, as anyone who can")
        said = self.refuse("--dev", sockets=[one])
        self.assertIn("on loopback only", said)
        self.activate("--allow-anonymous", sockets=[self.bind(), one])

    def test_what_cannot_be_accepted_from(self):
        for one in (self.bind(listens=False), self.bind(listens=False, kind=socket.SOCK_DGRAM)):
            self.assertIn("descriptor 3, which was passed, is not a TCP socket that listens", self.refuse(sockets=[one]))
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as local:
            local.bind(str(Path(directory, "s")))
            local.listen()
            self.assertIn("is not a TCP socket", self.refuse(sockets=[local]))
        self.assertIn("17 sockets were passed, of which 16 can be used", self.refuse(sockets=17 * [self.bind()]))


class NotifyTest(ServerTest):
    def setUp(self):
        super().setUp()
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name, "notify")
        self.manager = None

    def listen(self, name):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(name.replace("@", "\0"))
        self.manager.settimeout(DEADLINE)
        return {"NOTIFY_SOCKET": name}

    def receive(self):
        """The next message, as {variable: value}."""
        return dict(line.split("=", 1) for line in self.manager.recv(4096).decode().splitlines())

    def receive_until(self, variable):
        """The messages up to the one with a variable."""
        messages = [self.receive()]
        while variable not in messages[-1]:
            messages.append(self.receive())
        return messages

class Messages(NotifyTest):
    def check_life(self, name):
        server = self.serve(files=FILES, env=self.listen(name))
        statuses = [m.get("STATUS") for m in self.receive_until("READY")]
        self.assertEqual(statuses[0], "waiting for prompts")
        self.assertIn("serving 1 prompts, generation 1, 0 problems", statuses)
        self.assertEqual(server.litellm("p").status, 200)

        before = time.monotonic_ns() // 1000
        server.signal(signal.SIGHUP)
        reloading = self.receive()
        self.assertEqual(reloading["RELOADING"], "1")
        self.assertTrue(before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, reloading)
        self.assertEqual(self.receive(), {"READY": "1"})

        server.write("q.yaml", prompt("more"))
        self.assertTrue(self.receive()["STATUS"].startswith("serving 2 prompts, "))
        server.signal(signal.SIGTERM)
        self.assertEqual(self.receive()["STOPPING"], "1")
        self.assertEqual(server.wait_for_exit(), 0)

    def test_a_path(self):
        self.check_life(str(self.path))

    def test_a_name_in_the_abstract_space(self):
        """With the sandbox on, which lets nobody connect there later."""
        self.check_life("@promptd-test-" + secrets.token_hex(8))

    def test_a_directory_that_is_not_there_does_not_hold_up_the_start(self):
        server = self.serve(directory=self.path.parent / "late", env=self.listen(str(self.path)))
        self.assertEqual([m.get("STATUS") for m in self.receive_until("READY")], ["waiting for prompts", None])
        server.write("p.yaml", prompt("hello"))
        self.assertIn("serving 1 prompts", self.receive()["STATUS"])

    def test_a_failed_start_is_not_told_as_ready(self):
        env = self.listen(str(self.path))
        ended = subprocess.run([os.environ["PROMPTD"], "--strict-start", "--listen", "127.0.0.1:0",
                                self.path.parent / "nothing"], capture_output=True, check=False,
                               env=clean_environment(env), timeout=STOP_DEADLINE)
        self.assertEqual(ended.returncode, 1)
        self.manager.setblocking(False)
        messages = b""
        with self.assertRaises(BlockingIOError):
            while True:
                messages += self.manager.recv(4096)
        self.assertNotIn(b"READY", messages)

    def test_nobody_listens(self):
        for name in (str(self.path), "@promptd-test-" + secrets.token_hex(8), "vsock:1:2"):
            server = self.serve(files=FILES, env={"NOTIFY_SOCKET": name})
            server.wait_for_text("p", "hello")
            wait_until(lambda server=server: [m for m in server.messages() if "service manager" in m], "it is told")


class Watchdog(NotifyTest):
    LIMIT_MS = 800

    def watch(self, **env):
        env = {**self.listen(str(self.path)), "WATCHDOG_USEC": str(self.LIMIT_MS * 1000), **env}
        return self.serve("--workers", "2", files=FILES, env=env)

    def is_alive(self):
        """Whether it is told from now on within the limit, many times over for a busy machine."""
        end = time.monotonic() + 5 * self.LIMIT_MS / 1000
        waiting = select.select([self.manager], [], [], 0)[0]
        while waiting:  # from before
            self.manager.recv(4096)
            waiting = select.select([self.manager], [], [], 0)[0]
        while time.monotonic() < end:
            if select.select([self.manager], [], [], 0.1)[0] and self.manager.recv(4096) == b"WATCHDOG=1":
                return True
        return False

    def test_it_is_told_that_it_lives(self):
        self.watch()
        for _ in range(5):
            self.assertTrue(self.is_alive())

    def test_it_is_told_while_signals_come(self):
        server = self.watch()
        over = threading.Event()

        def keep_signalling():
            while not over.wait(0.01):
                server.signal(signal.SIGHUP)

        thread = threading.Thread(target=keep_signalling)
        thread.start()
        try:
            for _ in range(3):
                self.assertTrue(self.is_alive())
        finally:
            over.set()
            thread.join()

    def test_another_process_is_watched(self):
        self.watch(WATCHDOG_PID="1")
        self.assertFalse(self.is_alive())

    def test_a_thread_that_hangs_is_not_passed_over(self):
        strace_works(self)
        server = self.watch()
        self.assertTrue(self.is_alive())
        hung = start_strace(["-o", "/dev/null", "-e", "trace=epoll_wait", "-e",
                             "inject=epoll_wait:delay_enter=60s", "-p", str(self.worker_of(server))])
        try:
            wait_until(lambda: not self.is_alive(), "no life is told of", deadline=60)
        finally:
            hung.kill()
            end_process(hung)
        wait_until(self.is_alive, "life is told of again", deadline=60)

    def worker_of(self, server):
        """A thread that waits for events of libevent's."""
        log = self.path.parent / "trace"
        process = start_strace(["-f", "-o", str(log), "-e", "trace=epoll_wait", "-p", str(server.process.pid)])
        try:
            def find():
                server.get("/health")
                return re.search(r"^(\d+) .*epoll_wait", log.read_text(encoding="utf-8"), re.MULTILINE)
            return int(wait_until(find, "a worker waits").group(1))
        finally:
            end_process(process)


if __name__ == "__main__":
    unittest.main()
