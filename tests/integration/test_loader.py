"""Whatever lies in the prompt directory, or is asked for, the loader never hangs, nothing outside is read, and
the good prompts are served."""
import contextlib
import errno
import json
import os
import re
import socket
import stat
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from urllib.parse import quote

from promptd import DEADLINE, LITELLM, binary, clean_environment, prompt, prompt_path, wait_until
from support import (IS_ROOT, SCRATCH, LiveTest, end_process, exchange, is_sanitized,
                     reload_thread, stands_still, start_strace, strace_works)

TEBIBYTE = 1 << 40
SECRET = "the secret of another directory"


def make_sparse(path, size=TEBIBYTE):
    """A file that is huge, but takes no room; the file system may not know such sizes."""
    with open(path, "wb") as file:
        file.write(b"prompt_template: |\n  ")
        for smaller in (size, 1 << 34, 1 << 30):
            try:
                file.truncate(smaller)
                break
            except OSError as error:
                if error.errno != errno.EFBIG:
                    raise


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        short = path.parent / "s"  # the path of a socket is short
        beside = os.getcwd()
        os.chdir(path.parent)
        try:
            listener.bind(short.name)
        finally:
            os.chdir(beside)
        os.rename(short, path)


class LoaderTest(LiveTest):
    def setUp(self):
        super().setUp()
        self.outside = self.scratch / "outside"
        self.outside.mkdir()
        (self.outside / "secret.yaml").write_text(prompt(SECRET), encoding="utf-8")
        os.mkfifo(self.outside / "fifo.yaml")
        make_sparse(self.outside / "huge.yaml")

    def kinds(self):
        """{name: what makes such a thing at a path}"""
        def link(target):
            return lambda path: os.symlink(target, path)

        kinds = {
            "fifo": os.mkfifo,
            "socket": make_socket,
            "huge": make_sparse,
            "to-a-file": link(self.outside / "secret.yaml"),
            "up": link("../outside/secret.yaml"),
            "to-a-fifo": link(self.outside / "fifo.yaml"),
            "to-a-huge-file": link(self.outside / "huge.yaml"),
            "to-a-device": link("/dev/zero"),
            "to-a-process": link("/proc/self/environ"),
            "to-itself": link("to-itself.yaml"),
        }
        if IS_ROOT:
            kinds["device"] = lambda path: os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
        else:
            kinds["unreadable"] = lambda path: os.close(os.open(path, os.O_CREAT, 0))
        return kinds

    def make_all(self):
        """The directory with a good prompt and one thing of every kind; returns their file names."""
        directory = self.scratch / "prompts"
        directory.mkdir()
        (directory / "good.yaml").write_text(prompt("good"), encoding="utf-8")
        os.symlink(self.outside, directory / "folder")
        for name, make in self.kinds().items():
            make(directory / f"{name}.yaml")
        (directory / "new\nline.yaml").write_text(prompt("x"), encoding="utf-8")
        return [f"{name}.yaml" for name in self.kinds()]

    def assert_nothing_leaked(self, server):
        for path in ("/prompts", "/health", "/-/status?files=all", prompt_path("up"),
                     prompt_path("folder/secret")):
            self.assertNotIn(SECRET.encode(), server.get(path).body)


