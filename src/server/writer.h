/* writer.h -- puts a new prompt file into the directory, whole or not at all. */
#pragma once

#include <stddef.h>

struct error;

enum writer_result {
	WRITER_CREATED,
	WRITER_EXISTS, /* a file of that name is there; it was not touched */
	WRITER_BLOCKED, /* a file or a link stands where a directory is needed */
	WRITER_DENIED, /* the directory may not be written to */
	WRITER_FULL, /* the disk or a quota is full */
	WRITER_FAILED,
};

/* Create a file below a directory, and the directories on its path: a temporary file, fsync, a rename
 * that replaces nothing (renameat2(2)), fsync of the directory. On failure nothing is left behind; where that
 * cannot be had, the error says so. All but the first two results come with an error. Several servers may write
 * below one directory. Reload thread only. */
enum writer_result writer_create(
	const char *directory, const char *path, const char *data, size_t length, struct error *);

/* Remove the temporary files that a crash has left at and below a directory. Before the reload thread starts. */
void writer_sweep(const char *directory);
