/* worker.h -- a thread that answers requests from its own socket. */
#pragma once

#include <stdbool.h>

#include "server/api.h"

struct error;
struct gate_limits;
struct traffic;
struct worker;

/* Set libevent up for all workers: its memory and its log. To be called first. */
void worker_init(void);

/* Make a worker that accepts from a listening socket and counts what it does; it takes the socket and
 * borrows the rest.
 * Returns NULL with an error. */
struct worker *worker_new(struct api *, struct traffic *, const struct door *,
	const struct gate_limits *, int socket, struct error *);

/* Start its thread. Returns -1 with an error. */
int worker_start(struct worker *, struct error *);

/* Whether its loop has turned since this was asked last, which also makes it turn. Main thread only. */
bool worker_has_turned(struct worker *);

/* Ask it to take no new connections, to answer what is under way, and to end. Any thread. */
void worker_drain(struct worker *);

/* Wait until its thread has ended. */
void worker_join(struct worker *);

/* After the reload thread has ended too: it may still hold a job of this worker. */
void worker_free(struct worker *);
