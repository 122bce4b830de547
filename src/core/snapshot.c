/* snapshot.c -- a set of units and the index over their prompts. */
#include "core/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/text.h"
#include "core/unit.h"
#include "core/version.h"

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
	struct problem *problems;
	size_t n_problems;
};

/* A label that a prompt's file claims. */
struct claim {
	const char *label;
	struct entry *entry;
};

static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

/* Of two files that claim the same, the one whose path gives the id goes first, then the shorter
 * path, then the bytewise smaller; in one file, the earlier prompt. */
static int
compare_precedence(const struct prompt *a, const struct prompt *b)
{
	if (a->path_gives_id != b->path_gives_id)
		return a->path_gives_id ? -1 : 1;
	size_t length = strlen(a->unit->path), other = strlen(b->unit->path);
	if (length != other)
		return length < other ? -1 : 1;
	int order = strcmp(a->unit->path, b->unit->path);
	if (order != 0)
		return order;
	return a < b ? -1 : a > b; /* both lie in the unit's array, in the file's order */
}

static int
compare_entries(const void *a, const void *b)
{
	const struct prompt *x = ((const struct entry *)a)->prompt;
	const struct prompt *y = ((const struct entry *)b)->prompt;
	int order = strcmp(x->id, y->id);
	if (order == 0)
		order = version_compare(x->version, y->version);
	return order != 0 ? order : compare_precedence(x, y);
}

static int
compare_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int order = strcmp(x->label, y->label);
	return order != 0 ? order : compare_precedence(x->entry->prompt, y->entry->prompt);
}

static int
compare_problems(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	int order = strcmp(x->path, y->path);
	if (order != 0)
		return order;
	return x->line < y->line ? -1 : x->line > y->line;
}

static void
add_problem(struct making *making, const struct prompt *prompt, const char *message)
{
	if (message != NULL)
		making->problems[making->n_problems++] =
			(struct problem){prompt->unit->path, prompt->line, 1, message};
}

/* Of the entries that claim one id and version, keep the first. */
static void
drop_doubles(struct making *making)
{
	struct quote quote;
	size_t kept = 0;
	for (size_t i = 0; i < making->n_entries; i++) {
		const struct prompt *prompt = making->entries[i].prompt;
		const struct prompt *winner = kept > 0 ? making->entries[kept - 1].prompt : NULL;
		if (winner == NULL || strcmp(winner->id, prompt->id) != 0 ||
			version_compare(winner->version, prompt->version) != 0) {
			making->entries[kept++] = making->entries[i];
			continue;
		}
		add_problem(making, prompt,
			arena_printf(making->arena,
				"the prompt %s%s%s is also on line %u of %s, which is served: give "
				"one "
				"of them another version, or delete it",
				text_quote(&quote, prompt->id),
				prompt->version != NULL ? " version " : "",
				prompt->version != NULL ? prompt->version : "", winner->line,
				winner->unit->path));
	}
	making->n_entries = kept;
}

static const struct entry *
find_version(const struct entry *entries, size_t count, const char *version)
{
	for (size_t i = 0; i < count; i++)
		if (compare_texts(entries[i].prompt->version, version) == 0)
			return &entries[i];
	return NULL;
}

/* Give a label to its first claimant; each later one loses it. */
static void
settle_claim(struct making *making, const struct claim *claim, const struct claim *before,
	const struct entry *entries, size_t count)
{
	struct quote quote;
	const struct prompt *prompt = claim->entry->prompt;
	const struct entry *version = find_version(entries, count, claim->label);
	if (version != NULL) {
		add_problem(making, prompt,
			arena_printf(making->arena,
				"the label %s is also a version of this id (in %s) and not in "
				"force: "
				"rename the label",
				text_quote(&quote, claim->label), version->prompt->unit->path));
	} else if (before != NULL && strcmp(before->label, claim->label) == 0) {
		const struct prompt *holder = before->entry->prompt;
		if (holder != prompt)
			add_problem(making, prompt,
				arena_printf(making->arena,
					"the label %s is also on line %u of %s, which holds it: a "
					"label is "
					"on one version",
					text_quote(&quote, claim->label), holder->line,
					holder->unit->path));
	} else {
		const char **labels = (const char **)(uintptr_t)claim->entry->labels;
		labels[claim->entry->n_labels++] = claim->label;
	}
}

