"""Rows C: git work trees. A commit is served whole or not at all."""
import contextlib
import os
import subprocess
import unittest

from promptd import pause, prompt, wait_until
from replicas import Repository, git_command, git_environment
from support import (LONG, LiveTest, Watched, calls, end_process, injected, rev_of, run,
                     signed_files, signed_prompt, signed_texts, strace_works, write_files)


def slowed(milliseconds, command):
    """A command whose every unlink takes its time: git unlinks a file before it writes it anew."""
    unlinks = calls(["unlink", "unlinkat"])
    return ["strace", "-f", "-o", "/dev/null", "-e", f"trace={unlinks}",
            "-e", f"inject={unlinks}:delay_enter={milliseconds}ms", *command]


class GitTest(LiveTest):
    """Each commit, on a branch of its own, is a set of prompts of which some are in all commits and
    some in this one only; every text names its set."""

    def set_up_repository(self, count=30, revs=("r1", "r2"), folder="prompts"):
        self.common = [f"d{i % 5}/p{i}" for i in range(count)]
        self.names, self.commits = {}, {}
        self.repository = Repository(self.scratch / "repo", folder)
        for rev in revs:
            self.add_commit(rev)
        self.repository.git("checkout", "-q", "--detach", revs[0])

    def add_commit(self, rev):
        self.names[rev] = [*self.common, f"d0/only-{rev}", f"only-{rev}/a", f"only-{rev}/b"]
        self.commits[rev] = self.repository.commit(signed_files(self.names[rev], rev), rev)
        self.repository.git("branch", rev)

    def texts(self, rev):
        return signed_texts(self.names[rev], rev)

    def serve_repository(self, *args, directory=None):
        server = self.serve(*args, directory=directory or self.repository.prompts)
        first = self.texts(next(iter(self.names)))
        server.wait_for_served(first, deadline=20 + len(first) / 100)
        server.wait_settled()
        return server

    def watch(self, server, always=None):
        every = sorted({name for names in self.names.values() for name in names})
        return Watched(self, server, every, self.common if always is None else always)

    def check_move(self, server, act, rev, deadline=20):
        """What act does brings the prompts of a commit, in one step: no reader sees a mixture."""
        with self.generations(server, 1), self.watch(server) as watched:
            act()
            server.wait_for_served(self.texts(rev), deadline)
        watched.check_sets([self.texts(r) for r in self.names])

    def check_source(self, server, commit):
        """The commit is told, in all three places."""
        server.wait_for_status(lambda s: s["source_revision"] == commit, f"the commit is {commit}")
        self.assertEqual(server.get("/health").json["source_revision"], commit)
        self.assertEqual(server.litellm(self.common[0]).headers["Prompts-Source-Revision"], commit)

    @contextlib.contextmanager
    def slow_git(self, milliseconds, *arguments, path=None):
        """Run a slowed git beside the block; it must do well."""
        strace_works(self)
        command = git_command(path or self.repository.path, *arguments)
        process = subprocess.Popen(slowed(milliseconds, command), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=git_environment())
        try:
            yield process
            _, told = process.communicate()
            self.assertEqual(process.returncode, 0, told)
        finally:
            end_process(process)

    def check_slow_move(self, server, rev, milliseconds, *arguments, path=None):
        def act():
            self.run_slowly(server, milliseconds, *arguments, path=path)

        self.check_move(server, act, rev)

    def run_slowly(self, server, milliseconds, *arguments, path=None):
        """Run a slowed git to its end. That it holds the server up is told meanwhile."""
        with self.slow_git(milliseconds, *arguments, path=path):
            server.wait_for_hold("vcs")


