/* worker.c -- a thread that answers requests from its own socket. */
#include "server/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/http.h>

#include "core/arena.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/store.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/http.h"
#include "server/job.h"
#include "server/log.h"
#include "server/reloader.h"
#include "server/spare.h"
#include "server/traffic.h"
#include "server/wake.h"

enum {
	JOB_SECONDS = 10, /* then a request that waits for the reload thread gets a 503 */
	DRAIN_LEAST_MS = 100, /* requests on their way when draining begins are answered */
	DRAIN_MOST_MS = 10000, /* what is not done by then is cut */
	DRAIN_CHECK_MS = 20,
};

struct worker {
	struct api *api;
	struct event_base *base;
	struct evhttp *http;
	const struct gate_limits *limits;
	struct gates *gates;
	struct evhttp_bound_socket *bound;
	struct event *on_wake, *on_drain;
	struct arena *arena; /* of the request being answered */
	struct digest *digest;
	struct waiting *waiting; /* all that wait for the reload thread */
	struct traffic *traffic;
	struct door door;
	struct exchange *unused;
	size_t in_flight; /* requests whose reply is not yet out */
	int64_t drain_began_ms;

	int wake; /* an eventfd */
	atomic_bool draining;
	pthread_mutex_t lock; /* of the list */
	struct job *done; /* by the reload thread */
	pthread_t thread;
	bool started;
};

/* A request and its reply. */
struct exchange {
	struct exchange *next; /* among the unused */
	struct worker *worker;
	struct gate *gate;
	struct evhttp_request *request;
	enum endpoint endpoint;
	int64_t start_us;
};

/* A request that waits for the reload thread. */
struct waiting {
	struct waiting *next;
	struct worker *worker;
	struct job *job;
	struct evhttp_request *request; /* NULL once it is answered or its connection is gone */
	struct event *deadline;
};

static void
end_exchange(struct exchange *exchange)
{
	struct worker *worker = exchange->worker;
	exchange->next = worker->unused;
	worker->unused = exchange;
	worker->in_flight--;
}

static void on_reply_sent(struct evhttp_request *, void *exchange);

static struct exchange *
begin_exchange(struct worker *worker, struct evhttp_request *request, struct gate *gate)
{
	struct exchange *exchange = worker->unused;
	if (exchange != NULL)
		worker->unused = exchange->next;
	else
		exchange = malloc(sizeof(*exchange));
	if (exchange == NULL)
		return NULL;
	*exchange = (struct exchange){
		.worker = worker, .gate = gate, .request = request, .start_us = clock_us()};
	worker->in_flight++;
	evhttp_request_set_on_complete_cb(request, on_reply_sent, exchange);
	gate_set_owner(gate, exchange);
	return exchange;
}

static void
on_reply_sent(struct evhttp_request *request, void *context)
{
	struct exchange *exchange = context;
	gate_note_reply(exchange->gate);
	traffic_count(exchange->worker->traffic, exchange->endpoint,
		evhttp_request_get_response_code(request),
		(uint64_t)(clock_us() - exchange->start_us));
	end_exchange(exchange);
}

static void
on_closed_early(void *owner)
{
	struct exchange *exchange = owner;
	struct worker *worker = exchange->worker;
	for (struct waiting *at = worker->waiting; at != NULL; at = at->next)
		if (at->request == exchange->request) {
			if (evhttp_request_get_connection(at->request) == NULL)
				evhttp_request_free(at->request); /* evhttp left it to us */
			at->request = NULL;
		}
	end_exchange(exchange);
}

static void
send_reply(struct worker *worker, struct evhttp_request *request, struct reply *reply,
	const struct snapshot *snapshot)
{
	const struct gate *gate = gates_find(worker->gates, request);
	bool is_draining = atomic_load_explicit(&worker->draining, memory_order_relaxed);
	http_send(request, reply,
		&(struct http_terms){
			.digest = worker->digest,
			.snapshot = snapshot,
			.has_tokens =
				worker->api->auth != NULL && auth_has_tokens(worker->api->auth),
			.is_plain = worker->door.tls == NULL,
			.closing = gate_must_close(gate) || (is_draining && gate_may_close(gate)),
		});
}

