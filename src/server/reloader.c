/* reloader.c -- the reload thread: decides when to look again, and publishes. */
#include "server/reloader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/job.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/wake.h"
#include "server/watcher.h"

enum {
	QUIET_MS = 50, /* look once so long nothing has happened */
	MAX_LATENCY_MS = 2000, /* but never later than this after the first event */
	POLL_MS = 60 * 1000, /* look in any case, events or none */
	BLIND_POLL_MS = 2000, /* the same where events cannot be had */
	SETTLE_MS = 100, /* look again at what was not settled, if no event comes */
	START_POLL_MS = 10, /* the same while starting */
	MAX_SAID = 100, /* problems that are logged at once */
	REAP_MS = 100, /* try again to free snapshots that were in use */
};

struct reloader {
	const char *directory;
	struct store *store;
	struct loader *loader;
	struct watcher *watcher;
	const struct snapshot
		*published; /* the store's current one; this thread alone replaces it */

	int64_t first_event_ms, last_event_ms; /* since the last scan; 0: none */
	int64_t scanned_ms;
	bool unsettled, in_use, root_lost;
	bool unpublished; /* what was loaded could not be made a snapshot: memory was out */

	int wake; /* an eventfd */
	atomic_bool requested, stopping;
	pthread_mutex_t lock; /* of the queue */
	struct job *first, *last;
	pthread_t thread;
	bool started;
};

struct reloader *
reloader_new(const char *directory, const struct prompt_rules *rules, struct store *store)
{
	struct reloader *reloader = calloc(1, sizeof(*reloader));
	if (reloader == NULL)
		return NULL;
	reloader->directory = directory;
	reloader->store = store;
	if (pthread_mutex_init(&reloader->lock, NULL) != 0) {
		free(reloader);
		return NULL;
	}
	reloader->wake = wake_open();
	reloader->loader = loader_new(rules);
	reloader->watcher = watcher_new();
	if (reloader->wake >= 0 && reloader->loader != NULL && reloader->watcher != NULL)
		return reloader;
	reloader_free(reloader);
	return NULL;
}

/* Whether a snapshot has the same problem; its problems stand in the order of their paths. */
static bool
has_problem(const struct snapshot *snapshot, const struct problem *problem)
{
	size_t low = 0, high = snapshot->n_problems;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(snapshot->problems[middle].path, problem->path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < snapshot->n_problems; low++) {
		if (strcmp(snapshot->problems[low].path, problem->path) != 0)
			return false;
		if (strcmp(snapshot->problems[low].message, problem->message) == 0)
			return true;
	}
	return false;
}

/* Say what is wrong now and was not before. */
static void
log_problems(const struct snapshot *before, const struct snapshot *now)
{
	size_t said = 0;
	for (size_t i = 0; i < now->n_problems; i++) {
		struct buffer text = {0};
		if (before != NULL && has_problem(before, &now->problems[i]))
			continue;
		if (++said > MAX_SAID)
			continue;
		problem_put(&now->problems[i], &text);
		log_write(LOG_LEVEL_ERROR, text.failed ? now->problems[i].message : text.data,
			LOG_END);
		buffer_finish(&text);
	}
	if (said > MAX_SAID)
		log_write(LOG_LEVEL_ERROR, "there are more problems",
			LOG_NUMBER("more", said - MAX_SAID), LOG_END);
	if (before != NULL && before->n_problems > 0 && now->n_problems == 0)
		log_write(LOG_LEVEL_INFO, "all files are good again", LOG_END);
}

/* Whether a snapshot differs in what its log line says. */
static bool
tells_more(const struct snapshot *before, const struct snapshot *now)
{
	return before == NULL || strcmp(before->revision, now->revision) != 0 ||
	       before->n_problems != now->n_problems;
}

/* Build the snapshot of what was loaded and make it current. */
static int
publish(struct reloader *reloader)
{
	struct snapshot *snapshot = loader_snapshot(reloader->loader);
	reloader->unpublished = snapshot == NULL;
	if (snapshot == NULL)
		return -1;
	log_problems(reloader->published, snapshot);
	if (tells_more(reloader->published, snapshot))
		log_write(LOG_LEVEL_INFO, "prompts published",
			LOG_NUMBER("prompts", snapshot->n_groups),
			LOG_NUMBER("problems", snapshot->n_problems),
			LOG_TEXT("revision", snapshot->revision), LOG_END);
	if (snapshot->n_prompts == 0 && tells_more(reloader->published, snapshot))
		log_write(LOG_LEVEL_WARN,
			"there are no prompts: /ready stays red unless --allow-empty is given",
			LOG_TEXT("directory", reloader->directory), LOG_END);
	store_publish(reloader->store, snapshot);
	reloader->published = snapshot;
	reloader->in_use = store_reap(reloader->store) > 0;
	return 0;
}

