"""How tools/bench comes from what it measured to what it says."""
import collections
import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import hotpath
import loading
import main
import noise
import serving
from client import Reply, parse_wrk
from judge import MET, MISSED, NOISY, Measured, exact, judge, outside, ratios, summarize
from process import parse_stat, written_bytes
from prompts import BYTES, as_yaml
from report import BEGIN, END, Row, Table, as_markdown, as_text, between_marks, exit_code, number, summary_line

STEADY = [1.11, 1.12, 1.10, 1.12, 1.13]
BUSY = 0.3  # seconds of a processor
BURN = f"import time\nend = time.process_time() + {BUSY}\nwhile time.process_time() < end: pass"


def rounds(values, calm=True):
    return [Measured(value, calm) for value in values]


class Summaries(unittest.TestCase):
    def test_the_range_holds_the_median_with_95_percent(self):
        # The table of the sign test: 6 rounds at least, of 9 all but the outermost, of 20 all but five.
        self.assertEqual([outside(n) for n in (1, 5, 6, 8, 9, 15, 20)], [0, 0, 0, 0, 1, 3, 5])

    def test_one_wild_round_in_nine_changes_nothing(self):
        summary = summarize(rounds([1.10, 1.11, 1.12, 1.13, 1.14, 1.11, 1.12, 1.13, 9.0]))
        self.assertEqual((summary.median, summary.high), (1.12, 1.14))
        self.assertTrue(summary.steady)

    def test_disturbed_rounds_do_not_count_where_enough_are_calm(self):
        summary = summarize(rounds(STEADY) + rounds([5.0, 6.0], calm=False))
        self.assertEqual((summary.median, summary.low, summary.high, summary.calm), (1.12, 1.10, 1.13, True))

    def test_too_few_calm_rounds_are_none(self):
        summary = summarize(rounds([1.1, 1.1]) + rounds([5.0, 6.0, 7.0], calm=False))
        self.assertEqual((summary.low, summary.high, summary.calm), (1.1, 7.0, False))

    def test_a_ratio_is_of_the_same_round(self):
        # The machine gets slower by half; the ratio does not change.
        summary = ratios(rounds([12, 18, 12, 18, 12]), rounds([10, 15, 10, 15, 10]))
        self.assertEqual((summary.low, summary.high), (1.2, 1.2))

    def test_a_ratio_is_calm_where_both_were(self):
        one, other = rounds([1.0] * 5), rounds([1.0] * 5, calm=False)
        self.assertFalse(ratios(one, other).calm)
        self.assertFalse(ratios(other, one).calm)


class Verdicts(unittest.TestCase):
    def test_below_or_above(self):
        self.assertEqual(judge(summarize(rounds(STEADY)), 1.15), MET)
        self.assertEqual(judge(summarize(rounds(STEADY)), 1.05), MISSED)

    def test_a_steady_range_across_the_limit_goes_by_its_median(self):
        self.assertEqual(judge(summarize(rounds(STEADY)), 1.12), MET)
        self.assertEqual(judge(summarize(rounds(STEADY)), 1.115), MISSED)

    def test_a_wide_range_across_the_limit_is_noise(self):
        self.assertEqual(judge(summarize(rounds([1.0, 1.3, 1.1, 1.2, 1.1])), 1.15), NOISY)

    def test_a_wide_range_on_one_side_is_enough(self):
        wide = summarize(rounds([0.5, 0.9, 0.7, 0.6, 0.8]))
        self.assertFalse(wide.steady)
        self.assertEqual((judge(wide, 1.0), judge(wide, 0.4)), (MET, MISSED))

    def test_nothing_is_said_of_a_disturbed_machine(self):
        for limit in (0.5, 1.15, 3.0):
            self.assertEqual(judge(summarize(rounds(STEADY, calm=False)), limit), NOISY)

    def test_what_has_no_limit_has_no_verdict(self):
        self.assertEqual(judge(summarize(rounds(STEADY)), None), "")


