/* status.h -- how the reload stands, in JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/figures.h"

struct buffer;
struct loader;
struct snapshot;
struct watcher_state;

/* A publication of the past. */
struct publication {
	uint64_t generation;
	enum cause cause;
	size_t added, changed, removed;
	int64_t look_ms, latency_ms; /* the latter from the first event */
};

enum { N_PUBLICATIONS = 20 };

struct status {
	const struct snapshot *snapshot; /* NULL before the first */
	const struct loader *loader;
	const struct watcher_state *watcher;
	const struct figures *figures;
	const char *const *default_labels; /* NULL-ended */
	bool settled;
	const char *directory; /* as it was given */
	const char *resolved; /* "" where it is missing */
	const char *commit; /* that is served; NULL where it is not known */
	const char *problem; /* of the directory; "" for none */
	uint64_t device, inode;
	unsigned long filesystem; /* statfs(2)'s type */
	struct publication publications[N_PUBLICATIONS]; /* the newest first */
	size_t n_publications;
};

/* Put what is known without the reload thread, which has been busy with a look for so long. Any thread. */
void status_put_busy(
	const struct snapshot *, const struct figures *, int64_t busy_ms, struct buffer *);

/* Put it, with the files that are not good or with all. */
void status_put(const struct status *, bool all_files, struct buffer *);
