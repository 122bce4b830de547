"""Rows E: git-sync, and directories and files that stand behind links."""
import contextlib
import os
import shutil
import unittest
from pathlib import Path

from promptd import Observer, pause, prompt, wait_until
from replicas import GitSync, Repository
from support import (LiveTest, Watched, exchange, injected, need, rev_of, run, signed_files,
                     signed_texts, strace_works, write_files)

COMMON = [f"d{i % 3}/p{i}" for i in range(20)]
REVS = tuple(f"r{i}" for i in range(8))


def names_of(rev):
    return [*COMMON, f"only-{rev}/a", f"d0/only-{rev}"]


def texts_of(rev):
    return signed_texts(names_of(rev), rev)


EVERY = sorted({name for rev in REVS for name in names_of(rev)})


class LinkTest(LiveTest):
    def lay(self, name, rev):
        """A directory with one of the sets."""
        write_files(self.scratch / name, signed_files(names_of(rev), rev))
        return self.scratch / name

    def watch(self, server):
        return Watched(self, server, EVERY, COMMON)

    def serve_set(self, rev, *args, **kwargs):
        server = self.serve(*args, **kwargs)
        server.wait_for_served(texts_of(rev))
        server.wait_settled()
        return server

    def check_whole(self, watched, *revs):
        watched.check_sets([texts_of(rev) for rev in revs or REVS])

    def check_replaced(self, watched):
        """All is of one set, but what only the old directory had may be served for a while."""
        for sweep in watched.sweeps():
            revs = {rev_of(sweep.texts[name]) for name in COMMON}
            self.assertEqual(len(revs), 1)
            wanted = texts_of(revs.pop())
            self.assertEqual({name: sweep.texts[name] for name in wanted}, wanted)

    def wait_for_loss(self, server, reason=""):
        """Wait until it is told that the directory is not to be had, and why."""
        status = server.wait_for_status(lambda s: not s["directory"]["available"] and s["problems"],
                                        "the loss of the directory is told")
        self.assertIn(reason, " ".join(status["problems"]))
        self.assertIn("root", [h["cause"] for h in status["holds"]])
        self.assertEqual((server.get("/health").status, server.get("/ready").status), (200, 200))

    def wait_for_recovery(self, server):
        status = server.wait_settled()
        self.assertTrue(status["directory"]["available"])
        self.assertEqual(status["problems"], [])


class Sync(LinkTest):
    def set_up_source(self, folder):
        need(self, "git", "git")
        source = Repository(self.scratch / "source", folder)
        self.commits = {rev: source.commit(signed_files(names_of(rev), rev), rev) for rev in REVS}
        source.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git_sync = GitSync(self.scratch / "sync", source.path)
        self.git_sync.sync(self.commits["r0"])

    def check_source(self, server, rev):
        commit = self.commits[rev]
        for told in (server.status(), server.get("/health").json):
            self.assertEqual(told["source_revision"], commit)
        self.assertEqual(server.litellm(COMMON[0]).headers["Prompts-Source-Revision"], commit)

    def check_syncs(self, server, revs):
        with self.watch(server) as watched:
            for rev in revs:
                with self.generations(server, 1):
                    self.git_sync.sync(self.commits[rev])
                    server.wait_for_served(texts_of(rev))
                self.check_source(server, rev)
        self.check_whole(watched)
        self.check_sources(watched)
        self.assertEqual(server.problems(), [])

    def check_sources(self, watched):
        """Whoever got a text was told the commit that it is from."""
        for sweep in watched.sweeps():
            rev = [r for r in REVS if sweep.texts == {**dict.fromkeys(EVERY), **texts_of(r)}]
            self.assertEqual(sweep.source, self.commits[rev[0]])

    def test_E1_the_directory_is_the_link(self):
        self.set_up_source("")
        server = self.serve_set("r0", directory=self.git_sync.link)
        self.check_source(server, "r0")
        self.check_syncs(server, [*REVS[1:], "r0"])

    def test_E2_the_directory_lies_below_the_link(self):
        self.set_up_source("deploy/prompts")
        server = self.serve_set("r0", directory=self.git_sync.link / "deploy/prompts")
        self.check_source(server, "r0")
        self.check_syncs(server, [*REVS[1:4], "r0"])

    def test_E3_the_old_tree_goes_while_it_is_read(self):
        strace_works(self)
        self.set_up_source("prompts")
        server = self.serve_set("r0", directory=self.git_sync.link / "prompts")
        with self.slow_looks(server) as watched, \
                Observer(server, "/health", lambda r: r.json["problems"]) as problems:
            self.sync_quickly(server)
        self.check_whole(watched)
        self.assertEqual(problems.answers, [[]])

    def test_E3_when_no_look_comes_to_its_end(self):
        # What must be published amid the swaps may be of several trees, but all of it is there.
        strace_works(self)
        self.set_up_source("prompts")
        server = self.serve_set("r0", "--max-latency", "200ms",
                                directory=self.git_sync.link / "prompts")
        with self.slow_looks(server):
            self.sync_quickly(server, are_seen=False)

    @contextlib.contextmanager
    def slow_looks(self, server):
        """Each look at the files takes long."""
        with self.watch(server) as watched:
            with injected(server, (["openat", "openat2"], "delay_enter=5ms")):
                yield watched
            self.assertEqual(server.wait_settled()["problems"], [])

    def sync_quickly(self, server, are_seen=True):
        """One commit after the other, faster than can be read; some of them last, if so asked."""
        revs = [*REVS[1:], *REVS[:-1]]
        for i, rev in enumerate(revs):
            self.git_sync.sync(self.commits[rev])
            pause(i % 5 * 0.02)  # into other stages of the look
            if are_seen and i % 3 == 2:
                server.wait_for_served(texts_of(rev))
        server.wait_for_served(texts_of(revs[-1]))


