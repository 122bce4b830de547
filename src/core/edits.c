/* edits.c -- the claims by which one snapshot differs from the one before. */
#include "core/edits.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/snapshot.h"
#include "core/unit.h"

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
add_source(struct edits *edits, const struct source *source, bool is_new)
{
	for (size_t i = 0; i < count_prompts(source); i++)
		edits->items[edits->count++] = (struct edit){
			.claim = {.prompt = &source->served->prompts[i],
				  .stale = source->faulty != NULL,
				  .leaving = source->leaving},
			.is_new = is_new,
		};
}

int
edits_gather(struct edits *edits, const struct change *changes, size_t count)
{
	size_t most = 0;
	for (size_t i = 0; i < count; i++)
		most += count_prompts(&changes[i].before) + count_prompts(&changes[i].now);
	*edits = (struct edits){.items = malloc((most + 1) * sizeof(struct edit))};
	if (edits->items == NULL)
		return -1;
	for (size_t i = 0; i < count; i++) {
		add_source(edits, &changes[i].before, false);
		add_source(edits, &changes[i].now, true);
	}
	return 0;
}

void
edits_finish(struct edits *edits)
{
	free(edits->items);
}

void
edits_sort(struct edits *edits)
{
	qsort(edits->items, edits->count, sizeof(*edits->items), compare_edits_by_id);
}

void
edits_sort_by_slug(struct edits *edits)
{
	size_t kept = 0;
	for (size_t i = 0; i < edits->count; i++)
		if (edits->items[i].claim.prompt->slug != NULL)
			edits->items[kept++] = edits->items[i];
	edits->count = kept;
	qsort(edits->items, kept, sizeof(*edits->items), compare_edits_by_slug);
}

size_t
edits_apply(const struct edit *edits, size_t n_edits, const struct claim *old, size_t n_old,
	struct claim *out)
{
	return merge(old, n_old, edits, n_edits, out, conflict_compare);
}

size_t
edits_apply_by_slug(const struct edit *edits, size_t n_edits, const struct claim *old, size_t n_old,
	struct claim *out)
{
	return merge(old, n_old, edits, n_edits, out, compare_slugs);
}
