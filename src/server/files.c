/* files.c -- the files that are known, in the order of their paths. */
#include "server/files.h"

#include <stdlib.h>
#include <string.h>

#include "core/unit.h"

struct file *
file_new(const char *path)
{
	size_t size = strlen(path) + 1;
	struct file *file = calloc(1, sizeof(*file) + size);
	if (file != NULL)
		memcpy(file->path, path, size);
	return file;
}

void
file_free(struct file *file)
{
	if (file == NULL)
		return;
	unit_unref(file->source.served);
	unit_unref(file->source.faulty);
	free(file);
}

bool
file_is_gone(const struct file *file)
{
	return file->source.served == NULL && file->source.faulty == NULL && file->seen_ms == 0;
}

const struct signature *
file_signature(const struct file *file)
{
	return file->seen_ms > 0 ? &file->seen : &file->signature;
}

enum file_state
file_state(const struct file *file)
{
	if (file->gone_ms > 0)
		return FILE_LEAVING;
	if (file->seen_ms > 0)
		return FILE_UNSETTLED;
	if (file->source.faulty == NULL)
		return FILE_OK;
	return file->source.served != NULL ? FILE_STALE : FILE_INVALID;
}

void
file_count(const struct file *file, struct file_counts *counts, int by)
{
	if (file_is_gone(file))
		return;
	counts->files[file_state(file)] += (size_t)by;
	counts->mounted += file->is_mounted ? (size_t)by : 0;
}

void
files_finish(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		file_free(files->items[i]);
	free(files->items);
	*files = (struct files){0};
}

static size_t
position(const struct files *files, const char *path)
{
	size_t low = 0, high = files->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(files->items[middle]->path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_at(const struct files *files, size_t at, const char *path)
{
	return at < files->count && strcmp(files->items[at]->path, path) == 0;
}

struct file *
files_find(struct files *files, const char *path)
{
	size_t at = is_at(files, files->next, path) ? files->next : position(files, path);
	if (!is_at(files, at, path))
		return NULL;
	files->next = at + 1;
	return files->items[at];
}

static int
reserve(struct files *files, size_t count)
{
	size_t capacity = files->capacity == 0 ? 16 : files->capacity;
	if (count <= files->capacity)
		return 0;
	while (capacity < count)
		capacity *= 2;
	struct file **items = realloc(files->items, capacity * sizeof(struct file *));
	if (items == NULL)
		return -1;
	files->items = items;
	files->capacity = capacity;
	return 0;
}

int
files_append(struct files *files, struct file *file)
{
	if (reserve(files, files->count + 1) != 0)
		return -1;
	files->items[files->count++] = file;
	return 0;
}

static int
compare_files(const void *a, const void *b)
{
	const struct file *const *x = a, *const *y = b;
	return strcmp((*x)->path, (*y)->path);
}

int
files_merge(struct files *files, struct files *appended)
{
	if (appended->count == 0)
		return 0;
	if (reserve(files, files->count + appended->count) != 0)
		return -1;
	qsort(appended->items, appended->count, sizeof(struct file *), compare_files);
	size_t left = files->count, right = appended->count;
	size_t at = left + right;
	files->count = at;
	while (right > 0) { /* from the end, where there is room */
		struct file *last = appended->items[right - 1];
		if (left > 0 && strcmp(files->items[left - 1]->path, last->path) > 0)
			files->items[--at] = files->items[--left];
		else
			files->items[--at] = appended->items[--right];
	}
	appended->count = 0;
	return 0;
}

void
files_purge(struct files *files)
{
	size_t kept = 0;
	for (size_t i = 0; i < files->count; i++) {
		struct file *file = files->items[i];
		if (!file_is_gone(file) || file->is_changed)
			files->items[kept++] = file;
		else
			file_free(file);
	}
	files->count = kept;
}

int
files_each(const struct files *files, const char *path, files_on_file *on_file, void *context)
{
	size_t length = strlen(path), first = position(files, path);
	if (length > 0 && is_at(files, first, path) && on_file(context, files->items[first]) != 0)
		return -1;
	for (size_t i = first; i < files->count; i++) {
		struct file *file = files->items[i];
		if (strncmp(file->path, path, length) != 0)
			break;
		bool is_below = length == 0 || file->path[length] == '/';
		if (is_below && on_file(context, file) != 0)
			return -1;
	}
	return 0;
}