class Noise(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, noise, "tries", noise.tries)
        self.addCleanup(setattr, noise, "seen", noise.seen)
        self.addCleanup(setattr, noise, "Watch", noise.Watch)
        noise.seen, noise.tries = [], 3

    def be_disturbed(self, *disturbances):
        """Let the next measurements be disturbed like this."""
        left = list(disturbances)

        class Watch:
            def __init__(self, _):
                pass

            def __enter__(self):
                self.disturbance = noise.Disturbance(*left.pop(0))
                return self

            def __exit__(self, *_):
                pass

        noise.Watch = Watch

    def test_what_others_computed_is_what_is_left_of_the_machine(self):
        noticed = noise.foreign_share(busy=3.0, own=2.0, stolen=0.0, wall=2.0)
        self.assertGreater(noticed, 0)
        self.assertGreater(noise.foreign_share(3.0, 2.0, 0.5, 2.0), noticed)
        self.assertEqual(noise.foreign_share(2.0, 2.0, 0.0, 2.0), 0)

    def test_a_disturbed_measurement_is_taken_again(self):
        self.be_disturbed((0.5, 1.0), (0.0, 2.0), (0.0, 1.0))
        values = iter((1, 2, 3))
        self.assertEqual(noise.calmly(lambda: next(values)), Measured(3, True))

    def test_one_that_never_was_calm_says_so(self):
        self.be_disturbed(*[(0.5, 1.0)] * 3)
        self.assertEqual(noise.calmly(lambda: 1), Measured(1, False))
        self.assertIn("disturbed in 1 of 1 measurements: others used up to 50 %", noise.witnesses())

    def watch(self, work, cpu_seconds=(0.0, 0.0), spins=(1.0, 1.0)):
        """What the real one sees of a second in which processors were busy for a while, and a measured process as given."""
        faked = {"machine_seconds": ([50.0, 5.0], [50.0 + BUSY, 5.0]), "cpu_seconds": cpu_seconds, "spin": spins}
        with contextlib.ExitStack() as stack:
            for name, values in faked.items():
                stack.enter_context(mock.patch.object(noise, name, side_effect=values))
            stack.enter_context(mock.patch.object(noise, "CPUS", [0, 1]))
            stack.enter_context(mock.patch.object(noise.time, "monotonic", side_effect=(10.0, 11.0)))
            stack.enter_context(mock.patch.object(noise.Watch, "spins", collections.deque([1.0] * 9)))
            with noise.Watch([1]) as watch:
                work()
        return watch.disturbance

    def test_a_watch_takes_what_was_not_ours_for_foreign(self):
        self.assertAlmostEqual(self.watch(lambda: None).foreign, BUSY / 2, delta=0.02)
        self.assertFalse(self.watch(lambda: None).calm)

    def test_a_watch_knows_its_own_work(self):
        self.assertLess(self.watch(lambda: None, cpu_seconds=(7.0, 7.0 + BUSY)).foreign, 0.01)
        self.assertLess(self.watch(lambda: exec(BURN)).foreign, 0.01)

    def test_a_child_that_was_waited_for_is_its_own(self):
        self.assertLess(self.watch(lambda: subprocess.run([sys.executable, "-c", BURN], check=True)).foreign, 0.01)

    def test_a_watch_goes_by_the_slower_of_its_loops(self):
        for spins in ((1.0, 1.2), (1.2, 1.0)):
            self.assertEqual(self.watch(lambda: None, spins=spins).slowness, 1.2)

    def test_what_is_calm(self):
        for foreign, slowness, calm in ((0.04, 1.09, True), (0.06, 1.0, False), (0.0, 1.11, False)):
            self.assertEqual(noise.Disturbance(foreign, slowness).calm, calm)

    def test_processors_that_are_not_ours_do_not_count(self):
        stat = "cpu 111 0 0 0 0 0 0 111\ncpu0 1 2 3 90 90 4 5 6 7 8\ncpu1 10 0 0 0 0 0 0 5 0 0\ncpu10 100 0 0 0 0 0 0 100\nctxt 1\n"
        self.assertEqual([parse_stat(stat, cpus) for cpus in ([0], [0, 1])], [(15, 6), (25, 11)])


