"""The servers that are measured: each on loopback, with one thread for requests where nothing else is said."""
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from client import Client, request_bytes
from process import cpu_seconds
from prompts import write_prompts

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "build/release"
PEERS = RELEASE / "tools/bench/peers"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")
PROMPTS_D = ROOT / "prompts.d"
TOKEN = "bench"
PROMPT_ID = "hello-world-prompt"
ROUTE = "/beta/litellm_prompt_management"
PATH = f"{ROUTE}?prompt_id={PROMPT_ID}"
ADDRESS = re.compile(r"(https?)://127\.0\.0\.1:(\d+)")
DEADLINE = 60.0

# The last processor is the servers', the first that of those who ask.
CPUS = sorted(os.sched_getaffinity(0))


class Server:
    """A running server; as a context manager it is ended with SIGTERM. Its log is a file that is soon forgotten."""

    def __init__(self, name, command, port=None, env=None, cpus=None):
        self.scheme = "http"
        self.name, self.command, self.port, self.cpus = name, [str(part) for part in command], port, cpus
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("PROMPTD")}, **(env or {})}

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        affinity = ["taskset", "-c", ",".join(map(str, self.cpus))] if self.cpus else []
        self.log = tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self.process = subprocess.Popen([*affinity, *self.command], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log)
        try:
            self.wait_until(self.find_port)
            self.found, self.cpu_when_found = time.perf_counter(), cpu_seconds(self.pid)
            self.wait_until(self.is_listening)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.log.close()
            raise
        return self

    def wait_until(self, predicate):
        while not predicate():
            if self.process.poll() is not None or time.perf_counter() > self.started + DEADLINE:
                raise RuntimeError(f"{self.name} did not start:\n{self.read_log()}")
            time.sleep(0.0002)

    def read_log(self):
        return os.pread(self.log.fileno(), 65536, 0).decode("utf-8", "replace")

    def forget_log(self):
        os.ftruncate(self.log.fileno(), 0)

    def find_port(self):
        """Where it says that it listens; nginx says nothing, and was told."""
        found = None if self.port else ADDRESS.search(self.read_log())
        if found:
            self.scheme, self.port = found[1], int(found[2])
        return self.port

    def is_listening(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except ConnectionRefusedError:
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(DEADLINE)
        self.log.close()

    def client(self):
        return Client(self.port)

    def pin(self, cpus):
        """Keep all its threads on these processors from now on."""
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            os.sched_setaffinity(int(thread), cpus)


def wait_until(predicate, what):
    end = time.monotonic() + DEADLINE
    while not predicate():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {DEADLINE:g} s: {what}")
        time.sleep(0.0005)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cache_folder():
    """Where few names were ever looked up, and no git is: the kernel goes through all that it remembers of a directory when promptd
    begins to watch it, as it does for each on the way to its prompts; of /var/tmp that may be very many."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def let_age():
    """Wait until files that were just written are old enough not to be waited for at a start."""
    time.sleep(1.1)


class Bench:
    """A scratch directory with what the servers need, and the servers."""

    def __init__(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="promptd-bench-", dir=cache_folder()))
        self.scratch.chmod(0o755)
        self.tokens = self.scratch / "tokens.yaml"
        self.tokens.write_text("- " + json.dumps({
            "name": TOKEN, "sha256": [hashlib.sha256(TOKEN.encode()).hexdigest()],
            "rights": ["read", "write", "admin"]}) + "\n", encoding="utf-8")
        self.tokens.chmod(0o600)
        self.prompts = self.scratch / "prompts.d"
        shutil.copytree(PROMPTS_D, self.prompts)
        let_age()
        self.reply = None
        self.corpora = {}

    def __enter__(self):
        with self.promptd() as server, server.client() as client:
            self.reply = client.ask(request_bytes(PATH))
        (self.scratch / "reply").write_bytes(self.reply.bytes)
        (self.scratch / "answer.json").write_bytes(self.reply.body)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.scratch)

    def corpus(self, count, suffix="yaml"):
        """A directory with so many prompts, made once."""
        if (count, suffix) not in self.corpora:
            self.corpora[count, suffix] = self.scratch / f"{count}-{suffix}"
            write_prompts(self.corpora[count, suffix], count, suffix)
            let_age()
        return self.corpora[count, suffix]

    def promptd(self, *options, directory=None, workers=1, wrapper=(), env=None, cpus=None, name="promptd"):
        return Server(name, [*wrapper, RELEASE / "promptd", "--listen", "127.0.0.1:0", "--workers", workers,
                             "--tokens-file", self.tokens, *options, directory or self.prompts], env=env, cpus=cpus)

    def promptd_with_access_log(self, cpus=None):
        return self.promptd("--access-log", cpus=cpus, name="promptd --access-log")

    def promptd_with_tls(self, cpus=None):
        """With a certificate that nobody else signed, which is all the same to wrk."""
        certificate, key = self.scratch / "certificate.pem", self.scratch / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return self.promptd("--tls-cert", certificate, "--tls-key", key, cpus=cpus, name="promptd over TLS")

    def bare_evhttp(self, wrapper=(), cpus=None):
        return Server("bare evhttp", [*wrapper, PEERS / "bare_evhttp", self.scratch / "reply"], cpus=cpus)

    def bare_epoll(self, cpus=None):
        return Server("epoll loop", [PEERS / "bare_epoll", self.scratch / "reply"], cpus=cpus)

    def fastapi(self, cpus=None):
        return Server("FastAPI", [sys.executable, "-m", "uvicorn", "--app-dir", ROOT / "tools/bench/peers",
                                  "--host", "127.0.0.1", "--port", "0", "--no-access-log", "fastapi_server:app"],
                      env={"BENCH_TOKEN": TOKEN, "BENCH_ANSWER": str(self.scratch / "answer.json"),
                           "PYTHONDONTWRITEBYTECODE": "1"}, cpus=cpus)

    def nginx(self, cpus=None):
        """The body as a static file, with those headers of promptd's that are not nginx's own."""
        port, folder = free_port(), self.scratch / "nginx"
        folder.mkdir(exist_ok=True)
        own = {"etag", "content-type", "content-length", "date"}
        headers = "".join(f'add_header {name} "{value}"; ' for name, value in self.reply.headers
                          if name.lower() not in own)
        (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/pid; error_log stderr error; worker_rlimit_nofile 4096;
events {{ worker_connections 4000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; open_file_cache max=100; keepalive_requests 1000000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = {ROUTE} {{
      alias {self.scratch}/answer.json; types {{}} default_type application/json; {headers}
    }}
  }}
}}
""", encoding="utf-8")
        return Server("nginx", [NGINX, "-p", folder, "-c", folder / "nginx.conf"], port=port, cpus=cpus)
