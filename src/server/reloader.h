/* reloader.h -- the reload thread: decides when to look again, and publishes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;
struct prompt_rules;
struct reloader;
struct store;

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
	const char *id, *version, *path; /* version: NULL where it has none */
	const char *data;
	size_t length;
	enum job_outcome outcome;
	char message[256]; /* of outcomes from JOB_TAKEN on: what is in the way */
	void (*on_done)(struct job *); /* called on the reload thread */
	void *owner;
};

/* Borrows all it is given, and is the only publisher of the store from now on. Returns NULL when
 * memory is out. */
struct reloader *reloader_new(const char *directory, const struct prompt_rules *, struct store *);

/* Look and publish for the first time, on the caller's thread. Returns -1 with an error where the
 * directory cannot be read. Before reloader_start. */
int reloader_load(struct reloader *, struct error *);

/* Start the thread. Returns -1 with an error. */
int reloader_start(struct reloader *, struct error *);

/* End the thread, if it was started, after the jobs posted before, and free all. */
void reloader_free(struct reloader *);

/* Look everywhere soon. Any thread, and signal-safe. */
void reloader_request(struct reloader *);

/* Queue a job. Any thread. */
void reloader_post(struct reloader *, struct job *);
