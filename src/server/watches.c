/* watches.c -- which directory a watch is of, and what for. */
#include "server/watches.h"

#include <sys/inotify.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/marks.h"

static void
finish_use(struct use *use)
{
	free(use->name);
	free(use->path);
}

static void
finish_watch(struct watch *watch)
{
	for (size_t i = 0; i < watch->count; i++)
		finish_use(&watch->uses[i]);
	free(watch->uses);
}

void
watches_clear(struct watches *watches)
{
	for (size_t i = 0; i < watches->count; i++)
		finish_watch(&watches->items[i]);
	free(watches->items);
	*watches = (struct watches){.look = watches->look};
}

/* Where a watch stands or would stand. */
static size_t
position(const struct watches *watches, int id)
{
	size_t low = 0, high = watches->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (watches->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct watch *
find(const struct watches *watches, int id)
{
	size_t at = position(watches, id);
	return at < watches->count && watches->items[at].id == id ? &watches->items[at] : NULL;
}

const struct watch *
watches_find(const struct watches *watches, int id)
{
	return find(watches, id);
}

static struct watch *
insert(struct watches *watches, int id)
{
	if (watches->count == watches->capacity) {
		size_t capacity = watches->capacity == 0 ? 16 : 2 * watches->capacity;
		struct watch *items = realloc(watches->items, capacity * sizeof(*items));
		if (items == NULL)
			return NULL;
		watches->items = items;
		watches->capacity = capacity;
	}
	size_t at = position(watches, id);
	memmove(watches->items + at + 1, watches->items + at,
		(watches->count - at) * sizeof(*watches->items));
	watches->items[at] = (struct watch){.id = id};
	watches->count++;
	return &watches->items[at];
}

static int
compare_texts(const char *a, const char *b)
{
	return a == NULL || b == NULL ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

/* Where a use stands or would stand, by path and name: very many links may end in one directory. */
static size_t
use_position(const struct watch *watch, const struct lookup *lookup, bool *found)
{
	size_t low = 0, high = watch->count;
	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct use *use = &watch->uses[middle];
		int order = strcmp(use->path, lookup->path);
		if (order == 0)
			order = compare_texts(use->name, lookup->name);
		*found |= order == 0;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
insert_use(struct watch *watch, size_t at, const struct lookup *lookup)
{
	struct use *uses = realloc(watch->uses, (watch->count + 1) * sizeof(*uses));
	if (uses == NULL)
		return -1;
	watch->uses = uses;
	struct use use = {.path = strdup(lookup->path)};
	if (lookup->name != NULL)
		use.name = strdup(lookup->name);
	if (use.path == NULL || (lookup->name != NULL && use.name == NULL)) {
		finish_use(&use);
		return -1;
	}
	memmove(uses + at + 1, uses + at, (watch->count - at) * sizeof(*uses));
	uses[at] = use;
	watch->count++;
	return 0;
}

int
watches_add(struct watches *watches, int id, const struct lookup *lookup)
{
	bool found;
	struct watch *watch = find(watches, id);
	if (watch == NULL)
		watch = insert(watches, id);
	if (watch == NULL)
		return -1;
	size_t at = use_position(watch, lookup, &found);
	if (!found && insert_use(watch, at, lookup) != 0)
		return -1;
	watch->uses[at].kind = lookup->kind;
	watch->uses[at].look = watches->look;
	return 0;
}

void
watches_forget(struct watches *watches, int id)
{
	struct watch *watch = find(watches, id);
	if (watch == NULL)
		return;
	finish_watch(watch);
	watches->count--;
	memmove(watch, watch + 1,
		(size_t)(watches->items + watches->count - watch) * sizeof(*watch));
}

static bool
is_behind(const struct use *use, const char *path)
{
	size_t length = strlen(path);
	if (strncmp(use->path, path, length) != 0)
		return false;
	if (use->path[length] == '\0') /* the way there is still of use */
		return use->kind == LOOKUP_NAMES || use->kind == LOOKUP_FILE;
	return length == 0 || use->path[length] == '/';
}

void
watches_leave(struct watches *watches, const char *path)
{
	for (size_t i = 0; i < watches->count; i++) {
		struct watch *watch = &watches->items[i];
		size_t kept = 0;
		for (size_t k = 0; k < watch->count; k++) {
			if (is_behind(&watch->uses[k], path))
				finish_use(&watch->uses[k]);
			else
				watch->uses[kept++] = watch->uses[k];
		}
		watch->count = kept;
	}
}

void
watches_begin(struct watches *watches)
{
	watches->look++;
}

static bool
was_looked_at(const struct marks *marks, const char *path)
{
	const struct mark *mark = marks_find(marks, path);
	return (mark != NULL && mark->looked) || marks_above(marks, path).looked ||
	       (marks->all && marks->all_looked);
}

static void
forget_unused(struct watch *watch, unsigned look, const struct marks *marks)
{
	size_t kept = 0;
	for (size_t i = 0; i < watch->count; i++) {
		struct use *use = &watch->uses[i];
		if (use->look == look || !was_looked_at(marks, use->path))
			watch->uses[kept++] = *use;
		else
			finish_use(use);
	}
	watch->count = kept;
}

void
watches_end(struct watches *watches, int inotify, const struct marks *marks)
{
	size_t kept = 0;
	for (size_t i = 0; i < watches->count; i++) {
		struct watch *watch = &watches->items[i];
		forget_unused(watch, watches->look, marks);
		if (watch->count > 0) {
			watches->items[kept++] = *watch;
			continue;
		}
		inotify_rm_watch(inotify, watch->id);
		finish_watch(watch);
	}
	watches->count = kept;
}
