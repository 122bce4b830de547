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

/* A version of an id, in the order of all. */
struct cursor {
	const struct group *group, *end;
	size_t version;
};

static struct cursor
cursor_of(const struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return (struct cursor){0};
	return (struct cursor){snapshot->groups, snapshot->groups + snapshot->n_groups, 0};
}

static const struct entry *
entry_at(const struct cursor *cursor)
{
	return cursor->group < cursor->end ? &cursor->group->entries[cursor->version] : NULL;
}

static void
step(struct cursor *cursor)
{
	if (++cursor->version < cursor->group->count)
		return;
	cursor->version = 0;
	cursor->group++;
}

/* Go on to where the snapshots do not have the very same versions of an id. */
static void
skip_shared(struct cursor *a, struct cursor *b)
{
	while (a->version == 0 && b->version == 0 && a->group < a->end && b->group < b->end &&
		a->group->entries == b->group->entries) {
		a->group++;
		b->group++;
	}
}

void
diff_prompts(const struct snapshot *before, const struct snapshot *now, diff_on_prompt *on_prompt,
	void *context)
{
	struct cursor was = cursor_of(before), is = cursor_of(now);
	for (;;) {
		skip_shared(&was, &is);
		const struct entry *old = entry_at(&was), *item = entry_at(&is);
		if (old == NULL && item == NULL)
			break;
		int order = old == NULL ? 1 : item == NULL ? -1 : compare_entries(old, item);
		if (order != 0 || !is_same(old, item))
			on_prompt(context, order <= 0 ? old : NULL, order >= 0 ? item : NULL);
		if (order <= 0)
			step(&was);
		if (order >= 0)
			step(&is);
	}
}