class Root(LinkTest):
    """The directory itself is a link, or is moved about."""

    def link_to(self, target):
        link = self.scratch / "link"
        link.symlink_to(target)
        return link

    def test_E4_a_link_is_set_anew(self):
        for rev in REVS[:4]:
            self.lay(rev, rev)
        link = self.link_to("r0")
        server = self.serve_set("r0", directory=link)
        with self.watch(server) as watched:
            for rev in ("r1", "r2"):
                with self.generations(server, 1):
                    run("ln", "-sfn", rev, str(link))
                    server.wait_for_served(texts_of(rev))
        self.check_whole(watched)
        with self.watch(server) as watched:
            link.unlink()
            self.wait_for_loss(server, "No such file")
            link.symlink_to("r3")
            server.wait_for_served(texts_of("r3"))
        self.check_replaced(watched)
        self.wait_for_recovery(server)
        for old in ("r0", "r1", "r2"):
            shutil.rmtree(self.scratch / old)
        server.write("d0/p0.yaml", prompt("edited behind the new link"))
        server.wait_for_text("d0/p0", "edited behind the new link")

    def test_E5_a_link_that_leads_nowhere(self):
        for rev in ("r0", "r1"):
            self.lay(rev, rev)
        (self.scratch / "loop").symlink_to("loop")
        (self.scratch / "file").write_text("not a directory", encoding="utf-8")
        link = self.link_to("r0")
        server = self.serve_set("r0", directory=link)
        with self.watch(server) as watched:
            for number, (target, reason) in enumerate((("nowhere", "No such file"),
                                                       ("loop", "Too many levels"),
                                                       ("file", "Not a directory"))):
                with self.subTest(target):
                    run("ln", "-sfn", target, str(link))
                    self.wait_for_loss(server, reason)
                    back = f"r{(number + 1) % 2}"
                    run("ln", "-sfn", back, str(link))
                    server.wait_for_served(texts_of(back))
                    self.wait_for_recovery(server)
        self.check_whole(watched, "r0", "r1")

    def test_E5_a_link_to_nowhere_that_comes_to_be(self):
        link = self.link_to("later")
        server = self.serve(directory=link)
        self.assertEqual((server.get("/ready").status, server.get("/health").status), (503, 200))
        self.lay("r0", "r0").rename(self.scratch / "later")
        server.wait_for_served(texts_of("r0"))
        self.wait_for_recovery(server)

    def test_E8_another_directory_takes_the_name(self):
        root = self.lay("prompts", "r0")
        server = self.serve_set("r0")
        with self.watch(server) as watched:
            for number, rev in enumerate(("r1", "r2", "r3", "r4")):
                new, old = self.lay(f"new{number}", rev), self.scratch / f"old{number}"
                with self.subTest(rev):
                    if number % 2:
                        exchange(new, root)
                        new.rename(old)
                    else:
                        root.rename(old)
                        new.rename(root)
                    server.wait_for_served(texts_of(rev))
                    with self.generations(server, 0):
                        write_files(old, signed_files(names_of("r7"), "r7"))
                        shutil.rmtree(old)
        self.check_replaced(watched)
        self.wait_for_recovery(server)

    def test_E8_an_exchange_is_one_generation(self):
        texts = {rev: signed_texts(COMMON, rev) for rev in ("r0", "r1")}
        for name, rev in (("prompts", "r0"), ("new", "r1")):
            write_files(self.scratch / name, signed_files(COMMON, rev))
        server = self.serve()
        server.wait_for_served(texts["r0"])
        with Watched(self, server, COMMON, COMMON) as watched:
            for rev in ("r1", "r0", "r1"):
                with self.generations(server, 1):
                    exchange(self.scratch / "new", self.scratch / "prompts")
                    server.wait_for_served(texts[rev])
        watched.check_sets(texts.values())

    def test_E9_an_ancestor_renamed_away_and_back(self):
        self.lay("one/two/three/prompts", "r0")
        server = self.serve_set("r0", directory=self.scratch / "one/two/three/prompts")
        away = self.scratch / "away"
        with self.watch(server) as watched:
            for number, name in enumerate(("one", "one/two", "one/two/three")):
                with self.subTest(name):
                    (self.scratch / name).rename(away)
                    self.wait_for_loss(server, "No such file")
                    below = Path("one/two/three/prompts").relative_to(name)
                    shutil.rmtree(away / below)
                    rev = REVS[number + 1]
                    write_files(away / below, signed_files(names_of(rev), rev))
                    away.rename(self.scratch / name)
                    server.wait_for_served(texts_of(rev))
                    self.wait_for_recovery(server)
        self.check_replaced(watched)

    def test_E10_removed_and_made_again(self):
        self.lay("prompts", "r0")
        # Files that are gone count as gone only after this long; the directory is back by then.
        server = self.serve_set("r0", "--delete-grace", "5m")
        for number in range(1, 4):
            rev = f"r{number}"
            with self.subTest(rev), self.watch(server):
                shutil.rmtree(server.directory)
                self.wait_for_loss(server)
                self.lay("prompts", rev)
                for name in names_of(rev):
                    server.wait_for_text(name, texts_of(rev)[name])

    def test_E10_removed_and_made_again_at_once(self):
        self.lay("prompts", "r0")
        server = self.serve_set("r0", "--delete-grace", "2s")
        for rev in REVS[1:4]:
            with self.subTest(rev), self.watch(server):
                shutil.rmtree(server.directory)
                self.lay("prompts", rev)
                server.wait_for_served(texts_of(rev))
        self.wait_for_recovery(server)


