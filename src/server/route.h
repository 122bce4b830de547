/* route.h -- what a request target asks for. */
#pragma once

struct arena;
struct error;

enum endpoint {
	ENDPOINT_NONE,
	ENDPOINT_LITELLM, /* /beta/litellm_prompt_management */
	ENDPOINT_HEALTH, /* /health */
	ENDPOINT_READY, /* /ready */
	ENDPOINT_PROMPTS, /* /prompts */
	ENDPOINT_PROMPT, /* /prompts/{id} */
	ENDPOINT_VARIABLES, /* /prompts/{id}/variables */
	ENDPOINT_RENDER, /* /prompts/{id}/render */
	ENDPOINT_METRICS, /* /metrics */
	ENDPOINT_STATUS, /* /-/status */
	ENDPOINT_RELOAD, /* /-/reload */
	ENDPOINT_OPENAPI, /* /openapi.json */
	ENDPOINT_SERVER, /* *, which is none of them (RFC 9112 section 3.2.4) */
	N_ENDPOINTS
};

enum parameter {
	PARAMETER_PROMPT_ID,
	PARAMETER_PROJECT_NAME,
	PARAMETER_SLUG,
	PARAMETER_VERSION,
	PARAMETER_LABEL,
	PARAMETER_ENVIRONMENT,
	PARAMETER_LIMIT,
	PARAMETER_CURSOR,
	PARAMETER_FILES,
	N_PARAMETERS
};

/* Decoded texts are UTF-8 without NUL and control characters, in the arena. */
struct target {
	enum endpoint endpoint;
	const char *id; /* from the path; with its @version or @label */
	/* NULL where absent; of a repeated one the last counts. An empty one is absent too, save
	 * prompt_id. */
	const char *parameters[N_PARAMETERS];
};

/* Take a request target (RFC 9112 section 3.2) apart: each path segment is decoded once, so that an
 * id's slashes may be literal or %2F; '+' is a space in the query alone. Returns -1 with an error where
 * it is malformed or memory is out. */
int route_parse(struct arena *, const char *uri, struct target *, struct error *);

const char *route_parameter_name(enum parameter);
