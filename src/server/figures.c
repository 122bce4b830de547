/* figures.c -- what the reload thread counts and measures, for whoever asks. */
#include "server/figures.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>

#include "server/clock.h"

const double bucket_bounds[N_BUCKETS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
	0.05, 0.1, 0.25, 1, 5, INFINITY};

const char *
cause_name(enum cause cause)
{
	static const char *const names[] = {
		[CAUSE_START] = "start",
		[CAUSE_EVENT] = "event",
		[CAUSE_POLL] = "poll",
		[CAUSE_OVERFLOW] = "overflow",
		[CAUSE_SIGNAL] = "signal",
		[CAUSE_API] = "api",
		[CAUSE_SETTLE] = "settle",
	};
	return names[cause];
}

const char *
hold_name(enum hold hold)
{
	static const char *const names[] = {
		[HOLD_QUIET] = "quiet",
		[HOLD_WRITER] = "writer",
		[HOLD_VCS] = "vcs",
		[HOLD_SETTLE] = "settle",
		[HOLD_DELETE] = "delete",
		[HOLD_EMPTY] = "empty",
		[HOLD_MIN_PROMPTS] = "min-prompts",
		[HOLD_BAD_FILE] = "bad-file",
		[HOLD_ROOT] = "root",
	};
	return names[hold];
}

const char *
blindness_name(enum blindness blindness)
{
	static const char *const names[] = {
		[SEES_ALL] = "none",
		[BLIND_ON_DEMAND] = "demand",
		[BLIND_WITHOUT_INOTIFY] = "inotify",
		[BLIND_WITHOUT_WATCH] = "watch",
		[BLIND_FILE_SYSTEM] = "filesystem",
	};
	return names[blindness];
}

static const struct {
	int reason;
	const char *name;
} watch_errors[] = {
	[WATCH_ENOSPC] = {ENOSPC, "ENOSPC"},
	[WATCH_EMFILE] = {EMFILE, "EMFILE"},
	[WATCH_EACCES] = {EACCES, "EACCES"},
	[WATCH_ENOMEM] = {ENOMEM, "ENOMEM"},
	[WATCH_OTHER] = {0,      "other" },
};

enum watch_error
watch_error_of(int reason)
{
	int at = 0;
	while (at < WATCH_OTHER && watch_errors[at].reason != reason)
		at++;
	return (enum watch_error)at;
}

const char *
watch_error_name(enum watch_error error)
{
	return watch_errors[error].name;
}

void
histogram_add(struct histogram *histogram, uint64_t microseconds)
{
	size_t at = 0;
	while ((double)microseconds > bucket_bounds[at] * 1e6)
		at++;
	atomic_fetch_add_explicit(&histogram->counts[at], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_us, microseconds, memory_order_relaxed);
}

void
figures_set(struct figures *figures, enum figure figure, long long value)
{
	atomic_store_explicit(&figures->values[figure], value, memory_order_relaxed);
}

void
figures_add(struct figures *figures, enum figure figure, long long by)
{
	atomic_fetch_add_explicit(&figures->values[figure], by, memory_order_relaxed);
}

long long
figures_get(const struct figures *figures, enum figure figure)
{
	return atomic_load_explicit(&figures->values[figure], memory_order_relaxed);
}

void
figures_hold(struct figures *figures, enum hold hold, bool held)
{
	int64_t since = atomic_load_explicit(&figures->held_since_ms[hold], memory_order_relaxed);
	int64_t now = clock_ms();
	if (held == (since > 0))
		return;
	if (held)
		atomic_fetch_add_explicit(&figures->holds[hold], 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(
			&figures->held_ms[hold], now - since, memory_order_relaxed);
	atomic_store_explicit(&figures->held_since_ms[hold], held ? now : 0, memory_order_relaxed);
}