class Checkout(GitTest):
    def test_C1_checkout(self):
        self.set_up_repository()
        server = self.serve_repository()
        for rev in ("r2", "r1", "r2"):
            self.check_move(server, lambda r=rev: self.repository.git("checkout", "-q", r), rev)
            self.check_source(server, self.commits[rev])

    def test_C1_checkout_amid_a_look_that_may_not_wait(self):
        # A file that is never left alone makes every publication a forced one.
        strace_works(self)
        self.set_up_repository()
        server = self.serve_repository("--watch", "poll", "--poll", "50ms", "--settle", "100ms",
                                       "--max-latency", "100ms")
        with self.watch(server) as watched, \
                injected(server, (["openat"], "delay_enter=3ms")), \
                open(server.path("other.yaml"), "w", encoding="utf-8") as other:
            for number in range(8):
                self.repository.git("checkout", "-q", ("r2", "r1")[number % 2])
                for _ in range(40):
                    print("# not yet", file=other, flush=True)
                    pause(0.02)
        self.assertGreater(server.metric("promptd_forced_publishes_total"), 0)
        watched.check_sets([self.texts(r) for r in self.names])

    def test_C2_many_files(self):
        for count, revs in ((500, ("r2", "r1", "r2")), (5000, ("r2",)), (20000, ("r2",))):
            if count == 500 or LONG:
                with self.subTest(count):
                    self.check_many(count, revs)

    def check_many(self, count, revs):
        self.set_up_repository(count)
        server = self.serve_repository()
        for rev in revs:
            self.check_move(server, lambda r=rev: self.repository.git("checkout", "-q", r), rev,
                            deadline=20 + count / 100)  # to ask for so many takes long
        run("rm", "-rf", str(self.repository.path))

    def test_C3_slow_checkout(self):
        # Three of the files are only removed.
        count, milliseconds = (500, 100) if LONG else (27, 100)
        self.set_up_repository(count)
        server = self.serve_repository()
        self.check_slow_move(server, "r2", milliseconds, "checkout", "-q", "r2")
        self.check_source(server, self.commits["r2"])

    def test_C13_files_become_directories_and_links(self):
        before = {"both.yaml": "both", "file.yaml": "file.yaml", "tree.yaml/in.yaml": "in",
                  "Case.yaml": "Case", "link.yaml": "link", "plain.yaml": "plain"}
        after = {"both.yaml": "both", "file.yaml/in.yaml": "in", "tree.yaml": "tree",
                 "case.yaml": "case", "plain.yaml": "plain"}
        repository = Repository(self.scratch / "repo")
        repository.commit({path: prompt(f"{text} 1") for path, text in before.items()}, "one")
        repository.git("branch", "one")
        repository.commit({path: prompt(f"{text} 2") for path, text in after.items()}, "two")
        (repository.prompts / "link.yaml").symlink_to("plain.yaml")
        repository.commit_all("two")
        repository.git("branch", "two")
        ends = {"one": {path[:-len(".yaml")]: f"{text} 1" for path, text in before.items()},
                "two": {**{path[:-len(".yaml")]: f"{text} 2" for path, text in after.items()},
                        "link": "plain 2"}}
        server = self.serve(directory=repository.prompts)
        for rev in ("one", "two", "one"):
            repository.git("checkout", "-q", rev)
            server.wait_for_served(ends[rev])
            self.assertEqual(server.reload().status, 200)
            self.assertEqual((server.served(), server.problems()), (ends[rev], []))

    def test_C14_start_within_a_checkout(self):
        self.set_up_repository(20)
        first = self.repository.prompts / "d0/p0.yaml"
        with self.slow_git(100, "checkout", "-q", "r2") as process:
            wait_until(lambda: first.exists() and "r2" in first.read_text(encoding="utf-8"),
                       "some files are of the new commit")
            self.assertIsNone(process.poll(), "git was done before the server began")
            server = self.serve(directory=self.repository.prompts)
            with self.watch(server) as watched:
                server.wait_for_served(self.texts("r2"))
        watched.check_sets([self.texts("r2")])
        self.assertEqual(server.get("/ready").status, 200)


