/* framing.h -- where the requests of an HTTP/1.1 connection begin and end (RFC 9112), to the letter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/head.h"

struct framing_limits {
	size_t target_bytes; /* of a request line: 414 */
	size_t head_bytes, fields; /* 431 */
	uint64_t body_bytes; /* 413 */
};

enum framing_verdict {
	FRAMING_PASS, /* the bytes belong to a request */
	FRAMING_OMIT, /* a request means the same without them: chunk extensions, trailers, empty lines in front */
	FRAMING_REFUSE, /* nothing from here on has a meaning; see refusal */
};

enum framing_part {
	FRAMING_NONE, /* between requests */
	FRAMING_HEAD,
	FRAMING_BODY,
};

/* The state of one connection's stream. */
struct framing {
	const struct framing_limits *limits; /* borrowed */
	int state;
	struct head head;
	struct buffer line; /* the part of a line that has come so far */
	size_t head_bytes;
	uint64_t left, body_bytes; /* of a chunk or body; of all chunks */
	size_t chunk_lines_bytes, digits;
	bool is_complete; /* the last byte taken was a request's last one */
	bool closes; /* … and that one asks for the connection to be closed */
	struct refusal refusal;
};

void framing_init(struct framing *, const struct framing_limits *);
void framing_finish(struct framing *);

/* Take a run of bytes that all have one verdict: at least one byte, at most to the end of a request. Sets how many
 * were taken. length is over 0. Once refused it stays so. */
enum framing_verdict framing_take(
	struct framing *, const char *bytes, size_t length, size_t *taken);

/* Where in a request the bytes taken so far end. */
enum framing_part framing_part(const struct framing *);
