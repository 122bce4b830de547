"""Sequences of events that were once taken wrongly, each named after what happened."""
import contextlib
import os
import shutil
import threading
import unittest
from pathlib import Path

from promptd import block_prompt, pause, prompt, wait_until
from replicas import ConfigMap, Repository
from support import (Reader, QuickTest, Watched, cpu_seconds, failing, injected, signed,
                     signed_files, signed_prompt, signed_texts, strace_works, write_files)

IDLE = 0.2  # of a core, in a server that has nothing to do


@contextlib.contextmanager
def being_written(path, name, rev="r1"):
    """A file of which half is written while the block runs, and the rest behind it."""
    text = signed_prompt(name, rev)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:text.index("line 3")])
        file.flush()
        yield
        file.write(text[text.index("line 3"):])


class StoryTest(QuickTest):
    def check_idle(self, server, seconds=1):
        before = cpu_seconds(server)
        pause(seconds)
        self.assertLess((cpu_seconds(server) - before) / seconds, IDLE)

    @contextlib.contextmanager
    def never_torn(self, server, *names, always=()):
        with Reader(server, names, always) as reader:
            yield
        self.assertEqual((reader.torn, reader.absent, reader.odd), (set(), set(), []))


class Idle(StoryTest):
    """Waiting costs nothing."""

    def test_fewer_prompts_than_wanted_once_the_last_is_gone(self):
        server = self.serve("--min-prompts", "1", "--empty-grace", "100ms",
                            files={"p.yaml": prompt("p")})
        server.wait_settled()
        server.remove("p.yaml")
        server.wait_for_hold("min-prompts")
        self.check_idle(server)
        self.assertEqual(server.text_of("p"), "p")

    def test_an_emptied_directory_that_is_removed_and_made_again(self):
        server = self.serve("--empty-grace", "2s", files={"p.yaml": prompt("p")})
        server.wait_settled()
        server.remove("p.yaml")
        server.wait_for_hold("empty")
        server.directory.rmdir()
        server.wait_for_hold("root")
        pause(2.2)  # longer than the grace, which is for an empty directory, not for none
        self.check_idle(server)
        server.directory.mkdir()
        server.wait_for_hold("empty")
        self.assertEqual(server.text_of("p"), "p")

    def test_a_reload_while_git_holds_its_lock(self):
        repository = Repository(self.scratch / "prompts", "")
        repository.commit({"p.yaml": prompt("p")}, "one")
        server = self.serve()
        server.wait_settled()
        lock = repository.path / ".git/index.lock"
        lock.touch()
        server.signal(1)
        server.wait_for_hold("vcs")
        self.check_idle(server)
        lock.unlink()
        server.wait_settled()

    def test_a_file_that_is_listed_and_cannot_be_opened(self):
        strace_works(self)
        server = self.serve(files={"p.yaml": prompt("one")})
        server.wait_settled()
        with failing(server, "openat", "p.yaml", "error=ENOENT"):
            server.write("p.yaml", prompt("two"))
            server.wait_for_hold("settle")
            before = server.metric("promptd_rescans_total")
            pause(1)
            self.assertLess(server.metric("promptd_rescans_total") - before, 30)
        server.wait_for_text("p", "two")

    def test_a_writer_that_goes_on_is_told_of_once(self):
        server = self.serve("--max-latency", "200ms", files={"p.yaml": prompt("p")})
        server.wait_settled()
        with being_written(server.path("w.yaml"), "w"):
            wait_until(lambda: server.metric("promptd_forced_publishes_total") > 3, "some rounds")
        server.wait_for_text("w", signed("w", "r1"))
        told = [m for m in server.messages() if m.startswith("files keep changing")]
        self.assertEqual(len(told), 1)

    def test_a_name_that_is_not_utf8_beside_one_that_reads_like_it(self):
        server = self.serve(files={"?.yaml": prompt("p")})
        with open(os.fsencode(server.directory) + b"/\xff.yaml", "w", encoding="utf-8") as file:
            file.write(prompt("x"))
        server.wait_for_problem("not UTF-8")
        with self.generations(server, 0):
            for _ in range(3):
                server.reload()


