/* cycle.c -- looks at the prompt directory until what it holds is settled, publishes that, and begins
 * anew. */
#include "server/cycle.h"

#include <malloc.h>
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
#include "server/schedule.h"
#include "server/survey.h"
#include "server/watcher.h"

enum { REAP_MS = 100 }; /* try again to free snapshots that were in use */

struct cycle {
	struct cycle_terms terms;
	struct figures *figures;
	struct loader *loader;
	struct watcher *watcher;
	struct survey survey;
	struct publisher publisher;

	struct schedule schedule;

	/* What is not settled. */
	enum cause cause; /* of the look to come */
	int64_t changed_ns; /* of the newest content that is not published */
	bool unsettled; /* content was left out */
	bool incomplete; /* the last round did not wait for all of it */
	int64_t demanded_ms; /* since when the end of a round is waited for; 0: it is not */
};

struct cycle *
cycle_new(const struct cycle_terms *terms)
{
	struct cycle *cycle = calloc(1, sizeof(*cycle));
	if (cycle == NULL)
		return NULL;
	cycle->terms = *terms;
	cycle->schedule = (struct schedule){.quiet_ms = terms->quiet_ms,
		.max_latency_ms = terms->max_latency_ms,
		.settle_ms = terms->settle_ms,
		.poll_ms = terms->poll_ms,
		.git_wait_ms = terms->git_wait_ms};
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
						  .default_labels = terms->default_labels,
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

static void
note_holds(struct cycle *cycle)
{
	const struct file_counts *counts = loader_counts(cycle->loader);
	bool pending = cycle->schedule.first_ms > 0;
	bool locked = cycle->schedule.waits_for_git;
	bool writing = cycle->schedule.writing;
	figures_hold(cycle->figures, HOLD_VCS, locked);
	figures_hold(cycle->figures, HOLD_WRITER, writing);
	figures_hold(cycle->figures, HOLD_SETTLE, cycle->unsettled && !writing);
	figures_hold(cycle->figures, HOLD_DELETE, counts->files[FILE_LEAVING] > 0);
	figures_hold(
		cycle->figures, HOLD_QUIET, pending && !locked && !writing && !cycle->unsettled);
	for (enum hold hold = HOLD_EMPTY; hold <= HOLD_ROOT; hold++)
		figures_hold(cycle->figures, hold, cycle->publisher.shown == hold);
}

/* Whether changes may go unseen, or are to be tried again. */
static bool
is_blind(const struct cycle *cycle)
{
	return watcher_state(cycle->watcher)->blindness != SEES_ALL || cycle->publisher.failed ||
	       survey_has_no_root(&cycle->survey);
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
	const struct file_counts *counts = loader_counts(cycle->loader);
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
	figures_set(figures, FIGURE_POLL_MS, schedule_poll_ms(&cycle->schedule, is_blind(cycle)));
	figures_set(figures, FIGURE_ROOT_AVAILABLE, !survey_has_no_root(&cycle->survey));
}

/* Something happened that leads to a publication. */
static void
begin(struct cycle *cycle, enum cause cause)
{
	if (schedule_begin(&cycle->schedule, clock_ms()))
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
	cycle->schedule.last_event_ms = now;
	begin(cycle, watcher_state(cycle->watcher)->overflows > overflows ? CAUSE_OVERFLOW
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
		.first_ms = cycle->schedule.first_ms,
		.look_ms = cycle->schedule.look_ms,
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
	return loader_counts(cycle->loader)->files[FILE_LEAVING] > 0 && cycle->schedule.next_ms > 0;
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
	return cycle->schedule.first_ms == 0 && cycle->schedule.next_ms == 0 &&
	       cycle->schedule.last_event_ms == 0 && publisher_next_ms(&cycle->publisher) == 0 &&
	       !cycle->publisher.failed;
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
		.default_labels = cycle->terms.default_labels,
		.settled = is_settled(cycle),
		.directory = cycle->terms.directory,
		.resolved = cycle->survey.resolved,
		.commit =
			publisher->published != NULL ? publisher->published->source_revision : NULL,
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
	cycle->schedule.last_event_ms = 0;
	enum outcome outcome = survey_look(&cycle->survey, force, found);
	int64_t took_us = clock_us() - start_us;
	figures_set(figures, FIGURE_LOOK_BEGAN_MS, 0);
	figures_add(figures, FIGURE_POLL_FOUND, found->changed && cycle->cause == CAUSE_POLL);
	histogram_add(&figures->look, (uint64_t)(took_us - cycle->survey.verify_us));
	schedule_note_look(&cycle->schedule, clock_ms(), took_us, everything, force);
	cycle->schedule.next_ms = found->next_ms;
	cycle->schedule.retry_ms = found->retry_ms;
	cycle->unsettled = found->unsettled;
	if (found->changed_ns > cycle->changed_ns)
		cycle->changed_ns = found->changed_ns;
	return outcome;
}

/* What is not complete is left out, as it has been waited for long enough. That is told once. */
static void
note_forced(struct cycle *cycle)
{
	const struct file_counts *counts = loader_counts(cycle->loader);
	figures_add(cycle->figures, FIGURE_FORCED, 1);
	if (cycle->incomplete)
		return;
	cycle->incomplete = true;
	log_write(LOG_LEVEL_INFO, "files keep changing: publishing what is complete",
		LOG_NUMBER("unsettled", counts->files[FILE_UNSETTLED]),
		LOG_NUMBER("waited_ms", clock_ms() - cycle->schedule.first_ms), LOG_END);
}

/* Returns whether git is changing files, or has since this was asked last. */
static bool
note_git(struct cycle *cycle)
{
	struct git *git = &cycle->survey.git;
	int64_t now = clock_ms();
	bool busy = git_is_busy(git, now, cycle->terms.git_wait_ms);
	bool changed = git_take_change(git);
	schedule_note_git(&cycle->schedule, now, busy, changed);
	return busy || changed;
}

/* Whether what a look found may be published: it is settled, and nothing has happened since, or it has to be
 * as it is. */
static bool
may_publish(struct cycle *cycle, enum outcome outcome, bool force)
{
	bool news = note_events(cycle);
	if (note_git(cycle))
		outcome = OUTCOME_TORN;
	bool settled = outcome == OUTCOME_SETTLED && !news && !cycle->unsettled;
	if (!settled)
		begin(cycle, cycle->cause);
	if (outcome != OUTCOME_SETTLED && !news)
		cycle->schedule.last_event_ms = clock_ms(); /* once more, soon */
	bool is_whole = outcome == OUTCOME_SETTLED || outcome == OUTCOME_MOVING;
	bool publish = settled || (force && is_whole);
	if (settled)
		cycle->incomplete = false;
	else if (publish)
		note_forced(cycle);
	else if (force)
		schedule_put_off(&cycle->schedule, clock_ms());
	return publish;
}

/* Look again. A set is published when it is settled, or when that takes too long: then with the last good
 * version of what is not known to be complete. Returns whether all is settled that was demanded. */
static bool
look_again(struct cycle *cycle)
{
	struct look found;
	int64_t start_us = clock_us();
	bool force = schedule_is_forced(&cycle->schedule, clock_ms());
	cycle->schedule.urgent = false;
	enum outcome outcome = look(cycle, force, &found);
	if (!may_publish(cycle, outcome, force)) {
		figures_add(cycle->figures, FIGURE_LOOK_RETRIES, 1);
		return false;
	}
	bool published = offer(cycle);
	cycle->changed_ns = 0;
	survey_take(&cycle->survey);
	loader_end_round(cycle->loader);
	note_result(cycle, published);
	histogram_add(&cycle->figures->reload, (uint64_t)(clock_us() - start_us));
	if (outcome == OUTCOME_SETTLED && !survey_has_no_root(&cycle->survey))
		marks_forget_looked(watcher_marks(cycle->watcher));
	if (published)
		malloc_trim(0); /* units and an index are gone, and leave holes */
	cycle->schedule.first_ms = 0;
	cycle->cause = CAUSE_SETTLE;
	if (cycle->unsettled || cycle->schedule.last_event_ms > 0)
		begin(cycle, CAUSE_SETTLE);
	int64_t end_ms = cycle->demanded_ms + cycle->terms.max_latency_ms;
	if (cycle->incomplete && clock_ms() < end_ms)
		return false;
	cycle->demanded_ms = 0;
	return true;
}

int64_t
cycle_due_ms(const struct cycle *cycle)
{
	int64_t now = clock_ms();
	int64_t due = schedule_due_ms(&cycle->schedule, now, is_blind(cycle));
	if (cycle->schedule.first_ms == 0)
		due = schedule_earlier(due, publisher_next_ms(&cycle->publisher));
	return cycle->publisher.in_use ? schedule_earlier(due, now + REAP_MS) : due;
}

/* Look, if it is time to and git is not at it. Returns whether a round is over. */
static bool
look_if_due(struct cycle *cycle)
{
	struct schedule *schedule = &cycle->schedule;
	int64_t now = clock_ms();
	if (now < cycle_due_ms(cycle))
		return false;
	note_git(cycle);
	if (schedule->waits_for_git)
		return false;
	if (now >= schedule->looked_ms + schedule_poll_ms(schedule, is_blind(cycle))) {
		marks_all(watcher_marks(cycle->watcher));
		if (schedule->first_ms == 0)
			cycle->cause = CAUSE_POLL;
	}
	return look_again(cycle);
}

bool
cycle_step(struct cycle *cycle)
{
	struct schedule *schedule = &cycle->schedule;
	note_events(cycle);
	int64_t now = clock_ms();
	schedule->writing =
		schedule_is_quiet(schedule, now) && watcher_sees_writing(cycle->watcher, now);
	if (schedule->waits_for_git)
		note_git(cycle);
	bool is_over = look_if_due(cycle);
	publisher_reap(&cycle->publisher);
	note_holds(cycle);
	note_figures(cycle);
	return is_over;
}

void
cycle_demand(struct cycle *cycle, enum cause cause)
{
	marks_all(watcher_marks(cycle->watcher));
	begin(cycle, cause);
	cycle->schedule.urgent = true;
	if (cycle->demanded_ms == 0)
		cycle->demanded_ms = clock_ms();
}

bool
cycle_create(struct cycle *cycle, struct creation *creation)
{
	if (!creation_write(
		    creation, cycle->terms.directory, cycle->loader, cycle->publisher.published))
		return false;
	begin(cycle, CAUSE_API);
	/* First that of directories that were made, behind which nothing is known of the files in them. */
	note_events(cycle);
	watcher_note_complete(cycle->watcher, creation->path, clock_ms());
	cycle->schedule.urgent = true;
	return true;
}

const struct error *
cycle_root_problem(const struct cycle *cycle)
{
	return survey_has_no_root(&cycle->survey) ? &cycle->survey.problem : NULL;
}

const struct snapshot *
cycle_published(const struct cycle *cycle)
{
	return cycle->publisher.published;
}

const struct loader *
cycle_loader(const struct cycle *cycle)
{
	return cycle->loader;
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
	const char *reason = NULL;
	if (snapshot == NULL && cycle->publisher.shown != N_HOLDS)
		reason = cycle->publisher.reason;
	else if (snapshot == NULL && cycle->schedule.waits_for_git)
		reason = "git is changing the files: it holds index.lock";
	else if (snapshot == NULL || cycle->unsettled)
		reason = "files are being written: try again";
	else if (snapshot->n_problems > 0)
		reason = "the files have problems: see above, or promptd's log";
	if (reason != NULL)
		error_set(error, "--strict-start: %s", reason);
	return reason != NULL ? -1 : 0;
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
		int64_t wait = schedule_earlier(cycle_due_ms(cycle), end_ms) - clock_ms();
		if (cycle->publisher.published == NULL && wait > 0)
			poll(&ready, 1, (int)wait);
	}
	return cycle->terms.strict_start ? check_start(cycle, error) : 0;
}
