"""A callback for the tests: it writes down what loggers are told, and tells which worker answers."""

import json
import os

from litellm.integrations.custom_logger import CustomLogger


class Observer(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        metadata = kwargs["litellm_params"]["metadata"]
        record = {"call": kwargs["litellm_call_id"], "promptd": metadata.get("promptd"),
                  "messages": kwargs.get("messages")}
        with open(os.environ["OBSERVER_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(record, default=str) + "\n")

    async def async_post_call_response_headers_hook(self, data, user_api_key_dict, response,
                                                    request_headers=None, litellm_call_info=None):
        return {"x-worker": str(os.getpid())}


handler = Observer()
