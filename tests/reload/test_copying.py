"""Rows F: tools that copy, unpack and synchronize whole directories."""
import os
import unittest

from promptd import Observer, litellm_path, pause, prompt, text_or_status, wait_until
from support import QuickTest, Watched, need, signed_files, signed_texts, write_files

# Longer than what a tool needs from one file to the next, even on a busy machine, so that a copy of
# a directory is one set.
ONE_SET = ("--quiet", "250ms", "--max-latency", "20s")
OLD = "2001-01-01"


class CopyTest(QuickTest):
    NAMES = [f"d{i % 3}/p{i}" for i in range(12)]

    def serve_set(self, rev="r1", names=None, options=ONE_SET):
        """A server of signed prompts, written a while ago as far as anyone can tell."""
        server = self.serve(*options, files=signed_files(names or self.NAMES, rev))
        server.wait_for_served(signed_texts(names or self.NAMES, rev))
        server.wait_settled()
        return server

    def lay_out(self, rev, names=None):
        """The next set, in the directory new beside the served one."""
        write_files(self.scratch / "new", signed_files(names or self.NAMES, rev))

    def check_copies(self, server, *scripts):
        """Each script copies the next set over what is served: nobody sees a part of a file, nor
        misses a prompt that is in both, nor gets prompts of two sets."""
        names = self.NAMES
        old = "r1"
        for script in scripts:
            rev = old + "+"  # each of another size, or rsync takes files of one second for the same
            with self.subTest(script):
                self.lay_out(rev, names)
                with Watched(self, server, names, always=names) as seen:
                    self.shell(server, script)
                    server.wait_for_served(signed_texts(names, rev))
                seen.check_sets([signed_texts(names, old), signed_texts(names, rev)])
            old = rev
        self.assertEqual(server.problems(), [])


class Rsync(CopyTest):
    def setUp(self):
        super().setUp()
        need(self, "rsync", "rsync")

    def test_F1_rsync(self):
        server = self.serve_set()
        self.check_copies(server, "rsync -a ../new/ .", f"""
            find ../new -name '*.yaml' -exec touch -d {OLD} {{}} +
            rsync -a ../new/ .""")

    def test_F1_rsync_that_deletes(self):
        names, gone = self.NAMES[1:], self.NAMES[0]
        server = self.serve_set()
        self.lay_out("r1+", names)
        with Watched(self, server, names, always=names) as seen:
            self.shell(server, "rsync -a --delete ../new/ .")
            server.wait_for_served(signed_texts(names, "r1+"))
        seen.check_sets([signed_texts(names, rev) for rev in ("r1", "r1+")])
        self.assertEqual(server.litellm(gone).status, 404)

    def test_F2_rsync_in_place(self):
        self.check_copies(self.serve_set(), "rsync -a --inplace ../new/ .",
                          "rsync -a --inplace --no-whole-file ../new/ .")

    def test_F3_rsync_with_delayed_updates(self):
        server = self.serve_set()
        server.write("old.yaml", prompt("to be deleted"))
        server.wait_for_text("old", "to be deleted")
        self.lay_out("r1+")
        with Watched(self, server, self.NAMES, always=self.NAMES) as seen:
            self.shell(server, "rsync -a --delay-updates --delete-after ../new/ .")
            server.wait_for_served(signed_texts(self.NAMES, "r1+"))
        seen.check_sets([signed_texts(self.NAMES, rev) for rev in ("r1", "r1+")])

    def test_F4_rsync_through_another_directory(self):
        parts = self.scratch / "parts"
        parts.mkdir()
        self.check_copies(self.serve_set(), f"rsync -a -T {parts} ../new/ .",
                          f"rsync -a --temp-dir={parts} ../new/ .")

    def test_F5_rsync_with_nothing_to_do(self):
        server = self.serve_set()
        self.check_copies(server, "rsync -a ../new/ .")
        with self.generations(server, 0):
            self.shell(server, "rsync -a ../new/ .; rsync -a --delete --inplace ../new/ .")

    def test_F5_rsync_that_does_not_see_the_change(self):
        # The same size and time: rsync passes it over, and so there is nothing to serve.
        server = self.serve(files={"p.yaml": prompt("one")})
        with self.generations(server, 0):
            self.shell(server, "mkdir ../new; sed s/one/two/ p.yaml > ../new/p.yaml;"
                       "touch -r p.yaml ../new/p.yaml; rsync -a ../new/ .")
        with self.generations(server, 1):
            self.shell(server, "rsync -ac ../new/ .")
            server.wait_for_text("p", "two")


