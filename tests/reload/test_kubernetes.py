"""Rows D: volumes of Kubernetes. A ConfigMap is one set, in whatever order its links come."""
import contextlib
import os
import shlex
import sys
import unittest

from promptd import Observer, as_somebody_else, pause, prompt, wait_until
from replicas import ConfigMap
from support import (IS_ROOT, LONG, LiveTest, Watched, in_mounts_of, injected, own_mounts, run,
                     signed, signed_prompt, signed_texts, stop_tracing, strace_works,
                     traced_from_the_start, write_files)

# Longer than --quiet and --settle, so that whatever may be seen between two steps is published.
GAP = 0.08
EAGER = ("--settle", "20ms")


def payload_of(names, rev):
    """{key: text}; a key of a ConfigMap holds no slash."""
    return {name.replace("/", "__") + ".yaml": signed_prompt(name, rev) for name in names}


class VolumeTest(LiveTest):
    """Each set has keys of its own beside those that are in all."""

    COMMON = ["a", "b", "support/refund"]

    def setUp(self):
        super().setUp()
        self.names = {rev: [*self.COMMON, f"only-{rev}", f"x/only-{rev}"]
                      for rev in ("r0", "r1", "r2", "r3")}
        self.names["more"] = [*self.COMMON, *(f"more-{i}" for i in range(6))]

    def volume(self, **kwargs):
        return ConfigMap(self.scratch / "prompts", **kwargs)

    def project(self, volume, rev, **kwargs):
        volume.project(payload_of(self.names[rev], rev), **kwargs)

    def texts(self, rev):
        return signed_texts(self.names[rev], rev)

    def watch(self, server, always=COMMON):
        every = sorted({name for names in self.names.values() for name in names})
        return Watched(self, server, every, always)

    def serve_volume(self, volume, *args, rev="r0", **kwargs):
        """A server of a volume that has been filled."""
        self.project(volume, rev)
        server = self.serve(*args, **kwargs)
        server.wait_for_served(self.texts(rev))
        return server

    def check_projection(self, server, volume, rev):
        """A projection is one generation, and no reader sees a part of it."""
        with self.generations(server, 1):
            self.project(volume, rev)
            server.wait_for_served(self.texts(rev))

    def check_projections(self, server, volume, revs):
        with self.watch(server) as watched, \
                Observer(server, "/health", lambda r: r.json["problems"]) as problems:
            for rev in revs:
                self.check_projection(server, volume, rev)
        watched.check_sets([self.texts(rev) for rev in self.names])
        self.assertEqual(problems.answers, [[]])