class OtherCommands(GitTest):
    def test_C4_stash_and_pop(self):
        self.set_up_repository()
        self.names["dirty"] = self.names["r1"]
        server = self.serve_repository()
        write_files(self.repository.prompts, signed_files(self.names["dirty"], "dirty"))
        server.wait_for_served(self.texts("dirty"))
        for _ in range(2):
            self.check_move(server, lambda: self.repository.git("stash", "-q"), "r1")
            self.check_move(server, lambda: self.repository.git("stash", "pop", "-q"), "dirty")

    def test_C5_rebase(self):
        # Each step of a rebase changes all files under a lock of its own, and may be seen; half a
        # step may not.
        self.set_up_repository(3, ("r1", "r2", "r3"))
        self.repository.git("checkout", "-q", "-b", "upstream", "r1")
        (self.repository.path / "README").write_text("a reason to rebase\n", encoding="utf-8")
        self.repository.commit_all("upstream")
        self.repository.git("checkout", "-q", "r3")
        server = self.serve(directory=self.repository.prompts)
        server.wait_for_served(self.texts("r3"))
        with self.watch(server) as watched:
            self.run_slowly(server, 80, "rebase", "-q", "upstream")
            server.wait_for_served(self.texts("r3"))
            server.wait_settled()
        watched.check_sets([self.texts(r) for r in self.names])
        self.check_source(server, self.repository.head())

    def test_C7_commands_that_change_all_files(self):
        self.set_up_repository()
        one, two = self.commits["r1"], self.commits["r2"]
        # The state after each is the state before the next.
        steps = ((("switch", "-q", "--detach", two), "r2"),
                 (("reset", "-q", "--hard", one), "r1"),
                 (("restore", "--source", two, "--staged", "--worktree", "."), "r2"),
                 (("reset", "-q", "--hard", one), "r1"),
                 (("cherry-pick", "--allow-empty", two), "r2"),
                 (("revert", "--no-edit", "HEAD"), "r1"),
                 (("merge", "-q", "--no-ff", "--strategy-option=theirs", "squash"), "r2"),
                 (("checkout", "-q", "-B", "main", one), "r1"),
                 (("pull", "-q", "--ff-only", str(self.repository.path), "r2"), "r2"),
                 (("read-tree", "-m", "-u", one), "r1"))
        self.repository.git("branch", "squash", self.make_child(one, two))
        server = self.serve_repository()
        for arguments, rev in steps:
            with self.subTest(arguments[0]):
                self.check_move(server, lambda a=arguments: self.repository.git(*a), rev)
                self.check_source(server, self.repository.head())

    def make_child(self, parent, like):
        """A commit on one with the files of another."""
        return self.repository.git("commit-tree", "-m", "squash", "-p", parent,
                                   f"{like}^{{tree}}").strip()

    def test_C7_bisect(self):
        self.set_up_repository(20, tuple(f"r{i}" for i in range(1, 7)))
        server = self.serve_repository()
        with self.watch(server) as watched:
            self.repository.git("bisect", "start", "r6", "r1")
            for _ in range(2):
                rev = self.repository.git("log", "-1", "--format=%s").strip()
                server.wait_for_served(self.texts(rev))
                self.repository.git("bisect", "bad")
            self.repository.git("bisect", "reset")
            server.wait_for_served(self.texts("r1"))
        watched.check_sets([self.texts(r) for r in self.names])

    def test_C8_clean_and_rm(self):
        self.set_up_repository()
        server = self.serve_repository()
        new = signed_files(["new/a", "new/b", "d0/new"], "r1")
        write_files(self.repository.prompts, new)
        server.wait_for_served({**self.texts("r1"),
                                **signed_texts(["new/a", "new/b", "d0/new"], "r1")})
        with self.watch(server):
            self.repository.git("clean", "-q", "-fd")
            server.wait_for_served(self.texts("r1"))
        rest = [n for n in self.names["r1"] if not n.startswith("d1/")]
        with Watched(self, server, rest, rest):
            self.repository.git("rm", "-q", "-r", "prompts/d1")
            server.wait_for_served(signed_texts(rest, "r1"))

    def check_rm(self, server, cause):
        """Even git does not take everything away in one stroke."""
        with self.watch(server):
            self.repository.git("rm", "-q", "-r", "prompts")
            server.wait_for_hold(cause)
            self.repository.git("reset", "-q", "--hard", "r2")
            server.wait_for_served(self.texts("r2"))
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_C8_rm_of_everything_is_held(self):
        self.set_up_repository()
        server = self.serve_repository("--empty-grace", "5m")
        self.check_rm(server, "root")  # git removes directories that it leaves empty
        server.write("notes.txt", "not git's")
        self.check_rm(server, "empty")

    def test_C15_nothing_in_the_work_tree(self):
        self.set_up_repository()
        server = self.serve_repository()
        write_files(self.repository.prompts, signed_files(self.names["r1"], "edited"))
        server.wait_for_served(signed_texts(self.names["r1"], "edited"))
        generation = server.wait_settled()["generation"]
        for arguments in (("commit", "-q", "-a", "-m", "edited"), ("gc", "-q"), ("tag", "v1"),
                          ("fetch", "-q", str(self.repository.path), "r2"), ("status",),
                          ("commit", "-q", "--allow-empty", "-m", "empty"), ("branch", "other")):
            with self.subTest(arguments):
                self.repository.git(*arguments)
                self.assert_unchanged(server, generation)
                self.check_source(server, self.repository.head())


