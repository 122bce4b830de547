/* api.c -- which handler answers a request, and who may have it. */
#include "server/api.h"

#include <stdio.h>
#include <string.h>

#include "core/tokens.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/limit.h"

/* What a handler needs. */
enum need {
	OPEN = 0, /* anyone may call it, at any time */
	SNAPSHOT = 8, /* once prompts are published; together with a right */
};

static const struct row {
	enum endpoint endpoint;
	enum method method; /* HEAD goes wherever GET does */
	unsigned need; /* a right, and SNAPSHOT */
	void (*answer)(const struct request *, struct reply *);
} rows[] = {
	{ENDPOINT_LITELLM,   METHOD_GET,  RIGHT_READ | SNAPSHOT,  api_litellm  },
	{ENDPOINT_HEALTH,    METHOD_GET,  OPEN,                   api_health   },
	{ENDPOINT_READY,     METHOD_GET,  OPEN,                   api_ready    },
	{ENDPOINT_PROMPTS,   METHOD_GET,  RIGHT_READ | SNAPSHOT,  api_list     },
	{ENDPOINT_PROMPTS,   METHOD_POST, RIGHT_WRITE | SNAPSHOT, api_write    },
	{ENDPOINT_PROMPT,    METHOD_GET,  RIGHT_READ | SNAPSHOT,  api_prompt   },
	{ENDPOINT_VARIABLES, METHOD_GET,  RIGHT_READ | SNAPSHOT,  api_variables},
	{ENDPOINT_RENDER,    METHOD_POST, RIGHT_READ | SNAPSHOT,  api_render   },
	{ENDPOINT_METRICS,   METHOD_GET,  RIGHT_ADMIN,            api_metrics  },
	{ENDPOINT_STATUS,    METHOD_GET,  RIGHT_ADMIN,            api_status   },
	{ENDPOINT_RELOAD,    METHOD_POST, RIGHT_ADMIN,            api_reload   },
	{ENDPOINT_OPENAPI,   METHOD_GET,  RIGHT_READ,             api_openapi  },
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Whether a row is behind the door that a request came in by. */
static bool
is_behind(const struct row *row, const struct door *door)
{
	bool admin = (row->need & RIGHT_ADMIN) != 0;
	return row->need == OPEN || door->kind == DOOR_BOTH || admin == (door->kind == DOOR_ADMIN);
}

static const struct row *
find_row(enum endpoint endpoint, enum method method, const struct door *door)
{
	if (method == METHOD_HEAD)
		method = METHOD_GET;
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].endpoint == endpoint && rows[i].method == method &&
			is_behind(&rows[i], door))
			return &rows[i];
	return NULL;
}

/* There is no such path, or not with that method; or it is asked which there are. */
static void
refuse(const struct request *request, struct reply *reply)
{
	bool get = find_row(request->target.endpoint, METHOD_GET, &request->door) != NULL;
	bool post = find_row(request->target.endpoint, METHOD_POST, &request->door) != NULL;
	if (request->target.endpoint == ENDPOINT_SERVER)
		get = post = true;
	if (!get && !post) {
		reply_error(reply, 404, "Not Found");
		return;
	}
	reply->allow = !post ? "GET, HEAD, OPTIONS"
		       : get ? "GET, HEAD, POST, OPTIONS"
			     : "POST, OPTIONS";
	if (request->method == METHOD_OPTIONS)
		reply->status = 204;
	else
		reply_error(reply, 405, "Method Not Allowed");
}

/* Refuse a token that is none. Who tries many is told to wait, which a good token never is. */
static void
refuse_token(const struct request *request, struct reply *reply, enum auth_result result)
{
	static const struct rate failures = {.per_minute = 10, .burst = 20};
	struct limit *limit = result == AUTH_UNKNOWN ? request->api->failures : NULL;
	if (limit != NULL)
		reply->retry_after_ms = limit_take(
			limit, limit_key_of_address(request->peer), &failures, clock_ms());
	if (reply->retry_after_ms > 0) {
		reply_error(
			reply, 429, "Too many requests with wrong tokens from %s", request->peer);
		return;
	}
	reply_error(reply, 401, "%s",
		result == AUTH_MALFORMED
			? "Invalid authorization header format. Expected 'Bearer <token>'"
			: "Invalid API key");
	reply->authenticate = true;
}

static const char *
name_of(enum right right)
{
	return right == RIGHT_READ ? "read" : right == RIGHT_WRITE ? "write" : "admin";
}

bool
api_sees_all(const struct request *request)
{
	return request->token == NULL || request->token->projects == NULL;
}

