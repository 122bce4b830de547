/* snapshot.c -- a set of units and the index over their prompts. */
#include "core/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/conflict.h"
#include "core/digest.h"
#include "core/meter.h"
#include "core/problem.h"
#include "core/unit.h"
#include "core/version.h"

/* The snapshot with what only its making and freeing need. */
struct holder {
	struct snapshot snapshot;
	struct arena *arena;
	const struct claim *claims; /* in their order; each with a reference to its unit */
	size_t n_claims;
	const struct unit **faulty; /* with a reference each */
	size_t n_faulty;
};

struct making {
	struct holder *holder;
	struct arena *arena;
	struct digest *digest;
	const struct holder *base; /* or NULL */
	const struct change *changes;
	size_t n_changes;
	struct problems problems;
	size_t n_known_problems; /* without conflicts */
};

/* A claim to put in, or to take out. */
struct edit {
	struct claim claim;
	bool is_new;
};

typedef int compare_claims(const void *, const void *);

static int
compare_slugs(const void *a, const void *b)
{
	const struct prompt *x = ((const struct claim *)a)->prompt;
	const struct prompt *y = ((const struct claim *)b)->prompt;
	int order = strcmp(x->slug, y->slug);
	if (order == 0)
		order = strcmp(x->id, y->id);
	return order != 0 ? order : (uintptr_t)x < (uintptr_t)y ? -1 : x != y;
}

/* Both orders of claims are total, so that only a claim that moves out and in again is its own equal:
 * out goes first. */
static int
compare_edits(const struct edit *a, const struct edit *b, compare_claims *compare)
{
	int order = compare(&a->claim, &b->claim);
	return order != 0 ? order : a->is_new - b->is_new;
}

static int
compare_edits_by_id(const void *a, const void *b)
{
	return compare_edits(a, b, conflict_compare);
}

static int
compare_edits_by_slug(const void *a, const void *b)
{
	return compare_edits(a, b, compare_slugs);
}

/* Where a claim stands or would stand in sorted ones, from a place on. */
static size_t
claim_position(const struct claim *claims, size_t from, size_t count, const struct claim *claim,
	compare_claims *compare)
{
	size_t low = from, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare(&claims[middle], claim) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Apply sorted edits to sorted claims. Returns how many claims there are then. */
static size_t
merge(const struct claim *old, size_t n_old, const struct edit *edits, size_t n_edits,
	struct claim *out, compare_claims *compare)
{
	size_t at = 0, count = 0;
	for (const struct edit *edit = edits; edit < edits + n_edits; edit++) {
		size_t next = claim_position(old, at, n_old, &edit->claim, compare);
		if (next > at)
			memcpy(out + count, old + at, (next - at) * sizeof(*out));
		count += next - at;
		at = next;
		if (edit->is_new) {
			out[count++] = edit->claim;
			continue;
		}
		assert(at < n_old && old[at].prompt == edit->claim.prompt);
		at++;
	}
	if (n_old > at)
		memcpy(out + count, old + at, (n_old - at) * sizeof(*out));
	return count + n_old - at;
}

static size_t
count_prompts(const struct source *source)
{
	return source->served != NULL ? source->served->n_prompts : 0;
}

static void
add_edits(struct edit *edits, size_t *count, const struct source *source, bool is_new)
{
	for (size_t i = 0; i < count_prompts(source); i++)
		edits[(*count)++] = (struct edit){
			.claim = {.prompt = &source->served->prompts[i],
				  .stale = source->faulty != NULL,
				  .leaving = source->leaving},
			.is_new = is_new,
		};
}

/* Take those without a slug out of edits. */
static size_t
keep_slugs(struct edit *edits, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (edits[i].claim.prompt->slug != NULL)
			edits[kept++] = edits[i];
	return kept;
}

/* Let new prompts count on where the old ones of their id and version are. */
static void
set_meters(const struct making *making, const struct edit *edits, size_t n_edits)
{
	const struct holder *base = making->base;
	for (const struct edit *edit = edits; edit < edits + n_edits; edit++) {
		struct prompt *prompt = (struct prompt *)(uintptr_t)edit->claim.prompt;
		if (!edit->is_new || prompt->meter != NULL)
			continue;
		const struct entry *old = base != NULL ? snapshot_find_version(&base->snapshot,
								 prompt->id, prompt->version)
						       : NULL;
		prompt->meter = old != NULL ? meter_ref(old->prompt->meter) : meter_new();
	}
}

/* Bring both orders of claims up to date. */
static int
make_claims(struct making *making)
{
	struct holder *holder = making->holder;
	size_t most = 0, n_edits = 0;
	size_t n_old = making->base != NULL ? making->base->n_claims : 0;
	size_t n_old_slugs = making->base != NULL ? making->base->snapshot.n_slugs : 0;
	for (size_t i = 0; i < making->n_changes; i++)
		most += count_prompts(&making->changes[i].before) +
			count_prompts(&making->changes[i].now);
	struct edit *edits = malloc((most + 1) * sizeof(*edits));
	struct claim *claims = arena_array(making->arena, n_old + most, sizeof(*claims));
	struct claim *slugs = arena_array(making->arena, n_old_slugs + most, sizeof(*slugs));
	if (edits == NULL || claims == NULL || slugs == NULL) {
		free(edits);
		return -1;
	}
	for (size_t i = 0; i < making->n_changes; i++) {
		add_edits(edits, &n_edits, &making->changes[i].before, false);
		add_edits(edits, &n_edits, &making->changes[i].now, true);
	}
	qsort(edits, n_edits, sizeof(*edits), compare_edits_by_id);
	holder->n_claims = merge(n_old > 0 ? making->base->claims : NULL, n_old, edits, n_edits,
		claims, conflict_compare);
	for (size_t i = 0; i < holder->n_claims; i++)
		unit_ref(claims[i].prompt->unit);
	holder->claims = claims;
	set_meters(making, edits, n_edits);
	n_edits = keep_slugs(edits, n_edits);
	qsort(edits, n_edits, sizeof(*edits), compare_edits_by_slug);
	holder->snapshot.n_slugs = merge(n_old_slugs > 0 ? making->base->snapshot.by_slug : NULL,
		n_old_slugs, edits, n_edits, slugs, compare_slugs);
	holder->snapshot.by_slug = slugs;
	free(edits);
	return 0;
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

/* Gather the sorted entries into the versions of each id. */
static int
make_groups(struct making *making, struct entry *entries)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	size_t count = snapshot->n_prompts;
	struct group *groups = arena_array(making->arena, count, sizeof(*groups));
	if (groups == NULL)
		return -1;
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count; end++)
			if (strcmp(entries[end].prompt->id, entries[i].prompt->id) != 0)
				break;
		if (conflict_settle_labels(
			    making->arena, entries + i, end - i, &making->problems) != 0)
			return -1;
		groups[snapshot->n_groups++] = (struct group){entries + i, end - i};
	}
	snapshot->groups = groups;
	return 0;
}

