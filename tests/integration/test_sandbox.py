"""The sandbox: what a running server has given up, and what is replaced under it and yet served."""
import ctypes
import errno
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from promptd import (STOP_DEADLINE, ServerTest, as_somebody_else, binary, clean_environment, is_instrumented,
                     prompt, wait_until)
from replicas import ConfigMap, GitSync, Repository  # tests/reload
from support import strace_works
from test_tls import make_certificate
from test_tokens import entry

# A leak sanitizer cannot look for leaks in it.
ON = {"PROMPTD_SANDBOX": "auto", **({"ASAN_OPTIONS": "detect_leaks=0"} if is_instrumented() else {})}
FILES = {"p.yaml": prompt("hello")}


def why_no_landlock():
    """Why this kernel cannot confine anything; empty where it can."""
    create_ruleset, version = 444, 1
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(create_ruleset, None, ctypes.c_size_t(0), version) > 0:
        return ""
    return ("Landlock is missing: use a kernel with it (5.13 or later), named in its lsm= option: "
            f"{os.strerror(ctypes.get_errno())}")


class SandboxTest(ServerTest):
    server_env = ON

    def setUp(self):
        super().setUp()
        if why_no_landlock():
            self.skipTest(why_no_landlock())
        self.scratch = Path(tempfile.mkdtemp(prefix="promptd-test-")).resolve()
        self.scratch.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.scratch)

    def make_set(self, path, text):
        """A prompt directory, whose files are old enough to be complete."""
        directory = self.scratch / path
        directory.mkdir(parents=True)
        (directory / "p.yaml").write_text(prompt(text), encoding="utf-8")
        os.utime(directory / "p.yaml", (1e9, 1e9))
        return directory

    def logged(self, server, part):
        return [m for m in server.messages() if part in m]

    def told(self, server):
        """The line that says what is in force."""
        def find():
            return [line for line in map(json.loads, server.log_lines()) if line["msg"] == "sandboxed"]
        return wait_until(find, "the sandbox is told of")[0]

    def swap_link(self, link, target):
        new = link.with_name("new-link")
        new.symlink_to(target)
        os.replace(new, link)


