"""No input costs the server more than a hundred times what it costs who sends it, in memory or in CPU; what is served counts
not."""
import contextlib
import json
import os
import socket
import time
import unittest
from pathlib import Path

from promptd import DEADLINE, ServerTest, prompt
from support import cpu_seconds  # tests/reload
from test_gate import BAD, HOST, RENDER

MOST = 100
MIB = 1024 * 1024
TIMES = 10  # each input is sent so often


def post(path, body):
    return (b"POST %s HTTP/1.1\r\n" % path + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
            len(body) + body)


def get(target, *fields):
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


MOST_VALUES = 9500  # fewer than are refused unread


def members(value="1", key="some-long-key-"):
    return ("{" + ",".join(f'"{key}{i}":{value}' for i in range(MOST_VALUES)) + "}").encode()


# Requests that are well-formed, and as dear as they can be.
DEAR = {
    "a deep body": post(b"/prompts/p/render", b"[" * (MIB - 300)),
    "many members": post(b"/prompts/p/render", b'{"variables":' + members() + b"}"),
    "more members": post(b"/prompts/p/render", b"{" + b",".join([b'"a":1'] * 100000) + b"}"),
    "many members of a prompt": post(b"/prompts", members()),
    "one member again and again": post(b"/prompts", b"{" + b",".join([b'"a":1'] * MOST_VALUES) + b"}"),
    "many variables": post(b"/prompts", b'{"prompt_id":"x","prompt_template":"x","variables":' + members("{}")[:400000].rpartition(b",")[0] + b"}}"),
    "many labels": post(b"/prompts", json.dumps({"prompt_id": "x", "prompt_template": "x",
                                                 "labels": [f"l{i}" for i in range(MOST_VALUES)]}).encode()),
    "many messages": post(b"/prompts", json.dumps({"prompt_id": "x", "prompt_template": [{"a": 1}] * (MOST_VALUES // 2)}).encode()),
    "many braces": post(b"/prompts", json.dumps({"prompt_id": "x/", "prompt_template": "{a}{b" * 100000}).encode()),
    "unknown keys like known ones": post(b"/prompts", members(key="prompt_template_mode")),
    "long escapes": post(b"/prompts/p/render", b'{"variables":{"a":"' + b"\\u00e4" * 150000 + b'"}}'),
    "many numbers": post(b"/prompts/p/render", b"[" + b"1e9," * MOST_VALUES + b"1]"),
    "many parameters": get(b"/prompts/p?" + b"a&" * 8000),
    "many known parameters": get(b"/prompts/p?" + b"label=%41&" * 1600),
    "a long id": get(b"/prompts/" + b"%41" * 5000),
    "many segments": get(b"/prompts/" + b"a/" * 8000),
    "many ETags": get(b"/prompts/p", b"If-None-Match: " + b'"0",' * 7500),
    "many fields": get(b"/ready", *[b"X-%d: y" % i for i in range(95)]),
    "a token of all there is": get(b"/prompts", b"Authorization: Bearer " + b"x" * 30000),
}


class Amplification(ServerTest):
    def setUp(self):
        super().setUp()
        program = Path(os.environ["PROMPTD"]).read_bytes()
        if any(name in program for name in (b"__asan_init", b"__tsan_init", b"__gcov_init")):
            self.skipTest("what watches it takes more itself: the other builds tell")
        self.server = self.serve("--writable", "--workers", "1", files={"p.yaml": prompt("Hello {a}")})

    def send(self, data):
        """Send it, wait for the answer, and return the CPU that this has taken here."""
        begun = time.thread_time()
        with socket.create_connection(("127.0.0.1", self.server.port), DEADLINE) as connection:
            with contextlib.suppress(OSError):  # refused before its end
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass
        return time.thread_time() - begun

    def memory(self, key):
        """A figure of /proc/PID/status, in bytes."""
        text = Path(f"/proc/{self.server.process.pid}/status").read_text(encoding="ascii")
        [line] = [line for line in text.splitlines() if line.startswith(key + ":")]
        return int(line.split()[1]) * 1024

    def forget_peak(self):
        Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5", encoding="ascii")

    def test_no_input_takes_more(self):
        for name, data in {**DEAR, **{name: data for name, (_, data) in BAD.items()}}.items():
            with self.subTest(name):
                self.forget_peak()
                resident, cpu = self.memory("VmRSS"), cpu_seconds(self.server)
                sent = sum(self.send(data) for _ in range(TIMES))
                self.assertLess(cpu_seconds(self.server) - cpu, MOST * sent)
                # A buffer or two, and pages that are touched for the first time, are no matter of the input.
                self.assertLess(self.memory("VmHWM") - resident, MOST * len(data) + MIB)
        self.assertEqual(self.server.litellm("p").status, 200)

    def test_floods_are_not_kept(self):
        """Bytes without end, of which none is needed."""
        floods = {"a header": b"GET / HTTP/1.1\r\nX: ", "a body": RENDER + b"Content-Length: 400000000\r\n\r\n",
                  "chunks": RENDER + b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n"}
        for name, start in floods.items():
            with self.subTest(name):
                self.forget_peak()
                resident = self.memory("VmRSS")
                with socket.create_connection(("127.0.0.1", self.server.port), DEADLINE) as connection:
                    connection.settimeout(1)
                    with contextlib.suppress(OSError):
                        connection.sendall(start)
                        for _ in range(100):
                            connection.sendall(b"x" * MIB)
                self.assertLess(self.memory("VmHWM") - resident, 2 * MIB)


if __name__ == "__main__":
    unittest.main()
