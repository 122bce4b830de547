/* gate.c -- lets whole and well-formed requests through to evhttp, in time, on so many connections. */
#include "server/gate.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "server/access.h"
#include "server/clock.h"
#include "server/linger.h"
#include "server/log.h"
#include "server/spare.h"
#include "server/tls.h"
#include "server/traffic.h"

/* What evhttp understands differs from RFC 9112 in many places, so that it is given nothing but whole requests which
 * nobody can understand in two ways. The bytes of a connection are looked at in its input buffer's callback, before
 * evhttp reads them, and those of a request that is not whole yet are held. In the place of the first request
 * that is refused, and of all that follows it, evhttp gets a stand-in, which is answered with the reason in its turn: behind
 * the replies to the requests in front of it, and through TLS. */

enum phase {
	PHASE_FIRST, /* no byte has come yet */
	PHASE_IDLE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_WORK, /* a request is being answered, … */
	PHASE_REPLY, /* … and the reply is on its way */
};

enum {
	SWEEP_MS = 250,
	WORK_MS = 30000, /* more than what a request may wait for */
	LINGER_SHARE = 8, /* of the connections that there may be */
	COMPLAIN_MS = 10000, /* at most so often */
	SMALL_BYTES = 2048, /* copied: the buffer that they came in may be much larger */
};

struct gate {
	struct gate *next, *previous; /* among the adopted, or the fresh */
	struct gates *gates;
	struct bufferevent *bufev;
	struct evhttp_connection *connection;
	struct evbuffer_cb_entry *on_input;
	struct evbuffer *held; /* of a request that is not whole yet */
	struct framing framing;
	enum phase phase;
	int64_t deadline_ms;
	uint64_t passed, replied; /* requests */
	bool is_refused, is_busy, has_continued, is_replying;
	bool is_last; /* the last request that was passed ends the connection */
	bool is_lost; /* memory was out: closed at the next sweep */
	int descriptor;
	struct tls_peer peer;
	void *owner;
};

struct gates {
	struct event_base *base;
	const struct gate_limits *limits;
	struct tls *tls;
	struct traffic *traffic;
	gate_on_close *on_close;
	struct evconnlistener *listener;
	struct event *on_turn, *on_sweep;
	struct gate *fresh, *adopted;
	struct lingers *lingers;
	struct evbuffer *front, *rest; /* empty between uses */
	struct bufferevent
		*reserve; /* for a connection that memory is out for; without it none is taken */
	struct bufferevent *doomed; /* the reserve in use, until the next turn */
	struct gate **by_descriptor;
	size_t n_descriptors, count;
	bool owes_continue; /* somewhere, once evhttp reads again */
	bool is_draining; /* what is queued is taken, however many there are */
};

static void
link_adopted(struct gates *gates, struct gate *gate)
{
	gate->previous = NULL;
	gate->next = gates->adopted;
	if (gate->next != NULL)
		gate->next->previous = gate;
	gates->adopted = gate;
}

static void
unlink_adopted(struct gates *gates, struct gate *gate)
{
	if (gate->previous != NULL)
		gate->previous->next = gate->next;
	else
		gates->adopted = gate->next;
	if (gate->next != NULL)
		gate->next->previous = gate->previous;
}

static struct gate *
take_fresh(struct gates *gates)
{
	struct gate *gate = gates->fresh;
	if (gate != NULL)
		gates->fresh = gate->next;
	return gate;
}

/* Free a gate that is in no list. */
static void
free_gate(struct gate *gate)
{
	gate->gates->count--;
	framing_finish(&gate->framing);
	if (gate->held != NULL)
		evbuffer_free(gate->held);
	free(gate);
}

/* Free one whose connection is not known, and which has left its list. */
static void
free_fresh(struct gate *gate)
{
	evbuffer_remove_cb_entry(bufferevent_get_input(gate->bufev), gate->on_input);
	bufferevent_decref(gate->bufev);
	free_gate(gate);
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
		(n >= gates->limits->connections && !gates->is_draining))
		evconnlistener_disable(gates->listener);
	else
		evconnlistener_enable(gates->listener);
}

static enum phase
phase_of(const struct gate *gate)
{
	if (gate->passed > gate->replied)
		return gate->is_replying ? PHASE_REPLY : PHASE_WORK;
	switch (framing_part(&gate->framing)) {
	case FRAMING_HEAD:
		return PHASE_HEAD;
	case FRAMING_BODY:
		return PHASE_BODY;
	default:
		return gate->passed == 0 ? PHASE_FIRST : PHASE_IDLE;
	}
}

