"""What a promptd is asked in the tests of this directory, and what it serves."""
import hashlib
import json

from promptd import litellm_path, prompt

TOKEN = "secret of all"
HOST = b"Host: 127.0.0.1\r\n"
ASK = HOST + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
LAST = b"Connection: close\r\n\r\n"

FILES = {
    "greet.yaml": prompt("Hello {name}", prompt_template_model="gpt-4",
                         prompt_template_optional_params={"temperature": 0.7}),
    "support/refund.v1.yaml": prompt("Refund 1", labels=["production"], metadata={"owner": "a"}),
    "support/refund.v2.yaml": prompt("Refund 2"),
    "parts.json": json.dumps({
        "prompt_template": [{"role": "user", "content": [{"type": "text", "text": "{a} and {b}"}]}],
        "variables": {"a": {"default": "x"}, "b": {"required": True}}}),
    "several.yaml": "- {prompt_id: one, prompt_template: 1 one}\n- {prompt_id: two, prompt_template: two}\n",
    "anchors.yaml": "x-base: &base {prompt_template_model: m}\n<<: *base\nprompt_template: anchored\n",
    "greet2.yaml": prompt("Hello again", prompt_id="greet"),
    "support/refund.v3.yaml": prompt("Refund 3", labels=["production"]),
    "bad.yaml": "prompt_templat: oops\n",
}


def tokens_file(*tokens):
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    return "- " + json.dumps({"name": "all", "sha256": digests, "rights": ["read", "write", "admin"]}) + "\n"


def get(path, *fields, method="GET", who=ASK, last=LAST):
    return b"".join([f"{method} {path} HTTP/1.1\r\n".encode(), who,
                     *(field + b"\r\n" for field in fields), last])


def post(path, value, *fields):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return get(path, b"Content-Type: application/json", b"Content-Length: %d" % len(body),
               *fields, method="POST") + body


GREET = litellm_path("greet")
RENDER = "/prompts/greet/render"

# Each of these has the same answer every time.
REQUESTS = {
    "litellm": get(GREET),
    "not modified": get(GREET, b"If-None-Match: *"),
    "head": get(GREET, method="HEAD"),
    "a version": get(litellm_path("support/refund@2")),
    "by slug": get("/beta/litellm_prompt_management?slug=refund&project_name=support"),
    "not found": get(litellm_path("greeb")),
    "no such label": get(litellm_path("support/refund", label="staging")),
    "nothing asked": get("/beta/litellm_prompt_management"),
    "no token": get(GREET, who=HOST),
    "another token": get(GREET, who=HOST + b"Authorization: Bearer wrong\r\n"),
    "list": get("/prompts"),
    "page": get("/prompts?limit=2&cursor=greet"),
    "limit": get("/prompts?limit=many"),
    "whole": get("/prompts/support%2Frefund"),
    "encoded": get("/prompts/gr%65et?version=%31"),
    "malformed": get("/prompts/%zz"),
    "variables": get("/prompts/parts/variables"),
    "render": post(RENDER, {"variables": {"name": "Ada \N{SNOWMAN}"}}),
    "render parts": post("/prompts/parts/render", {"variables": {"b": "y"}}),
    "render much": post(RENDER, {"variables": {"name": "much " * 10000}}),
    "missing": post(RENDER, {"variables": {}}),
    "no JSON": post(RENDER, b"{"),
    "another type": get(RENDER, b"Content-Length: 2", method="POST") + b"{}",
    "continue": post(RENDER, {"variables": {"name": "x"}}, b"Expect: 100-continue"),
    "chunked": get(RENDER, b"Content-Type: application/json", b"Transfer-Encoding: chunked",
                   method="POST") + b"11\r\n{\"variables\":{\"na\r\n9\r\nme\":\"x\"}}\r\n0\r\n\r\n",
    "exists": post("/prompts", {"prompt_id": "greet", "prompt_template": "again"}),
    "no method": get(GREET, method="DELETE"),
    "no path": get("/nowhere"),
    "openapi": get("/openapi.json"),
    "ready": get("/ready"),
    "refused": get(GREET, b"Content-Length: +2"),
    "another host": get("http://127.0.0.1/prompts/greet/variables"),
    "pipelined": get(GREET, last=b"\r\n") * 3 + get("/prompts/two", last=b"\r\n") + get("/prompts/none"),
    "refused at last": get(GREET, last=b"\r\n") + get(GREET, b": x"),
    "a long body": get(RENDER, b"Content-Length: 9999999", method="POST") + b"x" * 20000,
}

# The answers of these have figures in them.
CHANGING = {
    "health": get("/health"),
    "status": get("/-/status?files=all"),
    "metrics": get("/metrics"),
}
