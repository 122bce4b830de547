/* api_admin.c -- for whoever runs the server: how things stand, and a reload on demand. */
#include <stdlib.h>
#include <string.h>

#include "core/json_put.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/figures.h"
#include "server/job.h"
#include "server/metrics.h"
#include "server/status.h"

enum { BUSY_MS = 500 }; /* a look that takes so long is not waited for */

static void
post_job(const struct request *request, struct reply *reply, enum job_kind kind)
{
	const char *files = request->target.parameters[PARAMETER_FILES];
	reply->job = calloc(1, sizeof(*reply->job));
	if (reply->job == NULL) {
		reply_error(reply, 503, "Out of memory");
		return;
	}
	reply->job->kind = kind;
	reply->job->all_files = files != NULL && strcmp(files, "all") == 0;
}

/* Where a look hangs, as on a file server that is gone, the reload thread cannot answer. */
void
api_status(const struct request *request, struct reply *reply)
{
	const struct figures *figures = request->api->figures;
	long long began_ms = figures_get(figures, FIGURE_LOOK_BEGAN_MS);
	int64_t busy_ms = began_ms > 0 ? clock_ms() - began_ms : 0;
	if (busy_ms >= BUSY_MS)
		status_put_busy(request->snapshot, figures, busy_ms, &reply->body);
	else
		post_job(request, reply, JOB_STATUS);
}

void
api_reload(const struct request *request, struct reply *reply)
{
	post_job(request, reply, JOB_RELOAD);
}

void
api_metrics(const struct request *request, struct reply *reply)
{
	const struct api *api = request->api;
	struct metrics_terms terms = {
		.figures = api->figures,
		.traffic = api->traffic,
		.n_workers = api->n_workers,
		.snapshot = request->snapshot,
		.ready = api_why_not_ready(request) == NULL,
		.per_prompt = api->prompt_metrics,
	};
	metrics_put(&terms, &reply->body);
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
}

void
api_answer_job(struct job *job, struct reply *reply)
{
	reply->status = 200;
	if (job->kind == JOB_CREATE) {
		api_answer_creation(job, reply);
		return;
	}
	if (job->kind == JOB_RELOAD && !job->clean)
		reply->status = 422;
	reply->body = job->status;
	job->status = (struct buffer){0};
}

void
api_answer_late_job(const struct job *job, struct reply *reply)
{
	static const char *const messages[] = {
		[JOB_CREATE] = "The prompt is not served yet: look for it before you send it again",
		[JOB_RELOAD] = "The files are not settled yet: see /-/status for what holds them",
		[JOB_STATUS] = "A scan has taken 10 seconds so far: see /metrics",
	};
	reply_error(reply, 503, "%s", messages[job->kind]);
}
