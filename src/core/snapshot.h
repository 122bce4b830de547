/* snapshot.h -- a set of units and the index over their prompts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct digest;
struct problem;
struct prompt;
struct unit;

/* One file as it stands: what it serves and, if that differs, what is wrong with it. */
struct source {
	struct unit *served; /* the last good one; NULL if there never was one */
	struct unit *faulty; /* the present content where that is not good, else NULL */
	bool leaving; /* the file is gone, and served on for a moment: it yields to any other */
};

/* A prompt that is served. */
struct entry {
	const struct prompt *prompt;
	const char *const *labels; /* those it holds; sorted */
	size_t n_labels;
	bool stale; /* a last good version: the file is not good now */
	bool leaving; /* as its source */
};

/* The versions of one id, in the order of version_compare. */
struct group {
	const struct entry *entries;
	size_t count;
};

/* Immutable once made, save what is the store's. Borrowed parts live as long as the snapshot. */
struct snapshot {
	const struct group *groups; /* by id, bytewise */
	size_t n_groups;
	const struct group *const *by_slug; /* one for each id and slug: by slug, then id */
	const char *const *slugs; /* the slugs of by_slug */
	size_t n_slugs;
	const struct problem
		*problems; /* what keeps a prompt or a label from being served, by path and line */
	size_t n_problems;
	size_t n_prompts;
	char revision[33]; /* of all that clients are told of the prompts, in hexadecimal */

	size_t users; /* the store's, under its lock */
	struct snapshot *retired;
};

/* Make a snapshot of files in the bytewise order of their paths; it takes its own references to their
 * units. Conflicts between files are decided here and become problems. Returns NULL when memory is
 * out. */
struct snapshot *snapshot_new(const struct source *, size_t count, struct digest *);
void snapshot_free(struct snapshot *);

/* The versions of an id, or NULL. */
const struct group *snapshot_find(const struct snapshot *, const char *id);

/* Where an id stands or would stand in groups. */
size_t snapshot_position(const struct snapshot *, const char *id);

bool entry_has_label(const struct entry *, const char *label);
