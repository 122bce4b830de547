/* http.c -- a worker: a thread that answers requests from its own socket through evhttp. */
#include "server/http.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "core/arena.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/reloader.h"

enum {
	MAX_HEADER_BYTES = 32 * 1024,
	MAX_BODY_BYTES = 1024 * 1024,
	IDLE_SECONDS = 75, /* longer than the keep-alive of usual clients */
	JOB_SECONDS = 10, /* then a request that waits for the reload thread gets a 503 */
	DRAIN_LEAST_MS = 100, /* requests on their way when draining begins are answered */
	DRAIN_MOST_MS = 10000, /* what is not done by then is cut */
	DRAIN_CHECK_MS = 20,
};

struct worker {
	struct api *api;
	struct event_base *base;
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	struct event *on_wake, *on_drain;
	struct arena *arena; /* of the request being answered */
	struct digest *digest;
	size_t in_flight; /* requests whose reply is not yet out */
	int64_t drain_began_ms;

	int wake; /* an eventfd */
	atomic_bool draining;
	pthread_mutex_t lock; /* of the list */
	struct job *done; /* by the reload thread */
	pthread_t thread;
	bool started;
};

/* A request that waits for the reload thread. */
struct waiting {
	struct worker *worker;
	struct job *job;
	struct evhttp_request *request; /* NULL once its deadline has passed */
	struct event *deadline;
};

static const char *
reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"                    },
		{304, "Not Modified"          },
		{400, "Bad Request"           },
		{401, "Unauthorized"          },
		{403, "Forbidden"             },
		{404, "Not Found"             },
		{405, "Method Not Allowed"    },
		{409, "Conflict"              },
		{415, "Unsupported Media Type"},
		{422, "Unprocessable Content" },
		{500, "Internal Server Error" },
		{503, "Service Unavailable"   },
		{507, "Insufficient Storage"  },
	};
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

static enum method
method_of(struct evhttp_request *request)
{
	switch (evhttp_request_get_command(request)) {
	case EVHTTP_REQ_GET:
		return METHOD_GET;
	case EVHTTP_REQ_HEAD:
		return METHOD_HEAD;
	case EVHTTP_REQ_POST:
		return METHOD_POST;
	default:
		return METHOD_OTHER;
	}
}

static void
add_header(struct evhttp_request *request, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

static const char *
find_header(struct evhttp_request *request, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(request), name);
}

/* Whether If-None-Match (RFC 9110 section 13.1.2) names an ETag; the comparison is weak. */
static bool
names_etag(const char *header, const char *etag)
{
	size_t length = strlen(etag);
	while (header != NULL && *header != '\0') {
		header += strspn(header, " \t,");
		if (*header == '*')
			return true;
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		if (strncmp(header, etag, length) == 0)
			return true;
		header += strcspn(header, ",");
	}
	return false;
}

static void
on_unit_sent(const void *data, size_t length, void *unit)
{
	(void)data;
	(void)length;
	unit_unref(unit);
}

static void
on_body_sent(const void *data, size_t length, void *body)
{
	(void)data;
	(void)length;
	free(body);
}

/* Hand a reply's bytes over without copying them. */
static void
move_body(struct reply *reply, struct evbuffer *out)
{
	const struct prompt *prompt = reply->prompt;
	if (prompt != NULL) {
		struct unit *unit = unit_ref(prompt->unit);
		if (evbuffer_add_reference(
			    out, prompt->answer, prompt->answer_length, on_unit_sent, unit) != 0)
			unit_unref(unit);
	} else if (reply->body.length > 0 &&
		   evbuffer_add_reference(out, reply->body.data, reply->body.length, on_body_sent,
			   reply->body.data) == 0) {
		reply->body = (struct buffer){0};
	}
}

static size_t
body_length(const struct reply *reply)
{
	return reply->prompt != NULL ? reply->prompt->answer_length : reply->body.length;
}

