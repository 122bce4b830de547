/* tree.c -- what files there are, and what is in them. */
#include "server/tree.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/name.h"
#include "core/text.h"

struct tree {
	int root;
};

/* A directory on the way down, to notice links that lead back up. */
struct step {
	const struct step *above;
	const char *path; /* "" for the root */
	int descriptor;
	uint64_t device, inode;
	unsigned level;
	bool linked; /* at or below a link */
};

struct scan {
	struct tree *tree;
	struct arena *arena;
	tree_on_directory *on_directory;
	void *context;
	struct buffer files; /* of struct tree_file */
};

static int scan_directory(
	struct scan *, const struct step *above, const char *path, int descriptor, bool linked);

bool
signature_equal(const struct signature *a, const struct signature *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static int64_t
nanoseconds(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static struct signature
signature_of(const struct stat *stat)
{
	return (struct signature){.device = stat->st_dev,
		.inode = stat->st_ino,
		.size = stat->st_size,
		.modified_ns = nanoseconds(stat->st_mtim),
		.changed_ns = nanoseconds(stat->st_ctim)};
}

/* Open a path below the root, through links as long as they stay below it (openat2(2)). */
static int
open_beneath(const struct tree *tree, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, tree->root, path, &how, sizeof(how));
}

struct tree *
tree_open(const char *path, struct error *error)
{
	struct tree *tree = malloc(sizeof(*tree));
	if (tree == NULL) {
		error_set(error, "out of memory");
		return NULL;
	}
	tree->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->root >= 0)
		return tree;
	error_set(error, "cannot open the prompt directory \"%s\": %s: see promptd --help", path,
		strerror(errno));
	free(tree);
	return NULL;
}

void
tree_close(struct tree *tree)
{
	if (tree == NULL)
		return;
	close(tree->root);
	free(tree);
}

static void
add_file(struct scan *scan, struct tree_file file)
{
	buffer_put(&scan->files, &file, sizeof(file));
}

static void
add_problem(struct scan *scan, const char *path, bool is_directory, const char *problem)
{
	const char *copy = arena_copy(scan->arena, problem, strlen(problem));
	add_file(scan,
		(struct tree_file){.path = path, .problem = copy, .is_directory = is_directory});
}

static bool
leads_back(const struct step *step, const struct stat *stat)
{
	for (; step != NULL; step = step->above)
		if (step->device == stat->st_dev && step->inode == stat->st_ino)
			return true;
	return false;
}

/* Links are followed one deep: below a linked directory further ones could multiply without end. */
static int
enter_directory(struct scan *scan, const struct step *above, const char *name, const char *path,
	const struct stat *stat, bool is_link)
{
	if (above->level + 1 > TREE_MAX_LEVELS) {
		add_problem(scan, path, true, "more than 16 levels of directories");
		return 0;
	}
	if (is_link && above->linked) {
		add_problem(scan, path, true,
			"a link to a directory below another: only one is followed");
		return 0;
	}
	if (leads_back(above, stat)) {
		add_problem(scan, path, true, "the link leads back to a directory above it");
		return 0;
	}
	int descriptor =
		openat(above->descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (descriptor < 0 && (errno == ELOOP || errno == ENOTDIR))
		descriptor = open_beneath(scan->tree, path, O_RDONLY | O_DIRECTORY);
	if (descriptor >= 0)
		return scan_directory(scan, above, path, descriptor, is_link || above->linked);
	if (errno != ENOENT) /* gone meanwhile: the next scan sees it */
		add_problem(scan, path, true, strerror(errno));
	return 0;
}

/* Look through a link. Returns whether there is something below the root at its end. */
static bool
follow_link(struct scan *scan, const struct step *above, const char *name, const char *path,
	struct stat *stat)
{
	int descriptor = open_beneath(scan->tree, path, O_PATH);
	if (descriptor >= 0) {
		bool found = fstat(descriptor, stat) == 0;
		close(descriptor);
		return found;
	}
	int reason = errno;
	bool matters = name_is_prompt_file(name) ||
		       (fstatat(above->descriptor, name, stat, 0) == 0 && S_ISDIR(stat->st_mode));
	if (!matters || reason == ENOENT) /* a link to nothing is nothing */
		return false;
	add_problem(scan, path, !name_is_prompt_file(name),
		reason == EXDEV ? "the link leads out of the prompt directory" : strerror(reason));
	return false;
}

/* A path that can be shown, with the bytes that are not UTF-8 replaced. */
static const char *
clean_path(struct arena *arena, const char *path)
{
	char *copy = arena_copy(arena, path, strlen(path));
	for (char *at = copy; at != NULL && *at != '\0'; at++) {
		at += text_utf8_span(at, strlen(at));
		if (*at == '\0')
			break;
		*at = '?';
	}
	return copy != NULL ? copy : "";
}

/* The rest of a directory cannot be seen: its files are hidden, not gone. */
enum { HIDDEN = 1 };

static int
scan_name(struct scan *scan, const struct step *above, const char *name)
{
	struct stat stat;
	if (name_is_ignored(name))
		return 0;
	const char *path = *above->path == '\0'
				   ? arena_copy(scan->arena, name, strlen(name))
				   : arena_printf(scan->arena, "%s/%s", above->path, name);
	if (path == NULL)
		return -1;
	if (text_utf8_span(name, strlen(name)) != strlen(name)) {
		if (name_is_prompt_file(name))
			add_problem(scan, clean_path(scan->arena, path), false,
				"the name is not UTF-8: rename the file");
		return 0;
	}
	if (fstatat(above->descriptor, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT) /* gone meanwhile */
			return 0;
		add_problem(scan, above->path, true, strerror(errno));
		return HIDDEN;
	}
	bool is_link = S_ISLNK(stat.st_mode);
	if (is_link && !follow_link(scan, above, name, path, &stat))
		return 0;
	if (S_ISDIR(stat.st_mode))
		return enter_directory(scan, above, name, path, &stat, is_link);
	if (!name_is_prompt_file(name))
		return 0;
	if (S_ISREG(stat.st_mode))
		add_file(scan, (struct tree_file){.path = path, .signature = signature_of(&stat)});
	else
		add_problem(scan, path, false, "not a regular file");
	return 0;
}

static int
scan_names(struct scan *scan, const struct step *step, DIR *names)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(names);
		if (entry == NULL) {
			if (errno != 0)
				add_problem(scan, step->path, true, strerror(errno));
			return 0;
		}
		int result = scan_name(scan, step, entry->d_name);
		if (result != 0)
			return result == HIDDEN ? 0 : -1;
	}
}

