/* http.h -- requests and replies as evhttp has them. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "core/buffer.h"

struct digest;
struct error;
struct evhttp_request;
struct reply;
struct request;
struct snapshot;

/* Fill in what the handlers may know of a request, whose api and arena are set: peer, method, target, headers, body.
 * The texts are borrowed from evhttp's request. Returns -1 with an error where it is malformed. */
int http_read(struct evhttp_request *, struct request *, struct error *);

/* What a worker keeps from one reply to the next. Starts zeroed; its head is the worker's to finish. */
struct http_scratch {
	struct buffer head;
	time_t date_at; /* which date was written for */
	char date[32];
};

/* What a reply is sent under. */
struct http_terms {
	struct digest *digest;
	struct http_scratch *scratch;
	const struct snapshot *snapshot; /* that the reply is made from; NULL: none */
	bool has_tokens; /* answers depend on the Authorization header */
	bool closing; /* end the connection with this reply */
	bool is_plain; /* without TLS */
	const char *request_id;
};

/* Send a reply and finish it; a read gets its ETag and may become a 304 here. The bytes of a prompt's
 * answer are not copied: its unit is held until they are out. The rest of the reply stays the caller's. The request and
 * its connection may be gone afterwards. Worker's thread. */
void http_send(struct evhttp_request *, struct reply *, const struct http_terms *);
