/* watcher.c -- which directories may have changed, and which files are still being written. */
#include "server/watcher.h"

#include <sys/inotify.h>

#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/name.h"
#include "server/log.h"

enum {
	WRITE_IDLE_MS = 2000,
	MAX_TRACES = 65536, /* beyond that a change leaves no evidence */
	EVENT_BYTES = 16 * 1024
};

/* Never opens or reads: the watcher would see its own scans. */
static const uint32_t wanted_events = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
				      IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF |
				      IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK;

struct watch {
	int id;
	bool seen; /* in the scan under way */
	char *path;
};

/* What was seen of a file. */
struct trace {
	struct trace *next; /* the list of all */
	char *path;
	enum evidence evidence;
	int64_t last_ms;
};

struct watcher {
	int descriptor;
	struct watch *watches; /* by id */
	size_t n_watches, capacity;
	void *by_path; /* a tsearch(3) tree of struct trace */
	struct trace *traces;
	size_t n_traces;
	bool news, blind, said_blind;
};

static int
compare_traces(const void *a, const void *b)
{
	const struct trace *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static void
free_trace(void *node)
{
	struct trace *trace = node;
	free(trace->path);
	free(trace);
}

static void
forget_traces(struct watcher *watcher)
{
	tdestroy(watcher->by_path, free_trace);
	watcher->by_path = NULL;
	watcher->traces = NULL;
	watcher->n_traces = 0;
}

struct watcher *
watcher_new(void)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	if (watcher == NULL)
		return NULL;
	watcher->descriptor = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	return watcher;
}

void
watcher_free(struct watcher *watcher)
{
	if (watcher == NULL)
		return;
	if (watcher->descriptor >= 0)
		close(watcher->descriptor);
	for (size_t i = 0; i < watcher->n_watches; i++)
		free(watcher->watches[i].path);
	forget_traces(watcher);
	free(watcher->watches);
	free(watcher);
}

int
watcher_descriptor(const struct watcher *watcher)
{
	return watcher->descriptor;
}

