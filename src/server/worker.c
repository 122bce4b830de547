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

#include "core/error.h"
#include "server/api.h"
#include "server/clock.h"
#include "server/exchange.h"
#include "server/gates.h"
#include "server/log.h"
#include "server/spare.h"
#include "server/traffic.h"
#include "server/wake.h"

enum {
	DRAIN_LEAST_MS = 100, /* requests on their way when draining begins are answered */
	DRAIN_MOST_MS = 10000, /* what is not done by then is cut */
	DRAIN_CHECK_MS = 20,
	COMPLAIN_MS = 1000, /* at most so often */
};

struct worker {
	struct event_base *base;
	struct evhttp *http;
	const struct gate_limits *limits;
	struct gates *gates;
	struct exchanges *exchanges;
	struct evhttp_bound_socket *bound;
	struct event *on_wake, *on_drain;
	struct traffic *traffic;
	struct door door;
	int64_t drain_began_ms;

	int wake; /* an eventfd */
	atomic_bool draining;
	atomic_bool turned; /* since the watchdog asked last */
	pthread_t thread;
	bool started;
};

/* Take no more connections. What the kernel had queued is accepted by now: this timer ran after the socket's event. Where others
 * have the socket too, epoll would not forget it when it is closed, but is told in the next turn. */
static void
stop_accepting(struct worker *worker)
{
	const struct timeval now = {0};
	bool waits = gates_leave(worker->gates) && worker->door.is_shared;
	if (!waits) {
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
	bool done = exchanges_in_flight(worker->exchanges) == 0 && !gates_are_busy(worker->gates) &&
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
	exchanges_answer_late(worker->exchanges);
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
	worker->gates = gates_new(worker->base, worker->limits, worker->door.tls, worker->traffic,
		exchanges_on_closed_early);
	if (worker->http == NULL || worker->gates == NULL)
		return -1;
	evhttp_set_allowed_methods(worker->http, 0xffff); /* the 405 is ours to answer */
	evhttp_set_default_content_type(worker->http, NULL);
	exchanges_guard(worker->exchanges, worker->gates);
	evhttp_set_gencb(worker->http, exchanges_on_request, worker->exchanges);
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

/* What epoll refuses is told to nobody: a worker that could not be woken would not end. */
static bool
can_be_woken(struct worker *worker)
{
	wake_ring(worker->wake);
	return event_base_loop(worker->base, EVLOOP_NONBLOCK) == 0 && worker->turned;
}

static int
set_up(struct worker *worker, struct api *api, int socket)
{
	worker->wake = wake_open();
	worker->base = make_base();
	if (worker->wake < 0 || worker->base == NULL)
		return -1;
	worker->exchanges = exchanges_new(&(struct exchange_terms){.base = worker->base,
		.api = api,
		.traffic = worker->traffic,
		.door = worker->door,
		.wake = worker->wake,
		.draining = &worker->draining});
	worker->on_wake =
		event_new(worker->base, worker->wake, EV_READ | EV_PERSIST, on_wake, worker);
	worker->on_drain = evtimer_new(worker->base, on_drain_check, worker);
	if (worker->exchanges == NULL || worker->on_wake == NULL || worker->on_drain == NULL ||
		event_add(worker->on_wake, NULL) != 0 || !can_be_woken(worker))
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
	worker->traffic = traffic;
	worker->door = *door;
	worker->limits = limits;
	worker->wake = -1;
	if (set_up(worker, api, socket) == 0)
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
	exchanges_end_turn(worker->exchanges);
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
	exchanges_free(worker->exchanges);
	if (worker->on_wake != NULL)
		event_free(worker->on_wake);
	if (worker->on_drain != NULL)
		event_free(worker->on_drain);
	if (worker->base != NULL)
		event_base_free(worker->base);
	if (worker->wake >= 0)
		close(worker->wake);
	free(worker);
}