class Directories(LoaderTest):
    def test_whatever_is_there_at_the_start(self):
        names = self.make_all()
        os.symlink("..", self.scratch / "prompts/above")
        os.symlink("/", self.scratch / "prompts/root")
        server = self.serve()
        self.assertEqual(server.served(), {"good": "good"})
        problems = server.problems()
        for name in [*names, "folder", "above", "root", "new\nline.yaml"]:
            self.assertTrue([p for p in problems if name in p], name)
        self.assert_nothing_leaked(server)
        server.write("good.yaml", prompt("edited"))
        server.wait_for_text("good", "edited")

    def test_the_commands_end_too(self):
        self.make_all()
        for command, status in (("check", 1), ("list", 0), ("revision", 0)):
            done = subprocess.run([binary(), command, "--dir", str(self.scratch / "prompts")],
                                  capture_output=True, check=False, env=clean_environment(),
                                  timeout=3 * DEADLINE)
            self.assertEqual(done.returncode, status, done)
            self.assertNotIn(SECRET.encode(), done.stdout + done.stderr)

    def test_whatever_takes_the_place_of_a_good_file(self):
        kinds = self.kinds()
        files = {f"{name}.yaml": prompt(f"good {name}") for name in kinds}
        server = self.serve("--settle", "100ms", files={**files, "good.yaml": prompt("good")})
        for number, (name, make) in enumerate(kinds.items()):
            with self.subTest(name):
                beside = server.path(f".{name}")
                make(beside)
                os.rename(beside, server.path(f"{name}.yaml"))
                server.wait_for_problem(f"{name}.yaml")
                self.assertEqual(server.text_of(name), f"good {name}")
                server.write("good.yaml", prompt(f"edit {number}"))
                server.wait_for_text("good", f"edit {number}")
        self.assert_nothing_leaked(server)

    def test_links_may_lead_anywhere_but_to_what_is_no_file(self):
        self.make_all()
        server = self.serve("--follow-links", "anywhere")
        served = server.served()
        self.assertEqual(served["up"], SECRET)
        for name in ("to-a-fifo", "to-a-huge-file", "to-a-device", "folder/fifo", "to-itself"):
            self.assertNotIn(name, served)
        server.write("good.yaml", prompt("edited"))
        server.wait_for_text("good", "edited")

    def test_a_huge_file_is_not_read_whole(self):
        if is_sanitized():
            self.skipTest("a sanitizer's memory is not the program's: test a build without")
        self.make_all()
        server = self.serve()
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
        self.assertLess(int(peak[1]), 64 * 1024)

    def reload_changed(self, server, text, *faults):
        """Change p.yaml and ask for a look. Yields once strace watches what is done with that name, and
        then its log."""
        with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
            process = start_strace(["-o", log.name, "-P", "p.yaml", "-e", "trace=statx,openat", *faults,
                                    "-p", str(reload_thread(server))])
            try:
                server.replace("p.yaml", prompt(text))
                answers = []
                asker = threading.Thread(target=lambda: answers.append(server.reload().status))
                asker.start()
                yield
                asker.join()
            finally:
                end_process(process)
            self.assertIn(answers[0], (200, 422))  # a look that hangs is a 503
            yield Path(log.name).read_text(encoding="utf-8")

    def test_a_file_that_becomes_a_fifo_just_before_it_is_opened(self):
        strace_works(self)
        server = self.serve("--watch", "poll", "--poll", "10m",  # no event gives it away
                            files={"p.yaml": prompt("file"), "good.yaml": prompt("good")})
        server.wait_settled()
        *_, log = self.reload_changed(server, "changed")
        before = log[:log.index("openat")].count("statx")
        freeze = "-e", f"inject=statx:signal=SIGSTOP:when={before}"
        os.mkfifo(server.path(".fifo"))
        steps = self.reload_changed(server, "changed again", *freeze)
        next(steps)
        wait_until(lambda: stands_still(server), "the server stands still")
        exchange(server.path(".fifo"), server.path("p.yaml"))
        server.thaw()
        self.assertIn("openat", next(steps).partition("SIGSTOP")[2])
        self.assertEqual(server.text_of("p"), "changed")
        server.write("good.yaml", prompt("edited"))
        self.assertEqual(server.reload().status, 422)
        self.assertEqual(server.text_of("good"), "edited")


