"""A guardrail for the tests, to be loaded in front of the companion."""

from litellm.integrations.custom_guardrail import CustomGuardrail


class Hidden(CustomGuardrail):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        return None


handler = Hidden()