/* The ETag of a reply's bytes: a prompt's answer has its own. */
static void
find_etag(struct worker *worker, const struct reply *reply, char etag[ETAG_BYTES])
{
	unsigned char digest[DIGEST_BYTES];
	*etag = '\0';
	if (reply->prompt != NULL) {
		memcpy(etag, reply->prompt->etag, ETAG_BYTES);
		return;
	}
	digest_add(worker->digest, reply->body.data, reply->body.length);
	if (digest_take(worker->digest, digest) == 0)
		digest_etag(digest, etag);
}

/* Add what every read carries; a client that has these very bytes is told so instead. */
static void
finish_read(struct worker *worker, struct evhttp_request *request, struct reply *reply,
	const struct snapshot *snapshot)
{
	char etag[ETAG_BYTES];
	find_etag(worker, reply, etag);
	if (*etag != '\0')
		add_header(request, "ETag", etag);
	if (snapshot != NULL)
		add_header(request, "Prompts-Revision", snapshot->revision);
	if (*etag != '\0' && names_etag(find_header(request, "If-None-Match"), etag))
		reply->status = 304;
}

static void
on_reply_sent(struct evhttp_request *request, void *context)
{
	struct worker *worker = context;
	worker->in_flight--;
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
}

static void
on_closed_early(struct evhttp_connection *connection, void *context)
{
	struct worker *worker = context;
	(void)connection;
	worker->in_flight--;
}

static void
add_headers(struct worker *worker, struct evhttp_request *request, const struct reply *reply)
{
	if (reply->status != 304)
		add_header(request, "Content-Type", "application/json");
	add_header(request, "Cache-Control", "no-cache");
	add_header(request, "X-Content-Type-Options", "nosniff");
	if (worker->api->auth.tokens != NULL)
		add_header(request, "Vary", "Authorization");
	if (reply->authenticate)
		add_header(request, "WWW-Authenticate", "Bearer");
	if (reply->allow != NULL)
		add_header(request, "Allow", reply->allow);
	if (atomic_load_explicit(&worker->draining, memory_order_relaxed))
		add_header(request, "Connection", "close");
}

/* Send a reply and finish it. The snapshot is the one that the reply is made from. */
static void
send_reply(struct worker *worker, struct evhttp_request *request, struct reply *reply,
	const struct snapshot *snapshot)
{
	enum method method = method_of(request);
	bool is_head = method == METHOD_HEAD;
	if (reply->body.failed) {
		buffer_finish(&reply->body);
		reply->status = 503;
		reply->prompt = NULL;
	}
	if (reply->status == 200 && (is_head || method == METHOD_GET))
		finish_read(worker, request, reply, snapshot);
	add_headers(worker, request, reply);
	struct evbuffer *out = evbuffer_new();
	if (is_head) {
		char length[24]; /* evhttp sends a body that it is given, also to HEAD */
		snprintf(length, sizeof(length), "%zu", body_length(reply));
		add_header(request, "Content-Length", length);
	} else if (out != NULL && reply->status != 304) {
		move_body(reply, out);
	}
	evhttp_send_reply(request, reply->status, reason_phrase(reply->status), out);
	if (out != NULL)
		evbuffer_free(out);
	buffer_finish(&reply->body);
}

