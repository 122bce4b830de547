"""promptd's companion for the LiteLLM proxy: prompts from promptd in every request, fresh and checked.

Put this file beside LiteLLM's config.yaml and name it first among the callbacks; no `prompts:` entry is needed:

    litellm_settings:
      callbacks: [promptd_companion.handler]

A request to /v1/chat/completions or /v1/responses then says which prompt it wants, beside its messages or input:

    {"prompt_id": "support/refund", "prompt_variables": {"name": "Ada"}, "model": …, "messages": […]}

and, if it likes, "prompt_version", or "prompt_label" (or "prompt_environment", which means the same).

The environment says the rest:

    PROMPTD_URL         where promptd listens                                      http://127.0.0.1:8080
    PROMPTD_TOKEN_FILE  a file with promptd's token; read again when refused       none
    PROMPTD_TOKEN       the token itself, where there is no file                   none
    PROMPTD_TTL         seconds after which a prompt is asked for again            2
    PROMPTD_MAX_AGE     seconds for which a prompt outlives a failing promptd      86400
    PROMPTD_TIMEOUT     seconds for which promptd may take to answer               0.5
    PROMPTD_ON_MISSING  unknown prompt, missing variable: error, or pass           error
    PROMPTD_PARAMETERS  the prompt's model and parameters override the caller's,
                        fill what the caller leaves out, or ignore: not used       override

With `promptd_projects` in its metadata, a LiteLLM key or team sees the prompts of those projects alone.
"""

import asyncio
import copy
import json
import logging
import math
import os
import re
import sys
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import httpx
import litellm
from fastapi import HTTPException
from litellm.completion_extras.litellm_responses_transformation.transformation import (
    LiteLLMResponsesTransformationHandler,
)
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.core_helpers import get_or_create_metadata_bucket
from litellm.proxy._types import ProxyException
from litellm.proxy.auth.auth_checks import (
    can_key_call_resolved_model,
    common_checks,
    get_end_user_object,
    get_team_object,
    get_user_object,
    is_model_cost_zero,
    virtual_key_max_budget_check,
)
from litellm.proxy.litellm_pre_call_utils import add_guardrails_from_policy_engine
from litellm.proxy.utils import (
    check_and_merge_model_level_guardrails,
    pipeline_managed_guardrail_names,
)
from litellm.types.guardrails import GuardrailEventHooks
from litellm.types.llms.openai import ResponsesAPIOptionalRequestParams
from starlette.requests import Request

log = logging.getLogger("LiteLLM Proxy.promptd")

ROUTE = "/v1/chat/completions"  # by which a prompt's model is judged
HEADER = "x-promptd-prompt"
METADATA = "promptd"
BUCKETS = ("metadata", "litellm_metadata")  # where LiteLLM keeps a request's metadata
PROJECTS = "promptd_projects"
SELECTORS = {"prompt_version": "version", "prompt_label": "label", "prompt_environment": "environment"}
REQUEST_KEYS = ("prompt_id", "prompt_variables", *SELECTORS)
# What LiteLLM's proxy decides by: no prompt may say it, even if promptd was told to let it pass.
LITELLMS_OWN = ("model", "messages", "input", "*metadata", "litellm_*", "guardrails", "policies", "disable_*",
                "*fallbacks", "router_settings_override", "proxy_server_request", "secret_fields", "user_api_key*",
                "user_config", "model_info", "models", "_*", *REQUEST_KEYS)
LONGEST_NAME_BYTES = 200
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5  # between two tries of a promptd that fails
LONGEST_WAIT_S = 60  # if it asks to be left alone
LATE_S = 0.1  # by which a timer of a process with time to spare is never late
ABOUT_THE_PROMPT = (400, 409, 422)


