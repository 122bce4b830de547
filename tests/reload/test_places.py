"""Rows G: directories, names, mounts, file systems, and the limits of the kernel."""
import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import unittest
from pathlib import Path

from promptd import (Observer, as_somebody_else, litellm_path, look_inside, pause, prompt,
                     text_or_status, wait_until)
from support import (IS_ROOT, LONG, LiveTest, Watched, end_process, exchange,
                     in_mounts_of, injected, is_sanitized, need, own_mounts, run, signed,
                     signed_files, signed_texts, strace_works, write_files)

# A server that finds by itself what no event tells of, as soon as it may.
OFTEN = ("--poll", "200ms")
# Seconds in which that is found, also on a busy machine: it looks for 1/200 of its time only. Less
# than the 60 after which all is looked at anyway.
FOUND = 45.0
HEALED = 90.0  # seconds in which what failed for want of something is tried again


def sees_everything(status):
    return status["watch"]["mode"] == "inotify" and not status["watch"]["blind"]


class PlaceTest(LiveTest):
    def serve_texts(self, names, *args, rev="r0", **kwargs):
        """A server of a set of prompts that is settled."""
        if "directory" not in kwargs:
            kwargs["files"] = signed_files(names, rev)
        server = self.serve(*args, **kwargs)
        server.wait_for_served(signed_texts(names, rev))
        server.wait_settled()
        return server

    def check_told_once(self, server):
        """The log has one warning: that it looks by the clock, and why."""
        told = [line for line in map(json.loads, server.log_lines()) if line["level"] == "warn"]
        self.assertEqual(len(told), 1, told)
        self.assertIn("reason", told[0])


