/* loader.h -- the next snapshot, from the tree and the last one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct prompt_rules;
struct signature;
struct snapshot;
struct tree;
struct unit;
struct watcher;

/* Remembers each file's last good version. Reload thread only. */
struct loader;

/* The rules are borrowed. Returns NULL when memory is out. */
struct loader *loader_new(const struct prompt_rules *);
void loader_free(struct loader *);

struct load {
	bool changed; /* the next snapshot may differ from the last */
	bool unsettled; /* something was left for another scan, soon */
};

/* Look at every file and read those that changed. New content is taken once it is known to be complete: it
 * was closed or moved here, or has not changed for a while. A file that is gone is served on for half a
 * second: it may be about to come back. Returns -1 with an error when the tree cannot be read or memory is
 * out; nothing is changed then. */
int loader_scan(struct loader *, struct tree *, struct watcher *, int64_t now_ms, struct load *,
	struct error *);

/* Make the unit of a file that is to be written; NULL when memory is out. */
struct unit *loader_make(struct loader *, const char *path, const char *data, size_t length);

/* The path of a file that differs at most in its extension, or NULL. */
const char *loader_find_like(const struct loader *, const char *path);

/* Take a file that was just written, without a scan, with its unit. Returns -1 when memory is out: then the
 * next scan brings it. */
int loader_put(
	struct loader *, const struct signature *, const char *data, size_t length, struct unit *);

/* Make the snapshot of all files. Returns NULL when memory is out. */
struct snapshot *loader_snapshot(struct loader *);
