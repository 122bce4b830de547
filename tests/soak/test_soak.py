"""Everything at once, for a long time: edits, writes, faults, hostile clients; and good ones, none of whom may see a wrong
answer. Behind it all, descriptors and memory are back where they were."""
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import ssl
import subprocess
import threading
import time
import unittest

from promptd import DEADLINE, binary, litellm_path, pause, wait_until
from churn import Churn, Load
from hostile import attack
from support import LiveTest, injected, is_whole, rev_of, signed_files, strace_works, write_files
from test_tls import make_certificate
from test_tokens import entry

SECONDS = float(os.environ.get("PROMPTD_SOAK") or 60)
NAMES = [f"p{i}" for i in range(20)]
TOKENS = entry("good", "good") + entry("all", "all", rights=["read", "write", "admin"])
FAULTS = ((["openat"], "error=EACCES:when=2+3"), (["read"], "error=EIO:when=1+4"), (["getdents64"], "error=EIO:when=1+3"),
          (["statx"], "error=EIO:when=2+5"), (["inotify_add_watch"], "error=ENOSPC"), (["fsync"], "error=EIO"),
          (["openat"], "error=EMFILE:when=1+2"), (["write"], "error=ENOSPC:when=1+2"))


def is_of(text, prompt_id):
    """Whether a text is whole, and that of the prompt that was asked for: "git/p1" is one of the sets one and two."""
    folder, name = prompt_id.split("/")
    revs = {"git": "ot", "map": "m", "loose": "le"}[folder]
    return is_whole(text) and rev_of(text)[0] in revs and text.split("\n")[0].split(" ")[2] == name


WRITING = (["fsync"], ["write"])  # which only the server that is written to does


class GoodLoad(Load):
    """Readers with a token, who keep their connections."""

    def ask(self, link):
        self.sent += 1
        link.sent = None  # no contract: it would remember every text
        link.asked = self.names[self.sent * 7919 % len(self.names)]
        link.send(f"GET {litellm_path(link.asked)} HTTP/1.1\r\nHost: localhost\r\n"
                  "Authorization: Bearer good\r\n\r\n".encode())

    def take(self, link, since):
        reply = link.read_reply()
        self.times.append(1000 * (time.perf_counter() - since))
        self.failed += reply.status != 200
        self.torn += reply.status == 200 and not is_of(reply.text, link.asked)


