/* access.h -- what the log tells of a request: who asked for what, and what came of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/request_id.h"

struct log_batch;
struct reply;
struct request;

/* Who asked for what; cut where it is longer. */
struct access {
	char id[REQUEST_ID_BYTES];
	char peer[48], token[64];
	char method[8];
	char path[208]; /* without the query, where a secret may stand */
	char file[512]; /* that is to be created; "": none is */
	bool is_write; /* it asks for a file to be created */
	int64_t start_us; /* on clock_us() */
};

/* Worker's thread, like all here. */
void access_of(const struct request *, int64_t start_us, struct access *);

/* Note that a file is about to be created. Returns whether it is on record: without that it must not. */
bool access_note_write(const struct access *);

/* Whether an answer is to be noted: a refusal, the end of a write or, if so asked, any. */
bool access_is_due(const struct request *, int status);

/* Note what is answered: in the audit log a refusal, and the end of a write, and any other in the log, where it waits in the
 * batch, if there is one. Returns whether it is on record, or will be. */
bool access_note(const struct access *, const struct reply *, struct log_batch *);

/* Note that a connection is refused whose requests cannot be read. */
void access_note_unread(int descriptor, const char *id, int status, const char *reason);
