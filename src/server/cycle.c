/* cycle.c -- looks at the prompt directory until what it holds is settled, publishes that, and begins
 * anew. */
#include "server/cycle.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/error.h"
#include "core/snapshot.h"
#include "server/clock.h"
#include "server/creation.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/publisher.h"
#include "server/survey.h"
#include "server/watcher.h"

enum {
	BLIND_POLL_MS = 2000, /* look so often where events cannot be had */
	POLL_SHARE = 200, /* the part of the time that looks by the clock may take, … */
	FORCED_SHARE = 10, /* … and those that are to publish at last */
	LOCK_CHECK_MS = 20, /* look for git's lock so often while it is held */
	REAP_MS = 100, /* try again to free snapshots that were in use */
};

struct cycle {
	struct cycle_terms terms;
	struct figures *figures;
	struct loader *loader;
	struct watcher *watcher;
	struct survey survey;
	struct publisher publisher;

	/* What is not settled; times on clock_ms(), 0: none. */
	enum cause cause; /* of the look to come */
	int64_t first_ms; /* when the first thing happened that is not published */
	int64_t bound_ms; /* when what is complete is published in any case */
	int64_t last_event_ms; /* since the last look */
	int64_t next_ms; /* when to look again at what was left out, … */
	int64_t retry_ms; /* … and at what could not be read */
	int64_t looked_ms; /* when all was looked at last, … */
	int64_t look_ms; /* … and what the last look took */
	int64_t changed_ns; /* of the newest content that is not published */
	int64_t all_us, last_all_us; /* what the last two looks at everything took */
	bool waits_for_git;
	int64_t git_since_ms; /* when that began */
	bool git_changed; /* files, by the last look for that */
	bool writing; /* all is quiet but for files that are not closed */
	bool unsettled; /* content was left out */
	bool incomplete; /* the last round did not wait for all of it */
	bool urgent; /* do not wait for quiet */
	int64_t demanded_ms; /* since when the end of a round is waited for; 0: it is not */
};

struct cycle *
cycle_new(const struct cycle_terms *terms)
{
	struct cycle *cycle = calloc(1, sizeof(*cycle));
	if (cycle == NULL)
		return NULL;
	cycle->terms = *terms;
	cycle->figures = terms->figures;
	cycle->loader = loader_new(&(struct loader_terms){
		terms->rules, terms->settle_ms, terms->delete_grace_ms, terms->stopping});
	cycle->watcher = watcher_new(terms->without_inotify);
	cycle->survey = (struct survey){.path = terms->directory,
		.loader = cycle->loader,
		.watcher = cycle->watcher,
		.figures = terms->figures,
		.links_lead_anywhere = terms->links_lead_anywhere};
	bool surveys = survey_init(&cycle->survey) == 0;
	publisher_init(&cycle->publisher, &(struct publisher_terms){
						  .directory = terms->directory,
						  .store = terms->store,
						  .loader = cycle->loader,
						  .figures = terms->figures,
						  .hold_bad_files = terms->hold_bad_files,
						  .min_prompts = terms->min_prompts,
						  .strict_start = terms->strict_start,
						  .empty_grace_ms = terms->empty_grace_ms,
					  });
	if (cycle->loader != NULL && cycle->watcher != NULL && surveys)
		return cycle;
	cycle_free(cycle);
	return NULL;
}

void
cycle_free(struct cycle *cycle)
{
	if (cycle == NULL)
		return;
	publisher_finish(&cycle->publisher);
	survey_finish(&cycle->survey);
	loader_free(cycle->loader);
	watcher_free(cycle->watcher);
	free(cycle);
}

int
cycle_descriptor(const struct cycle *cycle)
{
	return watcher_descriptor(cycle->watcher);
}

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

