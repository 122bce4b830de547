/* waits.c -- the requests of a worker that wait for the reload thread. */
#include "server/waits.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>
#include <event2/http.h>

#include "server/access.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/creation.h"
#include "server/job.h"
#include "server/reloader.h"
#include "server/wake.h"

enum { LIMIT_SECONDS = 10 }; /* then it is answered with a 503 */

struct waiting {
	struct waiting *next;
	struct waits *waits;
	struct job *job;
	struct evhttp_request *request; /* NULL once it is answered or its connection is gone */
	struct event *deadline;
	struct access access;
};

struct waits {
	struct event_base *base;
	const struct api *api;
	waits_on_answer *on_answer;
	void *context;
	struct waiting *all;
	int wake;
	pthread_mutex_t lock; /* of the following */
	struct job *done; /* by the reload thread */
};

struct waits *
waits_new(struct event_base *base, const struct api *api, int wake, waits_on_answer *on_answer,
	void *context)
{
	struct waits *waits = calloc(1, sizeof(*waits));
	if (waits == NULL || pthread_mutex_init(&waits->lock, NULL) != 0) {
		free(waits);
		return NULL;
	}
	waits->base = base;
	waits->api = api;
	waits->wake = wake;
	waits->on_answer = on_answer;
	waits->context = context;
	return waits;
}

/* Free a wait, and its job, which the reload thread has not or has given back. */
static void
end(struct waits *waits, struct waiting *waiting)
{
	struct waiting **at = &waits->all;
	while (*at != waiting)
		at = &(*at)->next;
	*at = waiting->next;
	if (waiting->deadline != NULL)
		event_free(waiting->deadline);
	job_free(waiting->job);
	free(waiting);
}

static bool
is_write(const struct waiting *waiting)
{
	return waiting->job->kind == JOB_CREATE;
}

/* Send the reply, if there is still somebody to have it. */
static void
send_reply(struct waiting *waiting, struct reply *reply)
{
	struct evhttp_request *request = waiting->request;
	waiting->request = NULL;
	if (request != NULL)
		waiting->waits->on_answer(
			waiting->waits->context, request, reply, waiting->access.id);
	else
		reply_finish(reply);
}

static void
on_deadline(evutil_socket_t none, short events, void *context)
{
	struct waiting *waiting = context;
	struct reply reply = {0};
	(void)none;
	(void)events;
	if (waiting->request == NULL)
		return;
	api_answer_late_job(waiting->job, &reply);
	if (is_write(waiting) || waiting->waits->api->access_log)
		access_note(&waiting->access, &reply, NULL);
	send_reply(waiting, &reply);
}

/* Make a request's wait for a job, which is taken. NULL when memory is out. */
static struct waiting *
begin(struct waits *waits, struct evhttp_request *from, struct job *job)
{
	const struct timeval limit = {.tv_sec = LIMIT_SECONDS};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL) {
		job_free(job);
		return NULL;
	}
	waiting->next = waits->all;
	waiting->waits = waits;
	waiting->job = job;
	waiting->request = from;
	waits->all = waiting;
	waiting->deadline = evtimer_new(waits->base, on_deadline, waiting);
	if (waiting->deadline != NULL && evtimer_add(waiting->deadline, &limit) == 0)
		return waiting;
	end(waits, waiting);
	return NULL;
}

/* Whether the job may be done: a write has to be on record first. */
static bool
is_on_record(struct waiting *waiting)
{
	const struct creation *creation = (const struct creation *)(const void *)waiting->job;
	if (!is_write(waiting))
		return true;
	snprintf(waiting->access.file, sizeof(waiting->access.file), "%s", creation->path);
	return access_note_write(&waiting->access);
}

/* Called on the reload thread. */
static void
on_job_done(struct job *job)
{
	const struct waiting *waiting = job->owner;
	struct waits *waits = waiting->waits;
	pthread_mutex_lock(&waits->lock);
	job->next = waits->done;
	waits->done = job;
	pthread_mutex_unlock(&waits->lock);
	wake_ring(waits->wake);
}

void
waits_add(struct waits *waits, struct evhttp_request *from, const struct request *request,
	int64_t start_us, struct reply *reply)
{
	struct job *job = reply->job;
	struct waiting *waiting = begin(waits, from, job);
	reply->job = NULL;
	if (waiting == NULL) {
		reply_error(reply, 503, "Out of memory");
		return;
	}
	access_of(request, start_us, &waiting->access);
	if (!is_on_record(waiting)) {
		end(waits, waiting);
		reply_error(reply, 503, "The audit log cannot be written, so nothing was created");
		return;
	}
	reply->job = job;
	job->owner = waiting;
	job->on_done = on_job_done;
	reloader_post(waits->api->reloader, job);
}

void
waits_forget(struct waits *waits, struct evhttp_request *request)
{
	for (struct waiting *waiting = waits->all; waiting != NULL; waiting = waiting->next) {
		if (waiting->request != request)
			continue;
		if (evhttp_request_get_connection(request) == NULL)
			evhttp_request_free(request); /* evhttp left it to us */
		waiting->request = NULL;
	}
}

static void
answer(struct waiting *waiting)
{
	struct reply reply = {0};
	api_answer_job(waiting->job, &reply);
	bool is_due = is_write(waiting) || waiting->waits->api->access_log;
	bool is_noted = !is_due || access_note(&waiting->access, &reply, NULL);
	if (!is_noted && is_write(waiting) && reply.status == 200)
		reply_error(&reply, 500, "The prompt is created, but the audit log lacks its end");
	send_reply(waiting, &reply);
	end(waiting->waits, waiting);
}

void
waits_answer(struct waits *waits)
{
	pthread_mutex_lock(&waits->lock);
	struct job *jobs = waits->done;
	waits->done = NULL;
	pthread_mutex_unlock(&waits->lock);
	for (struct job *job = jobs, *next; job != NULL; job = next) {
		next = job->next;
		answer(job->owner);
	}
}

void
waits_free(struct waits *waits)
{
	if (waits == NULL)
		return;
	waits_answer(waits); /* what was written is noted */
	while (waits->all != NULL)
		end(waits, waits->all);
	pthread_mutex_destroy(&waits->lock);
	free(waits);
}
