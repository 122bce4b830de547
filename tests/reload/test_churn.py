"""Requests while files change in every way at once: none fails, and none gets a part of a file."""
import unittest

from churn import Churn, Load, load_beside
from support import LiveTest

SECONDS = 5  # at a time, …
ROUNDS = 8  # … so often at most, until something was published


class UnderLoad(LiveTest):
    NAMES = [f"p{i}" for i in range(50)]

    def test_nothing_fails_while_files_churn(self):
        churn = Churn(self.scratch / "prompts", self.NAMES)
        server = self.serve()
        server.wait_settled()
        before = server.generation()
        load = Load(server, churn.prompts())
        for _ in range(ROUNDS):
            load_beside(churn, load, SECONDS)
            if server.generation() > before:
                break
        self.assertEqual((load.failed, load.torn), (0, 0))
        self.assertGreater(load.sent, 100)
        self.assertGreater(server.generation(), before)


if __name__ == "__main__":
    unittest.main()
