/* schedule.c -- when to look at the files, and until when to wait for what is not settled. */
#include "server/schedule.h"

enum {
	BLIND_POLL_MS = 2000, /* look so often where events cannot be had */
	POLL_SHARE = 200, /* the part of the time that looks by the clock may take, … */
	FORCED_SHARE = 10, /* … and those that are to publish at last */
	LOCK_CHECK_MS = 20, /* look for git's lock so often while it is held */
};

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t
schedule_earlier(int64_t time_ms, int64_t or_none)
{
	return or_none > 0 ? earlier(time_ms, or_none) : time_ms;
}

bool
schedule_begin(struct schedule *schedule, int64_t now_ms)
{
	if (schedule->first_ms > 0)
		return false;
	schedule->first_ms = now_ms;
	schedule->bound_ms = now_ms + schedule->max_latency_ms;
	return true;
}

bool
schedule_is_quiet(const struct schedule *schedule, int64_t now_ms)
{
	return schedule->last_event_ms > 0 &&
	       now_ms >= schedule->last_event_ms + schedule->quiet_ms;
}

void
schedule_note_git(struct schedule *schedule, int64_t now_ms, bool busy, bool changed)
{
	int64_t settled_ms = now_ms + schedule->settle_ms + schedule->quiet_ms;
	if (!schedule->waits_for_git)
		schedule->git_since_ms = now_ms;
	else if (!busy) {
		schedule->last_event_ms = now_ms;
		schedule->bound_ms += now_ms - later(schedule->git_since_ms, schedule->first_ms);
	}
	schedule->waits_for_git = busy;
	if (changed)
		schedule->bound_ms = later(schedule->bound_ms,
			earlier(settled_ms, schedule->first_ms + schedule->git_wait_ms));
}

void
schedule_note_look(
	struct schedule *schedule, int64_t now_ms, int64_t took_us, bool everything, bool forced)
{
	bool is_first = schedule->looked_ms == 0; /* which has read and parsed all */
	schedule->look_ms = took_us / 1000;
	if (everything)
		schedule->looked_ms = now_ms;
	if (everything && !forced && !is_first) {
		schedule->last_all_us = schedule->all_us;
		schedule->all_us = took_us;
	}
}

bool
schedule_is_forced(const struct schedule *schedule, int64_t now_ms)
{
	return schedule->first_ms > 0 && now_ms + schedule->quiet_ms >= schedule->bound_ms;
}

void
schedule_put_off(struct schedule *schedule, int64_t now_ms)
{
	schedule->bound_ms =
		now_ms + 2 * schedule->quiet_ms + FORCED_SHARE * schedule->all_us / 1000;
}

int64_t
schedule_poll_ms(const struct schedule *schedule, bool blind)
{
	int64_t base = blind ? earlier(BLIND_POLL_MS, schedule->poll_ms) : schedule->poll_ms;
	/* One look that was slow, because the machine was busy, does not count. */
	int64_t usual_us = schedule_earlier(schedule->all_us, schedule->last_all_us);
	return later(base, usual_us * POLL_SHARE / 1000);
}

/* When what is not settled is to be looked at again. */
static int64_t
pending_due_ms(const struct schedule *schedule)
{
	int64_t bound = schedule->bound_ms - schedule->quiet_ms;
	if (schedule->last_event_ms > 0 && !schedule->writing)
		return earlier(bound, schedule->last_event_ms + schedule->quiet_ms);
	return schedule->last_event_ms == 0 ? schedule_earlier(bound, schedule->next_ms) : bound;
}

int64_t
schedule_due_ms(const struct schedule *schedule, int64_t now_ms, bool blind)
{
	if (schedule->waits_for_git)
		return now_ms + LOCK_CHECK_MS;
	if (schedule->urgent)
		return now_ms;
	if (schedule->first_ms > 0)
		return pending_due_ms(schedule);
	int64_t due = schedule->looked_ms + schedule_poll_ms(schedule, blind);
	return schedule_earlier(schedule_earlier(due, schedule->next_ms), schedule->retry_ms);
}
