/* exchange.c -- the requests of a worker, and their replies. */
#include "server/exchange.h"

#include <stdint.h>
#include <stdlib.h>

#include <event2/event.h>
#include <event2/http.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/store.h"
#include "core/tokens.h"
#include "server/access.h"
#include "server/api_reply.h"
#include "server/auth.h"
#include "server/clock.h"
#include "server/gate.h"
#include "server/gates.h"
#include "server/http.h"
#include "server/log.h"
#include "server/traffic.h"
#include "server/waits.h"

enum { MOST_HELD_BYTES = 64 * 1024 * 1024 }; /* for clients who do not read what they asked for */

struct exchanges {
	struct exchange_terms terms;
	struct gates *gates;
	struct event *on_turn_end;
	struct arena *arena; /* of the request being answered */
	struct digest *digest;
	struct http_scratch scratch;
	const struct snapshot *snapshot; /* references while a turn of the loop has requests, … */
	struct tokens *tokens;
	struct log_batch lines; /* … and of what it has answered */
	struct waits *waits; /* for the reload thread */
	struct exchange *unused;
	size_t in_flight; /* whose reply is not yet out */
	size_t held_bytes; /* of their bodies that are nobody else's */
};

/* A request and its reply. */
struct exchange {
	struct exchange *next; /* among the unused */
	struct exchanges *all;
	struct gate *gate;
	struct evhttp_request *request;
	enum endpoint endpoint;
	int64_t start_us;
	size_t held_bytes;
};

static void
end_exchange(struct exchange *exchange)
{
	struct exchanges *all = exchange->all;
	exchange->next = all->unused;
	all->unused = exchange;
	all->in_flight--;
	all->held_bytes -= exchange->held_bytes;
}

static void on_reply_sent(struct evhttp_request *, void *exchange);

static struct exchange *
begin_exchange(struct exchanges *all, struct evhttp_request *request, struct gate *gate)
{
	struct exchange *exchange = all->unused;
	if (exchange != NULL)
		all->unused = exchange->next;
	else
		exchange = malloc(sizeof(*exchange));
	if (exchange == NULL)
		return NULL;
	*exchange = (struct exchange){
		.all = all, .gate = gate, .request = request, .start_us = clock_us()};
	all->in_flight++;
	evhttp_request_set_on_complete_cb(request, on_reply_sent, exchange);
	gate->owner = exchange;
	return exchange;
}

static void
on_reply_sent(struct evhttp_request *request, void *context)
{
	struct exchange *exchange = context;
	gates_note_reply(exchange->all->gates, exchange->gate);
	traffic_count(exchange->all->terms.traffic, exchange->endpoint,
		evhttp_request_get_response_code(request),
		(uint64_t)(clock_us() - exchange->start_us));
	end_exchange(exchange);
}

void
exchanges_on_closed_early(void *owner)
{
	struct exchange *exchange = owner;
	struct exchanges *all = exchange->all;
	waits_forget(all->waits, exchange->request);
	end_exchange(exchange);
}

/* Count what a reply holds until it is read, or give it up. */
static void
hold_body(struct exchange *exchange, struct reply *reply)
{
	struct exchanges *all = exchange->all;
	if (all->held_bytes + reply->body.length > MOST_HELD_BYTES) {
		reply->retry_after_ms = 1000;
		reply_error(reply, 503, "Too many replies are on their way");
	}
	exchange->held_bytes = reply->body.length;
	all->held_bytes += exchange->held_bytes;
}

static void
send_reply(struct exchanges *all, struct evhttp_request *request, struct reply *reply,
	const struct snapshot *snapshot, const char *id)
{
	struct gate *gate = gates_find(all->gates, request);
	hold_body(gate->owner, reply);
	bool is_draining = atomic_load_explicit(all->terms.draining, memory_order_relaxed);
	gate_begin_reply(gate);
	http_send(request, reply,
		&(struct http_terms){
			.digest = all->digest,
			.scratch = &all->scratch,
			.snapshot = snapshot,
			.has_tokens = all->terms.api->auth != NULL &&
				      auth_has_tokens(all->terms.api->auth),
			.is_plain = all->terms.door.tls == NULL,
			.closing = gate_must_close(gate) || (is_draining && gate_may_close(gate)),
			.request_id = id,
		});
	reply_finish(reply);
}

