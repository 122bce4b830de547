/* creation.h -- a new prompt on its way to becoming a file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "server/job.h"

struct loader;
struct snapshot;

enum creation_outcome {
	CREATION_DONE,
	CREATION_ID_EXISTS, /* that prompt, or that version of it, is served already */
	CREATION_VERSION_NEEDED, /* the id exists and the new prompt gives no version */
	CREATION_TAKEN, /* a file, or a label, that the new prompt would need is taken */
	CREATION_INVALID, /* the file would not be served as it was sent */
	CREATION_DENIED, /* the directory may not be written to */
	CREATION_FULL, /* the disk is full; nothing was written */
	CREATION_FAILED,
	CREATION_UNSERVED, /* the file is there, but is held back or could not be looked at */
};

/* The job of writing a new prompt as a file. */
struct creation {
	struct job job;
	const char *id, *path;
	const char *data;
	size_t length;
	enum creation_outcome outcome;
	char message[256]; /* of outcomes from CREATION_TAKEN on: what is in the way */
};

/* Write the file below the directory if it can be served beside what is published and known, and set the
 * outcome. Returns whether it was created. Reload thread only. */
bool creation_write(struct creation *, const char *directory, struct loader *,
	const struct snapshot *published);

/* Take back that it is done where the new file is not served, now that it has been looked for. Reload thread only. */
void creation_verify(struct creation *, const struct snapshot *published);