static void
note_events(struct reloader *reloader)
{
	int64_t now = clock_ms();
	watcher_read(reloader->watcher, now);
	if (!watcher_take_news(reloader->watcher))
		return;
	reloader->last_event_ms = now;
	if (reloader->first_event_ms == 0)
		reloader->first_event_ms = now;
}

/* Look at the directory that the path names now. */
static int
scan(struct reloader *reloader, struct load *load, struct error *error)
{
	*load = (struct load){0};
	struct tree *tree = tree_open(reloader->directory, error);
	reloader->first_event_ms = 0;
	int result = tree == NULL ? -1
				  : loader_scan(reloader->loader, tree, reloader->watcher,
					    clock_ms(), load, error);
	tree_close(tree);
	reloader->scanned_ms = clock_ms();
	reloader->unsettled = load->unsettled;
	note_events(reloader);
	return result;
}

int
reloader_load(struct reloader *reloader, struct error *error)
{
	struct load load;
	int64_t start_ms = clock_ms();
	for (;;) {
		if (scan(reloader, &load, error) != 0)
			return -1;
		if (!load.unsettled || clock_ms() - start_ms >= MAX_LATENCY_MS)
			break;
		poll(NULL, 0, START_POLL_MS); /* files are being put in place: wait for all */
	}
	if (publish(reloader) == 0)
		return 0;
	error_set(error, "out of memory");
	return -1;
}

/* Look again; where that fails the last prompts go on being served, and it is said once. */
static void
rescan(struct reloader *reloader)
{
	struct error error;
	struct load load;
	bool failed = scan(reloader, &load, &error) != 0;
	if (!failed && (load.changed || reloader->unpublished) && publish(reloader) != 0) {
		error_set(&error, "out of memory");
		failed = true;
	}
	if (failed && !reloader->root_lost)
		log_write(LOG_LEVEL_ERROR, error.message, LOG_TEXT("serving", "the last prompts"),
			LOG_END);
	else if (!failed && reloader->root_lost)
		log_write(LOG_LEVEL_INFO, "the prompt directory can be read again", LOG_END);
	reloader->root_lost = failed;
}

/* Write a job's file and serve it at once. If serving fails now, the events of the write bring it. */
static void
run_job(struct reloader *reloader, struct job *job)
{
	struct error error;
	struct signature signature;
	struct unit *unit =
		job_write(job, reloader->directory, reloader->loader, reloader->published);
	struct tree *tree = unit != NULL ? tree_open(reloader->directory, &error) : NULL;
	bool found = tree != NULL && tree_stat(tree, job->path, &signature);
	tree_close(tree);
	if (!found)
		unit_unref(unit);
	else if (loader_put(reloader->loader, &signature, job->data, job->length, unit) != 0 ||
		 publish(reloader) != 0)
		log_write(LOG_LEVEL_WARN, "a new file is served after the next look",
			LOG_TEXT("path", job->path), LOG_END);
	job->on_done(job);
}

static struct job *
take_jobs(struct reloader *reloader)
{
	pthread_mutex_lock(&reloader->lock);
	struct job *jobs = reloader->first;
	reloader->first = reloader->last = NULL;
	pthread_mutex_unlock(&reloader->lock);
	return jobs;
}

static void
run_jobs(struct reloader *reloader)
{
	for (struct job *job = take_jobs(reloader), *next; job != NULL; job = next) {
		next = job->next; /* on_done gives the job away */
		run_job(reloader, job);
	}
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When to look next. */
static int64_t
due_ms(const struct reloader *reloader)
{
	bool blind =
		watcher_is_blind(reloader->watcher) || reloader->root_lost || reloader->unpublished;
	int64_t due = reloader->scanned_ms + (blind ? BLIND_POLL_MS : POLL_MS);
	if (reloader->unsettled)
		due = earlier(due, reloader->scanned_ms + SETTLE_MS);
	if (reloader->first_event_ms > 0)
		due = earlier(due, earlier(reloader->last_event_ms + QUIET_MS,
					   reloader->first_event_ms + MAX_LATENCY_MS));
	return due;
}

static void
wait_for_work(struct reloader *reloader)
{
	int64_t wait = due_ms(reloader) - clock_ms();
	if (reloader->in_use)
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
		if (atomic_exchange(&reloader->requested, false) || clock_ms() >= due_ms(reloader))
			rescan(reloader);
		if (reloader->in_use)
			reloader->in_use = store_reap(reloader->store) > 0;
	}
	run_jobs(reloader);
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
	job->next = NULL;
	pthread_mutex_lock(&reloader->lock);
	if (reloader->last != NULL)
		reloader->last->next = job;
	else
		reloader->first = job;
	reloader->last = job;
	pthread_mutex_unlock(&reloader->lock);
	wake_ring(reloader->wake);
}
