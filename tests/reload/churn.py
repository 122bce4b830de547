"""Files that change in every way all the time, and connections that ask for them meanwhile."""
import contextlib
import multiprocessing
import selectors
import time
from pathlib import Path

from promptd import litellm_path, pause
from replicas import ConfigMap, Repository
from support import is_whole, signed_files, signed_prompt, write_files

CONNECTIONS = 16
PAUSE = 0.02  # seconds from an answer to the next request of a connection


class Load:
    """Connections that each ask, wait for the answer, and pause."""

    def __init__(self, server, names):
        self.server, self.names = server, names
        self.times, self.failed, self.torn, self.sent = [], 0, 0, 0

    def run(self, seconds):
        with contextlib.ExitStack() as stack:
            chooser = stack.enter_context(selectors.DefaultSelector())
            links = [stack.enter_context(self.server.raw_connection()) for _ in range(CONNECTIONS)]
            now = time.perf_counter()
            due = [(now + PAUSE * i / CONNECTIONS, link) for i, link in enumerate(links)]
            asked = {}
            for link in links:
                chooser.register(link.socket, selectors.EVENT_READ, link)
            end = now + seconds
            while asked or now < end:
                while due and due[0][0] <= now < end:
                    link = due.pop(0)[1]
                    self.ask(link)
                    asked[link] = time.perf_counter()
                wait = due[0][0] - now if due and now < end else 0.1
                for key, _ in chooser.select(max(0, wait)):
                    self.take(key.data, asked.pop(key.data))
                    due.append((time.perf_counter() + PAUSE, key.data))
                now = time.perf_counter()

    def ask(self, link):
        self.sent += 1
        name = self.names[self.sent * 7919 % len(self.names)]
        link.send(f"GET {litellm_path(name)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def take(self, link, since):
        reply = link.read_reply()
        self.times.append(1000 * (time.perf_counter() - since))
        self.failed += reply.status != 200
        self.torn += reply.status == 200 and not is_whole(reply.text)


class Churn:
    """Changes the files of a directory in every way: good, broken and partial files, checkouts, and
    swaps of a ConfigMap."""

    def __init__(self, directory, names):
        self.repository = Repository(directory, "git")
        self.map = ConfigMap(Path(directory, "map"))
        self.loose = Path(directory, "loose")
        self.names, self.round = names, 0
        for rev in ("one", "two"):
            self.repository.commit(signed_files(names, rev), rev)
            self.repository.git("tag", rev)
        self.map.project(signed_files(names, "m0"))
        write_files(self.loose, signed_files(names, "l0"))
        self.ended = multiprocessing.Event()

    def prompts(self):
        return [f"{folder}/{name}" for folder in ("git", "map", "loose") for name in self.names]

    def run(self):
        while not self.ended.is_set():
            self.round += 1
            if self.round % 5 == 0:
                self.repository.git("checkout", "-q", ("one", "two")[self.round % 2])
            if self.round % 5 == 3:
                self.map.project(signed_files(self.names, f"m{self.round}"))
            for i, name in enumerate(self.names):
                self.change(self.loose / f"{name}.yaml", signed_prompt(name, f"l{self.round}"), i)
                pause(0.001)

    def change(self, path, text, number):
        path.write_text(text, encoding="utf-8")
        if number % 10 == 0:
            path.write_text("prompt_template: [broken", encoding="utf-8")
        elif number % 10 == 1:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text[:len(text) // 2])
                file.flush()
                pause(0.005)
                file.write(text[len(text) // 2:])


def load_beside(churn, load, seconds):
    churn.ended.clear()
    process = multiprocessing.Process(target=churn.run)
    process.start()
    try:
        load.run(seconds)
    finally:
        churn.ended.set()
        process.join()
