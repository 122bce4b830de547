/* sandbox.c -- leaves the process with what it needs to serve, and nothing else. */
#include "server/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "server/git.h"
#include "server/landlock.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/walk.h"

/* A file or directory, and what may be done there. */
struct place {
	int descriptor;
	dev_t device;
	ino_t inode;
	unsigned rights; /* enum landlock_right */
};

struct plan {
	struct arena *arena;
	struct buffer places; /* struct place */
	struct stat top; /* / */
	bool is_fixed; /* something that stands in / is opened itself */
	bool reads_anything;
	int reason; /* why something that is there could not be opened, an errno; 0: all could */

	/* The way that is followed. */
	unsigned rights; /* to what stands on it */
	int last; /* the directory in which the last name was looked up; borrowed */
	const char *name;
};

static bool is_in_force;

static size_t
count_places(const struct plan *plan)
{
	return plan->places.length / sizeof(struct place);
}

static struct place *
place_at(const struct plan *plan, size_t i)
{
	return (struct place *)(void *)plan->places.data + i;
}

/* Whether a place is known, which then has the rights too. */
static bool
add_rights(struct plan *plan, const struct place *place)
{
	for (size_t i = 0; i < count_places(plan); i++) {
		struct place *known = place_at(plan, i);
		if (known->device != place->device || known->inode != place->inode)
			continue;
		known->rights |= place->rights;
		return true;
	}
	return false;
}

/* Note why something was not found: what is there, and is not opened now, would stay closed. */
static void
note_absence(struct plan *plan, int reason)
{
	static const int absences[] = {0, ENOENT, ENOTDIR, EACCES, ELOOP};
	for (size_t i = 0; i < sizeof(absences) / sizeof(absences[0]); i++)
		if (reason == absences[i])
			return;
	plan->reason = reason;
}

/* Open a directory, or for a name what stands there. Returns false where that is /, or cannot be found. */
static bool
open_place(struct plan *plan, int directory, const char *name, unsigned rights)
{
	struct stat stat;
	int descriptor = name != NULL ? openat(directory, name, O_PATH | O_CLOEXEC)
				      : fcntl(directory, F_DUPFD_CLOEXEC, 0);
	bool is_found = descriptor >= 0 && fstat(descriptor, &stat) == 0;
	if (!is_found)
		note_absence(plan, errno);
	if (descriptor < 0)
		return false;
	bool is_top =
		is_found && stat.st_dev == plan->top.st_dev && stat.st_ino == plan->top.st_ino;
	bool is_good = is_found && !is_top;
	struct place place = {descriptor, stat.st_dev, stat.st_ino, rights};
	plan->is_fixed |= is_top;
	if (is_good && !add_rights(plan, &place))
		buffer_put(&plan->places, &place, sizeof(place));
	else
		close(descriptor);
	return is_good;
}

