/* publisher.h -- whether a set of files is published, and what is told of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/status.h"

struct error;
struct figures;
struct loader;
struct snapshot;
struct store;

struct publisher_terms {
	const char *directory; /* for messages */
	const char *const *default_labels; /* NULL-ended */
	struct store *store; /* this is its only publisher */
	struct loader *loader;
	struct figures *figures;
	bool hold_bad_files; /* a set with problems is not published once there was one without */
	size_t min_prompts;
	bool strict_start; /* what keeps the first set from being published is told as an error */
	int64_t empty_grace_ms; /* how long the last prompts are served on when all files are gone */
};

/* Reload thread only. */
struct publisher {
	struct publisher_terms terms;
	const struct snapshot *published; /* the store's current one; NULL before the first */
	struct snapshot *candidate; /* newer than that, and held */
	bool is_new; /* it differs in more than files that are leaving */
	char reason[320]; /* of the hold that was told last */
	enum hold shown; /* the hold that is told with what is published; N_HOLDS: none */
	int64_t empty_since_ms; /* 0: there are files */
	uint64_t device; /* where there were files last */
	bool elsewhere; /* the directory without files is on another */
	bool in_use; /* older snapshots are, and wait to be freed */
	bool failed; /* memory was out: offer again */
	struct publication publications[N_PUBLICATIONS];
	size_t n_publications;
};

void publisher_init(struct publisher *, const struct publisher_terms *);
void publisher_finish(struct publisher *);

/* What was found by a look. */
struct offer {
	enum cause cause;
	int64_t now_ms;
	int64_t first_ms; /* of what led to it, on clock_ms(); 0: a look by the clock did */
	int64_t look_ms; /* what the look took */
	int64_t changed_ns; /* of the newest content in it, on CLOCK_REALTIME; 0: there is none */
	const char *commit; /* "" where it is not known */
	const struct error *root_problem; /* the directory cannot be looked at; NULL: it was */
	uint64_t device; /* of the directory */
};

/* Publish the loader's files as they are now, or tell why not. Returns whether what is served, or told, is
 * another. */
bool publisher_offer(struct publisher *, const struct offer *);

/* Free older snapshots that are not in use any more. */
void publisher_reap(struct publisher *);

/* When to offer again though nothing happens; 0: no need. */
int64_t publisher_next_ms(const struct publisher *);
