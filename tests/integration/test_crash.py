"""POST /prompts meets crashes, failing disks and other writers: what is there afterwards is the old state
or the new one, whole, and the answer says which."""
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest
from collections import Counter
from pathlib import Path

from promptd import (DEADLINE, ask, as_somebody_else, binary, clean_environment, prompt,
                     run_threads, wait_until)
from support import (SCRATCH, LiveServer, LiveTest, end_process, in_mounts_of, injected, need, own_mounts,
                     reload_thread, stands_still, start_strace, strace_works)

ALL = os.environ.get("PROMPTD_SWEEP") == "all"
STRIDE = 1 if ALL else 6  # over the calls that come once the file is in place
TEMPORARY = re.compile(r"\.promptd-[0-9a-f]{16}\.tmp")
A_TEMPORARY = ".promptd-0123456789abcdef.tmp"
NO_RENAME = (["renameat2"], "error=EINVAL")  # as on NFS, which cannot rename without replacing


def new(prompt_id, text="Say {what}"):
    return {"prompt_id": prompt_id, "prompt_template": text}


def file_of(body):
    """The bytes of the file that a body becomes."""
    return json.dumps(body, indent=2).encode() + b"\n"


class CrashTest(LiveTest):
    def serve_old(self, *args, **kwargs):
        """A writable server with a prompt to begin with."""
        self.directory = self.scratch / "prompts"
        self.directory.mkdir(exist_ok=True)
        (self.directory / "old.yaml").write_text(prompt("old"), encoding="utf-8")
        return self.serve("--writable", *args, **kwargs)

    def temporaries(self):
        return [path for path in self.directory.rglob(".*") if TEMPORARY.fullmatch(path.name)]

    def path_of(self, body):
        return self.directory / (body["prompt_id"] + ".json")

    def assert_new(self, server, body):
        """A prompt is in its file, byte by byte, and served."""
        self.assertEqual(self.path_of(body).read_bytes(), file_of(body))
        server.wait_for_text(body["prompt_id"], body["prompt_template"])

    def assert_still_works(self, server, body):
        """What was there is served, and a prompt can be created."""
        self.assertEqual(server.text_of("old"), "old")
        self.assertEqual(server.post("/prompts", body).status, 200)
        self.assert_new(server, body)
        self.assertEqual(server.problems(), [])


