/* worker.c -- a thread that answers requests from its own socket. */
#include "server/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/http.h>

#include "core/arena.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/store.h"
#include "core/tokens.h"
#include "server/access.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/gates.h"
#include "server/http.h"
#include "server/log.h"
#include "server/spare.h"
#include "server/traffic.h"
#include "server/waits.h"
#include "server/wake.h"

enum {
	DRAIN_LEAST_MS = 100, /* requests on their way when draining begins are answered */
	DRAIN_MOST_MS = 10000, /* what is not done by then is cut */
	DRAIN_CHECK_MS = 20,
	COMPLAIN_MS = 1000, /* at most so often */
	MOST_HELD_BYTES = 64 * 1024 * 1024, /* for clients who do not read what they asked for */
};

struct worker {
	struct api *api;
	struct event_base *base;
	struct evhttp *http;
	const struct gate_limits *limits;
	struct gates *gates;
	struct evhttp_bound_socket *bound;
	struct event *on_wake, *on_drain, *on_turn_end;
	struct arena *arena; /* of the request being answered */
	struct digest *digest;
	struct http_scratch scratch;
	const struct snapshot *snapshot; /* references while a turn of the loop has requests, … */
	struct tokens *tokens;
	struct log_batch lines; /* … and of what it has answered */
	struct waits *waits; /* for the reload thread */
	struct traffic *traffic;
	struct door door;
	struct exchange *unused;
	size_t in_flight; /* requests whose reply is not yet out */
	size_t held_bytes; /* of their bodies that are nobody else's */
	int64_t drain_began_ms;

	int wake; /* an eventfd */
	atomic_bool draining;
	atomic_bool turned; /* since the watchdog asked last */
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
	size_t held_bytes;
};

static void
end_exchange(struct exchange *exchange)
{
	struct worker *worker = exchange->worker;
	exchange->next = worker->unused;
	worker->unused = exchange;
	worker->in_flight--;
	worker->held_bytes -= exchange->held_bytes;
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
	gate->owner = exchange;
	return exchange;
}

static void
on_reply_sent(struct evhttp_request *request, void *context)
{
	struct exchange *exchange = context;
	gates_note_reply(exchange->worker->gates, exchange->gate);
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
	waits_forget(worker->waits, exchange->request);
	end_exchange(exchange);
}

/* Count what a reply holds until it is read, or give it up. */
static void
hold_body(struct exchange *exchange, struct reply *reply)
{
	struct worker *worker = exchange->worker;
	if (worker->held_bytes + reply->body.length > MOST_HELD_BYTES) {
		reply->retry_after_ms = 1000;
		reply_error(reply, 503, "Too many replies are on their way");
	}
	exchange->held_bytes = reply->body.length;
	worker->held_bytes += exchange->held_bytes;
}

static void
send_reply(struct worker *worker, struct evhttp_request *request, struct reply *reply,
	const struct snapshot *snapshot, const char *id)
{
	struct gate *gate = gates_find(worker->gates, request);
	hold_body(gate->owner, reply);
	bool is_draining = atomic_load_explicit(&worker->draining, memory_order_relaxed);
	gate_begin_reply(gate);
	http_send(request, reply,
		&(struct http_terms){
			.digest = worker->digest,
			.scratch = &worker->scratch,
			.snapshot = snapshot,
			.has_tokens =
				worker->api->auth != NULL && auth_has_tokens(worker->api->auth),
			.is_plain = worker->door.tls == NULL,
			.closing = gate_must_close(gate) || (is_draining && gate_may_close(gate)),
			.request_id = id,
		});
	reply_finish(reply);
}

static void
on_late_answer(void *worker, struct evhttp_request *request, struct reply *reply, const char *id)
{
	send_reply(worker, request, reply, NULL, id);
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
	if (refusal != NULL)
		request->uri = NULL; /* the stand-in's */
	if (reply->job != NULL)
		waits_add(exchange->worker->waits, exchange->request, request, exchange->start_us,
			reply);
}

static void
note(struct exchange *exchange, const struct request *request, const struct reply *reply)
{
	struct worker *worker = exchange->worker;
	struct access access;
	access_of(request, exchange->start_us, &access);
	access_note(&access, reply, &worker->lines);
	if (worker->lines.n_lines > 0)
		event_active(worker->on_turn_end, EV_TIMEOUT, 0);
}

/* Note and send the reply to a request that need not wait. */
static void
finish(struct exchange *exchange, const struct request *request, struct reply *reply)
{
	if (access_is_due(request, reply->status))
		note(exchange, request, reply);
	send_reply(exchange->worker, exchange->request, reply, request->snapshot, request->id);
}

/* Hold what is current until the turn of the loop ends, however many requests it has. */
static void
hold(struct worker *worker)
{
	store_refresh(worker->api->store, &worker->snapshot);
	if (worker->api->auth != NULL)
		auth_hold(worker->api->auth, &worker->tokens);
	event_active(worker->on_turn_end, EV_TIMEOUT, 0);
}

static void
let_go(struct worker *worker)
{
	store_release(worker->api->store, worker->snapshot);
	tokens_unref(worker->tokens);
	worker->snapshot = NULL;
	worker->tokens = NULL;
	log_flush(&worker->lines);
}

