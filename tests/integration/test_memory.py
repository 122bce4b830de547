"""What is of no use any more goes back to the system."""
import re
import unittest
from pathlib import Path

from promptd import ServerTest, prompt, wait_until
from support import is_sanitized  # tests/reload

N_FILES = 20_000
TEXT = 800 * "x"


def resident(server):
    text = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1])


class Memory(ServerTest):
    @unittest.skipIf(is_sanitized(), "what watches it keeps what is freed: the other builds tell")
    def test_what_all_files_leave_is_given_back(self):
        """All change at once, so that for a moment there are two of each. What the old ones leave must lie in pieces that are large
        enough to be given back."""
        server = self.serve(files={f"set/p{i}.yaml": prompt(f"old {i} {TEXT}") for i in range(N_FILES)})
        before = resident(server)
        for i in range(N_FILES):
            server.write(f".new/p{i}.yaml", prompt(f"new {i} {TEXT}"))
        server.path("set").rename(server.path(".old"))
        server.path(".new").rename(server.path("set"))
        for i in (0, N_FILES - 1):
            server.wait_for_text(f"set/p{i}", f"new {i} {TEXT}")
        wait_until(lambda: resident(server) < 1.1 * before, "it is given back")


if __name__ == "__main__":
    unittest.main()
