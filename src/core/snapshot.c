/* snapshot.c -- a set of units and the index over their prompts. */
#include "core/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/conflict.h"
#include "core/digest.h"
#include "core/edits.h"
#include "core/meter.h"
#include "core/problem.h"
#include "core/shard.h"
#include "core/unit.h"
#include "core/version.h"

/* The snapshot with what only its making and freeing need. */
struct holder {
	struct snapshot snapshot;
	struct arena *arena;
	struct buffer shards; /* of const struct shard *, with a reference each; by id */
	const struct unit **faulty; /* with a reference each */
	size_t n_faulty;
};

struct making {
	struct holder *holder;
	struct arena *arena, *scratch; /* the latter: of one shard */
	struct digest *digest;
	const struct holder *base; /* or NULL */
	const struct change *changes;
	size_t n_changes;
};

enum {
	MOST_CLAIMS = 128, /* of a shard, unless they are of one id; … */
	SPLIT_CLAIMS = 64, /* … in what more are split into */
};

/* Let new prompts count on where the old ones of their id and version are. */
static void
set_meters(const struct making *making, const struct edits *edits)
{
	const struct holder *base = making->base;
	for (size_t i = 0; i < edits->count; i++) {
		const struct edit *edit = &edits->items[i];
		struct prompt *prompt = (struct prompt *)(uintptr_t)edit->claim.prompt;
		if (!edit->is_new || prompt->meter != NULL)
			continue;
		const struct entry *old = base != NULL ? snapshot_find_version(&base->snapshot,
								 prompt->id, prompt->version)
						       : NULL;
		prompt->meter = old != NULL ? meter_ref(old->prompt->meter) : meter_new();
	}
}

static const struct shard *const *
shards_of(const struct holder *holder, size_t *count)
{
	const struct shard *const *shards = (const void *)holder->shards.data;
	*count = holder->shards.length / sizeof(struct shard *);
	return shards;
}

/* Put a shard behind the others; takes the reference. */
static int
add_shard(struct making *making, const struct shard *shard)
{
	if (shard == NULL)
		return -1;
	buffer_put(&making->holder->shards, &shard, sizeof(struct shard *));
	if (!making->holder->shards.failed)
		return 0;
	shard_unref(shard);
	return -1;
}

/* How many claims of many become the next shard: all of an id stay together. */
static size_t
next_split(const struct claim *claims, size_t count)
{
	size_t size = count > MOST_CLAIMS ? SPLIT_CLAIMS : count;
	while (size < count && strcmp(claims[size].prompt->id, claims[size - 1].prompt->id) == 0)
		size++;
	return size;
}

/* Put shards of the claims that edits leave of an old one, which may be NULL. */
static int
add_edited(struct making *making, const struct shard *old, const struct edit *edits, size_t n_edits)
{
	size_t n_old = old != NULL ? old->n_claims : 0, size;
	struct claim *claims = malloc((2 * n_old + n_edits + 1) * sizeof(*claims));
	struct claim *merged = claims + n_old;
	int result = 0;
	if (claims == NULL)
		return -1;
	if (old != NULL)
		shard_copy_claims(old, claims);
	size_t count = edits_apply(edits, n_edits, claims, n_old, merged);
	for (size_t at = 0; at < count && result == 0; at += size) {
		size = next_split(merged + at, count - at);
		arena_reset(making->scratch);
		result = add_shard(making, shard_new(making->scratch, merged + at, size));
	}
	free(claims);
	return result;
}

/* The shard in which an id stands, or would, from a place on. */
static size_t
shard_position(const struct shard *const *shards, size_t from, size_t count, const char *id)
{
	size_t low = from, high = count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(shard_first_id(shards[middle]), id) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* How many of the edits go to the first of some shards. */
static size_t
count_own(const struct shard *const *shards, size_t n_shards, const struct edit *edits,
	size_t n_edits)
{
	size_t count = n_shards > 1 ? 0 : n_edits;
	while (count < n_edits &&
		strcmp(edits[count].claim.prompt->id, shard_first_id(shards[1])) < 0)
		count++;
	return count;
}

/* Take the base's shards, but for those that the sorted edits go to: these are made anew. */
static int
make_shards(struct making *making, const struct edit *edits, size_t n_edits)
{
	size_t n_old = 0, at = 0;
	const struct shard *const *old =
		making->base != NULL ? shards_of(making->base, &n_old) : NULL;
	int result = n_old == 0 ? add_edited(making, NULL, edits, n_edits) : 0;
	while (at < n_old && result == 0) {
		size_t next = n_edits > 0 ? shard_position(old, at, n_old, edits->claim.prompt->id)
					  : n_old;
		for (; at < next && result == 0; at++)
			result = add_shard(making, shard_ref(old[at]));
		if (at == n_old || result != 0)
			break;
		size_t own = count_own(old + at, n_old - at, edits, n_edits);
		result = add_edited(making, old[at++], edits, own);
		edits += own;
		n_edits -= own;
	}
	return result;
}

/* Bring the order by slug up to date; takes the edits out of theirs. */
static int
make_slugs(struct making *making, struct edits *edits)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	const struct snapshot *base = making->base != NULL ? &making->base->snapshot : NULL;
	size_t n_old = base != NULL ? base->n_slugs : 0;
	edits_sort_by_slug(edits);
	struct claim *slugs = arena_array(making->arena, n_old + edits->count, sizeof(*slugs));
	if (slugs == NULL)
		return -1;
	snapshot->n_slugs = edits_apply_by_slug(
		edits->items, edits->count, n_old > 0 ? base->by_slug : NULL, n_old, slugs);
	snapshot->by_slug = slugs;
	return 0;
}