static void
on_request(struct evhttp_request *from, void *context)
{
	struct worker *worker = context;
	struct gate *gate = gates_find(worker->gates, from);
	struct exchange *exchange = gate != NULL ? begin_exchange(worker, from, gate) : NULL;
	struct reply reply = {0};
	if (exchange == NULL) {
		evhttp_add_header(evhttp_request_get_output_headers(from), "Connection", "close");
		evhttp_send_reply(from, 503, "Service Unavailable", NULL);
		return;
	}
	hold(worker);
	struct request request = {.api = worker->api,
		.digest = worker->digest,
		.door = worker->door,
		.snapshot = worker->snapshot,
		.tokens = worker->tokens,
		.arena = worker->arena};
	arena_reset(worker->arena);
	request_id_make(request.id);
	answer(exchange, &request, &reply);
	if (reply.job == NULL)
		finish(exchange, &request, &reply);
}

/* Take no more connections. What the kernel had queued is accepted by now: this timer ran after the socket's event. The socket
 * is closed one turn after it was waited for last, as somebody else may have it too. */
static void
stop_accepting(struct worker *worker)
{
	const struct timeval now = {0};
	if (!gates_leave(worker->gates)) {
		evhttp_del_accept_socket(worker->http, worker->bound);
		worker->bound = NULL;
	}
	if (evtimer_add(worker->on_drain, &now) != 0)
		event_base_loopbreak(worker->base);
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
	if (worker->bound != NULL) {
		stop_accepting(worker);
		return;
	}
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
	atomic_store(&worker->turned, true);
	waits_answer(worker->waits);
	if (!atomic_load(&worker->draining) || worker->drain_began_ms != 0)
		return;
	worker->drain_began_ms = clock_ms();
	gates_drain(worker->gates);
	if (evtimer_add(worker->on_drain, &now) != 0)
		event_base_loopbreak(worker->base);
}

/* Called behind all that has come in this turn. */
static void
on_turn_end(evutil_socket_t none, short events, void *context)
{
	(void)none;
	(void)events;
	let_go(context);
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
	worker->gates = gates_new(
		worker->base, worker->limits, worker->door.tls, worker->traffic, on_closed_early);
	if (worker->http == NULL || worker->gates == NULL)
		return -1;
	evhttp_set_allowed_methods(worker->http, 0xffff); /* the 405 is ours to answer */
	evhttp_set_default_content_type(worker->http, NULL);
	evhttp_set_gencb(worker->http, on_request, worker);
	evhttp_set_bevcb(worker->http, on_connection, worker);
	worker->bound = evhttp_accept_socket_with_handle(worker->http, socket);
	if (worker->bound == NULL)
		return -1;
	gates_guard(worker->gates, worker->bound);
	return 0;
}

/* What is waited for is changed all at once before each wait: of the four changes that a request takes, one is left. Where a
 * socket has another descriptor too, what was waited for must be over a turn before one is closed: epoll would not forget it. */
static struct event_base *
make_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;
	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static int
set_up(struct worker *worker, int socket)
{
	worker->wake = wake_open();
	worker->base = make_base();
	worker->arena = arena_new();
	worker->digest = digest_new();
	if (worker->wake < 0 || worker->base == NULL || worker->arena == NULL ||
		worker->digest == NULL)
		return -1;
	worker->on_wake =
		event_new(worker->base, worker->wake, EV_READ | EV_PERSIST, on_wake, worker);
	worker->on_drain = evtimer_new(worker->base, on_drain_check, worker);
	worker->on_turn_end = event_new(worker->base, -1, 0, on_turn_end, worker);
	worker->waits = waits_new(worker->base, worker->api, worker->wake, on_late_answer, worker);
	if (worker->on_wake == NULL || worker->on_drain == NULL || worker->on_turn_end == NULL ||
		worker->waits == NULL || event_add(worker->on_wake, NULL) != 0)
		return -1;
	return set_up_http(worker, socket);
}

/* The library's own warnings: it would print them by itself. */
static void
on_library_message(int severity, const char *message)
{
	static atomic_llong told_ms; /* by any worker */
	if (severity >= EVENT_LOG_WARN && log_is_due(&told_ms, COMPLAIN_MS))
		log_write(severity == EVENT_LOG_WARN ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, message,
			LOG_TEXT("from", "libevent"), LOG_END);
}

void
worker_init(void)
{
	spare_init();
	event_set_log_callback(on_library_message);
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
	worker->turned = true; /* nobody has asked yet */
	worker->wake = -1;
	if (set_up(worker, socket) == 0)
		return worker;
	error_set(error, "cannot set up a worker: out of memory or file descriptors");
	worker_free(worker);
	return NULL;
}

static void *
worker_thread(void *context)
{
	struct worker *worker = context;
	event_base_dispatch(worker->base);
	let_go(worker);
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

bool
worker_has_turned(struct worker *worker)
{
	bool turned = atomic_exchange(&worker->turned, false);
	wake_ring(worker->wake);
	return turned;
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
	if (worker->gates != NULL)
		gates_leave(worker->gates);
	if (worker->http != NULL)
		evhttp_free(worker->http);
	gates_free(worker->gates);
	waits_free(worker->waits);
	if (worker->on_wake != NULL)
		event_free(worker->on_wake);
	if (worker->on_drain != NULL)
		event_free(worker->on_drain);
	if (worker->on_turn_end != NULL)
		event_free(worker->on_turn_end);
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
	buffer_finish(&worker->scratch.head);
	buffer_finish(&worker->lines.lines);
	free(worker);
}
