/* exchange.h -- the requests of a worker, and their replies. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/api.h"

struct event_base;
struct evhttp_request;
struct exchanges;
struct gates;
struct traffic;

/* All is borrowed. */
struct exchange_terms {
	struct event_base *base;
	struct api *api;
	struct traffic *traffic;
	struct door door;
	int wake; /* an eventfd that is rung when a request need not wait any more */
	const atomic_bool *draining; /* replies close their connections where that may be */
};

/* Everything here is for the worker's thread. Returns NULL when memory is out. */
struct exchanges *exchanges_new(const struct exchange_terms *);

/* Behind evhttp, and once the reload thread has stopped: it may still hold a job. NULL is fine. */
void exchanges_free(struct exchanges *);

/* Behind which gates the requests come. Before the first one. */
void exchanges_guard(struct exchanges *, struct gates *);

/* Answer a request of evhttp; for evhttp_set_gencb. */
void exchanges_on_request(struct evhttp_request *, void *exchanges);

/* For the gates: a connection is gone before its reply was out. */
void exchanges_on_closed_early(void *exchange);

/* Answer those that waited for the reload thread, and need not any more. */
void exchanges_answer_late(struct exchanges *);

/* How many have no reply that is out. */
size_t exchanges_in_flight(const struct exchanges *);

/* Let go of what is held for a turn of the loop, and log what it has answered: the last turn is over. */
void exchanges_end_turn(struct exchanges *);
