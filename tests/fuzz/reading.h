/* reading.h -- what a connection's bytes mean, read at once, and whether evhttp and its client see the same. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"

struct evhttp_request;
struct framing_limits;

enum { ANSWERED = 404 }; /* each request with this status, which no field of it changes */

/* A request that is whole and well-formed. */
struct asked {
	const char *bytes; /* without those that mean nothing */
	size_t length;
};

struct reading {
	struct buffer passed;
	struct asked *asked;
	size_t count;
	int status; /* of the refusal of what follows; 0: there is none */
	bool refuses_head; /* what is refused is a HEAD */
	bool closes; /* the last request asks for the connection to be closed */
	size_t continues; /* so many clients may be told to go on */
};

/* The bytes' meaning, up to the request that ends the connection. */
void reading_init(
	struct reading *, const struct framing_limits *, const char *bytes, size_t length);
void reading_finish(struct reading *);

/* Check that evhttp found in a request what stands there, in words of its own. */
void reading_check(const struct asked *, struct evhttp_request *);

/* Check all that a client got: a whole reply to each request in turn, and to the refusal; fewer only behind one that says
 * that it is the last. Returns how many there are. */
size_t replies_check(const struct reading *, const struct buffer *replies);
