"""What is published when files are bad, few or gone, and how the server tells of it."""
import json
import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

from promptd import ReloadTest, ServerTest, prompt, wait_until

BAD = "prompt_template: [\n"


class StatusTest(ReloadTest):
    def status(self, server, **query):
        response = server.get("/-/status" + ("?files=all" if query.get("all_files") else ""))
        self.assertEqual(response.status, 200)
        return response.json

    def wait_settled(self, server):
        return wait_until(lambda: (s := self.status(server))["settled"] and s, "it is settled")

    def reload(self, server):
        response = server.request("POST", "/-/reload")
        return response.status, response.json

    def holds(self, server):
        return [hold["cause"] for hold in self.status(server)["holds"]]


class OnBadFile(StatusTest):
    def test_hold_keeps_the_whole_set(self):
        server = self.serve("--on-bad-file", "hold",
                            files={"p.yaml": prompt("p 1"), "q.yaml": prompt("q 1")})
        server.write("p.yaml", BAD)
        server.write("q.yaml", prompt("q 2"))
        server.wait_for_problem("p.yaml:")
        self.assertEqual((server.text_of("p"), server.text_of("q")), ("p 1", "q 1"))
        self.assertIn("bad-file", self.holds(server))
        self.assertEqual(server.get("/ready").status, 200)
        server.write("q.yaml", prompt("q 3"))
        status, body = self.reload(server)
        self.assertEqual((status, server.text_of("q")), (422, "q 1"), body)
        server.write("p.yaml", prompt("p 2"))
        server.wait_for_text("p", "p 2")
        self.assertEqual((server.text_of("q"), server.problems(), self.holds(server)),
                         ("q 3", [], []))

    def test_a_conflict_is_held_too(self):
        server = self.serve("--on-bad-file", "hold", files={"p.yaml": prompt("p")})
        server.write("a.yaml", prompt("double", prompt_id="p") + "---\n" +
                     prompt("new", prompt_id="n"))
        server.wait_for_problem("a.yaml:")
        self.assertEqual(server.litellm("n").status, 404)
        server.remove("a.yaml")
        wait_until(lambda: server.problems() == [], "the problem is gone")

    def test_what_was_never_good_is_served_in_part(self):
        server = self.serve("--on-bad-file", "hold",
                            files={"p.yaml": BAD, "q.yaml": prompt("q 1")})
        self.assertEqual(server.text_of("q"), "q 1")
        server.write("q.yaml", prompt("q 2"))
        server.wait_for_text("q", "q 2")

    def test_keep_is_the_default(self):
        server = self.serve(files={"p.yaml": prompt("p 1"), "q.yaml": prompt("q 1")})
        server.write("p.yaml", BAD)
        server.wait_for_problem("p.yaml:")
        server.write("q.yaml", prompt("q 2"))
        server.wait_for_text("q", "q 2")
        self.assertEqual(self.holds(server), [])


