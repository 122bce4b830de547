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
	if (snapshot != NULL) {
		buffer_printf(out, ",\"prompts\":%zu,\"revision\":\"%s\"", snapshot->n_groups,
			snapshot->revision);
		put_problems(out, snapshot);
	}
	buffer_putc(out, '}');
}

void
api_ready(const struct request *request, struct reply *reply)
{
	const struct snapshot *snapshot = request->snapshot;
	const char *reason = NULL;
	if (atomic_load_explicit(&request->api->draining, memory_order_relaxed))
		reason = "draining";
	else if (snapshot == NULL)
		reason = "loading";
	else if (snapshot->n_prompts == 0 && !request->api->allow_empty)
		reason = "no prompts";
	reply->status = reason == NULL ? 200 : 503;
	buffer_puts(&reply->body, "{\"status\":");
	json_put_string(&reply->body, reason == NULL ? "ready" : reason);
	buffer_putc(&reply->body, '}');
}