/* Tell only what is no secret to somebody without a token. */
static void
answer_anyone(const struct request *request, struct reply *reply, const struct row *row)
{
	static const char *const no_projects[] = {NULL};
	static const struct token nobody = {.name = "", .projects = no_projects};
	struct request reduced = *request;
	reduced.token = &nobody;
	reply->restricted = true;
	row->answer(&reduced, reply);
}

/* Refuse more requests with a token than it may make. */
static bool
refuse_flood(const struct request *request, struct reply *reply)
{
	const struct token *token = request->token;
	if (token == NULL || token->rate_limit == 0)
		return false;
	const struct rate rate = {.per_minute = token->rate_limit * 60, .burst = token->rate_limit};
	reply->retry_after_ms = limit_take(
		request->api->requests, limit_key_of_name(token->name), &rate, clock_ms());
	if (reply->retry_after_ms > 0)
		reply_error(reply, 429, "The token '%s' may make %u requests a second", token->name,
			token->rate_limit);
	return reply->retry_after_ms > 0;
}

/* Answer a request whose token, if one was needed, is known. */
static void
answer(const struct request *request, struct reply *reply, const struct row *row)
{
	unsigned right = row->need & ~(unsigned)SNAPSHOT;
	const struct token *token = request->token;
	reply->restricted = !api_sees_all(request);
	if (row->need != OPEN && refuse_flood(request, reply))
		return;
	if (token != NULL && (token->rights & right) != right)
		reply_error(reply, 403, "The token '%s' has not the right '%s'", token->name,
			name_of((enum right)right));
	else if ((row->need & SNAPSHOT) != 0 && request->snapshot == NULL)
		reply_error(reply, 503, "The prompts are being loaded");
	else
		row->answer(request, reply);
}

/* Whether a Host, with its port or without, is a name of this machine for itself. */
static bool
is_loopback_name(const char *host)
{
	static const char *const names[] = {"localhost", "[::1]"};
	size_t length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == length && strncasecmp(host, names[i], length) == 0)
			return true;
	return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == length;
}

/* Whether a request comes from a page of this very server, or of none (RFC 6454 section 7). */
static bool
is_own_origin(const struct request *request)
{
	static const char *const schemes[] = {"http://", "https://"};
	const char *origin = request->origin;
	for (size_t i = 0; origin != NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t length = strlen(schemes[i]);
		if (strncasecmp(origin, schemes[i], length) == 0 && request->host != NULL &&
			strcasecmp(origin + length, request->host) == 0)
			return true;
	}
	return origin == NULL;
}

/* Refuse what a page in somebody's browser makes it ask: under a name that leads here (DNS rebinding), or from elsewhere to
 * write. */
static bool
refuse_stranger(const struct request *request, struct reply *reply, const struct row *row)
{
	bool writes = (row->need & (RIGHT_WRITE | RIGHT_ADMIN)) != 0 && row->method == METHOD_POST;
	if (request->door.loopback_names && request->host != NULL &&
		!is_loopback_name(request->host))
		reply_error(reply, 403,
			"Host '%s' is no name of this machine for itself: ask for 127.0.0.1, or "
			"start promptd with --tokens-file or --allow-anonymous",
			reply_shown(request, request->host));
	else if (writes && !is_own_origin(request))
		reply_error(reply, 403, "Origin '%s' is another site: its pages may not write here",
			reply_shown(request, request->origin));
	return reply->status == 403;
}

/* Judge who asks. Reading behind the door for it needs no token. */
static enum auth_result
judge(struct request *request, const struct row *row)
{
	const struct auth *auth = request->api->auth;
	bool is_guarded = request->door.kind == DOOR_ADMIN && row->method == METHOD_GET;
	if (auth == NULL || is_guarded)
		return AUTH_GRANTED;
	enum auth_result result = auth_check(
		auth, request->tokens, request->authorization, request->digest, &request->token);
	if (result == AUTH_GRANTED || row->need != OPEN)
		return result;
	/* a wrong token is none here */
	return auth_check(auth, request->tokens, NULL, request->digest, &request->token);
}

void
api_answer(struct request *request, struct reply *reply)
{
	const struct row *row = find_row(request->target.endpoint, request->method, &request->door);
	reply->status = 200;
	if (row == NULL) {
		refuse(request, reply);
		return;
	}
	if (refuse_stranger(request, reply, row))
		return;
	enum auth_result result = judge(request, row);
	if (result == AUTH_GRANTED)
		answer(request, reply, row);
	else if (row->need == OPEN)
		answer_anyone(request, reply, row);
	else
		refuse_token(request, reply, result);
}
