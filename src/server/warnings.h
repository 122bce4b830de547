/* warnings.h -- what is likely a mistake in files that are served all the same. */
#pragma once

#include <stddef.h>

struct arena;
struct problem;

struct loader;
struct snapshot;

/* Call for each warning of the loader's files, and for each id that a snapshot, NULL for none, serves in no version when
 * none is asked for. The problem is borrowed, but its message lies in the arena or is the file's. Reload thread only. */
typedef void warnings_on_problem(void *context, const struct problem *);
void warnings_each(const struct loader *, const struct snapshot *,
	const char *const *default_labels, struct arena *, warnings_on_problem *, void *context);

/* Log a warning, the number-th of its occasion; only the first hundred, and then that there are more. */
void warnings_log(const struct problem *, size_t number);
