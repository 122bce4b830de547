/* job.h -- what a worker asks of the reload thread. */
#pragma once

#include <stdbool.h>

#include "core/buffer.h"

enum job_kind {
	JOB_CREATE, /* a struct creation */
	JOB_RELOAD, /* look at everything; done when that is settled */
	JOB_STATUS, /* tell how things stand */
};

/* The poster owns the job until it posts it, and again from the call of on_done. */
struct job {
	struct job *next; /* the queue's */
	enum job_kind kind;
	bool all_files; /* to be told of good files too */
	bool clean; /* nothing is wrong or held; of a reload */
	struct buffer status; /* JSON; of a reload and a status */
	void (*on_done)(struct job *); /* called on the reload thread */
	void *owner;
};

/* From malloc. */
void job_free(struct job *);
