/* gates.c -- a worker's connections, each behind its gate, and no more than there may be. */
#include "server/gates.h"

#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "server/access.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/linger.h"
#include "server/log.h"
#include "server/spare.h"
#include "server/tls.h"
#include "server/traffic.h"

enum {
	SWEEP_MS = 250,
	LINGER_SHARE = 8, /* of the connections that there may be */
	COMPLAIN_MS = 10000, /* at most so often */
	YOUNG_MS = 500, /* in which a new connection may still bring a request */
};

struct connection {
	struct connection *next, *previous; /* among the adopted, or the fresh */
	struct gates *gates;
	struct evhttp_connection *evhttp; /* once it is adopted */
	int descriptor; /* likewise */
	struct tls_peer peer;
	struct gate gate;
};

struct gates {
	struct event_base *base;
	const struct gate_limits *limits;
	struct tls *tls;
	struct traffic *traffic;
	gates_on_close *on_close;
	struct evconnlistener *listener;
	struct event *on_turn, *on_sweep;
	struct connection *fresh, *adopted;
	struct lingers *lingers;
	struct scratch scratch;
	struct bufferevent
		*reserve; /* for a connection that memory is out for; without it none is taken */
	struct bufferevent *doomed; /* the reserve in use, until the next turn */
	struct connection **by_descriptor;
	size_t n_descriptors, count;
	bool owes_continue; /* somewhere, once evhttp reads again */
	bool is_draining; /* what is queued is taken, however many there are */
};

static void
link_adopted(struct gates *gates, struct connection *connection)
{
	connection->previous = NULL;
	connection->next = gates->adopted;
	if (connection->next != NULL)
		connection->next->previous = connection;
	gates->adopted = connection;
}

static void
unlink_adopted(struct gates *gates, struct connection *connection)
{
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		gates->adopted = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
}

static struct connection *
take_fresh(struct gates *gates)
{
	struct connection *connection = gates->fresh;
	if (connection != NULL)
		gates->fresh = connection->next;
	return connection;
}

/* Free one that is in no list. */
static void
free_connection(struct connection *connection)
{
	gate_finish(&connection->gate);
	connection->gates->count--;
	free(connection);
}

/* Free one that evhttp's connection is not known of, and which has left its list. */
static void
free_fresh(struct connection *connection)
{
	struct bufferevent *bufev = connection->gate.bufev;
	free_connection(connection);
	bufferevent_decref(bufev);
}

static bool
is_full(const struct gates *gates)
{
	return gates->count + lingers_count(gates->lingers) >= gates->limits->connections;
}

/* Tell how many connections there are, and take new ones or let them wait in the kernel's queue. */
static void
pause_or_resume(struct gates *gates)
{
	size_t n = gates->count + lingers_count(gates->lingers);
	atomic_store_explicit(&gates->traffic->open, n, memory_order_relaxed);
	if (gates->listener == NULL)
		return;
	if (gates->reserve == NULL)
		gates->reserve = bufferevent_socket_new(gates->base, -1, 0);
	if (gates->reserve == NULL || gates->doomed != NULL || spare_is_low() ||
		(is_full(gates) && !gates->is_draining))
		evconnlistener_disable(gates->listener);
	else
		evconnlistener_enable(gates->listener);
}

/* Close the connection that has been idle for longest, for one that may wait. */
static void
make_room(struct gates *gates)
{
	struct connection *longest = NULL;
	for (struct connection *at = gates->adopted; at != NULL; at = at->next)
		if (at->gate.phase == PHASE_IDLE &&
			(longest == NULL || at->gate.deadline_ms <= longest->gate.deadline_ms))
			longest = at;
	if (longest != NULL)
		evhttp_connection_free(longest->evhttp);
}

/* Close a connection whose time is over. What its client has not read is not kept for it. */
static void
end(struct connection *connection)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	if (connection->gate.phase == PHASE_REPLY)
		setsockopt(
			connection->descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	evhttp_connection_free(connection->evhttp);
}

static void
on_closed(struct evhttp_connection *none, void *context)
{
	struct connection *connection = context;
	struct gates *gates = connection->gates;
	(void)none;
	lingers_keep(gates->lingers, connection->gate.bufev);
	gates->by_descriptor[connection->descriptor] = NULL;
	if (connection->gate.owner != NULL)
		gates->on_close(connection->gate.owner);
	unlink_adopted(gates, connection);
	free_connection(connection);
	pause_or_resume(gates);
}

/* Make room for a descriptor in the table. */
static int
reserve(struct gates *gates, size_t descriptor)
{
	size_t n = gates->n_descriptors > 0 ? gates->n_descriptors : 64;
	while (n <= descriptor)
		n *= 2;
	if (n == gates->n_descriptors)
		return 0;
	struct connection **table = realloc(gates->by_descriptor, n * sizeof(struct connection *));
	if (table == NULL)
		return -1;
	memset(table + gates->n_descriptors, 0,
		(n - gates->n_descriptors) * sizeof(struct connection *));
	gates->by_descriptor = table;
	gates->n_descriptors = n;
	return 0;
}