@dataclass(frozen=True)
class Settings:
    url: str = "http://127.0.0.1:8080"
    token_file: str = ""
    token: str = ""
    ttl: float = 2.0
    max_age: float = 86400.0
    timeout: float = 0.5
    on_missing: str = "error"
    parameters: str = "override"

    CHOICES = {"on_missing": ("error", "pass"), "parameters": ("override", "fill", "ignore")}

    @classmethod
    def from_environment(cls):
        given = {}
        for name, default in vars(cls()).items():
            variable = f"PROMPTD_{name.upper()}"
            text = os.environ.get(variable, "")
            if text == "":
                continue
            if isinstance(default, float) and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
                raise ValueError(f"{variable} is {text!r}: give it a number of seconds")
            if text not in cls.CHOICES.get(name, (text,)):
                raise ValueError(f"{variable} is {text!r}: give it one of "
                                 f"{', '.join(cls.CHOICES[name])}")
            given[name] = type(default)(text)
        if not re.fullmatch(r"https?://[^@?#\s]+", given.get("url", cls.url)):
            raise ValueError("PROMPTD_URL is no address: give it one like http://promptd:8080")
        if not is_token(given.get("token", "")):
            raise ValueError("PROMPTD_TOKEN must hold the token and nothing else")
        return cls(**given)


def is_token(text):
    """Whether a header can hold it: the error that tells of another would hold it too."""
    return re.fullmatch(r"[!-~]*", text) is not None


