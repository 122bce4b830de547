/* snapshot.c -- a set of units and the index over their prompts. */
#include "core/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/conflict.h"
#include "core/digest.h"
#include "core/problem.h"
#include "core/unit.h"

/* The snapshot with what only its making and freeing need. */
struct holder {
	struct snapshot snapshot;
	struct arena *arena;
	const struct unit **units;
	size_t n_units;
};

struct making {
	struct holder *holder;
	struct arena *arena;
	struct digest *digest;
	struct entry *entries;
	size_t n_entries;
	struct problems problems;
};

static int
compare_problems(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	int order = strcmp(x->path, y->path);
	if (order != 0)
		return order;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* Gather the sorted entries into the versions of each id. */
static int
make_groups(struct making *making)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	struct group *groups = arena_array(making->arena, making->n_entries, sizeof(*groups));
	if (groups == NULL)
		return -1;
	for (size_t i = 0, end; i < making->n_entries; i = end) {
		for (end = i + 1; end < making->n_entries; end++)
			if (strcmp(making->entries[end].prompt->id,
				    making->entries[i].prompt->id) != 0)
				break;
		if (conflict_settle_labels(
			    making->arena, making->entries + i, end - i, &making->problems) != 0)
			return -1;
		groups[snapshot->n_groups++] = (struct group){making->entries + i, end - i};
	}
	snapshot->groups = groups;
	snapshot->n_prompts = making->n_entries;
	return 0;
}

/* An id under one of its slugs. */
struct slug {
	const char *slug;
	const struct group *group;
};

static int
compare_slugs(const void *a, const void *b)
{
	const struct slug *x = a, *y = b;
	int order = strcmp(x->slug, y->slug);
	if (order != 0)
		return order;
	return x->group < y->group ? -1 : x->group > y->group;
}

static int
make_slugs(struct making *making)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	size_t count = 0;
	struct slug *all = arena_array(making->arena, making->n_entries, sizeof(*all));
	const char **slugs = arena_array(making->arena, making->n_entries, sizeof(*slugs));
	const struct group **groups =
		arena_array(making->arena, making->n_entries, sizeof(const struct group *));
	if (all == NULL || slugs == NULL || groups == NULL)
		return -1;
	for (size_t i = 0; i < snapshot->n_groups; i++) {
		const struct group *group = &snapshot->groups[i];
		for (size_t k = 0; k < group->count; k++)
			if (group->entries[k].prompt->slug != NULL)
				all[count++] = (struct slug){group->entries[k].prompt->slug, group};
	}
	if (count > 0)
		qsort(all, count, sizeof(*all), compare_slugs);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && compare_slugs(&all[i - 1], &all[i]) == 0)
			continue;
		slugs[snapshot->n_slugs] = all[i].slug;
		groups[snapshot->n_slugs++] = all[i].group;
	}
	snapshot->slugs = slugs;
	snapshot->by_slug = groups;
	return 0;
}

/* The same prompts give the same revision, however they are spread over files. */
static int
make_revision(struct making *making)
{
	unsigned char digest[DIGEST_BYTES];
	char etag[ETAG_BYTES];
	for (size_t i = 0; i < making->n_entries; i++) {
		const struct entry *entry = &making->entries[i];
		digest_add(making->digest, entry->prompt->digest, DIGEST_BYTES);
		for (size_t k = 0; k < entry->n_labels; k++)
			digest_add(making->digest, entry->labels[k], strlen(entry->labels[k]) + 1);
	}
	if (digest_take(making->digest, digest) != 0)
		return -1;
	digest_etag(digest, etag);
	memcpy(making->holder->snapshot.revision, etag + 1, 32);
	return 0;
}

/* Keep references to all units and list their prompts and errors. */
static int
gather(struct making *making, const struct source *sources, size_t count)
{
	struct holder *holder = making->holder;
	size_t prompts = 0, labels = 0, problems = 0;
	for (size_t i = 0; i < count; i++) {
		const struct unit *unit = sources[i].served;
		prompts += unit != NULL ? unit->n_prompts : 0;
		for (size_t k = 0; unit != NULL && k < unit->n_prompts; k++)
			labels += unit->prompts[k].n_labels;
		problems += sources[i].faulty != NULL ? sources[i].faulty->n_problems : 0;
	}
	holder->units = arena_array(making->arena, 2 * count, sizeof(struct unit *));
	making->entries = arena_array(making->arena, prompts, sizeof(*making->entries));
	making->problems.items =
		arena_array(making->arena, prompts + labels + problems, sizeof(struct problem));
	return holder->units == NULL || making->entries == NULL || making->problems.items == NULL
		       ? -1
		       : 0;
}

static void
add_source(struct making *making, const struct source *source)
{
	struct holder *holder = making->holder;
	const struct unit *served = source->served, *faulty = source->faulty;
	if (served != NULL)
		holder->units[holder->n_units++] = unit_ref(served);
	for (size_t i = 0; served != NULL && i < served->n_prompts; i++)
		making->entries[making->n_entries++] = (struct entry){.prompt = &served->prompts[i],
			.stale = faulty != NULL,
			.leaving = source->leaving};
	if (faulty != NULL)
		holder->units[holder->n_units++] = unit_ref(faulty);
	for (size_t i = 0; faulty != NULL && i < faulty->n_problems; i++)
		if (!faulty->problems[i].warning)
			making->problems.items[making->problems.count++] = faulty->problems[i];
}

static int
make(struct making *making, const struct source *sources, size_t count)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	if (gather(making, sources, count) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		add_source(making, &sources[i]);
	making->n_entries = conflict_settle_versions(
		making->arena, making->entries, making->n_entries, &making->problems);
	if (make_groups(making) != 0 || make_slugs(making) != 0 || make_revision(making) != 0)
		return -1;
	if (making->problems.count > 0)
		qsort(making->problems.items, making->problems.count, sizeof(struct problem),
			compare_problems);
	snapshot->problems = making->problems.items;
	snapshot->n_problems = making->problems.count;
	return arena_failed(making->arena) ? -1 : 0;
}

struct snapshot *
snapshot_new(const struct source *sources, size_t count, struct digest *digest)
{
	struct holder *holder = calloc(1, sizeof(*holder));
	if (holder == NULL)
		return NULL;
	holder->arena = arena_new();
	struct making making = {.holder = holder, .arena = holder->arena, .digest = digest};
	if (holder->arena != NULL && make(&making, sources, count) == 0)
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
	for (size_t i = 0; i < holder->n_units; i++)
		unit_unref(holder->units[i]);
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

bool
entry_has_label(const struct entry *entry, const char *label)
{
	for (size_t i = 0; i < entry->n_labels; i++)
		if (strcmp(entry->labels[i], label) == 0)
			return true;
	return false;
}
