/* loader.h -- the next snapshot, from the tree and the last one. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/files.h"

struct circumstances;
struct prompt_rules;
struct snapshot;
struct tree;
struct unit;
struct watcher;

/* Remembers each file's last good version. Reload thread only. */
struct loader;

struct loader_terms {
	const struct prompt_rules *rules; /* borrowed */
	int64_t settle_ms; /* content without evidence is complete when it has not changed for so long */
	int64_t delete_grace_ms; /* how long a file that is gone is served on */
	const atomic_bool *stopping; /* set by another thread: looks end early, and fail */
};

/* Returns NULL when memory is out. */
struct loader *loader_new(const struct loader_terms *);
void loader_free(struct loader *);

struct look {
	bool changed; /* a file's source is not what it was */
	bool missed; /* a file was not found: loader_verify says whether it is gone */
	bool unsettled; /* content that is not known to be complete was left out … */
	bool waiting; /* … though nobody is writing: it settles by itself … */
	bool torn; /* … among files that are replaced together */
	int64_t changed_ns; /* of the newest content that was taken, on CLOCK_REALTIME; 0: none was */
	int64_t next_ms; /* when to look again at that, and at what is leaving; 0: no need */
	int64_t retry_ms; /* when to look again at what could not be read, perhaps for now; 0: no need */
};

/* Look at all that the watcher has marked and read what changed. New content is taken once it is known to be
 * complete: it was closed or moved here, or has not changed for a while. Force tries harder: files that are
 * written over and over are read between two writes. A file that is gone is served on for a moment: it may be
 * about to come back, unless all the files were replaced by others. Returns -1 when memory is out. */
int loader_look(
	struct loader *, struct tree *, struct watcher *, bool force, bool replaced, struct look *);

enum agreement {
	AGREES, /* all is as the last look found it */
	DIFFERS, /* some files are not */
	TORN, /* some of those are that are replaced together: what was found is of no time at all */
};

/* Look at the same places once more, and let go of what is missing again. */
enum agreement loader_verify(struct loader *, struct tree *, struct watcher *);

/* Make the unit of a file that is to be written; NULL when memory is out. */
struct unit *loader_make(struct loader *, const char *path, const char *data, size_t length);

/* The path of a file that differs at most in its extension, or NULL. */
const char *loader_find_like(const struct loader *, const char *path);

/* What looks have found was offered to be published: the next ones tell of as many warnings again. */
void loader_end_round(struct loader *);

/* Whether looks have brought anything that the last snapshot does not have, and whether that is more than
 * files that are about to leave or came back. */
bool loader_has_changes(const struct loader *);
bool loader_has_new_units(const struct loader *);

/* Make the snapshot of all files from the one made before, or NULL at first. Returns NULL when memory is
 * out. */
struct snapshot *loader_snapshot(
	struct loader *, const struct snapshot *base, const struct circumstances *);

/* The same prompts as a base in other circumstances. */
struct snapshot *loader_restate(
	struct loader *, const struct snapshot *base, const struct circumstances *);

const struct file_counts *loader_counts(const struct loader *);

/* What a file is like. The texts are the file's. */
struct file_report {
	const char *path;
	enum file_state state;
	const struct unit *served; /* what is served of it; NULL: nothing */
	const struct unit *faulty; /* what it is now, where that is not good; NULL: it is */
	const unsigned char *content; /* SHA-256 of the bytes that were looked at last */
	int64_t modified_ns; /* of those */
};

typedef void loader_on_file(void *context, const struct file_report *);
void loader_report(const struct loader *, loader_on_file *, void *context);