/* Mark a bufferevent that evhttp is given. It puts a connection in the mark's place, takes that away again when it frees it,
 * and where it cannot make one leaves the bufferevent as it is. */
static void
offer(struct gates *gates, struct bufferevent *bufev)
{
	bufferevent_setcb(bufev, NULL, NULL, NULL, gates);
	bufferevent_incref(bufev);
	event_active(gates->on_turn, EV_TIMEOUT, 0);
}

/* The connection that evhttp made for a bufferevent; NULL where it came to nothing. */
static struct evhttp_connection *
find_connection(struct gates *gates, struct bufferevent *bufev)
{
	void *connection = NULL;
	bufferevent_getcb(bufev, NULL, NULL, NULL, &connection);
	if (connection != gates)
		return connection;
	bufferevent_free(bufev); /* evhttp has left it */
	return NULL;
}

/* Get hold of a connection, which evhttp had not made yet when it asked for the bufferevent. */
static void
adopt(struct gates *gates, struct connection *connection)
{
	struct bufferevent *bufev = connection->gate.bufev;
	struct evhttp_connection *evhttp = find_connection(gates, bufev);
	connection->descriptor = bufferevent_getfd(bufev);
	if (evhttp == NULL || connection->descriptor < 0) {
		free_fresh(connection);
		return;
	}
	if (reserve(gates, (size_t)connection->descriptor) != 0) {
		free_fresh(connection);
		evhttp_connection_free(evhttp);
		return;
	}
	link_adopted(gates, connection);
	connection->evhttp = evhttp;
	gates->by_descriptor[connection->descriptor] = connection;
	evhttp_connection_set_closecb(evhttp, on_closed, connection);
	bufferevent_decref(bufev);
}

/* Close a connection that could have no gate. */
static void
end_doomed(struct gates *gates)
{
	struct bufferevent *bufev = gates->doomed;
	struct evhttp_connection *connection = bufev != NULL ? find_connection(gates, bufev) : NULL;
	if (connection != NULL)
		evhttp_connection_free(connection);
	if (bufev != NULL)
		bufferevent_decref(bufev);
	gates->doomed = NULL;
}

/* Do what had to wait until evhttp is done with what it was doing. */
static void
on_turn(evutil_socket_t none, short events, void *context)
{
	struct gates *gates = context;
	(void)none;
	(void)events;
	for (struct connection *connection; (connection = take_fresh(gates)) != NULL;)
		adopt(gates, connection);
	end_doomed(gates);
	for (struct connection *connection = gates->owes_continue ? gates->adopted : NULL;
		connection != NULL; connection = connection->next)
		gate_settle(&connection->gate);
	gates->owes_continue = false;
	if (is_full(gates))
		make_room(gates);
	pause_or_resume(gates);
}

static void
on_sweep(evutil_socket_t none, short events, void *context)
{
	struct gates *gates = context;
	int64_t now_ms = clock_ms();
	(void)none;
	(void)events;
	for (struct connection *at = gates->adopted, *next; at != NULL; at = next) {
		next = at->next;
		bool is_late = now_ms >= at->gate.deadline_ms;
		if (at->gate.stream.is_lost || (is_late && gate_expire(&at->gate)))
			end(at);
	}
	if (is_full(gates))
		make_room(gates);
	lingers_sweep(gates->lingers, now_ms);
	/* What epoll refuses is told to nobody: have it added again. */
	if (gates->listener != NULL)
		evconnlistener_disable(gates->listener);
	pause_or_resume(gates);
}

/* Let the listener rest until the next sweep: the same error would come at once. The context is evhttp's. */
static void
on_accept_error(struct evconnlistener *listener, void *context)
{
	static atomic_llong told_ms; /* by any worker */
	int reason = errno;
	(void)context;
	evconnlistener_disable(listener);
	if (log_is_due(&told_ms, COMPLAIN_MS))
		log_write(LOG_LEVEL_WARN,
			reason == EMFILE || reason == ENFILE
				? "no descriptor is left for a new connection: raise the limit "
				  "(ulimit -n)"
				: "a connection cannot be accepted: it is tried again, four times "
				  "a second",
			LOG_TEXT("reason", strerror(reason)), LOG_END);
}

struct gates *
gates_new(struct event_base *base, const struct gate_limits *limits, struct tls *tls,
	struct traffic *traffic, gates_on_close *on_close)
{
	const struct timeval period = {.tv_usec = SWEEP_MS * 1000};
	struct gates *gates = calloc(1, sizeof(*gates));
	if (gates == NULL)
		return NULL;
	gates->base = base;
	gates->limits = limits;
	gates->tls = tls;
	gates->traffic = traffic;
	gates->on_close = on_close;
	gates->lingers = lingers_new(base, limits->connections / LINGER_SHARE + 1);
	gates->scratch.front = evbuffer_new();
	gates->scratch.rest = evbuffer_new();
	gates->on_turn = event_new(base, -1, 0, on_turn, gates);
	gates->on_sweep = event_new(base, -1, EV_PERSIST, on_sweep, gates);
	gates->reserve = bufferevent_socket_new(base, -1, 0);
	if (gates->lingers != NULL && gates->scratch.front != NULL && gates->scratch.rest != NULL &&
		gates->on_turn != NULL && gates->on_sweep != NULL && gates->reserve != NULL &&
		event_add(gates->on_sweep, &period) == 0)
		return gates;
	gates_free(gates);
	return NULL;
}

