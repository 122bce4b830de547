/* reloader.c -- the reload thread: decides when to look again, and when a set of files is settled. */
#include "server/reloader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/snapshot.h"
#include "server/clock.h"
#include "server/creation.h"
#include "server/figures.h"
#include "server/job.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/publisher.h"
#include "server/survey.h"
#include "server/wake.h"
#include "server/watcher.h"

enum {
	BLIND_POLL_MS = 2000, /* look so often where events cannot be had */
	POLL_SHARE = 200, /* the part of the time that looks by the clock may take */
	LOCK_CHECK_MS = 20, /* look for git's lock so often while it is held */
	REAP_MS = 100, /* try again to free snapshots that were in use */
};

/* Jobs in the order of their coming. */
struct queue {
	struct job *first, *last;
};

struct reloader {
	struct reloader_terms terms;
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
	int64_t next_ms; /* when to look again at what was left out */
	int64_t looked_ms; /* when all was looked at last, … */
	int64_t look_ms; /* … and what the last look took */
	int64_t poll_ms; /* how long until all is looked at again */
	bool waits_for_git;
	bool writing; /* all is quiet but for files that are not closed */
	bool unsettled; /* content was left out */
	bool urgent; /* do not wait for quiet */
	bool report; /* a signal asked: log the outcome, whatever it is */
	struct queue awaiting; /* jobs that a settled set ends */

	int wake; /* an eventfd */
	atomic_bool requested, stopping;
	pthread_mutex_t lock; /* of the queue */
	struct queue posted;
	pthread_t thread;
	bool started;
};

