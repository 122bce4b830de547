"""The mock prompt server's way: FastAPI, a dict, and a token."""
import json
import os
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException

TOKEN = "Bearer " + os.environ["BENCH_TOKEN"]
with open(os.environ["BENCH_ANSWER"], encoding="utf-8") as answer:
    PROMPTS = {prompt["prompt_id"]: prompt for prompt in [json.load(answer)]}

app = FastAPI()


@app.get("/beta/litellm_prompt_management")
async def get_prompt(prompt_id: str, authorization: Annotated[str | None, Header()] = None):
    if authorization != TOKEN:
        raise HTTPException(401, "Invalid or missing API token")
    if prompt_id not in PROMPTS:
        raise HTTPException(404, f"Prompt '{prompt_id}' not found")
    return PROMPTS[prompt_id]