class Projections(VolumeTest):
    def test_D1_first_projection(self):
        for visible_first in (False, True):
            with self.subTest(visible_first=visible_first):
                volume = ConfigMap(self.scratch / f"volume{visible_first}", visible_first, GAP)
                server = self.serve(*EAGER, directory=volume.directory)
                with self.watch(server, always=()) as watched:
                    self.check_projection(server, volume, "r1")
                watched.check_sets([{}, self.texts("r1")])
                self.assertEqual(server.problems(), [])

    def test_D2_new_values(self):
        volume = self.volume(delay=0.004)
        count = 30 if LONG else 12
        self.names = {f"r{i}": self.COMMON for i in range(count + 1)}
        server = self.serve_volume(volume)
        self.check_projections(server, volume, [f"r{i}" for i in range(1, count + 1)])

    def test_D3_keys_added_and_removed(self):
        volume = self.volume(delay=GAP)
        server = self.serve_volume(volume, *EAGER)
        self.check_projections(server, volume, ("r1", "r2", "more", "r3"))

    def test_D3_several_volumes_side_by_side(self):
        volumes = {team: ConfigMap(self.scratch / "prompts" / team, delay=GAP)
                   for team in ("red", "blue")}
        names = {team: {rev: [f"{team}/{n}" for n in self.names[rev]] for rev in ("r0", "r1", "r2")}
                 for team in volumes}

        def project(team, rev):
            payload = {name.replace("/", "__") + ".yaml": signed_prompt(f"{team}/{name}", rev)
                       for name in self.names[rev]}
            volumes[team].project(payload)
            return signed_texts(names[team][rev], rev)

        now = {team: project(team, "r0") for team in volumes}
        server = self.serve(*EAGER)
        server.wait_for_served({**now["red"], **now["blue"]})
        common = [f"{team}/{name}" for team in volumes for name in self.COMMON]
        every = sorted({n for sets in names.values() for revs in sets.values() for n in revs})
        allowed = [{**now["red"], **now["blue"]}]
        with Watched(self, server, every, common) as watched:
            for team, rev in (("red", "r1"), ("blue", "r1"), ("blue", "r2"), ("red", "r2")):
                with self.generations(server, 1):
                    now[team] = project(team, rev)
                    allowed.append({**now["red"], **now["blue"]})
                    server.wait_for_served(allowed[-1])
        watched.check_sets(allowed)

    def test_D3_a_volume_inside_another_is_passed_over(self):
        """As the README says: only what ..data leads to counts, and a mount below is not there."""
        volume = self.volume()
        server = self.serve_volume(volume)
        ConfigMap(volume.directory / "inner").project(payload_of(["a"], "r0"))
        self.check_projection(server, volume, "r1")
        self.assertEqual(server.get("/prompts/inner%2Fa").status, 404)
        self.assertEqual(server.problems(), [])

    def test_D4_keys_added_before_the_swap(self):
        volume = self.volume(visible_first=True, delay=GAP)
        server = self.serve_volume(volume, *EAGER)
        self.check_projections(server, volume, ("r1", "r2", "more", "r3"))

    def test_D5_the_same_again(self):
        volume = self.volume()
        server = self.serve_volume(volume)
        generation, revision = server.wait_settled()["generation"], server.revision()
        for must_swap in (False, True):
            with self.subTest(must_swap=must_swap), self.watch(server):
                self.project(volume, "r0", must_swap=must_swap)
                self.assert_unchanged(server, generation)
                self.assertEqual(server.revision(), revision)

    def test_D6_nested_items(self):
        volume = self.volume(delay=GAP / 4)
        names = {"r1": ["sub/a", "sub/deep/b", "top"], "r2": ["sub/a", "sub/new/c", "top"]}
        for rev in ("r1", "r2"):
            payload = {f"{name}.yaml": signed_prompt(name, rev) for name in names[rev]}
            volume.project(payload)
            if rev == "r1":
                server = self.serve()
            server.wait_for_served(signed_texts(names[rev], rev))
        self.assertEqual(server.get("/prompts/sub%2Fa").json["source"]["file"], "sub/a.yaml")
        self.assertEqual((server.wait_settled()["files"]["total"], server.problems()), (3, []))

    def test_D7_the_old_directory_goes_while_it_is_read(self):
        strace_works(self)
        volume = self.volume()
        server = self.serve_volume(volume)
        with self.slow_looks(server) as watched, \
                Observer(server, "/health", lambda r: r.json["problems"]) as problems:
            self.project_quickly(server, volume)
        watched.check_sets([self.texts(rev) for rev in self.names])
        self.assertEqual(problems.answers, [[]])

    def test_D7_when_no_look_comes_to_its_end(self):
        # What must be published amid the swaps may be of several sets, but all of it is there.
        strace_works(self)
        volume = self.volume()
        server = self.serve_volume(volume, "--max-latency", "200ms")
        with self.slow_looks(server):
            self.project_quickly(server, volume, are_seen=False)

    @contextlib.contextmanager
    def slow_looks(self, server):
        """Each look at the files takes long."""
        with self.watch(server) as watched:
            with injected(server, (["openat", "openat2"], "delay_enter=5ms")):
                yield watched
            self.assertEqual(server.wait_settled()["problems"], [])

    def project_quickly(self, server, volume, are_seen=True):
        """One set after the other, faster than they can be read; some of them last, if so asked."""
        revs = ["r1", "r2", "r3", "more", "r0"] * 5
        for i, rev in enumerate(revs):
            self.project(volume, rev)
            pause(i % 7 * 0.01)  # into other stages of the look
            if are_seen and i % 4 == 3:
                server.wait_for_served(self.texts(rev))
        server.wait_for_served(self.texts(revs[-1]))

    def test_D12_visible_links_are_missing(self):
        volume = self.volume()
        server = self.serve_volume(volume)
        with self.generations(server, 0), self.watch(server) as watched:
            for name in volume.directory.glob("[a-z]*"):
                name.unlink()
        watched.check_sets([self.texts("r0")])
        self.serve().wait_for_served(self.texts("r0"))
        self.check_projections(server, volume, ("r1",))