class Directories(PlaceTest):
    def test_G1_directories_made_and_filled_at_once(self):
        server = self.serve_texts(["keep"])
        names = [f"a{i}/b/c/f" for i in range(30)]
        with Watched(self, server, ["keep", *names], ["keep"]):
            for name in names:
                folder, file = os.path.split(name)
                text = signed_files([name], "r0")[f"{name}.yaml"]
                self.shell(server, f"mkdir -p {folder}\ncat > {folder}/{file}.yaml <<'END'\n"
                           f"{text}END")
            server.wait_for_served(signed_texts(["keep", *names], "r0"))

    def test_G2_a_full_directory_moved_in(self):
        server = self.serve_texts(["keep"])
        names = [f"in{i}/sub/p{j}" for i in range(3) for j in range(20)]
        write_files(self.scratch / "outside", signed_files(names, "r0"))
        for i in range(3):
            moved = [n for n in names if n.startswith(f"in{i}/")]
            with self.generations(server, 1), \
                    Watched(self, server, ["keep", *moved], ["keep"]) as watched:
                os.rename(self.scratch / f"outside/in{i}", server.path(f"in{i}"))
                server.wait_for_text(moved[-1], signed(moved[-1], "r0"))
            keep = signed_texts(["keep"], "r0")
            watched.check_sets([keep, {**keep, **signed_texts(moved, "r0")}])
        server.wait_for_served(signed_texts(["keep", *names], "r0"))

    def test_G3_a_directory_renamed(self):
        # Ids that stand inside the files are never missed; ids from paths change with these.
        files = {f"old/sub/{i}.yaml": prompt(f"text {i}", prompt_id=f"p{i}") for i in range(20)}
        server = self.serve(files={**files, **signed_files(["old/named", "keep"], "r0")})
        server.wait_settled()
        with contextlib.ExitStack() as stack:
            observers = [stack.enter_context(Observer(server, litellm_path(name), text_or_status))
                         for name in ("p0", "p19")]
            for old, new in (("old", "new"), ("new", "newer"), ("newer", "old")):
                os.rename(server.path(old), server.path(new))
                server.wait_for_text(f"{new}/named", signed("old/named", "r0"))
                server.wait_until_gone(f"{old}/named")
                sources = {server.get(f"/prompts/p{i}").json["source"]["file"] for i in range(20)}
                self.assertEqual(sources, {f"{new}/sub/{i}.yaml" for i in range(20)})
        for observer, i in zip(observers, (0, 19)):
            self.assert_saw(observer, f"text {i}")
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_G3_ids_inside_move_in_one_generation(self):
        files = {f"old/{i}.yaml": prompt(f"text {i}", prompt_id=f"p{i}") for i in range(50)}
        server = self.serve("--delete-grace", "5m", files=files)
        server.wait_settled()
        os.rename(server.path("old"), server.path("new"))
        wait_until(lambda: server.get("/prompts/p0").json["source"]["file"] == "new/0.yaml",
                   "the first file is found in its new place")
        sources = {server.get(f"/prompts/p{i}").json["source"]["file"] for i in range(50)}
        self.assertEqual(sources, {f"new/{i}.yaml" for i in range(50)})

    def test_G4_a_directory_moved_out(self):
        server = self.serve_texts(["keep", "out/p", "out/sub/q"])
        outside = self.scratch / "outside"
        os.rename(server.path("out"), outside)
        server.wait_for_served(signed_texts(["keep"], "r0"))
        before = server.wait_settled()["watch"]["watches"]
        with self.generations(server, 0):
            write_files(outside, signed_files(["p", "sub/q", "sub/new"], "r1"))
            shutil.rmtree(outside)
        self.assertLessEqual(server.status()["watch"]["watches"], before)
        self.assertEqual(server.served(), signed_texts(["keep"], "r0"))

    def test_G5_a_subtree_removed(self):
        names = [f"gone/{i}/{j}/p" for i in range(5) for j in range(5)]
        server = self.serve_texts(["keep", *names])
        for _ in range(2):
            with Watched(self, server, ["keep", *names], ["keep"]):
                shutil.rmtree(server.path("gone"))
                server.wait_for_served(signed_texts(["keep"], "r0"))
                write_files(server.directory, signed_files(names, "r0"))
                server.wait_for_served(signed_texts(["keep", *names], "r0"))
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_G6_directories_that_cannot_be_read(self):
        somebody = as_somebody_else(self)
        server = self.serve_texts(["keep", "shut/p", "shut/sub/q"], **somebody)
        self.addCleanup(run, "chmod", "-R", "u+rwX", str(server.directory))
        for name in ("lost+found", ".snapshot"):
            server.path(name).mkdir(mode=0o700 if IS_ROOT else 0)
        os.chmod(server.path("shut"), 0)
        self.assertIn("ermission", server.wait_for_problem("shut"))
        server.wait_for_problem("lost+found")
        self.assertEqual([p for p in server.problems() if ".snapshot" in p], [])
        with Watched(self, server, ["keep", "shut/p", "shut/sub/q"], ["shut/p", "shut/sub/q"]):
            for i in range(3):
                server.write("keep.yaml", signed_files(["keep"], f"e{i}")["keep.yaml"])
                server.wait_for_text("keep", signed("keep", f"e{i}"))
        told = [m for m in server.messages() if "lost+found" in m]
        self.assertEqual(len(told), 1, told)
        os.chmod(server.path("shut"), 0o755)
        os.rmdir(server.path("lost+found"))
        wait_until(lambda: server.problems() == [], "the problems are gone")

    def test_G7_directories_in_a_circle_and_deep_ones(self):
        server = self.serve_texts(["keep", "dir/p"])
        (server.path("dir/up")).symlink_to("..")
        (server.path("here")).symlink_to(".")
        (server.path("one.yaml")).symlink_to("other.yaml")
        (server.path("other.yaml")).symlink_to("one.yaml")
        self.make_deep(server.directory, 1000)
        self.addCleanup(run, "rm", "-rf", str(server.path("deep")))
        server.write("keep.yaml", prompt("edited"))
        server.wait_for_text("keep", "edited")
        self.assertEqual(server.text_of("dir/p"), signed("dir/p", "r0"))
        status = server.wait_settled()
        self.assertLess(status["watch"]["watches"], 100)
        self.assertLess(status["prompts"], 10)
        for part in ("one.yaml", "other.yaml", "deep/"):
            server.wait_for_problem(part)

    def make_deep(self, folder, levels):
        """So many directories in one another, and a prompt in the last; its path is too long for a
        call."""
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(levels):
            os.mkdir("deep", dir_fd=at)
            below = os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        with os.fdopen(os.open("p.yaml", os.O_WRONLY | os.O_CREAT, dir_fd=at), "w") as file:
            file.write(prompt("too deep"))
        os.close(at)

    def test_G7_a_mount_in_a_circle(self):
        there = shlex.quote(str(self.scratch / "prompts"))
        wrapper = own_mounts(self, f"mount --bind {there} {there}/in\n"
                                   f"mount --bind {there} {there}/in/in")
        server = self.serve(files={"p.yaml": prompt("one"), "in/q.yaml": prompt("q")},
                            wrapper=wrapper)
        server.wait_for_text("p", "one")
        server.write("p.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        self.assertLess(server.wait_settled()["watch"]["watches"], 30)
        self.assertLess(len(server.served()), 5)

    def test_G8_what_is_no_file(self):
        server = self.serve_texts(["keep"])
        kinds = {"fifo": os.mkfifo, "socket": self.make_socket, "folder": os.mkdir,
                 "device": self.make_device}
        for kind, make in kinds.items():
            with self.subTest(kind):
                make(server.path(f"{kind}.yaml"))
                if kind != "folder":
                    server.wait_for_problem(f"{kind}.yaml")
                server.write("keep.yaml", prompt(kind))
                server.wait_for_text("keep", kind)
                self.assertEqual(server.litellm(kind).status, 404)
        for path in server.directory.glob("*.yaml"):
            if path.name != "keep.yaml":
                path.rmdir() if path.is_dir() else path.unlink()
        wait_until(lambda: server.problems() == [], "the problems are gone")

    def make_socket(self, path):
        with socket.socket(socket.AF_UNIX) as listener:
            beside = os.getcwd()
            os.chdir(path.parent)  # the path of a socket is short
            try:
                listener.bind(path.name)
            finally:
                os.chdir(beside)

    def make_device(self, path):
        try:
            os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            self.skipTest("a device can be made by root only")

    def test_G9_names(self):
        server = self.serve_texts(["keep"])
        long_name = "n" * 250
        good = {"-rf.yaml": "-rf", "two words.yaml": "two words", "ünï çode.yaml": "ünï çode",
                "'quoted\".yaml": "'quoted\"", "$(reboot).yaml": "$(reboot)", "%s%n.yaml": "%s%n"}
        bad = [b"new\nline.yaml", b"\xff\xfe.yaml", b"bell\a.yaml", b"esc\x1b[2J.yaml", b"a@b.yaml"]
        ignored = [b"..x.yaml", b"...yaml", b".yaml", b"#x.yaml", b"_x.yaml", b"x.YAML~"]
        for name in good:
            server.write(name, prompt(name))
        for name in bad + ignored:
            Path(os.fsdecode(os.fsencode(server.directory) + b"/" + name)).write_bytes(
                prompt("bad").encode())
        server.write(f"{long_name}.yaml", prompt("long", prompt_id="long"))
        expected = {"keep": signed("keep", "r0"), "long": "long",
                    **{prompt_id: name for name, prompt_id in good.items()}}
        server.wait_for_served(expected)
        self.assertEqual(len(server.problems()), len(bad), server.problems())
        for line in server.log_lines():  # no name makes a line of its own
            self.assertIn("msg", json.loads(line))
        self.assertEqual([c for c in server.get("/health").body if c < 32], [])


class Mounts(PlaceTest):
    """Mounts come and go without an event; a look by the clock finds them."""

    NAMES = ["a", "d/b"]

    def there(self):
        return shlex.quote(str(self.scratch / "prompts"))

    def fill(self, server, rev):
        """Write a set into the directory as the server sees it."""
        source = self.scratch / f"set-{rev}"
        write_files(source, signed_files(self.NAMES, rev))
        in_mounts_of(server, f"cp -r {shlex.quote(str(source))}/. {self.there()}/")

    def test_G10_a_mount_over_the_directory(self):
        server = self.serve_texts(self.NAMES, *OFTEN, wrapper=own_mounts(self))
        beside = shlex.quote(str(self.scratch / "beside"))
        write_files(self.scratch / "set", signed_files(self.NAMES, "r1"))
        device = server.status()["directory"]["device"]
        with Watched(self, server, self.NAMES, self.NAMES) as watched:
            in_mounts_of(server, f"""mkdir {beside}; mount -t tmpfs tmpfs {beside}
                cp -r {self.scratch}/set/. {beside}/; mount --bind {beside} {self.there()}""")
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        watched.check_sets([signed_texts(self.NAMES, rev) for rev in ("r0", "r1")])
        self.assertNotEqual(server.wait_settled()["directory"]["device"], device)
        self.fill(server, "r2")
        server.wait_for_served(signed_texts(self.NAMES, "r2"), FOUND)

    def check_lost_mount(self, mount, unmount):
        """Where a mount goes its prompts stay, for as long as nothing is in its place."""
        setup = f"{mount}\ncp -r {self.scratch}/set/. {self.there()}/"
        write_files(self.scratch / "set", signed_files(self.NAMES, "r0"))
        (self.scratch / "prompts").mkdir()
        server = self.serve(*OFTEN, "--empty-grace", "300ms", wrapper=own_mounts(self, setup))
        server.wait_for_served(signed_texts(self.NAMES, "r0"), FOUND)
        with Watched(self, server, self.NAMES, self.NAMES):
            in_mounts_of(server, unmount)
            # Another file system turned up empty: that is never accepted.
            server.wait_for_status(lambda s: [h for h in s["holds"] if h["age_ms"] > 800
                                              and h["cause"] in ("empty", "root")],
                                   "the loss is held for longer than --empty-grace", FOUND)
            self.assertEqual(server.get("/ready").status, 200)
            in_mounts_of(server, mount)
            self.fill(server, "r1")
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        status = server.wait_settled()
        self.assertEqual((status["problems"], status["holds"]), ([], []))

    def test_G11_the_file_system_is_unmounted(self):
        self.check_lost_mount(f"mount -t tmpfs tmpfs {self.there()}", f"umount {self.there()}")

    def test_G12_lazy_unmount(self):
        # What the server has open keeps such a file system alive, out of everybody's sight.
        self.check_lost_mount(f"mount -t tmpfs tmpfs {self.there()}", f"umount -l {self.there()}")

    def test_G12_a_bind_mount_goes(self):
        need(self, "mount", "mount")
        other = shlex.quote(str(self.scratch / "other"))
        (self.scratch / "other").mkdir()
        mount = (f"mountpoint -q {other} || mount -t tmpfs tmpfs {other}\n"
                 f"mount --bind {other} {self.there()}")
        self.check_lost_mount(mount, f"umount {self.there()}")

    def test_G13_changes_below_an_overlay(self):
        for name in ("lower", "upper", "work", "prompts"):
            (self.scratch / name).mkdir()
        write_files(self.scratch / "lower", signed_files(self.NAMES, "r0"))
        layers = ",".join(f"{key}={self.scratch / name}" for key, name in
                          (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")))
        wrapper = own_mounts(self, f"mount -t overlay overlay -o {layers} {self.there()}")
        server = self.serve(*OFTEN, wrapper=wrapper)
        server.wait_for_served(signed_texts(self.NAMES, "r0"), FOUND)
        with Watched(self, server, self.NAMES, self.NAMES) as watched:
            write_files(self.scratch / "lower", signed_files(self.NAMES, "r1"))
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
            self.fill(server, "r2")  # this one through the mount
            server.wait_for_served(signed_texts(self.NAMES, "r2"), FOUND)
            write_files(self.scratch / "upper", signed_files(self.NAMES, "r3"))
            server.wait_for_served(signed_texts(self.NAMES, "r3"), FOUND)
        watched.check()

    def test_G24_remounted_read_only(self):
        there = self.there()
        wrapper = own_mounts(self, f"mount --bind {there} {there}")
        server = self.serve_texts(self.NAMES, wrapper=wrapper)
        for option in ("ro", "rw", "ro"):
            with self.subTest(option), self.generations(server, 0):
                in_mounts_of(server, f"mount -o remount,bind,{option} {there}")
        server.write("a.yaml", prompt("from where it may be written"))
        server.wait_for_text("a", "from where it may be written")

    def test_G27_without_proc(self):
        if is_sanitized():
            self.skipTest("a sanitizer needs /proc: test a build without")
        server = self.serve_texts(self.NAMES, *OFTEN,
                                  wrapper=own_mounts(self, "mount -t tmpfs tmpfs /proc"))
        self.assertEqual(in_mounts_of(server, "ls /proc"), "")
        write_files(server.directory, signed_files(self.NAMES, "r1"))
        server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        write_files(server.directory, signed_files(["new/dir/p"], "r1"))
        server.wait_for_text("new/dir/p", signed("new/dir/p", "r1"))
        write_files(server.directory, signed_files(["new/dir/p"], "r2"))
        server.wait_for_text("new/dir/p", signed("new/dir/p", "r2"))


class Remote(PlaceTest):
    """File systems whose changes are made elsewhere. There is no network here: FUSE stands in."""

    NAMES = ["a", "d/b", "d/c"]

    def mount_elsewhere(self, *options):
        """Show the directory `real` as the one that is served, through a process."""
        need(self, "bindfs", "bindfs")
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse cannot be opened: load the kernel's fuse, or run as root")
        self.real, self.shown = self.scratch / "real", self.scratch / "shown"
        write_files(self.real, signed_files(self.NAMES, "r0"))
        self.shown.mkdir(exist_ok=True)
        return self.start_bindfs(*options)

    def start_bindfs(self, *options):
        process = subprocess.Popen(["bindfs", "-f", *options, str(self.real), str(self.shown)],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.unmount, process)
        wait_until(lambda: os.path.ismount(self.shown), "it is mounted")
        return process

    def unmount(self, process):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        program = shutil.which("fusermount3") or "fusermount"
        subprocess.run([program, "-u", "-z", str(self.shown)], capture_output=True, check=False)
        end_process(process)

    def test_G14_changes_elsewhere(self):
        self.mount_elsewhere()
        server = self.serve_texts(self.NAMES, directory=self.shown)
        watch = server.status()["watch"]
        self.assertTrue(watch["blind"] or watch["mode"] == "poll", watch)
        self.assertTrue(watch["reasons"])
        self.check_told_once(server)
        with Watched(self, server, self.NAMES, self.NAMES):
            write_files(self.real, signed_files(self.NAMES, "r1"))
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_G15_attributes_are_cached(self):
        # As NFS does: for some seconds what stat tells is what it told before.
        self.mount_elsewhere("-o", "attr_timeout=1.5,entry_timeout=1.5")
        server = self.serve_texts(self.NAMES, *OFTEN, directory=self.shown)
        with Watched(self, server, self.NAMES, self.NAMES):
            # Longer and shorter ones: the cached size cuts a longer file off.
            for rev in ("a-longer-revision", "r"):
                write_files(self.real, signed_files(self.NAMES, rev))
                server.wait_for_served(signed_texts(self.NAMES, rev), FOUND)

    def test_G16_a_server_that_hangs(self):
        process = self.mount_elsewhere()
        server = self.serve_texts(self.NAMES, *OFTEN, directory=self.shown)
        with Watched(self, server, self.NAMES, self.NAMES):
            process.send_signal(signal.SIGSTOP)
            try:
                wait_until(lambda: server.metric("promptd_scan_in_progress_seconds") > 1,
                           "a look takes more than a second", FOUND)
                for path in ("/health", "/ready", "/metrics", "/-/status"):
                    self.assertEqual(server.get(path).status, 200)
                write_files(self.real, signed_files(self.NAMES, "r1"))
            finally:
                process.send_signal(signal.SIGCONT)
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)

    def test_G16_a_server_that_is_gone(self):
        process = self.mount_elsewhere()
        server = self.serve_texts(self.NAMES, *OFTEN, directory=self.shown)
        with Watched(self, server, self.NAMES, self.NAMES):
            process.kill()  # from now on every call there fails
            process.wait()
            server.wait_for_status(lambda s: s["problems"], "the loss is told", FOUND)
            self.unmount(process)
            server.wait_for_hold("empty", FOUND)
            write_files(self.real, signed_files(self.NAMES, "r1"))
            self.start_bindfs()
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_G16_stale_handles(self):
        strace_works(self)
        server = self.serve_texts(self.NAMES, *OFTEN)
        with Watched(self, server, self.NAMES, self.NAMES):
            with injected(server, (["openat", "openat2"], "error=ESTALE:when=2+2")):
                write_files(server.directory, signed_files(self.NAMES, "r1"))
                pause(1)
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        wait_until(lambda: server.problems() == [], "the problems are gone")

    def test_G25_coarse_times(self):
        """A second that has not passed tells no two texts of one size apart."""
        if not IS_ROOT:
            self.skipTest("to mount an image takes root")
        need(self, "mke2fs", "e2fsprogs")
        image = self.scratch / "image"
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        # Small inodes have no room for parts of seconds.
        run("mke2fs", "-q", "-I", "128", "-t", "ext2", str(image))
        (self.scratch / "prompts").mkdir()
        wrapper = own_mounts(self, f"mount -o loop {image} {self.scratch}/prompts")
        server = self.serve("--watch", "poll", "--allow-empty", wrapper=wrapper)
        shown = Path(f"/proc/{server.process.pid}/root{server.directory}")
        path = shown / "p.yaml"
        for number in range(10):
            text = f"text {number}"
            path.write_text(prompt(text), encoding="utf-8")
            self.assertEqual(os.stat(path).st_mtime_ns % 1000000000, 0)
            self.assertEqual(server.reload().status, 200)
            self.assertEqual(server.text_of("p"), text)

    def test_G25_names_in_any_case(self):
        if not IS_ROOT:
            self.skipTest("to mount an image takes root")
        need(self, "mke2fs", "e2fsprogs")
        if not Path("/sys/fs/ext4/features/casefold").exists():
            self.skipTest("this kernel's ext4 has no casefold: use one with CONFIG_UNICODE")
        image, there = self.scratch / "image", self.scratch / "prompts"
        with open(image, "wb") as file:
            file.truncate(16 << 20)
        run("mke2fs", "-q", "-t", "ext4", "-O", "casefold", "-E", "encoding=utf8", str(image))
        there.mkdir()
        wrapper = own_mounts(self, f"mount -o loop {image} {there}\nmkdir {there}/d\n"
                                   f"chattr +F {there}/d")
        server = self.serve("--allow-empty", wrapper=wrapper)
        shown = Path(f"/proc/{server.process.pid}/root{there}/d")
        (shown / "Case.yaml").write_text(prompt("one"), encoding="utf-8")
        server.wait_for_served({"d/Case": "one"})
        (shown / "case.yaml").write_text(prompt("two"), encoding="utf-8")
        server.wait_for_served({"d/Case": "two"})
        os.rename(shown / "CASE.yaml", shown / "case.yaml")
        server.wait_for_served({"d/case": "two"})


class Limits(PlaceTest):
    NAMES = ["keep", *(f"d{i}/p" for i in range(20))]

    def limited(self, **limits):
        """How to run promptd in a user namespace with few watches or instances of inotify."""
        need(self, "unshare", "util-linux")
        need(self, "nsenter", "util-linux")
        if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
            self.skipTest("no user namespaces here: set kernel.unprivileged_userns_clone=1")
        return ["unshare", "-Ur", "sh", "-ec", self.limit(**limits) + '\nexec "$@"', "sh"]

    def limit(self, **limits):
        return "\n".join(f"echo {number} > /proc/sys/user/max_inotify_{kind}"
                         for kind, number in limits.items())

    def raise_limit(self, server, **limits):
        run("nsenter", "-t", str(server.process.pid), "-U", "--preserve-credentials", "sh", "-ec",
            self.limit(**limits))

    def check_blind(self, server, reason):
        """It is told that and why it looks by the clock, and so it finds everything."""
        status = server.wait_for_status(lambda s: not sees_everything(s),
                                        "it is told that inotify does not see everything")
        self.assertIn(reason, " ".join(status["watch"]["reasons"]))
        write_files(server.directory, signed_files(self.NAMES, "r1"))
        server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        self.check_told_once(server)

    def check_sight(self, server):
        server.wait_for_status(sees_everything, "inotify is back", HEALED)
        write_files(server.directory, signed_files(self.NAMES, "r3"))
        server.wait_for_served(signed_texts(self.NAMES, "r3"), FOUND)

    def test_G17_too_few_watches(self):
        server = self.serve_texts(self.NAMES, wrapper=self.limited(watches=8))
        with Watched(self, server, self.NAMES, self.NAMES):
            self.check_blind(server, "max_user_watches")
            self.raise_limit(server, watches=1000)
            self.check_sight(server)

    def test_G18_no_inotify(self):
        server = self.serve_texts(self.NAMES, *OFTEN, wrapper=self.limited(instances=0))
        with Watched(self, server, self.NAMES, self.NAMES):
            self.check_blind(server, "max_user_instances")
            self.raise_limit(server, instances=100)
            self.check_sight(server)

    def test_G18_too_few_descriptors(self):
        look_inside(self)
        server = self.serve_texts(self.NAMES, *OFTEN)
        pid = server.process.pid
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        with Observer(server, "/health", lambda r: r.status) as health:
            # The observer's connection stands already, and no descriptor is left for a directory.
            used = 1 + max(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, usual[1]))
            try:
                write_files(server.directory, signed_files(self.NAMES, "r1"))
                wait_until(lambda: any("Too many open files" in m for m in server.messages()),
                           "the log tells that descriptors are out")
            finally:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        self.assertEqual(health.answers, [200])
        wait_until(lambda: server.problems() == [], "the problems are gone")

    def test_G19_more_events_than_the_queue_holds(self):
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
        if limit > 200000:
            self.skipTest("fs.inotify.max_queued_events is over 200000: set a lower one")
        names = [f"new{i}/p" for i in range(50)]
        server = self.serve_texts(self.NAMES)
        with Watched(self, server, self.NAMES, self.NAMES, readers=1) as watched:
            wait_until(watched.count, "a first sweep")
        server.freeze()
        try:
            one, other = server.path("x.tmp"), server.path("y.tmp")
            one.touch()
            for _ in range(limit // 4 + 100):  # each rename is two events
                os.rename(one, other)
                os.rename(other, one)
            # The queue is full: of these no event tells.
            write_files(server.directory, signed_files([*self.NAMES, *names], "r1"))
        finally:
            server.thaw()
        server.wait_for_served(signed_texts([*self.NAMES, *names], "r1"))
        self.assertGreater(server.wait_settled()["watch"]["overflows"], 0)
        write_files(server.directory, signed_files(names, "r2"))
        for name in names:
            server.wait_for_text(name, signed(name, "r2"))

    def test_G20_events_of_watches_that_are_gone(self):
        server = self.serve_texts(self.NAMES)
        with Watched(self, server, self.NAMES, self.NAMES):
            for number in range(300):
                name = f"short{number % 7}/in"
                write_files(server.directory, signed_files([f"{name}/p"], "r0"))
                if number % 3 == 0:
                    os.rename(server.path(name), self.scratch / "out")
                    write_files(self.scratch, signed_files(["out/q"], "r0"))
                    shutil.rmtree(self.scratch / "out")
                shutil.rmtree(server.path(name).parent)
            write_files(server.directory, signed_files(self.NAMES, "r1"))
            server.wait_for_served(signed_texts(self.NAMES, "r1"), FOUND)
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_G22_a_pause_of_the_whole_process(self):
        server = self.serve_texts(self.NAMES)
        server.freeze()
        try:
            write_files(server.directory, signed_files([*self.NAMES, "new/p"], "r1"))
            server.remove("d0/p.yaml")
            os.rename(server.path("d1"), server.path("e1"))
            exchange(server.path("d2/p.yaml"), server.path("d3/p.yaml"))
            with open(server.path("d4/p.yaml"), "a", encoding="utf-8") as file:
                pause(2.5)  # longer than every wait but the safety net's
                file.write("x-more: 1\n")
        finally:
            server.thaw()
        expected = signed_texts([*self.NAMES, "new/p"], "r1")
        del expected["d0/p"]
        expected["e1/p"] = expected.pop("d1/p")
        expected["d2/p"], expected["d3/p"] = expected["d3/p"], expected["d2/p"]
        server.wait_for_served(expected)

    def test_G21_times_that_are_to_come(self):
        # Times say that something changed, never when: these files may be from any clock.
        now = 4000000000
        server = self.serve_texts(self.NAMES)
        outside = self.scratch / "outside"
        with Watched(self, server, self.NAMES, self.NAMES):
            for number, when in enumerate((now, 0, now + 3600, 1, 2 ** 33)):
                rev = f"t{number}"
                write_files(outside, signed_files(self.NAMES, rev))
                for name in self.NAMES:
                    os.utime(outside / f"{name}.yaml", (when, when))
                    os.rename(outside / f"{name}.yaml", server.path(f"{name}.yaml"))
                server.wait_for_served(signed_texts(self.NAMES, rev), FOUND)
        self.serve().wait_for_served(signed_texts(self.NAMES, "t4"))

    def test_G21_a_clock_that_jumps(self):
        """The wall clock, as the server sees it, goes an hour forth and back."""
        look_inside(self)
        need(self, "cc", "gcc")
        library, hours = self.scratch / "clock.so", self.scratch / "hours"
        source = self.scratch / "clock.c"
        source.write_text(CLOCK, encoding="ascii")
        run("cc", "-shared", "-fPIC", "-o", str(library), str(source))
        hours.write_text("0", encoding="ascii")
        env = {"LD_PRELOAD": str(library), "TEST_HOURS": str(hours),
               "ASAN_OPTIONS": "verify_asan_link_order=0"}
        server = self.serve_texts(self.NAMES, "--empty-grace", "1s", env=env)
        with Watched(self, server, self.NAMES, self.NAMES):
            for number, hour in enumerate(("1", "-1")):
                hours.write_text(hour, encoding="ascii")
                rev = f"h{number}"
                write_files(server.directory, signed_files(self.NAMES, rev))
                server.wait_for_served(signed_texts(self.NAMES, rev), FOUND)
                os.link(server.path("keep.yaml"), server.path("linked.yaml"))  # without evidence
                server.wait_for_text("linked", signed("keep", rev))
                server.remove("linked.yaml")
                server.wait_until_gone("linked")
        self.assertIn(str(library), Path(f"/proc/{server.process.pid}/maps").read_text("utf-8"))

    def test_G23_memory_is_out(self):
        strace_works(self)
        if is_sanitized():
            self.skipTest("a sanitizer ends the program when memory is out: test a build without")
        server = self.serve_texts(self.NAMES, *OFTEN)
        # Larger than any memory that was freed before: to hold them takes new pages.
        big = {f"big{i}.yaml": prompt(f"{i}" * 900000) for i in range(10)}
        with Watched(self, server, self.NAMES, self.NAMES):
            with injected(server, (["mmap", "mremap", "mprotect"], "error=ENOMEM"),
                          (["brk"], f"retval={self.end_of_heap(server)}")):
                write_files(server.directory, big)
                wait_until(lambda: any("emory" in m for m in server.log_lines()),
                           "the log tells that memory was out")
            for i in range(10):
                server.wait_for_text(f"big{i}", f"{i}" * 900000)
        wait_until(lambda: server.problems() == [], "the problems are gone")

    def end_of_heap(self, server):
        """What brk returns when it fails: where the heap ends already."""
        maps = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
        return [int(line.split()[0].split("-")[1], 16) for line in maps.splitlines()
                if line.endswith("[heap]")][-1]

    def test_G26_a_huge_directory(self):
        count = 50000 if LONG else 1000
        files = {f"d{i % 100}/p{i}.yaml": prompt(f"text {i}") for i in range(count)}
        server = self.serve("--watch", "poll", "--poll", "10ms", files=files)
        status = server.wait_settled(deadline=60)
        self.assertEqual(status["prompts"], count)
        # It looks at most 1/200 of its time, however often it was told to.
        self.assertGreater(status["watch"]["poll_seconds"], 0.01)
        server.write("d1/p1.yaml", prompt("edited"))
        wait_until(lambda: server.text_of("d1/p1") == "edited", "the edit is found",
                   30 + 2 * status["watch"]["poll_seconds"])
        seeing = self.serve()
        seeing.wait_settled(deadline=60)
        for text in ("again", "and again"):
            seeing.write("d2/p2.yaml", prompt(text))
            seeing.wait_for_text("d2/p2", text)


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int hours(void)
{
	int found = 0;
	const char *path = getenv("TEST_HOURS");
	FILE *file = path ? fopen(path, "re") : NULL;
	if (file && fscanf(file, "%d", &found) != 1)
		found = 0;
	if (file)
		fclose(file);
	return found;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int result = real(clock, time);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		time->tv_sec += hours() * 3600;
	return result;
}

time_t time(time_t *at)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (at)
		*at = now.tv_sec;
	return now.tv_sec;
}
"""


if __name__ == "__main__":
    unittest.main()
