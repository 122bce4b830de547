/* params.c -- which request parameters a prompt must not set. */
#include "core/params.h"

#include <stddef.h>

/* The first group replaces what the request asks or where it goes; the second is what LiteLLM's proxy
 * refuses in request bodies (is_request_body_safe in its proxy/auth/auth_utils.py, versions 1.106 to 1.108):
 * credentials, end points, where records of the call go, and what it is said to have cost. */
static const char *const patterns[] = {
	"api_base",
	"api_key",
	"api_version",
	"base_url",
	"callbacks",
	"custom_llm_provider",
	"extra_body",
	"extra_headers",
	"*fallbacks",
	"disable_*",
	"guardrails",
	"headers",
	"input",
	"litellm_*",
	"messages",
	"*metadata",
	"mock_*",
	"model",
	"policies",
	"proxy_server_request",
	"router_settings_override",
	"secret_fields",
	"user_api_key*",
	"aws_*",
	"azure_*",
	"vertex_*",

	"agentcore_runtime_session_id",
	"anthropic-workspace-id",
	"anthropic_*identity*",
	"anthropic_federation_*",
	"anthropic_issuer_*",
	"anthropic_keycloak_*",
	"anthropic_organization_id",
	"anthropic_service_account_id",
	"anthropic_workspace_id",
	"arize_*",
	"bedrock_tags",
	"braintrust_*",
	"dd_*",
	"client_id",
	"client_secret",
	"deployment_url",
	"fireworks_forward_user_id",
	"gcs_*",
	"github_copilot_*",
	"humanloop_api_key",
	"langfuse_environment",
	"langfuse_host",
	"langfuse_public_key",
	"langfuse_secret*",
	"langsmith_api_key",
	"langsmith_base_url",
	"langsmith_project",
	"langsmith_tenant_id",
	"lunary_public_key",
	"model_list",
	"newrelic_*",
	"nvcf_function_id",
	"openai_identity_*",
	"openai_service_account_id",
	"output_vector_size",
	"posthog_*",
	"regional_*",
	"rust",
	"s3_endpoint_url",
	"sagemaker_base_url",
	"signoz_*",
	"slack_webhook_url",
	"tenant_id",
	"tiered_pricing",
	"turn_off_message_logging",
	"use_ssl",
	"user_config",
	"user_provider_credentials",
	"wandb_api_key",
	"weave_project_id",
	"workspace_id",
	"*cost*",
};

/* Whether a name matches a pattern, in which * stands for any characters. */
static bool
matches(const char *pattern, const char *name)
{
	for (; *pattern != '*'; pattern++, name++) {
		if (*pattern != *name)
			return false;
		if (*name == '\0')
			return true;
	}
	for (; *name != '\0'; name++)
		if (matches(pattern + 1, name))
			return true;
	return matches(pattern + 1, name);
}

bool
params_is_forbidden(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if ((*patterns[i] == *name || *patterns[i] == '*') && matches(patterns[i], name))
			return true;
	return false;
}

void
params_each_forbidden(params_on_pattern *on_pattern, void *context)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		on_pattern(context, patterns[i]);
}
