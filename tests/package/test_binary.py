"""What tools/deploy/hardening.cmake asks for, seen in the program and in its objects (readelf(1), objdump(1))."""

import os
import platform
import re
import subprocess
import tempfile
import unittest

from promptd import binary

MACHINE = platform.machine()
FORTIFY_LEVEL = int(os.environ["PROMPTD_FORTIFIED"])
ARCHIVES = os.environ["PROMPTD_ARCHIVES"].split(":")


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def readelf(*options):
    return output("readelf", "-W", *options, binary())


class TheProgram(unittest.TestCase):
    def test_it_may_lie_anywhere_in_memory(self):
        self.assertRegex(readelf("-h"), r"Type: +DYN")
        self.assertRegex(readelf("-d"), r"\(FLAGS_1\) .*\bPIE\b")
        self.assertNotIn("TEXTREL", readelf("-d"))

    def test_its_tables_are_read_only_once_it_runs(self):
        self.assertIn("GNU_RELRO", readelf("-l"))
        self.assertRegex(readelf("-d"), r"\(FLAGS_1\) .*\bNOW\b")

    def test_no_memory_can_be_both_written_and_run(self):
        segments = re.findall(r"^  (\w+) +0x\S+ +0x\S+ +0x\S+ +0x\S+ +0x\S+ (...) ", readelf("-l"),
                              re.MULTILINE)
        self.assertIn(("GNU_STACK", "RW "), segments)
        self.assertNotIn("RWE", [flags for _, flags in segments])

    def test_it_is_small(self):
        if FORTIFY_LEVEL == 0:
            self.skipTest("a debug build is large: test the preset release")
        with tempfile.TemporaryDirectory() as folder:
            output("strip", "-o", f"{folder}/promptd", binary())
            self.assertLess(os.path.getsize(f"{folder}/promptd"), 300_000)

    def test_libraries_are_those_of_the_system(self):
        self.assertNotRegex(readelf("-d"), "RPATH|RUNPATH")


class TheCode(unittest.TestCase):
    def needed(self):
        return set(re.findall(r" UND (\w+)", readelf("--dyn-syms")))

    def test_a_stack_that_was_written_over_is_seen(self):
        self.assertIn("__stack_chk_fail", self.needed())

    def test_a_text_longer_than_its_place_is_seen(self):
        if FORTIFY_LEVEL == 0:
            self.skipTest("a debug build has no _FORTIFY_SOURCE: test the preset release")
        self.assertLessEqual({"__snprintf_chk", "__vsnprintf_chk", "__memcpy_chk"}, self.needed())
        if FORTIFY_LEVEL >= 3:  # lengths that are known when it runs, too
            self.assertLessEqual({"__memset_chk", "__memmove_chk"}, self.needed())

    def test_large_stacks_are_touched_page_by_page(self):
        if MACHINE != "x86_64":
            self.skipTest(f"what that looks like on {MACHINE} is not known here: test it on x86_64")
        server = next(path for path in ARCHIVES if "server" in path)
        # A function with 16 KiB on its stack.
        code = output("objdump", "-d", server).partition("linger.c.o:")[2].partition("<on_read>:")[2]
        self.assertRegex(code.partition("\n\n")[0], r"(or|mov)[lq] +\$0x0,\(%rsp\)")

    def test_jumps_land_where_they_may(self):
        notes = {"x86_64": "IBT, SHSTK", "aarch64": "BTI, PAC"}
        if MACHINE not in notes:
            self.skipTest(f"{MACHINE} has no such check: test it on {' or '.join(notes)}")
        # In the program the note stands only where the C library's own start code has it too.
        for archive in ARCHIVES:
            objects = output("readelf", "-nW", archive).split("\nFile: ")[1:]
            self.assertTrue(objects)
            for text in objects:
                self.assertIn("feature: " + notes[MACHINE], text, text.partition("\n")[0])


if __name__ == "__main__":
    unittest.main()
