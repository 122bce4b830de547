"""The command line: options, failures at the start, and the end of the process."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from promptd import (LISTENING, STOP_DEADLINE, ServerTest, as_somebody_else, ask, binary,
                     clean_environment, prompt, wait_until)


class Run(unittest.TestCase):
    """promptd as a command that ends by itself."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="promptd-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        (self.directory / "good").mkdir()
        (self.directory / "good" / "p.yaml").write_text(prompt("x"))

    def run_promptd(self, *args, env=None):
        return subprocess.run([binary(), *args], capture_output=True, text=True, check=False,
                              timeout=STOP_DEADLINE, stdin=subprocess.DEVNULL, cwd=self.directory,
                              env=clean_environment(env))

    def assert_fails(self, part, *args, status=(1, 2), env=None):
        """On stderr a line that says what is wrong and mostly one that says what to do, nothing on stdout."""
        ended = self.run_promptd(*args, env=env)
        self.assertIn(ended.returncode, status, ended)
        self.assertEqual(ended.stdout, "")
        self.assertRegex(ended.stderr, r"\Apromptd: [^\n]+\n(  [^\n]+\n)?\Z")
        self.assertIn(part, ended.stderr)


class Answers(Run):
    def test_help_names_every_option_and_the_default_port(self):
        ended = self.run_promptd("--help")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        for option in ("--listen", "--workers", "--dev", "--writable", "--default-label",
                       "--allow-param", "--allow-empty", "--allow-anonymous", "--help",
                       "--version"):
            self.assertIn(option, ended.stdout)
        self.assertIn("8080", ended.stdout)
        self.assertIn("PROMPTD_LISTEN", ended.stdout)

    def test_version(self):
        ended = self.run_promptd("--version")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertRegex(ended.stdout, r"^promptd \d+\.\d+\.\d+\n$")


class Failures(Run):
    def test_an_unknown_option(self):
        self.assert_fails("--nonsense", "--nonsense", status=(2,))
        self.assert_fails("-x", "-x", "good", status=(2,))

    def test_a_missing_value(self):
        for option in ("--listen", "--workers", "--default-label"):
            with self.subTest(option):
                self.assert_fails(option, "good", option, status=(2,))

    def test_a_value_for_a_switch(self):
        self.assert_fails("--dev", "--dev=maybe", "good", status=(2,))

    def test_bad_values_are_named(self):
        for option, value in (("--workers", "0"), ("--workers", "many"), ("--workers", "-1"),
                              ("--workers", "1e9"), ("--workers", ""), ("--listen", "nowhere"),
                              ("--listen", "127.0.0.1"), ("--listen", "127.0.0.1:"),
                              ("--listen", "127.0.0.1:99999"), ("--listen", "127.0.0.1:http"),
                              ("--listen", "::1:0"), ("--default-label", "Not Ok"),
                              ("--default-label", "3"), ("--log-format", "xml"), ("--settle", "2y"),
                              ("--min-prompts", "few"), ("--max-connections", "0"),
                              ("--allow-param", "a b"), ("--default-label", ",".join(["a"] * 99))):
            with self.subTest(option=option, value=value):
                self.assert_fails(option, option, value, "good")

    def test_bad_values_of_the_environment_are_named(self):
        for name, value in (("PROMPTD_WORKERS", "x"), ("PROMPTD_DEV", "maybe"),
                            ("PROMPTD_DEFAULT_LABEL", "Not Ok")):
            with self.subTest(name):
                self.assert_fails(name, "good", env={name: value})

    def test_two_directories(self):
        self.assert_fails("other", "good", "other", status=(2,))

    def test_a_missing_directory(self):
        self.assert_fails("nowhere", "--strict-start", "--listen", "127.0.0.1:0", "nowhere")

    def test_a_file_for_a_directory(self):
        self.assert_fails("p.yaml", "--strict-start", "--listen", "127.0.0.1:0", "good/p.yaml")

    def test_no_directory_at_all(self):
        if os.path.exists("/etc/promptd/prompts.d"):
            self.skipTest("/etc/promptd/prompts.d exists here: remove it to test its absence")
        self.assert_fails("prompts.d", "--listen", "127.0.0.1:0")

    def test_a_directory_that_cannot_be_read(self):
        other = as_somebody_else(self)
        self.directory.chmod(0o755)
        (self.directory / "good").chmod(0)
        ended = subprocess.run([*other["wrapper"], other["program"], "--strict-start",
                                "--listen", "127.0.0.1:0", "good"],
                               capture_output=True, text=True, check=False, timeout=STOP_DEADLINE,
                               cwd=self.directory, env=clean_environment())
        self.assertEqual((ended.returncode, len(ended.stderr.splitlines())), (1, 1), ended.stderr)
        self.assertIn("ermission", ended.stderr)

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            address = f"127.0.0.1:{other.getsockname()[1]}"
            self.assert_fails(address, "--listen", address, "good", status=(1,))

    def test_another_address_needs_to_be_asked_for(self):
        for address in ("0.0.0.0:0", ":0", "[::]:0"):
            with self.subTest(address):
                self.assert_fails("--allow-anonymous", "--listen", address, "good")

    def test_dev_is_loopback_only(self):
        self.assert_fails("--dev", "--dev", "--allow-anonymous", "--listen", "0.0.0.0:0", "good")


