"""Directories of prompts of 1 KB each, the same whenever they are made."""
import json
import os
import random
from pathlib import Path

BYTES = 1024
A_FOLDER = 100  # prompts
OLD = 1_000_000_000  # a time of change that nothing has to be waited for
WORDS = ("answer the customer briefly and politely in the language of the question quote only what the documents below "
         "say when they do not say enough ask one question back never promise a refund").split()


def prompt_id(number):
    return f"team-{number // A_FOLDER:04d}/prompt-{number:06d}"


HEAD = """description: What prompt {} is for
prompt_template_model: gpt-4
prompt_template_optional_params:
  temperature: 0.7
  max_tokens: 500
prompt_template:
  - role: user
    content: "Help me with: {{task}}"
  - role: system
    content: |-
"""
INDENT = "      "


def sentences(seed, length):
    """Lines of text that take so many bytes once each is indented and ended; the last is filled up."""
    chooser, lines, left = random.Random(seed), [], length
    while left > 0:
        line = " ".join(chooser.choice(WORDS) for _ in range(10)) + " {topic}."
        left -= len(INDENT) + len(line) + 1
        lines.append(line)
    del lines[-1]
    left += len(INDENT) + len(line) + 1
    return [*lines[:-1], lines[-1] + left * "."]


def as_yaml(number, length=BYTES, seed=None):
    head = HEAD.format(number)
    lines = sentences(number if seed is None else seed, length - len(head))
    return head + "".join(f"{INDENT}{line}\n" for line in lines)


def as_json(number):
    """The same prompt, indented as POST /prompts does."""
    text = "\n".join(sentences(number, BYTES - len(HEAD.format(number))))
    return json.dumps({
        "description": f"What prompt {number} is for", "prompt_template_model": "gpt-4",
        "prompt_template_optional_params": {"temperature": 0.7, "max_tokens": 500},
        "prompt_template": [{"role": "user", "content": "Help me with: {task}"}, {"role": "system", "content": text}],
    }, indent=2) + "\n"


FORMATS = {"yaml": as_yaml, "json": as_json}


def write_prompts(directory, count, suffix="yaml"):
    """Fill a new directory."""
    for number in range(count):
        path = Path(directory, f"{prompt_id(number)}.{suffix}")
        if number % A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(FORMATS[suffix](number), encoding="ascii")
        os.utime(path, (OLD, OLD))


def edit(directory, number, text):
    """Replace a prompt's file as editors do that write safely: another beside it, renamed."""
    path = Path(directory, f"{prompt_id(number)}.yaml")
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="ascii")
    os.replace(new, path)
