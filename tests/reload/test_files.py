"""Rows A: one file, changed in every way that shells and tools have."""
import contextlib
import mmap
import os
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

from promptd import (Observer, as_somebody_else, block_prompt, litellm_path, pause, prompt,
                     text_or_status, wait_until)
from support import IS_ROOT, QuickTest, Reader, exchange, is_whole, need, own_mounts, signed

# Short waits, so that a set is published in the midst of what a script does all the time.
EAGER = ("--quiet", "5ms", "--max-latency", "200ms")


def body(number):
    """The text of p in a stream of texts, each of another length."""
    return signed("p", f"r{number}", lines=1 + number % 700)


def body_file(number):
    """The file of it; each of its first lines alone would be a good file too."""
    return block_prompt(body(number))


class FilesTest(QuickTest):
    """p is the prompt that is changed, q one that never is. Scripts run in the served directory and
    find the texts one to four beside it."""

    FILES = {"p.yaml": prompt("one"), "q.yaml": prompt("q")}

    def setUp(self):
        super().setUp()
        for text in ("one", "two", "three", "four"):
            (self.scratch / (text + ".yaml")).write_text(prompt(text))

    def serve_p(self, *options, files=None, **kwargs):
        """A server to which events alone tell that a file is complete."""
        return self.serve_by_events(files or self.FILES, *options, **kwargs)

    def serve_quick_p(self, *options, files=None, **kwargs):
        """One that waits a little for what no event tells of."""
        server = self.serve(*options, files=files or self.FILES, **kwargs)
        server.wait_settled()
        return server

    def check_steps(self, server, *steps, first="one"):
        """Each step is a script and what p is after it: one new generation, nothing in between."""
        for script, text in steps:
            with self.subTest(script), self.generations(server, 1):
                with Observer(server, litellm_path("p"), text_or_status) as observer:
                    self.shell(server, script)
                    server.wait_for_text("p", text)
                self.assert_saw(observer, first, text)
            first = text
        self.assertEqual((server.problems(), server.text_of("q")), ([], "q"))

    def check_stream(self, script, options=EAGER, number=1000):
        """A script writes p again and again, from ${body[1]} to ${body[N]}: all that anyone gets
        is whole, and some of it comes before the end."""
        server = self.serve_p(*options, files={"p.yaml": body_file(0)})
        bodies = self.scratch / "bodies"
        bodies.write_text("\0".join(body_file(i) for i in range(number + 1)))
        with contextlib.ExitStack() as stack:
            observers = [stack.enter_context(Observer(server, litellm_path("p"), text_or_status))
                         for _ in range(2)]
            self.shell(server, f"mapfile -d '' -t body < ../bodies; N={number}; {script}")
            server.wait_for_text("p", body(number))
        self.assert_whole(*observers)
        self.assertGreater(len(observers[0].answers), 2, "nothing was published meanwhile")
        self.assertEqual(server.problems(), [])

    def assert_whole(self, *observers):
        """Only whole texts were seen: never a part of one, never a 404."""
        for answer in {answer for observer in observers for answer in observer.answers}:
            self.assertTrue(is_whole(str(answer)), str(answer)[:200])

    def check_bad(self, server, scripts, reason="", name="p.yaml"):
        """Each script makes a file bad: its last good version stays, and the reason is told."""
        good, revision = server.path(name).read_bytes(), server.revision()
        prompt_id = Path(name).stem
        text = server.text_of(prompt_id)
        for script in scripts:
            with self.subTest(script):
                with Observer(server, litellm_path(prompt_id), text_or_status) as observer:
                    self.shell(server, script)
                    self.assertIn(reason, server.wait_for_problem(name))
                self.assert_saw(observer, text)
                self.assertEqual(server.file_states()[name], "stale")
                self.assertEqual(server.revision(), revision)
                server.write(name, good)
                wait_until(lambda: server.problems() == [], "the problem is gone")


