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
struct watcher;

/* Remembers each file's last good version. Reload thread only. */
struct loader;

/* The rules are borrowed. Returns NULL when memory is out. */
struct loader *loader_new(const struct prompt_rules *);
void loader_free(struct loader *);

struct load {
	bool changed; /* the next snapshot will differ from the last */
	bool unsettled; /* something was left for another scan: it was still being written */
	size_t n_files, n_read;
};

/* Look at every file and read those that changed. A file that is being written keeps what it had.
 * Returns -1 with an error when the tree cannot be read or memory is out; nothing is changed then. */
int loader_scan(struct loader *, struct tree *, struct watcher *, int64_t now_ms, struct load *,
	struct error *);

/* Take a file that was just written, without a scan. Returns -1 when memory is out. */
int loader_put(struct loader *, const char *path, const struct signature *, const char *data,
	size_t length);

/* Make the snapshot of all files. Returns NULL when memory is out. */
struct snapshot *loader_snapshot(struct loader *);