class Few(StatusTest):
    def test_min_prompts_keeps_the_last_set_that_had_as_many(self):
        files = {f"{name}.yaml": prompt(f"{name} 1") for name in "abc"}
        server = self.serve("--min-prompts", "3", files=files)
        server.remove("a.yaml")
        self.assertIn("--min-prompts", server.wait_for_problem("."))
        server.write("b.yaml", prompt("b 2"))
        self.assertEqual(self.reload(server)[0], 422)
        self.assertEqual((server.text_of("a"), server.text_of("b")), ("a 1", "b 1"))
        self.assertIn("min-prompts", self.holds(server))
        server.write("d.yaml", prompt("d 1"))
        server.wait_for_text("d", "d 1")
        self.assertEqual((server.text_of("b"), server.problems()), ("b 2", []))
        self.assertEqual(server.litellm("a").status, 404)

    def test_too_few_at_the_start_are_waited_for(self):
        server = self.serve("--min-prompts", "2", files={"a.yaml": prompt("a")})
        self.assertEqual((server.litellm("a").status, server.get("/ready").status), (503, 503))
        server.write("b.yaml", prompt("b"))
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        self.assertEqual(server.text_of("a"), "a")

    def test_versions_of_an_id_count_once(self):
        server = self.serve("--min-prompts", "2", files={"a.v1.yaml": prompt("1"), "a.v2.yaml": prompt("2")})
        wait_until(lambda: any("prompts of 1 id, and --min-prompts is 2" in line for line in server.log_lines()),
                   "the log says that there are too few")
        server.write("b.yaml", prompt("b"))
        server.wait_for_text("b", "b")

    def test_an_emptied_directory_is_believed_after_a_while(self):
        server = self.serve("--empty-grace", "1s", files={"p.yaml": prompt("p")})
        server.remove("p.yaml")
        wait_until(lambda: "empty" in self.holds(server), "the emptiness is held")
        self.assertEqual(server.text_of("p"), "p")
        server.wait_for_problem(".: all files are gone")
        server.wait_until_gone("p")
        self.assertEqual(self.holds(server), [])
        server.write("p.yaml", prompt("again"))
        server.wait_for_text("p", "again")

    def test_files_that_come_back_in_time_are_never_missed(self):
        server = self.serve("--empty-grace", "60s", files={"p.yaml": prompt("p")})
        server.remove("p.yaml")
        server.wait_for_problem(".: all files are gone")
        server.write("q.yaml", prompt("q"))
        server.wait_for_text("q", "q")
        server.wait_until_gone("p")
        self.assertEqual(server.problems(), [])


class Root(StatusTest):
    def test_a_missing_directory_is_waited_for_at_the_start(self):
        directory = self.serve().directory.parent / "later"
        server = self.serve(directory=directory)
        self.assertEqual((server.litellm("p").status, server.get("/ready").status,
                          server.get("/health").status), (503, 503, 200))
        self.assertFalse(self.status(server)["directory"]["available"])
        self.assertIn("root", self.holds(server))
        directory.mkdir()
        server.write("p.yaml", prompt("p"))
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        self.assertEqual(server.text_of("p"), "p")

    def test_a_directory_that_vanishes_keeps_its_prompts(self):
        server = self.serve(files={"p.yaml": prompt("p 1")})
        os.rename(server.directory, server.temporary / "away")
        self.assertIn("No such file", server.wait_for_problem("."))
        self.assertEqual((server.text_of("p"), server.get("/ready").status), ("p 1", 200))
        (server.temporary / "away" / "p.yaml").write_text(prompt("p 2"))
        self.assertEqual(self.reload(server)[0], 422)
        self.assertEqual(server.text_of("p"), "p 1")
        os.rename(server.temporary / "away", server.directory)
        server.wait_for_text("p", "p 2")
        self.assertEqual((server.problems(), self.holds(server)), ([], []))


class Start(ServerTest):
    def run_strictly(self, files):
        server = self.serve(files=files)
        server.stop()
        return subprocess.run([server.program, "--strict-start", "--listen", "127.0.0.1:0",
                               server.directory], capture_output=True, text=True, check=False,
                              timeout=30)

    def test_strict_start_exits_for_a_bad_file(self):
        ended = self.run_strictly({"p.yaml": prompt("p"), "q.yaml": BAD})
        self.assertEqual(ended.returncode, 1)
        self.assertIn("q.yaml:", ended.stderr)
        self.assertIn("--strict-start", ended.stderr)

    def test_strict_start_serves_good_files(self):
        server = self.serve("--strict-start", files={"p.yaml": prompt("p")})
        self.assertEqual(server.text_of("p"), "p")
        server.write("p.yaml", BAD)
        server.wait_for_problem("p.yaml:")
        self.assertEqual(server.text_of("p"), "p")

    def test_ready_when_clean(self):
        server = self.serve("--ready-when", "clean",
                            files={"p.yaml": prompt("p"), "q.yaml": BAD})
        self.assertEqual((server.text_of("p"), server.get("/ready").status), ("p", 503))
        self.assertEqual(server.get("/ready").json, {"status": "files have problems"})
        server.write("q.yaml", prompt("q"))
        wait_until(lambda: server.get("/ready").status == 200, "it is ready")
        server.write("q.yaml", BAD)
        server.wait_for_problem("q.yaml:")
        self.assertEqual(server.get("/ready").status, 200)

    def test_ready_when_published_is_the_default(self):
        server = self.serve(files={"p.yaml": prompt("p"), "q.yaml": BAD})
        self.assertEqual(server.get("/ready").status, 200)