class Soak(LiveTest):
    def setUp(self):
        super().setUp()
        strace_works(self)
        self.ended = multiprocessing.Event()
        self.wrong = []
        self.secured = 0
        self.struck = set()
        self.samples = []

    def serve_both(self):
        """A server with tokens that may be written to, and one with TLS, of one directory."""
        directory = self.scratch / "prompts"
        self.churn = Churn(directory, NAMES)
        (self.scratch / "tokens.yaml").write_text(TOKENS, encoding="utf-8")
        (self.scratch / "tokens.yaml").chmod(0o600)
        for name in ("one", "two"):
            make_certificate(self.scratch, name)
        self.swap_certificate("one")
        times = ["--head-timeout", "2s", "--body-timeout", "2s", "--reply-timeout", "3s", "--idle-timeout", "3s",
                 "--workers", "2", "--max-connections", "400"]
        self.server = self.serve("--writable", "--tokens-file", str(self.scratch / "tokens.yaml"), "--audit-log",
                                 str(self.scratch / "audit.log"), *times, directory=directory)
        self.secure = self.serve("--tls-cert", str(self.scratch / "tls.cert"), "--tls-key",
                                 str(self.scratch / "tls.key"), *times, directory=directory)

    def swap_certificate(self, name):
        for kind in ("cert", "key"):
            link = self.scratch / f".{kind}"
            link.symlink_to(f"{name}.{kind}")
            os.replace(link, self.scratch / f"tls.{kind}")

    # What goes on meanwhile; each ends by itself

    def wreak(self):
        """Faults, one at a time, with pauses to get over them."""
        number = 0
        while not self.ended.wait(3):
            number += 1
            fault = FAULTS[number % len(FAULTS)]
            server = random.choice((self.server, self.secure))
            if number % 3 == 0:
                self.strike(self.server if fault[0] in WRITING else server, fault)
            elif number % 3 == 1:
                self.lack_descriptors(server)
            else:
                self.disturb(server, number)

    def strike(self, server, fault):
        """Let calls fail; it may be that none of them was made in that time."""
        with contextlib.suppress(AssertionError):
            with injected(server, fault):
                pause(2)
            self.struck.add(str(fault))

    @staticmethod
    def lack_descriptors(server):
        limit = ["prlimit", "--pid", str(server.process.pid)]
        before = subprocess.check_output([*limit, "--nofile", "--noheadings", "--raw", "-o", "SOFT"], text=True).strip()
        subprocess.run([*limit, f"--nofile={len(os.listdir(f'/proc/{server.process.pid}/fd'))}:"], check=True)
        pause(2)
        subprocess.run([*limit, f"--nofile={before}:"], check=True)

    def disturb(self, server, number):
        server.freeze()
        pause(0.5)
        server.thaw()
        self.swap_certificate(("one", "two")[number % 2])
        (self.scratch / "tokens.yaml").write_text(TOKENS + f"# {number}\n", encoding="utf-8")
        os.replace(self.scratch / "audit.log", self.scratch / "audit.log.1")
        self.server.signal(1)

    def write(self):
        """Create prompts; those that are acknowledged are served."""
        number = 0
        while not self.ended.wait(0.2):
            number += 1
            prompt_id = f"made/p{number}"
            text = f"number {number}"
            path = self.server.directory / f"{prompt_id}.json"
            headers = {"Authorization": "Bearer all"}
            response = self.server.post("/prompts", {"prompt_id": prompt_id, "prompt_template": text}, headers)
            if response.status == 200:
                served = self.server.get(litellm_path(prompt_id), headers)
                if served.status != 200 or served.text != text or not path.exists():
                    self.wrong.append((prompt_id, served))
            elif response.status not in (403, 500, 503, 507):
                self.wrong.append((prompt_id, response))
            path.unlink(missing_ok=True)

    def read_with_tls(self):
        """A good client of the server with TLS, who keeps its connection as long as the certificate."""
        context = ssl.create_default_context()
        for name in ("one", "two"):
            context.load_verify_locations(self.scratch / f"{name}.cert")
        names = self.churn.prompts()
        while not self.ended.is_set():
            connection = http.client.HTTPSConnection("127.0.0.1", self.secure.port, timeout=3 * DEADLINE, context=context)
            for _ in range(20):
                name = random.choice(names)
                connection.request("GET", litellm_path(name))
                reply = connection.getresponse()
                body = json.loads(reply.read())
                if reply.status != 200 or not is_of(body["prompt_template"][0]["content"], name):
                    self.wrong.append((name, reply.status, body))
                self.secured += 1
                pause(0.05)
            connection.close()

    def sample(self):
        begun = time.monotonic()
        while not self.ended.wait(10):
            self.samples.append((round(time.monotonic() - begun), *self.measure(self.server), *self.measure(self.secure)))

    @staticmethod
    def measure(server):
        """(resident KiB, descriptors)."""
        with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024, len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def run_all(self, seconds):
        """All of it for so long, and return what the servers have when it is over and they rest."""
        self.ended.clear()
        self.churn.ended.clear()
        ports = (self.server.port, self.secure.port)
        load = GoodLoad(self.server, self.churn.prompts())
        others = [multiprocessing.Process(target=self.churn.run),
                  *(multiprocessing.Process(target=attack, args=(*ports, self.ended, seed)) for seed in range(3)),
                  *(threading.Thread(target=self.guarded, args=(f,))
                    for f in (self.wreak, self.write, self.read_with_tls, self.sample))]
        for other in others:
            other.start()
        try:
            load.run(seconds)
        finally:
            self.ended.set()
            self.churn.ended.set()
            for other in others:
                other.join()
        self.assertEqual((load.failed, load.torn, self.wrong), (0, 0, []))
        self.assertEqual([other.exitcode for other in others if isinstance(other, multiprocessing.Process)], [0] * 4)
        print(f"{load.sent} good answers in {seconds:.0f} s, {self.secured} with TLS, {len(self.samples)} samples, "
              f"p99 {sorted(load.times)[len(load.times) * 99 // 100]:.1f} ms", flush=True)
        write_files(self.churn.loose, signed_files(NAMES, "end"))
        return [self.rest(server) for server in (self.server, self.secure)]

    def guarded(self, work):
        try:
            work()
        except BaseException as error:  # a thread must not swallow it
            self.wrong.append(repr(error))
            raise

    def rest(self, server):
        """What a server has once every connection is gone and every file is read."""
        descriptors = self.at_rest[server]
        wait_until(lambda: self.measure(server)[1] == descriptors, f"{descriptors} descriptors again", 6 * DEADLINE)
        if server is self.server:
            self.wait_for_all_files(server)
        wait_until(lambda: self.measure(server)[1] == descriptors, f"{descriptors} descriptors again", 6 * DEADLINE)
        return self.measure(server)

    def wait_for_all_files(self, server):
        try:
            wait_until(lambda: self.has_settled(server) and self.status["revision"] == self.revision(),
                       "all is served", 6 * DEADLINE)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status}") from error

    def has_settled(self, server):
        self.status = server.get("/-/status", {"Authorization": "Bearer all"}).json
        return self.status.get("settled")

    def revision(self):
        return subprocess.run([binary(), "revision", "--dir", self.server.directory], check=False, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def test_soak(self):
        self.serve_both()
        self.at_rest = {server: self.measure(server)[1] for server in (self.server, self.secure)}
        warm = self.run_all(SECONDS / 6)
        end = self.run_all(SECONDS * 5 / 6)
        for sample in self.samples[::max(1, len(self.samples) // 30)]:
            print(*sample)
        print(f"{len(self.struck)} kinds of calls failed")
        self.assertTrue(self.struck and self.secured)
        print(f"(KiB, descriptors) of both, at rest: warm {warm}, at the end {end}")
        for (warm_kib, _), (end_kib, _) in zip(warm, end):
            self.assertLess(end_kib, 1.15 * warm_kib + 1024)


if __name__ == "__main__":
    unittest.main()
