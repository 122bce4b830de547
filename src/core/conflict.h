/* conflict.h -- which of two prompts that claim the same is served. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct entry;
struct problem;
struct prompt;

/* A prompt of a file, whether it gets to be served or not. */
struct claim {
	const struct prompt *prompt;
	bool stale; /* of a last good version */
	bool leaving; /* of a file that is gone */
};

/* Problems found so far; there is room for one more for each prompt and each label. */
struct problems {
	struct problem *items;
	size_t count;
};

/* Of two files the one whose path gives the id goes first, then the shorter path, then the bytewise
 * smaller; in one file, the earlier prompt. What loses becomes a problem, whose text is in the arena. A
 * file that is leaving goes last and loses without a word. */

/* The order of claims: by id, version and precedence. As for qsort(3). */
int conflict_compare(const void *claim, const void *other);

/* Of sorted claims make the first of each id and version an entry. Returns how many there are. */
size_t conflict_settle_versions(
	struct arena *, const struct claim *, size_t count, struct entry *, struct problems *);

/* Decide which of the versions of one id holds which label, and set the entries' labels. A label that is
 * also a version of the id is held by none. Returns -1 when memory is out. */
int conflict_settle_labels(struct arena *, struct entry *, size_t count, struct problems *);
