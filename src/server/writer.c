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
#include "server/sandbox.h"
#include "server/tree.h"

/* Ignored by the loader: the name starts with a dot. One writer thread needs only one name. */
static const char temporary_name[] = ".promptd-new.tmp";

static enum writer_result
result_of(int reason, const char *path, struct error *error)
{
	static const struct {
		int reason;
		enum writer_result result;
	} results[] = {
		{EEXIST,  WRITER_EXISTS },
		{ENOTDIR, WRITER_BLOCKED},
		{ELOOP,   WRITER_BLOCKED},
		{EACCES,  WRITER_DENIED },
		{EPERM,   WRITER_DENIED },
		{EROFS,   WRITER_DENIED },
		{ENOSPC,  WRITER_FULL   },
		{EDQUOT,  WRITER_FULL   },
	};
	error_set(error, "cannot write \"%s\": %s", path, strerror(reason));
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		if (results[i].reason == reason)
			return results[i].result;
	return WRITER_FAILED;
}

/* Close a directory whose files are what its link "..data" leads to: one put beside that is not served. */
static int
refuse_pinned(int directory)
{
	if (faccessat(directory, tree_pin_name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return directory;
	close(directory);
	errno = EROFS;
	return -1;
}

/* Open the directory of one more segment, making it where it is not there. Links are not followed:
 * one could lead out of the prompt directory. */
static int
enter(int parent, const char *name, size_t *made)
{
	bool is_new = mkdirat(parent, name, 0777) == 0;
	if (!is_new && errno != EEXIST)
		return -1;
	*made += is_new;
	if (is_new && fsync(parent) != 0)
		return -1;
	int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return directory >= 0 ? refuse_pinned(directory) : -1;
}

/* Open the directory that a path's last segment stands in; *name is that segment, *made how many
 * directories are new. */
static int
open_parent(int root, const char *path, const char **name, size_t *made)
{
	char segment[NAME_MAX + 1];
	int parent = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0)
		parent = refuse_pinned(parent);
	for (const char *slash; parent >= 0 && (slash = strchr(path, '/')) != NULL;) {
		int length = snprintf(segment, sizeof(segment), "%.*s", (int)(slash - path), path);
		int next = -1;
		if (length <= NAME_MAX)
			next = enter(parent, segment, made);
		else
			errno = ENAMETOOLONG;
		int reason = errno;
		close(parent);
		errno = reason;
		parent = next;
		path = slash + 1;
	}
	*name = path;
	return parent;
}

/* Remove the directories that were made for a path, the innermost first. */
static void
remove_made(int root, const char *path, size_t made)
{
	char prefix[PATH_MAX];
	snprintf(prefix, sizeof(prefix), "%s", path);
	for (char *slash; made > 0 && (slash = strrchr(prefix, '/')) != NULL;) {
		*slash = '\0';
		if (unlinkat(root, prefix, AT_REMOVEDIR) == 0)
			made--;
	}
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

/* Write and rename in place below the root. Returns 0, or an errno. */
static int
create(int root, const char *path, const char *data, size_t length, size_t *made)
{
	const char *name;
	int parent = open_parent(root, path, &name, made);
	if (parent < 0)
		return errno;
	int reason = write_temporary(parent, data, length);
	if (reason == 0 && renameat2(parent, temporary_name, parent, name, RENAME_NOREPLACE) != 0)
		reason = errno;
	if (reason != 0)
		unlinkat(parent, temporary_name, 0);
	else if (fsync(parent) != 0)
		reason = errno;
	close(parent);
	return reason;
}

enum writer_result
writer_create(const char *directory, const char *path, const char *data, size_t length,
	struct error *error)
{
	size_t made = 0;
	int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return result_of(errno, path, error);
	int reason = create(root, path, data, length, &made);
	if (reason != 0)
		remove_made(root, path, made);
	close(root);
	if (reason == 0)
		return WRITER_CREATED;
	enum writer_result result = result_of(reason, path, error);
	if (reason == EACCES && sandbox_denies(directory, W_OK))
		error_set(error,
			"cannot write \"%s\": another directory has taken the place of the one "
			"that "
			"promptd may write to\nrestart promptd",
			path);
	return result;
}