class Refused(Exception):
    """promptd's word on a prompt: it has none such, or the question is wrong."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status = status


class Unavailable(Exception):
    """promptd said nothing of the prompt."""

    wait = 0.0  # seconds for which it asked to be left alone
    is_ours = False  # this process was too busy to hear the answer


class PromptError(HTTPException):
    """What the caller of LiteLLM gets."""

    def __init__(self, status, message, **headers):
        super().__init__(status, {"error": message}, headers)


@dataclass
class Prompt:
    """An answer of promptd, parsed once and never changed."""

    answer: dict
    variables: dict  # their defaults as the texts that stand in the file
    etag: str
    revisions: dict = field(default_factory=dict)
    validated: float = 0.0  # when promptd was last asked whether it is current, by time.monotonic()

    @classmethod
    def parse(cls, response):
        answer = json.loads(response.content)
        if not isinstance(answer["prompt_template"], list):
            raise TypeError("prompt_template is not a list")
        source = json.loads(response.content, parse_int=str, parse_float=str)
        return cls(answer, source["variables"], response.headers["etag"])

    def note_validation(self, response, asked):
        self.validated = asked
        self.revisions = {
            key: response.headers[name]
            for key, name in (("revision", "Prompts-Revision"),
                              ("source_revision", "Prompts-Source-Revision"))
            if name in response.headers
        }


class Prompts:
    """promptd's prompts, kept per worker process and asked for again after the TTL.

    A prompt that is younger than the TTL is used as it is; past half of it, it is asked for again in
    the background. An older one waits for the answer. While promptd fails, nobody waits for what is
    kept: the last answer serves until the maximum age, and tries are made after pauses that double.
    """

    def __init__(self, settings):
        self.settings = settings
        self.kept = {}  # by (path and query)
        self.flights = {}  # the same: the tasks that ask at this moment
        self.failures = 0
        self.failing_since = self.next_try = 0.0
        self.told = -math.inf  # when the log told last of a failure
        self.reason = ""
        self.token = "" if settings.token_file else settings.token
        self.http = None

    async def get(self, prompt_id, selectors, is_kept_good=True):
        """Return the Prompt; raise Refused or Unavailable. Where what is kept is not good enough, promptd is
        asked."""
        # (A segment of dots alone would be taken out of the path on the way.)
        key = f"/prompts/{quote(prompt_id, safe='', errors='replace').replace('.', '%2E')}"
        if selectors:
            key += f"?{urlencode(selectors, errors='replace')}"
        prompt = self.kept.get(key)
        age = time.monotonic() - prompt.validated if prompt else math.inf
        if age > self.settings.max_age or not is_kept_good:
            prompt, age = None, math.inf
        if age > self.settings.ttl / 2:
            flight = self._flight(key, prompt is None)
            if prompt is None or (age > self.settings.ttl and not self._fails_now()):
                try:
                    return await self._land(flight)
                except Unavailable:
                    if prompt is None:
                        raise
        return prompt

    def _fails_now(self):
        return self.failures > 0 and time.monotonic() < self.next_try + LONGEST_PAUSE_S

    def _flight(self, key, is_needed):
        """Return the one task that asks for this, started if need be. In a pause it is None, but that a needed
        one may start where there is no other."""
        flight = self.flights.get(key)
        if flight is None and (time.monotonic() >= self.next_try or (is_needed and not self.flights)):
            flight = self.flights[key] = asyncio.create_task(self._ask(key))
            flight.add_done_callback(lambda done: self._note_landing(key, done))
        return flight

    def _note_landing(self, key, flight):
        del self.flights[key]
        if not flight.cancelled():
            flight.exception()  # nobody may have waited for it

    async def _land(self, flight):
        if flight is None:
            raise Unavailable(self.reason)
        return await asyncio.shield(flight)  # it goes on for others if this request is cancelled

    async def _ask(self, key):
        asked, kept = time.monotonic(), self.kept.get(key)
        try:
            response = await self._fetch(key, kept)
            prompt = kept if response.status_code == 304 and kept else self._parse(response)
            prompt.note_validation(response, asked)
            self._forget_old()
            self.kept[key] = prompt
        except Unavailable as error:
            if not error.is_ours:
                self._note_failure(error)
            raise
        except Refused:
            self.kept.pop(key, None)
            self._note_success()
            raise
        self._note_success()
        return prompt

    async def _fetch(self, key, kept):
        """Return promptd's answer, whatever it is, within the timeout."""
        asked = time.monotonic()
        try:
            return await asyncio.wait_for(self._send(key, kept), self.settings.timeout)
        except asyncio.TimeoutError:
            error = Unavailable(f"no answer within {self.settings.timeout:g} s")
            error.is_ours = time.monotonic() - asked > self.settings.timeout + LATE_S
            raise error from None
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        except Unavailable:
            raise
        except Exception as error:  # whatever else a library can do: what is kept still serves
            raise Unavailable(type(error).__name__) from error

    async def _send(self, key, kept):
        """Ask promptd, and once more where the token turns out to be an old one."""
        token = self.token or self.read_token()
        response = await self._send_with(key, kept, token)
        if response.status_code == 401 and self.read_token() != token:
            response = await self._send_with(key, kept, self.token)
        return response

    async def _send_with(self, key, kept, token):
        headers = {"Accept": "application/json", "User-Agent": "promptd-companion"}
        if kept:
            headers["If-None-Match"] = kept.etag
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self.http is None:
            self.http = httpx.AsyncClient(timeout=self.settings.timeout)
        return await self.http.get(self.settings.url.rstrip("/") + key, headers=headers)

    def read_token(self):
        """Read the token file, if there is one, and return the token."""
        if self.settings.token_file:
            try:
                with open(self.settings.token_file, encoding="utf-8") as file:
                    self.token = file.read().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Unavailable(f"PROMPTD_TOKEN_FILE cannot be read: {error}") from None
            if not is_token(self.token):
                self.token = ""
                raise Unavailable("PROMPTD_TOKEN_FILE must hold the token and nothing else")
        return self.token

    @staticmethod
    def _parse(response):
        if response.status_code != 200:
            raise refusal(response)
        try:
            return Prompt.parse(response)
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"an answer that is not promptd's: {error!r}") from None

    def _forget_old(self):
        oldest = time.monotonic() - self.settings.max_age
        for key in [key for key, prompt in self.kept.items() if prompt.validated < oldest]:
            del self.kept[key]

    def _note_failure(self, error):
        self.reason = str(error)
        now = time.monotonic()
        if now < self.next_try:
            return  # one of several that were under way
        if self.failures == 0:
            self.failing_since = now
        if self.failures == 0 and now > self.told + LONGEST_WAIT_S:
            self.told = now
            log.warning("promptd at %s fails: %s. Of %d prompts the last good answer is kept, and serves for up "
                        "to %g s", self.settings.url, error, len(self.kept), self.settings.max_age)
        self.failures += 1
        pause = min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 10), LONGEST_PAUSE_S)
        self.next_try = now + max(pause, min(error.wait, LONGEST_WAIT_S))

    def _note_success(self):
        if self.failures > 0 and self.told >= self.failing_since:
            log.warning("promptd at %s answers again, after %.1f s", self.settings.url,
                        time.monotonic() - self.failing_since)
        self.failures = 0
        self.next_try = 0.0