class Shell(FilesTest):
    def test_A1_shell_redirection(self):
        self.check_stream("""for ((i = 1; i <= N; i++)); do
            printf '%s\\n' "${body[i]}" > p.yaml
            ((i % 100)) || sleep 0.1
        done""")

    def test_A2_redirection_to_a_new_file(self):
        names = [f"new{i}" for i in range(4)]
        server = self.serve_p(*EAGER)
        bodies = self.scratch / "body"
        bodies.write_text(body_file(600))
        with contextlib.ExitStack() as stack:
            observers = [stack.enter_context(Observer(server, litellm_path(n), text_or_status))
                         for n in names]
            self.shell(server, "for n in " + " ".join(names) + """; do
                printf '%s\\n' "$(<../body)" > $n.yaml; sleep 0.05; done""")
            for name in names:
                server.wait_for_text(name, body(600))
        for observer in observers:
            self.assert_saw(observer, 404, body(600))

    def test_A3_appending(self):
        server = self.serve_p(files={"p.yaml": block_prompt("one"), "q.yaml": prompt("q")})
        self.check_steps(server, ("echo '  two' >> p.yaml", "one\ntwo"),
                         ("echo '  three' >> p.yaml", "one\ntwo\nthree"),
                         ("printf '  four\n  five\n' >> p.yaml", "one\ntwo\nthree\nfour\nfive"))

    def test_A4_a_slow_writer(self):
        self.check_steps(self.serve_p(), ("""(echo 'prompt_template: |-'; echo '  two'; sleep 1
                                           echo '  and three') > p.yaml""", "two\nand three"))

    def test_A4_a_writer_that_does_not_end(self):
        server = self.serve_p("--max-latency", "500ms")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            with open(server.path("p.yaml"), "w", encoding="utf-8", buffering=1) as file:
                file.write("prompt_template: |-\n")
                for _ in range(3):
                    file.write("  again\n")
                    pause(0.5)  # longer than --settle: only the writer's close is proof
                server.write("q.yaml", prompt("not held up"))
                server.wait_for_text("q", "not held up")
                self.assertEqual(server.file_states()["p.yaml"], "unsettled")
                self.assertEqual(server.status()["files"]["unsettled"], 1)
                file.write("  the end\n")
            server.wait_for_text("p", "again\n" * 3 + "the end")
        self.assert_saw(observer, "one", "again\n" * 3 + "the end")

    def test_A4_a_slow_writer_while_everything_is_looked_at(self):
        # By the clock and on request: that a writer is not done must not be forgotten over it.
        server = self.serve_quick_p("--poll", "100ms", "--max-latency", "500ms")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            with open(server.path("p.yaml"), "w", encoding="utf-8", buffering=1) as file:
                file.write("prompt_template: |-\n  two\n")
                for act in (lambda: server.signal(signal.SIGHUP), server.reload):
                    pause(0.3)
                    act()
                pause(0.3)
                file.write("  and three\n")
            server.wait_for_text("p", "two\nand three")
        self.assert_saw(observer, "one", "two\nand three")

    def test_A5_a_temporary_file_renamed_over(self):
        self.check_steps(self.serve_p(),
                         ("cat ../two.yaml > .p.tmp; mv .p.tmp p.yaml", "two"),
                         ("cat ../three.yaml > p.yaml.tmp; mv p.yaml.tmp p.yaml", "three"),
                         ("perl -e 'rename \"../four.yaml\", \"p.yaml\"'", "four"))

    def test_A5_a_stream_of_renames(self):
        self.check_stream("""for ((i = 1; i <= N; i++)); do
            printf '%s\\n' "${body[i]}" > p.yaml.tmp
            mv p.yaml.tmp p.yaml
        done""", number=300)

    def test_A6_moved_in(self):
        server = self.serve_p()
        self.check_steps(server, ("mv ../two.yaml p.yaml", "two"), ("mv ../one.yaml p.yaml", "one"))
        self.shell(server, "mv ../three.yaml new.yaml")
        server.wait_for_text("new", "three")

    def test_A7_moved_in_from_another_file_system(self):
        server = self.serve_p()
        other = self.other_file_system(server)
        self.check_steps(server, (f"cp ../two.yaml {other}/x; mv {other}/x p.yaml", "two"),
                         (f"cp ../three.yaml {other}/x; mv -f {other}/x p.yaml", "three"))

    def other_file_system(self, server):
        memory = "/dev/shm"
        if not os.access(memory, os.W_OK) or \
                os.stat(memory).st_dev == os.stat(server.directory).st_dev:
            self.skipTest("there is no second file system: mount a tmpfs at /dev/shm")
        folder = tempfile.mkdtemp(dir=memory)
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def test_A8_copied_over(self):
        self.check_steps(self.serve_p(), ("cp ../two.yaml p.yaml", "two"),
                         ("cp -f ../one.yaml p.yaml", "one"))

    def test_A8_a_stream_of_copies(self):
        self.check_stream("""for ((i = 1; i <= N; i++)); do
            printf '%s\\n' "${body[i]}" > ../x
            cp ../x p.yaml
        done""", number=300)

    def test_A9_copied_over_with_an_older_time(self):
        server = self.serve_p()
        self.check_steps(server,
                         ("touch -d 2001-01-01 ../two.yaml; cp -p ../two.yaml p.yaml", "two"),
                         ("touch -d 1999-01-01 ../three.yaml; cp -a ../three.yaml p.yaml", "three"))
        self.assertLess(server.path("p.yaml").stat().st_mtime, 1e9)

    def test_A9_an_older_time_is_all_there_is_to_see(self):
        server = self.serve_quick_p("--watch", "poll", "--poll", "100ms")
        for text, year in (("two", 2001), ("three", 1999), ("four", 2000)):
            self.shell(server, f"touch -d {year}-01-01 ../{text}.yaml; cp -p ../{text}.yaml p.yaml")
            server.wait_for_text("p", text)

    def test_A10_removed_and_copied_by_one_tool(self):
        need(self, "install", "coreutils")
        self.check_steps(self.serve_p(), ("cp --remove-destination ../two.yaml p.yaml", "two"),
                         ("install -m 644 ../three.yaml p.yaml", "three"))

    def test_A10_a_stream_of_removals(self):
        need(self, "install", "coreutils")
        self.check_stream("""for ((i = 1; i <= N; i++)); do
            printf '%s\\n' "${body[i]}" > ../x
            ((i % 2)) && cp --remove-destination ../x p.yaml || install -m 644 ../x p.yaml
        done""", number=300)

    def test_A11_removed(self):
        server = self.serve_p()
        with self.generations(server, 1), \
                Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "rm p.yaml")
            server.wait_until_gone("p")
        self.assert_saw(observer, "one", 404)
        self.assertEqual((server.problems(), server.text_of("q")), ([], "q"))
        self.assertEqual(server.status()["files"]["total"], 1)

    def test_A12_removed_and_soon_made_again(self):
        # The grace is longer than a busy machine may stop the script for.
        server = self.serve_p("--delete-grace", "5s")
        self.check_steps(server, ("rm p.yaml; sleep 0.1; cat ../two.yaml > p.yaml", "two"),
                         ("rm p.yaml; sleep 0.4; cat ../three.yaml > p.yaml", "three"))

    def test_A12_removed_and_made_again_too_late(self):
        server = self.serve_p("--delete-grace", "100ms")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "rm p.yaml; sleep 1; cat ../two.yaml > p.yaml")
            server.wait_for_text("p", "two")
        self.assert_saw(observer, "one", 404, "two")


