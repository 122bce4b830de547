/* shard.h -- a piece of the index over prompts: those of some ids that follow one another. */
#pragma once

#include <stddef.h>

struct arena;
struct claim;
struct entry;
struct group;
struct problem;

/* Immutable and counted, as snapshots share those in which nothing changed; never empty. One allocation. */
struct shard {
	const struct group *groups; /* by id */
	size_t n_groups;
	const struct entry *entries; /* those of all groups */
	size_t n_entries;
	size_t n_claims; /* each with a reference to its unit */
	const struct problem *conflicts; /* of claims that lost, and of labels */
	size_t n_conflicts;
	const char *told; /* what clients are told of the prompts, for the revision */
	size_t told_length;
};

/* Make a shard of sorted claims that no other one has ids of; conflicts are decided here. The arena is used meanwhile.
 * Returns NULL when memory is out. */
struct shard *shard_new(struct arena *, const struct claim *, size_t count);

/* Not for several threads at the same time. */
const struct shard *shard_ref(const struct shard *);
void shard_unref(const struct shard *);

/* The id that it begins with. */
const char *shard_first_id(const struct shard *);

/* Write its claims, in their order. */
void shard_copy_claims(const struct shard *, struct claim *);
