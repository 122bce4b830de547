/* walk.c -- follows a path name by name, and tells each directory in which it looks one up. */
#include "server/walk.h"

#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"

enum { MAX_LINKS = 40 }; /* as in the kernel: path_resolution(7) */

static int
keep_open(struct walk *walk, int descriptor)
{
	if (descriptor < 0)
		return -1;
	buffer_put(&walk->opened, &descriptor, sizeof(descriptor));
	if (!walk->opened.failed)
		return descriptor;
	close(descriptor);
	errno = ENOMEM;
	return -1;
}

void
walk_finish(struct walk *walk)
{
	for (size_t at = 0; at < walk->opened.length; at += sizeof(int)) {
		int descriptor;
		memcpy(&descriptor, walk->opened.data + at, sizeof(descriptor));
		close(descriptor);
	}
	buffer_finish(&walk->opened);
}

/* A step for an open directory. */
static const struct step *
add_step(struct walk *walk, const struct step *above, int descriptor)
{
	struct statx stat;
	struct step *step = arena_alloc(walk->arena, sizeof(*step));
	if (step == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	if (statx(descriptor, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat) != 0)
		return NULL;
	*step = (struct step){
		.above = above,
		.path = walk->path,
		.descriptor = descriptor,
		.device = makedev(stat.stx_dev_major, stat.stx_dev_minor),
		.inode = stat.stx_ino,
	};
	walk->end = stat;
	return step;
}

static const struct step *
open_step(struct walk *walk, const struct step *above, int at, const char *name)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int descriptor = keep_open(walk, openat(at, name, flags));
	return descriptor < 0 ? NULL : add_step(walk, above, descriptor);
}

static const struct step *
step_up(struct walk *walk, const struct step *step)
{
	return step->above != NULL ? step->above : open_step(walk, NULL, step->descriptor, "..");
}

static void
tell(struct walk *walk, enum lookup_kind kind, const struct step *step, const char *name)
{
	walk->on_lookup(walk->context, &(struct lookup){kind, step->descriptor, name, walk->path});
}

/* What is left to follow once a link was met; NULL with errno. */
static const char *
through_link(struct walk *walk, const struct step *step, const char *name, const char *rest)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(step->descriptor, name, target, sizeof(target) - 1);
	if (length < 0)
		return NULL;
	target[length] = '\0';
	if (++walk->links > MAX_LINKS) {
		errno = ELOOP;
		return NULL;
	}
	walk->link_target = arena_copy(walk->arena, target, (size_t)length);
	const char *whole = arena_printf(walk->arena, "%s/%s", target, rest);
	if (whole == NULL || walk->link_target == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	return whole;
}

/* Look a name up, and go on to it where it is a directory. *rest is what is to be followed behind it,
 * and is another text when it was a link. Returns the step on which to go on; NULL at the end. */
static const struct step *
take_name(struct walk *walk, const struct step *step, const char *name, const char **rest)
{
	tell(walk, LOOKUP_HOP, step, name);
	if (statx(step->descriptor, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		    &walk->end) != 0)
		return NULL;
	walk->parent = step;
	walk->name = name;
	if (S_ISDIR(walk->end.stx_mode))
		return open_step(walk, step, step->descriptor, name);
	if (S_ISLNK(walk->end.stx_mode)) {
		const char *whole = through_link(walk, step, name, *rest);
		if (whole == NULL)
			return NULL;
		*rest = whole;
		return *whole == '/' ? open_step(walk, NULL, AT_FDCWD, "/") : step;
	}
	bool is_end = (*rest)[strspn(*rest, "/")] == '\0';
	if (is_end)
		tell(walk, LOOKUP_FILE, step, name);
	errno = is_end ? 0 : ENOTDIR;
	return NULL;
}

const struct step *
walk_to(struct walk *walk, const struct step *step, const char *path)
{
	if (step == NULL)
		step = open_step(walk, NULL, AT_FDCWD, *path == '/' ? "/" : ".");
	while (step != NULL) {
		path += strspn(path, "/");
		size_t length = strcspn(path, "/");
		if (length == 0)
			break;
		const char *name = arena_copy(walk->arena, path, length);
		path += length;
		if (name == NULL) {
			errno = ENOMEM;
			return NULL;
		}
		if (strcmp(name, "..") == 0)
			step = step_up(walk, step);
		else if (strcmp(name, ".") != 0)
			step = take_name(walk, step, name, &path);
	}
	return step;
}

bool
step_is_below(const struct step *step, const struct step *other)
{
	for (; step != NULL; step = step->above)
		if (step->device == other->device && step->inode == other->inode)
			return true;
	return false;
}
