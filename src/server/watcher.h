/* watcher.h -- what may have changed, and which files are still being written. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/figures.h"
#include "server/marks.h"

struct lookup;

/* inotify(7). Events are hints: they mark the paths at which to look again, never what is there. Where
 * inotify cannot see, the watcher says so and the caller looks by the clock. Reload thread only. */
struct watcher;

/* With no inotify at all if so asked. Returns NULL when memory is out. */
struct watcher *watcher_new(bool without_inotify);
void watcher_free(struct watcher *);

/* To poll for reading; -1 where there is no inotify. */
int watcher_descriptor(const struct watcher *);

/* The paths to look at. */
struct marks *watcher_marks(struct watcher *);

/* A look at all that is marked: each directory in which a name is looked up is added before, as an on_lookup;
 * what was watched for the marked paths and is not added again is forgotten at the end. */
void watcher_begin(struct watcher *);
void watcher_add(void *watcher, const struct lookup *);
void watcher_end(struct watcher *);

/* Take in what has happened. */
void watcher_read(struct watcher *, int64_t now_ms);

/* Whether anything that matters was taken in since the last call. */
bool watcher_take_news(struct watcher *);

/* What is known of a file's content, found through a link of its own or not, which was changed at that time on
 * CLOCK_REALTIME: of a change that no event has told yet, nothing. */
enum evidence watcher_evidence(
	const struct watcher *, const char *path, bool is_linked, int64_t changed_ns);

/* When a file was written last that nobody was seen to close since, on clock_ms(); 0: there is none. */
int64_t watcher_written_ms(const struct watcher *, const char *path);

/* A file is known to be complete, as it was put in place by ourselves or nobody has it open. */
void watcher_note_complete(struct watcher *, const char *path, int64_t now_ms);

/* Whether a file that is not there is known not to be about to come back. */
bool watcher_knows_gone(const struct watcher *, const char *path);

/* Whether a file is being written, without a long pause. */
bool watcher_sees_writing(const struct watcher *, int64_t now_ms);

struct watcher_state {
	bool inotify;
	enum blindness blindness; /* changes may go unseen … */
	char reason[192]; /* … because of this */
	unsigned watches;
	unsigned long events, overflows, restarts;
	unsigned long errors[N_WATCH_ERRORS];
};

const struct watcher_state *watcher_state(const struct watcher *);