class Reload(StatusTest):
    def test_a_barrier_brings_what_no_event_told(self):
        server = self.serve(files={"q.yaml": prompt("q")})
        other_name = server.temporary / "unwatched.yaml"
        other_name.write_text(prompt("one"))
        os.link(other_name, server.path("p.yaml"))
        server.wait_for_text("p", "one")
        for text in ("two", "three"):
            other_name.write_text(prompt(text))
            status, body = self.reload(server)
            self.assertEqual((status, server.text_of("p")), (200, text))
            self.assertEqual((body["problems"], body["holds"]), ([], []))

    def test_a_barrier_tells_of_faults(self):
        server = self.serve(files={"p.yaml": prompt("p"), "q.yaml": prompt("q")})
        before = self.reload(server)[1]["generation"]
        server.write("p.yaml", BAD)
        status, body = self.reload(server)
        self.assertEqual((status, body["generation"]), (422, before + 1))
        self.assertTrue(body["problems"][0].startswith("p.yaml:"), body)
        self.assertEqual([(f["path"], f["state"]) for f in body["file_list"]],
                         [("p.yaml", "stale")])
        server.write("p.yaml", prompt("p"))
        self.assertEqual(self.reload(server)[0], 200)

    def test_a_barrier_waits_for_no_file_of_a_directory_that_is_gone(self):
        server = self.serve("--delete-grace", "5m",
                            files={"p.yaml": prompt("p"), "q.yaml": prompt("q")})
        server.remove("p.yaml")
        wait_until(lambda: self.status(server)["files"]["leaving"] == 1, "a file is leaving")
        server.directory.rename(server.temporary / "elsewhere")
        status, body = self.reload(server)
        self.assertEqual((status, [h["cause"] for h in body["holds"]]), (422, ["delete", "root"]))

    def test_nothing_new_is_no_new_generation(self):
        server = self.serve(files={"p.yaml": prompt("p")})
        first = self.reload(server)[1]
        server.write("p.yaml", prompt("p"))
        self.assertEqual(self.reload(server)[1]["generation"], first["generation"])
        server.write("p.yaml", prompt("other"))
        self.assertEqual(self.reload(server)[1]["generation"], first["generation"] + 1)

    def test_only_post_reloads(self):
        server = self.serve(files={"p.yaml": prompt("p")})
        response = server.get("/-/reload")
        self.assertEqual((response.status, response.headers["Allow"]), (405, "POST, OPTIONS"))

    def test_sighup_tells_its_outcome_in_the_log(self):
        server = self.serve(files={"p.yaml": prompt("p")})
        server.signal(signal.SIGHUP)
        wait_until(lambda: [l for l in server.log_lines() if "SIGHUP" in l], "it is in the log")