struct reloader *
reloader_new(const struct reloader_terms *terms)
{
	struct reloader *reloader = calloc(1, sizeof(*reloader));
	if (reloader == NULL)
		return NULL;
	reloader->terms = *terms;
	reloader->figures = terms->figures;
	if (pthread_mutex_init(&reloader->lock, NULL) != 0) {
		free(reloader);
		return NULL;
	}
	reloader->wake = wake_open();
	reloader->loader = loader_new(
		&(struct loader_terms){terms->rules, terms->settle_ms, terms->delete_grace_ms});
	reloader->watcher = watcher_new(terms->without_inotify);
	reloader->survey = (struct survey){.path = terms->directory,
		.loader = reloader->loader,
		.watcher = reloader->watcher,
		.figures = terms->figures,
		.links_lead_anywhere = terms->links_lead_anywhere};
	bool surveys = survey_init(&reloader->survey) == 0;
	publisher_init(&reloader->publisher, &(struct publisher_terms){
						     .directory = terms->directory,
						     .store = terms->store,
						     .loader = reloader->loader,
						     .figures = terms->figures,
						     .hold_bad_files = terms->hold_bad_files,
						     .min_prompts = terms->min_prompts,
						     .strict_start = terms->strict_start,
						     .empty_grace_ms = terms->empty_grace_ms,
					     });
	if (reloader->wake >= 0 && reloader->loader != NULL && reloader->watcher != NULL && surveys)
		return reloader;
	reloader_free(reloader);
	return NULL;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
put_job(struct queue *queue, struct job *job)
{
	job->next = NULL;
	if (queue->last != NULL)
		queue->last->next = job;
	else
		queue->first = job;
	queue->last = job;
}

static struct job *
take_job(struct queue *queue)
{
	struct job *job = queue->first;
	if (job == NULL)
		return NULL;
	queue->first = job->next;
	if (queue->first == NULL)
		queue->last = NULL;
	return job;
}

/* Note since when something is held, or that it no longer is. */
static void
set_hold(struct reloader *reloader, enum hold hold, bool held)
{
	struct figures *figures = reloader->figures;
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
note_holds(struct reloader *reloader)
{
	const struct loader_counts *counts = loader_counts(reloader->loader);
	bool pending = reloader->first_ms > 0;
	bool locked = reloader->waits_for_git;
	bool writing = reloader->writing;
	set_hold(reloader, HOLD_VCS, locked);
	set_hold(reloader, HOLD_WRITER, writing);
	set_hold(reloader, HOLD_SETTLE, reloader->unsettled && !writing);
	set_hold(reloader, HOLD_DELETE, counts->files[FILE_LEAVING] > 0);
	set_hold(reloader, HOLD_QUIET, pending && !locked && !writing && !reloader->unsettled);
	for (enum hold hold = HOLD_EMPTY; hold <= HOLD_ROOT; hold++)
		set_hold(reloader, hold, reloader->publisher.shown == hold);
}

static void
note_figures(struct reloader *reloader)
{
	static const enum figure states[] = {
		[FILE_OK] = FIGURE_FILES_OK,
		[FILE_STALE] = FIGURE_FILES_STALE,
		[FILE_INVALID] = FIGURE_FILES_INVALID,
		[FILE_UNSETTLED] = FIGURE_FILES_UNSETTLED,
		[FILE_LEAVING] = FIGURE_FILES_LEAVING,
	};
	struct figures *figures = reloader->figures;
	const struct loader_counts *counts = loader_counts(reloader->loader);
	const struct watcher_state *watcher = watcher_state(reloader->watcher);
	for (int i = 0; i < N_FILE_STATES; i++)
		figures_set(figures, states[i], (long long)counts->files[i]);
	figures_set(figures, FIGURE_FILES_MOUNTED, (long long)counts->mounted);
	figures_set(figures, FIGURE_EVENTS, (long long)watcher->events);
	figures_set(figures, FIGURE_OVERFLOWS, (long long)watcher->overflows);
	figures_set(figures, FIGURE_WATCHES, watcher->watches);
	figures_set(figures, FIGURE_WATCH_ERRORS, (long long)watcher->errors);
	figures_set(figures, FIGURE_INOTIFY, watcher->inotify);
	figures_set(figures, FIGURE_RESTARTS, (long long)watcher->restarts);
	figures_set(figures, FIGURE_BLIND, watcher->blind);
	figures_set(figures, FIGURE_ROOT_AVAILABLE, !survey_has_no_root(&reloader->survey));
}

/* Something happened that leads to a publication. */
static void
begin_pending(struct reloader *reloader, enum cause cause)
{
	if (reloader->first_ms > 0)
		return;
	reloader->first_ms = clock_ms();
	reloader->bound_ms = reloader->first_ms + reloader->terms.max_latency_ms;
	reloader->cause = cause;
}

static bool
note_events(struct reloader *reloader)
{
	int64_t now = clock_ms();
	unsigned long overflows = watcher_state(reloader->watcher)->overflows;
	if (!watcher_read(reloader->watcher, now))
		return false;
	reloader->last_event_ms = now;
	begin_pending(reloader, watcher_state(reloader->watcher)->overflows > overflows
					? CAUSE_OVERFLOW
					: CAUSE_EVENT);
	return true;
}

/* Offer what was found to be published. */
static bool
offer(struct reloader *reloader)
{
	const struct survey *survey = &reloader->survey;
	struct offer found = {
		.cause = reloader->cause,
		.now_ms = clock_ms(),
		.first_ms = reloader->first_ms,
		.look_ms = reloader->look_ms,
		.commit = survey->git.commit,
		.root_problem = survey_has_no_root(survey) ? &survey->problem : NULL,
		.device = survey->device,
	};
	return publisher_offer(&reloader->publisher, &found);
}

static bool
is_clean(const struct reloader *reloader)
{
	const struct publisher *publisher = &reloader->publisher;
	return publisher->published != NULL && publisher->published->n_problems == 0 &&
	       publisher->shown == N_HOLDS && !publisher->failed;
}

static void
note_result(struct reloader *reloader, bool published)
{
	struct figures *figures = reloader->figures;
	enum result result = !published ? RESULT_NOOP : RESULT_OK;
	bool held = reloader->publisher.shown != N_HOLDS || reloader->publisher.failed;
	if (!is_clean(reloader) && (published || held))
		result = held ? RESULT_FAILED : RESULT_PARTIAL;
	atomic_fetch_add_explicit(&figures->results[result], 1, memory_order_relaxed);
	figures_set(figures, FIGURE_LAST_SUCCESSFUL, is_clean(reloader));
	figures_set(figures, FIGURE_LAST_ATTEMPT_SECONDS, time(NULL));
	if (is_clean(reloader))
		figures_set(figures, FIGURE_LAST_SUCCESS_SECONDS, time(NULL));
}

static bool
is_settled(const struct reloader *reloader)
{
	return reloader->first_ms == 0 && reloader->next_ms == 0 && reloader->last_event_ms == 0 &&
	       reloader->publisher.empty_since_ms == 0 && !reloader->publisher.failed;
}

static void
tell_status(const struct reloader *reloader, struct job *job)
{
	const struct publisher *publisher = &reloader->publisher;
	struct status status = {
		.snapshot = publisher->published,
		.loader = reloader->loader,
		.watcher = watcher_state(reloader->watcher),
		.figures = reloader->figures,
		.settled = is_settled(reloader),
		.directory = reloader->terms.directory,
		.resolved = reloader->survey.resolved,
		.commit = reloader->survey.git.commit,
		.problem = reloader->survey.problem.message,
		.device = reloader->survey.device,
		.inode = reloader->survey.inode,
		.filesystem = reloader->survey.filesystem,
		.n_publications = publisher->n_publications,
	};
	memcpy(status.publications, publisher->publications, sizeof(status.publications));
	status_put(&status, job->all_files, &job->status);
	job->clean = is_clean(reloader);
}

/* End the jobs that waited for a settled set. */
static void
end_waits(struct reloader *reloader)
{
	for (struct job *job; (job = take_job(&reloader->awaiting)) != NULL;) {
		if (job->kind == JOB_RELOAD)
			tell_status(reloader, job);
		job->on_done(job);
	}
	if (reloader->report)
		log_write(LOG_LEVEL_INFO, "looked everywhere, as a signal asked",
			LOG_NUMBER("problems", reloader->publisher.published != NULL
						       ? reloader->publisher.published->n_problems
						       : 0),
			LOG_END);
	reloader->report = false;
}

/* How long until all is looked at again, events or none. */
static int64_t
poll_interval_ms(const struct reloader *reloader)
{
	bool blind = watcher_state(reloader->watcher)->blind || reloader->publisher.failed ||
		     survey_has_no_root(&reloader->survey);
	int64_t base =
		blind ? earlier(BLIND_POLL_MS, reloader->terms.poll_ms) : reloader->terms.poll_ms;
	return base > reloader->poll_ms ? base : reloader->poll_ms;
}

/* Look at what is marked, and take the time. Returns whether it may be published: it is settled, or has to
 * be as it is. */
static bool
look(struct reloader *reloader, bool force, struct look *found)
{
	struct figures *figures = reloader->figures;
	int64_t start_us = clock_us();
	bool everything = marks_has_all(watcher_marks(reloader->watcher));
	atomic_fetch_add_explicit(&figures->causes[reloader->cause], 1, memory_order_relaxed);
	figures_set(figures, FIGURE_LOOK_BEGAN_MS, clock_ms());
	reloader->last_event_ms = 0;
	enum outcome outcome = survey_look(&reloader->survey, force, found);
	figures_set(figures, FIGURE_LOOK_BEGAN_MS, 0);
	reloader->look_ms = (clock_us() - start_us) / 1000;
	histogram_add(&figures->look, (uint64_t)(clock_us() - start_us));
	if (everything) {
		reloader->looked_ms = clock_ms();
		reloader->poll_ms = (clock_us() - start_us) * POLL_SHARE / 1000;
	}
	figures_add(figures, FIGURE_POLL_FOUND, found->changed && reloader->cause == CAUSE_POLL);
	reloader->next_ms = found->next_ms;
	reloader->unsettled = found->unsettled;
	bool news = note_events(reloader);
	bool moving = outcome != OUTCOME_SETTLED || news;
	reloader->waits_for_git =
		survey_waits_for_git(&reloader->survey, clock_ms(), reloader->last_event_ms);
	if (moving || found->unsettled || reloader->waits_for_git)
		begin_pending(reloader, reloader->cause);
	if (outcome != OUTCOME_SETTLED && !news)
		reloader->last_event_ms = clock_ms(); /* once more, soon */
	if (reloader->waits_for_git)
		return false;
	if (!force)
		return !moving && !found->unsettled;
	figures_add(figures, FIGURE_FORCED, moving || found->unsettled);
	return outcome != OUTCOME_FAILED;
}

/* Look again. A set is published when it is settled, or when that takes too long: then with the last good
 * version of what is not known to be complete. */
static void
look_again(struct reloader *reloader)
{
	struct look found;
	int64_t start_us = clock_us();
	bool force = reloader->first_ms > 0 &&
		     clock_ms() + reloader->terms.quiet_ms >= reloader->bound_ms;
	reloader->urgent = false;
	if (!look(reloader, force, &found)) {
		figures_add(reloader->figures, FIGURE_LOOK_RETRIES, 1);
		return;
	}
	bool published = offer(reloader);
	note_result(reloader, published);
	histogram_add(&reloader->figures->reload, (uint64_t)(clock_us() - start_us));
	marks_forget_looked(watcher_marks(reloader->watcher));
	reloader->first_ms = 0;
	reloader->cause = CAUSE_SETTLE;
	if (found.unsettled || reloader->last_event_ms > 0)
		begin_pending(reloader, CAUSE_SETTLE);
	end_waits(reloader);
}

/* When the set that is not settled is to be looked at again. */
static int64_t
pending_due_ms(const struct reloader *reloader)
{
	int64_t due = reloader->bound_ms - reloader->terms.quiet_ms;
	if (reloader->next_ms > 0)
		due = earlier(due, reloader->next_ms);
	if (reloader->last_event_ms > 0 && !reloader->writing)
		due = earlier(due, reloader->last_event_ms + reloader->terms.quiet_ms);
	return due;
}

/* When to look next. */
static int64_t
due_ms(const struct reloader *reloader)
{
	int64_t now = clock_ms();
	int64_t offer_ms = publisher_next_ms(&reloader->publisher);
	int64_t due = reloader->looked_ms + poll_interval_ms(reloader);
	if (reloader->urgent)
		return now;
	if (reloader->waits_for_git)
		return now + LOCK_CHECK_MS;
	if (reloader->next_ms > 0)
		due = earlier(due, reloader->next_ms);
	if (offer_ms > 0)
		due = earlier(due, offer_ms);
	if (reloader->first_ms > 0)
		due = earlier(due, pending_due_ms(reloader));
	return due;
}

/* Whether git is still at it; once it is done, the time until the bound begins anew. */
static bool
still_waits_for_git(struct reloader *reloader, int64_t now)
{
	bool waited = reloader->waits_for_git;
	reloader->waits_for_git =
		survey_waits_for_git(&reloader->survey, now, reloader->last_event_ms);
	if (waited && !reloader->waits_for_git) {
		reloader->last_event_ms = now;
		reloader->bound_ms = now + reloader->terms.max_latency_ms;
	}
	return reloader->waits_for_git;
}

/* Look, if it is time to. */
static void
step(struct reloader *reloader)
{
	note_events(reloader);
	int64_t now = clock_ms();
	bool quiet = reloader->last_event_ms > 0 &&
		     now >= reloader->last_event_ms + reloader->terms.quiet_ms;
	reloader->writing = quiet && watcher_sees_writing(reloader->watcher, now);
	if (reloader->waits_for_git)
		still_waits_for_git(reloader, now);
	if ((reloader->urgent || now >= due_ms(reloader)) && !still_waits_for_git(reloader, now)) {
		if (now >= reloader->looked_ms + poll_interval_ms(reloader)) {
			marks_all(watcher_marks(reloader->watcher));
			if (reloader->first_ms == 0)
				reloader->cause = CAUSE_POLL;
		}
		look_again(reloader);
	}
	note_holds(reloader);
	note_figures(reloader);
}

/* Look at everything at once. */
static void
demand(struct reloader *reloader, enum cause cause)
{
	marks_all(watcher_marks(reloader->watcher));
	begin_pending(reloader, cause);
	reloader->urgent = true;
}

/* Refuse to start where anything is wrong. */
static int
check_start(const struct reloader *reloader, struct error *error)
{
	const struct snapshot *snapshot = reloader->publisher.published;
	if (survey_has_no_root(&reloader->survey)) {
		*error = reloader->survey.problem;
		return -1;
	}
	if (snapshot == NULL || snapshot->n_problems > 0) {
		error_set(error, "--strict-start: %s",
			snapshot == NULL ? "the prompts are not settled"
					 : "the files have problems: see above, or promptd's log");
		return -1;
	}
	return 0;
}

int
reloader_load(struct reloader *reloader, struct error *error)
{
	int64_t end_ms = clock_ms() + reloader->terms.max_latency_ms;
	demand(reloader, CAUSE_START);
	while (reloader->publisher.published == NULL && clock_ms() <= end_ms) {
		step(reloader);
		if (reloader->publisher.shown != N_HOLDS)
			break; /* it may last */
		struct pollfd ready = {watcher_descriptor(reloader->watcher), POLLIN, 0};
		int64_t wait = earlier(due_ms(reloader), end_ms) - clock_ms();
		if (reloader->publisher.published == NULL && wait > 0)
			poll(&ready, 1, (int)wait);
	}
	return reloader->terms.strict_start ? check_start(reloader, error) : 0;
}

/* Write a new prompt's file, and look at it at once. Returns whether the job waits for that. */
static bool
create(struct reloader *reloader, struct creation *creation)
{
	if (!creation_write(creation, reloader->terms.directory, reloader->loader,
		    reloader->publisher.published))
		return false;
	struct mark *mark = marks_make(watcher_marks(reloader->watcher), creation->path);
	if (mark != NULL)
		mark->own = (struct sighting){EVIDENCE_COMPLETE, clock_ms()};
	begin_pending(reloader, CAUSE_API);
	reloader->urgent = true;
	return true;
}

static void
run_job(struct reloader *reloader, struct job *job)
{
	bool waits = job->kind == JOB_RELOAD;
	if (job->kind == JOB_CREATE)
		waits = create(reloader, (struct creation *)(void *)job);
	else if (job->kind == JOB_STATUS)
		tell_status(reloader, job);
	else
		demand(reloader, CAUSE_API);
	if (waits)
		put_job(&reloader->awaiting, job);
	else
		job->on_done(job);
}

static void
run_jobs(struct reloader *reloader)
{
	pthread_mutex_lock(&reloader->lock);
	struct queue posted = reloader->posted;
	reloader->posted = (struct queue){0};
	pthread_mutex_unlock(&reloader->lock);
	for (struct job *job; (job = take_job(&posted)) != NULL;)
		run_job(reloader, job);
}

static void
wait_for_work(struct reloader *reloader)
{
	int64_t wait = due_ms(reloader) - clock_ms();
	if (reloader->publisher.in_use)
		wait = earlier(wait, REAP_MS);
	struct pollfd ready[] = {
		{.fd = reloader->wake,                        .events = POLLIN},
		{.fd = watcher_descriptor(reloader->watcher), .events = POLLIN},
	};
	if (poll(ready, 2, wait > 0 ? (int)wait : 0) < 0 && errno != EINTR)
		log_write(LOG_LEVEL_ERROR, "poll failed", LOG_TEXT("reason", strerror(errno)),
			LOG_END);
	wake_clear(reloader->wake);
}

static void *
reload_thread(void *context)
{
	struct reloader *reloader = context;
	while (!atomic_load(&reloader->stopping)) {
		wait_for_work(reloader);
		note_events(reloader);
		run_jobs(reloader);
		if (atomic_exchange(&reloader->requested, false)) {
			demand(reloader, CAUSE_SIGNAL);
			reloader->report = true;
		}
		step(reloader);
		publisher_reap(&reloader->publisher);
	}
	run_jobs(reloader);
	end_waits(reloader);
	return NULL;
}

int
reloader_start(struct reloader *reloader, struct error *error)
{
	int reason = pthread_create(&reloader->thread, NULL, reload_thread, reloader);
	if (reason != 0) {
		error_set(error, "cannot start the reload thread: %s", strerror(reason));
		return -1;
	}
	reloader->started = true;
	return 0;
}

void
reloader_free(struct reloader *reloader)
{
	if (reloader == NULL)
		return;
	if (reloader->started) {
		atomic_store(&reloader->stopping, true);
		wake_ring(reloader->wake);
		pthread_join(reloader->thread, NULL);
	}
	publisher_finish(&reloader->publisher);
	survey_finish(&reloader->survey);
	loader_free(reloader->loader);
	watcher_free(reloader->watcher);
	if (reloader->wake >= 0)
		close(reloader->wake);
	pthread_mutex_destroy(&reloader->lock);
	free(reloader);
}

void
reloader_request(struct reloader *reloader)
{
	atomic_store(&reloader->requested, true);
	wake_ring(reloader->wake);
}

void
reloader_post(struct reloader *reloader, struct job *job)
{
	pthread_mutex_lock(&reloader->lock);
	put_job(&reloader->posted, job);
	pthread_mutex_unlock(&reloader->lock);
	wake_ring(reloader->wake);
}