static void
set_phase(struct gate *gate, enum phase phase)
{
	const struct gate_limits *limits = gate->gates->limits;
	const int64_t most_ms[] = {
		[PHASE_FIRST] = limits->first_ms,
		[PHASE_IDLE] = limits->idle_ms,
		[PHASE_HEAD] = limits->head_ms,
		[PHASE_BODY] = limits->body_ms,
		[PHASE_WORK] = WORK_MS,
		[PHASE_REPLY] = limits->reply_ms,
	};
	gate->phase = phase;
	gate->deadline_ms = clock_ms() + most_ms[phase];
}

/* Tell a client that waits with a body to send it (RFC 9110 section 10.1.1). evhttp, which sees whole requests
 * alone, never does. Its write callback is for replies. */
static void
send_continue(struct gate *gate)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	bufferevent_data_cb on_read, on_write;
	bufferevent_event_cb on_event;
	void *context;
	gate->has_continued = true;
	bufferevent_getcb(gate->bufev, &on_read, &on_write, &on_event, &context);
	bufferevent_setcb(gate->bufev, on_read, NULL, on_event, context);
	if (bufferevent_write(gate->bufev, line, sizeof(line) - 1) == 0)
		bufferevent_enable(gate->bufev, EV_WRITE);
}

static bool
owes_continue(const struct gate *gate)
{
	return gate->framing.head.wants_continue && !gate->has_continued;
}

/* Bring what follows from the gate's state up to date. */
static void
settle(struct gate *gate)
{
	enum phase phase = phase_of(gate);
	if (phase != gate->phase)
		set_phase(gate, phase);
	if (owes_continue(gate) && phase == PHASE_BODY)
		send_continue(gate);
}

/* Put the stand-in in the place of what is refused. */
static void
refuse(struct gate *gate, struct evbuffer *input, int status, const char *reason)
{
	const char *method = gate->framing.head.is_head ? "HEAD" : "GET";
	gate->is_refused = true;
	gate->framing.refusal = (struct refusal){status, reason};
	evbuffer_drain(gate->held, evbuffer_get_length(gate->held));
	gate->passed++;
	if (evbuffer_add_printf(input, "%s / HTTP/1.1\r\nConnection: close\r\n\r\n", method) < 0)
		gate->is_lost = true;
}

/* Move bytes from the start of gates->rest to what is held, or drop them. Returns -1 when memory is out. */
static int
move(struct gate *gate, size_t length, enum framing_verdict verdict)
{
	struct evbuffer *rest = gate->gates->rest;
	if (verdict == FRAMING_PASS && length >= SMALL_BYTES)
		return evbuffer_remove_buffer(rest, gate->held, length) == (int)length ? 0 : -1;
	if (verdict == FRAMING_PASS &&
		evbuffer_add(gate->held, evbuffer_pullup(rest, (ev_ssize_t)length), length) != 0)
		return -1;
	return evbuffer_drain(rest, length);
}

/* Take bytes from the start of gates->rest, up to the end of a request. Those of one verdict are moved at once, as a chunk may
 * be a single byte. Returns -1 when memory is out. */
static int
take_run(struct gate *gate, const char *bytes, size_t length)
{
	enum framing_verdict verdict = FRAMING_PASS, before = FRAMING_PASS;
	size_t pending = 0;
	for (size_t at = 0, taken = 0; at < length && !gate->framing.is_complete; at += taken) {
		verdict = framing_take(&gate->framing, bytes + at, length - at, &taken);
		if (verdict != before && pending > 0) {
			if (move(gate, pending, before) != 0)
				return -1;
			pending = 0;
		}
		if (verdict == FRAMING_REFUSE)
			return 0;
		before = verdict;
		pending += taken;
	}
	return pending > 0 ? move(gate, pending, before) : 0;
}

/* Take the bytes in gates->rest: what is whole goes to the input. Returns -1 when memory is out. */
static int
take_rest(struct gate *gate, struct evbuffer *input)
{
	struct evbuffer *rest = gate->gates->rest;
	struct framing *framing = &gate->framing;
	for (size_t length; (length = evbuffer_get_contiguous_space(rest)) > 0;) {
		framing->is_complete = false;
		if (take_run(gate, (const char *)evbuffer_pullup(rest, (ev_ssize_t)length),
			    length) != 0)
			return -1;
		if (framing->refusal.status != 0) {
			refuse(gate, input, framing->refusal.status, framing->refusal.reason);
			return 0;
		}
		if (!framing->is_complete)
			continue;
		gate->passed++;
		gate->has_continued = false;
		if (evbuffer_add_buffer(input, gate->held) != 0)
			return -1;
		gate->is_last = framing->closes;
		if (gate->is_last)
			return 0;
	}
	return 0;
}

