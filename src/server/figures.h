/* figures.h -- what the reload thread counts and measures, for whoever asks. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
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

/* Why changes may go unseen, which are then looked for by the clock. */
enum blindness {
	SEES_ALL,
	BLIND_ON_DEMAND, /* --watch poll */
	BLIND_WITHOUT_INOTIFY,
	BLIND_WITHOUT_WATCH, /* of some directory */
	BLIND_FILE_SYSTEM, /* which others change too */
	N_BLINDNESSES
};

const char *blindness_name(enum blindness);

/* What keeps a directory from being watched. */
enum watch_error {
	WATCH_ENOSPC,
	WATCH_EMFILE,
	WATCH_EACCES,
	WATCH_ENOMEM,
	WATCH_OTHER,
	N_WATCH_ERRORS
};

enum watch_error watch_error_of(int reason);
const char *watch_error_name(enum watch_error);

enum figure {
	FIGURE_LAST_SUCCESSFUL,
	FIGURE_LAST_SUCCESS_SECONDS, /* since the epoch */
	FIGURE_LAST_ATTEMPT_SECONDS,
	FIGURE_PUBLISHED_MS, /* on clock_ms() */
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
	FIGURE_INOTIFY,
	FIGURE_RESTARTS,
	FIGURE_BLINDNESS,
	FIGURE_POLL_MS,
	FIGURE_POLL_FOUND,
	FIGURE_ROOT_AVAILABLE,
	FIGURE_ROOT_SWAPS,
	FIGURE_TOKENS,
	FIGURE_TOKENS_BAD,
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
	atomic_llong watch_errors[N_WATCH_ERRORS];
	atomic_llong problems[N_ERROR_KINDS];
	struct histogram reload, latency, age, look, verify;
};

void figures_set(struct figures *, enum figure, long long value);
void figures_add(struct figures *, enum figure, long long by);
/* Note since when something is held, or that it no longer is. */
void figures_hold(struct figures *, enum hold, bool held);
long long figures_get(const struct figures *, enum figure);