class Files(LinkTest):
    """Links below the directory."""

    def test_E6_a_farm_of_links(self):
        need(self, "stow", "stow")
        for package in ("one", "two"):
            write_files(self.scratch / "packages" / package,
                        signed_files([package, f"{package}-dir/p", "shared/" + package], package))
        farm = self.scratch / "farm"
        farm.mkdir()

        def stow(*arguments):
            run("stow", "-d", str(self.scratch / "packages"), "-t", str(farm), *arguments)

        def texts(*packages):
            return {k: v for p in packages
                    for k, v in signed_texts([p, f"{p}-dir/p", "shared/" + p], p).items()}

        inside = self.serve("--allow-empty", directory=farm)
        anywhere = self.serve("--allow-empty", "--follow-links", "anywhere", directory=farm)
        steps = ((("one",), texts("one")), (("two",), texts("one", "two")),
                 (("-D", "one"), texts("two")))
        for arguments, expected in steps:
            with self.subTest(arguments):
                stow(*arguments)
                anywhere.wait_for_served(expected)
                self.assertEqual(anywhere.wait_settled()["problems"], [])
                inside.wait_for_problem("two" if "two" in expected else "one")
                self.assertEqual(inside.served(), {})
        self.check_edits(anywhere, "two", self.scratch / "packages/two/two.yaml")
        self.check_edits(anywhere, "two-dir/p", self.scratch / "packages/two/two-dir/p.yaml")
        stow("-D", "two")
        wait_until(lambda: inside.problems() == [], "the problems are gone")

    def check_edits(self, server, name, target):
        """Whatever happens to the file behind a link is seen."""
        for text in ("in place", "in place again"):
            target.write_text(prompt(text), encoding="utf-8")
            server.wait_for_text(name, text)
        for text in ("renamed over", "and again"):
            new = target.with_name(".new")
            new.write_text(prompt(text), encoding="utf-8")
            new.rename(target)
            server.wait_for_text(name, text)
        self.assertEqual(server.wait_settled()["problems"], [])

    def test_E7_the_file_behind_a_link(self):
        server = self.serve(files={".store/one.txt": prompt("one"), ".store/two.txt": prompt("two"),
                                   "q.yaml": prompt("q")})
        server.path("p.yaml").symlink_to(".store/one.txt")
        server.wait_for_text("p", "one")
        self.check_edits(server, "p", server.path(".store/one.txt"))
        run("ln", "-sfn", ".store/two.txt", "p.yaml", cwd=server.directory)
        server.wait_for_text("p", "two")
        self.check_edits(server, "p", server.path(".store/two.txt"))
        server.path(".store/two.txt").unlink()
        server.wait_until_gone("p")
        server.write(".store/two.txt", prompt("back"))
        server.wait_for_text("p", "back")

    def test_E7_the_directory_behind_a_link(self):
        server = self.serve(files={".v1/p.yaml": prompt("one"), ".v2/p.yaml": prompt("two")})
        server.path("now").symlink_to(".v1")
        server.wait_for_text("now/p", "one")
        self.check_edits(server, "now/p", server.path(".v1/p.yaml"))
        run("ln", "-sfn", ".v2", "now", cwd=server.directory)
        server.wait_for_text("now/p", "two")
        self.check_edits(server, "now/p", server.path(".v2/p.yaml"))

    def test_E7_a_chain_of_links_outside(self):
        for name in ("a", "b", "c"):
            (self.scratch / name).mkdir()
        (self.scratch / "a/p.yaml").write_text(prompt("one"), encoding="utf-8")
        (self.scratch / "c/p.yaml").write_text(prompt("other"), encoding="utf-8")
        (self.scratch / "b/next").symlink_to("../a/p.yaml")
        server = self.serve("--follow-links", "anywhere")
        server.path("p.yaml").symlink_to("../b/next")
        server.wait_for_text("p", "one")
        self.check_edits(server, "p", self.scratch / "a/p.yaml")
        run("ln", "-sfn", "../c/p.yaml", str(self.scratch / "b/next"))  # in the middle of the chain
        server.wait_for_text("p", "other")

    def test_E11_packages_and_releases(self):
        server = self.serve(files={"p.yaml": prompt("one"), "q.yaml": prompt("q")})
        for temporary, text in (("p.yaml.dpkg-new", "dpkg"), ("p.yaml;5f3c", "rpm"),
                                ("p.yaml.ucf-new", "ucf")):
            with self.subTest(temporary):
                with self.generations(server, 0):
                    server.write(temporary, prompt(text))
                with self.generations(server, 1):
                    os.rename(server.path(temporary), server.path("p.yaml"))
                    server.wait_for_text("p", text)
        with self.generations(server, 0):
            for left in ("p.yaml.dpkg-old", "p.yaml.dpkg-dist", "p.yaml.rpmnew", "p.yaml.rpmsave"):
                server.write(left, "left: [behind")

    def test_E11_releases_behind_a_link(self):
        # As Capistrano does: a directory for each release, and a link that is renamed into place.
        for rev in REVS[:4]:
            self.lay(f"releases/{rev}/prompts", rev)
        (self.scratch / "current").symlink_to("releases/r0")
        server = self.serve_set("r0", directory=self.scratch / "current/prompts")
        with self.watch(server) as watched:
            for rev in REVS[1:4]:
                with self.generations(server, 1):
                    (self.scratch / "new").symlink_to(f"releases/{rev}")
                    (self.scratch / "new").rename(self.scratch / "current")
                    server.wait_for_served(texts_of(rev))
        self.check_whole(watched)


if __name__ == "__main__":
    unittest.main()
