"""A model for trying things out: it answers with what it was sent, as JSON, and needs no provider.

    litellm_settings:
      custom_provider_map: [{provider: echo, custom_handler: echo_model.handler}]
    model_list:
      - {model_name: gpt-4, litellm_params: {model: echo/gpt-4}}
"""

import json

import litellm
from litellm import CustomLLM
from litellm.types.utils import GenericStreamingChunk


class Echo(CustomLLM):
    def completion(self, model, messages, optional_params, **_):
        sent = {"model": model, "messages": messages, **optional_params}
        return litellm.ModelResponse(model=model, choices=[{
            "index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": json.dumps(sent, ensure_ascii=False)},
        }], usage=litellm.Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2))

    async def acompletion(self, **request):
        return self.completion(**request)

    def streaming(self, **request):
        text = self.completion(**request).choices[0].message.content
        yield GenericStreamingChunk(text=text, is_finished=True, finish_reason="stop", index=0,
                                    tool_use=None, usage=None)

    async def astreaming(self, **request):
        for chunk in self.streaming(**request):
            yield chunk


handler = Echo()