class Signatures(FilesTest):
    def test_A13_touched_and_given_another_mode_and_owner(self):
        server = self.serve_quick_p()
        etag, revision = server.litellm("p").headers["ETag"], server.revision()
        scripts = ["touch p.yaml", "touch -d 2001-01-01 p.yaml", "chmod 600 p.yaml",
                   "chmod +r p.yaml", "chown $(id -u) p.yaml"]
        scripts += ["chown 65534 p.yaml"] * IS_ROOT
        for script in scripts:
            with self.subTest(script), self.generations(server, 0):
                self.shell(server, script)
        self.assertEqual((server.litellm("p").headers["ETag"], server.revision()), (etag, revision))
        self.assertEqual(server.problems(), [])

    def test_A14_made_unreadable_and_readable_again(self):
        server = self.serve_quick_p(**as_somebody_else(self))
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "chmod 000 p.yaml")
            self.assertIn("ermission denied", server.wait_for_problem("p.yaml"))
            self.assertEqual(server.file_states(), {"p.yaml": "stale", "q.yaml": "ok"})
            self.shell(server, "chmod 644 p.yaml")
            wait_until(lambda: server.problems() == [], "the problem is gone")
        self.assert_saw(observer, "one")
        self.assertEqual(server.file_states(), {"p.yaml": "ok", "q.yaml": "ok"})

    def test_A27_the_same_text_again(self):
        server = self.serve_p()
        looks = server.metric("promptd_rescans_total")
        for script in ("cat ../one.yaml > p.yaml", "cp ../one.yaml .x; mv .x p.yaml"):
            with self.subTest(script), self.generations(server, 0):
                self.shell(server, script)
                wait_until(lambda: server.metric("promptd_rescans_total") > looks, "it has looked")
                looks = server.metric("promptd_rescans_total")

    def test_A28_the_same_size_and_time(self):
        server = self.serve_p()
        self.check_steps(server, *(
            (f"touch -r p.yaml ../stamp; sed s/one/{text}/ ../one.yaml > p.yaml;"
             "touch -r ../stamp p.yaml", text) for text in ("six", "ten", "two", "one")))
        self.assertEqual(server.path("p.yaml").stat().st_mtime_ns,
                         (self.scratch / "stamp").stat().st_mtime_ns)


