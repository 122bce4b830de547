"""Those who ask: wrk for many at once, and one who asks again when answered."""
import contextlib
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

TOKEN_HEADER = "Authorization: Bearer bench"


@dataclass
class Reply:
    status: int
    headers: list  # of (name, value)
    body: bytes
    bytes: bytes  # all of it

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def request_bytes(path, method="GET", headers=(), body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", TOKEN_HEADER, *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Client:
    """One connection, kept."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, request):
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        reply = Reply(int(status.split(" ")[1]), [tuple(line.split(": ", 1)) for line in lines], b"", b"")
        length = 0 if reply.status == 304 else int(reply.header("Content-Length"))
        while len(body) < length:
            body += self.receive()
        reply.body, reply.bytes = body, head + b"\r\n\r\n" + body
        return reply

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        return data

    def repeat(self, request, count, status=200):
        for _ in range(count):
            reply = self.ask(request)
            if reply.status != status:
                raise RuntimeError(f"{status} was wanted: {reply}")


@dataclass
class Load:
    requests: int
    p99_ms: float


UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def parse_wrk(text):
    """What wrk reports; errors are none of it."""
    wrong = re.search(r"(Socket errors|Non-2xx or 3xx responses): .*", text)
    if wrong:
        raise RuntimeError(f"wrk: {wrong[0]}")
    requests = re.search(r"(\d+) requests in ", text)
    p99 = re.search(r"^ +99% +([\d.]+)(us|ms|s|m) *$", text, re.MULTILINE)
    return Load(int(requests[1]), float(p99[1]) * UNITS[p99[2]])


def wrk_command(server, path, seconds, connections=32, headers=(), script=None, arguments=(), cpu=None, threads=1):
    command = ["taskset", "-c", str(cpu)] if cpu is not None else []
    command += ["wrk", "--latency", "--threads", str(threads), "--connections", str(connections), "--duration", f"{seconds}s",
                "--timeout", "30s", "-H", TOKEN_HEADER]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["--script", str(Path(__file__).parent / script)]
    command.append(f"{server.scheme}://127.0.0.1:{server.port}{path}")
    return command + (["--", *map(str, arguments)] if arguments else [])


def wrk(*arguments, **load):
    """Ask a server over so many connections for so long; each asks again as soon as it is answered."""
    command = wrk_command(*arguments, **load)
    return parse_wrk(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@contextlib.contextmanager
def asking(server, path, **load):
    """The same, for as long as the block takes."""
    process = subprocess.Popen(wrk_command(server, path, 3600, **load), stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()
