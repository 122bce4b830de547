"""Live reload under random operations, for a short while; model.py runs for any time."""
import json
import os
import unittest
from pathlib import Path

import model

SECONDS = float(os.environ.get("PROMPTD_MODEL_SECONDS") or 15 * len(model.MODES))
SEEDS = sorted((Path(__file__).resolve().parent / "seeds").glob("*.json"))


class ModelTest(unittest.TestCase):
    def need(self, mode):
        """Skip the test, saying what to do, where a mode cannot be had."""
        if model.why_not(mode):
            self.skipTest(f"mode {mode}: {model.why_not(mode)}")


class RandomEpisodes(ModelTest):
    def check(self, mode):
        self.need(mode)
        totals = model.Totals()
        report = model.run_for(mode, SECONDS / len(model.MODES), model.seeds_from(), totals=totals)
        print(*totals.lines())
        if report:
            self.fail(report)

    def test_with_inotify(self):
        self.check("inotify")

    def test_looking_by_the_clock(self):
        self.check("poll")

    def test_with_few_watches(self):
        self.check("few")

    def test_stopped_at_any_time(self):
        self.check("chaos")


class KeptEpisodes(ModelTest):
    def test_what_once_failed(self):
        for path in SEEDS:
            for mode in json.loads(path.read_text(encoding="utf-8"))["modes"]:
                with self.subTest(path.name, mode=mode):
                    self.need(mode)
                    report = model.replay(path, mode)
                    if report:
                        self.fail(report)


class TheModelItself(ModelTest):
    """It would notice."""

    FILES = [["a.yaml", [1, 600]], ["b.yaml", [2, 600]]]
    LONG = int(300 * model.SLOW)  # milliseconds

    def fault_of(self, *ops, options=()):
        return model.fault_of({"seed": 0, "mode": "inotify", "options": options, "patience": 0.3,
                               "files": self.FILES, "ops": ops})

    def test_good_behaviour_is_no_fault(self):
        self.assertIsNone(self.fault_of({"op": "write", "path": "a.yaml", "content": [3, 600]},
                                        {"op": "unlink", "path": "b.yaml"}))

    def test_a_torn_text(self):
        fault = self.fault_of({"op": "half", "path": "a.yaml", "content": [3, 600], "after": self.LONG},
                              {"op": "replace", "path": "a.yaml", "content": [4, 600]})
        self.assertIn("which is torn", fault)

    def test_a_prompt_that_stays(self):
        fault = self.fault_of({"op": "unlink", "path": "a.yaml"}, options=["--delete-grace", "1m"])
        self.assertIn("the file is gone", fault)

    def test_a_prompt_that_is_missing(self):
        fault = self.fault_of({"op": "vanish", "path": "a.yaml", "milliseconds": self.LONG},
                              options=["--delete-grace", "0s"])
        self.assertIn("404 while the file was there", fault)

    def test_content_that_came_from_elsewhere(self):
        fault = self.fault_of({"op": "intrude", "path": "a.yaml", "content": [3, 600],
                               "milliseconds": self.LONG})
        self.assertIn("which was never there", fault)


if __name__ == "__main__":
    unittest.main()
