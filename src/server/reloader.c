/* reloader.c -- the reload thread: decides when to look again, and publishes. */
#include "server/reloader.h"

#include <sys/eventfd.h>

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
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/watcher.h"
#include "server/writer.h"

enum {
	QUIET_MS = 50, /* look once so long nothing has happened */
	MAX_LATENCY_MS = 2000, /* but never later than this after the first event */
	POLL_MS = 60 * 1000, /* look in any case, events or none */
	BLIND_POLL_MS = 2000, /* the same where events cannot be had */
	SETTLE_MS = 300, /* look again at a file that was being written, if no event comes */
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
	pthread_mutex_init(&reloader->lock, NULL);
	reloader->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
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
	for (size_t i = 0; i < now->n_problems; i++) {
		struct buffer text = {0};
		if (before != NULL && has_problem(before, &now->problems[i]))
			continue;
		problem_format(&now->problems[i], &text);
		log_write(LOG_LEVEL_ERROR, text.failed ? now->problems[i].message : text.data,
			LOG_END);
		buffer_finish(&text);
	}
	if (before != NULL && before->n_problems > 0 && now->n_problems == 0)
		log_write(LOG_LEVEL_INFO, "all files are good again", LOG_END);
}

/* Build the snapshot of what was loaded and make it current. */
static int
publish(struct reloader *reloader)
{
	struct snapshot *snapshot = loader_snapshot(reloader->loader);
	if (snapshot == NULL)
		return -1;
	log_problems(reloader->published, snapshot);
	log_write(LOG_LEVEL_INFO, "prompts published", LOG_NUMBER("prompts", snapshot->n_prompts),
		LOG_NUMBER("problems", snapshot->n_problems),
		LOG_TEXT("revision", snapshot->revision), LOG_END);
	store_publish(reloader->store, snapshot);
	reloader->published = snapshot;
	reloader->in_use = store_reap(reloader->store) > 0;
	return 0;
}

/* Look at the directory that the path names now, and publish what changed. */
static int
scan(struct reloader *reloader, struct error *error)
{
	struct load load = {0};
	struct tree *tree = tree_open(reloader->directory, error);
	int result = tree == NULL ? -1
				  : loader_scan(reloader->loader, tree, reloader->watcher,
					    clock_ms(), &load, error);
	tree_close(tree);
	reloader->scanned_ms = clock_ms();
	reloader->first_event_ms = 0;
	reloader->unsettled = load.unsettled;
	if (result == 0 && (load.changed || reloader->published == NULL) &&
		publish(reloader) != 0) {
		error_set(error, "out of memory");
		result = -1;
	}
	return result;
}

int
reloader_load(struct reloader *reloader, struct error *error)
{
	return scan(reloader, error);
}

/* Look again; where that fails the last prompts go on being served, and it is said once. */
static void
rescan(struct reloader *reloader)
{
	struct error error;
	bool failed = scan(reloader, &error) != 0;
	if (failed && !reloader->root_lost)
		log_write(LOG_LEVEL_ERROR, error.message, LOG_TEXT("serving", "the last prompts"),
			LOG_END);
	else if (!failed && reloader->root_lost)
		log_write(LOG_LEVEL_INFO, "the prompt directory can be read again", LOG_END);
	reloader->root_lost = failed;
}

static enum job_outcome
check_new(const struct snapshot *snapshot, const struct job *job)
{
	const struct group *group = snapshot_find(snapshot, job->id);
	if (group == NULL)
		return JOB_CREATED;
	for (size_t i = 0; i < group->count; i++) {
		const char *version = group->entries[i].prompt->version;
		bool same = version == NULL || job->version == NULL
				    ? version == job->version
				    : strcmp(version, job->version) == 0;
		if (same)
			return JOB_ID_EXISTS;
	}
	return job->version == NULL ? JOB_VERSION_NEEDED : JOB_CREATED;
}

/* Serve a file that was just written. If that fails now, the events of the write bring it. */
static void
publish_written(struct reloader *reloader, const struct job *job)
{
	struct error error;
	struct signature signature;
	struct tree *tree = tree_open(reloader->directory, &error);
	bool found = tree != NULL && tree_stat(tree, job->path, &signature);
	tree_close(tree);
	if (!found ||
		loader_put(reloader->loader, job->path, &signature, job->data, job->length) != 0 ||
		publish(reloader) != 0)
		log_write(LOG_LEVEL_WARN, "a new file is served after the next look",
			LOG_TEXT("path", job->path), LOG_END);
}

static void
run_job(struct reloader *reloader, struct job *job)
{
	static const enum job_outcome outcomes[] = {
		[WRITER_CREATED] = JOB_CREATED,
		[WRITER_EXISTS] = JOB_FILE_EXISTS,
		[WRITER_FULL] = JOB_FULL,
		[WRITER_FAILED] = JOB_FAILED,
	};
	struct error error = {0};
	job->outcome = check_new(reloader->published, job);
	if (job->outcome == JOB_CREATED)
		job->outcome = outcomes[writer_create(
			reloader->directory, job->path, job->data, job->length, &error)];
	snprintf(job->message, sizeof(job->message), "%s", error.message);
	if (job->outcome == JOB_CREATED) {
		log_write(LOG_LEVEL_INFO, "prompt created", LOG_TEXT("path", job->path), LOG_END);
		publish_written(reloader, job);
	} else if (*error.message != '\0') {
		log_write(LOG_LEVEL_ERROR, error.message, LOG_END);
	}
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
	bool blind = watcher_is_blind(reloader->watcher) || reloader->root_lost;
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
	uint64_t count;
	if (read(reloader->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_write(LOG_LEVEL_ERROR, "eventfd failed", LOG_TEXT("reason", strerror(errno)),
			LOG_END);
}

static void
note_events(struct reloader *reloader)
{
	int64_t now = clock_ms();
	if (!watcher_read(reloader->watcher, now))
		return;
	reloader->last_event_ms = now;
	if (reloader->first_event_ms == 0)
		reloader->first_event_ms = now;
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

static void
wake(struct reloader *reloader)
{
	const uint64_t one = 1;
	while (write(reloader->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void
reloader_free(struct reloader *reloader)
{
	if (reloader == NULL)
		return;
	if (reloader->started) {
		atomic_store(&reloader->stopping, true);
		wake(reloader);
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
	wake(reloader);
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
	wake(reloader);
}
