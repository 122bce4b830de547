"""Files that are being written: what is served is always a whole file, old or new."""
import contextlib
import hashlib
import os
import time
import unittest

from promptd import (DEADLINE, Observer, ReloadTest, block_prompt, litellm_path, pause, prompt,
                     text_or_status, wait_until)


def signed(number):
    """A text that carries its own checksum, long enough to be written in several pieces."""
    text = f"{number}" + f"\nline {number}" * (1 + number % 700)
    return f"{hashlib.sha256(text.encode()).hexdigest()} {text}"


def is_whole(text):
    checksum, _, rest = text.partition(" ")
    return checksum == hashlib.sha256(rest.encode()).hexdigest()


def whole_or_status(response):
    if response.status != 200:
        return response.status
    return response.text, response.json["prompt_template_model"]


class SlowWriters(ReloadTest):
    HALF = prompt("the first half")

    def test_half_a_file_is_never_served(self):
        # Half of a YAML file is valid YAML: only the writer's close proves that it is whole.
        server = self.serve(files={"p.yaml": prompt("before"), "q.yaml": prompt("q")})
        for name, before in (("p", ("before", None)), ("new", 404)):
            with self.subTest(name):
                with Observer(server, litellm_path(name), whole_or_status) as observer:
                    self.write_slowly(server, name)
                    wait_until(lambda n=name: server.litellm(n).json.get("prompt_template_model")
                               == "gpt-4", "the whole file is served")
                self.assert_saw(observer, before, ("the first half", "gpt-4"))

    def write_slowly(self, server, name):
        with open(server.path(name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(self.HALF)
            file.flush()
            # A change that was made later is served: the half was there to be seen.
            self.pass_barrier(server)
            file.write('description: "and the rest"\n')
            file.flush()
            self.pass_barrier(server)
            file.write("prompt_template_model: gpt-4\n")

    def test_a_writer_that_holds_one_file_open_holds_up_no_other(self):
        server = self.serve(files={"p.yaml": prompt("before")})
        with open(server.path("p.yaml"), "w", encoding="utf-8") as file:
            file.write(self.HALF)
            file.flush()
            for i in range(3):
                server.write("q.yaml", prompt(f"q {i}"))
                server.wait_for_text("q", f"q {i}")
        server.wait_for_text("p", "the first half")

    def test_many_open_writers_are_all_waited_for(self):
        server = self.serve(files={"q.yaml": prompt("q")})
        names = [f"p{i}" for i in range(100)]
        with contextlib.ExitStack() as stack:
            for name in names:
                file = stack.enter_context(open(server.path(name + ".yaml"), "w", encoding="utf-8"))
                file.write(self.HALF)
                file.flush()
            self.pass_barrier(server)
            self.assertEqual([n for n in names if server.litellm(n).status != 404], [])
        for name in names:
            server.wait_for_text(name, "the first half")

    def test_a_write_that_begins_while_files_are_looked_at(self):
        # Among many files a look takes long enough for a writer to begin in the midst of it.
        files = {f"many/{i // 100}/f{i}.yaml": prompt("x") for i in range(3000)}
        server = self.serve(files={**files, "zz/p.yaml": block_prompt(signed(0))})
        with Observer(server, litellm_path("zz/p"), text_or_status) as observer:
            for number in range(1, 40):
                self.write_in_two_steps(server, block_prompt(signed(number)), number)
        for text in observer.answers:
            self.assertTrue(is_whole(text), text[:200])

    def write_in_two_steps(self, server, text, number):
        half = text.index("\n", len(text) // 2) + 1
        with open(server.path("zz/p.yaml"), "w", encoding="utf-8") as file:
            file.write(text[:half])
            file.flush()
            pause(0.01 + number % 7 * 0.005)
            file.write(text[half:])
        pause(0.03 + number % 5 * 0.01)


class ConstantRewriting(ReloadTest):
    SECONDS = 1.0

    def check_reads(self, rewrite):
        """Rewrite three files all the time, and look at all that four readers get meanwhile."""
        server = self.serve("--workers", "2",
                            files={f"p{i}.yaml": block_prompt(signed(0)) for i in range(3)})
        with contextlib.ExitStack() as stack:
            observers = [stack.enter_context(Observer(server, litellm_path(f"p{i % 3}"),
                                                      text_or_status)) for i in range(4)]
            number, end = 0, time.monotonic() + self.SECONDS
            while time.monotonic() < end or not all(o.answers[1:] for o in observers):
                number += 1
                rewrite(server.path(f"p{number % 3}.yaml"), block_prompt(signed(number)))
                self.assertLess(time.monotonic(), end + DEADLINE, "nothing is ever published")
        for i in range(3):
            server.write(f"p{i}.yaml", prompt(f"last {i}"))
        for i in range(3):
            server.wait_for_text(f"p{i}", f"last {i}")
        for text in [answer for observer in observers for answer in observer.answers]:
            self.assertIsInstance(text, str, "a prompt is never absent")
            self.assertTrue(is_whole(text), text[:200])

    def test_files_renamed_over(self):
        def rewrite(path, text):
            new = path.with_name(".new")
            new.write_text(text)
            os.replace(new, path)

        self.check_reads(rewrite)

    def test_files_written_in_place(self):
        self.check_reads(lambda path, text: path.write_text(text))

    def test_files_written_in_place_piece_by_piece(self):
        def rewrite(path, text):
            with open(path, "w", encoding="utf-8", buffering=1) as file:
                for line in text.splitlines(keepends=True)[:40]:
                    file.write(line)
                file.write(text[file.tell():])

        self.check_reads(rewrite)


if __name__ == "__main__":
    unittest.main()