class Growth(unittest.TestCase):
    def test_many_connections_are_held_against_the_usual_number_of_them(self):
        # A lone connection is the dearest: against it nothing would rise.
        costs = {1: 24.0, 32: 10.0, 1000: 14.0}
        *_, last = serving.growth_rows("connections", {size: {serving.PROMPTD: rounds([cost] * 9)} for size, cost in costs.items()})
        self.assertEqual((last.what, last.judged.median, last.verdict), ("1,000 connections, to 32", 1.4, MISSED))

    def test_what_rises_less_than_it_varies_is_noise(self):
        measured = {32: [10.0] * 9, 1000: [9.0, 10.0, 11.0, 12.0, 13.0, 9.0, 10.0, 11.0, 12.0]}
        *_, last = serving.growth_rows("connections", {size: {serving.PROMPTD: rounds(values)} for size, values in measured.items()})
        self.assertEqual(last.verdict, NOISY)

    def test_what_is_written_tells_how_many_were_answered(self):
        with open(os.devnull, "wb", buffering=0) as file:
            before = written_bytes(os.getpid())
            for _ in range(3):
                file.write(b"." * 603)
        self.assertEqual(written_bytes(os.getpid()) - before, 3 * 603)


class Serving(unittest.TestCase):
    COSTS = {serving.PROMPTD: 12.0, serving.LOGGING: 15.0, serving.TLS: 18.0, serving.EVHTTP: 10.0, serving.EPOLL: 6.0,
             serving.NGINX: 8.0, serving.FASTAPI: 480.0, "304": 9.0}

    def server(self, name):
        server = mock.MagicMock()
        server.name = name  # of a mock's own, where it is an argument
        return server

    def judged(self, rows):
        return [round(row.judged.median, 3) for row in rows]

    def test_ratios_are_promptd_s_to_the_others(self):
        measured = {name: rounds([cost] * 9) for name, cost in self.COSTS.items()}
        with mock.patch.object(serving, "side_by_side", return_value=measured):
            found = serving.cpu_rows(None, None)
        self.assertEqual(self.judged(found), [1.2, 1.5, 0.025, 1.5, 1.5, 0.75])
        self.assertEqual([row.limit for row in found], [1.15, None, None, 1.25, None, None])

    def test_those_of_instructions_too(self):
        counts = {"GET, 200": 1200, "GET, 304": 900, "GET, 200 of bare evhttp": 1000}
        with mock.patch.object(serving, "count_instructions", return_value=counts):
            self.assertEqual(self.judged(serving.instruction_rows(None)), [1.2, 0.9, 0.75])

    def test_those_of_system_calls_too(self):
        bench = mock.Mock()
        for start, name in ((bench.promptd, serving.PROMPTD), (bench.bare_evhttp, serving.EVHTTP), (bench.nginx, serving.NGINX)):
            start.return_value = self.server(name)
        calls = ({"writev": 1, "read": 5}, {"writev": 1, "read": 7}, {"writev": 1})
        with mock.patch.object(serving, "count_system_calls", side_effect=calls):
            self.assertEqual(self.judged(serving.system_call_rows(bench)), [0.75])

    def test_those_over_connections_too(self):
        measured = {size: {serving.PROMPTD: rounds([12.0] * 9), serving.EVHTTP: rounds([10.0] * 9)} for size in (32, 1000)}
        self.assertEqual(self.judged(serving.growth_rows("connections", measured)), [1.2, 1.2, 1.0])

    def check_peer(self, name, **changes):
        own = {"status": 200, "headers": [("ETag", '"a"'), ("Date", "now")], "body": b'{"a": 1}', "bytes": b""}
        server = self.server(name)
        server.client.return_value.__enter__.return_value.ask.return_value = Reply(**{**own, **changes})
        serving.check_peer(SimpleNamespace(reply=Reply(**own)), server)

    def test_peers_must_answer_the_same(self):
        for name in (serving.EVHTTP, serving.NGINX):
            self.check_peer(name)
            for wrong in ({"status": 404}, {"body": b'{"a": 2}'}):
                with self.assertRaises(RuntimeError):
                    self.check_peer(name, **wrong)

    def test_the_bare_ones_the_same_bytes_with_the_same_headers(self):
        for other in ({"headers": [("ETag", '"a"')]}, {"body": b'{"a":1}'}):
            self.check_peer(serving.NGINX, **other)
            for name in (serving.EVHTTP, serving.EPOLL):
                with self.assertRaises(RuntimeError):
                    self.check_peer(name, **other)