/* List a directory and all below it; takes the descriptor. */
static int
scan_directory(
	struct scan *scan, const struct step *above, const char *path, int descriptor, bool linked)
{
	struct stat stat;
	scan->on_directory(scan->context, descriptor, path);
	DIR *names = fdopendir(descriptor);
	if (names == NULL || fstat(descriptor, &stat) != 0) {
		add_problem(scan, path, true, strerror(errno));
		if (names != NULL)
			closedir(names);
		else
			close(descriptor);
		return 0;
	}
	struct step step = {above, path, descriptor, stat.st_dev, stat.st_ino,
		above != NULL ? above->level + 1 : 0, linked};
	int result = scan_names(scan, &step, names);
	closedir(names);
	return result;
}

static int
compare_files(const void *a, const void *b)
{
	const struct tree_file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

/* The listing could not begin: the first thing in it is the root's own problem. */
static bool
root_failed(const struct tree_list *list)
{
	return list->count > 0 && list->files[0].is_directory && *list->files[0].path == '\0';
}

int
tree_scan(struct tree *tree, struct arena *arena, tree_on_directory *on_directory, void *context,
	struct tree_list *list, struct error *error)
{
	struct scan scan = {
		.tree = tree, .arena = arena, .on_directory = on_directory, .context = context};
	int root = openat(tree->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		error_set(error, "cannot read the prompt directory: %s", strerror(errno));
		return -1;
	}
	int result = scan_directory(&scan, NULL, "", root, false);
	list->count = scan.files.length / sizeof(struct tree_file);
	list->files = arena_array(arena, list->count, sizeof(struct tree_file));
	if (result != 0 || scan.files.failed || list->files == NULL || arena_failed(arena)) {
		error_set(error, "out of memory");
		result = -1;
	} else if (list->count > 0) {
		memcpy(list->files, scan.files.data, scan.files.length);
		qsort(list->files, list->count, sizeof(struct tree_file), compare_files);
	}
	if (result == 0 && root_failed(list)) {
		error_set(error, "cannot read the prompt directory: %s", list->files[0].problem);
		result = -1;
	}
	buffer_finish(&scan.files);
	return result;
}

/* Read up to the limit and one byte more. Returns 0, or an errno. */
static int
read_all(int descriptor, struct buffer *out)
{
	char block[16 * 1024];
	buffer_clear(out);
	while (out->length <= TREE_MAX_FILE_BYTES) {
		ssize_t length = read(descriptor, block, sizeof(block));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno;
		if (length == 0)
			break;
		buffer_put(out, block, (size_t)length);
	}
	return out->failed ? ENOMEM : 0;
}

static enum tree_result
read_open(int descriptor, const struct tree_file *file, struct buffer *out, struct error *error)
{
	struct stat before, after;
	if (fstat(descriptor, &before) != 0 || !S_ISREG(before.st_mode))
		return TREE_CHANGED;
	struct signature seen = signature_of(&before);
	if (!signature_equal(&seen, &file->signature))
		return TREE_CHANGED;
	int reason = read_all(descriptor, out);
	if (reason == 0 && out->length > TREE_MAX_FILE_BYTES) {
		error_set(error, "larger than 1 MiB: split the file");
		return TREE_FAILED;
	}
	if (reason != 0) {
		error_set(error, "cannot read: %s", strerror(reason));
		return TREE_FAILED;
	}
	if (fstat(descriptor, &after) != 0)
		return TREE_CHANGED;
	struct signature now = signature_of(&after);
	return signature_equal(&seen, &now) ? TREE_READ : TREE_CHANGED;
}

enum tree_result
tree_read(struct tree *tree, const struct tree_file *file, struct buffer *out, struct error *error)
{
	if (file->problem != NULL) {
		error_set(error, "%s", file->problem);
		return TREE_FAILED;
	}
	int descriptor = open_beneath(tree, file->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (descriptor < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return TREE_CHANGED;
		error_set(error, "cannot open: %s", strerror(errno));
		return TREE_FAILED;
	}
	enum tree_result result = read_open(descriptor, file, out, error);
	close(descriptor);
	return result;
}

bool
tree_stat(struct tree *tree, const char *path, struct signature *signature)
{
	struct stat stat;
	int descriptor = open_beneath(tree, path, O_PATH);
	if (descriptor < 0)
		return false;
	bool found = fstat(descriptor, &stat) == 0;
	close(descriptor);
	*signature = signature_of(&stat);
	return found;
}
