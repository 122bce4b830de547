/* watcher.c -- which directories may have changed, and which files are still being written. */
#include "server/watcher.h"

#include <sys/inotify.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/name.h"
#include "server/log.h"

enum {
	WRITE_IDLE_MS = 2000,
	MAX_WRITERS = 64, /* beyond that a file counts as written once it is quiet */
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

struct writer {
	char *path;
	int64_t last_ms;
};

struct watcher {
	int descriptor;
	struct watch *watches; /* by id */
	size_t n_watches, capacity;
	struct writer writers[MAX_WRITERS];
	size_t n_writers;
	bool blind, said_blind;
};

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
	for (size_t i = 0; i < watcher->n_writers; i++)
		free(watcher->writers[i].path);
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

void
watcher_end(struct watcher *watcher)
{
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

static void
forget_writer(struct watcher *watcher, size_t at)
{
	free(watcher->writers[at].path);
	watcher->writers[at] = watcher->writers[--watcher->n_writers];
}

/* Note whether a file is being written. */
static void
note_writer(struct watcher *watcher, const struct watch *watch, const char *name, bool writing,
	int64_t now_ms)
{
	char path[PATH_MAX];
	int length = snprintf(
		path, sizeof(path), "%s%s%s", watch->path, *watch->path != '\0' ? "/" : "", name);
	size_t at = 0;
	if (length < 0 || (size_t)length >= sizeof(path))
		return;
	while (at < watcher->n_writers && strcmp(watcher->writers[at].path, path) != 0)
		at++;
	if (at < watcher->n_writers && !writing)
		forget_writer(watcher, at);
	else if (at < watcher->n_writers)
		watcher->writers[at].last_ms = now_ms;
	else if (writing && at < MAX_WRITERS) {
		watcher->writers[at] = (struct writer){strdup(path), now_ms};
		watcher->n_writers += watcher->writers[at].path != NULL;
	}
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

static bool
take_event(struct watcher *watcher, const struct inotify_event *event, int64_t now_ms)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		log_write(LOG_LEVEL_WARN, "events were lost: looking everywhere", LOG_END);
		while (watcher->n_writers > 0)
			forget_writer(watcher, 0);
		return true;
	}
	const struct watch *watch = find(watcher, event->wd);
	if (watch == NULL || !is_relevant(event))
		return false;
	if (event->len > 0 && name_is_prompt_file(event->name) && (event->mask & IN_ISDIR) == 0)
		if ((event->mask & ~(uint32_t)IN_ATTRIB) != 0)
			note_writer(watcher, watch, event->name,
				(event->mask & (IN_MODIFY | IN_CREATE)) != 0, now_ms);
	return true;
}

bool
watcher_read(struct watcher *watcher, int64_t now_ms)
{
	_Alignas(struct inotify_event) char events[EVENT_BYTES];
	bool relevant = false;
	if (watcher->descriptor < 0)
		return false;
	for (;;) {
		ssize_t length = read(watcher->descriptor, events, sizeof(events));
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return relevant;
		for (const char *at = events; at < events + length;) {
			const struct inotify_event *event = (const void *)at;
			relevant |= take_event(watcher, event, now_ms);
			at += sizeof(*event) + event->len;
		}
	}
}

bool
watcher_is_writing(const struct watcher *watcher, const char *path, int64_t now_ms)
{
	for (size_t i = 0; i < watcher->n_writers; i++)
		if (strcmp(watcher->writers[i].path, path) == 0)
			return now_ms - watcher->writers[i].last_ms < WRITE_IDLE_MS;
	return false;
}

bool
watcher_is_blind(const struct watcher *watcher)
{
	return watcher->blind;
}