class GivenUp(SandboxTest):
    def status_of(self, server):
        """The status of every thread."""
        tasks = Path(f"/proc/{server.process.pid}/task").iterdir()
        return [(task / "status").read_text(encoding="utf-8") for task in tasks]

    def test_no_thread_gains_privileges_or_leaves_a_core(self):
        server = self.serve(files=FILES)
        self.assertGreaterEqual(self.told(server)["landlock"], 1)
        statuses = self.status_of(server)
        self.assertGreaterEqual(len(statuses), 3)
        for status in statuses:
            self.assertIn("NoNewPrivs:\t1\n", status)
        limits = Path(f"/proc/{server.process.pid}/limits").read_text(encoding="utf-8")
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_its_user_cannot_look_into_it(self):
        user = as_somebody_else(self)
        server = self.serve(files=FILES, **user)
        self.told(server)
        # Landlock hides it from the confined ones only; this is of a process that is not dumpable.
        mine = subprocess.run([*user["wrapper"], "cat", f"/proc/{server.process.pid}/environ"],
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(mine.returncode, 0, mine.stdout)
        self.assertIn("Permission denied", mine.stderr)

    def test_it_is_told_what_is_in_force(self):
        root = self.make_set("app/prompts", "hello")
        told = self.told(self.serve(directory=root))
        self.assertEqual((told["reads_below"], told["writes_below"]),
                         (f"{root.parent}, {root}", "nothing"))
        told = self.told(self.serve("--writable", "--follow-links", "anywhere", directory=root))
        self.assertEqual((told["reads_below"], told["writes_below"]), ("anything", str(root)))

    def test_off_is_off(self):
        server = self.serve("--sandbox", "off", files=FILES)
        for status in self.status_of(server):
            self.assertIn("NoNewPrivs:\t0\n", status)
        self.assertEqual(self.logged(server, "sandboxed"), [])

    def test_nothing_that_it_needs_later_is_kept_from_it(self):
        """Configuration, time zones, names: all that libraries open late was opened before."""
        strace_works(self)
        trace = self.scratch / "trace"
        server = self.serve("--writable", files=FILES, env=ON, wrapper=[
            "strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=openat,open,landlock_restrict_self"])
        server.wait_for_text("p", "hello")
        self.assertEqual(server.post("/prompts", {"prompt_id": "new", "prompt_template": [
            {"role": "user", "content": "x"}]}).status, 200)
        for path in ("/metrics", "/-/status", "/openapi.json", "/prompts"):
            self.assertEqual(server.get(path).status, 200)
        server.stop()
        lines = trace.read_text(encoding="utf-8").splitlines()
        [at] = [i for i, line in enumerate(lines) if "landlock_restrict_self" in line]
        # malloc() asks how memory is overcommitted when it first gives some back, and without an answer gives it back all the same
        needless = re.compile(r"/proc/sys/vm/overcommit_memory|[.]gcda")
        self.assertEqual([line for line in lines[at:] if "EACCES" in line and not needless.search(line)], [])


class Denied(SandboxTest):
    def test_a_link_that_leads_out_later(self):
        """The directory is found through a link, which then leads to where nothing was opened. It is served
        after a restart, as the log says."""
        self.make_set("app/v1", "old")
        elsewhere = self.make_set("elsewhere/v2", "new")
        (self.scratch / "links").mkdir()
        link = self.scratch / "links/current"
        link.symlink_to("../app/v1")
        server = self.serve(directory=link)
        free = self.serve("--sandbox", "off", directory=link)
        self.swap_link(link, elsewhere)
        free.wait_for_text("p", "new")  # the user may read it
        [line] = wait_until(lambda: self.logged(server, "cannot open the prompt directory"), "it is told")
        self.assertIn("Permission denied: it was not there when promptd closed its sandbox: restart promptd", line)
        self.assertEqual(server.text_of("p"), "old")
        server.restart()
        server.wait_for_text("p", "new")

    def test_tokens_and_keys_that_lead_out_later(self):
        home, elsewhere = self.scratch / "home", self.scratch / "elsewhere"
        for directory in (home, elsewhere):
            directory.mkdir()
            make_certificate(directory, "tls")
            (directory / "tokens.yaml").write_text(entry("all", "all"), encoding="utf-8")
            (directory / "tokens.yaml").chmod(0o600)
        (self.scratch / "links").mkdir()
        link = self.scratch / "links/secrets"
        link.symlink_to(home)
        server = self.serve("--tokens-file", str(link / "tokens.yaml"), "--tls-cert", str(link / "tls.cert"),
                            "--tls-key", str(link / "tls.key"), files=FILES)
        self.swap_link(link, elsewhere)
        for part in ("cannot read the tokens file", "cannot take the certificate"):
            [line] = wait_until(lambda part=part: self.logged(server, part), "it is told")
            self.assertIn("when promptd closed its sandbox: restart promptd", line)

    def test_a_new_directory_is_not_written_to(self):
        root = self.make_set("app/prompts", "old")
        server = self.serve("--writable", directory=root)
        root.rename(self.scratch / "app/away")
        self.make_set("app/prompts", "new")
        server.wait_for_text("p", "new")
        body = {"prompt_id": "mine", "prompt_template": [{"role": "user", "content": "x"}]}
        refused = server.post("/prompts", body)
        self.assertEqual(refused.status, 403, refused)
        [line] = wait_until(lambda: self.logged(server, "another directory has taken the place"), "it is told")
        self.assertIn("restart promptd", line)
        server.restart()
        self.assertEqual(server.post("/prompts", body).status, 200)


class Replaced(SandboxTest):
    """What must still be opened."""

    def test_the_directory(self):
        root = self.make_set("app/prompts", "old")
        server = self.serve(directory=root)
        self.told(server)
        root.rename(self.scratch / "app/away")
        self.make_set("app/prompts", "new")
        server.wait_for_text("p", "new")

    def test_a_directory_that_comes_late(self):
        server = self.serve(directory=self.scratch / "a/b/prompts")
        self.told(server)
        self.make_set("a/b/prompts", "late")
        server.wait_for_text("p", "late")

    def test_a_config_map(self):
        volume = ConfigMap(self.scratch / "volume")
        volume.project({"p.yaml": prompt("old")})
        server = self.serve(directory=volume.directory)
        self.told(server)
        volume.project({"p.yaml": prompt("new"), "q.yaml": prompt("more")})
        server.wait_for_text("p", "new")
        server.wait_for_text("q", "more")

    def test_a_tree_of_git_sync(self):
        repository = Repository(self.scratch / "source", "prompts")
        commits = []
        for text in ("old", "new"):
            commits.append(repository.commit({"p.yaml": prompt(text)}, text))
        sync = GitSync(self.scratch / "git", repository.path)
        sync.sync(commits[0])
        server = self.serve(directory=sync.link / "prompts")
        self.told(server)
        server.wait_for_text("p", "old")
        sync.sync(commits[1])
        server.wait_for_text("p", "new")
        self.assertEqual(server.get("/health").json["source_revision"], commits[1])

    def test_tokens_and_keys_of_a_secret(self):
        """As the kubelet lays them out: names that are links through a link, which is swapped."""
        secret = ConfigMap(self.scratch / "secret")
        make_certificate(self.scratch, "tls")
        pair = {f"tls.{kind}": (self.scratch / f"tls.{kind}").read_text("ascii") for kind in ("cert", "key")}
        secret.project({**pair, "tokens.yaml": entry("all", "one")})
        self.hide(secret)
        server = self.serve("--tokens-file", str(secret.directory / "tokens.yaml"),
                            "--tls-cert", str(secret.directory / "tls.cert"),
                            "--tls-key", str(secret.directory / "tls.key"), files=FILES)
        self.told(server)
        before = len(self.logged(server, "tokens are in force"))
        secret.project({**pair, "tokens.yaml": entry("all", "two")})
        self.hide(secret)
        wait_until(lambda: len(self.logged(server, "tokens are in force")) > before, "the new tokens")
        wait_until(lambda: len(self.logged(server, "the certificate is in force")) > 1, "the new certificate")

    @staticmethod
    def hide(secret):
        """Tokens that everyone may read are refused."""
        (secret.directory / "tokens.yaml").resolve().chmod(0o600)


class WithoutLandlock(ServerTest):
    """A kernel that has none is acted by strace."""

    def setUp(self):
        super().setUp()
        strace_works(self)

    def without(self, reason):
        return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset",
                "-e", f"inject=landlock_create_ruleset:error={reason}"]

    def test_it_serves_and_says_so(self):
        for reason, words in (("ENOSYS", "this kernel has none"), ("EOPNOTSUPP", "it was left out at boot"),
                              ("EPERM", "Operation not permitted")):
            server = self.serve(files=FILES, env=ON, wrapper=self.without(reason))
            [line] = wait_until(lambda: [m for m in server.messages() if "not confined" in m], "it is told")
            self.assertIn(f"by Landlock: {words}", line)
            server.wait_for_text("p", "hello")

    def test_require_does_not_start(self):
        with tempfile.TemporaryDirectory() as directory:
            ended = subprocess.run([*self.without("ENOSYS"), binary(), "--sandbox", "require",
                                    "--listen", "127.0.0.1:0", directory], capture_output=True, text=True,
                                   check=False, timeout=STOP_DEADLINE, env=clean_environment(ON))
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"\Apromptd: not confined by Landlock: this kernel has none\n  use Linux ")

    def test_what_cannot_be_dropped_leaves_the_rest(self):
        """Each privilege is dropped whether or not another could be."""
        wrapper = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=prctl", "-e",
                   "inject=prctl:error=EINVAL:when=2"]
        server = self.serve(files=FILES, env=ON, wrapper=wrapper)
        wait_until(lambda: any("not every privilege could be dropped" in message for message in server.messages()),
                   "it is told")
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertRegex(Path(f"/proc/{server.process.pid}/limits").read_text(encoding="ascii"),
                         r"Max core file size +0 +0 ")
        with tempfile.TemporaryDirectory() as directory:
            ended = subprocess.run([*wrapper, binary(), "--sandbox", "require", "--listen", "127.0.0.1:0", directory],
                                   capture_output=True, text=True, check=False, timeout=STOP_DEADLINE,
                                   env=clean_environment(ON))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("not every privilege could be dropped", ended.stderr)

    def test_require_starts_with_it(self):
        if why_no_landlock():
            self.skipTest(why_no_landlock())
        server = self.serve("--sandbox", "require", files=FILES, env=ON)
        server.wait_for_text("p", "hello")


if __name__ == "__main__":
    unittest.main()