def refusal(response):
    """Return what an answer other than 200 and 304 means. A 404 counts only in promptd's words: neither one
    of a load balancer on the way nor one of a promptd without files must take a prompt away."""
    try:
        detail = json.loads(response.content)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = None
    is_gone = (response.status_code == 404 and isinstance(detail, str) and detail.startswith("Prompt ")
               and not detail.endswith("No prompts are loaded"))
    if is_gone or (response.status_code in ABOUT_THE_PROMPT and detail is not None):
        return Refused(response.status_code, words_of(detail))
    error = Unavailable(f"status {response.status_code}" + (
        ", it wants a token, or another one: see PROMPTD_TOKEN_FILE or PROMPTD_TOKEN"
        if response.status_code == 401 else ""))
    wait = response.headers.get("retry-after", "")
    error.wait = float(wait) if wait.isdecimal() else 0.0
    return error


def words_of(detail):
    """Return what promptd's `detail` says: a text, or a list of what is wrong with the question."""
    if isinstance(detail, str):
        return detail
    try:
        return "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in detail)
    except (TypeError, KeyError, IndexError):
        return json.dumps(detail)


def text_of(value):
    """Return a value as it stands in a text, as in promptd's own rendering; None if it is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return None


def choose_values(prompt, given, on_missing):
    """Return the text for each variable that has one, by name."""
    values = {}
    for name, declared in prompt.variables.items():
        value = given.get(name)
        if value is None:
            value = declared.get("default")
        if value is None and not declared.get("required", True):
            value = ""
        if value is not None:
            values[name] = text_of(value)
            if values[name] is None:
                raise PromptError(422, f"prompt_variables: {name!r} must be a string, a number or a boolean")
    missing = sorted(prompt.variables.keys() - values.keys())
    if missing and on_missing == "error":
        raise PromptError(422, f"prompt {prompt.answer['prompt_id']!r} lacks a value for "
                               f"{', '.join(map(repr, missing))}: give it in prompt_variables")
    return values


def fill(prompt, values):
    """Return the prompt's messages with the values in their placeholders: one pass, a value is never looked
    into. promptd tells each placeholder as {name}, whatever form its file has."""
    messages = copy.deepcopy(prompt.answer["prompt_template"])
    if not values:
        return messages
    placeholder = re.compile(r"\{(" + "|".join(map(re.escape, values)) + r")\}")

    def filled(text):
        return placeholder.sub(lambda match: values[match[1]], text) if isinstance(text, str) else text

    for message in messages:
        content = message.get("content")
        message["content"] = filled(content)
        for part in content if isinstance(content, list) else ():
            if "text" in part:
                part["text"] = filled(part["text"])
    return messages


def as_responses(messages, params):
    """Return chat messages and parameters in the form of the Responses API: (input items, parameters)."""
    messages = [{**message, "content": [{"type": "text", "text": message["content"]}]}
                if message.get("role") == "system" and isinstance(message.get("content"), str) else message
                for message in messages]  # else they would be `instructions`, which guardrails may not read
    request = LiteLLMResponsesTransformationHandler().transform_request(
        model="", messages=messages, optional_params=dict(params), litellm_params={}, headers={},
        litellm_logging_obj=SimpleNamespace())
    own = ResponsesAPIOptionalRequestParams.__annotations__
    converted = {name: value for name, value in request.items() if name in own and value is not None}
    return request["input"], {**{name: params[name] for name in params if name in own}, **converted}


def join_chat(data, messages, params):
    own = data.get("messages") or []
    if not isinstance(own, list):
        raise PromptError(422, "messages must be a list")
    data["messages"] = messages + own
    return params


def join_responses(data, messages, params):
    items, params = as_responses(messages, params)
    own = data.get("input") or []
    if not isinstance(own, (str, list)):
        raise PromptError(422, "input must be a text or a list")
    data["input"] = items + ([{"role": "user", "content": own}] if isinstance(own, str) else own)
    if data.get("litellm_logging_obj") is not None:  # of chats the proxy does that itself
        data["litellm_logging_obj"].update_messages(data["input"])
    return params


JOIN = {"completion": join_chat, "acompletion": join_chat, "responses": join_responses, "aresponses": join_responses}


class Served(dict):
    """What goes into the request's metadata. Of a type of its own: a caller can write the same keys there."""

    def header(self):
        name = quote(self["prompt_id"], safe="/")
        if self["version"] is not None:
            name += f"@{self['version']}"
        details = {"labels": ",".join(self["labels"]), "etag": self["etag"].strip('"'),
                   "revision": self.get("revision"), "source-revision": self.get("source_revision")}
        return "; ".join([name, *(f"{key}={value}" for key, value in details.items() if value)])


