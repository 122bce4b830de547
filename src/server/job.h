/* job.h -- a new prompt on its way to becoming a file. */
#pragma once

#include <stddef.h>

struct loader;
struct snapshot;
struct unit;

enum job_outcome {
	JOB_CREATED,
	JOB_ID_EXISTS, /* that prompt, or that version of it, is served already */
	JOB_VERSION_NEEDED, /* the id exists and the new prompt gives no version */
	JOB_TAKEN, /* a file, or a label, that the new prompt would need is taken */
	JOB_INVALID, /* the file would not be served as it was sent */
	JOB_DENIED, /* the directory may not be written to */
	JOB_FULL, /* the disk is full; nothing was written */
	JOB_FAILED,
};

/* A new prompt to write as a file. The poster owns the job until it posts it, and again from the call
 * of on_done. */
struct job {
	struct job *next; /* the queue's */
	const char *id, *path;
	const char *data;
	size_t length;
	enum job_outcome outcome;
	char message[256]; /* of outcomes from JOB_TAKEN on: what is in the way */
	void (*on_done)(struct job *); /* called on the reload thread */
	void *owner;
};

/* Write a job's file below the directory if it can be served beside what is published and known, and set
 * the outcome. Returns the file's unit, the caller's, when it was created, else NULL. Reload thread
 * only. */
struct unit *job_write(
	struct job *, const char *directory, struct loader *, const struct snapshot *published);
