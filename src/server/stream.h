/* stream.h -- finds whole and well-formed requests in the bytes of a connection, for evhttp to read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/framing.h"

struct evbuffer;

/* Buffers that are empty between uses; a worker's streams share them. */
struct scratch {
	struct evbuffer *front, *rest;
};

/* One connection's. To be read only. */
struct stream {
	struct scratch *scratch; /* borrowed */
	struct framing framing;
	struct evbuffer *held; /* of a request that is not whole yet */
	uint64_t passed; /* requests, with the stand-in */
	bool is_refused; /* the last of them is a stand-in */
	bool is_last; /* the last of them ends the connection */
	bool has_continued; /* the client was told to go on with its body */
	bool is_lost; /* memory was out for a stand-in */
};

/* Worker's thread, like all here. The limits are borrowed. Returns -1 when memory is out. */
int stream_init(struct stream *, const struct framing_limits *, struct scratch *);
void stream_finish(struct stream *);

/* Take the bytes that were added to the end of evhttp's input, out of which all goes but whole requests and, in the place of
 * the first that is refused and all behind it, a stand-in: a request that is to be answered with the refusal. */
void stream_take(struct stream *, struct evbuffer *input, size_t added);

/* Refuse the request that has begun, likewise. The reason is borrowed. */
void stream_refuse(struct stream *, struct evbuffer *input, int status, const char *reason);
