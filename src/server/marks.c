/* marks.c -- what was seen to happen since the last look, by path. */
#include "server/marks.h"

#include <limits.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MARKS = 65536 };

static int
compare_marks(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static void
free_mark(struct mark *mark)
{
	free(mark->path);
	free(mark);
}

static void
leave_mark(void *mark)
{
	(void)mark;
}

void
marks_clear(struct marks *marks)
{
	tdestroy(marks->by_path, leave_mark);
	for (struct mark *mark = marks->first, *next; mark != NULL; mark = next) {
		next = mark->next;
		free_mark(mark);
	}
	*marks = (struct marks){0};
}

struct mark *
marks_find(const struct marks *marks, const char *path)
{
	const struct mark key = {.path = (char *)(uintptr_t)path};
	struct mark **found = tfind(&key, &marks->by_path, compare_marks);
	return found != NULL ? *found : NULL;
}

static struct mark *
add_mark(struct marks *marks, const char *path)
{
	struct mark *mark = calloc(1, sizeof(*mark));
	if (mark == NULL)
		return NULL;
	mark->path = strdup(path);
	if (mark->path == NULL || tsearch(mark, &marks->by_path, compare_marks) == NULL) {
		free_mark(mark);
		return NULL;
	}
	mark->next = marks->first;
	marks->first = mark;
	marks->count++;
	return mark;
}

void
marks_all(struct marks *marks)
{
	marks->all = marks->all_fresh = true;
}

void
marks_lose(struct marks *marks)
{
	for (struct mark *mark = marks->first; mark != NULL; mark = mark->next) {
		mark->own = mark->target = (struct sighting){0};
		mark->transacted = false;
		mark->events++;
	}
	marks_all(marks);
}

struct mark *
marks_make(struct marks *marks, const char *path)
{
	struct mark *mark = marks_find(marks, path);
	if (mark == NULL && marks->count < MAX_MARKS)
		mark = add_mark(marks, path);
	if (mark == NULL)
		marks_all(marks);
	return mark;
}

/* The rest of a path below a directory, with its slash; NULL where it is not below. */
static const char *
rest_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	return strncmp(path, directory, length) == 0 && path[length] == '/' ? path + length : NULL;
}

void
marks_forget_below(struct marks *marks, const char *path)
{
	for (struct mark *mark = marks->first; mark != NULL; mark = mark->next)
		if (rest_below(mark->path, path) != NULL)
			mark->own = mark->target = (struct sighting){0};
}

void
marks_move_writers(struct marks *marks, const char *from, const char *to)
{
	char path[PATH_MAX];
	for (const struct mark *mark = marks->first; mark != NULL; mark = mark->next) {
		const char *rest = rest_below(mark->path, from);
		if (rest == NULL || mark->own.evidence != EVIDENCE_WRITING ||
			(size_t)snprintf(path, sizeof(path), "%s%s", to, rest) >= sizeof(path))
			continue;
		struct mark *moved = marks_make(marks, path);
		if (moved == NULL)
			continue;
		moved->own = mark->own;
		moved->fresh = true;
	}
}

int64_t
mark_written_ms(const struct mark *mark)
{
	int64_t own = mark->own.evidence == EVIDENCE_WRITING ? mark->own.at_ms : 0;
	int64_t target = mark->target.evidence == EVIDENCE_WRITING ? mark->target.at_ms : 0;
	return own > target ? own : target;
}

static void
join(struct mark_above *above, const struct mark *mark)
{
	above->marked = true;
	above->looked |= mark->looked;
	above->transacted |= mark->transacted;
}

struct mark_above
marks_above(const struct marks *marks, const char *path)
{
	char above[PATH_MAX];
	struct mark_above result = {
		.marked = marks->all, .looked = marks->all && marks->all_looked};
	size_t length = strlen(path);
	while (marks->count > 0 && length > 0 && length < sizeof(above)) {
		while (length > 0 && path[length - 1] != '/')
			length--;
		length -= length > 0;
		memcpy(above, path, length);
		above[length] = '\0';
		const struct mark *mark = marks_find(marks, above);
		if (mark != NULL)
			join(&result, mark);
	}
	return result;
}

bool
marks_has_all(const struct marks *marks)
{
	return marks->all || marks_find(marks, "") != NULL;
}

int
marks_each_place(const struct marks *marks, marks_on_place *on_place, void *context)
{
	if (marks_has_all(marks))
		return on_place(context, "");
	for (const struct mark *mark = marks->first; mark != NULL; mark = mark->next)
		if (mark->looked && !marks_above(marks, mark->path).looked &&
			on_place(context, mark->path) != 0)
			return -1;
	return 0;
}

void
marks_begin_look(struct marks *marks)
{
	marks->all_looked = marks->all;
	marks->all_fresh = false;
	for (struct mark *mark = marks->first; mark != NULL; mark = mark->next) {
		mark->looked = true;
		mark->fresh = mark->keep = false;
	}
}

void
marks_forget_looked(struct marks *marks)
{
	marks->all &= marks->all_fresh;
	for (struct mark **at = &marks->first; *at != NULL;) {
		struct mark *mark = *at;
		if (mark->fresh || mark->keep || mark_written_ms(mark) > 0) {
			at = &mark->next;
			continue;
		}
		*at = mark->next;
		tdelete(mark, &marks->by_path, compare_marks);
		free_mark(mark);
		marks->count--;
	}
}