class Requests(LoaderTest):
    WAYS = ["../outside/secret", "../outside/secret.yaml", "../../etc/passwd", "/etc/passwd", "folder/secret",
            "folder/secret.yaml", "up", "good.yaml", "./good", "good/../good", "..\\outside\\secret",
            "good\0.yaml", "..", ".", "", "proc/self/environ", "~root", "file:///etc/passwd"]

    def targets(self):
        """Ways out of the directory, in all encodings of a path and of a query."""
        for way in self.WAYS:
            encodings = {quote(way, safe="/"), quote(way, safe=""), quote(way, safe="").lower(),
                         quote(way, safe="/").replace(".", "%2e"), quote(quote(way, safe=""))}
            for encoded in sorted(encodings):
                for verb in ("", "/variables"):
                    yield f"/prompts/{encoded}{verb}"
                yield f"{LITELLM}?prompt_id={encoded}"
                yield f"{LITELLM}?prompt_id=good&version={encoded}"
                yield f"{LITELLM}?slug={encoded}&project_name={encoded}"
                yield f"/prompts?cursor={encoded}"
                yield f"/{encoded}"

    @contextlib.contextmanager
    def opening_nothing(self, server):
        """No thread that answers requests names a file in the block."""
        tasks = {int(path.name) for path in Path(f"/proc/{server.process.pid}/task").iterdir()}
        others = tasks - {reload_thread(server)}
        with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
            process = start_strace(["-o", log.name, "-e", "trace=%file,?openat2",
                                    *(f"-p{thread}" for thread in others)])
            try:
                yield
            finally:
                end_process(process)
            self.assertEqual(Path(log.name).read_text("utf-8", "replace"), "")

    def test_no_request_leads_to_a_file(self):
        strace_works(self)
        self.make_all()
        server = self.serve()
        server.wait_settled()
        with self.opening_nothing(server):
            for target in self.targets():
                request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                answer = server.raw(request.encode())[0]
                self.assertIn(answer.status, (200, 400, 404, 422), target)
                self.assertNotIn(SECRET.encode(), answer.body)
                self.assertNotIn(b"root:", answer.body)
                if "%00" in target and not target.startswith("/good"):
                    self.assertEqual(answer.status, 400, target)
        self.assertEqual(server.text_of("good"), "good")


class Many(LiveTest):
    """So many files that they are parsed by several threads, where there are several CPUs."""
    COUNT = 400

    def text_of(self, number):
        if number % 5 == 4:
            return json.dumps({"prompt_template": f"text {number}"})
        if number % 9 == 1:
            return "prompt_templat: a bad key\n"
        if number % 11 == 2:
            return prompt(f"text {number}", version="no") + "# promptd: ignore nothing\n"
        if number % 13 == 3:
            return prompt(f"text {number}", prompt_id="claimed")
        return prompt(f"text {number} for {{name}}", labels=["production"])

    def write_all(self):
        for number in range(self.COUNT):
            path = self.scratch / "many" / f"d{number % 7}" / f"p{number}.{'json' if number % 5 == 4 else 'yaml'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text_of(number), encoding="utf-8")

    def told_on(self, cpus):
        """All that the commands tell of the files when they may use those CPUs."""
        def run(*arguments):
            done = subprocess.run([binary(), *arguments, str(self.scratch / "many")], capture_output=True, text=True,
                                  timeout=DEADLINE, env=clean_environment(), check=False,
                                  preexec_fn=lambda: os.sched_setaffinity(0, cpus))
            return done.returncode, done.stdout, done.stderr
        return [run("check", "--format", "json"), run("list", "--dir"), run("revision", "--dir")]

    def test_as_many_threads_as_there_are_tell_the_same(self):
        cpus = os.sched_getaffinity(0)
        if len(cpus) == 1:
            self.skipTest("there is one CPU: nothing is parsed beside anything else")
        self.write_all()
        told = self.told_on(cpus)
        self.assertEqual([status for status, _, _ in told], [1, 0, 0], told)
        self.assertIn("claimed", told[0][1])
        self.assertGreater(len(told[1][1].splitlines()), self.COUNT // 2)
        self.assertEqual(told, self.told_on({min(cpus)}))


if __name__ == "__main__":
    unittest.main()