class Starts(ServerTest):
    def test_the_word_serve_may_be_said(self):
        server = self.serve("serve", files={"p.yaml": prompt("x")})
        self.assertEqual(server.text_of("p"), "x")

    def test_options_from_the_environment(self):
        server = self.serve(files={"p.yaml": prompt("x")}, env={
            "PROMPTD_WRITABLE": "true", "PROMPTD_WORKERS": "3", "PROMPTD_ALLOW_EMPTY": "1"})
        response = server.post("/prompts", {"prompt_id": "new", "prompt_template": "x"})
        self.assertEqual(response.status, 200)
        started = [json.loads(l) for l in server.log_lines() if "listening on" in l][0]
        self.assertEqual(started["workers"], 3)

    def test_the_worker_of_the_admin_address_is_not_among_those_of_the_log(self):
        server = self.serve("--workers", "2", "--admin-listen", "127.0.0.1:0", files={"p.yaml": prompt("x")})
        started = [json.loads(l) for l in server.log_lines() if "listening on" in l][0]
        self.assertEqual(started["workers"], 2)

    def test_a_flag_goes_before_the_environment(self):
        files = {"p.v1.yaml": prompt("a", labels=["x"]), "p.v2.yaml": prompt("b", labels=["y"])}
        from_environment = self.serve(files=files, env={"PROMPTD_DEFAULT_LABEL": "x"})
        self.assertEqual(from_environment.text_of("p"), "a")
        from_flag = self.serve("--default-label", "y", files=files,
                               env={"PROMPTD_DEFAULT_LABEL": "x", "PROMPTD_LISTEN": "256.1.1.1:1"})
        self.assertEqual(from_flag.text_of("p"), "b")

    def test_a_switch_that_is_off_in_the_environment(self):
        server = self.serve(env={"PROMPTD_WRITABLE": "false", "PROMPTD_DEV": "0"})
        self.assertEqual(server.post("/prompts", {}).status, 403)

    def test_the_default_directory(self):
        with tempfile.TemporaryDirectory(prefix="promptd-test-") as place:
            directory = Path(place) / "prompts.d"
            directory.mkdir()
            (directory / "p.yaml").write_text(prompt("from the default directory"))
            process = subprocess.Popen([binary(), "--listen", "127.0.0.1:0"], cwd=place,
                                       stderr=subprocess.PIPE, env=clean_environment(), text=True)
            try:
                found = next(filter(None, map(LISTENING.search, process.stderr)))
                body = self.fetch(int(found.group(1)), "/prompts/p")
                self.assertIn("from the default directory", body)
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=STOP_DEADLINE)
        self.assertEqual(process.returncode, 0)

    def fetch(self, port, path):
        with socket.create_connection(("127.0.0.1", port), STOP_DEADLINE) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def test_ipv6_loopback(self):
        if not self.has_ipv6():
            self.skipTest("no IPv6 loopback: enable net.ipv6 for the interface lo")
        directory = self.serve().directory
        process = subprocess.Popen([binary(), "--listen", "[::1]:0", str(directory)],
                                   stderr=subprocess.PIPE, env=clean_environment(), text=True)
        try:
            line = next(l for l in process.stderr if "listening on" in l)
            self.assertRegex(json.loads(line)["msg"], r"^listening on http://\[::1\]:\d+$")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=STOP_DEADLINE)
        self.assertEqual(process.returncode, 0)

    def has_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
            return True
        except OSError:
            return False

    def test_the_log_is_json_lines_when_not_on_a_terminal(self):
        server = self.serve(files={"p.yaml": prompt("x"), "bad\n.yaml": "oops: 1\n"})
        server.stop()
        for line in server.log_lines():
            self.assertIsInstance(json.loads(line)["msg"], str, line)

    def test_the_log_for_people_is_one_harmless_line_each(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        (server.directory / "bad\n\x1b[31m.yaml").write_text("oops: 1\n")
        (server.directory / os.fsdecode(b"\xff.yaml")).write_text("oops: 1\n")
        process = subprocess.Popen([binary(), "--listen", "127.0.0.1:0", "--log-format", "text",
                                    str(server.directory)], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=clean_environment())
        lines = []
        with process.stderr:
            while not lines or b"listening on http" not in lines[-1]:
                lines.append(process.stderr.readline())
                self.assertNotEqual(lines[-1], b"", lines)
            process.send_signal(signal.SIGTERM)
            lines += process.stderr.readlines()
        self.assertEqual(process.wait(STOP_DEADLINE), 0)
        for line in lines:
            self.assertRegex(line.decode(), r"\A\d\d:\d\d:\d\d (info|warn|error) +\S[^\x00-\x1f\x7f]*\n\Z")
        log = b"".join(lines).decode()
        self.assertIn(r"bad\u000a\u001b[31m.yaml", log)
        self.assertIn(r"\xff.yaml", log)

    def test_two_servers_share_no_port(self):
        first = self.serve(files={"p.yaml": prompt("x")})
        ended = subprocess.run(
            [binary(), "--listen", f"127.0.0.1:{first.port}", str(first.directory)],
            capture_output=True, text=True, check=False, timeout=STOP_DEADLINE,
            env=clean_environment())
        self.assertEqual((ended.returncode, len(ended.stderr.splitlines())), (1, 2), ended.stderr)
        self.assertEqual(first.text_of("p"), "x")

    def test_a_port_is_free_again_after_the_end(self):
        first = self.serve(files={"p.yaml": prompt("x")})
        with first.connection() as connection:
            ask(connection, "GET", "/health")
            first.stop()
        second = self.serve("--listen", f"127.0.0.1:{first.port}", files={"p.yaml": prompt("y")})
        self.assertEqual((second.port, second.text_of("p")), (first.port, "y"))


class Emptiness(ServerTest):
    def test_an_empty_directory_is_served_but_not_ready(self):
        server = self.serve()
        self.assertEqual(server.get("/ready").status, 503)
        self.assertEqual(server.get("/health").status, 200)
        self.assert_detail(server.litellm("p"), 404)

    def test_an_empty_directory_may_be_allowed(self):
        self.assertEqual(self.serve("--allow-empty").get("/ready").status, 200)


class Ends(ServerTest):
    BIG = "x" * 900000

    def serve_big(self):
        """A server whose list is far larger than what fits into socket buffers."""
        files = {f"p{i:02}.json": json.dumps({"prompt_template": "x", "description": self.BIG})
                 for i in range(14)}
        return self.serve("--workers", "1", files=files)

    def ask_for_the_list(self, server):
        connection = server.raw_connection(receive_buffer=4096)
        self.addCleanup(connection.socket.close)
        connection.send(b"GET /prompts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.socket.recv(1)  # it is under way
        return connection

    def test_sigterm_and_sigint_end_it_well(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                server = self.serve(files={"p.yaml": prompt("x")})
                server.signal(number)
                self.assertEqual(server.wait_for_exit(), 0)

    def test_an_idle_connection_does_not_keep_it(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        with server.connection() as connection, server.raw_connection() as silent:
            ask(connection, "GET", "/health")
            silent.send(b"GET /hea")
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait_for_exit(), 0)

    def test_a_slow_reader_gets_the_rest_of_its_answer(self):
        server = self.serve_big()
        connection = self.ask_for_the_list(server)
        server.signal(signal.SIGTERM)
        wait_until(lambda: self.is_refused(server), "new connections are refused")
        received = b"".join(iter(lambda: connection.socket.recv(MEBIBYTE), b""))
        self.assertEqual(received.count(b'"description"'), 14)
        self.assertTrue(received.endswith(b'"total":14}'))
        self.assertEqual(server.wait_for_exit(), 0)

    def is_refused(self, server):
        try:
            with server.raw_connection():
                return False
        except OSError:
            return True

    def test_a_reader_that_never_reads_is_cut_in_the_end(self):
        server = self.serve_big()
        self.ask_for_the_list(server)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_for_exit(), 0)

    def test_requests_on_their_way_are_answered(self):
        server = self.serve("--workers", "2", files={"p.yaml": prompt("x")})
        failures, ended = [], threading.Event()

        def work():
            with server.connection() as connection:
                while not ended.is_set():
                    try:
                        response = ask(connection, "GET", "/prompts/p")
                    except OSError:
                        return  # closed between two requests
                    if response.status != 200:
                        failures.append(response)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_for_exit(), 0)
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


MEBIBYTE = 1024 * 1024


if __name__ == "__main__":
    unittest.main()