class Told(StatusTest):
    def test_status_names_every_file_if_asked(self):
        server = self.serve(files={"p.yaml": prompt("p"), "q.yaml": BAD})
        status = self.status(server)
        self.assertEqual([(f["path"], f["state"]) for f in status["file_list"]],
                         [("q.yaml", "invalid")])
        self.assertEqual(status["files"], {"total": 2, "ok": 1, "stale": 0, "invalid": 1,
                                           "unsettled": 0, "leaving": 0, "mounts": 0})
        everything = self.status(server, all_files=True)["file_list"]
        self.assertEqual([(f["path"], f["prompt_ids"]) for f in everything],
                         [("p.yaml", ["p"]), ("q.yaml", [])])
        self.assertEqual(status["directory"]["resolved"], os.path.realpath(server.directory))
        self.assertEqual(status["revision"], server.revision())

    def test_each_changed_prompt_has_a_line_in_the_log(self):
        server = self.serve(files={"p.v1.yaml": prompt("one"), "q.yaml": prompt("q")})
        old = server.litellm("p").headers["ETag"]
        server.write("p.v1.yaml", prompt("two"))
        server.wait_for_text("p", "two")
        new = server.litellm("p").headers["ETag"]
        lines = wait_until(lambda: [json.loads(l) for l in server.log_lines() if '"prompt changed"' in l], "it is told")
        self.assertEqual([(l["prompt_id"], l["prompt_version"], l["old_etag"], l["etag"])
                          for l in lines], [("p", "1", old, new)])
        server.write("n.yaml", prompt("n"))
        server.remove("q.yaml")
        server.wait_for_text("n", "n")
        server.wait_until_gone("q")
        wait_until(lambda: [json.loads(l)["prompt_id"] for l in server.log_lines()
                            if '"prompt removed"' in l] == ["q"], "the removal is in the log")
        self.assertEqual([json.loads(l)["prompt_id"] for l in server.log_lines()
                          if '"prompt added"' in l], ["n"])

    def test_the_last_reloads_are_listed(self):
        server = self.serve(files={"p.yaml": prompt("0")})
        for i in range(1, 25):
            server.write("p.yaml", prompt(str(i)))
            server.wait_for_text("p", str(i))
        reloads = self.wait_settled(server)["reloads"]
        self.assertEqual(len(reloads), 20)
        self.assertEqual([r["generation"] for r in reloads], list(range(25, 5, -1)))
        self.assertEqual({(r["cause"], r["added"], r["changed"], r["removed"]) for r in reloads},
                         {("event", 0, 1, 0)})


SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')


