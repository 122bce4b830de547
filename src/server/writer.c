/* writer.c -- puts a new prompt file into the directory, whole or not at all. */
#include "server/writer.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

/* Ignored by the loader: the name starts with a dot. One writer thread needs only one name. */
static const char temporary_name[] = ".promptd-new.tmp";

static enum writer_result
result_of(int reason, const char *what, const char *path, struct error *error)
{
	if (reason == EEXIST)
		return WRITER_EXISTS;
	error_set(error, "cannot %s \"%s\": %s", what, path, strerror(reason));
	return reason == ENOSPC || reason == EDQUOT ? WRITER_FULL : WRITER_FAILED;
}

/* Open the directory of one more segment, making it where it is not there. Links are not followed:
 * one could lead out of the prompt directory. */
static int
enter(int parent, const char *name)
{
	if (mkdirat(parent, name, 0777) == 0) {
		if (fsync(parent) != 0)
			return -1;
	} else if (errno != EEXIST) {
		return -1;
	}
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Open the directory that a path's last segment stands in; *name is that segment. */
static int
open_parent(const char *directory, const char *path, const char **name)
{
	char segment[NAME_MAX + 1];
	int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *slash; parent >= 0 && (slash = strchr(path, '/')) != NULL;) {
		size_t length = (size_t)(slash - path);
		int next = -1;
		if (length <= NAME_MAX) {
			memcpy(segment, path, length);
			segment[length] = '\0';
			next = enter(parent, segment);
		} else {
			errno = ENAMETOOLONG;
		}
		int reason = errno;
		close(parent);
		errno = reason;
		parent = next;
		path = slash + 1;
	}
	*name = path;
	return parent;
}

static bool
write_all(int descriptor, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(descriptor, data, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		length -= (size_t)written;
	}
	return true;
}

/* Write the temporary file through to the disk. Returns 0, or an errno; a failed fsync is final. */
static int
write_temporary(int parent, const char *data, size_t length)
{
	unlinkat(parent, temporary_name, 0); /* left by a crash */
	int descriptor = openat(
		parent, temporary_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (descriptor < 0)
		return errno;
	int reason = write_all(descriptor, data, length) && fsync(descriptor) == 0 ? 0 : errno;
	if (close(descriptor) != 0 && reason == 0)
		reason = errno;
	return reason;
}

enum writer_result
writer_create(const char *directory, const char *path, const char *data, size_t length,
	struct error *error)
{
	const char *name;
	int parent = open_parent(directory, path, &name);
	if (parent < 0)
		return result_of(errno, "make the directory of", path, error);
	int reason = write_temporary(parent, data, length);
	if (reason == 0 && renameat2(parent, temporary_name, parent, name, RENAME_NOREPLACE) != 0)
		reason = errno;
	if (reason != 0)
		unlinkat(parent, temporary_name, 0);
	else if (fsync(parent) != 0)
		reason = errno;
	close(parent);
	return reason == 0 ? WRITER_CREATED : result_of(reason, "write", path, error);
}