static void
on_hop(void *context, const struct lookup *lookup)
{
	struct plan *plan = context;
	struct stat stat;
	plan->last = lookup->directory;
	plan->name = lookup->name;
	if (fstatat(lookup->directory, lookup->name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
		note_absence(plan, errno);
	else if (S_ISLNK(stat.st_mode))
		open_place(plan, lookup->directory, NULL, plan->rights);
}

static struct walk
begin_way(struct plan *plan, unsigned rights)
{
	plan->rights = rights;
	plan->last = -1;
	return (struct walk){
		.arena = plan->arena, .on_lookup = on_hop, .context = plan, .path = ""};
}

/* Where it does not exist yet, it may come to stand anywhere below what does. */
static void
plan_directory(struct plan *plan, const struct sandbox_terms *terms)
{
	const unsigned rights = MAY_READ | MAY_LIST;
	struct walk walk = begin_way(plan, rights);
	const struct step *found = walk_to(&walk, NULL, terms->directory);
	bool is_open;
	if (found != NULL) {
		if (!open_place(plan, found->descriptor, "..", rights) && plan->last >= 0)
			open_place(plan, plan->last, NULL, rights);
		is_open = open_place(
			plan, found->descriptor, NULL, rights | (terms->writable ? MAY_WRITE : 0));
	} else {
		note_absence(plan, errno);
		is_open = plan->last >= 0 && open_place(plan, plan->last, NULL, rights);
	}
	plan->reads_anything |= !is_open;
	walk_finish(&walk);
}

static void
plan_file(struct plan *plan, const char *path, unsigned rights)
{
	struct walk walk = begin_way(plan, rights);
	if (walk_to(&walk, NULL, path) == NULL)
		note_absence(plan, errno);
	if (plan->last >= 0 && !open_place(plan, plan->last, NULL, rights))
		open_place(plan, plan->last, plan->name, rights);
	walk_finish(&walk);
}

/* A linked work tree has a file ".git", which says where its repository stands. */
static void
on_repository(void *context, const struct lookup *lookup)
{
	struct plan *plan = context;
	struct stat stat;
	if (lookup->kind != LOOKUP_HOP || strcmp(lookup->name, ".git") != 0 ||
		fstatat(lookup->directory, ".git", &stat, 0) != 0 || !S_ISREG(stat.st_mode))
		return;
	open_place(plan, lookup->directory, ".git", MAY_READ);
	open_place(plan, lookup->directory, "..", MAY_READ | MAY_LIST);
}

static void
plan_repository(struct plan *plan, const char *directory)
{
	const struct tree_terms terms = {.on_lookup = on_repository, .context = plan};
	struct error none;
	struct git git;
	struct tree *tree = tree_open(directory, &terms, plan->arena, &none);
	if (tree == NULL) {
		note_absence(plan, errno);
		return;
	}
	git_init(&git);
	git_find(&git, tree, &terms);
	if (git.directory >= 0) {
		int shared = git_open_shared(git.directory);
		open_place(plan, git.directory, NULL, MAY_READ);
		if (shared >= 0) {
			open_place(plan, shared, NULL, MAY_READ);
			close(shared);
		}
	}
	git_finish(&git);
	tree_close(tree);
}

static void
make_plan(struct plan *plan, const struct sandbox_terms *terms)
{
	plan->reads_anything = terms->reads_anything;
	plan_directory(plan, terms);
	for (size_t i = 0; i < SANDBOX_MAX_FILES; i++)
		if (terms->files[i] != NULL)
			plan_file(plan, terms->files[i], MAY_READ);
	if (terms->log != NULL)
		plan_file(plan, terms->log, MAY_ADD);
	plan_repository(plan, terms->directory);
}

/* Returns the version of the rules that are in force, or -1 with an error. */
static int
enforce(const struct plan *plan, struct error *error)
{
	struct landlock landlock;
	int result = landlock_begin(&landlock, plan->reads_anything);
	for (size_t i = 0; result == 0 && i < count_places(plan); i++)
		result = landlock_allow(
			&landlock, place_at(plan, i)->descriptor, place_at(plan, i)->rights);
	if (result == 0)
		result = landlock_enter(&landlock);
	int reason = errno;
	landlock_abandon(&landlock);
	if (result == 0)
		return landlock.abi;
	error_set(error,
		"not confined by Landlock: %s\nuse Linux 5.13 or later, with landlock among its "
		"security modules, or say --sandbox off",
		reason == ENOSYS       ? "this kernel has none"
		: reason == EOPNOTSUPP ? "it was left out at boot"
				       : strerror(reason));
	return -1;
}

/* Where something may be done, for people. */
static void
put_places(const struct plan *plan, unsigned rights, struct buffer *out)
{
	for (size_t i = 0; i < count_places(plan); i++) {
		char link[sizeof("/proc/self/fd/") + 12], path[PATH_MAX];
		const struct place *place = place_at(plan, i);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", place->descriptor);
		ssize_t length = readlink(link, path, sizeof(path));
		if ((place->rights & rights) != 0)
			buffer_printf(out, "%s%.*s", out->length > 0 ? ", " : "",
				length > 0 ? (int)length : 1, length > 0 ? path : "?");
	}
	if (out->length == 0)
		buffer_puts(out, "nothing");
}

/* Each is a wall of its own. Returns -1 with an error where one is missing. */
static int
drop_privileges(struct error *error)
{
	const struct rlimit none = {0, 0};
	int reason = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		reason = errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		reason = errno;
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		reason = errno;
	if (reason == 0)
		return 0;
	error_set(error,
		"not every privilege could be dropped: %s\nuse a kernel that allows prctl(2) and "
		"setrlimit(2), or say --sandbox off",
		strerror(reason));
	return -1;
}

static void
finish_plan(struct plan *plan)
{
	for (size_t i = 0; i < count_places(plan); i++)
		close(place_at(plan, i)->descriptor);
	buffer_finish(&plan->places);
	if (plan->arena != NULL)
		arena_free(plan->arena);
}

int
sandbox_enter(struct sandbox *sandbox, const struct sandbox_terms *terms)
{
	struct plan plan = {.arena = arena_new()};
	int version = -1;
	*sandbox = (struct sandbox){0};
	bool is_dropped = drop_privileges(&sandbox->problem) == 0;
	if (plan.arena == NULL || stat("/", &plan.top) != 0)
		plan.reason = errno;
	else
		make_plan(&plan, terms);
	if (plan.places.failed || (plan.arena != NULL && arena_failed(plan.arena)))
		plan.reason = ENOMEM;
	if (plan.reason != 0)
		error_set(&sandbox->problem, "not confined by Landlock: %s\nstart promptd again",
			strerror(plan.reason));
	else
		version = enforce(&plan, &sandbox->problem);
	is_in_force = version > 0;
	if (is_in_force) {
		sandbox->landlock = version;
		sandbox->is_fixed = plan.is_fixed && !plan.reads_anything;
		put_places(&plan, MAY_WRITE | MAY_ADD, &sandbox->writes);
		if (plan.reads_anything)
			buffer_puts(&sandbox->reads, "anything");
		else
			put_places(&plan, MAY_READ, &sandbox->reads);
	}
	finish_plan(&plan);
	sandbox->is_whole = is_in_force && is_dropped;
	return sandbox->is_whole ? 0 : -1;
}

void
sandbox_tell(const struct sandbox *sandbox)
{
	if (!sandbox->is_whole)
		log_write(LOG_LEVEL_WARN, sandbox->problem.message, LOG_END);
	if (sandbox->landlock == 0)
		return;
	log_write(LOG_LEVEL_INFO, "sandboxed", LOG_NUMBER("landlock", sandbox->landlock),
		LOG_TEXT("reads_below", sandbox->reads.failed ? "?" : sandbox->reads.data),
		LOG_TEXT("writes_below", sandbox->writes.failed ? "?" : sandbox->writes.data),
		LOG_END);
	if (sandbox->is_fixed)
		log_write(LOG_LEVEL_INFO,
			"what stands in / was opened itself: once it is replaced, restart promptd",
			LOG_END);
}

void
sandbox_finish(struct sandbox *sandbox)
{
	buffer_finish(&sandbox->reads);
	buffer_finish(&sandbox->writes);
}

bool
sandbox_denies(const char *path, int mode)
{
	return is_in_force && eaccess(path, mode) == 0;
}