void
gates_free(struct gates *gates)
{
	if (gates == NULL)
		return;
	for (struct connection *connection; (connection = take_fresh(gates)) != NULL;) {
		find_connection(gates, connection->gate.bufev);
		free_fresh(connection);
	}
	end_doomed(gates);
	if (gates->reserve != NULL)
		bufferevent_free(gates->reserve);
	lingers_free(gates->lingers);
	if (gates->on_turn != NULL)
		event_free(gates->on_turn);
	if (gates->on_sweep != NULL)
		event_free(gates->on_sweep);
	if (gates->scratch.front != NULL)
		evbuffer_free(gates->scratch.front);
	if (gates->scratch.rest != NULL)
		evbuffer_free(gates->scratch.rest);
	free(gates->by_descriptor);
	free(gates);
}

void
gates_guard(struct gates *gates, struct evhttp_bound_socket *bound)
{
	gates->listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(gates->listener, on_accept_error);
}

void
gates_drain(struct gates *gates)
{
	gates->is_draining = true;
	pause_or_resume(gates);
}

bool
gates_are_busy(const struct gates *gates)
{
	int64_t young_ms = clock_ms() - YOUNG_MS + gates->limits->first_ms;
	for (const struct connection *at = gates->adopted; at != NULL; at = at->next)
		if (at->gate.phase == PHASE_FIRST ? at->gate.deadline_ms > young_ms
						  : at->gate.phase != PHASE_IDLE)
			return true;
	return gates->fresh != NULL;
}

bool
gates_leave(struct gates *gates)
{
	struct evconnlistener *listener = gates->listener;
	gates->listener = NULL;
	return listener != NULL && evconnlistener_disable(listener) == 0;
}

/* Somebody asks for http:// where there is https:// alone, and has been told so. */
static void
on_plain(void *context, const char *id)
{
	const struct connection *connection = context;
	int descriptor = bufferevent_getfd(connection->gate.bufev);
	access_note_unread(descriptor, id, 400, "HTTP without TLS");
	lingers_add(connection->gates->lingers, connection->gate.bufev);
}

static struct bufferevent *
make_bufferevent(struct gates *gates, struct connection *connection)
{
	if (gates->tls == NULL)
		return bufferevent_socket_new(gates->base, -1, BEV_OPT_CLOSE_ON_FREE);
	connection->peer = (struct tls_peer){on_plain, connection};
	return tls_open(gates->tls, gates->base, &connection->peer);
}

/* Returns NULL when memory is out. */
static struct connection *
make_connection(struct gates *gates)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct bufferevent *bufev = connection != NULL ? make_bufferevent(gates, connection) : NULL;
	if (bufev != NULL &&
		gate_init(&connection->gate, bufev, gates->limits, &gates->scratch) == 0) {
		connection->gates = gates;
		return connection;
	}
	if (bufev != NULL) {
		gate_finish(&connection->gate);
		bufferevent_free(bufev);
	}
	free(connection);
	return NULL;
}

/* Hand out the reserve, if it is there, for a connection that is closed at the next turn: evhttp would serve one without a
 * gate. */
static struct bufferevent *
give_reserve(struct gates *gates)
{
	if (gates->reserve == NULL || gates->doomed != NULL)
		return NULL;
	gates->doomed = gates->reserve;
	gates->reserve = NULL;
	offer(gates, gates->doomed);
	pause_or_resume(gates);
	return gates->doomed;
}

struct bufferevent *
gates_open(struct gates *gates)
{
	struct connection *connection = make_connection(gates);
	if (connection == NULL)
		return give_reserve(gates);
	gates->count++;
	connection->next = gates->fresh;
	gates->fresh = connection;
	offer(gates, connection->gate.bufev);
	pause_or_resume(gates);
	return connection->gate.bufev;
}

struct gate *
gates_find(const struct gates *gates, struct evhttp_request *request)
{
	struct evhttp_connection *evhttp = evhttp_request_get_connection(request);
	int descriptor = bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp));
	bool is_known = descriptor >= 0 && (size_t)descriptor < gates->n_descriptors &&
			gates->by_descriptor[descriptor] != NULL;
	return is_known ? &gates->by_descriptor[descriptor]->gate : NULL;
}

void
gates_note_reply(struct gates *gates, struct gate *gate)
{
	gate_end_reply(gate);
	if (gate->stream.is_refused && gate->stream.passed == gate->replied)
		lingers_add(gates->lingers, gate->bufev);
	if (gate_owes_continue(gate)) {
		gates->owes_continue = true;
		event_active(gates->on_turn, EV_TIMEOUT, 0);
	}
}
