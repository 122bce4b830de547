/* writer.h -- puts a new prompt file into the directory, whole or not at all. */
#pragma once

#include <stddef.h>

struct error;

enum writer_result {
	WRITER_CREATED,
	WRITER_EXISTS, /* a file of that name is there; it was not touched */
	WRITER_FULL, /* the disk or a quota is full */
	WRITER_FAILED, /* with an error */
};

/* Create a file below a directory, and the directories on its path: a temporary file, fsync, a rename
 * that replaces nothing (renameat2(2)), fsync of the directory. Reload thread only. */
enum writer_result writer_create(
	const char *directory, const char *path, const char *data, size_t length, struct error *);
