"""What src/openapi.json says of answers, held against every answer that a test gets."""
import json
import re
from pathlib import Path

import jsonschema  # Debian: python3-jsonschema

SOURCE = Path(__file__).resolve().parents[2] / "src/openapi.json"
METHODS = ("get", "post")


def expand(node, document):
    """A copy in which each $ref is replaced by what it names."""
    if isinstance(node, list):
        return [expand(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        return expand(target, document)
    return {key: expand(value, document) for key, value in node.items()}


def close(node):
    """Forbid what a schema does not name, unless it says that there may be more: clients are to accept more,
    but a test is to see it."""
    if isinstance(node, list):
        return [close(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: close(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict):
        node.setdefault("additionalProperties", False)
    return node


DOCUMENT = json.loads(SOURCE.read_text(encoding="utf-8"))
PATHS = expand(DOCUMENT["paths"], DOCUMENT)
# (template, "GET" or "POST"): what is documented of it
OPERATIONS = {(template, method.upper()): item[method]
              for template, item in PATHS.items() for method in METHODS if method in item}
ERROR = close(expand(DOCUMENT["components"]["schemas"]["Error"], DOCUMENT))

answered = set()  # (operationId, status) of all answers so far
_known = {}  # answers that were good once, which need no second look: their (operationId, status) or None


def template_of(target):
    """The path of the document that a request target is of; one that is not there is itself."""
    path = re.sub(r"^\w+://[^/?#]*", "", target)
    path = re.split(r"[?#]", path, maxsplit=1)[0]
    if path in PATHS or not path.startswith("/prompts/") or path == "/prompts/":
        return path
    for verb in ("variables", "render"):
        if path.endswith("/" + verb) and len(path) > len("/prompts//") + len(verb):
            return "/prompts/{id}/" + verb
    return "/prompts/{id}"


def validate(schema, value):
    jsonschema.Draft202012Validator(schema).validate(value)


def check_body(content, headers, body):
    """A body is of a type, and of a schema, that the document knows."""
    found = headers.get("Content-Type", "").split(";")[0]
    if found not in content:
        raise AssertionError(f"a body of the type {found!r}")
    if found == "application/json":
        validate(close(content[found]["schema"]), json.loads(body))


def check_headers(documented, headers):
    for name, header in documented.items():
        value = headers.get(name)
        if value is not None:
            validate(header["schema"], value)
        elif header.get("required"):
            raise AssertionError(f"no header {name}")


def check_response(response, method, headers, body):
    if method == "HEAD" or "content" not in response:
        if body:
            raise AssertionError("a body where there is none to be")
    else:
        check_body(response["content"], headers, body)
    check_headers(response.get("headers", {}), headers)


def check_elsewhere(template, method, status, headers, body):
    """What is said once for all: no such path, or not with that method, or not behind this address."""
    if method == "OPTIONS" and status == 204:
        if body or "OPTIONS" not in headers.get("Allow", ""):
            raise AssertionError("a 204 that does not say what is allowed")
        return
    if status == 400:
        check_response(expand(DOCUMENT["components"]["responses"]["BadTarget"], DOCUMENT), method, headers, body)
        return
    if status not in (404, 405):
        raise AssertionError("that is for paths and methods that are not there")
    if status == 405 and not headers.get("Allow"):
        raise AssertionError("a 405 without Allow")
    if status == 405 and template not in PATHS:
        raise AssertionError("a 405 for a path that is not there")
    if method != "HEAD":
        validate(ERROR, json.loads(body))


def is_refusal(method, status, headers, body):
    """Whether an answer is to what is no good HTTP/1.1, whatever it asked for."""
    return (status in (400, 408, 414, 417, 431, 501, 505) and headers.get("Connection") == "close" and
            (method == "HEAD" or body.startswith(b'{"detail":"Bad request: ')))


def check(method, target, status, headers, body):
    """Fail where an answer is not one that the document knows."""
    if is_refusal(method, status, headers, body):
        return
    template = template_of(target)
    key = (template, method, status, body, tuple(sorted(h for h in headers.items() if h[0] != "Date")))
    if key in _known:
        answered.add(_known[key])
        return
    _known[key] = None
    operation = OPERATIONS.get((template, "GET" if method == "HEAD" else method))
    try:
        if operation is None or (status == 404 and b'"Not Found"' in body):
            check_elsewhere(template, method, status, headers, body)
        elif str(status) not in operation["responses"]:
            raise AssertionError("not a status of it")
        else:
            check_response(operation["responses"][str(status)], method, headers, body)
            _known[key] = operation["operationId"], status
            answered.add(_known[key])
    except (AssertionError, ValueError, jsonschema.ValidationError) as error:
        del _known[key]
        raise AssertionError(f"src/openapi.json does not know this answer to {method} {target}: {status} "
                             f"{body[:300]!r}: {error}") from error