class Kills(CrashTest):
    """A server is killed at a call of its reload thread, and another one starts on what is left."""

    def setUp(self):
        super().setUp()
        strace_works(self)
        self.serve_old().stop()

    def start(self):
        """A server that need not end well."""
        server = LiveServer("--writable", "--settle", "20ms", directory=self.directory)
        server.__enter__()
        self.servers.append(server)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
        server.reader.join()
        server.clean_up()

    def find_calls(self):
        """[(name, which one of that name)] of the reload thread while a prompt is created."""
        server = self.start()
        with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
            process = start_strace(["-o", log.name, "-p", str(reload_thread(server))])
            try:
                self.assertEqual(server.post("/prompts", new("first/p")).status, 200)
            finally:
                end_process(process)
            names = re.findall(r"^(\w+)\(", Path(log.name).read_text("utf-8", "replace"), re.MULTILINE)
        self.end(server)
        counts = Counter()
        calls = []
        for name in names:
            counts[name] += 1
            if name != "restart_syscall":
                calls.append((name, counts[name]))
        return calls

    def kill(self, server, body, call, number=1, faults=(), threads=None):
        """Post a body to a server that is killed as its reload thread, or one of others, is about to make
        a call for so many times. Returns the answer's status, or None without an answer."""
        inject = [f"inject={','.join(names)}:{action}" for names, action in faults]
        inject.append(f"inject={call}:signal=SIGKILL:when={number}")
        process = start_strace(["-o", "/dev/null", *(p for i in inject for p in ("-e", i)),
                                *(f"-p{thread}" for thread in threads or [reload_thread(server)])])
        try:
            return server.post("/prompts", body).status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            end_process(process)

    def check(self, server, body, status):
        """A server was killed: the prompt is there, whole, or it is not; what is left does no harm.
        Returns which of the two."""
        if status is None:
            self.assertEqual(server.process.wait(DEADLINE), -signal.SIGKILL)
        self.end(server)
        checked = subprocess.run([binary(), "check", str(self.directory)], capture_output=True,
                                 text=True, check=False, env=clean_environment())
        self.assertEqual(checked.returncode, 0, checked)
        is_new = self.path_of(body).exists()
        if is_new:
            self.assertEqual(self.path_of(body).read_bytes(), file_of(body))
        if status is not None:
            self.assertEqual((status, is_new), (200, True))
        return is_new

    def check_restarted(self, server, body, is_new):
        """Another server serves what is there, and has swept."""
        self.assertEqual(self.temporaries(), [])
        self.assertEqual(server.text_of("old"), "old")
        expected = body["prompt_template"] if is_new else None
        self.assertEqual(server.text_of(body["prompt_id"]), expected)
        self.assertEqual(server.problems(), [])

    def test_a_kill_at_any_call_leaves_the_old_or_the_new_state(self):
        calls = self.find_calls()
        written = max(i for i, (name, _) in enumerate(calls) if name == "fsync") + 1
        chosen = [*range(written), *range(written, len(calls), STRIDE)]
        seen = Counter()
        server = self.start()
        for number in chosen:
            call, which = calls[number]
            with self.subTest(call=call, which=which):
                body = new(f"d{number}/p", f"text {number} of {{what}}\n" * 300)
                status = self.kill(server, body, call, which)
                self.assertFalse(number < written and status is not None, "it was not killed")
                is_new = self.check(server, body, status)
                seen.update(["new" if is_new else "old", *(["left"] if self.temporaries() else [])])
                server = self.start()
                self.check_restarted(server, body, is_new)
        for outcome in ("old", "new", "left"):
            self.assertGreater(seen[outcome], 0, f"{outcome} in {seen}")

    def test_a_kill_where_a_link_takes_the_place_of_the_rename(self):
        server = self.start()
        for call, expected in (("linkat", False), ("unlinkat", True)):
            with self.subTest(call):
                body = new(f"{call}/p")
                status = self.kill(server, body, call, faults=[NO_RENAME])
                is_new = self.check(server, body, status)
                self.assertEqual((status, is_new), (None, expected))
                self.assertEqual(len(self.temporaries()), 1)
                server = self.start()
                self.check_restarted(server, body, is_new)

    def test_a_kill_before_the_answer_is_sent(self):
        server = self.start()
        body = new("d/p")
        threads = {int(path.name) for path in Path(f"/proc/{server.process.pid}/task").iterdir()}
        workers = threads - {server.process.pid, reload_thread(server)}
        status = self.kill(server, body, "?writev,?sendto,?sendmsg", threads=workers)
        self.assertEqual((status, self.check(server, body, status)), (None, True))
        self.check_restarted(self.start(), body, True)


