"""A prompt of promptd through LiteLLM's proxy, with OpenAI's own client: pip install openai

    OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=$LITELLM_MASTER_KEY python openai_sdk.py
"""

from openai import OpenAI

completion = OpenAI().chat.completions.create(
    model="gpt-4",
    messages=[{"role": "user", "content": "Where do I start?"}],
    extra_body={
        "prompt_id": "hello-world-prompt",
        "prompt_variables": {"domain": "data science", "task": "customer churn"},
    },
)
print(completion.choices[0].message.content)