/* Settle who holds which label among the versions of one id. */
static int
settle_labels(struct making *making, struct entry *entries, size_t count)
{
	size_t most = 0, n_claims = 0;
	for (size_t i = 0; i < count; i++)
		most += entries[i].prompt->n_labels;
	struct claim *claims = arena_array(making->arena, most, sizeof(*claims));
	if (claims == NULL)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct prompt *prompt = entries[i].prompt;
		entries[i].labels =
			arena_array(making->arena, prompt->n_labels, sizeof(const char *));
		if (entries[i].labels == NULL)
			return -1;
		for (size_t k = 0; k < prompt->n_labels; k++)
			claims[n_claims++] = (struct claim){prompt->labels[k], &entries[i]};
	}
	if (n_claims > 0)
		qsort(claims, n_claims, sizeof(*claims), compare_claims);
	for (size_t i = 0, holder = 0; i < n_claims; i++) {
		if (i == 0 || strcmp(claims[i].label, claims[holder].label) != 0)
			holder = i;
		settle_claim(
			making, &claims[i], holder < i ? &claims[holder] : NULL, entries, count);
	}
	return 0;
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
		if (settle_labels(making, making->entries + i, end - i) != 0)
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
	size_t prompts = 0, labels = 0, faults = 0;
	for (size_t i = 0; i < count; i++) {
		const struct unit *unit = sources[i].served;
		prompts += unit != NULL ? unit->n_prompts : 0;
		for (size_t k = 0; unit != NULL && k < unit->n_prompts; k++)
			labels += unit->prompts[k].n_labels;
		faults += sources[i].faulty != NULL ? sources[i].faulty->n_faults : 0;
	}
	holder->units = arena_array(making->arena, 2 * count, sizeof(struct unit *));
	making->entries = arena_array(making->arena, prompts, sizeof(*making->entries));
	making->problems =
		arena_array(making->arena, prompts + labels + faults, sizeof(*making->problems));
	return holder->units == NULL || making->entries == NULL || making->problems == NULL ? -1
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
		making->entries[making->n_entries++] =
			(struct entry){.prompt = &served->prompts[i], .stale = faulty != NULL};
	if (faulty != NULL)
		holder->units[holder->n_units++] = unit_ref(faulty);
	for (size_t i = 0; faulty != NULL && i < faulty->n_faults; i++) {
		const struct fault *fault = &faulty->faults[i];
		if (!fault->warning)
			making->problems[making->n_problems++] = (struct problem){
				faulty->path, fault->line, fault->column, fault->message};
	}
}

static int
make(struct making *making, const struct source *sources, size_t count)
{
	struct snapshot *snapshot = &making->holder->snapshot;
	if (gather(making, sources, count) != 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		add_source(making, &sources[i]);
	if (making->n_entries > 0)
		qsort(making->entries, making->n_entries, sizeof(*making->entries),
			compare_entries);
	drop_doubles(making);
	if (make_groups(making) != 0 || make_slugs(making) != 0 || make_revision(making) != 0)
		return -1;
	if (making->n_problems > 0)
		qsort(making->problems, making->n_problems, sizeof(*making->problems),
			compare_problems);
	snapshot->problems = making->problems;
	snapshot->n_problems = making->n_problems;
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

void
problem_format(const struct problem *problem, struct buffer *out)
{
	buffer_puts(out, problem->path);
	if (problem->line > 0)
		buffer_printf(out, ":%u:%u", problem->line, problem->column);
	buffer_puts(out, ": ");
	buffer_puts(out, problem->message);
}

bool
entry_has_label(const struct entry *entry, const char *label)
{
	for (size_t i = 0; i < entry->n_labels; i++)
		if (strcmp(entry->labels[i], label) == 0)
			return true;
	return false;
}
