"""What stands between a client's bytes and the answers: framing, limits of time and of number."""
import json
import os
import signal
import socket
import threading
import time
import unittest

from promptd import DEADLINE, ServerTest, look_inside, prompt, wait_until
from support import injected, strace_works  # tests/reload

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /ready HTTP/1.1\r\n" + HOST
RENDER = b"POST /prompts/p/render HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = RENDER + b"Transfer-Encoding: chunked\r\n\r\n"
SECOND = b"GET /prompts/p HTTP/1.1\r\n" + HOST + b"\r\n"  # what a smuggler would have answered

# What is refused: (status, bytes). The unit tests of core/framing know more of them.
BAD = {
    "length and encoding": (400, RENDER + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND),
    "two lengths": (400, RENDER + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}" + SECOND),
    "the same length twice": (400, RENDER + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    "plus": (400, RENDER + b"Content-Length: +2\r\n\r\n{}"),
    "VT before digits": (400, RENDER + b"Content-Length: \x0b2\r\n\r\n{}"),
    "space before the colon": (400, RENDER + b"Content-Length : 31\r\n\r\n" + SECOND),
    "space before TE's colon": (400, RENDER + b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SECOND),
    "identity": (501, RENDER + b"Transfer-Encoding: identity\r\n\r\n" + SECOND),
    "gzip": (501, RENDER + b"Transfer-Encoding: gzip\r\n\r\n" + SECOND),
    "xchunked": (501, RENDER + b"Transfer-Encoding: xchunked\r\n\r\n" + SECOND),
    "quoted chunked": (501, RENDER + b"Transfer-Encoding: \"chunked\"\r\n\r\n" + SECOND),
    "gzip, chunked": (501, RENDER + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "NUL in a length": (400, RENDER + b"Content-Length: 3\x00 1\r\n\r\n{}" + SECOND),
    "NUL in an encoding": (400, RENDER + b"Transfer-Encoding: chunked\x00x\r\n\r\n" + SECOND),
    "fold": (400, GET + b"X: a\r\n b\r\n\r\n"),
    "folded encoding": (400, RENDER + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    "a body of HEAD": (400, b"HEAD /ready HTTP/1.1\r\n" + HOST + b"Content-Length: 31\r\n\r\n" + SECOND),
    "bare LF": (400, b"GET /ready HTTP/1.1\nHost: 127.0.0.1\n\n"),
    "chunk 0x2": (400, CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk +2": (400, CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunk with a space": (400, CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n"),
    "chunk -0": (400, CHUNKED + b"-0\r\n\r\n"),
    "chunk and junk": (400, CHUNKED + b"2 junk\r\n{}\r\n0\r\n\r\n"),
    "chunk and NUL": (400, CHUNKED + b"2\x00\r\n{}\r\n0\r\n\r\n"),
    "no CRLF behind a chunk": (400, CHUNKED + b"2\r\n{}0\r\n\r\n"),
    "chunks of HTTP/1.0": (400, b"POST /prompts/p/render HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "no Host": (400, b"GET /ready HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, GET + HOST + b"\r\n"),
    "a bad Host": (400, b"GET /ready HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "an IP literal of a port": (400, b"GET http://[:]/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an IP literal of another kind": (400, b"GET http://[1.2.3.4]/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "an IP literal that is too large": (400, b"GET http://[fffff::1]/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a Host with two ports": (400, b"GET /ready HTTP/1.1\r\nHost: a:1:2\r\n\r\n"),
    "a Host that is half a literal": (400, b"GET /ready HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    "a Host with a bad escape": (400, b"GET /ready HTTP/1.1\r\nHost: %zz\r\n\r\n"),
    "two Authorizations": (400, GET + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    "two Content-Types": (400, RENDER + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"),
    "two Origins": (400, GET + b"Origin: http://a\r\nOrigin: http://b\r\n\r\n"),
    "an empty name": (400, GET + b": x\r\n\r\n"),
    "a control character in a name": (400, GET + b"X\x01Y: z\r\n\r\n"),
    "HTTP/4294967297.1": (400, b"GET /ready HTTP/4294967297.1\r\n" + HOST + b"\r\n"),
    "HTTP/1.99": (400, b"GET /ready HTTP/1.99\r\n" + HOST + b"\r\n"),
    "HTTP/1.-1": (400, b"GET /ready HTTP/1.-1\r\n" + HOST + b"\r\n"),
    "HTTP/1.2": (505, b"GET /ready HTTP/1.2\r\n" + HOST + b"\r\n"),
    "HTTP/2.0": (505, b"GET /ready HTTP/2.0\r\n" + HOST + b"\r\n"),
    "a space in the target": (400, b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n"),
    "another Expect": (417, RENDER + b"Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}"),
    "an unknown method": (501, b"BREW /ready HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "a long target": (414, b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n"),
    "a long header": (431, GET + b"X: " + b"y" * 40000 + b"\r\n\r\n"),
    "many fields": (431, GET + b"X: y\r\n" * 200 + b"\r\n"),
    "many empty fields": (400, GET + b":\r\n" * 1500 + b"\r\n"),
    "a long body": (413, RENDER + b"Content-Length: 99999999\r\n\r\n" + b"x" * 4000000),
    "long chunks": (413, CHUNKED + b"100001\r\n"),
    "an endless extension": (413, CHUNKED + b"1;" + b"x" * 1100000),
}


def read_all(connection, deadline=DEADLINE):
    """What comes until the other side ends."""
    connection.settimeout(deadline)
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def replies_in(data):
    """[(status, headers, body)] of bytes that hold whole replies and nothing else."""
    replies = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            raise AssertionError(f"half a reply: {data!r}")
        lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        if len(headers) < len(lines) - 1:
            raise AssertionError(f"a header twice: {head!r}")
        length = int(headers.get("Content-Length", 0))
        replies.append((int(lines[0].split()[1]), headers, rest[:length]))
        data = rest[length:]
    return replies


class GateTest(ServerTest):
    def connect(self, server):
        connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.addCleanup(connection.close)
        return connection

    def send(self, server, *pieces):
        """Send and return all replies, up to the end of the connection."""
        connection = self.connect(server)
        sender = threading.Thread(target=self.send_pieces, args=(connection, pieces))
        sender.start()
        try:
            return replies_in(read_all(connection))
        finally:
            sender.join()

    @staticmethod
    def send_pieces(connection, pieces):
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass


class Framing(GateTest):
    def setUp(self):
        self.server = self.serve(files={"p.yaml": prompt("hello")})

    def assert_refused(self, reply, status):
        self.assertEqual(reply[0], status, reply)
        self.assertEqual(reply[1]["Connection"], "close")
        self.assertEqual(reply[1]["Content-Type"], "application/json")
        self.assertTrue(json.loads(reply[2])["detail"].startswith("Bad request: "), reply)

    def test_what_is_refused_gets_one_reply(self):
        for name, (status, data) in BAD.items():
            with self.subTest(name):
                if data.startswith(b"HEAD"):
                    continue
                reply, = self.send(self.server, data)
                self.assert_refused(reply, status)

    def test_what_is_refused_byte_by_byte(self):
        for name, (status, data) in BAD.items():
            if len(data) > 1000 or data.startswith(b"HEAD"):
                continue
            with self.subTest(name):
                reply, = self.send(self.server, *[data[i:i + 1] for i in range(len(data))])
                self.assert_refused(reply, status)

    def test_a_refused_HEAD_has_no_body(self):
        status, data = BAD["a body of HEAD"]
        raw = self.connect(self.server)
        raw.sendall(data)
        everything = read_all(raw)
        self.assertTrue(everything.startswith(b"HTTP/1.1 %d " % status))
        self.assertTrue(everything.endswith(b"\r\n\r\n"))
        self.assertEqual(everything.count(b"HTTP/1.1"), 1)

    def test_a_refusal_behind_a_HEAD_has_its_body(self):
        connection = self.connect(self.server)
        connection.sendall(b"HEAD /ready HTTP/1.1\r\n" + HOST + b"\r\n\x16\x03")
        first, refusal = read_all(connection).split(b"HTTP/1.1 ")[1:]
        self.assertTrue(first.startswith(b"200") and first.endswith(b"\r\n\r\n"))
        self.assert_refused(replies_in(b"HTTP/1.1 " + refusal)[0], 400)

    def test_good_requests_in_front_are_answered_first(self):
        for name in ("two lengths", "bare LF", "a long header", "gzip", "chunk 0x2", "a long body"):
            status, data = BAD[name]
            with self.subTest(name):
                replies = self.send(self.server, GET + b"\r\n" + SECOND + data)
                self.assertEqual([reply[0] for reply in replies], [200, 200, status])
                self.assert_refused(replies[2], status)

    def test_a_request_that_waits_is_answered_before_a_refusal(self):
        server = self.serve("--writable", files={"p.yaml": prompt("hello")})
        body = json.dumps({"prompt_id": "new", "prompt_template": "x"}).encode()
        post = (b"POST /prompts HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body)
        replies = self.send(server, post + b"GET / HTTP/9.9\r\n\r\n")
        self.assertEqual([reply[0] for reply in replies], [200, 505])

    def test_rare_but_legal(self):
        body = b'{"variables": {}}'
        length = b"Content-Length: %d\r\n" % len(body)
        good = {
            "chunk extensions": CHUNKED + b"6;a=b\r\n" + body[:6] + b"\r\nB ;x=\"y;\"\r\n" + body[6:] + b"\r\n0;q\r\n\r\n",
            "trailers": CHUNKED + b"11\r\n" + body + b"\r\n0\r\nX-Trailer: Host: evil\r\n\r\n",
            "one byte a chunk": CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n",
            "empty lines in front": b"\r\n\r\n" + RENDER + length + b"\r\n" + body,
            "lower case names": RENDER.replace(b"Host", b"hOST") + length.lower() + b"\r\n" + body,
            "absolute form": RENDER.replace(b"/prompts", b"http://127.0.0.1/prompts") + length + b"\r\n" + body,
            "HTTP/1.0": RENDER.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Connection: keep-alive\r\n" + length + b"\r\n" + body,
            "close": RENDER + b"Connection: close\r\n" + length + b"\r\n" + body,
        }
        for name, data in good.items():
            for pieces in ([data], [data[i:i + 1] for i in range(len(data))]):
                with self.subTest(name, pieces=len(pieces)):
                    closing = b"" if name in ("close", "absolute form") else GET + b"Connection: close\r\n\r\n"
                    replies = self.send(self.server, *pieces, closing)
                    self.assertEqual([reply[0] for reply in replies], [200] * (1 + (closing != b"")))
                    self.assertEqual(json.loads(replies[0][2])["messages"][0]["content"], "hello")

    def test_a_thousand_pipelined_requests(self):
        replies = self.send(self.server, (GET + b"\r\n") * 999 + GET + b"Connection: close\r\n\r\n")
        self.assertEqual([reply[0] for reply in replies], [200] * 1000)

    def test_expect_100_continue(self):
        for front in (b"", GET + b"\r\n"):
            connection = self.connect(self.server)
            connection.sendall(front + RENDER + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            data = b""
            while b"100 Continue\r\n\r\n" not in data:
                data += connection.recv(65536)
            connection.sendall(b"{}" + GET + b"Connection: close\r\n\r\n")
            data = data.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"") + read_all(connection)
            self.assertEqual([reply[0] for reply in replies_in(data)], [200] * (2 + (front != b"")))

    def test_no_100_for_a_body_that_is_too_long(self):
        reply, = self.send(self.server, RENDER + b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
        self.assert_refused(reply, 413)

    def test_half_closed_clients_get_all_replies(self):
        server = self.serve(files={"p.yaml": prompt("x" * 900000)})
        for data, statuses in ((SECOND, [200]), (SECOND * 5 + GET + b"\r\n", [200] * 6),
                               (GET + b"\r\n" + BAD["gzip"][1], [200, 501])):
            connection = self.connect(server)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            replies = replies_in(read_all(connection))
            self.assertEqual([reply[0] for reply in replies], statuses)
            self.assertEqual([len(reply[2]) for reply in replies],
                             [int(reply[1]["Content-Length"]) for reply in replies])

    def test_the_client_may_ask_to_close(self):
        for value in (b"close", b"Close", b"TE, close", b"keep-alive,close , x", b"\tclose"):
            replies = self.send(self.server, GET + b"Connection: " + value + b"\r\n\r\n" + SECOND)
            self.assertEqual([reply[0] for reply in replies], [200])
            self.assertEqual(replies[0][1]["Connection"], "close")

    def test_the_absolute_form_says_that_it_closes(self):
        replies = self.send(self.server, b"GET http://127.0.0.1/ready HTTP/1.1\r\n" + HOST + b"\r\n" + SECOND)
        self.assertEqual([(reply[0], reply[1]["Connection"]) for reply in replies], [(200, "close")])

    def test_the_absolute_form_says_so_to_who_speaks_of_proxies_too(self):
        proxy = b"Proxy-Connection: close\r\nProxy-Connection: close\r\n"
        replies = self.send(self.server, b"GET http://127.0.0.1/ready HTTP/1.1\r\n" + HOST + proxy + b"\r\n" + SECOND)
        self.assertEqual([(reply[0], reply[1].get("Connection")) for reply in replies], [(200, "close")])

    def test_HTTP_1_0_is_told_one_thing_of_the_connection(self):
        for target, value in ((b"http://127.0.0.1/ready", b"keep-alive"), (b"/ready", b"keep-alive, close")):
            replies = self.send(self.server, b"GET " + target + b" HTTP/1.0\r\n" + HOST + b"Connection: " + value +
                                b"\r\n\r\n" + SECOND)
            self.assertEqual([(reply[0], reply[1]["Connection"]) for reply in replies], [(200, "close")])

    def test_tabs_in_front_of_values(self):
        server = self.serve("--dev", files={"p.yaml": prompt("hello")})
        reply, = self.send(server, b"GET /prompts/p HTTP/1.1\r\nHost:\t127.0.0.1\r\nAuthorization:\tBearer "
                           b"test-token-12345\r\nConnection:\tclose\r\n\r\n")
        self.assertEqual(reply[0], 200)

    def test_OPTIONS(self):
        for target, allow in (("/prompts", "GET, HEAD, POST, OPTIONS"), ("/ready", "GET, HEAD, OPTIONS"),
                              ("*", "GET, HEAD, POST, OPTIONS"), ("/prompts/p/render", "POST, OPTIONS")):
            reply, = self.send(self.server, f"OPTIONS {target} HTTP/1.1\r\n".encode() + HOST +
                               b"Connection: close\r\n\r\n")
            self.assertEqual((reply[0], reply[1]["Allow"], reply[2]), (204, allow, b""))

    def test_the_host_of_an_URL_counts(self):
        reply, = self.send(self.server, b"GET http://evil.example/prompts/p HTTP/1.1\r\n" + HOST +
                           b"Connection: close\r\n\r\n")
        self.assertEqual(reply[0], 403)

    def test_pages_of_other_sites_may_not_write(self):
        body = b'{"prompt_id": "new", "prompt_template": "x"}'
        write = (b"POST /prompts HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n" % len(body))
        server = self.serve("--writable", files={"p.yaml": prompt("hello")})
        for origin in (b"http://evil.example", b"null", b"http://127.0.0.1:1", b"file://127.0.0.1", b""):
            reply, = self.send(server, write + b"Origin: " + origin + b"\r\n\r\n" + body)
            self.assertEqual(reply[0], 403, reply)
            self.assertIn("is another site", json.loads(reply[2])["detail"])
            reply, = self.send(server, RENDER + b"Connection: close\r\nContent-Length: 2\r\nOrigin: " + origin +
                               b"\r\n\r\n{}")
            self.assertEqual(reply[0], 200, "reading is no writing")
        reply, = self.send(server, write + b"Origin: http://127.0.0.1\r\n\r\n" + body)
        self.assertEqual(reply[0], 200)

    def test_a_long_body_is_read_to_its_end_so_that_the_refusal_arrives(self):
        for _ in range(20):
            reply, = self.send(self.server, *BAD["a long body"][1:])
            self.assert_refused(reply, 413)


class Deadlines(GateTest):
    def drip(self, server, start, piece):
        """Send a start, and then a piece again and again until the other side ends. Returns all that came,
        and how long it took."""
        connection = self.connect(server)
        connection.sendall(start)
        connection.settimeout(0.05)
        begun, data = time.monotonic(), b""
        while time.monotonic() < begun + DEADLINE:
            try:
                received = connection.recv(65536)
                if not received:
                    return data, time.monotonic() - begun
                data += received
            except TimeoutError:
                pass
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
        raise AssertionError("the connection is still open")

    def test_each_is_for_all_of_its_part(self):
        server = self.serve("--head-timeout", "600ms", "--body-timeout", "900ms", "--idle-timeout", "700ms",
                            files={"p.yaml": prompt("hello")})
        head = self.drip(server, b"GET /ready HTTP/1.1\r\n" + HOST, b"X: y\r\n")
        body = self.drip(server, RENDER + b"Content-Length: 9999\r\n\r\n", b" ")
        chunks = self.drip(server, CHUNKED, b"1\r\n \r\n")
        for (data, took), at_least in ((head, 0.6), (body, 0.9), (chunks, 0.9)):
            reply, = replies_in(data)
            self.assertEqual(reply[0], 408)
            self.assertIn("took too long", json.loads(reply[2])["detail"])
            self.assertGreaterEqual(took, at_least - 0.05)
        for start, replies in ((b"", 0), (GET + b"\r\n", 1)):
            data, took = self.drip(server, start, b"")
            self.assertEqual([reply[0] for reply in replies_in(data)], [200] * replies)
            self.assertGreaterEqual(took, 0.55)

    def ask_much(self, server):
        """A connection whose client asks for more than it has room for."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(SECOND * 50)
        return connection

    def test_a_client_that_reads_nothing(self):
        server = self.serve("--reply-timeout", "700ms", files={"p.yaml": prompt("x" * 300000)})
        connection = self.ask_much(server)
        wait_until(lambda: self.connections_of(server) == 1, "promptd holds the connection")
        wait_until(lambda: self.connections_of(server) == 0, "it was given up")

    def test_a_client_that_reads_on_and_on(self):
        """The time is for the whole reply, not from one byte to the next."""
        server = self.serve("--reply-timeout", "700ms", files={"p.yaml": prompt("x" * 500000)})
        connection = self.ask_much(server)
        wait_until(lambda: connection.recv(100) and self.connections_of(server) == 0, "it was given up")

    def test_readers_of_long_lists_are_not_too_many(self):
        """What is not shared with other replies takes so much memory and no more."""
        description = "d" * 900000
        server = self.serve("--workers", "1", files={f"p{i}.yaml": prompt("x", description=description)
                                                     for i in range(8)})
        slow = [self.connect(server) for _ in range(12)]
        for connection in slow:
            connection.sendall(b"GET /prompts HTTP/1.1\r\n" + HOST + b"\r\n")
        wait_until(lambda: server.get("/prompts").status == 503, "there are too many")
        self.assertEqual(server.litellm("p1").status, 200)
        for connection in slow:
            connection.close()
        wait_until(lambda: server.get("/prompts").status == 200, "it has room again")

    def test_the_time_that_an_answer_takes_is_not_the_readers(self):
        strace_works(self)
        server = self.serve("--reply-timeout", "200ms", files={"p.yaml": prompt("x")})
        with injected(server, (["getdents64"], "delay_enter=2s:when=1")):
            self.assertEqual(server.request("POST", "/-/reload").status, 200)

    @staticmethod
    def connections_of(server):
        """How many connections promptd has but for the one that asks."""
        [line] = [line for line in server.get("/metrics").body.decode().splitlines()
                  if line.startswith("promptd_http_connections ")]
        return int(float(line.split()[1])) - 1

    def skip_with_sanitizers(self):
        with open(os.environ["PROMPTD"], "rb") as file:
            program = file.read()
        if b"__asan_init" in program or b"__tsan_init" in program:
            self.skipTest("a sanitizer keeps freed memory: the other builds tell how much is used")

    def test_a_client_that_asks_and_never_reads(self):
        self.skip_with_sanitizers()
        server = self.serve(files={"p.yaml": prompt("x" * 100000)})
        connection = self.connect(server)
        connection.settimeout(1)
        sent, before = 0, self.memory_of(server)
        with self.assertRaises(TimeoutError):  # it is not read any further
            for _ in range(3000):
                sent += connection.send(SECOND * 1000)
        self.assertLess(sent, 32 * 1024 * 1024)
        self.assertLess(self.memory_of(server) - before, 16 * 1024 * 1024)
        connection.settimeout(DEADLINE)
        received = 0
        while received < 20000000:  # and then it goes on
            received += len(connection.recv(1 << 20))

    def test_a_body_in_small_pieces_takes_no_more_memory(self):
        self.skip_with_sanitizers()
        server = self.serve("--writable", files={"p.yaml": prompt("hello")})
        connection = self.connect(server)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(RENDER + b"Content-Length: 200000\r\n\r\n")
        before = self.memory_of(server)
        for _ in range(100000):
            connection.send(b" ")
        self.assertLess(self.memory_of(server) - before, 8 * 1024 * 1024)

    @staticmethod
    def memory_of(server):
        with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_slow_clients_take_nothing_from_others(self):
        times = [word for name in ("head", "body", "idle") for word in (f"--{name}-timeout", "2s")]
        server = self.serve(*times, files={"p.yaml": prompt("hello")})
        starts = [b"GET /ready HTTP/1.1\r\nX", RENDER + b"Content-Length: 1000\r\n\r\n ", SECOND * 20]
        slow = [self.connect(server) for _ in range(300)]
        for number, connection in enumerate(slow):
            connection.sendall(starts[number % len(starts)])
        for _ in range(100):
            self.assertEqual(server.get("/prompts/p").status, 200)
        wait_until(lambda: self.connections_of(server) == 0, "all of them were given up")


class Draining(GateTest):
    def test_requests_that_have_begun_are_answered(self):
        server = self.serve(files={"p.yaml": prompt("hello")})
        body = b'{"variables": {}}'
        half = self.connect(server)
        half.sendall(RENDER + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        head = self.connect(server)
        head.sendall(b"GET /ready HTT")
        many = self.connect(server)
        many.sendall(SECOND * 200)
        many.recv(1)
        wait_until(lambda: server.get("/ready").status == 200, "what was sent has arrived")
        server.signal(signal.SIGTERM)
        wait_until(lambda: [m for m in server.messages() if m == "stopping"], "it stops")
        half.sendall(body[5:])
        head.sendall(b"P/1.1\r\n" + HOST + b"\r\n")
        self.assertEqual(replies_in(read_all(half))[0][0], 200)
        self.assertEqual(replies_in(read_all(head))[0][0], 503, "not ready any more")
        replies = replies_in(b"H" + read_all(many))
        self.assertEqual([reply[0] for reply in replies], [200] * 200)
        self.assertEqual(server.wait_for_exit(), 0)


    def test_a_new_connection_has_time_for_its_request(self):
        server = self.serve("--workers", "1", files={"p.yaml": prompt("hello")})
        server.freeze()
        young = self.connect(server)
        server.signal(signal.SIGTERM)
        server.thaw()
        wait_until(lambda: [m for m in server.messages() if m == "stopping"], "it stops")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 0.2, "longer than it takes to see nothing is under way")
        young.sendall(SECOND)
        self.assertEqual(replies_in(read_all(young))[0][0], 200)
        self.assertEqual(server.wait_for_exit(), 0)


class Limits(GateTest):
    def test_more_connections_than_there_may_be_wait(self):
        server = self.serve("--max-connections", "4", "--workers", "1", files={"p.yaml": prompt("hello")})
        held = [self.connect(server) for _ in range(4)]
        for connection in held:
            connection.sendall(GET)  # and its end is to come
        late = self.connect(server)
        late.sendall(GET + b"Connection: close\r\n\r\n")
        late.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            late.recv(65536)
        held[0].close()
        self.assertEqual(replies_in(read_all(late))[0][0], 200)

    def test_idle_ones_make_room(self):
        server = self.serve("--max-connections", "4", "--workers", "1", files={"p.yaml": prompt("hello")})
        idle = []
        for _ in range(4):
            idle.append(self.connect(server))
            idle[-1].sendall(SECOND)
            self.assertTrue(idle[-1].recv(65536))
        for _ in range(10):
            with self.connect(server) as connection:
                connection.sendall(SECOND)
                self.assertTrue(connection.recv(65536))
        self.assertEqual(idle[0].recv(1), b"", "the one that was idle for longest")

    def test_a_queue_of_connections_is_not_taken_at_once(self):
        look_inside(self)
        server = self.serve("--max-connections", "8", "--workers", "1", files={"p.yaml": prompt("hello")})
        server.freeze()
        held = [self.connect(server) for _ in range(100)]
        before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        server.thaw()
        wait_until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) > before, "some are taken")
        held[-1].sendall(GET + b"\r\n")
        self.assertLessEqual(len(os.listdir(f"/proc/{server.process.pid}/fd")), before + 8)
        for connection in held[:-1]:
            connection.close()
        self.assertIn(b"200 OK", held[-1].recv(65536))

    def test_refused_clients_that_stay_are_not_too_many(self):
        look_inside(self)
        server = self.serve("--max-connections", "16", "--workers", "1", files={"p.yaml": prompt("hello")})
        before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        held = []
        for _ in range(100):
            held.append(self.connect(server))
            held[-1].sendall(b"{}\r\n\r\n")
            self.assertIn(b" 400 ", held[-1].recv(65536))
        self.assertLessEqual(len(os.listdir(f"/proc/{server.process.pid}/fd")), before + 16)

    def test_no_descriptor_is_left(self):
        wrapper = ["/bin/sh", "-c", "ulimit -n 40; exec \"$@\"", "sh"]
        server = self.serve("--max-connections", "1000", "--workers", "1", wrapper=wrapper,
                            files={"p.yaml": prompt("hello")})
        held = [self.connect(server) for _ in range(60)]
        wait_until(lambda: [m for m in server.messages() if "no descriptor is left" in m], "it is said")
        before, lines = self.cpu_ticks(server), len(server.lines)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 2, "two seconds go by")
        used = (self.cpu_ticks(server) - before) / os.sysconf("SC_CLK_TCK")
        self.assertLess(used, 0.2)  # of two seconds
        self.assertLess(len(server.lines) - lines, 20)
        for connection in held:
            connection.close()
        wait_until(lambda: server.get("/ready").status == 200, "it accepts again")

    @staticmethod
    def cpu_ticks(server):
        with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    unittest.main()
