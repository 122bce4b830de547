/* shard.c -- a piece of the index over prompts: those of some ids that follow one another. */
#include "core/shard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/conflict.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/unit.h"

/* The shard first, so that a pointer to it is one to this. */
struct block {
	struct shard shard;
	size_t references;
	const struct claim *claims; /* NULL where all of them became entries */
	char data[];
};

/* A shard as it comes to be, in an arena. */
struct draft_shard {
	const struct claim *claims;
	size_t n_claims;
	struct entry *entries;
	size_t n_entries;
	struct group *groups;
	size_t n_groups;
	struct problems problems;
};

static struct block *
block_of(const struct shard *shard)
{
	return (struct block *)(uintptr_t)shard;
}

/* Gather the sorted entries into the versions of each id. */
static int
make_groups(struct arena *arena, struct draft_shard *draft)
{
	struct entry *entries = draft->entries;
	for (size_t i = 0, end; i < draft->n_entries; i = end) {
		for (end = i + 1; end < draft->n_entries; end++)
			if (strcmp(entries[end].prompt->id, entries[i].prompt->id) != 0)
				break;
		if (conflict_settle_labels(arena, entries + i, end - i, &draft->problems) != 0)
			return -1;
		draft->groups[draft->n_groups++] = (struct group){entries + i, end - i};
	}
	return 0;
}

/* Decide what the claims come to. */
static int
settle(struct arena *arena, struct draft_shard *draft)
{
	size_t most = draft->n_claims;
	for (size_t i = 0; i < draft->n_claims; i++)
		most += draft->claims[i].prompt->n_labels;
	draft->entries = arena_array(arena, draft->n_claims, sizeof(*draft->entries));
	draft->groups = arena_array(arena, draft->n_claims, sizeof(*draft->groups));
	draft->problems.items = arena_array(arena, most, sizeof(*draft->problems.items));
	if (arena_failed(arena))
		return -1;
	draft->n_entries = conflict_settle_versions(
		arena, draft->claims, draft->n_claims, draft->entries, &draft->problems);
	return make_groups(arena, draft) != 0 || arena_failed(arena) ? -1 : 0;
}

/* The bytes of what clients are told of an entry. */
static size_t
told_bytes(const struct entry *entry)
{
	size_t bytes = DIGEST_BYTES;
	for (size_t i = 0; i < entry->n_labels; i++)
		bytes += strlen(entry->labels[i]) + 1;
	return bytes;
}

static bool
has_lost_claims(const struct draft_shard *draft)
{
	return draft->n_claims != draft->n_entries;
}

static size_t
block_bytes(const struct draft_shard *draft)
{
	size_t bytes = draft->n_entries * sizeof(*draft->entries) +
		       draft->n_groups * sizeof(*draft->groups) +
		       draft->problems.count * sizeof(*draft->problems.items);
	if (has_lost_claims(draft))
		bytes += draft->n_claims * sizeof(*draft->claims);
	for (size_t i = 0; i < draft->n_entries; i++)
		bytes += draft->entries[i].n_labels * sizeof(char *) +
			 told_bytes(&draft->entries[i]);
	for (size_t i = 0; i < draft->problems.count; i++)
		bytes += strlen(draft->problems.items[i].message) + 1;
	return bytes;
}

/* Copy to where there is room, which begins behind that then. */
static void *
put(char **at, const void *data, size_t length)
{
	void *copy = *at;
	if (length > 0)
		memcpy(copy, data, length);
	*at += length;
	return copy;
}

/* Put the entries, with arrays of their own for their labels, and the groups over them. */
static void
put_entries(char **at, const struct draft_shard *draft, struct shard *shard)
{
	struct entry *entries = put(at, draft->entries, draft->n_entries * sizeof(*entries));
	struct group *groups = put(at, draft->groups, draft->n_groups * sizeof(*groups));
	for (size_t i = 0; i < draft->n_entries; i++)
		entries[i].labels =
			put(at, entries[i].labels, entries[i].n_labels * sizeof(char *));
	for (size_t i = 0; i < draft->n_groups; i++)
		groups[i].entries = entries + (groups[i].entries - draft->entries);
	shard->entries = entries;
	shard->n_entries = draft->n_entries;
	shard->groups = groups;
	shard->n_groups = draft->n_groups;
}

/* Put the conflicts, with messages of their own. */
static void
put_conflicts(char **at, const struct problems *problems, struct shard *shard)
{
	struct problem *copies = put(at, problems->items, problems->count * sizeof(*copies));
	for (size_t i = 0; i < problems->count; i++) {
		const char *message = problems->items[i].message;
		copies[i].message = put(at, message, strlen(message) + 1);
	}
	shard->conflicts = copies;
	shard->n_conflicts = problems->count;
}

static void
put_told(char **at, struct shard *shard)
{
	shard->told = *at;
	for (size_t i = 0; i < shard->n_entries; i++) {
		const struct entry *entry = &shard->entries[i];
		put(at, entry->prompt->digest, DIGEST_BYTES);
		for (size_t k = 0; k < entry->n_labels; k++)
			put(at, entry->labels[k], strlen(entry->labels[k]) + 1);
	}
	shard->told_length = (size_t)(*at - shard->told);
}

struct shard *
shard_new(struct arena *arena, const struct claim *claims, size_t count)
{
	struct draft_shard draft = {.claims = claims, .n_claims = count};
	if (settle(arena, &draft) != 0)
		return NULL;
	struct block *block = malloc(sizeof(*block) + block_bytes(&draft));
	if (block == NULL)
		return NULL;
	struct shard *shard = &block->shard;
	char *at = block->data; /* first what has to be aligned */
	*block = (struct block){.references = 1};
	put_entries(&at, &draft, shard);
	shard->n_claims = count;
	if (has_lost_claims(&draft))
		block->claims = put(&at, claims, count * sizeof(*claims));
	put_conflicts(&at, &draft.problems, shard);
	put_told(&at, shard);
	for (size_t i = 0; i < count; i++)
		unit_ref(claims[i].prompt->unit);
	return shard;
}

const struct shard *
shard_ref(const struct shard *shard)
{
	block_of(shard)->references++;
	return shard;
}

/* A claim's prompt, whether it became an entry or not. */
static const struct prompt *
claimed(const struct block *block, size_t i)
{
	return block->claims != NULL ? block->claims[i].prompt : block->shard.entries[i].prompt;
}

void
shard_unref(const struct shard *shard)
{
	struct block *block = block_of(shard);
	if (--block->references > 0)
		return;
	for (size_t i = 0; i < shard->n_claims; i++)
		unit_unref(claimed(block, i)->unit);
	free(block);
}

const char *
shard_first_id(const struct shard *shard)
{
	return shard->entries->prompt->id;
}

void
shard_copy_claims(const struct shard *shard, struct claim *out)
{
	const struct block *block = block_of(shard);
	if (block->claims != NULL) {
		memcpy(out, block->claims, shard->n_claims * sizeof(*out));
		return;
	}
	for (size_t i = 0; i < shard->n_entries; i++) {
		const struct entry *entry = &shard->entries[i];
		out[i] = (struct claim){entry->prompt, entry->stale, entry->leaving};
	}
}