/* Called on the reload thread. */
static void
on_job_done(struct job *job)
{
	const struct waiting *waiting = job->owner;
	struct worker *worker = waiting->worker;
	pthread_mutex_lock(&worker->lock);
	job->next = worker->done;
	worker->done = job;
	pthread_mutex_unlock(&worker->lock);
	wake_ring(worker->wake);
}

static void
on_deadline(evutil_socket_t none, short events, void *context)
{
	struct waiting *waiting = context;
	struct evhttp_request *request = waiting->request;
	struct reply reply = {0};
	(void)none;
	(void)events;
	if (request == NULL)
		return;
	waiting->request = NULL;
	api_answer_late_job(waiting->job, &reply);
	send_reply(waiting->worker, request, &reply, NULL);
}

/* Free a request's wait, and its job, which the reload thread has given back. */
static void
end_waiting(struct worker *worker, struct waiting *waiting)
{
	struct waiting **at = &worker->waiting;
	while (*at != waiting)
		at = &(*at)->next;
	*at = waiting->next;
	if (waiting->deadline != NULL)
		event_free(waiting->deadline);
	job_free(waiting->job);
	free(waiting);
}

/* Let a request wait for its job, which is taken. Returns -1 when memory is out. */
static int
wait_for_job(struct worker *worker, struct evhttp_request *request, struct job *job)
{
	const struct timeval limit = {.tv_sec = JOB_SECONDS};
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	if (waiting == NULL) {
		job_free(job);
		return -1;
	}
	*waiting = (struct waiting){
		.next = worker->waiting, .worker = worker, .job = job, .request = request};
	worker->waiting = waiting;
	waiting->deadline = evtimer_new(worker->base, on_deadline, waiting);
	if (waiting->deadline == NULL || evtimer_add(waiting->deadline, &limit) != 0) {
		end_waiting(worker, waiting);
		return -1;
	}
	job->owner = waiting;
	job->on_done = on_job_done;
	reloader_post(worker->api->reloader, job);
	return 0;
}

static struct job *
take_done_jobs(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	struct job *jobs = worker->done;
	worker->done = NULL;
	pthread_mutex_unlock(&worker->lock);
	return jobs;
}

static void
answer_done_jobs(struct worker *worker)
{
	for (struct job *job = take_done_jobs(worker), *next; job != NULL; job = next) {
		struct waiting *waiting = job->owner;
		struct reply reply = {0};
		next = job->next;
		if (waiting->request != NULL) {
			api_answer_job(job, &reply);
			send_reply(worker, waiting->request, &reply, NULL);
		}
		end_waiting(worker, waiting);
	}
}

static void
answer(struct exchange *exchange, struct request *request, struct reply *reply)
{
	const struct refusal *refusal = gate_refusal(exchange->gate);
	struct error error;
	bool is_read = http_read(exchange->request, request, &error) == 0;
	exchange->endpoint = request->target.endpoint;
	if (refusal != NULL)
		reply_error(reply, refusal->status, "Bad request: %s", refusal->reason);
	else if (is_read)
		api_answer(request, reply);
	else if (request->body == NULL || arena_failed(request->arena))
		reply_error(reply, 503, "Out of memory");
	else
		reply_error(reply, 400, "Bad request target: %s", error.message);
}

static void
on_request(struct evhttp_request *from, void *context)
{
	struct worker *worker = context;
	const struct snapshot *snapshot = store_acquire(worker->api->store);
	struct request request = {.api = worker->api,
		.digest = worker->digest,
		.door = worker->door,
		.snapshot = snapshot,
		.arena = worker->arena};
	struct reply reply = {0};
	struct gate *gate = gates_find(worker->gates, from);
	struct exchange *exchange = gate != NULL ? begin_exchange(worker, from, gate) : NULL;
	arena_reset(worker->arena);
	if (exchange == NULL) {
		store_release(worker->api->store, snapshot);
		evhttp_add_header(evhttp_request_get_output_headers(from), "Connection", "close");
		evhttp_send_reply(from, 503, "Service Unavailable", NULL);
		return;
	}
	answer(exchange, &request, &reply);
	if (reply.job != NULL && wait_for_job(worker, from, reply.job) != 0) {
		reply.job = NULL;
		reply_error(&reply, 503, "Out of memory");
	}
	if (reply.job == NULL)
		send_reply(worker, from, &reply, snapshot);
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
	gates_leave(worker->gates);
	if (worker->bound != NULL)
		evhttp_del_accept_socket(worker->http, worker->bound);
	worker->bound = NULL;
	bool done = worker->in_flight == 0 && !gates_are_busy(worker->gates) &&
		    elapsed >= DRAIN_LEAST_MS;
	if (done || elapsed >= DRAIN_MOST_MS || evtimer_add(worker->on_drain, &again) != 0)
		event_base_loopbreak(worker->base);
}

