/* edits.h -- the claims by which one snapshot differs from the one before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/conflict.h"

struct change;

/* A claim to put in, or to take out. */
struct edit {
	struct claim claim;
	bool is_new;
};

/* Starts zeroed. */
struct edits {
	struct edit *items;
	size_t count;
};

/* Gather what changes of files come to. Returns -1 when memory is out. */
int edits_gather(struct edits *, const struct change *, size_t count);
void edits_finish(struct edits *);

/* Bring them in the order of claims; or in the order of slugs and ids, without those that have no slug. */
void edits_sort(struct edits *);
void edits_sort_by_slug(struct edits *);

/* Apply edits to claims, both in that order. Out has room for all of them. Returns how many claims there are then. */
size_t edits_apply(const struct edit *, size_t n_edits, const struct claim *old, size_t n_old,
	struct claim *out);
size_t edits_apply_by_slug(const struct edit *, size_t n_edits, const struct claim *old,
	size_t n_old, struct claim *out);
