"""LiteLLM's custom_auth for the tests: keys and teams without its database."""

from litellm.proxy._types import UserAPIKeyAuth

LITTLE = {"costly": {"budget_limit": 0.001, "time_period": "1d"}}
KEYS = {
    "sk-all": {},
    "sk-support-team": {"team_id": "support", "team_metadata": {"promptd_projects": ["support"]}},
    "sk-sales-team": {"team_id": "sales", "team_metadata": {"promptd_projects": "sales"}},
    "sk-both-projects": {"metadata": {"promptd_projects": ["support", "sales"]}},
    "sk-neither": {"metadata": {"promptd_projects": ["sales"]},
                   "team_id": "support", "team_metadata": {"promptd_projects": ["support"]}},
    "sk-misconfigured": {"metadata": {"promptd_projects": {"support": True}}},
    "sk-null": {"metadata": {"promptd_projects": None}},
    "sk-alias": {"models": ["cheap"], "aliases": {"better": "cheap"}},
    "sk-team-alias": {"team_id": "aliases", "team_models": ["cheap"],
                      "team_model_aliases": {"better": "cheap"}},
    "sk-cheap-key": {"models": ["cheap"]},
    "sk-cheap-team": {"team_id": "thrifty", "team_models": ["cheap"]},
    "sk-spent": {"max_budget": 3.0, "spend": 5.0},
    "sk-little-customer-budget": {"end_user_id": "c1", "end_user_model_max_budget": LITTLE},
    "sk-little-budget": {"model_max_budget": LITTLE},
    "sk-little-team-budget": {"team_id": "little", "team_model_max_budget": LITTLE},
}


async def user_api_key_auth(request, api_key):
    if api_key not in KEYS:
        raise PermissionError("unknown key")
    return UserAPIKeyAuth(**{"api_key": api_key, **KEYS[api_key]})