class Volumes(VolumeTest):
    def test_D10_a_volume_that_is_filled_later(self):
        volume = self.volume()
        strict, easy = self.serve(), self.serve("--allow-empty")
        self.assertEqual((strict.get("/ready").status, easy.get("/ready").status), (503, 200))
        self.project(volume, "r1")
        for server in (strict, easy):
            server.wait_for_served(self.texts("r1"))
            self.assertEqual((server.get("/ready").status, server.problems()), (200, []))

    def test_D11_all_keys_removed(self):
        volume = self.volume()
        patient = self.serve_volume(volume, "--empty-grace", "5m")
        hasty = self.serve("--empty-grace", "500ms")
        hasty.wait_for_served(self.texts("r0"))
        with self.watch(patient, always=self.names["r0"]):
            volume.project({})
            patient.wait_for_hold("empty")
            wait_until(lambda: hasty.served() == {}, "the emptiness is accepted")
        wait_until(lambda: [m for m in hasty.log_lines() if "warn" in m.lower() and "empty" in m],
                   "the log warns")
        self.project(volume, "r1")
        for server in (patient, hasty):
            server.wait_for_served(self.texts("r1"))
            self.assertEqual(server.wait_settled()["holds"], [])

    def test_D13_a_driver_that_writes_file_by_file(self):
        server = self.serve(files={})
        write_files(server.directory, payload_of(self.names["r0"], "r0"))
        server.wait_for_served(self.texts("r0"))
        script = 'cat "$1" > "$2"'  # truncates, then writes
        with self.watch(server):
            for rev in ("r1", "r2", "r3"):
                source = self.scratch / rev
                write_files(source, payload_of(self.COMMON, rev))
                for path in source.iterdir():
                    run("sh", "-c", script, "sh", str(path), str(server.path(path.name)))
                for name in self.COMMON:
                    server.wait_for_text(name, signed(name, rev))

    def test_D14_a_sidecar_that_writes(self):
        scripts = {
            "in place": "cp -r $NEW/. .",
            "beside": 'for f in $(cd $NEW; ls); do cp $NEW/$f .$f.tmp; mv .$f.tmp $f; done',
            "archive": "tar -C $NEW -cf - . | tar -xf -",
            "python": f'for f in $(cd $NEW; ls); do {sys.executable} -c "import sys, shutil; '
                      'shutil.copyfile(*sys.argv[1:])" $NEW/$f $f; done',
        }
        server = self.serve()
        for number, (kind, script) in enumerate(scripts.items()):
            new = self.scratch / f"new{number}"
            write_files(new, payload_of(self.COMMON, f"s{number}"))
            always = self.COMMON if number else ()
            with self.subTest(kind), Watched(self, server, self.COMMON, always):
                run("sh", "-ec", script, cwd=server.directory, env={**os.environ, "NEW": str(new)})
                server.wait_for_served(signed_texts(self.COMMON, f"s{number}"))
        self.assertEqual(server.problems(), [])

    def test_D15_a_restart_with_a_bad_file(self):
        volume = self.volume()
        good = payload_of(self.COMMON, "r1")
        volume.project({**good, "a.yaml": "broken: ["})
        rest = {k: v for k, v in signed_texts(self.COMMON, "r1").items() if k != "a"}
        usual, clean = self.serve(), self.serve("--ready-when", "clean")
        for server, ready in ((usual, 200), (clean, 503)):
            self.assertEqual(server.served(), rest)
            self.assertEqual(server.litellm("a").status, 404)
            self.assertEqual(server.file_states()["a.yaml"], "invalid")
            self.assertEqual(server.get("/ready").status, ready)
        volume.project(good)
        for server in (usual, clean):
            server.wait_for_served(signed_texts(self.COMMON, "r1"))
            wait_until(lambda s=server: s.get("/ready").status == 200, "it is ready")
        volume.project({**good, "a.yaml": "broken: ["})
        clean.wait_for_problem("a.yaml")
        self.assertEqual(clean.get("/ready").status, 200)  # it has a last good version now