static void
on_late_answer(void *context, struct evhttp_request *request, struct reply *reply, const char *id)
{
	send_reply(context, request, reply, NULL, id);
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
		waits_add(exchange->all->waits, exchange->request, request, exchange->start_us,
			reply);
}

static void
note(struct exchange *exchange, const struct request *request, const struct reply *reply)
{
	struct access access;
	access_of(request, exchange->start_us, &access);
	access_note(&access, reply, &exchange->all->lines);
}

/* Note and send the reply to a request that need not wait. */
static void
finish(struct exchange *exchange, const struct request *request, struct reply *reply)
{
	if (access_is_due(request, reply->status))
		note(exchange, request, reply);
	send_reply(exchange->all, exchange->request, reply, request->snapshot, request->id);
}

/* Hold what is current until the turn of the loop ends, however many requests it has. */
static void
hold(struct exchanges *all)
{
	store_refresh(all->terms.api->store, &all->snapshot);
	if (all->terms.api->auth != NULL)
		auth_hold(all->terms.api->auth, &all->tokens);
	event_active(all->on_turn_end, EV_TIMEOUT, 0);
}

void
exchanges_end_turn(struct exchanges *all)
{
	store_release(all->terms.api->store, all->snapshot);
	tokens_unref(all->tokens);
	all->snapshot = NULL;
	all->tokens = NULL;
	log_flush(&all->lines);
}

void
exchanges_on_request(struct evhttp_request *from, void *context)
{
	struct exchanges *all = context;
	struct gate *gate = gates_find(all->gates, from);
	struct exchange *exchange = gate != NULL ? begin_exchange(all, from, gate) : NULL;
	struct reply reply = {0};
	if (exchange == NULL) {
		evhttp_add_header(evhttp_request_get_output_headers(from), "Connection", "close");
		evhttp_send_reply(from, 503, "Service Unavailable", NULL);
		return;
	}
	hold(all);
	struct request request = {.api = all->terms.api,
		.digest = all->digest,
		.door = all->terms.door,
		.snapshot = all->snapshot,
		.tokens = all->tokens,
		.arena = all->arena};
	arena_reset(all->arena);
	request_id_make(request.id);
	answer(exchange, &request, &reply);
	if (reply.job == NULL)
		finish(exchange, &request, &reply);
}

/* Called behind all that has come in this turn. */
static void
on_turn_end(evutil_socket_t none, short events, void *context)
{
	(void)none;
	(void)events;
	exchanges_end_turn(context);
}

struct exchanges *
exchanges_new(const struct exchange_terms *terms)
{
	struct exchanges *all = calloc(1, sizeof(*all));
	if (all == NULL)
		return NULL;
	all->terms = *terms;
	all->arena = arena_new();
	all->digest = digest_new();
	all->on_turn_end = event_new(terms->base, -1, 0, on_turn_end, all);
	all->waits = waits_new(terms->base, terms->api, terms->wake, on_late_answer, all);
	if (all->arena != NULL && all->digest != NULL && all->on_turn_end != NULL &&
		all->waits != NULL)
		return all;
	exchanges_free(all);
	return NULL;
}

void
exchanges_free(struct exchanges *all)
{
	if (all == NULL)
		return;
	waits_free(all->waits);
	if (all->on_turn_end != NULL)
		event_free(all->on_turn_end);
	for (struct exchange *exchange; (exchange = all->unused) != NULL;) {
		all->unused = exchange->next;
		free(exchange);
	}
	arena_free(all->arena);
	digest_free(all->digest);
	buffer_finish(&all->scratch.head);
	buffer_finish(&all->lines.lines);
	free(all);
}

void
exchanges_guard(struct exchanges *all, struct gates *gates)
{
	all->gates = gates;
}

void
exchanges_answer_late(struct exchanges *all)
{
	waits_answer(all->waits);
}

size_t
exchanges_in_flight(const struct exchanges *all)
{
	return all->in_flight;
}