/* Take the bytes that were added to the end of the input. */
static int
take_added(struct gate *gate, struct evbuffer *input, size_t added)
{
	struct gates *gates = gate->gates;
	size_t before = evbuffer_get_length(input) - added;
	if (before > 0 && evbuffer_remove_buffer(input, gates->front, before) != (int)before)
		return -1;
	if (evbuffer_add_buffer(gates->rest, input) != 0)
		return -1;
	if (before > 0 && evbuffer_add_buffer(input, gates->front) != 0)
		return -1;
	return gate->is_refused || gate->is_last ? 0 : take_rest(gate, input);
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *context)
{
	struct gate *gate = context;
	struct gates *gates = gate->gates;
	if (info->n_added == 0 || gate->is_busy)
		return;
	gate->is_busy = true;
	if (take_added(gate, input, info->n_added) != 0)
		refuse(gate, input, 503, "out of memory");
	evbuffer_drain(gates->rest, evbuffer_get_length(gates->rest));
	evbuffer_drain(gates->front, evbuffer_get_length(gates->front));
	gate->is_busy = false;
	settle(gate);
}

static void
on_closed(struct evhttp_connection *connection, void *context)
{
	struct gate *gate = context;
	struct gates *gates = gate->gates;
	(void)connection;
	evbuffer_remove_cb_entry(bufferevent_get_input(gate->bufev), gate->on_input);
	gates->by_descriptor[gate->descriptor] = NULL;
	if (gate->owner != NULL)
		gates->on_close(gate->owner);
	unlink_adopted(gates, gate);
	free_gate(gate);
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
	struct gate **table = realloc(gates->by_descriptor, n * sizeof(struct gate *));
	if (table == NULL)
		return -1;
	memset(table + gates->n_descriptors, 0, (n - gates->n_descriptors) * sizeof(struct gate *));
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
adopt(struct gates *gates, struct gate *gate)
{
	struct evhttp_connection *connection = find_connection(gates, gate->bufev);
	gate->descriptor = bufferevent_getfd(gate->bufev);
	if (connection == NULL || gate->descriptor < 0) {
		free_fresh(gate);
		return;
	}
	if (reserve(gates, (size_t)gate->descriptor) != 0) {
		free_fresh(gate);
		evhttp_connection_free(connection);
		return;
	}
	link_adopted(gates, gate);
	gate->connection = connection;
	gates->by_descriptor[gate->descriptor] = gate;
	evhttp_connection_set_closecb(gate->connection, on_closed, gate);
	bufferevent_decref(gate->bufev);
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
	for (struct gate *gate; (gate = take_fresh(gates)) != NULL;)
		adopt(gates, gate);
	end_doomed(gates);
	for (struct gate *gate = gates->owes_continue ? gates->adopted : NULL; gate != NULL;
		gate = gate->next)
		settle(gate);
	gates->owes_continue = false;
	pause_or_resume(gates);
}

/* A connection's time is over. */
static void
expire(struct gate *gate)
{
	struct evbuffer *input = bufferevent_get_input(gate->bufev);
	if ((gate->phase != PHASE_HEAD && gate->phase != PHASE_BODY) || gate->is_refused) {
		evhttp_connection_free(gate->connection);
		return;
	}
	gate->is_busy = true;
	evbuffer_unfreeze(input, 0); /* as while bytes are read */
	refuse(gate, input, 408,
		gate->phase == PHASE_HEAD ? "the header took too long" : "the body took too long");
	gate->is_busy = false;
	settle(gate);
	bufferevent_trigger(gate->bufev, EV_READ, 0);
}

static void
on_sweep(evutil_socket_t none, short events, void *context)
{
	struct gates *gates = context;
	int64_t now_ms = clock_ms();
	(void)none;
	(void)events;
	for (struct gate *gate = gates->adopted, *next; gate != NULL; gate = next) {
		next = gate->next;
		if (now_ms >= gate->deadline_ms || gate->is_lost)
			expire(gate);
	}
	lingers_sweep(gates->lingers, now_ms);
	pause_or_resume(gates);
}

/* Let the listener rest until the next sweep: the same error would come at once. The context is evhttp's. */
static void
on_accept_error(struct evconnlistener *listener, void *context)
{
	static atomic_llong told_ms; /* by any worker */
	long long now_ms = clock_ms(), before_ms = atomic_load(&told_ms);
	bool is_full = errno == EMFILE || errno == ENFILE;
	(void)context;
	evconnlistener_disable(listener);
	if (before_ms != 0 && now_ms < before_ms + COMPLAIN_MS)
		return;
	if (atomic_compare_exchange_strong(&told_ms, &before_ms, now_ms))
		log_write(LOG_LEVEL_WARN,
			is_full ? "no descriptor is left for a new connection: raise the limit "
				  "(ulimit -n)"
				: "a connection cannot be accepted",
			LOG_END);
}

struct gates *
gates_new(struct event_base *base, const struct gate_limits *limits, struct tls *tls,
	struct traffic *traffic, gate_on_close *on_close)
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
	gates->front = evbuffer_new();
	gates->rest = evbuffer_new();
	gates->on_turn = event_new(base, -1, 0, on_turn, gates);
	gates->on_sweep = event_new(base, -1, EV_PERSIST, on_sweep, gates);
	gates->reserve = bufferevent_socket_new(base, -1, 0);
	if (gates->lingers != NULL && gates->front != NULL && gates->rest != NULL &&
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
	for (struct gate *gate; (gate = take_fresh(gates)) != NULL;) {
		find_connection(gates, gate->bufev);
		free_fresh(gate);
	}
	end_doomed(gates);
	if (gates->reserve != NULL)
		bufferevent_free(gates->reserve);
	lingers_free(gates->lingers);
	if (gates->on_turn != NULL)
		event_free(gates->on_turn);
	if (gates->on_sweep != NULL)
		event_free(gates->on_sweep);
	if (gates->front != NULL)
		evbuffer_free(gates->front);
	if (gates->rest != NULL)
		evbuffer_free(gates->rest);
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
	for (const struct gate *gate = gates->adopted; gate != NULL; gate = gate->next)
		if (gate->phase != PHASE_FIRST && gate->phase != PHASE_IDLE)
			return true;
	return gates->fresh != NULL;
}

void
gates_leave(struct gates *gates)
{
	gates->listener = NULL;
}

/* Somebody asks for http:// where there is https:// alone, and has been told so. */
static void
on_plain(void *context)
{
	const struct gate *gate = context;
	access_note_unread(bufferevent_getfd(gate->bufev), 400, "HTTP without TLS");
	lingers_add(gate->gates->lingers, bufferevent_getfd(gate->bufev));
}

static struct bufferevent *
make_bufferevent(struct gates *gates, struct gate *gate)
{
	if (gates->tls == NULL)
		return bufferevent_socket_new(gates->base, -1, 0);
	gate->peer = (struct tls_peer){on_plain, gate};
	return tls_open(gates->tls, gates->base, &gate->peer);
}

/* Returns NULL when memory is out. */
static struct gate *
make_gate(struct gates *gates)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	if (gate == NULL)
		return NULL;
	gate->gates = gates;
	gate->bufev = make_bufferevent(gates, gate);
	gate->held = evbuffer_new();
	if (gate->held != NULL && gate->bufev != NULL)
		gate->on_input =
			evbuffer_add_cb(bufferevent_get_input(gate->bufev), on_input, gate);
	if (gate->on_input != NULL)
		return gate;
	if (gate->bufev != NULL)
		bufferevent_free(gate->bufev);
	if (gate->held != NULL)
		evbuffer_free(gate->held);
	free(gate);
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
	struct gate *gate = make_gate(gates);
	if (gate == NULL)
		return give_reserve(gates);
	framing_init(&gate->framing, &gates->limits->framing);
	set_phase(gate, PHASE_FIRST);
	gates->count++;
	gate->next = gates->fresh;
	gates->fresh = gate;
	offer(gates, gate->bufev);
	pause_or_resume(gates);
	return gate->bufev;
}

