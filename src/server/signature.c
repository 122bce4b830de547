/* signature.c -- what tells one content of a file from another without reading it. */
#include "server/signature.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fcntl.h>

bool
signature_equal(const struct signature *a, const struct signature *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static int64_t
nanoseconds(struct statx_timestamp time)
{
	return time.tv_sec * 1000000000 + time.tv_nsec;
}

struct signature
signature_of(const struct statx *stat)
{
	return (struct signature){.device = makedev(stat->stx_dev_major, stat->stx_dev_minor),
		.inode = stat->stx_ino,
		.size = (int64_t)stat->stx_size,
		.modified_ns = nanoseconds(stat->stx_mtime),
		.changed_ns = nanoseconds(stat->stx_ctime)};
}

bool
signature_read(int descriptor, const char *name, struct signature *signature)
{
	struct statx stat;
	if (statx(descriptor, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		    STATX_BASIC_STATS, &stat) != 0 ||
		!S_ISREG(stat.stx_mode))
		return false;
	*signature = signature_of(&stat);
	return true;
}