/* The same prompts give the same revision, however they are spread over files. */
static int
make_revision(struct making *making)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	unsigned char digest[DIGEST_BYTES];
	char etag[ETAG_BYTES];
	for (size_t i = 0; i < snapshot->n_prompts; i++) {
		const struct entry *entry = &snapshot->entries[i];
		digest_add(making->digest, entry->prompt->digest, DIGEST_BYTES);
		for (size_t k = 0; k < entry->n_labels; k++)
			digest_add(making->digest, entry->labels[k], strlen(entry->labels[k]) + 1);
	}
	if (digest_take(making->digest, digest) != 0)
		return -1;
	digest_etag(digest, etag);
	memcpy(snapshot->revision, etag + 1, 32);
	return 0;
}

/* Make room for a problem of each prompt and label, and put those that are known. */
static int
begin_problems(struct making *making, const struct circumstances *circumstances)
{
	const struct holder *holder = making->holder;
	size_t most = circumstances->n_problems;
	for (size_t i = 0; i < holder->n_claims; i++)
		most += 1 + holder->claims[i].prompt->n_labels;
	for (size_t i = 0; i < holder->n_faulty; i++)
		most += holder->faulty[i]->n_problems;
	struct problem *items = arena_array(making->arena, most, sizeof(*items));
	if (items == NULL)
		return -1;
	making->problems.items = items;
	for (size_t i = 0; i < circumstances->n_problems; i++) {
		struct problem problem = circumstances->problems[i];
		problem.path = arena_copy(making->arena, problem.path, strlen(problem.path));
		problem.message =
			arena_copy(making->arena, problem.message, strlen(problem.message));
		items[making->problems.count++] = problem;
	}
	for (size_t i = 0; i < holder->n_faulty; i++)
		for (size_t k = 0; k < holder->faulty[i]->n_problems; k++)
			if (holder->faulty[i]->problems[k].kind != ERROR_WARNING)
				items[making->problems.count++] = holder->faulty[i]->problems[k];
	making->n_known_problems = making->problems.count;
	return arena_failed(making->arena) ? -1 : 0;
}

static int
make(struct making *making, const struct circumstances *circumstances)
{
	const char *commit = circumstances->source_revision;
	struct holder *holder = making->holder;
	struct snapshot *snapshot = &holder->snapshot;
	if (make_claims(making) != 0 || make_faulty(making) != 0 ||
		begin_problems(making, circumstances) != 0)
		return -1;
	struct entry *entries = arena_array(making->arena, holder->n_claims, sizeof(*entries));
	if (entries == NULL)
		return -1;
	snapshot->entries = entries;
	snapshot->n_prompts = conflict_settle_versions(
		making->arena, holder->claims, holder->n_claims, entries, &making->problems);
	if (make_groups(making, entries) != 0 || make_revision(making) != 0)
		return -1;
	if (making->problems.count > 0)
		qsort(making->problems.items, making->problems.count, sizeof(struct problem),
			problem_compare);
	snapshot->problems = making->problems.items;
	snapshot->n_problems = making->problems.count;
	snapshot->n_conflicts = snapshot->n_problems - making->n_known_problems;
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
		.digest = digest,
		.base = (const struct holder *)(const void *)base,
		.changes = changes,
		.n_changes = count,
	};
	if (holder->arena != NULL &&
		make(&making, circumstances != NULL ? circumstances : &none) == 0)
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
	for (size_t i = 0; i < holder->n_claims; i++)
		unit_unref(holder->claims[i].prompt->unit);
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