class Failures(CrashTest):
    """A call of the writer fails: the answer says so, the old state is served, and nothing is left."""
    DISK = {"ENOSPC": 507, "EDQUOT": 507, "EIO": 500}
    RIGHTS = {"EROFS": 403, "EACCES": 403, "EPERM": 403}
    ROWS = [  # what is done, the call, which one, {error: status}
        ("open the directory", "openat", 1, {"EACCES": 403, "EIO": 500, "EMFILE": 500}),
        ("make a directory", "mkdirat", 1, DISK | RIGHTS),
        ("write that through", "fsync", 1, DISK),
        ("open it", "openat", 2, {"EACCES": 403, "EIO": 500, "EMFILE": 500}),
        ("choose a name", "getrandom", 1, {"EAGAIN": 500}),
        ("open a temporary file", "openat", 3, DISK | RIGHTS | {"EMFILE": 500}),
        ("write", "write", 1, DISK),
        ("write through", "fsync", 2, DISK),
        ("close", "close", 1, DISK),
        ("rename", "renameat2", 1, DISK | RIGHTS | {"EEXIST": 409}),
        ("write the directory through", "fsync", 3, DISK),
    ]

    def setUp(self):
        super().setUp()
        strace_works(self)

    def fail(self, server, body, *faults):
        """Post a body while calls fail."""
        with injected(server, *faults):
            return server.post("/prompts", body)

    def assert_refused(self, response, status):
        self.assertEqual(response.status, status, response)
        self.assertIsInstance(response.detail, str)

    def test_any_call_of_the_writer_fails(self):
        server = self.serve_old()
        number = 0
        for what, call, which, errors in self.ROWS:
            for error, status in errors.items():
                number += 1
                with self.subTest(what, error=error):
                    body = new(f"d{number}/p")
                    before = server.file_names()
                    response = self.fail(server, body, ([call], f"error={error}:when={which}"))
                    self.assert_refused(response, status)
                    self.assertEqual(server.file_names(), before)
                    self.assertEqual(server.litellm(body["prompt_id"]).status, 404)
                    self.assert_still_works(server, body)

    def test_a_failed_fsync_is_not_tried_again(self):
        server = self.serve_old()
        for which in (1, 2, 3):
            with tempfile.NamedTemporaryFile("r", prefix="promptd-strace-", dir=SCRATCH) as log:
                process = start_strace(["-o", log.name, "-e", f"inject=fsync:error=EIO:when={which}",
                                        "-p", str(reload_thread(server))])
                try:
                    self.assert_refused(server.post("/prompts", new("d/p")), 500)
                finally:
                    end_process(process)
                self.assertEqual(Path(log.name).read_text("utf-8").count("fsync("), which)

    def test_a_directory_that_a_crash_has_left_is_written_through_too(self):
        server = self.serve_old()
        server.path("d").mkdir()
        body = new("d/p")
        for which in (1, 2, 3):  # of its parent, of the file, of the directory
            response = self.fail(server, body, (["fsync"], f"error=EIO:when={which}"))
            self.assert_refused(response, 500)
            self.assertEqual(server.file_names(), ["d", "old.yaml"])
        self.assert_still_works(server, body)

    def test_a_file_system_that_knows_no_fsync_of_directories(self):
        server = self.serve_old()
        body = new("d/p")
        response = self.fail(server, body, (["fsync"], "error=EINVAL:when=1+2"))
        self.assertEqual(response.status, 200, response)
        self.assert_new(server, body)
        self.assert_refused(self.fail(server, new("e/p"), (["fsync"], "error=EINVAL:when=2")), 500)

    def test_what_is_written_in_pieces_is_whole(self):
        server = self.serve_old()
        body = new("interrupted")
        self.assertEqual(self.fail(server, body, (["write"], "error=EINTR:when=1")).status, 200)
        self.assert_new(server, body)
        # The kernel is not asked for the first byte, so that all but that one is there.
        self.fail(server, new("short"), (["write"], "retval=1:when=1"))
        self.assertEqual(server.path("short.json").read_bytes(), file_of(new("short"))[1:])
        server.remove("short.json")
        self.assert_refused(self.fail(server, new("none"), (["write"], "retval=0:when=1")), 500)
        self.assertNotIn("none.json", server.file_names())

    def test_a_temporary_file_that_cannot_be_removed_is_swept_at_the_next_start(self):
        server = self.serve_old()
        body = new("d/p")
        faults = (["write"], "error=ENOSPC:when=1"), (["unlinkat"], "error=EIO")
        self.assert_refused(self.fail(server, body, *faults), 507)
        self.assertEqual(len(self.temporaries()), 1)
        self.assert_still_works(server, body)
        server.stop()
        self.assertEqual(self.serve_old().text_of("d/p"), body["prompt_template"])
        self.assertEqual(self.temporaries(), [])

    def test_sigterm_amid_the_sweep_of_a_start(self):
        """A file server may be slow, or hang, and nothing is to be finished yet."""
        strace_works(self)
        directory, trace = self.scratch / "prompts", self.scratch / "trace"
        directory.mkdir()
        for number in range(3000):
            (directory / f".promptd-{number:016x}.tmp").touch()
        # -D: the signal does not come to strace. 5000 µs for each of them.
        process = subprocess.Popen(["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=unlinkat",
                                    "-e", "inject=unlinkat:delay_enter=5000",
                                    binary(), "--listen", "127.0.0.1:0", "--writable", str(directory)],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=clean_environment({"ASAN_OPTIONS": "detect_leaks=0"}))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: trace.exists() and trace.stat().st_size > 2000, "the sweep is in full swing")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE / 2), 0)

    def test_a_file_that_cannot_be_taken_back_is_told_of(self):
        server = self.serve_old()
        for error in ("EIO", "ENOSPC"):  # a 507 would say that nothing was written
            body = new(f"{error}/p")
            faults = (["fsync"], f"error={error}:when=3"), (["unlinkat"], "error=EIO")
            response = self.fail(server, body, *faults)
            self.assert_detail(response, 500, "the file cannot be removed again")
            self.assert_new(server, body)

    def test_a_link_takes_the_place_of_a_rename_that_the_file_system_does_not_know(self):
        server = self.serve_old()
        body = new("d/p")
        self.assertEqual(self.fail(server, body, NO_RENAME).status, 200)
        self.assert_new(server, body)
        self.assertEqual(self.path_of(body).stat().st_nlink, 1)
        for error, status in {"EPERM": 500, "EIO": 500, "ENOSPC": 507, "EEXIST": 409}.items():
            response = self.fail(server, new("e/p"), NO_RENAME, (["linkat"], f"error={error}"))
            self.assert_refused(response, status)
            self.assertEqual(server.file_names(), ["d", "d/p.json", "old.yaml"])


