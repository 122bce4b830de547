/* select.c -- which version of a prompt answers a request. */
#include "core/select.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "core/conflict.h"
#include "core/snapshot.h"
#include "core/tokens.h"
#include "core/unit.h"
#include "core/version.h"

static const struct entry *
find_version(const struct group *group, const char *version)
{
	for (size_t i = 0; i < group->count; i++) {
		const char *own = group->entries[i].prompt->version;
		if (own != NULL && strcmp(own, version) == 0)
			return &group->entries[i];
	}
	return NULL;
}

const struct entry *
select_label(const struct group *group, const char *label)
{
	for (size_t i = 0; i < group->count; i++)
		if (entry_has_label(&group->entries[i], label))
			return &group->entries[i];
	return NULL;
}

/* The version served when nothing is asked, or NULL where no rule says which. */
static const struct entry *
find_default(const struct group *group, const char *const *labels)
{
	bool labelled = false, all_numbers = true;
	assert(group->entries != NULL && group->count > 0);
	const struct entry *last = &group->entries[group->count - 1];
	if (group->count == 1)
		return last;
	for (; *labels != NULL; labels++) {
		const struct entry *entry = select_label(group, *labels);
		if (entry != NULL)
			return entry;
	}
	for (size_t i = 0; i < group->count; i++) {
		labelled |= group->entries[i].n_labels > 0;
		all_numbers &= version_is_number(group->entries[i].prompt->version);
	}
	if (labelled)
		return NULL;
	if (group->entries[0].prompt->version == NULL)
		return &group->entries[0];
	return all_numbers ? last : NULL;
}

static bool
may_be(const char *own, const char *named)
{
	return own == NULL || named == NULL || strcmp(own, named) == 0;
}

enum selection
select_version(
	const struct group *group, const struct selector *selector, const struct entry **entry)
{
	bool asked = true;
	if (selector->version != NULL)
		*entry = find_version(group, selector->version);
	else if (selector->label != NULL)
		*entry = select_label(group, selector->label);
	else if (selector->either != NULL) {
		*entry = find_version(group, selector->either);
		if (*entry == NULL)
			*entry = select_label(group, selector->either);
	} else {
		asked = false;
		*entry = find_default(group, selector->default_labels);
	}
	if (*entry == NULL)
		return asked ? SELECTION_NO_VERSION : SELECTION_NO_DEFAULT;
	const struct prompt *prompt = (*entry)->prompt;
	return may_be(prompt->project, selector->project) && may_be(prompt->slug, selector->slug)
		       ? SELECTION_FOUND
		       : SELECTION_OTHER_OWNER;
}

/* Whether a version of the id that may be seen has the slug and is, or may be, of the project. */
static bool
has_slug(
	const struct group *group, const char *slug, const char *project, const struct token *token)
{
	for (size_t i = 0; i < group->count; i++) {
		const struct prompt *prompt = group->entries[i].prompt;
		if (prompt->slug != NULL && strcmp(prompt->slug, slug) == 0 &&
			may_be(prompt->project, project) && token_may_see(token, prompt->project))
			return true;
	}
	return false;
}

size_t
select_slug(const struct snapshot *snapshot, const char *slug, const char *project,
	const struct token *token, const struct group **group)
{
	size_t low = 0, high = snapshot->n_slugs, found = 0;
	const char *last = NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(snapshot->by_slug[middle].prompt->slug, slug) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < snapshot->n_slugs; low++) {
		const struct prompt *prompt = snapshot->by_slug[low].prompt;
		if (strcmp(prompt->slug, slug) != 0)
			break;
		if (last != NULL && strcmp(last, prompt->id) == 0)
			continue;
		last = prompt->id;
		const struct group *versions = snapshot_find(snapshot, prompt->id);
		if (versions == NULL || !has_slug(versions, slug, project, token))
			continue;
		*group = versions;
		found++;
	}
	return found;
}