def read_question(data):
    """Return the prompt's id, what chooses the version, and the values, as the caller gave them."""
    prompt_id, variables = data["prompt_id"], data.get("prompt_variables")
    if not isinstance(prompt_id, str):
        raise PromptError(422, "prompt_id must be a string")
    if not isinstance(variables, (dict, type(None))):
        raise PromptError(422, "prompt_variables must be an object")
    selectors = {}
    for key, name in SELECTORS.items():
        value = data.get(key)
        if isinstance(value, bool) or not isinstance(value, (str, int, type(None))):
            raise PromptError(422, f"{key} must be a string or a whole number")
        if value not in (None, ""):
            selectors[name] = str(value)
    for text in (prompt_id, *selectors.values()):
        if not 1 <= len(text.encode("utf-8", "replace")) <= LONGEST_NAME_BYTES:
            raise PromptError(422, "prompt_id, prompt_version and prompt_label have 1 to "
                                   f"{LONGEST_NAME_BYTES} bytes")
    return prompt_id, selectors, variables or {}


def allowed_projects(user_api_key_dict):
    """Return the projects that key and team may both see; None for all."""
    allowed = None
    for metadata in (user_api_key_dict.metadata, user_api_key_dict.team_metadata):
        if PROJECTS not in (metadata or {}):
            continue
        projects = metadata[PROJECTS]
        if isinstance(projects, str):
            projects = [projects]
        if not isinstance(projects, list):
            raise PromptError(403, f"{PROJECTS} in the metadata of this key or team must be a list of projects")
        allowed = set(map(str, projects)) if allowed is None else allowed & set(map(str, projects))
    return allowed


def sees_requests(callback):
    """Whether a callback looks at a request before it is sent."""
    return isinstance(callback, CustomGuardrail) or (
        isinstance(callback, CustomLogger) and "async_pre_call_hook" in vars(type(callback)))


def warn_of_entries(entries):
    if entries:
        log.warning("config.yaml has %d `prompts:`: LiteLLM's own client answers for these ids, and the companion "
                    "does not see the requests that name them", len(entries))


def check_configuration():
    """Raise where a guardrail would see the request before the prompt's text is in it: what LiteLLM loads
    stays in the order of the configuration, and this runs while it is loaded."""
    proxy = sys.modules.get("litellm.proxy.proxy_server")
    if proxy is None:
        return
    config = proxy.proxy_config.get_config_state()
    warn_of_entries(config.get("prompts") or [])
    settings = config.get("litellm_settings") or {}
    callbacks = settings.get("callbacks") or []
    first = callbacks[0] if isinstance(callbacks, list) and callbacks else callbacks
    ahead = [type(callback).__name__ for callback in litellm.callbacks if sees_requests(callback)]
    if isinstance(first, str) and not first.startswith(f"{__name__}."):
        ahead.append(first)
    if ahead:
        raise ValueError(f"{', '.join(ahead)} would not see the text of prompts: put {__name__}.handler first in "
                         "litellm_settings.callbacks, and guardrails under the key `guardrails`")


