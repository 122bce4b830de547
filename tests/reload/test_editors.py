"""Rows B: how editors save. Those that Debian packages run for real, in a terminal and outside
/tmp; for the others a table says what they do to the directory."""
import contextlib
import json
import os
import random
import subprocess
import threading
import unittest

from promptd import (DEADLINE, Observer, block_prompt, litellm_path, pause, prompt, run_threads,
                     text_or_status, wait_until)
from support import QuickTest, need, signed, strace_works, tool_environment

LONGER_THAN_QUIET = "delay_exit=200000"  # µs
RENAMES = "?rename,?renameat,?renameat2"


class Terminal:
    """A program in a terminal of its own, as a context manager that waits for its end."""

    def __init__(self, scratch, directory, command):
        self.command, self.screen = command, b""
        self.process = subprocess.Popen(
            ["script", "-qec", "stty rows 24 cols 80; exec " + command, "/dev/null"],
            cwd=directory, env=tool_environment(scratch), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            status = self.process.wait(0 if kind else 3 * DEADLINE)
        except subprocess.TimeoutExpired:
            status = "no end"
            self.process.kill()
            self.process.wait()
        self.reader.join(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()
        if kind is None and status != 0:
            raise AssertionError(f"{self.command}: {status}, and the screen is {self.screen!r}")

    def read(self):
        for data in iter(lambda: self.process.stdout.read1(4096), b""):
            self.screen += data

    def type(self, after, keys):
        """Wait until the screen has shown something that was not there yet, then type."""
        wait_until(lambda: after in self.screen, f"{self.command} shows {after}: {self.screen!r}")
        self.screen = b""
        self.process.stdin.write(keys)
        self.process.stdin.flush()


class EditorTest(QuickTest):
    def serve_p(self, *options, text=None):
        files = {"p.yaml": text or prompt("one"), "q.yaml": prompt("q")}
        server = self.serve(*options, files=files)
        server.wait_settled()
        self.inode = server.path("p.yaml").stat().st_ino
        return server

    def in_terminal(self, server, command):
        need(self, "script", "util-linux")
        return Terminal(self.scratch, server.directory, command)

    def edit(self, server, command):
        with self.in_terminal(server, command):
            pass

    @contextlib.contextmanager
    def saving(self, server, *texts):
        """The block saves p: it becomes the last of the texts in one step, whatever happens to the
        other files, and nothing but p and q is ever served."""
        with self.generations(server, 1), \
                Observer(server, litellm_path("p"), text_or_status) as observer:
            yield
            server.wait_for_text("p", texts[-1])
        self.assert_saw(observer, *texts)
        self.assertEqual((server.problems(), server.get("/prompts").json["total"]), ([], 2))

    def assert_renamed(self, server):
        """The file is a new one: the way of saving that this is about was really taken."""
        before, self.inode = self.inode, server.path("p.yaml").stat().st_ino
        self.assertNotEqual(self.inode, before, "the editor wrote in place")

    def assert_in_place(self, server):
        self.assertEqual(server.path("p.yaml").stat().st_ino, self.inode, "not written in place")


class Vim(EditorTest):
    LOOK = "call writefile(readdir(\".\"), \"../seen\")"

    def vim(self, *commands, file="p.yaml"):
        need(self, "vim", "vim")
        return "vim -u NONE -i NONE -N " + " ".join(f"-c '{c}'" for c in commands) + " " + file

    def seen(self):
        """What vim saw in the directory while it ran."""
        return (self.scratch / "seen").read_text(encoding="utf-8").split("\n")

    def test_B1_vim(self):
        server = self.serve_p()
        for old, new in (("one", "two"), ("two", "three")):
            with self.saving(server, old, new):
                self.edit(server, self.vim(f"%s/{old}/{new}/", "wq"))
            self.assert_renamed(server)
        self.assertEqual(server.file_names(), ["p.yaml", "q.yaml"])

    def test_B1_vim_on_a_slow_disk(self):
        # Between vim's rename and its new file, p is absent for longer than the quiet time.
        strace_works(self)
        server = self.serve_p("--delete-grace", "10s")
        with self.saving(server, "one", "two"):
            self.edit(server, f"strace -f -o /dev/null -e trace={RENAMES} "
                      f"-e inject={RENAMES}:{LONGER_THAN_QUIET} " + self.vim("%s/one/two/", "wq"))
        self.assert_renamed(server)

    def test_B2_vim_without_a_backup(self):
        server = self.serve_p()
        with self.saving(server, "one", "two"):
            self.edit(server, self.vim("set nowritebackup", "%s/one/two/", "wq"))
        self.assert_in_place(server)

    def test_B3_vim_that_copies_its_backup(self):
        server = self.serve_p()
        with self.saving(server, "one", "two"):
            self.edit(server, self.vim("set backupcopy=yes backup", "%s/one/two/", "wq"))
        self.assert_in_place(server)
        self.assertEqual(server.file_names(), ["p.yaml", "p.yaml~", "q.yaml"])

    def test_B3_vim_on_a_hard_link(self):
        server = self.serve_p()
        os.link(server.path("p.yaml"), self.scratch / "other")
        server.wait_settled()
        with self.saving(server, "one", "two"):
            self.edit(server, self.vim("%s/one/two/", "wq"))
        self.assert_in_place(server)

    def test_B3_vim_on_a_symbolic_link(self):
        elsewhere = self.scratch / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "text.yaml").write_text(prompt("one"))
        server = self.serve("--follow-links", "anywhere", files={"q.yaml": prompt("q")})
        os.symlink(elsewhere / "text.yaml", server.path("p.yaml"))
        server.wait_for_text("p", "one")
        for old, new in (("one", "two"), ("two", "three")):
            with self.saving(server, old, new):
                self.edit(server, self.vim(f"%s/{old}/{new}/", "wq"))
        self.assertTrue(server.path("p.yaml").is_symlink())

    def test_B4_vim_without_a_change(self):
        server = self.serve_p()
        with self.generations(server, 0):
            self.edit(server, self.vim(self.LOOK, "q"))
        self.assertIn(".p.yaml.swp", self.seen())

    def test_B5_vim_killed(self):
        server = self.serve_p()
        with self.generations(server, 0):
            self.kill_vim(server)
        self.assertIn(".p.yaml.swp", server.file_names())
        with self.saving(server, "one", "two"):  # and after such an end
            server.replace("p.yaml", prompt("two"))

    def kill_vim(self, server):
        """vim ends by its own hand, with a changed text in its swap file."""
        command = self.vim("%s/one/lost/", "preserve", "silent !kill -9 $PPID")
        (self.scratch / "killed").write_text(command + "; [ $? = 137 ]")
        self.edit(server, "sh ../killed")


class Emacs(EditorTest):
    CHANGE = '(goto-char (point-min)) (search-forward "{}") (replace-match "{}")'
    LOOK = '(with-temp-file "../seen" (dolist (n (directory-files ".")) (insert n "\\n")))'
    SAVE, LEAVE = "(save-buffer)", "(kill-emacs)"

    def emacs(self, server, *forms):
        need(self, "emacs", "emacs-nox")
        script = self.scratch / "edit.el"
        script.write_text("(progn " + " ".join(forms) + " " + self.LEAVE + ")")
        self.edit(server, "emacs -nw -Q p.yaml -l " + str(script))

    def seen(self):
        """What emacs saw in the directory while it ran."""
        return (self.scratch / "seen").read_text(encoding="utf-8").split("\n")

    def test_B6_emacs(self):
        server = self.serve_p()
        with self.saving(server, "one", "two"):
            self.emacs(server, self.CHANGE.format("one", "two"), self.LOOK, self.SAVE)
        self.assert_renamed(server)
        self.assertIn(".#p.yaml", self.seen())
        self.assertEqual(server.file_names(), ["p.yaml", "p.yaml~", "q.yaml"])
        self.assertEqual([line for line in server.log_lines() if ".#p.yaml" in line], [])

    def test_B7_emacs_saving_itself_and_a_second_time(self):
        server = self.serve_p()
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            # The second save of a session writes in place; the copy it makes for itself stays.
            self.emacs(server, self.CHANGE.format("one", "two"), self.SAVE,
                       self.CHANGE.format("two", "six"), self.SAVE,
                       self.CHANGE.format("six", "prompt_template: ["), "(do-auto-save)")
            server.wait_for_text("p", "six")
        self.assert_saw(observer, "one", "two", "six")
        self.assertIn("#p.yaml#", server.file_names())
        self.assertEqual((server.problems(), server.get("/prompts").json["total"]), ([], 2))

    def test_B8_emacs_with_care_for_the_file(self):
        server = self.serve_p()
        for setting, check in (("file-precious-flag", self.assert_renamed),
                               ("backup-by-copying", self.assert_in_place)):
            with self.subTest(setting):
                server.replace("p.yaml", prompt("one"))
                server.wait_for_text("p", "one")
                server.wait_settled()
                self.inode = server.path("p.yaml").stat().st_ino
                with self.saving(server, "one", "two"):
                    self.emacs(server, f"(setq {setting} t)", self.CHANGE.format("one", "two"),
                               self.SAVE)
                check(server)


class SmallEditors(EditorTest):
    TEXT = block_prompt("one")  # its second line ends in the text

    def test_B9_nano(self):
        need(self, "nano", "nano")
        server = self.serve_p(text=self.TEXT)
        text = "one"
        for flags, leaves in (("", []), ("-B", ["p.yaml~"]), ("-G", ["p.yaml~"])):
            with self.subTest(flags), self.saving(server, text, text + "+"):
                with self.in_terminal(server, f"nano -I {flags} p.yaml") as terminal:
                    terminal.type(b"prompt_template", b"\x0e\x05+\x0f")  # next line, end, write
                    terminal.type(b"Write", b"\r")
                    terminal.type(b"Wrote", b"\x18")
            text += "+"
            self.assert_in_place(server)
            self.assertEqual(server.file_names(), ["p.yaml", *leaves, "q.yaml"])

    def test_B10_joe(self):
        need(self, "joe", "joe")
        server = self.serve_p(text=self.TEXT)
        with self.saving(server, "one", "one+"):
            with self.in_terminal(server, "joe p.yaml") as terminal:
                terminal.type(b"prompt_template", b"\x0e\x05+\x0bx")  # next line, end; save, leave
        self.assertIn("p.yaml~", server.file_names())

    def test_B10_ed(self):
        need(self, "ed", "ed")
        server = self.serve_p()
        with self.saving(server, "one", "two"):
            self.shell(server, "printf '%s\\n' ,s/one/two/ w q | ed -s p.yaml")
        self.assert_in_place(server)


# What other editors do to a directory when they save: the act and its names.
HABITS = {
    "JetBrains": ("write p.yaml___jb_tmp___ NEW", "rename p.yaml p.yaml___jb_old___",
                  "rename p.yaml___jb_tmp___ p.yaml", "unlink p.yaml___jb_old___"),
    "gedit": ("write .goutputstream-A1B2C3 NEW", "rename .goutputstream-A1B2C3 p.yaml"),
    "gedit with a backup": ("write .goutputstream-A1B2C3 NEW", "link p.yaml p.yaml~",
                            "rename .goutputstream-A1B2C3 p.yaml"),
    "Kate": ("write .p.yaml.kate-swp junk", "write p.yaml.AbCdEf NEW",
             "rename p.yaml.AbCdEf p.yaml", "unlink .p.yaml.kate-swp"),
    "Sublime Text": ("write .subl1f3.tmp NEW", "rename .subl1f3.tmp p.yaml"),
    "VS Code": ("empty p.yaml", "write p.yaml NEW"),
    "micro": ("write p.yaml.micro-backup NEW", "write p.yaml NEW", "unlink p.yaml.micro-backup"),
    "Helix": ("rename p.yaml .p.yamlXyz1.bck", "write p.yaml NEW", "unlink .p.yamlXyz1.bck"),
    "a deleting one": ("unlink p.yaml", "write p.yaml NEW"),
}


class OtherEditors(EditorTest):
    def act(self, server, act, new):
        verb, *names = act.split()
        paths = [server.path(name) for name in names]
        if verb == "write":
            paths[0].write_text(new if names[1] == "NEW" else names[1])
        elif verb == "empty":
            os.truncate(paths[0], 0)
        else:
            getattr(os, verb)(*paths)

    def test_B11_the_habits_of_others(self):
        # Steps are farther apart than the quiet time, and together shorter than the grace.
        server = self.serve_p("--delete-grace", "10s")
        old = "one"
        for number, (name, acts) in enumerate(HABITS.items()):
            new = f"{name} {number}"
            with self.subTest(name):
                with Observer(server, litellm_path("p"), text_or_status) as observer:
                    for act in acts:
                        self.act(server, act, prompt(new))
                        pause(0.08)
                    server.wait_for_text("p", new)
                self.assert_saw(observer, old, new)
                self.assertEqual(server.get("/prompts").json["total"], 2)
            old = new
        wait_until(lambda: server.problems() == [], "no file is bad")

    # With the line that is wrong, or at which it is noticed.
    UNFINISHED = ((1, "prompt_template:\n"), (2, prompt("two") + "descr: x\n"),
                  (3, prompt("two") + "metadata: {owner: [\n"),
                  (3, prompt("two") + "metadata: {}\nversion: 1 2\n"))

    def test_B12_saving_all_the_time_what_is_not_finished(self):
        server = self.serve_p()
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for line, text in self.UNFINISHED:
                server.write("p.yaml", text)
                self.assertRegex(server.wait_for_problem(f"p.yaml:{line}:"), r":[0-9]+: .")
                self.assertEqual(server.file_states()["p.yaml"], "stale")
            server.write("p.yaml", prompt("two"))
            server.wait_for_text("p", "two")
        self.assert_saw(observer, "one", "two")
        self.assertEqual(server.problems(), [])


class AllAtOnce(EditorTest):
    """Several people and git, without a thought of each other: in the end, what is there counts."""

    NAMES, ROUNDS = [f"p{i}" for i in range(6)], 25

    def test_B13_two_editors_and_git(self):
        need(self, "git", "git")
        server = self.serve_p()
        self.make_repository(server)
        acts = (self.write_in_place, self.write_like_vim, self.check_out)
        run_threads(len(acts), lambda number: self.repeat(server, acts[number], number))
        server.wait_for_served(self.on_disk(server))
        self.assertEqual(server.problems(), [])

    def repeat(self, server, act, seed):
        dice = random.Random(seed)
        for number in range(self.ROUNDS):
            name = dice.choice(self.NAMES)
            act(server, server.path(name + ".yaml"), prompt(signed(name, f"s{seed}n{number}")))
            pause(dice.choice((0, 0.01, 0.1)))

    def make_repository(self, server):
        for branch in ("a", "b"):
            for name in self.NAMES:
                server.write(name + ".yaml", prompt(signed(name, branch)))
            self.shell(server, "git init -q 2>/dev/null; git checkout -q -b " + branch + """
                git add -A
                git -c user.name=x -c user.email=x@localhost commit -q -m x""")

    def write_in_place(self, server, path, text):
        path.write_text(text)

    def write_like_vim(self, server, path, text):
        """Another one may take the file away at any moment."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, str(path) + "~")
        path.write_text(text)

    def check_out(self, server, path, text):
        """git gives up on a file that the others make at the same moment."""
        branch = random.Random(text).choice("ab")
        self.shell(server, f"git checkout -q -f {branch} || true")

    def on_disk(self, server):
        """{id: text} as the files have it now."""
        return {path.stem: json.loads(path.read_text().partition(": ")[2])
                for path in server.directory.glob("*.yaml")}


if __name__ == "__main__":
    unittest.main()