class Conflicts(GitTest):
    def set_up_conflict(self):
        """p, with its id inside, differs on the branches theirs and ours; ours is checked out."""
        self.repository = Repository(self.scratch / "repo")
        self.commit_p("base")
        for branch in ("theirs", "ours"):
            self.repository.git("checkout", "-q", "-b", branch, "main")
            self.commit_p(branch)

    def write_p(self, rev):
        write_files(self.repository.prompts, {"p.yaml": signed_prompt("p", rev, prompt_id="p"),
                                              "q.yaml": prompt("q")})

    def commit_p(self, rev):
        self.write_p(rev)
        self.repository.commit_all(rev)

    def conflict(self, *arguments):
        done = subprocess.run(git_command(self.repository.path, *arguments), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, env=git_environment())
        self.assertNotEqual(done.returncode, 0, done)
        self.assertIn("<<<<<<<", (self.repository.prompts / "p.yaml").read_text(encoding="utf-8"))

    def check_conflict(self, server, begin, end, rev="ours"):
        """While the conflict stands its file is a problem and the last good version is served."""
        with Watched(self, server, ["p"], ["p"]) as watched:
            self.conflict(*begin)
            server.wait_for_problem("p.yaml:")
            self.assertEqual(server.file_states(), {"p.yaml": "stale", "q.yaml": "ok"})
            self.assertEqual(server.text_of("q"), "q")
            for arguments in end:
                self.repository.git(*arguments)
            wait_until(lambda: server.problems() == [], "the problem is gone")
            wait_until(lambda: rev_of(server.text_of("p")) == rev, f"{rev} is served")
        seen = {rev_of(sweep.texts["p"]) for sweep in watched.sweeps()}
        self.assertLessEqual(seen, {rev, "theirs"})

    def test_C6_conflicts(self):
        self.set_up_conflict()
        server = self.serve(directory=self.repository.prompts)
        server.wait_settled()
        for begin, end in ((("merge", "theirs"), [("merge", "--abort")]),
                           (("rebase", "theirs"), [("rebase", "--abort")]),
                           (("cherry-pick", "theirs"), [("cherry-pick", "--abort")]),
                           (("merge", "theirs"), [("checkout", "--ours", "prompts/p.yaml"),
                                                  ("commit", "-q", "-a", "-m", "resolved")])):
            with self.subTest(begin):
                self.check_conflict(server, begin, end)

    def test_C6_stash_pop(self):
        self.set_up_conflict()
        self.write_p("theirs")
        self.repository.git("stash", "-q")
        self.commit_p("later")
        server = self.serve(directory=self.repository.prompts)
        server.wait_settled()
        self.check_conflict(server, ("stash", "pop"), [("reset", "-q", "--hard")], "later")

    def test_C12_leftovers_of_a_mergetool(self):
        self.set_up_conflict()
        server = self.serve(directory=self.repository.prompts)
        server.wait_settled()
        with Watched(self, server, ["p"], ["p"]):
            self.conflict("merge", "theirs")
            # A tool that fails leaves its files behind: p_BASE_1.yaml, p_LOCAL_1.yaml, …
            self.conflict("-c", "mergetool.no.cmd=false", "-c", "mergetool.no.trustExitCode=true",
                          "-c", "mergetool.keepTemporaries=true", "mergetool", "--no-prompt",
                          "--tool=no")
            left = [path.name for path in self.repository.prompts.glob("p_*.yaml")]
            self.assertGreater(len(left), 1)
            self.repository.git("checkout", "--ours", "prompts/p.yaml")
            for name in left:
                server.wait_for_problem(name)
            self.assertEqual(rev_of(server.text_of("p")), "ours")
            self.assertEqual(server.get("/prompts/p").json["source"]["file"], "p.yaml")
            self.repository.git("clean", "-q", "-f")
            wait_until(lambda: server.problems() == [], "the problems are gone")
        self.assertEqual(sorted(server.served()), ["p", "q"])