async def permit_model(model, key):
    """Raise where LiteLLM would refuse a request of this key for this model: for who may use it, and for what
    may be spent."""
    from litellm.proxy import proxy_server as proxy

    common = {"prisma_client": proxy.prisma_client, "user_api_key_cache": proxy.user_api_key_cache,
              "parent_otel_span": key.parent_otel_span, "proxy_logging_obj": proxy.proxy_logging_obj}

    async def look_up(get, **asked):
        """Return what LiteLLM knows of a team, user or customer; None where it keeps no such thing."""
        try:
            return await get(**asked, **common) if all(asked.values()) else None
        except (ProxyException, litellm.BudgetExceededError):
            raise
        except Exception:
            return None

    await can_key_call_resolved_model(model=model, llm_model_list=None, valid_token=key,
                                      llm_router=proxy.llm_router)
    is_free = is_model_cost_zero(model=model, llm_router=proxy.llm_router)
    user = await look_up(partial(get_user_object, user_id_upsert=False), user_id=key.user_id)
    if not is_free:
        await virtual_key_max_budget_check(
            valid_token=key, proxy_logging_obj=proxy.proxy_logging_obj, user_obj=user)
    await common_checks(
        request_body={"model": model}, route=ROUTE, valid_token=key, skip_budget_checks=is_free,
        request=Request({"type": "http", "method": "POST", "path": ROUTE, "headers": [], "query_string": b""}),
        team_object=await look_up(get_team_object, team_id=key.team_id),
        user_object=user,
        end_user_object=await look_up(get_end_user_object, end_user_id=key.end_user_id, route=ROUTE),
        global_proxy_spend=None, general_settings=proxy.general_settings, llm_router=proxy.llm_router,
        proxy_logging_obj=proxy.proxy_logging_obj)
    budgets = proxy.model_max_budget_limiter
    if key.model_max_budget:
        await budgets.is_key_within_model_budget(user_api_key_dict=key, model=model)
    if key.team_id and key.team_model_max_budget:
        await budgets.is_team_within_model_budget(
            team_id=key.team_id, team_model_max_budget=key.team_model_max_budget,
            key_model_max_budget=key.model_max_budget, model=model)
    if key.user_id and key.user_model_max_budget:
        await budgets.is_user_within_model_budget(
            user_id=key.user_id, user_model_max_budget=key.user_model_max_budget, model=model)
    if key.end_user_id and key.end_user_model_max_budget:
        await budgets.is_end_user_within_model_budget(
            end_user_id=key.end_user_id, end_user_model_max_budget=key.end_user_model_max_budget, model=model)


