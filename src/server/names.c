/* names.c -- the names that stand in a directory. */
#include "server/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/name.h"

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static DIR *
open_directory(int directory)
{
	int descriptor = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = descriptor < 0 ? NULL : fdopendir(descriptor);
	if (names == NULL && descriptor >= 0) {
		int reason = errno;
		close(descriptor);
		errno = reason;
	}
	return names;
}

/* Read all names, each with its NUL. */
static int
read_all(DIR *directory, struct names *names)
{
	while (!names->text.failed) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (entry == NULL)
			return errno;
		if (name_is_ignored(entry->d_name))
			continue;
		buffer_put(&names->text, entry->d_name, strlen(entry->d_name) + 1);
		names->count++;
	}
	return -1;
}

int
names_read(struct names *names, int directory)
{
	*names = (struct names){0};
	DIR *open = open_directory(directory);
	if (open == NULL)
		return errno;
	int result = read_all(open, names);
	closedir(open);
	names->items = result >= 0 ? calloc(names->count + 1, sizeof(*names->items)) : NULL;
	if (names->items == NULL) {
		names->count = 0;
		return -1;
	}
	const char *name = names->text.data;
	for (size_t i = 0; i < names->count; i++, name += strlen(name) + 1)
		names->items[i] = name;
	qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return result;
}

void
names_finish(struct names *names)
{
	free(names->items);
	buffer_finish(&names->text);
}