static void
on_wake(evutil_socket_t descriptor, short events, void *context)
{
	const struct timeval now = {0};
	struct worker *worker = context;
	(void)events;
	wake_clear(descriptor);
	answer_done_jobs(worker);
	if (!atomic_load(&worker->draining) || worker->drain_began_ms != 0)
		return;
	worker->drain_began_ms = clock_ms();
	gates_drain(worker->gates);
	if (evtimer_add(worker->on_drain, &now) != 0)
		event_base_loopbreak(worker->base);
}

/* Called for each connection. */
static struct bufferevent *
on_connection(struct event_base *base, void *context)
{
	struct worker *worker = context;
	(void)base;
	atomic_fetch_add_explicit(&worker->traffic->connections, 1, memory_order_relaxed);
	return gates_open(worker->gates);
}

static int
set_up_http(struct worker *worker, int socket)
{
	worker->http = evhttp_new(worker->base);
	worker->gates = gates_new(worker->base, worker->limits, worker->door.tls, on_closed_early);
	if (worker->http == NULL || worker->gates == NULL)
		return -1;
	evhttp_set_allowed_methods(worker->http, 0xffff); /* the 405 is ours to answer */
	evhttp_set_gencb(worker->http, on_request, worker);
	evhttp_set_bevcb(worker->http, on_connection, worker);
	worker->bound = evhttp_accept_socket_with_handle(worker->http, socket);
	if (worker->bound == NULL)
		return -1;
	gates_guard(worker->gates, worker->bound);
	return 0;
}

static int
set_up(struct worker *worker, int socket)
{
	worker->wake = wake_open();
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

static void
on_library_log(int severity, const char *message)
{
	if (severity >= EVENT_LOG_WARN)
		log_write(severity == EVENT_LOG_WARN ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, message,
			LOG_TEXT("from", "libevent"), LOG_END);
}

void
worker_init(void)
{
	spare_init();
	event_set_log_callback(on_library_log);
}

struct worker *
worker_new(struct api *api, struct traffic *traffic, const struct door *door,
	const struct gate_limits *limits, int socket, struct error *error)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	if (worker == NULL) {
		error_set(error, "out of memory");
		return NULL;
	}
	worker->api = api;
	worker->traffic = traffic;
	worker->door = *door;
	worker->limits = limits;
	worker->wake = -1;
	if (pthread_mutex_init(&worker->lock, NULL) != 0) {
		free(worker);
		worker = NULL;
	} else if (set_up(worker, socket) == 0) {
		return worker;
	}
	error_set(error, "cannot set up a worker: out of memory or file descriptors");
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
	atomic_store(&worker->draining, true);
	wake_ring(worker->wake);
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
	while (worker->waiting != NULL)
		end_waiting(worker, worker->waiting);
	if (worker->gates != NULL)
		gates_leave(worker->gates);
	if (worker->http != NULL)
		evhttp_free(worker->http);
	gates_free(worker->gates);
	if (worker->on_wake != NULL)
		event_free(worker->on_wake);
	if (worker->on_drain != NULL)
		event_free(worker->on_drain);
	if (worker->base != NULL)
		event_base_free(worker->base);
	if (worker->wake >= 0)
		close(worker->wake);
	for (struct exchange *exchange; (exchange = worker->unused) != NULL;) {
		worker->unused = exchange->next;
		free(exchange);
	}
	arena_free(worker->arena);
	digest_free(worker->digest);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