class Companion(CustomLogger):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.prompts = Prompts(settings)

    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        """Put the prompt that a request names into it."""
        for bucket in BUCKETS:
            if isinstance(data.get(bucket), dict):
                data[bucket].pop(METADATA, None)  # it is ours alone to write
        if data.get("prompt_id") is None:
            return None
        if call_type not in JOIN:
            raise PromptError(422, "prompt_id works at /v1/chat/completions and /v1/responses")
        prompt_id, selectors, given = read_question(data)
        projects = allowed_projects(user_api_key_dict)
        try:
            prompt = await self._find(prompt_id, selectors, projects)
        except PromptError as error:
            if error.status_code == 404 and self.settings.on_missing == "pass":
                log.info("the request goes on without its prompt: %s", error.detail["error"])
                return None
            raise
        values = choose_values(prompt, given, self.settings.on_missing)
        params = JOIN[call_type](data, fill(prompt, values), prompt.answer["prompt_template_optional_params"] or {})
        self._set_params(data, params)
        await self._set_model(data, prompt.answer["prompt_template_model"], user_api_key_dict)
        if data.get("model") is None:
            raise PromptError(422, f"the request names no model, and of prompt {prompt_id!r} none is used")
        self._refuse_hidden_text(data)
        for key in REQUEST_KEYS:
            data.pop(key, None)
        self._note(data, prompt, projects)
        return data

    async def async_post_call_response_headers_hook(self, data, user_api_key_dict, response, request_headers=None,
                                                    litellm_call_info=None):
        """Tell the caller which prompt was used."""
        for bucket in BUCKETS:
            served = (data.get(bucket) or {}).get(METADATA)
            if isinstance(served, Served):
                return {HEADER: served.header()}
        return None

    def _refuse_hidden_text(self, data):
        """Some guardrails have looked already, or look at what the caller sent: raise if one is to guard
        this request."""
        blind = []
        for callback in litellm.callbacks:
            if callback is self:
                break
            if sees_requests(callback):
                blind.append(callback)
        blind += [callback for callback in litellm.callbacks
                  if isinstance(callback, CustomGuardrail) and callback.scan_raw_request
                  and callback.should_run_guardrail(data, GuardrailEventHooks.pre_call)]
        names = {getattr(callback, "guardrail_name", None) or type(callback).__name__ for callback in blind}
        names |= pipeline_managed_guardrail_names(data, "pre_call")
        if names:
            raise PromptError(500, f"{', '.join(sorted(names))} would not see the text of the prompt: load "
                                   "promptd_companion first, and use neither scan_raw_request nor pre_call "
                                   "pipelines with prompts")

    async def _find(self, prompt_id, selectors, projects):
        """Return the prompt, if these projects hold it: the others are as if they were not."""
        name = f"prompt {prompt_id!r}" + "".join(
            f" with {key} {value!r}" for key, value in selectors.items())
        unknown = PromptError(404, f"promptd has no {name}")
        try:
            prompt = await self._ask(prompt_id, selectors, projects)
        except Refused as error:
            if projects is not None:  # its words may name other prompts
                raise unknown from None
            raise PromptError(error.status, f"promptd: {error}") from None
        except Unavailable as error:
            log.warning("%s is not kept, and promptd fails: %s", name, error)
            raise PromptError(503, f"{name} is not at hand, as promptd fails: see the proxy's log",
                              **{"retry-after": str(LONGEST_PAUSE_S)}) from None
        if projects is not None and prompt.answer.get("project_name") not in projects:
            raise unknown
        return prompt

    async def _ask(self, prompt_id, selectors, projects):
        """Ask for the prompt. One that may not be seen is asked for as if it were not kept, so that neither time
        nor an outage tells it from one that is not there."""
        begun = time.monotonic()
        prompt = await self.prompts.get(prompt_id, selectors)
        if projects is not None and prompt.answer.get("project_name") not in projects and prompt.validated < begun:
            prompt = await self.prompts.get(prompt_id, selectors, is_kept_good=False)
        return prompt

    def _set_params(self, data, params):
        if self.settings.parameters == "ignore":
            return
        taken = sorted(name for name in params if any(fnmatchcase(name, own) for own in LITELLMS_OWN))
        if taken:
            raise PromptError(500, f"the prompt sets {', '.join(taken)}, which is not a prompt's to set")
        for name, value in copy.deepcopy(params).items():
            if self.settings.parameters == "override" or data.get(name) is None:
                data[name] = value

    async def _set_model(self, data, model, user_api_key_dict):
        """Take the prompt's model, as if the caller had asked for it: with the same permissions, budgets and
        guardrails, which LiteLLM has looked up for another model or for none."""
        from litellm.proxy.proxy_server import llm_router

        if model is None or self.settings.parameters == "ignore":
            return
        if self.settings.parameters == "fill" and data.get("model") is not None:
            return
        key = user_api_key_dict
        await permit_model(model, key)
        for aliases in (key.team_model_aliases, litellm.model_alias_map, key.aliases):
            model = (aliases or {}).get(model, model)
        data["model"] = model
        await add_guardrails_from_policy_engine(
            data=data, metadata_variable_name=get_or_create_metadata_bucket(data)[0],
            user_api_key_dict=user_api_key_dict)
        data.update(check_and_merge_model_level_guardrails(
            data=data, llm_router=llm_router, trust_client_model_info=False))

    @staticmethod
    def _note(data, prompt, projects):
        answer = prompt.answer
        revisions = prompt.revisions if projects is None else {}  # they change with others' prompts too
        get_or_create_metadata_bucket(data)[1][METADATA] = Served(
            prompt_id=answer["prompt_id"], version=answer["version"], labels=list(answer["labels"]),
            etag=prompt.etag, **revisions)


check_configuration()
handler = Companion(Settings.from_environment())
try:
    handler.prompts.read_token()
except Unavailable as error:  # later it is one more failure to live with
    raise ValueError(str(error)) from None