class BadContent(FilesTest):
    def test_A15_emptied(self):
        # Nothing at all is most likely about to be written, so a moment is waited for more.
        self.check_bad(self.serve_quick_p(), (
            "truncate -s0 p.yaml", ": > p.yaml", "cp /dev/null p.yaml"))

    def test_A15_nothing_but_blanks_and_comments(self):
        self.check_bad(self.serve_p(), (
            "echo '# nothing yet' > p.yaml", "echo null > p.yaml", "echo '~' > p.yaml",
            "echo --- > p.yaml", "printf '\\357\\273\\277' > p.yaml",
            "printf '\\n \\n\\n' > p.yaml", "echo '{}' > p.yaml", "echo '[]' > p.yaml"))

    def test_A20_a_tail_of_nul_bytes(self):
        need(self, "fallocate", "util-linux")
        # Not every file system can allocate; what a reader finds is the same.
        self.check_bad(self.serve_p(), ("fallocate -l 4096 p.yaml || truncate -s 4096 p.yaml",
                                        "truncate -s 4096 p.yaml", "truncate -s +1 p.yaml"))

    def test_A32_a_full_disk(self):
        server = self.serve_on_small_disk()
        files = self.seen_by(server)
        for name in ("p.yaml", "j.json"):
            (files / name).write_text('{"prompt_template": "one"}\n')
        for prompt_id in ("p", "j"):
            server.wait_for_text(prompt_id, "one")
        self.fill(files / "p.yaml", b"prompt_template: |-\n" + b"  line\n" * 20000)
        # A text that ends early is a text: that it is not the one meant, nobody can tell.
        wait_until(lambda: server.text_of("p").startswith("line\nline\n"), "the part is served")
        self.assertLess(len(server.text_of("p")), 20000 * len("line\n"))
        self.fill(files / "j.json", b'{"prompt_template": "' + b"line " * 20000 + b'"}')
        server.wait_for_problem("j.json")  # but JSON has an end
        self.assertEqual(server.text_of("j"), "one")

    def serve_on_small_disk(self):
        """A promptd whose directory is, in a mount namespace of its own, a disk of 64 KiB."""
        mount = 'for last; do :; done; mount -t tmpfs -o size=64k none "$last"'
        return self.serve("--allow-empty", wrapper=own_mounts(self, mount))

    @staticmethod
    def seen_by(server):
        """The served directory as the server's mounts show it."""
        return Path(f"/proc/{server.process.pid}/root{server.directory}")

    def fill(self, path, data):
        """Write until the disk is full, like a program that does not look at its errors."""
        with open(path, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                data = data[file.write(data):]

    def test_A33_what_a_crash_leaves(self):
        server = self.serve_quick_p(files={"empty.yaml": "", "nul.yaml": b"\0" * 4096,
                                           "tail.yaml": prompt("x").encode() + b"\0" * 100,
                                           "q.yaml": prompt("q")})
        bad = ["empty.yaml", "nul.yaml", "tail.yaml"]
        for name in bad:
            server.wait_for_problem(name)
            self.assertEqual(server.litellm(Path(name).stem).status, 404)
        self.assertEqual(server.file_states(), {**dict.fromkeys(bad, "invalid"), "q.yaml": "ok"})
        self.assertEqual((server.text_of("q"), server.get("/ready").status), ("q", 200))
        server.replace("nul.yaml", prompt("restored"))
        server.wait_for_text("nul", "restored")

    HOSTILE = {"not UTF-8": b"prompt_template: \xff\xfe\n", "a tab": b"prompt_template:\n\t- x\n",
               "10 MiB": b"prompt_template: |-\n" + b"  0123456789\n" * 900_000,
               "deep lists": b"x-a: " + b"[" * 100_000,
               "deep blocks": b"x-a: " + b"- " * 100_000 + b"x\n",
               "deep mappings": b"x-a: " + b"{a: " * 100_000,
               "a bomb": b"x-0: &a0 [x]\n" + b"".join(
                   b"x-%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10))
                   for i in range(1, 12)) + b"prompt_template: *a11\n"}

    def test_A34_hostile_content(self):
        server = self.serve_p()
        for name, content in self.HOSTILE.items():
            (self.scratch / name).write_bytes(content)
        self.check_bad(server, [f"cp '../{name}' p.yaml" for name in self.HOSTILE])
        self.check_steps(server, ("sed 's/$/\\r/' ../two.yaml > p.yaml", "two"))  # CRLF is fine


class Tools(FilesTest):
    """All of these leave other files behind for a while, or for good: they must not be served."""

    def check_tools(self, *steps, programs=(), **kwargs):
        for program in programs:
            need(self, program, program)
        server = self.serve_p(**kwargs)
        self.check_steps(server, *steps)
        self.assertEqual(server.get("/prompts").json["total"], 2)
        return server

    def test_A16_sed_in_place(self):
        server = self.check_tools(("sed -i s/one/two/ p.yaml", "two"),
                                  ("sed -i -e s/two/three/ -- p.yaml", "three"))
        self.assertEqual(server.file_names(), ["p.yaml", "q.yaml"])

    def test_A17_backups_beside_the_file(self):
        server = self.check_tools(
            ("sed -i.bak s/one/two/ p.yaml", "two"),
            ("perl -pi -e s/two/three/ p.yaml", "three"),
            ("perl -pi.old -e s/three/four/ p.yaml", "four"),
            ("diff -u p.yaml ../one.yaml | sed 's/[.][.].one/p/' > ../diff || true;"
             "patch -s -b p.yaml < ../diff", "one"),
            programs=("perl", "patch"))
        self.assertLessEqual({"p.yaml.bak", "p.yaml.old", "p.yaml.orig"}, set(server.file_names()))

    def test_A18_sed_on_a_symbolic_link(self):
        server = self.serve_quick_p(files={".text": prompt("one"), "q.yaml": prompt("q")})
        os.symlink(".text", server.path("p.yaml"))
        server.wait_for_text("p", "one")
        self.check_steps(server, ("sed -i s/one/two/ p.yaml", "two"))
        self.assertFalse(server.path("p.yaml").is_symlink())
        with self.generations(server, 0):
            server.write(".text", prompt("nobody's"))

    def test_A19_tee_dd_and_ed(self):
        self.check_tools(("tee p.yaml < ../two.yaml", "two"),
                         ("printf ten | dd of=p.yaml conv=notrunc bs=1 seek=18", "ten"),
                         ("printf '%s\\n' ,s/ten/six/ w q | ed -s p.yaml", "six"),
                         programs=("ed",))


class LinksAndMaps(FilesTest):
    """Content that comes without the event that would prove it complete, or with none at all."""

    # Far longer than the steps of a writer take, so that none of them looks like the end.
    PATIENT = ("--settle", "1s", "--max-latency", "500ms")
    STEPS = 6

    def grow(self, file):
        """Write the rest of a file slowly; each of its states would be a good file."""
        for i in range(self.STEPS):
            file.write(f"  step {i}\n")
            file.flush()
            pause(0.05)

    GROWN = "begun\n" + "\n".join(f"step {i}" for i in range(STEPS))

    def test_A21_a_hard_link(self):
        server = self.serve_quick_p(*self.PATIENT)
        with Observer(server, litellm_path("new"), text_or_status) as observer:
            with open(self.scratch / "far", "w", encoding="utf-8") as file:
                file.write(block_prompt("begun"))
                file.flush()
                self.shell(server, "ln ../far new.yaml")
                self.grow(file)
            server.wait_for_text("new", self.GROWN)
        self.assert_saw(observer, 404, self.GROWN)

    def test_A21_a_hard_link_that_replaces(self):
        self.check_steps(self.serve_p(), ("ln -f ../two.yaml p.yaml", "two"))

    def test_A22_a_write_through_a_name_elsewhere(self):
        server = self.serve_quick_p("--poll", "1s")
        self.shell(server, "ln ../two.yaml new.yaml")
        server.wait_for_text("new", "two")
        with Observer(server, litellm_path("new"), text_or_status) as observer:
            self.shell(server, "cat ../three.yaml > ../two.yaml")
            server.wait_for_text("new", "three")
        self.assert_saw(observer, "two", "three")
        self.assertGreater(server.metric("promptd_poll_detected_changes_total"), 0)

    def test_A23_a_nameless_file_that_is_linked(self):
        server = self.serve_quick_p(*self.PATIENT)
        with Observer(server, litellm_path("new"), text_or_status) as observer:
            number = self.open_nameless(server.directory)
            with open(number, "w", encoding="utf-8") as file:
                file.write(block_prompt("begun"))
                file.flush()
                # A directory's descriptor makes Python call linkat, which alone follows the link.
                here = os.open(server.directory, os.O_RDONLY)
                os.link(f"/proc/self/fd/{number}", server.path("new.yaml"), src_dir_fd=here)
                os.close(here)
                self.grow(file)
            server.wait_for_text("new", self.GROWN)
        self.assert_saw(observer, 404, self.GROWN)

    def open_nameless(self, directory):
        try:
            return os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o644)
        except OSError as error:
            return self.skipTest(f"no O_TMPFILE on this file system ({error}): set PROMPTD_SCRATCH")

    def test_A24_a_store_into_a_mapping(self):
        server = self.serve_quick_p("--poll", "1s")
        path = server.path("p.yaml")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            with open(path, "r+b") as file:
                memory = mmap.mmap(file.fileno(), 0)
            at = memory.find(b"one")
            memory[at:at + 3] = b"two"
            server.wait_for_text("p", "two")  # only a look at the clock's bidding finds this
            before = path.stat()
            memory[at:at + 3] = b"ten"
            self.assertEqual((path.stat().st_mtime_ns, path.stat().st_ctime_ns),
                             (before.st_mtime_ns, before.st_ctime_ns))
            memory.close()  # the one event, and nothing that stat tells has changed
            server.wait_for_text("p", "ten")
        self.assert_saw(observer, "one", "two", "ten")


