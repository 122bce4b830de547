/* conflict.h -- which of two prompts that claim the same is served. */
#pragma once

#include <stddef.h>

struct arena;
struct entry;
struct problem;

/* Problems found so far; there is room for one more for each prompt and each label. */
struct problems {
	struct problem *items;
	size_t count;
};

/* Of two files the one whose path gives the id goes first, then the shorter path, then the bytewise
 * smaller; in one file, the earlier prompt. What loses becomes a problem, whose text is in the arena. A
 * file that is leaving goes last and loses without a word. */

/* Sort entries by id and version and keep the first of each. Returns how many are kept. */
size_t conflict_settle_versions(struct arena *, struct entry *, size_t count, struct problems *);

/* Decide which of the versions of one id holds which label, and set the entries' labels. A label that is
 * also a version of the id is held by none. Returns -1 when memory is out. */
int conflict_settle_labels(struct arena *, struct entry *, size_t count, struct problems *);
