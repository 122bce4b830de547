/* reloader.c -- the reload thread, and what is asked of it. */
#include "server/reloader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/snapshot.h"
#include "server/auth.h"
#include "server/clock.h"
#include "server/creation.h"
#include "server/cycle.h"
#include "server/job.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/schedule.h"
#include "server/tls.h"
#include "server/wake.h"

enum { STOP_MS = 2000 }; /* that a look may take to end */

/* Jobs in the order of their coming. */
struct queue {
	struct job *first, *last;
};

struct reloader {
	struct cycle *cycle;
	struct auth *auth;
	struct tls *tls; /* or NULL */
	struct queue awaiting; /* jobs that the end of a round ends */
	bool report; /* a signal asked: log the outcome, whatever it is */
	uint64_t told; /* the generation that the service manager knows of */

	int result; /* of the first load, … */
	struct error error; /* … and why */
	sem_t loaded;

	int wake, ended; /* eventfds */
	atomic_bool requested, stopping;
	pthread_mutex_t lock; /* of the queue */
	struct queue posted;
	pthread_t thread;
	bool started;
};

struct reloader *
reloader_new(const struct cycle_terms *terms, struct auth *auth, struct tls *tls)
{
	struct reloader *reloader = calloc(1, sizeof(*reloader));
	if (reloader == NULL)
		return NULL;
	if (pthread_mutex_init(&reloader->lock, NULL) != 0) {
		free(reloader);
		return NULL;
	}
	reloader->wake = wake_open();
	sem_init(&reloader->loaded, 0, 0);
	reloader->ended = wake_open();
	struct cycle_terms own = *terms;
	own.stopping = &reloader->stopping;
	reloader->cycle = cycle_new(&own);
	reloader->auth = auth;
	reloader->tls = tls;
	if (reloader->wake >= 0 && reloader->ended >= 0 && reloader->cycle != NULL)
		return reloader;
	reloader_free(reloader);
	return NULL;
}

/* Tell the service manager what is served, once. */
static void
tell_status(struct reloader *reloader)
{
	const struct snapshot *snapshot = cycle_published(reloader->cycle);
	if (snapshot == NULL || snapshot->generation == reloader->told)
		return;
	reloader->told = snapshot->generation;
	notify_send("STATUS=serving %zu prompts, generation %llu, %zu problems",
		snapshot->n_prompts, (unsigned long long)snapshot->generation,
		snapshot->n_problems);
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

static void
end_job(struct reloader *reloader, struct job *job)
{
	if (job->kind == JOB_CREATE)
		creation_verify((struct creation *)(void *)job, cycle_published(reloader->cycle));
	else
		cycle_put_status(reloader->cycle, job->all_files, &job->status);
	job->clean = cycle_is_clean(reloader->cycle);
	job->on_done(job);
}

/* End the jobs that waited for a round to be over. What was deleted before a reload is to be gone behind it. */
static void
end_waits(struct reloader *reloader)
{
	struct queue queue = reloader->awaiting;
	bool stopping = atomic_load(&reloader->stopping);
	bool has_leaving = cycle_has_leaving(reloader->cycle) && !stopping;
	reloader->awaiting = (struct queue){0};
	for (struct job *job; (job = take_job(&queue)) != NULL;)
		if (job->kind == JOB_RELOAD && has_leaving)
			put_job(&reloader->awaiting, job);
		else
			end_job(reloader, job);
	if (!reloader->report || has_leaving)
		return;
	const struct snapshot *snapshot = cycle_published(reloader->cycle);
	log_write(LOG_LEVEL_INFO, "looked everywhere, as SIGHUP asked",
		LOG_TEXT("clean", cycle_is_clean(reloader->cycle) ? "yes" : "no"),
		LOG_NUMBER("generation", snapshot != NULL ? snapshot->generation : 0),
		LOG_NUMBER("problems", snapshot != NULL ? snapshot->n_problems : 0), LOG_END);
	if (!stopping)
		notify_send("READY=1");
	reloader->report = false;
}

static void
run_job(struct reloader *reloader, struct job *job)
{
	bool waits = job->kind == JOB_RELOAD;
	if (job->kind == JOB_RELOAD)
		cycle_demand(reloader->cycle, CAUSE_API);
	else if (job->kind == JOB_CREATE)
		waits = cycle_create(reloader->cycle, (struct creation *)(void *)job);
	if (waits)
		put_job(&reloader->awaiting, job);
	else
		end_job(reloader, job);
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
	int64_t now = clock_ms();
	int64_t due =
		schedule_earlier(cycle_due_ms(reloader->cycle), auth_refresh(reloader->auth, now));
	due = schedule_earlier(due, tls_refresh(reloader->tls, now));
	int64_t wait = due - now;
	struct pollfd ready[] = {
		{.fd = reloader->wake,                    .events = POLLIN},
		{.fd = cycle_descriptor(reloader->cycle), .events = POLLIN},
	};
	if (poll(ready, 2, wait > 0 ? (int)wait : 0) < 0 && errno != EINTR)
		log_write(LOG_LEVEL_ERROR, "poll failed", LOG_TEXT("reason", strerror(errno)),
			LOG_END);
	wake_clear(reloader->wake);
}

/* On the thread that loads all that comes later, so that what is kept is of one thread's memory. */
static void
load(struct reloader *reloader)
{
	notify_send("STATUS=waiting for prompts");
	reloader->result = cycle_load(reloader->cycle, &reloader->error);
	tell_status(reloader);
	sem_post(&reloader->loaded);
}

static void *
reload_thread(void *context)
{
	struct reloader *reloader = context;
	load(reloader);
	while (!atomic_load(&reloader->stopping)) {
		wait_for_work(reloader);
		run_jobs(reloader);
		if (atomic_exchange(&reloader->requested, false)) {
			cycle_demand(reloader->cycle, CAUSE_SIGNAL);
			reloader->report = true;
			notify_send("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_us());
		}
		if (cycle_step(reloader->cycle))
			end_waits(reloader);
		tell_status(reloader);
	}
	run_jobs(reloader);
	end_waits(reloader);
	wake_ring(reloader->ended);
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

int
reloader_await(struct reloader *reloader, struct error *error)
{
	while (sem_wait(&reloader->loaded) != 0) /* a signal came */
		continue;
	if (reloader->result != 0)
		*error = reloader->error;
	return reloader->result;
}

bool
reloader_stop(struct reloader *reloader)
{
	if (reloader == NULL || !reloader->started)
		return true;
	atomic_store(&reloader->stopping, true);
	wake_ring(reloader->wake);
	struct pollfd ended = {.fd = reloader->ended, .events = POLLIN};
	while (poll(&ended, 1, STOP_MS) < 0)
		continue;
	if (ended.revents == 0) {
		log_write(LOG_LEVEL_WARN, "a look at the files hangs: ending without it", LOG_END);
		return false;
	}
	pthread_join(reloader->thread, NULL);
	reloader->started = false;
	return true;
}

void
reloader_free(struct reloader *reloader)
{
	if (reloader == NULL)
		return;
	cycle_free(reloader->cycle);
	if (reloader->wake >= 0)
		close(reloader->wake);
	if (reloader->ended >= 0)
		close(reloader->ended);
	sem_destroy(&reloader->loaded);
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
