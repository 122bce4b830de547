/* test_params.c -- tests of which request parameters a prompt must not set. */
#include "support.h"

#include "core/params.h"

/* What takes a request over. */
static const char *const requests[] = {
	"api_base",
	"base_url",
	"api_key",
	"api_version",
	"headers",
	"extra_headers",
	"extra_body",
	"mock_response",
	"fallbacks",
	"model",
	"messages",
	"callbacks",
	"guardrails",
	"metadata",
	"custom_llm_provider",
	"aws_access_key_id",
	"vertex_project",
	"azure_ad_token",
};

/* What LiteLLM's proxy refuses in the body of a request. */
static const char *const refused_by_litellm[] = {
	"agentcore_runtime_session_id",
	"annotation_cost_per_page",
	"anthropic-workspace-id",
	"anthropic_workspace_id",
	"arize_api_key",
	"arize_space_id",
	"aws_bedrock_project_id",
	"aws_profile_name",
	"aws_role_name",
	"aws_sts_endpoint",
	"bedrock_tags",
	"braintrust_api_key",
	"braintrust_host",
	"cache_creation_input_token_cost",
	"cache_read_input_token_cost",
	"citation_cost_per_token",
	"cost_per_second",
	"dd_agent_host",
	"dd_api_key",
	"dd_site",
	"deployment_url",
	"fireworks_forward_user_id",
	"gcs_bucket_name",
	"gcs_path_service_account",
	"google_maps_grounding_cost_per_query",
	"humanloop_api_key",
	"input_cost_per_token",
	"langfuse_environment",
	"langfuse_host",
	"langfuse_public_key",
	"langfuse_secret",
	"langfuse_secret_key",
	"langsmith_api_key",
	"langsmith_base_url",
	"langsmith_project",
	"langsmith_tenant_id",
	"lunary_public_key",
	"model_list",
	"newrelic_api_key",
	"newrelic_region",
	"nvcf_function_id",
	"ocr_cost_per_page",
	"output_cost_per_token",
	"output_vector_size",
	"posthog_api_key",
	"posthog_api_url",
	"posthog_host",
	"regional_endpoint_uplift_multiplier",
	"regional_processing_uplift_multiplier_eu",
	"rust",
	"s3_endpoint_url",
	"sagemaker_base_url",
	"search_context_cost_per_query",
	"signoz_ingestion_endpoint",
	"signoz_ingestion_key",
	"slack_webhook_url",
	"tiered_pricing",
	"turn_off_message_logging",
	"use_ssl",
	"user_api_key_auth_metadata",
	"litellm_metadata",
	"litellm_logging_obj",
	"context_window_fallbacks",
	"disable_global_guardrails",
	"input",
	"mock_tool_calls",
	"policies",
	"proxy_server_request",
	"router_settings_override",
	"secret_fields",
	"user_config",
	"vertex_ai_credentials",
	"vertex_credentials",
	"wandb_api_key",
	"weave_project_id",
	"workspace_id",
	"client_id",
	"client_secret",
	"tenant_id",
	"github_copilot_auth_type",
	"user_provider_credentials",
	"anthropic_disable_workload_identity_federation",
	"anthropic_federation_rule_id",
	"anthropic_identity_source",
	"anthropic_identity_token_file",
	"anthropic_issuer_url",
	"anthropic_keycloak_scope",
	"anthropic_organization_id",
	"anthropic_service_account_id",
	"openai_identity_provider_id",
	"openai_service_account_id",
	"litellm_credential_name",
};

static const char *const allowed[] = {
	"temperature",
	"max_tokens",
	"top_p",
	"tools",
	"tool_choice",
	"response_format",
	"stream",
	"user",
	"stop",
	"seed",
	"n",
	"reasoning_effort",
	"presence_penalty",
	"logprobs",
	"langfuse_prompt_version",
	"langsmith_sampling_rate",
	"",
	"api_bas",
	"my_api_base",
	"Model",
	"awsome",
};

static void
takeovers_are_forbidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(requests); i++)
		EXPECT(params_is_forbidden(requests[i]), "%s is allowed", requests[i]);
}

static void
what_litellm_refuses_is_forbidden(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(refused_by_litellm); i++)
		EXPECT(params_is_forbidden(refused_by_litellm[i]), "%s is allowed",
			refused_by_litellm[i]);
}

static void
settings_of_a_model_are_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(allowed); i++)
		EXPECT(!params_is_forbidden(allowed[i]), "%s is forbidden", allowed[i]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(takeovers_are_forbidden),
		cmocka_unit_test(what_litellm_refuses_is_forbidden),
		cmocka_unit_test(settings_of_a_model_are_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