/* Where a watch stands or would stand. */
static size_t
position(const struct watcher *watcher, int id)
{
	size_t low = 0, high = watcher->n_watches;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (watcher->watches[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct watch *
find(const struct watcher *watcher, int id)
{
	size_t at = position(watcher, id);
	return at < watcher->n_watches && watcher->watches[at].id == id ? &watcher->watches[at]
									: NULL;
}

static struct watch *
insert(struct watcher *watcher, int id)
{
	if (watcher->n_watches == watcher->capacity) {
		size_t capacity = watcher->capacity == 0 ? 16 : 2 * watcher->capacity;
		struct watch *watches =
			realloc(watcher->watches, capacity * sizeof(*watcher->watches));
		if (watches == NULL)
			return NULL;
		watcher->watches = watches;
		watcher->capacity = capacity;
	}
	size_t at = position(watcher, id);
	memmove(watcher->watches + at + 1, watcher->watches + at,
		(watcher->n_watches - at) * sizeof(*watcher->watches));
	watcher->watches[at] = (struct watch){.id = id};
	watcher->n_watches++;
	return &watcher->watches[at];
}

void
watcher_begin(struct watcher *watcher)
{
	watcher->blind = watcher->descriptor < 0;
	for (size_t i = 0; i < watcher->n_watches; i++)
		watcher->watches[i].seen = false;
}

/* Remember which directory a watch is of. */
static bool
note_watch(struct watcher *watcher, int id, const char *path)
{
	struct watch *watch = find(watcher, id);
	if (watch == NULL)
		watch = insert(watcher, id);
	if (watch == NULL)
		return false;
	watch->seen = true;
	if (watch->path != NULL && strcmp(watch->path, path) == 0)
		return true;
	free(watch->path);
	watch->path = strdup(path);
	return watch->path != NULL;
}

void
watcher_add(struct watcher *watcher, int descriptor, const char *path)
{
	char name[sizeof("/proc/self/fd/") + 12];
	if (watcher->descriptor < 0)
		return;
	/* Through the descriptor it is surely the directory that is then read. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", descriptor);
	int id = inotify_add_watch(watcher->descriptor, name, wanted_events);
	if (id < 0 || !note_watch(watcher, id, path))
		watcher->blind = true;
}

/* Forget what was seen long ago: by now its content was taken, or its times are old enough. */
static void
forget_old_traces(struct watcher *watcher, int64_t now_ms)
{
	for (struct trace **at = &watcher->traces; *at != NULL;) {
		struct trace *trace = *at;
		if (now_ms - trace->last_ms < 5 * WRITE_IDLE_MS) {
			at = &trace->next;
			continue;
		}
		*at = trace->next;
		tdelete(trace, &watcher->by_path, compare_traces);
		free_trace(trace);
		watcher->n_traces--;
	}
}

void
watcher_end(struct watcher *watcher, int64_t now_ms)
{
	forget_old_traces(watcher, now_ms);
	size_t kept = 0;
	for (size_t i = 0; i < watcher->n_watches; i++) {
		struct watch *watch = &watcher->watches[i];
		if (watch->seen) {
			watcher->watches[kept++] = *watch;
			continue;
		}
		inotify_rm_watch(watcher->descriptor, watch->id);
		free(watch->path);
	}
	watcher->n_watches = kept;
	if (watcher->blind != watcher->said_blind)
		log_write(watcher->blind ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			watcher->blind ? "not every directory can be watched: looking every 2 s "
					 "(raise fs.inotify.max_user_watches)"
				       : "every directory is watched again",
			LOG_END);
	watcher->said_blind = watcher->blind;
}

static struct trace *
find_trace(const struct watcher *watcher, const char *path)
{
	const struct trace key = {.path = (char *)(uintptr_t)path};
	struct trace **found = tfind(&key, &watcher->by_path, compare_traces);
	return found != NULL ? *found : NULL;
}

/* A new trace, or NULL where there is no room or memory: then there is no evidence. */
static struct trace *
add_trace(struct watcher *watcher, const char *path)
{
	struct trace *trace = watcher->n_traces < MAX_TRACES ? calloc(1, sizeof(*trace)) : NULL;
	if (trace == NULL)
		return NULL;
	trace->path = strdup(path);
	if (trace->path == NULL || tsearch(trace, &watcher->by_path, compare_traces) == NULL) {
		free_trace(trace);
		return NULL;
	}
	trace->next = watcher->traces;
	watcher->traces = trace;
	watcher->n_traces++;
	return trace;
}

static void
note_evidence(struct watcher *watcher, const struct watch *watch, const char *name,
	enum evidence evidence, int64_t now_ms)
{
	char path[PATH_MAX];
	int length = snprintf(
		path, sizeof(path), "%s%s%s", watch->path, *watch->path != '\0' ? "/" : "", name);
	if (length < 0 || (size_t)length >= sizeof(path))
		return;
	struct trace *trace = find_trace(watcher, path);
	if (trace == NULL)
		trace = add_trace(watcher, path);
	if (trace == NULL)
		return;
	trace->evidence = evidence;
	trace->last_ms = now_ms;
}

/* A name that cannot lead to a prompt file is noise; "..data" is what a ConfigMap's links go through. */
static bool
is_relevant(const struct inotify_event *event)
{
	const uint32_t entry_events =
		IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ISDIR;
	if (event->len == 0)
		return (event->mask & IN_IGNORED) == 0;
	if (name_is_ignored(event->name))
		return strcmp(event->name, "..data") == 0;
	return name_is_prompt_file(event->name) || (event->mask & entry_events) != 0;
}

/* What an event says of the file it names; ATTRIB says nothing. A file that was just made may be a
 * link to something that is being written. */
static void
take_evidence(struct watcher *watcher, const struct watch *watch, const struct inotify_event *event,
	int64_t now_ms)
{
	static const struct {
		uint32_t events;
		enum evidence evidence;
	} meanings[] = {
		{IN_MODIFY,			     EVIDENCE_WRITING },
		{IN_CLOSE_WRITE | IN_MOVED_TO,          EVIDENCE_COMPLETE},
		{IN_CREATE | IN_DELETE | IN_MOVED_FROM, EVIDENCE_NONE    },
	};
	if ((event->mask & IN_ISDIR) != 0 || !name_is_prompt_file(event->name))
		return;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if ((event->mask & meanings[i].events) != 0)
			note_evidence(watcher, watch, event->name, meanings[i].evidence, now_ms);
}

static void
take_event(struct watcher *watcher, const struct inotify_event *event, int64_t now_ms)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		log_write(LOG_LEVEL_WARN, "events were lost: looking everywhere", LOG_END);
		forget_traces(watcher);
		watcher->news = true;
		return;
	}
	const struct watch *watch = find(watcher, event->wd);
	if (!is_relevant(event))
		return;
	watcher->news = true;
	if (watch != NULL && event->len > 0)
		take_evidence(watcher, watch, event, now_ms);
}

void
watcher_read(struct watcher *watcher, int64_t now_ms)
{
	_Alignas(struct inotify_event) char events[EVENT_BYTES];
	if (watcher->descriptor < 0)
		return;
	for (;;) {
		ssize_t length = read(watcher->descriptor, events, sizeof(events));
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return;
		for (const char *at = events; at < events + length;) {
			const struct inotify_event *event = (const void *)at;
			take_event(watcher, event, now_ms);
			at += sizeof(*event) + event->len;
		}
	}
}

bool
watcher_take_news(struct watcher *watcher)
{
	bool news = watcher->news;
	watcher->news = false;
	return news;
}

enum evidence
watcher_evidence(const struct watcher *watcher, const char *path, int64_t now_ms)
{
	const struct trace *trace = find_trace(watcher, path);
	if (trace == NULL)
		return EVIDENCE_NONE;
	if (trace->evidence == EVIDENCE_WRITING && now_ms - trace->last_ms >= WRITE_IDLE_MS)
		return EVIDENCE_NONE;
	return trace->evidence;
}

bool
watcher_is_blind(const struct watcher *watcher)
{
	return watcher->blind;
}