class Archives(CopyTest):
    def test_F6_tar(self):
        need(self, "tar", "tar")
        self.check_copies(self.serve_set(), "tar -c -C ../new . | tar -x", f"""
            tar -c --mtime {OLD} -f ../x.tar -C ../new .
            tar -x -f ../x.tar""", "tar -c -C ../new . | tar -x --overwrite",
                          "cd ../new; tar -c */* | tar -x --unlink-first -C $OLDPWD")

    def test_F6_tar_of_directories_alone(self):
        # That a directory is given its time looks to inotify as if someone wrote to it, for good.
        server = self.serve_set()
        before = server.metric('promptd_holds_total{cause="writer"}')
        self.shell(server, "tar -c --no-recursion . d0 d1 d2 | tar -x")
        server.wait_settled()
        self.assertEqual(server.metric('promptd_holds_total{cause="writer"}'), before)

    def test_F6_a_slow_tar(self):
        # Each file is absent for longer than the quiet time, and the set stays what it was.
        names = self.NAMES[:3]
        server = self.serve_set(names=names, options=(
            "--quiet", "50ms", "--max-latency", "20s", "--delete-grace", "10s"))
        self.lay_out("r1+", names)
        with Watched(self, server, names, always=names) as seen:
            for name in names:
                server.remove(name + ".yaml")
                pause(0.15)
                self.shell(server, f"tar -c -C ../new {name}.yaml | tar -x")
            server.wait_for_served(signed_texts(names, "r1+"))
        self.assertGreater(seen.count(), 0)

    def test_F8_unzip(self):
        need(self, "unzip", "unzip")
        self.check_copies(self.serve_set(), *["""
            python3 -c 'import shutil; shutil.make_archive("../new", "zip", "../new")'
            unzip -q -o ../new.zip"""] * 2)

    def test_F8_kubectl_cp(self):
        # What it runs in the container.
        need(self, "tar", "tar")
        self.check_copies(self.serve_set(), *["tar -cf - -C ../new . | tar -xmf - -C ."] * 2)


class OneByOne(CopyTest):
    def test_F7_cp_of_a_directory(self):
        self.check_copies(self.serve_set(), "cp -r ../new/. .", "cp -a ../new/. .",
                          "cp -r --remove-destination ../new/* .")

    def test_F8_an_upload_in_pieces(self):
        """scp and sftp write in place, in the pieces in which a file comes over the network."""
        names = self.NAMES[:3]
        server = self.serve_set(names=names, options=())
        with Watched(self, server, names, always=names):
            for path, text in signed_files(names, "r1+").items():
                self.upload(server.path(path), text)
            server.wait_for_served(signed_texts(names, "r1+"))

    def test_F8_an_upload_that_is_renamed(self):
        """Many clients of sftp give the file another name until it is whole."""
        names = self.NAMES[:3]
        server = self.serve_set(names=names, options=())
        with Watched(self, server, names, always=names):
            for path, text in signed_files(names, "r1+").items():
                part = server.path(path + ".filepart")
                self.upload(part, text)
                server.remove(path)  # as the protocol's rename replaces nothing
                os.rename(part, server.path(path))
            server.wait_for_served(signed_texts(names, "r1+"))
        self.assertEqual(server.problems(), [])

    def upload(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            for line in text.splitlines(keepends=True):
                file.write(line)
                file.flush()
                pause(0.07)

    def test_F10_a_template_of_ansible(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        with self.generations(server, 1), \
                Observer(server, litellm_path("p"), text_or_status) as observer:
            temporary = server.path(".ansible_tmpk3j2p.yaml")
            temporary.write_text(prompt("two"))
            temporary.chmod(0o600)
            os.rename(temporary, server.path("p.yaml"))
            server.path("p.yaml").chmod(0o644)
            os.chown(server.path("p.yaml"), os.getuid(), os.getgid())
            server.wait_for_text("p", "two")
        self.assert_saw(observer, "one", "two")


class Conflicts(CopyTest):
    # Copies that synchronizers make of a file that was changed on two machines, and of what name.
    COPIES = ("support/refund.sync-conflict-20260101-120000-ABCDEFG.yaml",
              "support/refund (conflicted copy 2026-01-01).yaml",
              "support/refund (Anna's conflicted copy).yaml")

    def test_F9_copies_of_a_conflict(self):
        for original, prompt_id in (("support/refund.yaml", "support/refund"),
                                    ("support/refund.yaml", "refund")):
            with self.subTest(prompt_id):
                self.check_conflict(original, prompt_id)

    def check_conflict(self, original, prompt_id):
        server = self.serve(files={original: prompt("one", prompt_id=prompt_id)})
        for copy in self.COPIES:
            server.write(copy, prompt("theirs", prompt_id=prompt_id))
        with Observer(server, litellm_path(prompt_id), text_or_status) as observer:
            for copy in self.COPIES:
                self.assertIn(prompt_id, server.wait_for_problem(copy + ":"))
            server.replace(original, prompt("two", prompt_id=prompt_id))
            server.wait_for_text(prompt_id, "two")
            for copy in self.COPIES:
                server.remove(copy)
            wait_until(lambda: server.problems() == [], "no conflict is left")
        self.assert_saw(observer, "one", "two")

    def test_F9_the_temporary_files_of_syncthing(self):
        names = self.NAMES[:3]
        server = self.serve_set(names=names)
        with Watched(self, server, names, always=names) as seen, self.generations(server, 1):
            for path, text in signed_files(names, "r1+").items():
                target = server.path(path)
                temporary = target.with_name(f".syncthing.{target.name}.tmp")
                temporary.write_text(text)
                os.utime(temporary, (10**9, 10**9))
                os.rename(temporary, target)
            server.wait_for_served(signed_texts(names, "r1+"))
        seen.check_sets([signed_texts(names, rev) for rev in ("r1", "r1+")])


if __name__ == "__main__":
    unittest.main()