/* Called on the reload thread. */
static void
on_job_done(struct job *job)
{
	const struct waiting *waiting = job->owner;
	struct worker *worker = waiting->worker;
	const uint64_t one = 1;
	pthread_mutex_lock(&worker->lock);
	job->next = worker->done;
	worker->done = job;
	pthread_mutex_unlock(&worker->lock);
	while (write(worker->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void
on_deadline(evutil_socket_t none, short events, void *context)
{
	struct waiting *waiting = context;
	struct reply reply = {0};
	(void)none;
	(void)events;
	api_answer_late_job(&reply);
	send_reply(waiting->worker, waiting->request, &reply, NULL);
	waiting->request = NULL;
}

static void
waiting_free(struct waiting *waiting)
{
	if (waiting == NULL)
		return;
	if (waiting->deadline != NULL)
		event_free(waiting->deadline);
	free(waiting->job);
	free(waiting);
}

/* Let a request wait for its job, which is taken. Returns -1 when memory is out. */
static int
wait_for_job(struct worker *worker, struct evhttp_request *request, struct job *job)
{
	const struct timeval limit = {.tv_sec = JOB_SECONDS};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL) {
		free(job);
		return -1;
	}
	*waiting = (struct waiting){.worker = worker, .job = job, .request = request};
	waiting->deadline = evtimer_new(worker->base, on_deadline, waiting);
	if (waiting->deadline == NULL || evtimer_add(waiting->deadline, &limit) != 0) {
		waiting_free(waiting);
		return -1;
	}
	job->owner = waiting;
	job->on_done = on_job_done;
	reloader_post(worker->api->reloader, job);
	return 0;
}

static void
answer_done_jobs(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	struct job *jobs = worker->done;
	worker->done = NULL;
	pthread_mutex_unlock(&worker->lock);
	for (struct job *job = jobs, *next; job != NULL; job = next) {
		struct waiting *waiting = job->owner;
		struct reply reply = {0};
		next = job->next;
		if (waiting->request != NULL) {
			api_answer_job(job, &reply);
			send_reply(worker, waiting->request, &reply, NULL);
		}
		waiting_free(waiting);
	}
}

/* Fill in what the handlers may know of a request. Returns -1 with an error where it is malformed. */
static int
read_request(struct worker *worker, struct evhttp_request *from, struct request *request,
	struct error *error)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(from);
	size_t length = evbuffer_get_length(body);
	*request = (struct request){
		.api = worker->api,
		.method = method_of(from),
		.authorization = find_header(from, "Authorization"),
		.content_type = find_header(from, "Content-Type"),
		.body = length > 0 ? (const char *)evbuffer_pullup(body, -1) : "",
		.body_length = length,
		.arena = worker->arena,
	};
	if (request->body == NULL) {
		error_set(error, "out of memory");
		return -1;
	}
	return route_parse(worker->arena, evhttp_request_get_uri(from), &request->target, error);
}

static void
on_request(struct evhttp_request *from, void *context)
{
	struct worker *worker = context;
	struct request request;
	struct reply reply = {0};
	struct error error;
	arena_reset(worker->arena);
	worker->in_flight++;
	evhttp_request_set_on_complete_cb(from, on_reply_sent, worker);
	evhttp_connection_set_closecb(evhttp_request_get_connection(from), on_closed_early, worker);
	const struct snapshot *snapshot = store_acquire(worker->api->store);
	if (read_request(worker, from, &request, &error) != 0) {
		reply_error(&reply, 400, "Bad request target: %s", error.message);
	} else {
		request.snapshot = snapshot;
		api_answer(&request, &reply);
	}
	if (reply.job == NULL) {
		send_reply(worker, from, &reply, snapshot);
	} else if (wait_for_job(worker, from, reply.job) != 0) {
		reply_error(&reply, 503, "Out of memory");
		send_reply(worker, from, &reply, snapshot);
	}
	store_release(worker->api->store, snapshot);
}

/* End once nothing is under way any more, or when it takes too long. */
static void
on_drain_check(evutil_socket_t none, short events, void *context)
{
	const struct timeval again = {.tv_usec = DRAIN_CHECK_MS * 1000};
	struct worker *worker = context;
	int64_t elapsed = clock_ms() - worker->drain_began_ms;
	(void)none;
	(void)events;
	/* What the kernel had queued is accepted by now: this timer ran after the socket's event. */
	if (worker->bound != NULL)
		evhttp_del_accept_socket(worker->http, worker->bound);
	worker->bound = NULL;
	bool done = worker->in_flight == 0 && elapsed >= DRAIN_LEAST_MS;
	if (done || elapsed >= DRAIN_MOST_MS || evtimer_add(worker->on_drain, &again) != 0)
		event_base_loopbreak(worker->base);
}

static void
on_wake(evutil_socket_t descriptor, short events, void *context)
{
	const struct timeval now = {0};
	struct worker *worker = context;
	uint64_t count;
	(void)events;
	if (read(descriptor, &count, sizeof(count)) < 0)
		return;
	answer_done_jobs(worker);
	if (!atomic_load(&worker->draining) || worker->drain_began_ms != 0)
		return;
	worker->drain_began_ms = clock_ms();
	evtimer_add(worker->on_drain, &now);
}

static int
set_up_http(struct worker *worker, int socket)
{
	worker->http = evhttp_new(worker->base);
	if (worker->http == NULL)
		return -1;
	evhttp_set_timeout(worker->http, IDLE_SECONDS);
	evhttp_set_max_headers_size(worker->http, MAX_HEADER_BYTES);
	evhttp_set_max_body_size(worker->http, MAX_BODY_BYTES);
	evhttp_set_allowed_methods(worker->http, 0xffff); /* the 405 is ours to answer */
	evhttp_set_gencb(worker->http, on_request, worker);
	worker->bound = evhttp_accept_socket_with_handle(worker->http, socket);
	return worker->bound != NULL ? 0 : -1;
}

static int
set_up(struct worker *worker, int socket)
{
	worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->base = event_base_new();
	worker->arena = arena_new();
	worker->digest = digest_new();
	if (worker->wake < 0 || worker->base == NULL || worker->arena == NULL ||
		worker->digest == NULL)
		return -1;
	worker->on_wake =
		event_new(worker->base, worker->wake, EV_READ | EV_PERSIST, on_wake, worker);
	worker->on_drain = evtimer_new(worker->base, on_drain_check, worker);
	if (worker->on_wake == NULL || worker->on_drain == NULL ||
		event_add(worker->on_wake, NULL) != 0)
		return -1;
	return set_up_http(worker, socket);
}

struct worker *
worker_new(struct api *api, int socket, struct error *error)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	if (worker == NULL) {
		error_set(error, "out of memory");
		return NULL;
	}
	worker->api = api;
	pthread_mutex_init(&worker->lock, NULL);
	if (set_up(worker, socket) == 0)
		return worker;
	error_set(error, "cannot set up a worker: %s", strerror(errno));
	worker_free(worker);
	return NULL;
}

