/* schedule.h -- when to look at the files, and until when to wait for what is not settled. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Times are on clock_ms(); 0: none. One thread. */
struct schedule {
	/* As cycle_terms has them. */
	int64_t quiet_ms, max_latency_ms, settle_ms, poll_ms, git_wait_ms;

	int64_t first_ms; /* when the first thing happened that is not published */
	int64_t bound_ms; /* when what is complete is published in any case */
	int64_t last_event_ms; /* since the last look */
	int64_t next_ms; /* when to look again at what was left out, … */
	int64_t retry_ms; /* … and at what could not be read */
	int64_t looked_ms; /* when all was looked at last, … */
	int64_t look_ms; /* … and what the last look took */
	int64_t all_us, last_all_us; /* what the last two looks at everything took */
	bool waits_for_git;
	int64_t git_since_ms; /* when that began */
	bool writing; /* all is quiet but for files that are not closed */
	bool urgent; /* do not wait for quiet */
};

/* Something happened that leads to a publication. Returns whether it is the first thing. */
bool schedule_begin(struct schedule *, int64_t now_ms);

/* Whether nothing has happened for the quiet time, but something before. */
bool schedule_is_quiet(const struct schedule *, int64_t now_ms);

/* Git is changing files, or not any more: the time that it takes does not count. What it has changed is published
 * as a whole, so there is time for all of it to settle. */
void schedule_note_git(struct schedule *, int64_t now_ms, bool busy, bool changed);

/* A look, at everything or not, has ended. What a forced one took, which waits for writers, tells nothing, nor what the
 * first did, which reads all. */
void schedule_note_look(
	struct schedule *, int64_t now_ms, int64_t took_us, bool everything, bool forced);

/* Whether it is time to publish what is complete. */
bool schedule_is_forced(const struct schedule *, int64_t now_ms);

/* A forced look found nothing that may be published: another one is to come soon, but not all the time. */
void schedule_put_off(struct schedule *, int64_t now_ms);

/* How long until all is looked at again, events or none; blind: changes may go unseen. */
int64_t schedule_poll_ms(const struct schedule *, bool blind);

/* When to look at the latest. */
int64_t schedule_due_ms(const struct schedule *, int64_t now_ms, bool blind);

/* The earlier of two times, of which the second may be none. */
int64_t schedule_earlier(int64_t, int64_t or_none);
