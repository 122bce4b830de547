/* gate.h -- lets whole and well-formed requests through to evhttp, in time, on so many connections. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/framing.h"

struct bufferevent;
struct event_base;
struct evhttp_bound_socket;
struct evhttp_request;
struct gate; /* one connection's */
struct gates; /* a worker's */
struct tls;
struct traffic;

struct gate_limits {
	struct framing_limits framing;
	size_t connections;
	/* Each counts from its beginning, not from the last byte. */
	int64_t first_ms,
		idle_ms; /* without a request: since the connection, since the last reply */
	int64_t head_ms, body_ms, reply_ms;
};

/* A connection is gone while its owner, who was set, is not yet done with a request. */
typedef void gate_on_close(void *owner);

/* Everything here is for the worker's thread. The base, the limits, the certificate, NULL for none, and the traffic, in
 * which connections that are open are counted, are borrowed. Returns NULL when memory is out. */
struct gates *gates_new(struct event_base *, const struct gate_limits *, struct tls *,
	struct traffic *, gate_on_close *);

/* After evhttp, which closes the connections. */
void gates_free(struct gates *);

/* Watch over a listening socket: it rests while there are enough connections, and a while when descriptors are out. */
void gates_guard(struct gates *, struct evhttp_bound_socket *);

/* Take all connections that are queued: no more are to come. */
void gates_drain(struct gates *);

/* Whether a request has begun to arrive, or its reply is not out. */
bool gates_are_busy(const struct gates *);

/* Stop watching over the socket, before it is closed. */
void gates_leave(struct gates *);

/* Make a connection's bufferevent, for evhttp_set_bevcb. NULL when memory is out: then evhttp makes one that has no
 * gate, and its requests must not be answered. */
struct bufferevent *gates_open(struct gates *);

/* The gate of a request's connection, or NULL. */
struct gate *gates_find(const struct gates *, struct evhttp_request *);

/* Why a request is refused, which only stands for the one that the client sent; NULL: it is the client's. */
const struct refusal *gate_refusal(const struct gate *);

/* Whether the client wants the connection closed behind the reply to this request, and whether nothing has come behind
 * it. */
bool gate_must_close(const struct gate *);
bool gate_may_close(const struct gate *);

/* Who is to be told if the connection closes, until the reply is out. */
void gate_set_owner(struct gate *, void *owner);

/* The reply to a request is about to be sent, and is out. */
void gate_begin_reply(struct gate *);
void gate_note_reply(struct gate *);
