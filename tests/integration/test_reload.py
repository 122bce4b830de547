"""Live reload: what happens to files, and what the next requests get."""
import json
import os
import shutil
import signal
import unittest
from pathlib import Path

from promptd import (Observer, ReloadTest, as_somebody_else, litellm_path, pause, prompt,
                     text_or_status, wait_until)

MEBIBYTE = 1024 * 1024


class Changes(ReloadTest):
    def test_create_edit_rename_over_and_delete(self):
        server = self.serve(files={"other.yaml": prompt("other")})
        self.assertEqual(server.litellm("p").status, 404)
        server.write("p.yaml", prompt("created"))
        server.wait_for_text("p", "created")
        server.write("p.yaml", prompt("edited in place"))
        server.wait_for_text("p", "edited in place")
        server.replace("p.yaml", prompt("renamed over"))
        server.wait_for_text("p", "renamed over")
        server.remove("p.yaml")
        server.wait_until_gone("p")
        self.assertEqual(server.text_of("other"), "other")

    def test_each_change_changes_revision_and_etag(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        revision, etag = server.revision(), server.litellm("p").headers["ETag"]
        other = server.litellm("q").headers["ETag"]
        server.write("p.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        after = server.litellm("p", x=1)
        self.assertNotEqual((after.headers["ETag"], after.headers["Prompts-Revision"]),
                            (etag, revision))
        self.assertEqual(server.get(litellm_path("p"), {"If-None-Match": etag}).status, 200)
        self.assertEqual(server.get(litellm_path("q"), {"If-None-Match": other}).status, 304)
        server.write("p.yaml", prompt("one"))
        server.wait_for_text("p", "one")
        self.assertEqual((server.revision(), server.litellm("p").headers["ETag"]), (revision, etag))

    def test_json_and_yml_and_several_prompts_of_a_file(self):
        server = self.serve()
        server.write("a.json", json.dumps([{"prompt_id": n, "prompt_template": n} for n in "ab"]))
        server.write("c.yml", prompt("c"))
        for name in "abc":
            server.wait_for_text(name, name)
        server.write("a.json", json.dumps({"prompt_template": "alone"}))
        server.wait_for_text("a", "alone")
        self.assertEqual(server.litellm("b").status, 404)

    def test_a_rename_of_the_file_keeps_an_id_that_stands_inside(self):
        server = self.serve(files={"a.yaml": prompt("x", prompt_id="p")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for old, new in ("ab", "bc", "ca"):
                os.rename(server.path(old + ".yaml"), server.path(new + ".yaml"))
                wait_until(lambda n=new: server.get("/prompts/p").json["source"]["file"]
                           == n + ".yaml", f"p comes from {new}.yaml")
        self.assert_saw(observer, "x")

    def test_a_file_renamed_to_another_ending_is_gone(self):
        server = self.serve(files={"p.yaml": prompt("x"), "q.yaml": prompt("q")})
        os.rename(server.path("p.yaml"), server.path("p.yaml.off"))
        server.wait_until_gone("p")

    def test_a_file_removed_and_soon_made_again_is_never_missed(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for text in ("two", "three"):
                server.remove("p.yaml")
                pause(0.1)
                server.write("p.yaml", prompt(text))
                server.wait_for_text("p", text)
        self.assert_saw(observer, "one", "two", "three")

    def test_sighup_finds_what_no_event_told(self):
        server = self.serve()
        other_name = server.temporary / "unwatched.yaml"
        other_name.write_text(prompt("one"))
        os.link(other_name, server.path(".p"))
        os.rename(server.path(".p"), server.path("p.yaml"))
        server.wait_for_text("p", "one")
        other_name.write_text(prompt("two"))  # inotify tells nobody of this
        server.signal(signal.SIGHUP)
        server.wait_for_text("p", "two")

    def test_sighup_again_and_again_changes_nothing(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        revision = server.revision()
        for number in range(20):
            server.signal(signal.SIGHUP)
            server.write("p.yaml", prompt(f"text {number}"))
        server.wait_for_text("p", "text 19")
        server.write("p.yaml", prompt("x"))
        server.wait_for_text("p", "x")
        self.assertEqual(server.revision(), revision)


class Directories(ReloadTest):
    def test_a_new_directory_with_files(self):
        server = self.serve()
        for path, prompt_id in (("new/a.yaml", "new/a"), ("new/deep/er/b.yaml", "new/deep/er/b")):
            server.write(path, prompt(prompt_id))
        for prompt_id in ("new/a", "new/deep/er/b"):
            server.wait_for_text(prompt_id, prompt_id)
        server.write("new/deep/er/b.yaml", prompt("edited"))
        server.wait_for_text("new/deep/er/b", "edited")

    def test_a_directory_moved_in_and_out(self):
        server = self.serve(files={"keep.yaml": prompt("keep")})
        outside = server.temporary / "moving"
        (outside / "sub").mkdir(parents=True)
        (outside / "sub" / "p.yaml").write_text(prompt("moved in"))
        os.rename(outside, server.path("dir"))
        server.wait_for_text("dir/sub/p", "moved in")
        server.write("dir/sub/p.yaml", prompt("edited inside"))
        server.wait_for_text("dir/sub/p", "edited inside")
        os.rename(server.path("dir"), outside)
        server.wait_until_gone("dir/sub/p")
        (outside / "sub" / "p.yaml").write_text(prompt("edited outside"))
        self.pass_barrier(server)
        self.assertEqual(server.litellm("dir/sub/p").status, 404)

    def test_a_directory_renamed(self):
        server = self.serve(files={"old/p.yaml": prompt("x"), "keep.yaml": prompt("keep")})
        os.rename(server.path("old"), server.path("new"))
        server.wait_for_text("new/p", "x")
        server.wait_until_gone("old/p")
        server.write("new/p.yaml", prompt("edited"))
        server.wait_for_text("new/p", "edited")

    def test_a_directory_removed_and_made_again(self):
        server = self.serve(files={"dir/p.yaml": prompt("one"), "keep.yaml": prompt("keep")})
        shutil.rmtree(server.path("dir"))
        server.wait_until_gone("dir/p")
        server.write("dir/p.yaml", prompt("two"))
        server.wait_for_text("dir/p", "two")

    def test_a_burst_of_files_is_taken_together(self):
        server = self.serve(files={"keep.yaml": prompt("keep")})
        with Observer(server, "/health", lambda r: r.json["revision"]) as observer:
            for i in range(200):
                server.write(f"burst/p{i}.yaml", prompt(f"text {i}"))
            wait_until(lambda: server.get("/prompts").json["total"] == 201, "all 200 are served")
        self.assertLess(len(observer.answers), 20)
        for i in (0, 99, 199):
            self.assertEqual(server.text_of(f"burst/p{i}"), f"text {i}")

    def test_the_root_renamed_away_and_back_goes_on_being_served(self):
        server = self.serve(files={"p.yaml": prompt("before"), "dir/q.yaml": prompt("q")})
        away = server.temporary / "away"
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            os.rename(server.directory, away)
            wait_until(lambda: any(str(server.directory) in line and "No such file" in line
                                   for line in server.log_lines()), "the log tells of the loss")
            self.assertEqual(server.get("/health").status, 200)
            self.assertEqual(server.get("/ready").status, 200)
            (away / "p.yaml").write_text(prompt("after"))
            os.rename(away, server.directory)
            server.wait_for_text("p", "after")
        self.assert_saw(observer, "before", "after")
        server.write("dir/q.yaml", prompt("edited"))
        server.wait_for_text("dir/q", "edited")

    def test_the_root_replaced_by_another(self):
        server = self.serve(files={"p.yaml": prompt("old")})
        other = server.temporary / "other"
        other.mkdir()
        (other / "p.yaml").write_text(prompt("new"))
        os.rename(server.directory, server.temporary / "old")
        os.rename(other, server.directory)
        server.wait_for_text("p", "new")
        server.write("p.yaml", prompt("edited"))
        server.wait_for_text("p", "edited")


class Names(ReloadTest):
    def test_editors_temporary_names_are_ignored(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        revision = server.revision()
        names = [".p.yaml.swp", ".p.yaml.swx", "p.yaml~", "#p.yaml#", "4913", ".p.yaml", "p.tmp",
                 "p.yaml.tmp", "p.yaml.bak", "p.yaml.orig", "sedAbCdEf", ".goutputstream-X.yaml",
                 "p.yaml___jb_tmp___", "_draft.yaml", "#auto.yaml", ".hidden/p.yaml",
                 "_private/p.yaml", "backup~/p.yaml"]
        for name in names:
            server.write(name, "not: [a prompt")
        os.symlink("user@host.1234:5678", server.path(".#p.yaml"))  # the lock of emacs
        self.pass_barrier(server)
        self.assertEqual(server.problems(), [])
        self.assertEqual(server.get("/prompts").json["total"], 2)
        server.remove("zz-barrier.yaml")
        server.wait_until_gone("zz-barrier")
        self.assertEqual(server.revision(), revision)

    def test_how_vim_saves(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for text in ("two", "three"):
                server.write(".p.yaml.swp", "swap")
                server.write("4913", "").unlink()
                os.rename(server.path("p.yaml"), server.path("p.yaml~"))
                server.write("p.yaml", prompt(text))
                server.remove("p.yaml~")
                server.remove(".p.yaml.swp")
                server.wait_for_text("p", text)
        self.assert_saw(observer, "one", "two", "three")


class BadFiles(ReloadTest):
    def test_a_broken_file_keeps_its_last_good_version_until_it_is_fixed(self):
        server = self.serve(files={"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        server.write("p.yaml", prompt("bad") + "modle: gpt-4\n")
        self.assertIn("modle", server.wait_for_problem("p.yaml:2:1:"))
        whole = server.get("/prompts/p").json
        self.assertEqual((whole["prompt_template"][0]["content"], whole["state"]),
                         ("good", "stale"))
        self.assertEqual((server.text_of("q"), server.get("/ready").status), ("q", 200))
        self.assertNotEqual(server.get("/prompts/q").json["state"], "stale")
        wait_until(lambda: any("p.yaml:2:1:" in m for m in server.messages()), "it is in the log")
        server.write("q.yaml", prompt("all else reloads"))
        server.wait_for_text("q", "all else reloads")
        server.write("p.yaml", prompt("fixed"))
        server.wait_for_text("p", "fixed")
        self.assertEqual(server.problems(), [])
        self.assertNotEqual(server.get("/prompts/p").json["state"], "stale")

    def test_what_is_bad(self):
        server = self.serve(files={"p.yaml": prompt("good"), "p2.json": prompt_json("good")})
        bad = {"p.yaml": ["", "# a comment\n", "\n\n", "null\n", "\ufeff", "{",
                          "prompt_template: [", "prompt_template: a\nprompt_template: b\n",
                          "a\x00b", b"\xff\xfe",
                          "<<<<<<< HEAD\n" + prompt("a") + "=======\n", prompt("x", version={})],
               "p2.json": ["", "{", "{}", '{"prompt_template": "x",}', "null", "[", b"\xff"]}
        for name, texts in bad.items():
            for text in texts:
                with self.subTest(name=name, text=text):
                    server.write(name, text)
                    server.wait_for_problem(name + ":")
                    self.assertEqual(server.text_of(Path(name).stem), "good")
                    server.write(name, prompt_json("good") if name == "p2.json" else prompt("good"))
                    wait_until(lambda: server.problems() == [], "the problem is gone")

    def test_a_broken_file_leaves_the_revision_as_it_was(self):
        server = self.serve(files={"p.yaml": prompt("good")})
        revision = server.revision()
        server.write("p.yaml", "broken: [")
        server.wait_for_problem("p.yaml:")
        self.assertEqual(server.revision(), revision)

    def test_deleting_a_broken_file_removes_its_prompts_and_its_problem(self):
        server = self.serve(files={"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        server.write("p.yaml", "broken: [")
        server.wait_for_problem("p.yaml:")
        server.remove("p.yaml")
        server.wait_until_gone("p")
        wait_until(lambda: server.problems() == [], "the problem is gone")

    def test_a_file_that_never_was_good_takes_nothing_with_it(self):
        server = self.serve(files={"bad.yaml": "oops: 1\n", "good.yaml": prompt("x")})
        self.assertEqual(server.text_of("good"), "x")
        self.assertEqual(server.litellm("bad").status, 404)
        server.write("bad.yaml", prompt("fixed"))
        server.wait_for_text("bad", "fixed")
        self.assertEqual(server.problems(), [])

    def test_one_bad_prompt_of_a_file_keeps_the_whole_last_file(self):
        text = prompt("a", prompt_id="a") + "---\n" + prompt("b", prompt_id="b")
        server = self.serve(files={"two.yaml": text})
        server.write("two.yaml", prompt("new", prompt_id="a") + "---\noops: 1\n")
        server.wait_for_problem("two.yaml:4:")
        self.assertEqual((server.text_of("a"), server.text_of("b")), ("a", "b"))

    def test_of_two_files_with_one_id_the_one_that_is_named_so_wins(self):
        server = self.serve(files={"p.yaml": prompt("named"), "q.yaml": prompt("q")})
        server.write("a.yaml", prompt("copy", prompt_id="p"))
        self.assertIn("p", server.wait_for_problem("a.yaml"))
        self.assertEqual(server.text_of("p"), "named")
        server.remove("p.yaml")
        server.wait_for_text("p", "copy")
        self.assertEqual(server.problems(), [])
        server.write("p.yaml", prompt("named again"))
        server.wait_for_text("p", "named again")

    def test_a_file_over_one_mebibyte(self):
        server = self.serve(files={"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        small = prompt("x" * (MEBIBYTE - 200))
        server.write("p.yaml", small)
        server.wait_for_text("p", "x" * (MEBIBYTE - 200))
        server.write("p.yaml", prompt("y" * MEBIBYTE))
        server.wait_for_problem("p.yaml")
        self.assertEqual(server.get("/prompts/p").json["state"], "stale")
        self.assertEqual(server.text_of("p"), "x" * (MEBIBYTE - 200))
        server.write("p.yaml", prompt("small again"))
        server.wait_for_text("p", "small again")

    def test_a_fifo_hangs_nothing(self):
        server = self.serve(files={"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        os.mkfifo(server.path(".fifo"))
        os.rename(server.path(".fifo"), server.path("p.yaml"))
        server.wait_for_problem("p.yaml")
        self.assertEqual(server.text_of("p"), "good")
        server.write("q.yaml", prompt("edited"))
        server.wait_for_text("q", "edited")

    def test_a_fifo_at_the_start_hangs_nothing(self):
        directory = self.serve(files={"q.yaml": prompt("q")}).directory
        os.mkfifo(directory / "x.yaml")
        server = self.serve(directory=directory)
        self.assertEqual(server.text_of("q"), "q")
        server.wait_for_problem("x.yaml")


def prompt_json(text):
    return json.dumps({"prompt_template": text})


class Signatures(ReloadTest):
    """What the file system tells of a change may be next to nothing."""

    def test_touch_chmod_and_the_same_text_are_no_change(self):
        server = self.serve(files={"p.yaml": prompt("x"), "q.yaml": prompt("q")})
        before = server.litellm("p").headers["ETag"], server.revision()
        os.utime(server.path("p.yaml"))
        server.path("p.yaml").chmod(0o600)
        server.write("p.yaml", prompt("x"))
        server.replace("p.yaml", prompt("x"))
        self.pass_barrier(server)
        self.assertEqual(server.litellm("p").headers["ETag"], before[0])
        server.remove("zz-barrier.yaml")
        server.wait_until_gone("zz-barrier")
        self.assertEqual(server.revision(), before[1])

    def test_an_older_time_is_a_change(self):
        server = self.serve(files={"p.yaml": prompt("one")})
        for attempt, text in enumerate(("two", "three")):
            new = server.temporary / "new"
            new.write_text(prompt(text))
            os.utime(new, (1000000000 - attempt, 1000000000 - attempt))
            os.replace(new, server.path("p.yaml"))
            server.wait_for_text("p", text)

    def test_same_size_and_same_time_but_another_text(self):
        server = self.serve(files={"p.yaml": prompt("aaa")})
        for text in ("bbb", "ccc", "ddd"):
            before = server.path("p.yaml").stat()
            server.write("p.yaml", prompt(text))
            os.utime(server.path("p.yaml"), ns=(before.st_atime_ns, before.st_mtime_ns))
            self.assertEqual(server.path("p.yaml").stat().st_size, before.st_size)
            server.wait_for_text("p", text)

    def test_many_quick_edits_end_with_the_last(self):
        server = self.serve(files={"p.yaml": prompt("x")})
        for i in range(300):
            server.write("p.yaml", prompt(f"text {i:03}"))
        server.wait_for_text("p", "text 299")


class Links(ReloadTest):
    def lay_config_map(self, server, generation, texts):
        """What the kubelet does: a new directory, and one rename of the link to it."""
        directory = server.path(f"..2026_01_01_{generation}")
        directory.mkdir()
        for name, text in texts.items():
            (directory / name).write_text(prompt(text))
        temporary = server.path("..data_tmp")
        os.symlink(directory.name, temporary)
        os.replace(temporary, server.path("..data"))
        for name in texts:
            if not server.path(name).is_symlink():
                os.symlink("..data/" + name, server.path(name))
        for old in server.directory.glob("..2026_*"):
            if old != directory:
                shutil.rmtree(old)

    def test_a_config_map_is_served_and_swapped(self):
        server = self.serve()
        self.lay_config_map(server, 1, {"p.yaml": "one", "support__refund.yaml": "refund 1"})
        server.wait_for_text("p", "one")
        server.wait_for_text("support/refund", "refund 1")
        with Observer(server, litellm_path("p"), text_or_status) as observer:
            for i, text in enumerate(("two", "three", "four")):
                self.lay_config_map(server, i + 2, {
                    "p.yaml": text, "support__refund.yaml": f"refund {text}"})
                server.wait_for_text("p", text)
                server.wait_for_text("support/refund", f"refund {text}")
        self.assert_saw(observer, "one", "two", "three", "four")
        self.assertEqual(server.problems(), [])
        self.assertEqual(server.get("/prompts").json["total"], 2)

    def test_a_config_map_at_the_start(self):
        first = self.serve()
        self.lay_config_map(first, 1, {"p.yaml": "one"})
        server = self.serve(directory=first.directory)
        self.assertEqual((server.text_of("p"), server.problems()), ("one", []))

    def test_links_that_stay_inside_are_followed(self):
        server = self.serve(files={"real.yaml": prompt("x", prompt_id="p"), "q.yaml": prompt("q")})
        os.rename(server.path("real.yaml"), server.path("real.txt"))
        os.symlink("real.txt", server.path(".link"))
        os.rename(server.path(".link"), server.path("link.yaml"))
        wait_until(lambda: server.get("/prompts/p").json.get("source", {}).get("file")
                   == "link.yaml", "p comes from link.yaml")
        self.assertEqual(server.text_of("p"), "x")

    def test_links_that_lead_out_are_refused_with_a_problem(self):
        server = self.serve(files={"p.yaml": prompt("good")})
        outside = server.temporary / "outside"
        outside.mkdir()
        (outside / "secret.yaml").write_text(prompt("secret"))
        os.symlink(outside / "secret.yaml", server.path("absolute.yaml"))
        os.symlink("../outside/secret.yaml", server.path("relative.yaml"))
        os.symlink("/proc/self/environ", server.path("magic.yaml"))
        os.symlink(outside, server.path("directory"))
        for name in ("absolute.yaml", "relative.yaml", "magic.yaml", "directory"):
            with self.subTest(name):
                server.wait_for_problem(name)
        self.assertEqual(server.get("/prompts").json["total"], 1)

    def test_a_good_file_replaced_by_a_link_out_keeps_its_last_version(self):
        server = self.serve(files={"p.yaml": prompt("good")})
        os.symlink("/etc/passwd", server.path(".link"))
        os.rename(server.path(".link"), server.path("p.yaml"))
        server.wait_for_problem("p.yaml")
        self.assertEqual(server.text_of("p"), "good")

    def test_links_in_a_circle_hang_nothing(self):
        server = self.serve(files={"p.yaml": prompt("x"), "dir/q.yaml": prompt("q")})
        os.symlink("..", server.path("dir/up"))
        os.symlink("self.yaml", server.path("self.yaml"))
        server.write("p.yaml", prompt("edited"))
        server.wait_for_text("p", "edited")
        self.assertEqual(server.text_of("dir/q"), "q")


class Permissions(ReloadTest):
    def serve_unprivileged(self, files):
        return self.serve(files=files, **as_somebody_else(self))

    def test_a_file_that_cannot_be_read_keeps_its_last_good_version(self):
        server = self.serve_unprivileged({"p.yaml": prompt("good"), "q.yaml": prompt("q")})
        server.path("p.yaml").chmod(0)
        self.assertIn("ermission", server.wait_for_problem("p.yaml"))
        self.assertEqual(server.text_of("p"), "good")
        self.assertEqual(server.get("/prompts/p").json["state"], "stale")
        server.path("p.yaml").chmod(0o644)
        wait_until(lambda: server.problems() == [], "the problem is gone")
        self.assertNotEqual(server.get("/prompts/p").json["state"], "stale")

    def test_a_directory_that_cannot_be_read_keeps_its_prompts(self):
        server = self.serve_unprivileged({"dir/p.yaml": prompt("good"), "q.yaml": prompt("q")})
        server.path("dir").chmod(0)
        self.addCleanup(server.path("dir").chmod, 0o755)
        self.assertIn("ermission", server.wait_for_problem("dir"))
        self.assertEqual(server.text_of("dir/p"), "good")
        server.write("q.yaml", prompt("edited"))
        server.wait_for_text("q", "edited")
        server.path("dir").chmod(0o755)
        wait_until(lambda: server.problems() == [], "the problem is gone")
        server.write("dir/p.yaml", prompt("edited"))
        server.wait_for_text("dir/p", "edited")


if __name__ == "__main__":
    unittest.main()
