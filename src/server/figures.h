/* figures.h -- what the reload thread counts and measures, for whoever asks. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "server/hold.h"

/* Why a look was taken. */
enum cause {
	CAUSE_START,
	CAUSE_EVENT,
	CAUSE_POLL,
	CAUSE_OVERFLOW,
	CAUSE_SIGNAL,
	CAUSE_API,
	CAUSE_SETTLE, /* something was left for later */
	N_CAUSES
};

const char *cause_name(enum cause);

enum result { RESULT_OK, RESULT_PARTIAL, RESULT_FAILED, RESULT_NOOP, N_RESULTS };

enum figure {
	FIGURE_LAST_SUCCESSFUL,
	FIGURE_LAST_SUCCESS_SECONDS, /* since the epoch */
	FIGURE_LAST_ATTEMPT_SECONDS,
	FIGURE_PUBLISHED_SECONDS,
	FIGURE_FILES_OK,
	FIGURE_FILES_STALE,
	FIGURE_FILES_INVALID,
	FIGURE_FILES_UNSETTLED,
	FIGURE_FILES_LEAVING,
	FIGURE_FILES_MOUNTED,
	FIGURE_LOOK_RETRIES,
	FIGURE_FORCED,
	FIGURE_EVENTS,
	FIGURE_OVERFLOWS,
	FIGURE_WATCHES,
	FIGURE_WATCH_ERRORS,
	FIGURE_INOTIFY,
	FIGURE_RESTARTS,
	FIGURE_BLIND,
	FIGURE_POLL_MS,
	FIGURE_POLL_FOUND,
	FIGURE_ROOT_AVAILABLE,
	FIGURE_ROOT_SWAPS,
	FIGURE_LOOK_BEGAN_MS, /* on clock_ms(); 0: none is under way */
	N_FIGURES
};

enum { N_BUCKETS = 14 };
extern const double bucket_bounds[N_BUCKETS]; /* in seconds; the last is infinite */

/* Counts by bucket, each without those below it. */
struct histogram {
	atomic_ullong counts[N_BUCKETS];
	atomic_ullong sum_us;
};

void histogram_add(struct histogram *, uint64_t microseconds);

/* Written by one thread, read by any: relaxed atomics. */
struct figures {
	atomic_llong values[N_FIGURES];
	atomic_llong results[N_RESULTS];
	atomic_llong causes[N_CAUSES];
	atomic_llong holds[N_HOLDS], held_ms[N_HOLDS],
		held_since_ms[N_HOLDS]; /* since 0: not held */
	struct histogram reload, latency, look, verify;
};

void figures_set(struct figures *, enum figure, long long value);
void figures_add(struct figures *, enum figure, long long by);
long long figures_get(const struct figures *, enum figure);