class Lost(StoryTest):
    """What is on the disk is served in the end."""

    def test_events_lost_amid_a_look_at_some_places(self):
        strace_works(self)
        names = [f"f{i}" for i in range(4)]
        server = self.serve(files=signed_files(names, "r0"))
        server.wait_settled()

        def storm():
            for number in range(18000):
                path = server.path(f"n{number % 50}.yaml")
                path.touch()
                path.unlink()
            return server.metric("promptd_inotify_overflows_total")

        with injected(server, (["openat", "openat2"], "delay_enter=200ms")):
            write_files(server.directory, signed_files(names, "r1"))
            pause(0.2)
            wait_until(storm, "events were lost", 60)
        server.wait_for_served(signed_texts(names, "r1"), 60)

    def test_a_directory_that_was_another_for_a_moment(self):
        server = self.serve("--settle", "300ms", files={"d/p.yaml": prompt("one")})
        server.wait_settled()
        old, new = self.scratch / "old", self.scratch / "new"
        write_files(self.scratch, {"new/p.yaml": prompt("two"), "other": prompt("o")})
        pause(1.1)  # what changed longer ago is complete without an event
        os.link(self.scratch / "other", server.path("o.yaml"))  # which puts publishing off
        os.rename(server.path("d"), old)
        os.rename(new, server.path("d"))
        pause(0.1)
        os.rename(server.path("d"), new)
        pause(0.08)
        os.rename(new, server.path("d"))
        server.wait_for_text("d/p", "two")

    def test_a_link_that_could_not_be_followed_for_a_moment(self):
        strace_works(self)
        volume = ConfigMap(self.scratch / "prompts/cm")
        volume.project({"p.yaml": prompt("one")})
        server = self.serve()
        server.wait_settled()
        with failing(server, "openat", "..2026_01_02_03_04_05.000000001", "error=EMFILE"):
            server.signal(1)
            server.wait_for_problem("..data cannot be followed")
        wait_until(lambda: server.problems() == [], "it is tried again", 20)


class Graces(StoryTest):
    """What comes back was never away."""

    def test_a_deletion_just_behind_a_commit(self):
        repository = Repository(self.scratch / "prompts", "")
        repository.commit(signed_files(["p", "q"], "r0"), "one")
        server = self.serve()
        server.wait_settled()
        with self.never_torn(server, "p", always=["p"]):
            repository.git("commit", "-q", "--allow-empty", "-m", "two")
            server.remove("p.yaml")
            pause(0.25)
            write_files(server.directory, signed_files(["p"], "r1"))
            server.wait_for_text("p", signed("p", "r1"))

    def test_a_volume_without_its_link_beside_another(self):
        names = [f"cm{i}/p" for i in range(2)]
        for i in range(2):
            ConfigMap(self.scratch / f"prompts/cm{i}").project(
                {"p.yaml": signed_prompt(f"cm{i}/p", "r0")})
        server = self.serve()
        server.wait_settled()
        link = server.path("cm0/..data")
        target = os.readlink(link)
        with self.never_torn(server, *names, always=names):
            link.unlink()
            server.signal(1)
            pause(0.25)
            os.symlink(target, link)
            server.wait_settled()

    def test_a_file_that_comes_back_bad_in_the_same_round(self):
        repository = Repository(self.scratch / "prompts", "")
        repository.commit({"p.yaml": prompt("p"), "q.yaml": prompt("q")}, "one")
        server = self.serve("--settle", "1s")
        server.wait_settled()
        (self.scratch / "other").write_text(prompt("o"), encoding="utf-8")
        os.link(self.scratch / "other", server.path("o.yaml"))  # which puts publishing off
        repository.git("rm", "-q", "p.yaml")
        pause(0.3)
        server.write("p.yaml", "prompt_template: [broken")
        server.wait_for_problem("p.yaml")
        self.assertEqual(server.text_of("p"), "p")


