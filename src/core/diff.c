/* diff.c -- what differs between two snapshots. */
#include "core/diff.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/snapshot.h"
#include "core/unit.h"
#include "core/version.h"

static int
compare_entries(const struct entry *a, const struct entry *b)
{
	if (a->prompt == b->prompt)
		return 0;
	int order = strcmp(a->prompt->id, b->prompt->id);
	return order != 0 ? order : version_compare(a->prompt->version, b->prompt->version);
}

static bool
has_same_labels(const struct entry *a, const struct entry *b)
{
	if (a->n_labels != b->n_labels)
		return false;
	for (size_t i = 0; i < a->n_labels; i++)
		if (strcmp(a->labels[i], b->labels[i]) != 0)
			return false;
	return true;
}

static bool
is_same(const struct entry *a, const struct entry *b)
{
	return (a->prompt == b->prompt ||
		       memcmp(a->prompt->digest, b->prompt->digest, DIGEST_BYTES) == 0) &&
	       has_same_labels(a, b);
}

void
diff_prompts(const struct snapshot *before, const struct snapshot *now, diff_on_prompt *on_prompt,
	void *context)
{
	const struct entry *old = before != NULL ? before->entries : NULL;
	const struct entry *old_end = before != NULL ? old + before->n_prompts : NULL;
	const struct entry *item = now->entries, *item_end = item + now->n_prompts;
	while (old < old_end || item < item_end) {
		int order = old == old_end ? 1 : item == item_end ? -1 : compare_entries(old, item);
		if (order < 0) {
			on_prompt(context, old++, NULL);
		} else if (order > 0) {
			on_prompt(context, NULL, item++);
		} else {
			if (!is_same(old, item))
				on_prompt(context, old, item);
			old++;
			item++;
		}
	}
}
