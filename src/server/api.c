/* api.c -- which handler answers a request, and who may have it. */
#include "server/api.h"

#include <stdio.h>

#include "server/api_reply.h"

/* Who may call a handler, and when. */
enum need {
	OPEN, /* anyone, at any time */
	ADMIN, /* with a token, at any time */
	SNAPSHOT, /* with a token, once prompts are published */
};

static const struct row {
	enum endpoint endpoint;
	enum method method; /* HEAD goes wherever GET does */
	enum need need;
	void (*answer)(const struct request *, struct reply *);
} rows[] = {
	{ENDPOINT_LITELLM,   METHOD_GET,  SNAPSHOT, api_litellm  },
	{ENDPOINT_HEALTH,    METHOD_GET,  OPEN,     api_health   },
	{ENDPOINT_READY,     METHOD_GET,  OPEN,     api_ready    },
	{ENDPOINT_PROMPTS,   METHOD_GET,  SNAPSHOT, api_list     },
	{ENDPOINT_PROMPTS,   METHOD_POST, SNAPSHOT, api_write    },
	{ENDPOINT_PROMPT,    METHOD_GET,  SNAPSHOT, api_prompt   },
	{ENDPOINT_VARIABLES, METHOD_GET,  SNAPSHOT, api_variables},
	{ENDPOINT_RENDER,    METHOD_POST, SNAPSHOT, api_render   },
	{ENDPOINT_METRICS,   METHOD_GET,  ADMIN,    api_metrics  },
	{ENDPOINT_STATUS,    METHOD_GET,  ADMIN,    api_status   },
	{ENDPOINT_RELOAD,    METHOD_POST, ADMIN,    api_reload   },
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct row *
find_row(enum endpoint endpoint, enum method method)
{
	if (method == METHOD_HEAD)
		method = METHOD_GET;
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].endpoint == endpoint && rows[i].method == method)
			return &rows[i];
	return NULL;
}

/* There is no such path, or not with that method. */
static void
refuse(const struct request *request, struct reply *reply)
{
	bool get = find_row(request->target.endpoint, METHOD_GET) != NULL;
	bool post = find_row(request->target.endpoint, METHOD_POST) != NULL;
	if (!get && !post) {
		reply_error(reply, 404, "Not Found");
		return;
	}
	reply->allow = !post ? "GET, HEAD" : get ? "GET, HEAD, POST" : "POST";
	reply_error(reply, 405, "Method Not Allowed");
}

static bool
is_authorized(const struct request *request, struct reply *reply)
{
	enum auth_result result = auth_check(&request->api->auth, request->authorization);
	if (result == AUTH_GRANTED)
		return true;
	reply_error(reply, 401, "%s",
		result == AUTH_MALFORMED
			? "Invalid authorization header format. Expected 'Bearer <token>'"
			: "Invalid API key");
	reply->authenticate = true;
	return false;
}

void
api_answer(struct request *request, struct reply *reply)
{
	const struct row *row = find_row(request->target.endpoint, request->method);
	reply->status = 200;
	if (row == NULL) {
		refuse(request, reply);
	} else if (row->need == OPEN) {
		row->answer(request, reply);
	} else if (is_authorized(request, reply)) {
		if (row->need == ADMIN || request->snapshot != NULL)
			row->answer(request, reply);
		else
			reply_error(reply, 503, "The prompts are being loaded");
	}
}