/* Bring both orders of claims up to date. */
static int
make_claims(struct making *making)
{
	struct edits edits;
	if (edits_gather(&edits, making->changes, making->n_changes) != 0)
		return -1;
	edits_sort(&edits);
	set_meters(making, &edits);
	int result = make_shards(making, edits.items, edits.count);
	if (result == 0)
		result = make_slugs(making, &edits);
	edits_finish(&edits);
	return result;
}

static int
compare_units(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (const struct unit *const *)a;
	uintptr_t y = (uintptr_t) * (const struct unit *const *)b;
	return x < y ? -1 : x > y;
}

/* List the units whose files are not good now. */
static int
make_faulty(struct making *making)
{
	struct holder *holder = making->holder;
	size_t n_old = making->base != NULL ? making->base->n_faulty : 0, n_gone = 0;
	const struct unit **gone =
		arena_array(making->arena, making->n_changes, sizeof(struct unit *));
	holder->faulty =
		arena_array(making->arena, n_old + making->n_changes, sizeof(struct unit *));
	if (gone == NULL || holder->faulty == NULL)
		return -1;
	for (size_t i = 0; i < making->n_changes; i++)
		if (making->changes[i].before.faulty != NULL)
			gone[n_gone++] = making->changes[i].before.faulty;
	if (n_gone > 0)
		qsort(gone, n_gone, sizeof(const struct unit *), compare_units);
	for (size_t i = 0; i < n_old; i++) {
		const struct unit *unit = making->base->faulty[i];
		if (n_gone == 0 || bsearch(&unit, gone, n_gone, sizeof(const struct unit *),
					   compare_units) == NULL)
			holder->faulty[holder->n_faulty++] = unit_ref(unit);
	}
	for (size_t i = 0; i < making->n_changes; i++)
		if (making->changes[i].now.faulty != NULL)
			holder->faulty[holder->n_faulty++] =
				unit_ref(making->changes[i].now.faulty);
	return 0;
}

/* List the groups of all shards. */
static int
make_groups(struct making *making)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	size_t n_shards, count = 0;
	const struct shard *const *shards = shards_of(making->holder, &n_shards);
	for (size_t i = 0; i < n_shards; i++) {
		count += shards[i]->n_groups;
		snapshot->n_prompts += shards[i]->n_entries;
		snapshot->n_conflicts += shards[i]->n_conflicts;
	}
	struct group *groups = arena_array(making->arena, count, sizeof(*groups));
	if (groups == NULL)
		return -1;
	snapshot->groups = groups;
	snapshot->n_groups = count;
	for (size_t i = 0; i < n_shards; i++) {
		memcpy(groups, shards[i]->groups, shards[i]->n_groups * sizeof(*groups));
		groups += shards[i]->n_groups;
	}
	return 0;
}

/* The same prompts give the same revision, however they are spread over files. */
static void
make_revision(struct making *making)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	unsigned char digest[DIGEST_BYTES];
	char etag[ETAG_BYTES];
	size_t n_shards;
	const struct shard *const *shards = shards_of(making->holder, &n_shards);
	for (size_t i = 0; i < n_shards; i++)
		digest_add(making->digest, shards[i]->told, shards[i]->told_length);
	digest_take(making->digest, digest);
	digest_etag(digest, etag);
	memcpy(snapshot->revision, etag + 1, 32);
}

