/* head.h -- what the head of an HTTP/1.1 request says: its request line and its fields. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a request is refused; status 0: it is not. */
struct refusal {
	int status;
	const char *reason;
};

/* What is known of a head so far. Starts zeroed. */
struct head {
	size_t fields;
	unsigned seen; /* which of those that are known */
	bool is_old; /* HTTP/1.0 */
	bool is_head, forbids_body; /* by its method */
	bool is_chunked;
	bool closes; /* it asks for the connection to be closed (RFC 9112 section 9.6) */
	bool wants_continue; /* and has a body to wait with (RFC 9110 section 10.1.1) */
	uint64_t length; /* of the body, where it is not chunked */
};

/* Take a line of the head, without the line end. RFC 9112 sections 3, 5 and 6, read strictly: what two
 * parsers could understand in two ways is refused. Returns false with a refusal. */
bool head_take_request_line(struct head *, const char *line, size_t length, struct refusal *);
bool head_take_field(struct head *, const char *line, size_t length, struct refusal *);

/* Whether a line is a field that may stand in a trailer too. */
bool head_is_field(const char *line, size_t length);

/* Take the end of the head. Returns false with a refusal. */
bool head_end(struct head *, struct refusal *);