class Mounts(VolumeTest):
    def test_D8_a_mount_of_one_file(self):
        outside = self.scratch / "host.yaml"
        outside.write_text(prompt("one"), encoding="utf-8")
        write_files(self.scratch / "prompts", {"p.yaml": "", "q.yaml": prompt("q")})
        mounted = shlex.quote(str(self.scratch / "prompts/p.yaml"))
        wrapper = own_mounts(self, f"mount --bind {shlex.quote(str(outside))} {mounted}")
        server = self.serve("--poll", "200ms", wrapper=wrapper)
        server.wait_for_text("p", "one")
        self.assertEqual(server.wait_settled()["files"]["mounts"], 1)
        outside.write_text(prompt("two"), encoding="utf-8")  # no event tells of this
        wait_until(lambda: server.text_of("p") == "two", "it is found by the clock", 45)
        new = self.scratch / "new.yaml"
        new.write_text(prompt("three"), encoding="utf-8")
        os.rename(new, outside)  # the mount goes on showing the old file
        server.write("q.yaml", prompt("later"))
        server.wait_for_text("q", "later")
        self.assertEqual((server.reload().status, server.text_of("p")), (200, "two"))
        in_mounts_of(server, f"umount {mounted}; echo 'prompt_template: four' > {mounted}")
        server.wait_for_text("p", "four")
        self.assertEqual(server.wait_settled()["files"]["mounts"], 0)
        told = [m for m in server.messages() if "p.yaml" in m and "mount" in m]
        self.assertEqual(len(told), 1, told)

    def test_D9_read_only_and_not_root(self):
        volume = self.volume()
        self.project(volume, "r0")
        there = shlex.quote(str(volume.directory))
        mount = own_mounts(self, f"mount --bind {there} {there}\nmount -o remount,bind,ro {there}")
        somebody = as_somebody_else(self) if IS_ROOT else {"wrapper": [], "program": None}
        log = self.scratch / "calls"
        log.touch()
        log.chmod(0o666)
        strace_works(self)
        # What would change a file fails here with EROFS, and strace shows that.
        tracer = traced_from_the_start(["-o", str(log), "-e",
                                        "trace=%file,ftruncate,fchmod,fchown"])
        server = self.serve(wrapper=[*mount, *somebody["wrapper"], *tracer],
                            program=somebody["program"])
        server.wait_for_served(self.texts("r0"))
        self.check_projections(server, volume, ("r1", "r2"))
        with self.assertRaises(AssertionError):
            in_mounts_of(server, f"touch {there}/x")
        stop_tracing(server)
        seen = log.read_text(encoding="utf-8", errors="replace")
        self.assertIn("openat", seen)
        self.assertNotIn("EROFS", seen)


if __name__ == "__main__":
    unittest.main()