class Renames(FilesTest):
    def test_A25_two_files_exchanged(self):
        server = self.serve_quick_p(files={"a.yaml": prompt("one"), "b.yaml": prompt("two")})
        with Reader(server, "ab") as reader, self.generations(server, 3):
            for text in ("two", "one", "two"):
                exchange(server.path("a.yaml"), server.path("b.yaml"))
                server.wait_for_text("a", text)
        for sweep in reader.sweeps:
            self.assertEqual(set(sweep.texts.values()), {"one", "two"})

    def test_A26_removed_while_a_writer_goes_on(self):
        server = self.serve_p()
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, """exec 9>> p.yaml
                rm p.yaml
                for i in {1..20}; do echo "description: 'late $i'" >&9; sleep 0.05; done
                exec 9>&-""")
            server.wait_until_gone("p")
        self.assert_saw(observer, "one", 404)
        with self.generations(server, 0):
            server.wait_settled()
        self.assertEqual((server.problems(), server.text_of("q")), ([], "q"))

    def test_A29_renamed_with_the_id_inside(self):
        server = self.serve_p("--quiet", "5ms", files={"a.yaml": prompt("x", prompt_id="p")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, """for i in {1..12}; do
                mv a.yaml b.yaml; sleep 0.03; mv b.yaml c.yaml; sleep 0.03; mv c.yaml a.yaml
            done; mv a.yaml last.yaml""")
            wait_until(lambda: server.get("/prompts/p").json["source"]["file"] == "last.yaml",
                       "p comes from last.yaml")
        self.assert_saw(observer, "x")
        server.wait_settled()
        self.assertEqual((server.problems(), server.file_states()), ([], {"last.yaml": "ok"}))

    def test_A29_renamed_and_edited(self):
        # The old name is held for a while, but has to yield its id to the new one at once.
        server = self.serve_p("--delete-grace", "10m",
                              files={"a.yaml": prompt("one", prompt_id="p"), "q.yaml": prompt("q")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "mv a.yaml b.yaml; sed -i s/one/two/ b.yaml")
            server.wait_for_text("p", "two")
        self.assert_saw(observer, "one", "two")
        self.assertEqual((server.problems(), server.file_states()["b.yaml"]), ([], "ok"))

    def test_A30_renamed_to_another_ending(self):
        server = self.serve_p()
        with self.generations(server, 1), \
                Observer(server, litellm_path("p"), text_or_status) as observer:
            self.shell(server, "mv p.yaml p.yaml.off")
            server.wait_until_gone("p")
        self.assert_saw(observer, "one", 404)
        self.check_back(server)

    def check_back(self, server):
        with self.generations(server, 1):
            self.shell(server, "mv p.yaml.off p.yaml")
            server.wait_for_text("p", "one")


class Storm(FilesTest):
    SECONDS, PER_SECOND = 1.5, 1000

    def test_A31_a_storm_of_rewrites(self):
        server = self.serve_p("--max-latency", "300ms", files={"p.yaml": body_file(0)})
        before, looks = server.generation(), server.metric("promptd_rescans_total")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            number = self.rewrite(server.path("p.yaml"))
            after, looks = server.generation(), server.metric("promptd_rescans_total") - looks
            server.wait_for_text("p", body(number))
        self.assert_whole(observer)
        self.assertGreaterEqual(after - before, 4, "a storm must not starve readers")
        self.assertLess(looks, number / 2, "nor must each of its writes be looked at")

    def rewrite(self, path):
        number, end = 0, time.monotonic() + self.SECONDS
        while time.monotonic() < end:
            number += 1
            path.write_text(body_file(number))
            pause(1 / self.PER_SECOND)
        return number


if __name__ == "__main__":
    unittest.main()
