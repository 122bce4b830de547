/* api_health.c -- whether the process lives, and whether it should get traffic. */
#include "core/json_put.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "server/api.h"

enum { SHOWN_PROBLEMS = 100 };

static void
put_problems(struct buffer *out, const struct snapshot *snapshot)
{
	json_put_key(out, "problems");
	buffer_putc(out, '[');
	for (size_t i = 0; i < snapshot->n_problems && i < SHOWN_PROBLEMS; i++) {
		struct buffer text = {0};
		problem_put(&snapshot->problems[i], &text);
		buffer_puts(out, i > 0 ? "," : "");
		json_put_string(out, text.failed ? "" : text.data);
		out->failed |= text.failed;
		buffer_finish(&text);
	}
	buffer_putc(out, ']');
}

/* Never fails for a bad prompt file: that would restart a process that serves its last good version. */
void
api_health(const struct request *request, struct reply *reply)
{
	const struct snapshot *snapshot = request->snapshot;
	struct buffer *out = &reply->body;
	buffer_puts(out,
		"{\"status\":\"healthy\",\"service\":\"promptd\",\"version\":\"" PROMPTD_VERSION
		"\"");
	if (snapshot != NULL && api_sees_all(request)) {
		buffer_printf(out, ",\"prompts\":%zu,\"revision\":\"%s\"", snapshot->n_groups,
			snapshot->revision);
		json_put_key(out, "source_revision");
		json_put_string(out, snapshot->source_revision);
		put_problems(out, snapshot);
	}
	buffer_putc(out, '}');
}

const char *
api_why_not_ready(const struct request *request)
{
	const struct snapshot *snapshot = request->snapshot;
	const struct api *api = request->api;
	if (atomic_load_explicit(&api->draining, memory_order_relaxed))
		return "draining";
	if (snapshot == NULL)
		return "loading";
	if (snapshot->n_prompts == 0 && !api->allow_empty)
		return "no prompts";
	if (api->ready_when_clean && !snapshot->was_clean)
		return "files have problems";
	return NULL;
}

void
api_ready(const struct request *request, struct reply *reply)
{
	const char *reason = api_why_not_ready(request);
	reply->status = reason == NULL ? 200 : 503;
	if (reason == NULL)
		reason = "ready";
	else if (!api_sees_all(request))
		reason = "not ready";
	buffer_puts(&reply->body, "{\"status\":");
	json_put_string(&reply->body, reason);
	buffer_putc(&reply->body, '}');
}