class RealFailures(CrashTest):
    def test_a_disk_that_becomes_read_only(self):
        there = self.scratch / "prompts"
        server = self.serve_old(wrapper=own_mounts(self, f"mount -t tmpfs -o size=1m tmpfs {there}"),
                                env={"PROMPTD_ALLOW_EMPTY": "true"})
        server.directory = self.directory = Path(f"/proc/{server.process.pid}/root{there}")
        server.write("old.yaml", prompt("old"))
        server.wait_for_text("old", "old")
        in_mounts_of(server, f"mount -o remount,bind,ro {there}")
        self.assert_detail(server.post("/prompts", new("d/p")), 403, "Read-only file system")
        self.assertEqual(server.text_of("old"), "old")
        in_mounts_of(server, f"mount -o remount,bind,rw {there}")
        self.assert_still_works(server, new("d/p"))

    def test_a_directory_without_the_right_to_write(self):
        server = self.serve_old(**as_somebody_else(self))
        os.chmod(self.directory, 0o555)
        self.addCleanup(os.chmod, self.directory, 0o777)
        for body in (new("p"), new("d/p")):
            self.assert_detail(server.post("/prompts", body), 403, "Permission denied")
        self.assertEqual(server.file_names(), ["old.yaml"])
        os.chmod(self.directory, 0o777)
        self.assert_still_works(server, new("d/p"))

    def test_a_disk_without_room_for_another_file(self):
        server = self.serve_on_small_disk("1m,nr_inodes=8")
        for number in range(8):
            response = server.post("/prompts", new(f"d{number}/p"))
            if response.status != 200:
                break
        self.assert_detail(response, 507)
        self.assertEqual([n for n in server.file_names() if not re.fullmatch(r"d\d(/p.json)?", n)], [])
        self.assertEqual(len(server.file_names()), 2 * number)
        server.remove("d0/p.json")
        server.wait_until_gone("d0/p")
        self.assertEqual(server.post("/prompts", new("q")).status, 200)

    def test_a_file_system_that_cannot_rename_without_replacing(self):
        need(self, "bindfs", "bindfs")
        real = self.scratch / "real"
        shown = self.scratch / "prompts"
        for folder in (real, shown):
            folder.mkdir()
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse cannot be opened: load the kernel's fuse, or run as root")
        process = subprocess.Popen(["bindfs", "-f", str(real), str(shown)], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(end_process, process)  # which unmounts
        wait_until(lambda: os.path.ismount(shown), "it is mounted")
        server = self.serve_old()
        body = new("d/p")
        self.assert_still_works(server, body)
        (shown / "taken.json").write_text("{", encoding="utf-8")
        self.assertEqual(server.post("/prompts", new("taken")).status, 409)
        self.assertEqual((shown / "taken.json").read_text(encoding="utf-8"), "{")
        self.assertEqual(self.temporaries(), [])
        self.assertEqual(server.post("/-/reload", {}).status, 422)  # of what was taken
        server.stop()


class Races(CrashTest):
    """Others write below the directory at the same time."""

    @contextlib.contextmanager
    def frozen(self, server, body, which, *faults, error=None):
        """Post a body to a server that stands still, in the block, when its fsync of that number is done.
        The list that it gives has the answer afterwards."""
        what = (["fsync"], f"signal=SIGSTOP:when={which}" + (f":error={error}" if error else ""))
        answers = []
        poster = threading.Thread(target=lambda: answers.append(server.post("/prompts", body)))
        with injected(server, what, *faults):
            poster.start()
            try:
                wait_until(lambda: stands_still(server), "the server stands still")
                yield answers
            finally:
                server.thaw()
                poster.join()

    def setUp(self):
        super().setUp()
        strace_works(self)

    def test_a_file_that_appears_meanwhile_is_not_overwritten(self):
        server = self.serve_old()
        for number, faults in enumerate([(), (NO_RENAME,)]):
            with self.subTest(faults=faults):
                body = new(f"d{number}/p", "mine")
                theirs = json.dumps(new(f"theirs{number}", "theirs"))
                with self.frozen(server, body, 2, *faults) as answers:
                    self.assertEqual(len(self.temporaries()), 1)
                    self.path_of(body).write_text(theirs)
                self.assert_detail(answers[0], 409, body["prompt_id"])
                self.assertEqual(self.path_of(body).read_text(), theirs)
                self.assertEqual(self.temporaries(), [])
                server.wait_for_text(f"theirs{number}", "theirs")
                self.assertEqual(server.litellm(body["prompt_id"]).status, 404)

    def test_a_file_that_took_the_name_is_not_taken_back(self):
        server = self.serve_old()
        body = new("d/p", "mine")
        theirs = json.dumps(new("d/p", "theirs"))
        with self.frozen(server, body, 3, error="EIO") as answers:
            server.replace("d/p.json", theirs)
        self.assertEqual(answers[0].status, 500, answers)
        self.assertEqual(self.path_of(body).read_text(), theirs)
        server.wait_for_text("d/p", "theirs")

    def test_another_server_that_starts_takes_nothing_away(self):
        server = self.serve_old()
        body = new("d/p")
        with self.frozen(server, body, 2) as answers:
            self.assertEqual(len(self.temporaries()), 1)
            other = self.serve_old()
            self.assertEqual(self.temporaries(), [])
        self.assertEqual(answers[0].status, 200, answers)
        for one in (server, other):
            self.assert_new(one, body)
        self.assertEqual(self.temporaries(), [])

    def test_one_server_s_bytes_never_come_into_another_s_file(self):
        server = self.serve_old()
        other = self.serve_old()
        slow, fast = new("slow", "slow " * 1000), new("fast", "fast " * 1000)
        with self.frozen(server, slow, 1) as answers:
            self.assertEqual(other.post("/prompts", fast).status, 200)
        self.assertEqual(answers[0].status, 200, answers)
        for one in (server, other):
            for body in (slow, fast):
                self.assert_new(one, body)

    def test_of_posts_of_one_id_to_two_servers_exactly_one_wins(self):
        servers = [self.serve_old("--workers", "4"), self.serve_old("--workers", "4")]
        for attempt in range(6):
            answers = []
            barrier = threading.Barrier(20)

            def work(number, name=f"d{attempt}/p"):
                with servers[number % 2].connection() as connection:
                    ask(connection, "GET", "/health")  # the connection is open
                    barrier.wait(DEADLINE)
                    answer = ask(connection, "POST", "/prompts",
                                 json.dumps(new(name, f"from {number}")).encode(),
                                 {"Content-Type": "application/json"})
                    answers.append((answer.status, number))

            run_threads(20, work)
            self.assertEqual(sorted(status for status, _ in answers), [200] + [409] * 19)
            body = new(f"d{attempt}/p", f"from {min(answers)[1]}")
            for server in servers:
                self.assert_new(server, body)
        self.assertEqual(self.temporaries(), [])
        self.assertEqual([s.problems() for s in servers], [[], []])


class Stale(CrashTest):
    """Temporary files that a crash has left."""

    def make_names(self):
        """Names of all kinds; returns those of stale files, and the others."""
        stale = [A_TEMPORARY, f"d/{A_TEMPORARY}", "/".join("d" * 16) + "/" + A_TEMPORARY]
        others = [f".git/{A_TEMPORARY}", f"_d/{A_TEMPORARY}", ".promptd-0123456789ABCDEF.tmp",
                  ".promptd-0123456789abcdef0.tmp", ".promptd-0123456789abcde.tmp", ".promptd-new.tmp",
                  f"{A_TEMPORARY}x", f"x{A_TEMPORARY}", "promptd-0123456789abcdef.tmp",
                  f"e/{A_TEMPORARY}/kept", f"f/{A_TEMPORARY}", f"g/{A_TEMPORARY}"]
        directory = self.scratch / "prompts"
        for name in stale + others[:-2]:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text("half")
        (directory / "f").mkdir()
        (directory / others[-2]).symlink_to("../old.yaml")
        (directory / "g").mkdir()
        os.mkfifo(directory / others[-1])
        outside = self.scratch / "outside"
        outside.mkdir()
        (outside / A_TEMPORARY).write_text("half")
        (directory / "link").symlink_to(outside)
        return stale, [*others, f"link/{A_TEMPORARY}"]

    def test_they_are_swept_at_the_start_and_nothing_else_is(self):
        stale, others = self.make_names()
        server = self.serve_old()
        for name in stale:
            self.assertFalse(os.path.lexists(server.path(name)), name)
        for name in others:
            self.assertTrue(os.path.lexists(server.path(name)), name)
        told = [json.loads(line) for line in server.log_lines() if "a crash has left" in line]
        self.assertEqual([line["files"] for line in told], [len(stale)])
        self.assertEqual(server.served(), {"old": "old"})

    def test_a_server_that_does_not_write_removes_nothing(self):
        stale, others = self.make_names()
        (self.scratch / "prompts/old.yaml").write_text(prompt("old"), encoding="utf-8")
        server = self.serve()
        for name in stale + others:
            self.assertTrue(os.path.lexists(server.path(name)), name)
        self.assertEqual(server.served(), {"old": "old"})


if __name__ == "__main__":
    unittest.main()