struct gate *
gates_find(const struct gates *gates, struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	int descriptor = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
	bool is_known = descriptor >= 0 && (size_t)descriptor < gates->n_descriptors;
	return is_known ? gates->by_descriptor[descriptor] : NULL;
}

/* Whether the request that is being answered is the last one that came through. */
static bool
answers_last(const struct gate *gate)
{
	return gate->passed - gate->replied == 1;
}

const struct refusal *
gate_refusal(const struct gate *gate)
{
	return gate->is_refused && answers_last(gate) ? &gate->framing.refusal : NULL;
}

bool
gate_must_close(const struct gate *gate)
{
	return gate->is_last && answers_last(gate);
}

bool
gate_may_close(const struct gate *gate)
{
	return answers_last(gate) && framing_part(&gate->framing) == FRAMING_NONE;
}

void
gate_set_owner(struct gate *gate, void *owner)
{
	gate->owner = owner;
}

void
gate_begin_reply(struct gate *gate)
{
	gate->is_replying = true;
	set_phase(gate, PHASE_REPLY);
}

void
gate_note_reply(struct gate *gate)
{
	gate->owner = NULL;
	gate->is_replying = false;
	gate->replied++;
	if (gate->is_refused && gate->passed == gate->replied)
		lingers_add(gate->gates->lingers, gate->descriptor);
	set_phase(gate, phase_of(gate));
	if (gate->phase == PHASE_BODY && owes_continue(gate)) {
		gate->gates->owes_continue = true;
		event_active(gate->gates->on_turn, EV_TIMEOUT, 0);
	}
}
