"""How others lay prompts into a directory, step by step: the kubelet, git-sync, people with git."""
import os
import random
import shutil
from pathlib import Path

from promptd import pause
from support import run, write_files

GIT_SETTINGS = {"user.name": "Tester", "user.email": "tester@example.org", "gc.auto": "0",
                "maintenance.auto": "false", "advice.detachedHead": "false",
                "commit.gpgSign": "false", "core.hooksPath": os.devnull,
                "protocol.file.allow": "always"}


def git_command(path, *arguments):
    settings = [part for item in GIT_SETTINGS.items() for part in ("-c", "=".join(item))]
    return ["git", *settings, "-C", str(path), *arguments]


def git_environment():
    """The environment without the settings of whoever runs the tests."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {**env, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_EDITOR": "true", "GIT_TERMINAL_PROMPT": "0"}


def git(path, *arguments):
    return run(*git_command(path, *arguments), env=git_environment())


class Repository:
    """A git work tree with prompt files in one of its directories."""

    def __init__(self, path, folder="prompts"):
        self.path, self.prompts = Path(path), Path(path, folder)
        self.path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments):
        return git(self.path, *arguments)

    def head(self):
        return self.git("rev-parse", "HEAD").strip()

    def commit(self, files, subject):
        """Make a commit in which the prompt files are these and no others; returns its name."""
        for path in self.prompts.glob("*") if self.prompts.exists() else ():
            if path.name == ".git":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        write_files(self.prompts, files)
        return self.commit_all(subject)

    def commit_all(self, subject):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.head()


class ConfigMap:
    """A volume of the kubelet's, which lays a whole set beside the old one and swaps a link.

    visible_first: make the names of added keys before the swap, as old kubelets do, not after it.
    delay: seconds after each step that others can see.
    """

    def __init__(self, directory, visible_first=False, delay=0):
        self.directory, self.visible_first, self.delay = Path(directory), visible_first, delay
        self.payload, self.count = None, 0
        self.directory.mkdir(parents=True, exist_ok=True)

    def project(self, payload, must_swap=False):
        """Bring the volume to {path: text}. Nothing is touched where it holds that already."""
        if payload == self.payload and not must_swap:
            return
        old = self.directory / "..data"
        old = self.directory / os.readlink(old) if old.is_symlink() else None
        new = self.lay_payload(payload)
        if self.visible_first:
            self.add_names(payload)
        self.swap(new)
        if not self.visible_first:
            self.add_names(payload)
        self.remove_names(payload)
        if old is not None:
            shutil.rmtree(old)
        self.payload = dict(payload)

    def step(self):
        if self.delay:
            pause(self.delay)

    def lay_payload(self, payload):
        self.count += 1
        new = self.directory / f"..2026_01_02_03_04_05.{self.count:09}"
        new.mkdir()
        self.step()
        for path, text in payload.items():
            write_files(new, {path: text})
            (new / path).chmod(0o644)
        self.step()
        return new

    def swap(self, new):
        beside = self.directory / "..data_tmp"
        beside.symlink_to(new.name)
        self.step()
        os.rename(beside, self.directory / "..data")
        self.step()

    def visible(self, payload):
        """The names that users see: the first part of each path."""
        return {path.split("/")[0] for path in payload}

    def add_names(self, payload):
        names = [n for n in self.visible(payload) if not (self.directory / n).is_symlink()]
        for name in random.sample(names, len(names)):
            (self.directory / name).symlink_to("..data/" + name)
            self.step()

    def remove_names(self, payload):
        for name in self.visible(self.payload or {}) - self.visible(payload):
            (self.directory / name).unlink(missing_ok=True)
            self.step()


class GitSync:
    """A directory that git-sync keeps: a work tree for each commit, a link to the current one."""

    def __init__(self, directory, source):
        self.directory, self.source = Path(directory), source
        self.link = self.directory / "current"
        self.directory.mkdir(parents=True)
        git(self.directory, "init", "-q", "-b", "git-sync")

    def sync(self, commit):
        """Bring the link to a commit of the source, by the steps that git-sync takes."""
        if self.link.resolve().name == commit:
            return
        git(self.directory, "fetch", "-q", "--no-tags", str(self.source), commit)
        tree = self.directory / ".worktrees" / commit
        git(self.directory, "worktree", "add", "-q", "--force", "--detach", "--no-checkout",
            str(tree), commit)
        git(tree, "reset", "-q", "--hard", commit, "--")
        old = self.link.resolve() if self.link.is_symlink() else None
        run("ln", "-s", f".worktrees/{commit}", "tmp-link", cwd=self.directory)
        run("mv", "-T", "tmp-link", self.link.name, cwd=self.directory)
        if old is not None and old != tree.resolve():
            self.remove(old)

    def remove(self, tree):
        os.utime(tree)
        run("rm", "-rf", str(tree))
        git(self.directory, "worktree", "prune")