/* Note since when something is held, or that it no longer is. */
static void
set_hold(struct cycle *cycle, enum hold hold, bool held)
{
	struct figures *figures = cycle->figures;
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

static void
note_holds(struct cycle *cycle)
{
	const struct loader_counts *counts = loader_counts(cycle->loader);
	bool pending = cycle->first_ms > 0;
	bool locked = cycle->waits_for_git;
	bool writing = cycle->writing;
	set_hold(cycle, HOLD_VCS, locked);
	set_hold(cycle, HOLD_WRITER, writing);
	set_hold(cycle, HOLD_SETTLE, cycle->unsettled && !writing);
	set_hold(cycle, HOLD_DELETE, counts->files[FILE_LEAVING] > 0);
	set_hold(cycle, HOLD_QUIET, pending && !locked && !writing && !cycle->unsettled);
	for (enum hold hold = HOLD_EMPTY; hold <= HOLD_ROOT; hold++)
		set_hold(cycle, hold, cycle->publisher.shown == hold);
}

/* How long until all is looked at again, events or none. */
static int64_t
poll_interval_ms(const struct cycle *cycle)
{
	bool blind = watcher_state(cycle->watcher)->blindness != SEES_ALL ||
		     cycle->publisher.failed || survey_has_no_root(&cycle->survey);
	int64_t base = blind ? earlier(BLIND_POLL_MS, cycle->terms.poll_ms) : cycle->terms.poll_ms;
	/* One look that was slow, because the machine was busy, does not count. */
	int64_t usual_us =
		cycle->last_all_us > 0 ? earlier(cycle->all_us, cycle->last_all_us) : cycle->all_us;
	int64_t least_ms = usual_us * POLL_SHARE / 1000;
	return base > least_ms ? base : least_ms;
}

static void
note_figures(struct cycle *cycle)
{
	static const enum figure states[] = {
		[FILE_OK] = FIGURE_FILES_OK,
		[FILE_STALE] = FIGURE_FILES_STALE,
		[FILE_INVALID] = FIGURE_FILES_INVALID,
		[FILE_UNSETTLED] = FIGURE_FILES_UNSETTLED,
		[FILE_LEAVING] = FIGURE_FILES_LEAVING,
	};
	struct figures *figures = cycle->figures;
	const struct loader_counts *counts = loader_counts(cycle->loader);
	const struct watcher_state *watcher = watcher_state(cycle->watcher);
	for (int i = 0; i < N_FILE_STATES; i++)
		figures_set(figures, states[i], (long long)counts->files[i]);
	figures_set(figures, FIGURE_FILES_MOUNTED, (long long)counts->mounted);
	figures_set(figures, FIGURE_EVENTS, (long long)watcher->events);
	figures_set(figures, FIGURE_OVERFLOWS, (long long)watcher->overflows);
	figures_set(figures, FIGURE_WATCHES, watcher->watches);
	figures_set(figures, FIGURE_INOTIFY, watcher->inotify);
	figures_set(figures, FIGURE_RESTARTS, (long long)watcher->restarts);
	figures_set(figures, FIGURE_BLINDNESS, watcher->blindness);
	for (int i = 0; i < N_WATCH_ERRORS; i++)
		atomic_store_explicit(&figures->watch_errors[i], (long long)watcher->errors[i],
			memory_order_relaxed);
	figures_set(figures, FIGURE_POLL_MS, poll_interval_ms(cycle));
	figures_set(figures, FIGURE_ROOT_AVAILABLE, !survey_has_no_root(&cycle->survey));
}

/* Something happened that leads to a publication. */
static void
begin_pending(struct cycle *cycle, enum cause cause)
{
	if (cycle->first_ms > 0)
		return;
	cycle->first_ms = clock_ms();
	cycle->bound_ms = cycle->first_ms + cycle->terms.max_latency_ms;
	cycle->cause = cause;
}

static bool
note_events(struct cycle *cycle)
{
	int64_t now = clock_ms();
	unsigned long overflows = watcher_state(cycle->watcher)->overflows;
	watcher_read(cycle->watcher, now);
	if (!watcher_take_news(cycle->watcher))
		return false;
	cycle->last_event_ms = now;
	begin_pending(cycle, watcher_state(cycle->watcher)->overflows > overflows ? CAUSE_OVERFLOW
										  : CAUSE_EVENT);
	return true;
}

/* Offer what was found to be published. */
static bool
offer(struct cycle *cycle)
{
	const struct survey *survey = &cycle->survey;
	struct offer found = {
		.cause = cycle->cause,
		.now_ms = clock_ms(),
		.first_ms = cycle->first_ms,
		.look_ms = cycle->look_ms,
		.changed_ns = cycle->changed_ns,
		.commit = survey->git.commit,
		.root_problem = survey_has_no_root(survey) ? &survey->problem : NULL,
		.device = survey->device,
	};
	return publisher_offer(&cycle->publisher, &found);
}

bool
cycle_has_leaving(const struct cycle *cycle)
{
	return loader_counts(cycle->loader)->files[FILE_LEAVING] > 0 && cycle->next_ms > 0;
}

bool
cycle_is_clean(const struct cycle *cycle)
{
	const struct publisher *publisher = &cycle->publisher;
	return publisher->published != NULL && publisher->published->n_problems == 0 &&
	       publisher->shown == N_HOLDS && !publisher->failed && !cycle->unsettled;
}

static void
note_result(struct cycle *cycle, bool published)
{
	struct figures *figures = cycle->figures;
	enum result result = !published ? RESULT_NOOP : RESULT_OK;
	bool held = cycle->publisher.shown != N_HOLDS || cycle->publisher.failed;
	if (!cycle_is_clean(cycle) && (published || held))
		result = held ? RESULT_FAILED : RESULT_PARTIAL;
	atomic_fetch_add_explicit(&figures->results[result], 1, memory_order_relaxed);
	figures_set(figures, FIGURE_LAST_SUCCESSFUL, cycle_is_clean(cycle));
	figures_set(figures, FIGURE_LAST_ATTEMPT_SECONDS, time(NULL));
	if (cycle_is_clean(cycle))
		figures_set(figures, FIGURE_LAST_SUCCESS_SECONDS, time(NULL));
}

static bool
is_settled(const struct cycle *cycle)
{
	return cycle->first_ms == 0 && cycle->next_ms == 0 && cycle->last_event_ms == 0 &&
	       publisher_next_ms(&cycle->publisher) == 0 && !cycle->publisher.failed;
}

void
cycle_put_status(struct cycle *cycle, bool all_files, struct buffer *out)
{
	note_events(cycle); /* what has happened before is not passed over in silence */
	const struct publisher *publisher = &cycle->publisher;
	struct status status = {
		.snapshot = publisher->published,
		.loader = cycle->loader,
		.watcher = watcher_state(cycle->watcher),
		.figures = cycle->figures,
		.settled = is_settled(cycle),
		.directory = cycle->terms.directory,
		.resolved = cycle->survey.resolved,
		.commit = cycle->survey.git.commit,
		.problem = cycle->survey.problem.message,
		.device = cycle->survey.device,
		.inode = cycle->survey.inode,
		.filesystem = cycle->survey.filesystem,
		.n_publications = publisher->n_publications,
	};
	memcpy(status.publications, publisher->publications, sizeof(status.publications));
	status_put(&status, all_files, out);
}

/* Look at what is marked, and take the time. */
static enum outcome
look(struct cycle *cycle, bool force, struct look *found)
{
	struct figures *figures = cycle->figures;
	int64_t start_us = clock_us();
	bool everything = marks_has_all(watcher_marks(cycle->watcher));
	atomic_fetch_add_explicit(&figures->causes[cycle->cause], 1, memory_order_relaxed);
	figures_set(figures, FIGURE_LOOK_BEGAN_MS, clock_ms());
	cycle->last_event_ms = 0;
	enum outcome outcome = survey_look(&cycle->survey, force, found);
	int64_t took_us = clock_us() - start_us;
	figures_set(figures, FIGURE_LOOK_BEGAN_MS, 0);
	figures_add(figures, FIGURE_POLL_FOUND, found->changed && cycle->cause == CAUSE_POLL);
	histogram_add(&figures->look, (uint64_t)took_us);
	cycle->look_ms = took_us / 1000;
	cycle->next_ms = found->next_ms;
	cycle->retry_ms = found->retry_ms;
	cycle->unsettled = found->unsettled;
	if (found->changed_ns > cycle->changed_ns)
		cycle->changed_ns = found->changed_ns;
	if (everything)
		cycle->looked_ms = clock_ms();
	if (everything && !force) { /* which waits for writers */
		cycle->last_all_us = cycle->all_us;
		cycle->all_us = took_us;
	}
	return outcome;
}

/* What is not complete is left out, as it has been waited for long enough. That is told once. */
static void
note_forced(struct cycle *cycle)
{
	const struct loader_counts *counts = loader_counts(cycle->loader);
	figures_add(cycle->figures, FIGURE_FORCED, 1);
	if (cycle->incomplete)
		return;
	cycle->incomplete = true;
	log_write(LOG_LEVEL_INFO, "files keep changing: publishing what is complete",
		LOG_NUMBER("unsettled", counts->files[FILE_UNSETTLED]),
		LOG_NUMBER("waited_ms", clock_ms() - cycle->first_ms), LOG_END);
}

/* Whether git is at it; the time that it takes does not count. What it has done is published as a whole, so there
 * is time for all of it to settle. */
static bool
waits_for_git(struct cycle *cycle)
{
	int64_t now = clock_ms();
	int64_t settled_ms = now + cycle->terms.settle_ms + cycle->terms.quiet_ms;
	bool waited = cycle->waits_for_git;
	cycle->waits_for_git = git_is_busy(&cycle->survey.git, now, cycle->terms.git_wait_ms);
	if (!waited)
		cycle->git_since_ms = now;
	if (waited && !cycle->waits_for_git) {
		cycle->last_event_ms = now;
		cycle->bound_ms += now - later(cycle->git_since_ms, cycle->first_ms);
	}
	cycle->git_changed = git_take_change(&cycle->survey.git);
	if (cycle->git_changed)
		cycle->bound_ms = later(cycle->bound_ms,
			earlier(settled_ms, cycle->first_ms + cycle->terms.git_wait_ms));
	return cycle->waits_for_git;
}

/* Whether what a look found may be published: it is settled, and nothing has happened since, or it has to be
 * as it is. */
static bool
may_publish(struct cycle *cycle, enum outcome outcome, bool force)
{
	bool news = note_events(cycle);
	if (waits_for_git(cycle) || cycle->git_changed)
		outcome = OUTCOME_TORN;
	bool settled = outcome == OUTCOME_SETTLED && !news && !cycle->unsettled;
	if (!settled)
		begin_pending(cycle, cycle->cause);
	if (outcome != OUTCOME_SETTLED && !news)
		cycle->last_event_ms = clock_ms(); /* once more, soon */
	bool is_whole = outcome == OUTCOME_SETTLED || outcome == OUTCOME_MOVING;
	bool publish = settled || (force && is_whole);
	if (settled)
		cycle->incomplete = false;
	else if (publish)
		note_forced(cycle);
	else if (force) /* another try soon, but not all the time */
		cycle->bound_ms =
			clock_ms() + 2 * cycle->terms.quiet_ms + FORCED_SHARE * cycle->look_ms;
	return publish;
}

/* Look again. A set is published when it is settled, or when that takes too long: then with the last good
 * version of what is not known to be complete. Returns whether all is settled that was demanded. */
static bool
look_again(struct cycle *cycle)
{
	struct look found;
	int64_t start_us = clock_us();
	bool force = cycle->first_ms > 0 && clock_ms() + cycle->terms.quiet_ms >= cycle->bound_ms;
	cycle->urgent = false;
	enum outcome outcome = look(cycle, force, &found);
	if (!may_publish(cycle, outcome, force)) {
		figures_add(cycle->figures, FIGURE_LOOK_RETRIES, 1);
		return false;
	}
	bool published = offer(cycle);
	cycle->changed_ns = 0;
	survey_take(&cycle->survey);
	note_result(cycle, published);
	histogram_add(&cycle->figures->reload, (uint64_t)(clock_us() - start_us));
	if (outcome == OUTCOME_SETTLED && !survey_has_no_root(&cycle->survey))
		marks_forget_looked(watcher_marks(cycle->watcher), clock_ms());
	cycle->first_ms = 0;
	cycle->cause = CAUSE_SETTLE;
	if (cycle->unsettled || cycle->last_event_ms > 0)
		begin_pending(cycle, CAUSE_SETTLE);
	int64_t end_ms = cycle->demanded_ms + cycle->terms.max_latency_ms;
	if (cycle->incomplete && clock_ms() < end_ms)
		return false;
	cycle->demanded_ms = 0;
	return true;
}

/* When what is not settled is to be looked at again. */
static int64_t
pending_due_ms(const struct cycle *cycle)
{
	int64_t bound = cycle->bound_ms - cycle->terms.quiet_ms;
	if (cycle->last_event_ms > 0 && !cycle->writing)
		return earlier(bound, cycle->last_event_ms + cycle->terms.quiet_ms);
	if (cycle->last_event_ms == 0 && cycle->next_ms > 0)
		return earlier(bound, cycle->next_ms);
	return bound;
}

int64_t
cycle_due_ms(const struct cycle *cycle)
{
	int64_t now = clock_ms();
	int64_t offer_ms = publisher_next_ms(&cycle->publisher);
	int64_t due = cycle->looked_ms + poll_interval_ms(cycle);
	if (cycle->waits_for_git)
		return now + LOCK_CHECK_MS;
	if (cycle->urgent)
		return now;
	if (cycle->first_ms > 0)
		return pending_due_ms(cycle);
	if (cycle->next_ms > 0)
		due = earlier(due, cycle->next_ms);
	if (cycle->retry_ms > 0)
		due = earlier(due, cycle->retry_ms);
	if (offer_ms > 0)
		due = earlier(due, offer_ms);
	if (cycle->publisher.in_use)
		due = earlier(due, now + REAP_MS);
	return due;
}

bool
cycle_step(struct cycle *cycle)
{
	bool is_over = false;
	note_events(cycle);
	int64_t now = clock_ms();
	bool quiet =
		cycle->last_event_ms > 0 && now >= cycle->last_event_ms + cycle->terms.quiet_ms;
	cycle->writing = quiet && watcher_sees_writing(cycle->watcher, now);
	if (cycle->waits_for_git)
		waits_for_git(cycle);
	if ((cycle->urgent || now >= cycle_due_ms(cycle)) && !waits_for_git(cycle)) {
		if (now >= cycle->looked_ms + poll_interval_ms(cycle)) {
			marks_all(watcher_marks(cycle->watcher));
			if (cycle->first_ms == 0)
				cycle->cause = CAUSE_POLL;
		}
		is_over = look_again(cycle);
	}
	publisher_reap(&cycle->publisher);
	note_holds(cycle);
	note_figures(cycle);
	return is_over;
}

void
cycle_demand(struct cycle *cycle, enum cause cause)
{
	marks_all(watcher_marks(cycle->watcher));
	begin_pending(cycle, cause);
	cycle->urgent = true;
	if (cycle->demanded_ms == 0)
		cycle->demanded_ms = clock_ms();
}

bool
cycle_create(struct cycle *cycle, struct creation *creation)
{
	if (!creation_write(
		    creation, cycle->terms.directory, cycle->loader, cycle->publisher.published))
		return false;
	watcher_note_complete(cycle->watcher, creation->path, clock_ms());
	begin_pending(cycle, CAUSE_API);
	cycle->urgent = true;
	return true;
}

/* Refuse to start where anything is wrong. */
static int
check_start(const struct cycle *cycle, struct error *error)
{
	const struct snapshot *snapshot = cycle->publisher.published;
	if (survey_has_no_root(&cycle->survey)) {
		*error = cycle->survey.problem;
		return -1;
	}
	bool settled = snapshot != NULL && !cycle->unsettled;
	if (!settled || snapshot->n_problems > 0) {
		error_set(error, "--strict-start: %s",
			!settled ? "the prompts are not settled"
				 : "the files have problems: see above, or promptd's log");
		return -1;
	}
	return 0;
}

int
cycle_load(struct cycle *cycle, struct error *error)
{
	int64_t end_ms = clock_ms() + cycle->terms.max_latency_ms;
	cycle_demand(cycle, CAUSE_START);
	while (cycle->publisher.published == NULL && clock_ms() <= end_ms) {
		cycle_step(cycle);
		if (cycle->publisher.shown != N_HOLDS)
			break; /* it may last */
		struct pollfd ready = {cycle_descriptor(cycle), POLLIN, 0};
		int64_t wait = earlier(cycle_due_ms(cycle), end_ms) - clock_ms();
		if (cycle->publisher.published == NULL && wait > 0)
			poll(&ready, 1, (int)wait);
	}
	return cycle->terms.strict_start ? check_start(cycle, error) : 0;
}
