/* writer.c -- puts a new prompt file into the directory, whole or not at all. */
#include "server/writer.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/name.h"
#include "server/log.h"
#include "server/sandbox.h"
#include "server/tree.h"

enum { MAX_ATTEMPTS = 3 };

struct write {
	const char *path;
	const char *data;
	size_t length;
	bool stays; /* it failed, and the file could not be removed again */
};

/* The loader ignores it, as the name starts with a dot. Each has a name of its own: other servers write into the
 * same directories. */
struct temporary {
	char name[sizeof(".promptd-0123456789abcdef.tmp")];
	ino_t inode;
};

static int
choose_name(struct temporary *temporary)
{
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -1;
	snprintf(temporary->name, sizeof(temporary->name), ".promptd-%016" PRIx64 ".tmp", number);
	return 0;
}

static bool
is_temporary(const char *name)
{
	static const char prefix[] = ".promptd-";
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return false;
	name += strlen(prefix);
	return strspn(name, "0123456789abcdef") == 16 && strcmp(name + 16, ".tmp") == 0;
}

static enum writer_result
result_of(int reason, const struct write *write, struct error *error)
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
	error_set(error, "cannot write \"%s\": %s%s", write->path, strerror(reason),
		write->stays ? "; the file cannot be removed again, and a crash may lose it" : "");
	for (size_t i = 0; !write->stays && i < sizeof(results) / sizeof(results[0]); i++)
		if (results[i].reason == reason)
			return results[i].result;
	return WRITER_FAILED;
}

/* Open a directory, except one whose files are what its link "..data" leads to: a file put beside that is not
 * served. */
static int
open_directory(int at, const char *path, int flags)
{
	int directory = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	if (directory < 0 || faccessat(directory, tree_pin_name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return directory;
	close(directory);
	errno = EROFS;
	return -1;
}

/* Returns 0, or an errno, which is final: a second fsync would succeed without writing anything. Some file
 * systems, such as SMB, know no fsync of directories. */
static int
sync_directory(int directory)
{
	return fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
}

/* Returns 0, or an errno. */
static int
write_all(int descriptor, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(descriptor, data, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written < 0 ? errno : EIO;
		data += written;
		length -= (size_t)written;
	}
	return 0;
}

/* Write the temporary file through to the disk. Returns 0, or an errno. */
static int
write_temporary(const struct write *write, int directory, struct temporary *temporary)
{
	struct stat stat;
	if (choose_name(temporary) != 0)
		return errno;
	int descriptor = openat(directory, temporary->name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (descriptor < 0)
		return errno;
	int reason = write_all(descriptor, write->data, write->length);
	if (reason == 0 && (fstat(descriptor, &stat) != 0 || fsync(descriptor) != 0))
		reason = errno;
	if (close(descriptor) != 0 && reason == 0)
		reason = errno;
	temporary->inode = reason == 0 ? stat.st_ino : 0;
	return reason;
}

/* Give the temporary file its name, or that name too, but never another file's. Returns 0, or an errno. */
static int
put_in_place(int directory, const struct temporary *temporary, const char *name)
{
	if (renameat2(directory, temporary->name, directory, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return errno;
	/* NFS, 9p and some FUSE file systems cannot do that; but a link replaces nothing either. */
	if (linkat(directory, temporary->name, directory, name, 0) == 0)
		return 0;
	return errno == EPERM ? EOPNOTSUPP : errno;
}

/* Remove a file that may not be on the disk, unless another one has taken its name. Returns whether it is gone. */
static bool
take_back(int directory, const struct temporary *temporary, const char *name)
{
	struct stat stat;
	if (fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT;
	return stat.st_ino != temporary->inode || unlinkat(directory, name, 0) == 0;
}

/* Returns 0, or an errno; ENOENT where the temporary file was removed meanwhile. */
static int
try_file(struct write *write, int directory, const char *name)
{
	struct temporary temporary = {0};
	int reason = write_temporary(write, directory, &temporary);
	if (reason == 0)
		reason = put_in_place(directory, &temporary, name);
	unlinkat(directory, temporary.name, 0); /* not there after a rename */
	if (reason != 0)
		return reason;
	reason = sync_directory(directory);
	write->stays = reason != 0 && !take_back(directory, &temporary, name);
	return reason;
}

/* Create a file. A server that starts takes every temporary file for a stale one: then it is written anew. */
static int
create_file(struct write *write, int directory, const char *name)
{
	int reason = ENOENT;
	for (int i = 0; reason == ENOENT && i < MAX_ATTEMPTS; i++)
		reason = try_file(write, directory, name);
	return reason;
}

/* Create a file below a directory. Returns 0, or an errno; the directories that were made are removed then. Links
 * are not followed: one could lead out of the prompt directory. */
static int
create(struct write *write, int directory, const char *path)
{
	char name[NAME_MAX + 1];
	const char *slash = strchr(path, '/');
	if (slash == NULL)
		return create_file(write, directory, path);
	if (slash - path > NAME_MAX)
		return ENAMETOOLONG;
	snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
	bool is_new = mkdirat(directory, name, 0777) == 0;
	if (!is_new && errno != EEXIST)
		return errno;
	/* Also where it was there: who made it may have crashed before. */
	int reason = sync_directory(directory);
	int below = reason == 0 ? open_directory(directory, name, O_NOFOLLOW) : -1;
	if (reason == 0)
		reason = below >= 0 ? create(write, below, slash + 1) : errno;
	if (below >= 0)
		close(below);
	if (reason != 0 && is_new)
		unlinkat(directory, name, AT_REMOVEDIR);
	return reason;
}

enum writer_result
writer_create(const char *directory, const char *path, const char *data, size_t length,
	struct error *error)
{
	struct write write = {.path = path, .data = data, .length = length};
	int root = open_directory(AT_FDCWD, directory, 0);
	if (root < 0)
		return result_of(errno, &write, error);
	int reason = create(&write, root, path);
	close(root);
	if (reason == 0)
		return WRITER_CREATED;
	enum writer_result result = result_of(reason, &write, error);
	if (reason == EACCES && sandbox_denies(directory, W_OK))
		error_set(error,
			"cannot write \"%s\": another directory has taken the place of the one "
			"that "
			"promptd may write to\nrestart promptd",
			path);
	return result;
}

static bool
remove_stale(int directory, const char *name)
{
	struct stat stat;
	return fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(stat.st_mode) &&
	       unlinkat(directory, name, 0) == 0;
}

/* Sweep a directory, which is closed, and those in it that are written into. Returns how many files were
 * removed. */
static size_t
sweep(int directory, unsigned level)
{
	size_t removed = 0;
	DIR *names = directory >= 0 ? fdopendir(directory) : NULL;
	if (names == NULL) {
		if (directory >= 0)
			close(directory);
		return 0;
	}
	for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
		const char *name = entry->d_name;
		bool may_lead_down = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
		if (is_temporary(name))
			removed += remove_stale(directory, name);
		else if (may_lead_down && level < TREE_MAX_LEVELS && !name_is_ignored(name))
			removed += sweep(open_directory(directory, name, O_NOFOLLOW), level + 1);
	}
	closedir(names);
	return removed;
}

void
writer_sweep(const char *directory)
{
	size_t removed = sweep(open_directory(AT_FDCWD, directory, 0), 0);
	if (removed > 0)
		log_write(LOG_LEVEL_INFO, "removed temporary files that a crash has left",
			LOG_NUMBER("files", removed), LOG_END);
}