/* Put copies of what is told beside the files. */
static size_t
put_circumstances(
	struct making *making, const struct circumstances *circumstances, struct problem *items)
{
	for (size_t i = 0; i < circumstances->n_problems; i++) {
		struct problem problem = circumstances->problems[i];
		problem.path = arena_copy(making->arena, problem.path, strlen(problem.path));
		problem.message =
			arena_copy(making->arena, problem.message, strlen(problem.message));
		items[i] = problem;
	}
	return circumstances->n_problems;
}

/* List what is told beside the files, what is wrong with them, and what conflicts. */
static int
make_problems(struct making *making, const struct circumstances *circumstances)
{
	const struct holder *holder = making->holder;
	struct snapshot *snapshot = &making->holder->snapshot;
	size_t n_shards, most = circumstances->n_problems + snapshot->n_conflicts;
	const struct shard *const *shards = shards_of(holder, &n_shards);
	for (size_t i = 0; i < holder->n_faulty; i++)
		most += holder->faulty[i]->n_problems;
	struct problem *items = arena_array(making->arena, most, sizeof(*items));
	if (items == NULL)
		return -1;
	size_t count = put_circumstances(making, circumstances, items);
	for (size_t i = 0; i < holder->n_faulty; i++)
		for (size_t k = 0; k < holder->faulty[i]->n_problems; k++)
			if (holder->faulty[i]->problems[k].kind != ERROR_WARNING)
				items[count++] = holder->faulty[i]->problems[k];
	for (size_t i = 0; i < n_shards; i++)
		for (size_t k = 0; k < shards[i]->n_conflicts; k++)
			items[count++] = shards[i]->conflicts[k];
	if (count > 0)
		qsort(items, count, sizeof(*items), problem_compare);
	snapshot->problems = items;
	snapshot->n_problems = count;
	return 0;
}

static int
make(struct making *making, const struct circumstances *circumstances)
{
	const char *commit = circumstances->source_revision;
	struct snapshot *snapshot = &making->holder->snapshot;
	if (make_claims(making) != 0 || make_faulty(making) != 0 || make_groups(making) != 0 ||
		make_problems(making, circumstances) != 0)
		return -1;
	make_revision(making);
	if (commit != NULL)
		snapshot->source_revision = arena_copy(making->arena, commit, strlen(commit));
	return arena_failed(making->arena) ? -1 : 0;
}

struct snapshot *
snapshot_new(const struct snapshot *base, const struct change *changes, size_t count,
	const struct circumstances *circumstances, struct digest *digest)
{
	static const struct circumstances none;
	struct holder *holder = calloc(1, sizeof(*holder));
	if (holder == NULL)
		return NULL;
	holder->arena = arena_new();
	struct making making = {
		.holder = holder,
		.arena = holder->arena,
		.scratch = arena_new(),
		.digest = digest,
		.base = (const struct holder *)(const void *)base,
		.changes = changes,
		.n_changes = count,
	};
	bool made = holder->arena != NULL && making.scratch != NULL &&
		    make(&making, circumstances != NULL ? circumstances : &none) == 0;
	arena_free(making.scratch);
	if (made)
		return &holder->snapshot;
	snapshot_free(&holder->snapshot);
	return NULL;
}

void
snapshot_free(struct snapshot *snapshot)
{
	struct holder *holder = (struct holder *)(void *)snapshot;
	if (holder == NULL)
		return;
	size_t n_shards;
	const struct shard *const *shards = shards_of(holder, &n_shards);
	for (size_t i = 0; i < n_shards; i++)
		shard_unref(shards[i]);
	buffer_finish(&holder->shards);
	for (size_t i = 0; i < holder->n_faulty; i++)
		unit_unref(holder->faulty[i]);
	arena_free(holder->arena);
	free(holder);
}

size_t
snapshot_position(const struct snapshot *snapshot, const char *id)
{
	size_t low = 0, high = snapshot->n_groups;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(snapshot->groups[middle].entries->prompt->id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct group *
snapshot_find(const struct snapshot *snapshot, const char *id)
{
	size_t at = snapshot_position(snapshot, id);
	if (at == snapshot->n_groups || strcmp(snapshot->groups[at].entries->prompt->id, id) != 0)
		return NULL;
	return &snapshot->groups[at];
}

const struct entry *
snapshot_find_version(const struct snapshot *snapshot, const char *id, const char *version)
{
	const struct group *group = snapshot_find(snapshot, id);
	size_t low = 0, high = group != NULL ? group->count : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = version_compare(group->entries[middle].prompt->version, version);
		if (order == 0)
			return &group->entries[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool
entry_has_label(const struct entry *entry, const char *label)
{
	for (size_t i = 0; i < entry->n_labels; i++)
		if (strcmp(entry->labels[i], label) == 0)
			return true;
	return false;
}
