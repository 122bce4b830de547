"""Who asks too often or is turned away, and what is on record of it."""
import contextlib
import http.client
import json
import os
import re
import signal
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from promptd import (DEADLINE, PROMPTS_D, RawConnection, ServerTest, ask, binary, clean_environment, prompt, run_threads,
                     wait_until)
from support import failing, strace_works  # tests/reload
from test_tokens import TokenTest, entry

BURST = 20  # wrong tokens that an address has at once
ADMITTED = entry("good", "good") + entry("writer", "writer", rights=["read", "write"])


def fields_of(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}


class AbuseTest(TokenTest):
    def ask_from(self, server, address, token, path="/prompts", **headers):
        """One request from another address of loopback."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE,
                                                source_address=(address, 0))
        try:
            return ask(connection, "GET", path, headers={"Authorization": f"Bearer {token}", **headers})
        finally:
            connection.close()

    def lines_of(self, server, request_id, count=1):
        """The lines of the log that name a request."""
        def found():
            return [fields for line in server.log_lines()
                    if (fields := fields_of(line)).get("request_id") == request_id]
        return wait_until(lambda: len(found()) >= count and found(), f"{count} lines of {request_id}")


class WrongTokens(AbuseTest):
    def exhaust(self, server, address="127.0.0.1"):
        """Ask with wrong tokens until it is too much, and return the last answer."""
        for number in range(2 * BURST):
            response = self.ask_from(server, address, f"wrong {number}")
            if response.status == 429:
                return response
            self.assertEqual(response.status, 401)
            self.assertLess(number, BURST + 5)
        raise AssertionError("as many wrong tokens as one likes")

    def test_they_are_limited_by_address(self):
        server = self.serve_tokens(tokens=ADMITTED + entry("all", "all"))
        response = self.exhaust(server)
        self.assert_detail(response, 429, "127.0.0.1")
        self.assertIn(int(response.headers["Retry-After"]), range(1, 7))
        self.assertEqual(self.ask_from(server, "127.0.0.2", "wrong").status, 401)

    def test_a_good_token_never_is(self):
        server = self.serve_tokens(tokens=ADMITTED + entry("all", "all"))
        self.exhaust(server)
        for _ in range(2 * BURST):
            self.assertEqual(self.ask(server, "good", "/prompts").status, 200)
        for path in ("/health", "/ready"):
            self.assertEqual(self.ask(server, "wrong", path).status, 200)

    def test_requests_without_a_token_are_not_counted(self):
        server = self.serve_tokens(tokens=ADMITTED + entry("all", "all"))
        for _ in range(2 * BURST):
            self.assertEqual(self.ask(server, None, "/prompts").status, 401)
        self.assertEqual(self.ask(server, "wrong", "/prompts").status, 401)

    def test_behind_a_proxy_all_have_one_address(self):
        server = self.serve_tokens("--behind-proxy", tokens=ADMITTED + entry("all", "all"))
        for number in range(3 * BURST):
            self.assertEqual(self.ask(server, f"wrong {number}", "/prompts").status, 401)

    def test_behind_a_proxy_the_log_names_who_the_proxy_saw(self):
        server = self.serve_tokens("--behind-proxy", tokens=ADMITTED + entry("all", "all"))
        for header, peer in (("10.1.2.3", "10.1.2.3"), ("evil, 10.1.2.4, 10.1.2.3", "10.1.2.3"),
                             ("10.1.2.3,  2001:db8::7", "2001:db8::7"), ("10.1.2.3, evil", "127.0.0.1"),
                             ("", "127.0.0.1")):
            response = self.ask(server, "wrong", "/prompts", **{"X-Forwarded-For": header})
            line = self.lines_of(server, response.headers["X-Request-Id"])[0]
            self.assertEqual(line["peer"], peer, header)

    def test_the_line_that_the_proxy_added_counts(self):
        server = self.serve_tokens("--behind-proxy", tokens=ADMITTED + entry("all", "all"))
        reply = server.raw(b"GET /prompts HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
                           b"X-Forwarded-For: 10.9.9.9\r\n\r\n")[0]
        self.assertEqual(self.lines_of(server, reply.headers["X-Request-Id"])[0]["peer"], "10.9.9.9")

    def test_without_one_nobody_says_who_he_is(self):
        server = self.serve_tokens(tokens=ADMITTED + entry("all", "all"))
        response = self.ask(server, "wrong", "/prompts", **{"X-Forwarded-For": "10.1.2.3"})
        self.assertEqual(self.lines_of(server, response.headers["X-Request-Id"])[0]["peer"], "127.0.0.1")


class RateLimit(AbuseTest):
    TOKENS = ADMITTED + entry("all", "all") + entry("slow", "slow", rate_limit=3)

    def exhaust(self, server):
        return wait_until(lambda: (r := self.ask(server, "slow", "/prompts")).status == 429 and r,
                          "it is limited")

    def test_a_token_makes_so_many_requests_a_second(self):
        server = self.serve_tokens(tokens=self.TOKENS)
        statuses = [self.ask(server, "slow", "/prompts").status for _ in range(3)]
        self.assertEqual(statuses, [200] * 3)
        response = self.exhaust(server)
        self.assert_detail(response, 429, "'slow' may make 3 requests a second")
        self.assertEqual(response.headers["Retry-After"], "1")
        wait_until(lambda: self.ask(server, "slow", "/prompts").status == 200, "it may ask again")

    def test_others_are_not_concerned(self):
        server = self.serve_tokens(tokens=self.TOKENS)
        self.exhaust(server)
        for _ in range(20):
            self.assertEqual(self.ask(server, "good", "/prompts").status, 200)
            self.assertEqual(self.ask(server, "slow", "/ready").status, 200)

    def test_a_new_tokens_file_does_not_begin_anew(self):
        server = self.serve_tokens(tokens=entry("slow", "slow", rate_limit=1) + ADMITTED + entry("all", "all"))
        self.write_tokens(entry("slow", "slow", rate_limit=1) + entry("new", "new"))
        wait_until(lambda: self.ask(server, "new", "/prompts").status == 200, "the new file is in force")
        granted = [self.ask(server, "slow", "/prompts").status for _ in range(30)].count(200)
        self.assertLess(granted, 30)

    def test_it_is_a_whole_number(self):
        for value in ("0", "-1", "1.5", "x", "1000001", "[1]"):
            tokens = entry("a", "a").replace("}", f', "rate_limit": {value}}}')
            result = self.run_promptd("--tokens-file", str(self.write_tokens(tokens)), "--listen", "127.0.0.1:0",
                                      str(PROMPTS_D))
            self.assertEqual(result.returncode, 1, value)
            self.assertIn("rate_limit must be a whole number from 1 to 1000000", result.stderr)


class Refusals(AbuseTest):
    """Each is one line, which names the request like its answer."""

    def refused(self, server, response):
        lines = self.lines_of(server, response.headers["X-Request-Id"])
        self.assertEqual([line["msg"] for line in lines], ["request refused"])
        self.assertEqual((lines[0]["status"], lines[0]["peer"]), (response.status, "127.0.0.1"))
        self.assertIn(lines[0]["reason"], response.detail)
        return lines[0]

    def test_what_is_no_http(self):
        server = self.serve()
        for data, status in ((b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
                             (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
                             (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431),
                             (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
                             (b"POST /prompts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n", 413)):
            with self.subTest(status):
                response = server.raw(data)[0]
                self.assertEqual(response.status, status)
                line = self.refused(server, response)
                self.assertEqual([key for key in ("method", "path") if key in line], [])

    def test_who_may_not(self):
        server = self.serve_tokens(tokens=ADMITTED + entry("all", "all"))
        line = self.refused(server, self.ask(server, "good", "/metrics"))
        self.assertEqual((line["status"], line["token"], line["method"], line["path"]),
                         (403, "good", "GET", "/metrics"))
        line = self.refused(server, self.ask(server, None, "/prompts?limit=3"))
        self.assertEqual((line["status"], line["path"], "token" in line), (401, "/prompts", False))

    def test_nothing_in_it_acts_on_a_terminal_or_is_long(self):
        server = self.serve()
        response = server.raw(b"DELETE /prompts/\xff\x1b[31m" + b"y" * 15000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0]
        name = response.headers["X-Request-Id"]
        line = wait_until(lambda: [l for l in server.log_lines() if name in l], "its line")[0]
        self.assertLess(len(line), 1000)
        self.assertIsNone(re.search("[\x00-\x1f\x7f-\x9f]", line))

    def test_a_good_request_is_none(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        for path in ("/prompts/p", "/prompts/q", "/prompts?limit=x"):
            server.get(path)
        self.refused(server, server.request("PUT", "/prompts/p"))
        self.assertEqual(sum("request" in message for message in server.messages()), 1)

    def test_each_answer_has_a_name_of_its_own(self):
        server = self.serve("--workers", "3", files={"p.yaml": prompt("x")})
        names = []
        run_threads(4, lambda _: names.extend(server.get("/prompts/p").headers["X-Request-Id"] for _ in range(50)))
        self.assertEqual(len(set(names)), 200)
        self.assertTrue(all(re.fullmatch("[0-9a-f]{16}", name) for name in names))

    def test_an_access_log_has_them_all(self):
        server = self.serve("--access-log", "--writable", files={"p.yaml": prompt("x")})
        for path, status in (("/prompts/p?version=1&api_key=secret", 404), ("/prompts/p", 200), ("/-/status", 200)):
            response = server.get(path)
            self.assertEqual(response.status, status)
            line = self.lines_of(server, response.headers["X-Request-Id"])[0]
            self.assertEqual((line["msg"], line["status"], line["method"], line["path"]),
                             ("request answered", status, "GET", path.split("?")[0]))
            self.assertGreaterEqual(line["us"], 0)
        self.assertNotIn("secret", "".join(server.log_lines()))

    def test_an_access_log_has_each_of_many_requests_at_once_on_a_line_of_its_own(self):
        """They are written together, by two workers to one place, and at the latest with the end; a pipe has room for all."""
        server = self.serve("--access-log", "--workers", "2", files={"p.yaml": prompt("x")})
        ids = set()
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(RawConnection(server.port)) for _ in range(8)]
            for connection in connections:
                connection.send(b"GET /prompts/p HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            for connection in connections:
                ids.update(connection.read_reply().headers["X-Request-Id"] for _ in range(20))
        server.stop()
        lines = [json.loads(line) for line in server.log_lines()]
        answered = [line["request_id"] for line in lines if line["msg"] == "request answered"]
        self.assertEqual(len(answered), 160)
        self.assertEqual(set(answered), ids)

    def test_no_token_is_in_the_log(self):
        secrets = [f"pd_{os.urandom(16).hex()}" for _ in range(3)]
        server = self.serve_tokens("--access-log", tokens=entry("all", "all", *secrets[:1]))
        for secret in secrets:
            self.ask(server, secret, "/prompts")
            self.ask(server, secret, f"/prompts?token={secret}")
            self.ask(server, secret, "/prompts", "POST", {"prompt_id": secret})
            server.raw(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer {secret}\r\n\r\n".encode())
        server.stop()
        self.assertGreater(len(server.log_lines()), 12)
        for secret in secrets:
            self.assertNotIn(secret, "".join(server.log_lines()))


class Audit(AbuseTest):
    BODY = {"prompt_id": "new", "prompt_template": "x"}

    def serve_audited(self, path, *args):
        tokens = ADMITTED + entry("all", "all", rights=["read", "admin"])
        return self.serve_tokens("--writable", "--audit-log", str(path), *args, tokens=tokens, files={})

    def write(self, server, token="writer", **body):
        return self.ask(server, token, "/prompts", "POST", {**self.BODY, **body})

    def test_a_write_is_on_record_before_it_is_acknowledged(self):
        path = self.folder / "audit.log"
        server = self.serve_audited(path)
        for status, (token, body) in {200: ("writer", {"prompt_id": "a/b", "version": "2"}),
                                      409: ("writer", {"prompt_id": "a/b", "version": "2"}),
                                      403: ("good", {})}.items():
            before = path.read_text(encoding="utf-8").count("\n")
            response = self.write(server, token, **body)
            self.assertEqual(response.status, status)
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[before:]]
            self.assertEqual([line["msg"] for line in lines],
                             ["request refused"] if status == 403 else ["write begins", "write ends"])
            for line in lines:
                self.assertEqual((line["request_id"], line["token"], line["peer"], line["path"]),
                                 (response.headers["X-Request-Id"], token, "127.0.0.1", "/prompts"))
                self.assertEqual(line.get("file"), None if status == 403 else "a/b.v2.json")
            self.assertEqual(lines[-1]["status"], status)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertFalse([m for m in server.messages() if m.startswith(("write", "request"))])

    def test_what_is_not_written_is_on_record_too(self):
        path = self.folder / "audit.log"
        server = self.serve_audited(path)
        response = self.write(server, prompt_id="..")
        self.assertEqual(response.status, 422)
        [line] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.assertEqual((line["msg"], line["status"], line["request_id"]),
                         ("request refused", 422, response.headers["X-Request-Id"]))

    def test_a_long_name_is_not_cut(self):
        path = self.folder / "audit.log"
        server = self.serve_audited(path)
        prompt_id = "/".join(letter * 60 for letter in "abc")
        self.assertEqual(self.write(server, prompt_id=prompt_id, version="1." + "0" * 150).status, 200)
        line = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        self.assertEqual(line["file"], f"{prompt_id}.v1.{'0' * 150}.json")

    def test_without_a_file_it_is_in_the_log(self):
        server = self.serve_tokens("--writable", tokens=ADMITTED + entry("all", "all"), files={})
        lines = self.lines_of(server, self.write(server).headers["X-Request-Id"], 2)
        self.assertEqual([line["msg"] for line in lines], ["write begins", "write ends"])

    def test_what_cannot_be_recorded_is_not_written(self):
        server = self.serve_audited("/dev/full")
        self.assert_detail(self.write(server), 503, "audit log")
        self.assertEqual(server.file_names(), [])
        self.assertEqual(self.ask(server, "good", "/prompts").status, 200)
        self.assertEqual(self.ask(server, "wrong", "/prompts").status, 401)
        for told in ("write begins", "request refused"):  # there it is lost, so the log has it
            wait_until(lambda t=told: t in server.messages(), told)
        complaint = "the audit log cannot be written, so nothing is created: make room there"
        self.assertEqual(server.messages().count(complaint), 1)
        figures = self.ask(server, "all", "/metrics").body.decode()
        self.assertRegex(figures, r"(?m)^promptd_audit_lines_lost_total [1-9]")

    def test_a_write_whose_end_cannot_be_recorded_is_not_acknowledged(self):
        """The record is a pipe that has room for one line."""
        path = self.folder / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        server = self.serve_audited(path)
        filler = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, filler)
        try:
            while True:
                os.write(filler, b"x" * 4096)
        except BlockingIOError:
            os.read(reader, 4096)  # room for a page, which a line takes: poll(2) counts them
        response = self.write(server)
        self.assert_detail(response, 500, "audit log")
        self.assertEqual(server.file_names(), ["new.json"])

    def test_the_next_line_behind_a_torn_one_is_whole(self):
        path = self.folder / "audit.log"
        server = self.serve_audited(path)
        resource = subprocess.run(["prlimit", "--pid", str(server.process.pid), "--fsize=100:unlimited"],
                                  check=False, capture_output=True, text=True)
        self.assertEqual(resource.returncode, 0, resource.stderr)
        self.assert_detail(self.write(server), 503, "audit log")
        self.assertEqual(path.stat().st_size, 100)
        self.assert_detail(self.write(server), 503, "audit log")  # no signal ends it
        subprocess.run(["prlimit", "--pid", str(server.process.pid), "--fsize=unlimited"], check=True)
        self.assertEqual(self.write(server).status, 200)
        lines = path.read_text(encoding="utf-8").splitlines()
        self.assertEqual([json.loads(line)["msg"] for line in lines[1:]], ["write begins", "write ends"])

    def test_a_hangup_goes_on_in_a_new_file(self):
        path = self.folder / "logs/audit.log"  # where nothing else is
        path.parent.mkdir()
        server = self.serve_audited(path)
        self.write(server)
        path.rename(self.folder / "logs/audit.log.1")
        server.signal(signal.SIGHUP)
        wait_until(path.exists, "the new file")
        wait_until(lambda: self.ask(server, "wrong", "/prompts") and path.stat().st_size > 0, "a line in it")
        self.assertIn("write ends", (self.folder / "logs/audit.log.1").read_text(encoding="utf-8"))

    def test_a_place_that_cannot_be_written(self):
        result = self.run_promptd("--audit-log", str(self.folder / "none/audit.log"), "--listen", "127.0.0.1:0",
                                  str(PROMPTS_D))
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot write the audit log", result.stderr)


class StalledLog(unittest.TestCase):
    """The log is a pipe that nobody, or hardly anybody, reads: promptd answers, and ends when it is told to."""

    @contextlib.contextmanager
    def serve_unread(self, directory=PROMPTS_D, pipesize=65536):
        """The process, which nobody reads from any more, a connection to it, and its first lines."""
        with subprocess.Popen([binary(), "--listen", "127.0.0.1:0", "--access-log", "--workers", "1", str(directory)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0, pipesize=pipesize,
                              env=clean_environment()) as process:
            try:
                lines = []
                for line in process.stderr:
                    lines.append(line)
                    if b"listening on" in line:
                        break
                port = int(re.search(rb"127\.0\.0\.1:(\d+)", lines[-1])[1])
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)) as connection:
                    yield process, connection, lines
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(DEADLINE), 0)
            finally:
                process.kill()

    def test_a_reader_who_is_slow_makes_nobody_slow(self):
        """He takes a page of a full pipe again and again: promptd waits for him a second in all."""
        waits = 0
        with self.serve_unread() as (process, connection, _):
            for number in range(2000):
                begun = time.monotonic()
                self.assertEqual(ask(connection, "GET", "/ready").status, 200)
                waits += time.monotonic() - begun > 0.9  # he was waited for in vain
                if number > 600 and number % 100 == 0:
                    os.read(process.stderr.fileno(), 4096)
            figures = ask(connection, "GET", "/metrics").body.decode()
            self.assertLess(waits, 3)
            self.assertRegex(figures, r"(?m)^promptd_log_lines_lost_total [1-9]")

    def test_a_reader_who_keeps_reading_gets_all(self):
        """The pipe is of one page, as the kernel makes it for a user with many: it is full again and again."""
        with tempfile.TemporaryDirectory() as directory:
            for number in range(100):
                Path(directory, f"p{number}.yaml").write_text("prompt_template: x\nversion: no\n", encoding="utf-8")
            with self.serve_unread(directory, pipesize=4096) as (_, connection, lines):
                figures = ask(connection, "GET", "/metrics").body.decode()
            self.assertEqual(sum(b"YAML 1.1" in line for line in lines), 100)
            self.assertRegex(figures, r"(?m)^promptd_log_lines_lost_total 0$")

    def test_a_reader_who_does_not_read_stops_nobody(self):
        with self.serve_unread() as (_, connection, _):
            for _ in range(1000):  # 200 bytes each, and a pipe holds 64 KiB
                self.assertEqual(ask(connection, "GET", "/ready").status, 200)


if __name__ == "__main__":
    unittest.main()