class Layouts(GitTest):
    """Where the lock lies, and what else a .git may be."""

    def test_C9_worktree(self):
        self.set_up_repository(9)
        tree = self.scratch / "tree"
        self.repository.git("worktree", "add", "-q", "--detach", str(tree), "r1")
        server = self.serve_repository(directory=tree / "prompts")
        self.check_slow_move(server, "r2", 100, "checkout", "-q", "--detach", "r2", path=tree)
        self.check_source(server, self.commits["r2"])
        with self.watch(server):
            self.repository.git("worktree", "remove", "--force", str(tree))
            server.wait_for_status(lambda s: not s["directory"]["available"], "the loss is told")
            self.repository.git("worktree", "add", "-q", "--detach", str(tree), "r1")
            server.wait_for_served(self.texts("r1"))
        self.check_source(server, self.commits["r1"])

    def test_C9_submodule(self):
        self.set_up_repository(9)
        above = Repository(self.scratch / "above", "sub")
        above.git("submodule", "--quiet", "add", str(self.repository.path), "sub")
        for rev in ("r2", "r1"):
            above.git("-C", "sub", "checkout", "-q", "--detach", self.commits[rev])
            above.commit_all(rev)
            above.git("branch", rev)
        server = self.serve_repository(directory=above.path / "sub/prompts")
        above.git("checkout", "-q", "r2")  # leaves the submodule as it is
        self.check_slow_move(server, "r2", 100, "submodule", "--quiet", "update", path=above.path)
        self.check_source(server, self.commits["r2"])
        self.check_move(server, lambda: above.git("checkout", "-q", "--recurse-submodules", "r1"),
                        "r1")

    def test_C9_sparse_checkout(self):
        self.set_up_repository(25, ("r1",))
        server = self.serve_repository()
        part = {n: t for n, t in self.texts("r1").items() if n.startswith("d1/")}
        with self.watch(server, always=part) as watched:
            with self.generations(server, 1):
                self.repository.git("sparse-checkout", "set", "--cone", "prompts/d1")
                server.wait_for_served(part)
            with self.generations(server, 1):
                self.repository.git("sparse-checkout", "disable")
                server.wait_for_served(self.texts("r1"))
        watched.check_sets([self.texts("r1"), part])

    def test_C9_slow_smudge_filter(self):
        # As LFS does: the text of each file comes from a program, which takes its time.
        self.set_up_repository(9)
        (self.repository.path / ".git/info/attributes").write_text("*.yaml filter=slow\n",
                                                                   encoding="utf-8")
        self.repository.git("config", "filter.slow.smudge", "sleep 0.1; cat")
        server = self.serve_repository()
        self.check_move(server, lambda: self.repository.git("checkout", "-q", "r2"), "r2")

    def test_C10_locks_left_behind(self):
        # One lock was left long ago, the other is left by a git that is killed now.
        self.set_up_repository(5, ("r1",))
        run("cp", "-r", str(self.repository.path), str(self.scratch / "old"))
        lock, old_lock = (self.scratch / name / ".git/index.lock" for name in ("repo", "old"))
        old_lock.touch()
        os.utime(old_lock, (1000000000, 1000000000))
        server = self.serve_repository("--git-wait", "3s")
        old_server = self.serve(directory=self.scratch / "old/prompts")
        lock.touch()
        server.write("new.yaml", prompt("late"))
        server.wait_for_hold("vcs")
        self.assertEqual(server.litellm("new").status, 404)
        old_server.wait_for_served(self.texts("r1"))
        wait_until(lambda: server.text_of("new") == "late", "the lock is given up")
        wait_until(lambda: [m for m in server.messages() if "index.lock" in m],
                   "the log names the lock")

    def test_C11_the_directory_is_the_work_tree(self):
        self.set_up_repository(6, folder="")
        server = self.serve_repository()
        watches = server.status()["watch"]["watches"]
        with self.generations(server, 0):
            for i in range(50):
                write_files(self.repository.path, {f".git/more{i}/p{i}.yaml": prompt("x")})
        self.assertEqual(server.status()["watch"]["watches"], watches)
        self.check_slow_move(server, "r2", 100, "checkout", "-q", "r2")
        self.check_source(server, self.commits["r2"])


class Head(LiveTest):
    def test_it_names_a_reference_and_no_other_file(self):
        """A commit is told of references alone, wherever HEAD leads."""
        outside = self.scratch / "outside"
        outside.write_text("ab" * 20 + "\n", encoding="utf-8")
        for number, head in enumerate(("refs/heads/../../../../outside", "../../outside", str(outside), "outside")):
            directory = self.scratch / f"prompts{number}"
            write_files(directory, {"p.yaml": "prompt_template: x\n", ".git/HEAD": f"ref: {head}\n",
                                    ".git/outside": "cd" * 20 + "\n"})
            server = self.serve(directory=directory)
            self.assertNotIn("Prompts-Source-Revision", server.litellm("p").headers, head)


if __name__ == "__main__":
    unittest.main()