class Loading(unittest.TestCase):
    def setUp(self):
        own = [rounds([200.0] * 9), rounds([100.0] * 9)]
        floors = {(loading.FLOOR, size): [rounds([100.0] * 9)] * 2 for size in loading.JUDGED_SIZES}
        self.loads = SimpleNamespace(of=lambda _: own, rounds=floors)

    def test_no_two_rows_have_the_same_name(self):
        names = [row.what for row in loading.load_rows(self.loads, loading.JUDGED_SIZES)]
        self.assertEqual(len(names), 6)
        self.assertEqual(sorted(set(names)), sorted(names))

    def test_what_comes_before_the_first_file_is_not_loading(self):
        loads = loading.Loads.__new__(loading.Loads)
        loads.rounds, loads.base = {"yaml": [rounds([7.0, 8.0]), [Measured(9.0, False)]]}, [exact(2.0), exact(3.0)]
        self.assertEqual(loads.of("yaml"), [rounds([5.0, 6.0]), [Measured(6.0, False)]])

    def test_an_edit_is_beside_its_share_of_the_parsing(self):
        row = loading.edit_row(self.loads, {10_000: SimpleNamespace(cpus=rounds([1.2]))})
        self.assertEqual([summary.median for summary in row.figures.values()], [1200.0, 10.0])


