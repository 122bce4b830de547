/* gates.h -- a worker's connections, each behind its gate, and no more than there may be. */
#pragma once

#include <stdbool.h>

struct bufferevent;
struct event_base;
struct evhttp_bound_socket;
struct evhttp_request;
struct gate;
struct gate_limits;
struct gates;
struct tls;
struct traffic;

/* A connection is gone while its gate's owner, who was set, is not yet done with a request. */
typedef void gates_on_close(void *owner);

/* Everything here is for the worker's thread. The base, the limits, the certificate, NULL for none, and the traffic, in
 * which connections that are open are counted, are borrowed. Returns NULL when memory is out. */
struct gates *gates_new(struct event_base *, const struct gate_limits *, struct tls *,
	struct traffic *, gates_on_close *);

/* After evhttp, which closes the connections. */
void gates_free(struct gates *);

/* Watch over a listening socket: it rests while there are enough connections, and a while when descriptors are out. */
void gates_guard(struct gates *, struct evhttp_bound_socket *);

/* Take all connections that are queued: no more are to come. */
void gates_drain(struct gates *);

/* Whether a request has begun to arrive or, on a connection that is new, may be about to; or its reply is not out. */
bool gates_are_busy(const struct gates *);

/* Accept nothing any more, and stop watching over the socket. Returns whether epoll is yet to be told of that, in the next turn of
 * the loop; before, only a socket that nobody else has may be closed. */
bool gates_leave(struct gates *);

/* Make a connection's bufferevent, for evhttp_set_bevcb. NULL when memory is out: then evhttp makes one that has no
 * gate, and its requests must not be answered. */
struct bufferevent *gates_open(struct gates *);

/* The gate of a request's connection, or NULL. Its owner, NULL for none, is told if it closes before the reply is out. */
struct gate *gates_find(const struct gates *, struct evhttp_request *);

/* The reply to a request is out. */
void gates_note_reply(struct gates *, struct gate *);