class Writers(StoryTest):
    """A file that is being written is so under any name."""

    def test_renamed_amid_its_writing(self):
        server = self.serve(files={"q.yaml": prompt("q")})
        server.wait_settled()
        with self.never_torn(server, "b"), being_written(server.path("a.yaml"), "b"):
            pause(0.3)
            os.rename(server.path("a.yaml"), server.path("b.yaml"))
            pause(1)
        server.wait_for_text("b", signed("b", "r1"))

    def test_a_pause_for_longer_than_a_lost_event_is_waited_for(self):
        server = self.serve(files={"q.yaml": prompt("q")})
        server.wait_settled()
        with self.never_torn(server, "p"), being_written(server.path("p.yaml"), "p"):
            for _ in range(12):
                pause(1)
            self.assertEqual(server.file_states()["p.yaml"], "unsettled")
        server.wait_for_text("p", signed("p", "r1"))

    def test_a_file_cut_short_without_being_opened(self):
        server = self.serve(files={"p.yaml": block_prompt("one\ntwo")})
        server.wait_settled()
        os.truncate(server.path("p.yaml"), len(block_prompt("one")))
        wait_until(lambda: server.text_of("p") == "one", "no event tells that it is complete", 20)

    def test_its_directory_renamed_amid_its_writing(self):
        server = self.serve("--max-latency", "500ms", files={"q.yaml": prompt("q"), "d/x.yaml": prompt("x")})
        server.wait_settled()
        with self.never_torn(server, "e/p"), being_written(server.path("d/p.yaml"), "e/p"):
            pause(0.3)
            os.rename(server.path("d"), server.path("e"))
            pause(2)
        server.wait_for_text("e/p", signed("e/p", "r1"))

    def test_the_directory_away_amid_its_writing(self):
        server = self.serve("--max-latency", "500ms", files={"q.yaml": prompt("q")})
        server.wait_settled()
        with self.never_torn(server, "p"), being_written(server.path("p.yaml"), "p"):
            pause(0.2)
            os.rename(server.directory, self.scratch / "away")
            server.wait_for_hold("root")
            pause(1.5)
            os.rename(self.scratch / "away", server.directory)
            pause(1)
        server.wait_for_text("p", signed("p", "r1"))

    def test_a_link_turned_to_a_file_amid_its_writing(self):
        server = self.serve("--settle", "10m", "--follow-links", "anywhere",
                            files={"q.yaml": prompt("q")})
        write_files(self.scratch, {"t1/p.yaml": signed_prompt("p", "r0")})
        os.utime(self.scratch / "t1/p.yaml", (1e9, 1e9))
        (self.scratch / "t2").mkdir()
        pause(1.1)
        os.symlink(self.scratch / "t1/p.yaml", server.path("p.yaml"))
        wait_until(lambda: server.text_of("p") == signed("p", "r0"), "the link is followed")
        with self.never_torn(server, "p"), being_written(self.scratch / "t2/p.yaml", "p"):
            pause(0.02)
            write_files(self.scratch, {"t1/p.yaml": signed_prompt("p", "r2")})
            os.symlink(self.scratch / "t2/p.yaml", server.path(".p"))
            os.rename(server.path(".p"), server.path("p.yaml"))
            pause(0.5)  # after a second it would be taken for complete

    def test_a_directory_put_in_place_amid_its_writing(self):
        server = self.serve("--settle", "10m", "--max-latency", "200ms",
                            files=signed_files(["d/p", "q"], "r0"))
        wait_until(lambda: server.text_of("d/p") is not None, "d/p is served", 20)
        (self.scratch / "new").mkdir()
        with self.never_torn(server, "d/p"), being_written(self.scratch / "new/p.yaml", "d/p"):
            write_files(server.directory, signed_files(["d/p"], "r2"))
            os.rename(server.path("d"), self.scratch / "old")
            os.rename(self.scratch / "new", server.path("d"))
            pause(0.5)  # after a second it would be taken for complete