static void *
worker_thread(void *context)
{
	struct worker *worker = context;
	event_base_dispatch(worker->base);
	return NULL;
}

int
worker_start(struct worker *worker, struct error *error)
{
	int reason = pthread_create(&worker->thread, NULL, worker_thread, worker);
	if (reason != 0) {
		error_set(error, "cannot start a worker: %s", strerror(reason));
		return -1;
	}
	worker->started = true;
	return 0;
}

void
worker_drain(struct worker *worker)
{
	const uint64_t one = 1;
	atomic_store(&worker->draining, true);
	while (write(worker->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void
worker_join(struct worker *worker)
{
	if (worker->started)
		pthread_join(worker->thread, NULL);
	worker->started = false;
}

void
worker_free(struct worker *worker)
{
	if (worker == NULL)
		return;
	for (struct job *job = worker->done, *next; job != NULL; job = next) {
		next = job->next;
		waiting_free(job->owner);
	}
	if (worker->http != NULL)
		evhttp_free(worker->http);
	if (worker->on_wake != NULL)
		event_free(worker->on_wake);
	if (worker->on_drain != NULL)
		event_free(worker->on_drain);
	if (worker->base != NULL)
		event_base_free(worker->base);
	if (worker->wake >= 0)
		close(worker->wake);
	arena_free(worker->arena);
	digest_free(worker->digest);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
