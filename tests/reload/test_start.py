"""Rows H: how promptd starts and stops, and what those who run it ask of it."""
import os
import signal
import subprocess
import unittest

from promptd import (DEADLINE, Observer, as_somebody_else, binary, block_prompt, clean_environment,
                     litellm_path, pause, prompt, run_threads, text_or_status, wait_until)
from support import QuickTest, need, strace_works

OLD = 10**9  # a time in 2001


class Missing(QuickTest):
    """What is to be served is not there, or cannot be read: promptd waits for it."""

    def check_waiting(self, server, reason):
        directory = server.wait_for_hold("root")["directory"]
        self.assertEqual((directory["path"], directory["available"]),
                         (str(server.directory), False))
        self.assertIn(reason, directory["problem"])
        wait_until(lambda: any(reason in line for line in server.log_lines()), "it is in the log")
        for path in ("/ready", litellm_path("p"), "/prompts"):
            self.assertEqual(server.get(path).status, 503, path)
        self.assertEqual(server.get("/health").status, 200)

    def check_arrived(self, server):
        """The directory came to be: all is as if it had been there from the start."""
        server.wait_for_text("p", "one")
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        server.write("p.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        self.assertTrue(server.wait_settled()["directory"]["available"])
        self.assertEqual(server.problems(), [])

    def test_H1_no_directory(self):
        server = self.serve(directory=self.scratch / "later")
        self.check_waiting(server, "No such file")
        server.directory.mkdir()
        server.write("p.yaml", prompt("one"))
        self.check_arrived(server)
        self.check_events_tell(server)

    def check_events_tell(self, server):
        """A directory that is away is also looked for by the clock, which may come first at times."""
        away, causes = self.scratch / "away", set()
        for number in range(5):
            os.rename(server.directory, away)
            server.wait_for_hold("root")
            (away / "p.yaml").write_text(prompt(f"text {number}"))
            os.rename(away, server.directory)
            server.wait_for_text("p", f"text {number}")
            causes.add(server.status()["reloads"][0]["cause"])
        self.assertLessEqual({"event"}, causes)

    def test_H1_no_directory_nor_its_parents(self):
        server = self.serve(directory=self.scratch / "a/b/c")
        self.check_waiting(server, "No such file")
        for path in ("a", "a/b"):
            (self.scratch / path).mkdir()
            pause(0.1)
        new = self.scratch / "new"
        new.mkdir()
        (new / "p.yaml").write_text(prompt("one"))
        os.rename(new, server.directory)
        self.check_arrived(server)

    def test_H1_none_at_a_strict_start(self):
        self.assertEqual(*strict_start(self.scratch / "later", "No such file"))

    def test_H2_a_file_for_a_directory(self):
        path = self.scratch / "later"
        path.write_text(prompt("one"))
        server = self.serve(directory=path)
        self.check_waiting(server, "Not a directory")
        path.unlink()
        path.mkdir()
        server.write("p.yaml", prompt("one"))
        self.check_arrived(server)

    def test_H2_a_directory_that_nobody_may_read(self):
        directory = self.scratch / "later"
        directory.mkdir()
        (directory / "p.yaml").write_text(prompt("one"))
        directory.chmod(0)
        self.addCleanup(directory.chmod, 0o755)
        server = self.serve(directory=directory, **as_somebody_else(self))
        self.check_waiting(server, "ermission denied")
        directory.chmod(0o755)
        self.check_arrived(server)

    def test_H2_a_link_to_nowhere(self):
        link = self.scratch / "later"
        os.symlink("target", link)
        server = self.serve(directory=link)
        self.check_waiting(server, "No such file")
        (self.scratch / "target").mkdir()
        server.write("p.yaml", prompt("one"))
        self.check_arrived(server)


def strict_start(directory, reason):
    """Whether --strict-start ended with 1 and a reason in the log, and what should have been."""
    done = subprocess.run([binary(), "--listen", "127.0.0.1:0", "--strict-start", str(directory)],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=3 * DEADLINE, env=clean_environment())
    log = done.stderr.decode()
    return (done.returncode, reason in log and log), (1, log)


class StartingWithFaults(QuickTest):
    FILES = {"good.yaml": prompt("x"), "bad.yaml": "modle: x\n", "j.json": "{", "empty.yaml": ""}

    def test_H3_some_files_are_bad(self):
        server = self.serve(files=self.FILES)
        status = server.wait_settled()
        self.assertEqual((server.text_of("good"), server.get("/ready").status), ("x", 200))
        self.assertEqual((status["prompts"], status["files"]["ok"], status["files"]["invalid"]),
                         (1, 1, 3))
        for name in ("bad.yaml", "j.json", "empty.yaml"):
            server.wait_for_problem(name + ":")
        self.assertEqual(server.file_states(), {"good.yaml": "ok", "bad.yaml": "invalid",
                                                "j.json": "invalid", "empty.yaml": "invalid"})

    def test_H3_some_files_are_bad_at_a_strict_start(self):
        directory = self.scratch / "prompts"
        directory.mkdir()
        (directory / "good.yaml").write_text(prompt("x"))
        server = self.serve("--strict-start")
        self.assertEqual(server.text_of("good"), "x")
        (directory / "bad.yaml").write_text("modle: x\n")
        self.assertEqual(*strict_start(directory, "bad.yaml:1:1"))
        server.wait_for_problem("bad.yaml:1:1")  # the one that runs goes on
        self.assertEqual(server.text_of("good"), "x")

    def test_H3_ready_when_clean(self):
        server = self.serve("--ready-when", "clean", files=self.FILES)
        server.wait_for_text("good", "x")
        server.wait_settled()
        self.assertEqual(server.get("/ready").status, 503)
        for name in ("bad.yaml", "j.json", "empty.yaml"):
            server.remove(name)
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        server.write("bad.yaml", "modle: x\n")
        server.wait_for_problem("bad.yaml")
        self.assertEqual(server.get("/ready").status, 200)

    def test_H11_a_new_file_is_bad(self):
        server = self.serve(files={"good.yaml": prompt("x")})
        with self.generations(server, 1):
            server.write("new.yaml", "modle: x\n")
            server.wait_for_problem("new.yaml:1:1")
        self.assertEqual(server.litellm("new").status, 404)
        self.assertEqual(server.file_states(), {"good.yaml": "ok", "new.yaml": "invalid"})
        self.assertEqual(server.status()["files"]["invalid"], 1)
        with self.generations(server, 1):
            server.write("new.yaml", prompt("y"))
            server.wait_for_text("new", "y")
        self.assertEqual((server.problems(), server.status()["files"]["invalid"]), ([], 0))


class StartingAmidWrites(QuickTest):
    STEPS = 12
    WHOLE = "begun\n" + "\n".join(f"step {i}" for i in range(STEPS))

    def test_H4_a_file_is_being_written(self):
        old = self.scratch / "prompts/old.yaml"
        old.parent.mkdir()
        old.write_text(prompt("x"))
        os.utime(old, (OLD, OLD))
        with open(old.parent / "new.yaml", "w", encoding="utf-8") as file:
            file.write(block_prompt("begun"))
            file.flush()
            # No event tells of what was written before: only that it goes on changing.
            server = self.serve("--settle", "1s", "--max-latency", "300ms")
            with Observer(server, litellm_path("new"), text_or_status) as observer:
                for i in range(self.STEPS):
                    file.write(f"  step {i}\n")
                    file.flush()
                    pause(0.05)
                server.wait_for_text("old", "x")
                self.assertNotEqual(server.text_of("new"), self.WHOLE)
                file.close()
                server.wait_for_text("new", self.WHOLE)
        self.assertLessEqual(set(observer.answers), {503, 404, self.WHOLE})

    def test_H4_old_files_are_served_at_once(self):
        directory = self.scratch / "prompts"
        directory.mkdir()
        (directory / "p.yaml").write_text(prompt("x"))
        os.utime(directory / "p.yaml", (OLD, OLD))
        # ctime cannot be set back: the file has to grow a second old.
        pause(1.1)
        server = self.serve("--settle", "10m", "--max-latency", "10m")
        server.wait_for_text("p", "x")
        server.wait_settled()


class Asking(QuickTest):
    """What changes without an event is found by a scan that begins after the request."""

    def serve_linked(self):
        """A server with a file that can be written through another name, which tells nobody."""
        server = self.serve(files={"q.yaml": prompt("q")})
        self.other_name = self.scratch / "far"
        self.other_name.write_text(prompt("one"))
        os.link(self.other_name, server.path("p.yaml"))
        server.wait_for_text("p", "one")
        server.wait_settled()
        return server

    def test_H5_sighup(self):
        server = self.serve_linked()
        with self.generations(server, 1):
            self.other_name.write_text(prompt("two"))
            server.signal(signal.SIGHUP)
            server.wait_for_text("p", "two")
        with self.generations(server, 0):
            for _ in range(20):
                server.signal(signal.SIGHUP)

    def test_H5_post_reload(self):
        server = self.serve_linked()
        for text in ("two", "three", "four"):
            before = server.generation()
            self.other_name.write_text(prompt(text))
            answer = server.reload()
            self.assertEqual((answer.status, server.text_of("p")), (200, text))
            self.assertEqual(answer.json["generation"], before + 1)
            self.assertTrue(answer.json["settled"])
        self.assertEqual(server.reload().json["generation"], before + 1)

    def test_H5_post_reload_tells_of_faults(self):
        server = self.serve_linked()
        self.other_name.write_text("modle: x\n")
        for _ in range(2):
            answer = server.reload()
            self.assertEqual(answer.status, 422, answer)
            self.assertIn("p.yaml:1:1: ", " ".join(answer.json["problems"]))
        self.assertEqual(server.text_of("p"), "one")
        self.other_name.write_text(prompt("two"))
        answer = server.reload()
        self.assertEqual((answer.status, answer.json["problems"]), (200, []))
        self.assertEqual(server.text_of("p"), "two")

    def test_H5_post_reload_waits_for_what_is_pending(self):
        server = self.serve("--quiet", "1s", files={"p.yaml": prompt("one")})
        server.wait_settled()
        server.write("p.yaml", prompt("two"))
        self.assertEqual((server.reload().status, server.text_of("p")), (200, "two"))

    def test_H5_post_reload_waits_for_a_deletion(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        server.wait_settled()
        server.remove("q.yaml")
        answer = server.reload()
        self.assertEqual((answer.status, answer.json["settled"], answer.json["holds"]),
                         (200, True, []))
        self.assertEqual(server.litellm("q").status, 404)

    def test_H5_many_at_once(self):
        server = self.serve_linked()
        self.other_name.write_text(prompt("two"))

        def ask(_):
            answer = server.reload()
            self.assertEqual((answer.status, server.text_of("p")), (200, "two"))

        run_threads(8, ask)

    def test_H5_nothing_is_written(self):
        """A directory that cannot be written is served and reloaded like any other."""
        server = self.serve(files={"p.yaml": prompt("one")}, **as_somebody_else(self))
        server.directory.chmod(0o555)
        before = server.file_names()
        server.path("p.yaml").write_text(prompt("two"))
        self.assertEqual((server.reload().status, server.text_of("p")), (200, "two"))
        self.assertEqual(server.file_names(), before)
        server.directory.chmod(0o755)


class Stopping(QuickTest):
    FILES, SLOW = 3000, "delay_enter=5000"  # µs for each file that is opened: 15 s for all

    def test_H6_sigterm_amid_a_scan(self):
        strace_works(self)
        calls = "?open,?openat,?openat2"
        trace = self.scratch / "trace"
        # -D: the signal does not come to strace. Under a tracer no leak can be looked for.
        server = self.serve(
            files={"p.yaml": prompt("x")}, env={"ASAN_OPTIONS": "detect_leaks=0"},
            wrapper=["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=" + calls,
                     "-e", f"inject={calls}:{self.SLOW}"])
        server.wait_for_text("p", "x")
        many = self.scratch / "many"
        many.mkdir()
        for i in range(self.FILES):
            (many / f"f{i}.yaml").write_text(prompt("x"))
        begun = trace.stat().st_size
        os.rename(many, server.path("many"))
        wait_until(lambda: trace.stat().st_size > begun + 20000, "the scan is in full swing")
        self.assertEqual(server.litellm("many/f0").status, 404)
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_for_exit(DEADLINE / 2), 0)

    def test_H6_sigterm_at_every_moment(self):
        directory = self.scratch / "prompts"
        directory.mkdir()
        for i in range(300):
            (directory / f"f{i}.yaml").write_text(prompt("x"))
        for attempt in range(10):
            process = subprocess.Popen([binary(), "--listen", "127.0.0.1:0", str(directory)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, env=clean_environment())
            self.addCleanup(process.stderr.close)
            # Only a process that has begun to log is known to handle signals.
            process.stderr.readline()
            pause(attempt * 0.005)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(wait_for_end(process), 0)

    def test_H6_sigterm_while_one_waits_for_a_reload(self):
        server = self.serve("--quiet", "5s", files={"p.yaml": prompt("one")})
        server.wait_settled()
        server.write("p.yaml", prompt("two"))
        with server.raw_connection() as connection:
            connection.send(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\n"
                            b"Content-Length: 0\r\n\r\n")
            server.get("/health")
            server.signal(signal.SIGTERM)
            self.assertIn(connection.read_reply().status, (200, 422, 503))
        self.assertEqual(server.wait_for_exit(), 0)


def wait_for_end(process):
    try:
        return process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return "no end"


class Several(QuickTest):
    def test_H7_two_servers_of_one_directory(self):
        first = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        second = self.serve("--quiet", "200ms")
        servers = (first, second)
        for text in ("two", "three"):
            first.write("p.yaml", prompt(text))
            for server in servers:
                server.wait_for_text("p", text)
        self.assertEqual(first.revision(), second.revision())
        first.write("p.yaml", "modle: x\n")
        for server in servers:
            server.wait_for_problem("p.yaml:1:1")
            self.assertEqual(server.text_of("p"), "three")
        # A third one has no last good version, and the others keep theirs when it ends.
        third = self.serve()
        third.wait_for_problem("p.yaml:1:1")
        self.assertEqual((third.litellm("p").status, third.text_of("q")), (404, "q"))
        third.stop()
        self.assertEqual([s.text_of("p") for s in servers], ["three"] * 2)


class Mending(QuickTest):
    def test_H8_back_to_an_old_commit(self):
        need(self, "git", "git")
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        etag, revision = server.litellm("p").headers["ETag"], server.revision()
        self.shell(server, "git init -q; git config user.name x; git config user.email x@localhost")
        self.shell(server, "git add -A; git commit -q -m one")
        server.write("p.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        self.shell(server, "git commit -q -a -m two")
        with self.generations(server, 1), \
                Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "git -c advice.detachedHead=false checkout -q HEAD~1")
            server.wait_for_text("p", "one")
        self.assert_saw(observer, "two", "one")
        self.assertEqual((server.litellm("p").headers["ETag"], server.revision()), (etag, revision))
        head = self.shell(server, "git rev-parse HEAD").strip()
        self.assertEqual(server.status()["source_revision"], head)

    def test_H8_back_to_an_old_copy(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        os.utime(server.path("p.yaml"), (OLD, OLD))
        self.shell(server, "cp -a p.yaml ../p.yaml")
        server.write("p.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        with self.generations(server, 1):
            self.shell(server, "cp -a ../p.yaml p.yaml")
            server.wait_for_text("p", "one")
        self.assertEqual(server.path("p.yaml").stat().st_mtime, OLD)

    def serve_stale(self):
        server = self.serve(files={"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        with self.generations(server, 1):
            server.write("p.yaml", "modle: x\n")
            server.wait_for_problem("p.yaml:1:1")
        status = server.status()
        self.assertEqual((status["files"]["stale"], server.metric("promptd_files_stale")), (1, 1))
        self.assertEqual([(f["path"], f["state"]) for f in status["file_list"]],
                         [("p.yaml", "stale")])
        self.assertEqual(server.get("/prompts/p").json["state"], "stale")
        return server

    def check_clean(self, server, files):
        status = server.status()
        self.assertEqual((status["problems"], status["file_list"]), ([], []))
        self.assertEqual((status["files"]["total"], status["files"]["ok"]), (files, files))
        self.assertEqual(server.metric("promptd_files_stale"), 0)
        self.assertEqual(server.reload().status, 200)

    def test_H9_a_bad_file_is_mended(self):
        for text in ("better", "good"):  # another text, and the one that was served all the time
            with self.subTest(text):
                server = self.serve_stale()
                with self.generations(server, 1), \
                        Observer(server, litellm_path("p"), text_or_status) as observer:
                    server.write("p.yaml", prompt(text))
                    wait_until(lambda: server.problems() == [], "the problem is gone")
                self.assert_saw(observer, *dict.fromkeys(("good", text)))
                self.assertNotEqual(server.get("/prompts/p").json["state"], "stale")
                self.check_clean(server, 2)

    def test_H10_a_bad_file_is_deleted(self):
        server = self.serve_stale()
        server.remove("p.yaml")
        server.wait_until_gone("p")
        wait_until(lambda: server.problems() == [], "the problem is gone")
        server.wait_settled()
        self.check_clean(server, 1)
        self.assertEqual(server.text_of("q"), "q")


if __name__ == "__main__":
    unittest.main()