class Metrics(StatusTest):
    def samples(self, server):
        response = server.get("/metrics")
        self.assertEqual(response.status, 200)
        self.assertTrue(response.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        lines = [l for l in response.body.decode().splitlines() if not l.startswith("#")]
        return {(m[1], m[2] or ""): float(m[3]) for m in map(SAMPLE.match, lines)}

    def test_they_are_valid(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is missing: install prometheus")
        server = self.serve(files={'we"ird\\.yaml': prompt("p"), "q.yaml": BAD})
        self.assertEqual(server.get("/prompts/we%22ird%5C").status, 200)
        server.litellm("nothing", label="no\"such")
        checked = subprocess.run(["promtool", "check", "metrics"], text=True, check=False,
                                 input=server.get("/metrics").body.decode(),
                                 capture_output=True)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    def test_requests_are_counted_by_endpoint_and_prompt(self):
        server = self.serve("--workers", "2", files={"p.v1.yaml": prompt("p")})
        for _ in range(5):
            self.assertEqual(server.litellm("p").status, 200)
        server.litellm("never-there")
        server.write("p.v1.yaml", prompt("edited"))
        server.wait_for_text("p", "edited")
        samples = self.samples(server)
        asked = samples["promptd_prompt_requests_total", 'prompt_id="p",version="1"']
        self.assertGreaterEqual(asked, 6)  # an edit does not begin anew
        self.assertEqual(samples["promptd_http_requests_total",
                                 'endpoint="litellm",code="404"'], 1)
        self.assertEqual(samples["promptd_http_requests_total",
                                 'endpoint="litellm",code="200"'], asked)
        self.assertEqual(samples["promptd_http_request_duration_seconds_count",
                                 'endpoint="litellm"'], asked + 1)
        self.assertGreaterEqual(samples["promptd_http_connections", ""], 1)
        self.assertFalse([key for key in samples if "never-there" in key[1]])

    def test_the_process_is_measured(self):
        server = self.serve(files={"p.yaml": prompt("p")})
        statm = Path(f"/proc/{server.process.pid}/statm").read_text(encoding="ascii").split()
        samples = self.samples(server)
        resident = int(statm[1]) * os.sysconf("SC_PAGESIZE")
        self.assertAlmostEqual(samples["process_resident_memory_bytes", ""], resident,
                               delta=resident / 2)
        before = samples["process_cpu_seconds_total", ""]
        self.assertGreater(before, 0)
        wait_until(lambda: self.samples(server)["process_cpu_seconds_total", ""] > before,
                   "requests have taken CPU time")

    def test_counts_by_prompt_can_be_switched_off(self):
        server = self.serve("--no-prompt-metrics", files={"p.yaml": prompt("p")})
        server.litellm("p")
        self.assertNotIn("promptd_prompt_requests_total",
                         {name for name, _ in self.samples(server)})

    def test_reloads_are_told(self):
        server = self.serve(files={"p.yaml": prompt("p"), "q.yaml": prompt("q")})
        server.write("p.yaml", BAD)
        server.wait_for_problem("p.yaml:")
        server.remove("q.yaml")
        server.wait_until_gone("q")
        samples = self.samples(server)
        expected = {"files_loaded": 0, "files_stale": 1, "files_invalid": 0, "problems": 1,
                    "config_last_reload_successful": 0, "prompts_loaded": 1, "root_available": 1,
                    "inotify_enabled": 1, "poll_interval_seconds": 60}
        self.assertEqual({n: samples["promptd_" + n, ""] for n in expected}, expected)
        self.assertEqual(samples["promptd_snapshot_generation", ""],
                         self.status(server)["generation"])
        self.assertEqual(samples["promptd_holds_total", 'cause="delete"'], 1)
        self.assertEqual(samples["promptd_file_errors_total", 'reason="parse"'], 1)
        for origin in ("event", "ctime"):
            self.assertGreaterEqual(
                samples["promptd_reload_latency_seconds_count", f'from="{origin}"'], 1)
        self.assertEqual({v for (n, _), v in samples.items() if n == "promptd_watcher_degraded"},
                         {0})
        self.assertIn(("promptd_snapshot_info",
                       f'digest="{server.revision()}",source_revision=""'), samples)

    def test_polling_is_told(self):
        server = self.serve("--watch", "poll", "--poll", "100ms", files={"p.yaml": prompt("p")})
        server.write("p.yaml", prompt("edited"))
        server.wait_for_text("p", "edited")
        samples = self.samples(server)
        self.assertEqual(samples["promptd_watcher_degraded", 'reason="demand"'], 1)
        self.assertGreaterEqual(samples["promptd_poll_detected_changes_total", ""], 1)
        watch = self.status(server)["watch"]
        self.assertEqual((watch["mode"], watch["blind"]), ("poll", True))


class SourceRevision(StatusTest):
    def git(self, directory, *args):
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM":
                       "/dev/null"}
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "t", f"GIT_{who}_EMAIL": "t@example.org"}
        return subprocess.run(["git", *args], cwd=directory, env=environment, check=True,
                              capture_output=True, text=True).stdout.strip()

    def test_the_commit_of_a_work_tree_is_told(self):
        if shutil.which("git") is None:
            self.skipTest("git is missing: install git")
        server = self.serve(files={"p.yaml": prompt("one")})
        self.assertNotIn("Prompts-Source-Revision", server.litellm("p").headers)
        self.git(server.directory.parent, "init", "-q")
        for text in ("two", "three"):
            server.write("p.yaml", prompt(text))
            self.git(server.directory.parent, "add", ".")
            self.git(server.directory.parent, "commit", "-qm", text)
            commit = self.git(server.directory.parent, "rev-parse", "HEAD")
            wait_until(lambda c=commit: server.get("/health").json["source_revision"] == c,
                       "the commit is told")
        generation = self.wait_settled(server)["generation"]
        self.git(server.directory.parent, "commit", "-qm", "empty", "--allow-empty")
        self.git(server.directory.parent, "pack-refs", "--all")
        commit = self.git(server.directory.parent, "rev-parse", "HEAD")
        status = wait_until(lambda: (s := self.status(server))["source_revision"] == commit and s,
                            "the empty commit is told")
        self.assertEqual(status["generation"], generation)
        self.assertEqual(self.reload(server)[1]["source_revision"], commit)
        response = server.litellm("p")
        self.assertEqual(response.headers["Prompts-Source-Revision"], commit)
        self.assertEqual(response.text, "three")


if __name__ == "__main__":
    unittest.main()