class Tables(unittest.TestCase):
    def table(self, judged, limit=1.15):
        return Table("Serving", ("promptd", "nginx"), [
            Row("CPU of a GET", "µs", {"promptd": exact(16.84)}, judged, limit)])

    def test_a_row(self):
        self.assertEqual(as_markdown(self.table(summarize(rounds(STEADY)))).split("\n"), [
            "| Serving | promptd | nginx | judged | target |  |",
            "| --- | --: | --: | --: | --: | --- |",
            "| CPU of a GET | 16.8 µs |  | 1.12 × | ≤ 1.15 × | met |"])

    def test_a_table_that_judges_nothing(self):
        self.assertEqual(as_markdown(self.table(None, None)).split("\n")[1:], [
            "| --- | --: | --: |", "| CPU of a GET | 16.8 µs |  |"])

    def test_a_missed_target_tells_the_distance(self):
        self.assertIn("1.38 ×  ≤ 1.15 ×  missed, 20 % above", as_text(self.table(exact(1.38))))
        self.assertIn("missed, less than 1 % above", as_text(self.table(exact(1.151))))

    def test_numbers_are_no_longer_than_they_are_good_for(self):
        self.assertEqual([number(value) for value in (12345.6, 123.4, 12.34, 1.234, 0.1234, 0.0384)],
                         ["12,346", "123", "12.3", "1.23", "0.12", "0.038"])

    def test_what_is_no_figure_is_a_range(self):
        self.assertIn("1.00 to 1.40 ×  ≤ 1.15 ×  noisy", as_text(self.table(summarize(rounds([1.0, 1.4])))))
        self.assertIn("about 1.20 ×, noisy  ≤ 1.15 ×  noisy", as_text(self.table(summarize(rounds([1.2], calm=False)))))

    def test_a_noisy_figure_says_so_where_nothing_is_judged(self):
        disturbed = [Measured(value, calm) for value, calm in ((52.0, False), (52.5, True), (53.0, False))]
        table = Table("Growth", ("10", "100"), [Row("CPU", "ms", {"10": summarize(disturbed), "100": summarize(rounds([9.0, 9.5, 12.0]))})])
        self.assertEqual(as_markdown(table).split("\n")[2], "| CPU | 52.0 to 53.0 ms, noisy | 9.00 to 12.0 ms |")
        self.assertEqual(exit_code([table]), 3)
        self.assertEqual(summary_line([table]), "0 targets met, 0 missed, 0 that cannot be told, 1 of 1 rows with noisy figures")

    def test_a_noisy_ratio_without_a_target_says_so(self):
        noisy, calm = self.table(summarize(rounds(STEADY, calm=False)), None), self.table(summarize(rounds(STEADY)), None)
        self.assertIn("1.10 to 1.13 ×, noisy", as_markdown(noisy))
        self.assertEqual([exit_code([table]) for table in (noisy, calm)], [3, 0])

    def test_a_noisy_figure_beside_one_that_is_met_counts(self):
        table = self.table(exact(1.0))
        table.rows[0].figures["nginx"] = summarize(rounds(STEADY, calm=False))
        self.assertEqual((table.rows[0].verdict, exit_code([table])), (MET, 3))

    def test_the_exit_status(self):
        met, missed = self.table(exact(1.0)), self.table(exact(2.0))
        noisy = self.table(summarize(rounds(STEADY, calm=False)))
        for tables, status in (([met], 0), ([met, missed], 1), ([met, noisy], 3), ([noisy, missed], 1)):
            self.assertEqual(exit_code(tables), status)

    def test_the_page_keeps_what_is_around_the_marks(self):
        self.assertEqual(between_marks(f"a\n{BEGIN}old\n{END}b\n", "new"), f"a\n{BEGIN}\nnew\n\n{END}b\n")
        for page in ("no marks", f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"):
            with self.assertRaises(ValueError):
                between_marks(page, "new")

    def test_the_readme_has_a_place_for_it(self):
        readme = Path(__file__).resolve().parents[2] / "README.md"
        self.assertIn("\nnew\n", between_marks(readme.read_text(encoding="utf-8"), "new"))


class Plots(unittest.TestCase):
    NOISY, WIDE, CALM = summarize(rounds([1.0, 2.0, 4.0], calm=False)), summarize(rounds([1.0, 2.0, 4.0])), exact(2.0)

    def setUp(self):
        """What is drawn is only recorded, as matplotlib is no part of the tests."""
        self.axes = mock.MagicMock()
        pyplot = mock.MagicMock()
        pyplot.subplots.return_value = mock.MagicMock(), self.axes
        with mock.patch.dict(sys.modules, {"matplotlib": mock.MagicMock(pyplot=pyplot)}):
            self.plots = importlib.import_module("plots")
        self.addCleanup(sys.modules.pop, "plots", None)
        self.plots.save = mock.Mock()

    def assert_drawn_as_a_line(self):
        (call,) = self.axes.errorbar.call_args_list
        self.assertEqual((call.args[1], call.kwargs["yerr"]), ([2.0] * 3, [[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]]))
        (note,) = self.axes.annotate.call_args_list
        self.assertEqual(note.args, ("noisy", (1, 2.0)))

    def test_a_noisy_bar_is_labelled_so_and_its_range_drawn(self):
        row = Row("", "µs", {"promptd": self.NOISY, "nginx": self.WIDE, "FastAPI": self.CALM}, key=("peers",))
        self.plots.plot_peers([Table("", (), [row])])
        self.assertEqual(self.axes.barh.call_args.kwargs["xerr"], [[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
        self.assertEqual(self.axes.bar_label.call_args.args[1], ["noisy", "1.00 to 4.00 µs", "2.00 µs"])

    def test_so_is_a_point_over_connections(self):
        figures = {1: self.NOISY, 32: self.WIDE, 200: self.CALM}
        self.plots.plot_connections([Table("", (), [
            Row("", "µs", {"promptd": figure}, key=("connections", size)) for size, figure in figures.items()])])
        self.assert_drawn_as_a_line()

    def test_so_is_a_point_over_sizes(self):
        figures, calm = {"1": self.NOISY, "10": self.WIDE, "1,000": self.CALM}, {"1": self.CALM}
        left, right = self.axes, mock.MagicMock()
        self.plots.pyplot.subplots.return_value = mock.MagicMock(), (left, right)
        self.plots.plot_sizes([Table("", (), [Row("", "ms", figures, key=("ready",)), Row("", "MB", calm, key=("resident",))])])
        self.assert_drawn_as_a_line()
        right.annotate.assert_not_called()


class HotPath(unittest.TestCase):
    RECORDED = {"GET, 200": 1.100, "GET, 304": 1.000}

    def test_within_the_margin(self):
        self.assertEqual(hotpath.compare(self.RECORDED, {"GET, 200": 1.121, "GET, 304": 0.981}), ([], []))

    def test_beyond_it(self):
        above, below = hotpath.compare(self.RECORDED, {"GET, 200": 1.123, "GET, 304": 0.979})
        self.assertEqual(above, ["GET, 200: 1.123 times bare evhttp, recorded 1.100"])
        self.assertEqual(below, ["GET, 304: 0.979 times bare evhttp, recorded 1.000"])

    def test_a_kind_that_was_never_recorded_is_none_that_passes(self):
        above, _ = hotpath.compare(self.RECORDED, {**self.RECORDED, "HEAD": 1.0})
        self.assertEqual(above, ["HEAD: 1.000 times bare evhttp, and not recorded"])

    def test_nor_is_one_that_is_counted_no_more(self):
        above, _ = hotpath.compare(self.RECORDED, {"GET, 200": 1.1})
        self.assertEqual(above, ["GET, 304: recorded, and not counted"])

    def test_ratios_are_to_the_bare_handler_of_the_same_run(self):
        self.assertEqual(hotpath.ratios_of({"GET, 200": 1100, "GET, 304": 900, hotpath.BARE: 1000}),
                         {"GET, 200": 1.1, "GET, 304": 0.9})

    def check(self, *counts, compiler="gcc 12"):
        """(exit status, lines) where a bare answer takes 1000 instructions."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as output, \
                mock.patch.object(hotpath, "FILE", Path(folder, "instructions.json")), \
                mock.patch.object(hotpath, "versions", return_value={"compiler": compiler}), \
                mock.patch.object(hotpath, "count_instructions", return_value={**dict(zip(self.RECORDED, counts)), hotpath.BARE: 1000}):
            hotpath.FILE.write_text(json.dumps({"with": {"compiler": "gcc 12"}, "kinds": {
                kind: {"ratio": ratio} for kind, ratio in self.RECORDED.items()}}), encoding="utf-8")
            return hotpath.check(None), output.getvalue().split("\n")[:-1]

    def test_a_check_of_what_was_recorded_passes(self):
        self.assertEqual(self.check(1100, 1000), (0, ["2 kinds of requests counted, 0 above what was recorded"]))

    def test_a_check_of_more_fails_and_says_what_to_do(self):
        status, lines = self.check(1200, 1000)
        self.assertEqual((status, lines[0], lines[-1]), (1, "GET, 200: 1.200 times bare evhttp, recorded 1.100",
                                                         "2 kinds of requests counted, 1 above what was recorded"))
        self.assertIn("--record", lines[1])
        self.assertEqual(len(lines), 3)

    def test_a_check_that_fails_names_another_compiler(self):
        _, lines = self.check(1200, 1000, compiler="gcc 13")
        self.assertEqual(lines[2], "recorded with {'compiler': 'gcc 12'}, now {'compiler': 'gcc 13'}")

    def test_a_check_of_less_passes_and_asks_to_keep_it(self):
        status, lines = self.check(1000, 1000)
        self.assertEqual((status, lines[0]), (0, "GET, 200: 1.000 times bare evhttp, recorded 1.100"))
        self.assertIn("cheaper than recorded", lines[1])


class ExitStatus(unittest.TestCase):
    def run_with(self, **run):
        """(exit status, what is said on stderr)"""
        with mock.patch.object(main, "parse_arguments"), mock.patch.object(main, "run", **run), \
                contextlib.redirect_stderr(io.StringIO()) as said:
            return main.main(), said.getvalue()

    def test_what_cannot_be_measured_is_no_missed_target(self):
        for error in (RuntimeError("strace may not trace"), PermissionError(1, "not permitted"), EOFError("closed")):
            self.assertEqual(self.run_with(side_effect=error), (2, f"tools/bench/run: {error}\n"))

    def test_what_a_program_said_that_failed_is_said(self):
        for said in ("no such host\n", b"no such host\n"):
            status, text = self.run_with(side_effect=subprocess.CalledProcessError(1, ["wrk"], stderr=said))
            self.assertEqual((status, text.split("\n")[1:]), (2, ["no such host", ""]))

    def test_a_mistake_of_ours_is_not_hidden(self):
        with self.assertRaises(KeyError):
            self.run_with(side_effect=KeyError("promptd"))

    def test_what_was_measured_tells_the_rest(self):
        for status in (0, 1, 3):
            self.assertEqual(self.run_with(return_value=status), (status, ""))


class Reading(unittest.TestCase):
    WRK = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Latency Distribution
     50%  400.00us
     99%    1.50ms
  61234 requests in 1.00s, 30.00MB read
"""

    def test_what_wrk_says(self):
        load = parse_wrk(self.WRK)
        self.assertEqual((load.requests, load.p99_ms), (61234, 1.5))
        self.assertEqual(parse_wrk(self.WRK.replace("1.50ms", "1.50s ")).p99_ms, 1500)

    def test_errors_are_no_figure(self):
        for line in ("  Socket errors: connect 0, read 1, write 0, timeout 0\n", "  Non-2xx or 3xx responses: 7\n"):
            with self.assertRaises(RuntimeError):
                parse_wrk(self.WRK + line)

    def test_prompts_are_of_the_size_they_should_be(self):
        self.assertEqual({len(as_yaml(number)) for number in range(200)}, {BYTES})
        self.assertEqual(len(as_yaml(1, length=700, seed=0.5)), 700)


if __name__ == "__main__":
    unittest.main()
