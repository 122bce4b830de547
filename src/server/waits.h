/* waits.h -- the requests of a worker that wait for the reload thread. */
#pragma once

#include <stdint.h>

struct api;
struct event_base;
struct evhttp_request;
struct reply;
struct request;
struct waits;

/* Send the reply to a request that waited; id is the request's. */
typedef void waits_on_answer(
	void *context, struct evhttp_request *, struct reply *, const char *id);

/* Everything here is for the worker's thread. The reload thread rings the eventfd wake when something is done. All is
 * borrowed. Returns NULL when memory is out. */
struct waits *waits_new(
	struct event_base *, const struct api *, int wake, waits_on_answer *, void *context);

/* Behind evhttp, and once the reload thread has stopped. */
void waits_free(struct waits *);

/* Let a request wait for its reply's job; where it cannot, the reply says so and has no job any more. */
void waits_add(struct waits *, struct evhttp_request *, const struct request *, int64_t start_us,
	struct reply *);

/* A request's connection is gone. */
void waits_forget(struct waits *, struct evhttp_request *);

/* Answer those whose jobs are done. */
void waits_answer(struct waits *);
