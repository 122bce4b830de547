/* watcher.h -- which directories may have changed, and which files are still being written. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* inotify(7). Events are hints: they say that it is time to look again, never what is there. Where
 * inotify cannot see, the watcher says so and the caller looks by the clock. Reload thread only. */
struct watcher;

/* Returns NULL when memory is out. */
struct watcher *watcher_new(void);
void watcher_free(struct watcher *);

/* To poll for reading; -1 where there is no inotify. */
int watcher_descriptor(const struct watcher *);

/* A scan: every directory met is added before it is read; at the end the others are forgotten. */
void watcher_begin(struct watcher *);
void watcher_add(struct watcher *, int descriptor, const char *path);
void watcher_end(struct watcher *, int64_t now_ms);

/* Take in what has happened. */
void watcher_read(struct watcher *, int64_t now_ms);

/* Whether anything that matters was read since the last call. */
bool watcher_take_news(struct watcher *);

enum evidence {
	EVIDENCE_NONE, /* nothing was seen: a link, a file that came with its directory, … */
	EVIDENCE_WRITING, /* written less than two seconds ago and not closed since */
	EVIDENCE_COMPLETE, /* closed by its writer, or moved here, after the last write */
};

/* What was seen of a file's last change. */
enum evidence watcher_evidence(const struct watcher *, const char *path, int64_t now_ms);

/* Whether changes may go unseen: a watch could not be set, or there is no inotify. */
bool watcher_is_blind(const struct watcher *);