class Sets(StoryTest):
    """What belongs together is served together, and holds up nothing else for ever."""

    def test_a_file_of_a_volume_that_could_not_be_opened_for_a_moment(self):
        strace_works(self)
        names = ["a", "b", "c"]
        volume = ConfigMap(self.scratch / "prompts")
        volume.project(signed_files(names, "r0"))
        server = self.serve()
        server.wait_settled()
        with Watched(self, server, names, names) as watched:
            with failing(server, "openat", "b.yaml", "error=EMFILE:when=1"):
                volume.project(signed_files(names, "r1"))
                server.wait_for_served(signed_texts(names, "r1"))
        watched.check_sets([signed_texts(names, rev) for rev in ("r0", "r1")])

    def test_a_file_that_is_never_left_alone_in_a_volume(self):
        volume = ConfigMap(self.scratch / "prompts/cm")
        volume.project({"a.yaml": prompt("a"), "b.yaml": prompt("b")})
        server = self.serve("--watch", "poll", "--poll", "50ms", "--max-latency", "500ms",
                            files={"p.yaml": prompt("one")})
        server.wait_settled()
        ended = threading.Event()

        def write():
            number = 0
            while not ended.wait(0.05):
                number += 1
                server.write("cm/..data/a.yaml", block_prompt(f"a {number}"))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            pause(0.3)
            server.write("p.yaml", prompt("two"))
            server.wait_for_text("p", "two")
        finally:
            ended.set()
            writer.join()
        server.wait_settled()

    def test_a_second_lock_behind_one_that_was_given_up(self):
        strace_works(self)
        repository = Repository(self.scratch / "prompts", "")
        names = [f"p{i}" for i in range(12)]
        for rev in ("r0", "r1"):
            repository.commit(signed_files(names, rev), rev)
            repository.git("branch", rev)
        server = self.serve("--git-wait", "500ms")
        server.wait_settled()
        lock = repository.path / ".git/index.lock"
        lock.touch()
        server.write("other.yaml", prompt("x"))
        server.wait_for_text("other", "x")
        server.remove("other.yaml")
        server.wait_until_gone("other")
        server.freeze()  # it sees nothing between the two locks
        lock.unlink()
        lock.touch()
        server.thaw()
        server.write("late.yaml", prompt("x"))
        server.wait_for_hold("vcs")
        lock.unlink()
        server.wait_for_text("late", "x")


class Barriers(StoryTest):
    def test_a_reload_ends_with_no_older_round(self):
        server = self.serve("--max-latency", "1s", files={"q.yaml": prompt("q")})
        server.wait_settled()
        (self.scratch / "o").write_text(prompt("new"), encoding="utf-8")
        with being_written(server.path("w.yaml"), "w"):
            wait_until(lambda: server.status()["files"]["unsettled"] or not server.status()["settled"],
                       "it is waited for a writer")
            pause(0.9)
            os.link(self.scratch / "o", server.path("new.yaml"))
            reply = server.reload()
            self.assertEqual((reply.status, server.text_of("new")), (422, "new"))
        server.wait_for_text("w", signed("w", "r1"))
        self.assertEqual(server.reload().status, 200)

    def test_a_first_set_that_is_not_complete_is_not_clean(self):
        path = self.scratch / "prompts/w.yaml"
        write_files(path.parent, {"q.yaml": prompt("q")})
        with being_written(path, "w"):
            ended = threading.Event()

            def touch():
                while not ended.wait(0.03):
                    os.utime(path)

            toucher = threading.Thread(target=touch)
            toucher.start()
            try:
                server = self.serve("--max-latency", "300ms", "--ready-when", "clean")
                server.wait_for_text("q", "q")
                self.assertEqual(server.get("/ready").status, 503)
            finally:
                ended.set()
                toucher.join()
        wait_until(lambda: server.get("/ready").status == 200, "it is ready once all is complete")


if __name__ == "__main__":
    unittest.main()
