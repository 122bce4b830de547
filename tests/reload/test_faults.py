"""System calls that fail while files change: the server serves what it has, and gets over it."""
import os
import shutil
import unittest

from promptd import Observer, pause, wait_until
from support import (LONG, LiveTest, Watched, injected, signed_files, signed_texts, stop_tracing,
                     strace_works, traced_from_the_start, write_files)

NAMES = ["p", *(f"d{i}/p{j}" for i in range(4) for j in range(4)), "linked"]
# Which calls of the reload thread fail: each second one from the second on, or all of them, …
PATTERNS = (":when=2+2", "", ":when=1+3", ":when=3+5")
HEALED = 90.0  # seconds in which what failed for want of something is tried again


class FaultTest(LiveTest):
    def setUp(self):
        super().setUp()
        strace_works(self)
        self.number = 0

    def serve_set(self, *args, **kwargs):
        """A server that looks by the clock too, with a link and some directories to look into."""
        files = signed_files(NAMES, "r0")
        files[".store/linked.txt"] = files.pop("linked.yaml")
        write_files(self.scratch / "prompts", files)
        os.symlink(".store/linked.txt", self.scratch / "prompts/linked.yaml")
        server = self.serve("--poll", "200ms", *args, **kwargs)
        return server

    def change(self, server):
        """Give all files a new text, some in place, some by a rename; make and remove others."""
        self.number += 1
        rev = f"r{self.number}"
        files = signed_files(NAMES, rev)
        files[".store/linked.txt"] = files.pop("linked.yaml")
        for number, (path, text) in enumerate(files.items()):
            (server.replace if number % 2 else server.write)(path, text)
        shutil.rmtree(server.path("moved"), ignore_errors=True)
        if server.path("new").exists():
            os.rename(server.path("new"), self.scratch / f"out{self.number}")
        write_files(server.path("gone"), signed_files(["x"], rev))
        os.rename(server.path("gone"), server.path("moved"))
        write_files(server.directory, signed_files(["new/deep/y"], rev))
        return {**signed_texts(NAMES, rev), "moved/x": signed_texts(["x"], rev)["x"],
                **signed_texts(["new/deep/y"], rev)}

    def check_faults(self, server, names, what):
        """Readers see whole prompts all the time, and the last ones soon after the faults end."""
        with Watched(self, server, NAMES, NAMES), \
                Observer(server, "/ready", lambda r: r.status) as ready:
            with injected(server, (names, what)):
                for _ in range(3):
                    self.change(server)
                    pause(0.15)
            expected = self.change(server)
            server.wait_for_served(expected, HEALED)
            wait_until(lambda: server.problems() == [], "the problems are gone", HEALED)
        self.assertEqual(ready.answers, [200])

    def check_table(self, names, errors):
        """Every error in every pattern, or, day by day, in one of the first two."""
        server = self.serve_set()
        server.wait_for_served(signed_texts(NAMES, "r0"))
        for number, error in enumerate(errors):
            for pattern in PATTERNS if LONG else [PATTERNS[number % 2]]:
                with self.subTest(error=error, pattern=pattern):
                    self.check_faults(server, names, f"error={error}{pattern}")
        self.check_sight(server)

    def check_sight(self, server):
        """In the end inotify sees everything again."""
        server.wait_for_status(
            lambda s: s["watch"]["mode"] == "inotify" and not s["watch"]["blind"],
            "inotify is back", HEALED)


class Looks(FaultTest):
    def test_opening_fails(self):
        self.check_table(["openat", "openat2"],
                         ("EIO", "EIO", "ENOMEM", "EMFILE", "EINTR", "EACCES"))

    def test_what_a_name_is_cannot_be_told(self):
        self.check_table(["statx", "newfstatat", "fstatat64", "fstat", "lstat", "stat"],
                         ("EIO", "EIO", "ENOMEM", "EINTR"))

    def test_listing_fails(self):
        self.check_table(["getdents64"], ("EIO", "EIO", "ENOMEM", "ENOENT"))

    def test_reading_fails(self):
        self.check_table(["read", "pread64"], ("EIO", "EIO", "ENOMEM", "EINTR"))

    def test_reading_a_link_fails(self):
        self.check_table(["readlinkat", "readlink"], ("EIO", "ENOMEM", "EACCES", "EIO"))


class Events(FaultTest):
    def test_waiting_fails(self):
        self.check_table(["poll", "ppoll", "epoll_wait", "epoll_pwait"], ("EINTR", "ENOMEM"))

    def test_watches_are_refused(self):
        self.check_table(["inotify_add_watch"], ("ENOSPC", "ENOSPC", "ENOMEM", "EACCES"))

    def test_watches_cannot_be_removed(self):
        self.check_table(["inotify_rm_watch"], ("EINVAL", "EINVAL"))

    def test_inotify_is_not_to_be_had_at_first(self):
        server = self.serve_set(wrapper=traced_from_the_start(
            ["-o", "/dev/null", "-e", "trace=inotify_init1", "-e",
             "inject=inotify_init1:error=EMFILE:when=1"]))
        server.wait_for_served(signed_texts(NAMES, "r0"))
        wait_until(lambda: any("max_user_instances" in line for line in server.log_lines()),
                   "the log tells why it looks by the clock")
        with Watched(self, server, NAMES, NAMES):
            server.wait_for_served(self.change(server))
            self.check_sight(server)
            server.wait_for_served(self.change(server))
        stop_tracing(server)

    def test_the_directory_cannot_be_listed_at_first(self):
        server = self.serve_set(wrapper=traced_from_the_start(
            ["-o", "/dev/null", "-e", "trace=getdents64", "-e",
             "inject=getdents64:error=EIO:when=1..3"]))
        server.wait_for_served(signed_texts(NAMES, "r0"), HEALED)
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        stop_tracing(server)


if __name__ == "__main__":
    unittest.main()
