/* tree.c -- what files there are, what is in them, and where names were looked up to find them. */
#include "server/tree.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/name.h"
#include "core/text.h"
#include "server/names.h"
#include "server/reason.h"
#include "server/sandbox.h"
#include "server/walk.h"

const char tree_pin_name[] = "..data";

struct tree {
	struct tree_terms terms;
	struct arena *arena;
	struct walk walk; /* to the directory */
	struct step root;
};

struct scan {
	struct tree *tree;
	tree_on_file *on_file;
	void *context;
};

/* The rest of a directory cannot be seen: its files are hidden, not gone. */
enum { HIDDEN = 1 };

static int scan_directory(struct scan *, const struct step *, const char *wanted);

static struct walk
walk_for(const struct tree *tree, const char *path)
{
	return (struct walk){.arena = tree->arena,
		.on_lookup = tree->terms.on_lookup,
		.context = tree->terms.context,
		.path = path};
}

struct tree *
tree_open(
	const char *path, const struct tree_terms *terms, struct arena *arena, struct error *error)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	if (tree == NULL) {
		error_set(error, "out of memory");
		return NULL;
	}
	tree->terms = *terms;
	tree->arena = arena;
	tree->walk = walk_for(tree, "");
	const struct step *found = walk_to(&tree->walk, NULL, path);
	int reason = found != NULL ? 0 : errno == 0 ? ENOTDIR : errno;
	if (found != NULL) {
		tree->root = *found;
		tree->root.descriptor =
			openat(found->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		reason = tree->root.descriptor < 0 ? errno : 0;
	}
	if (reason == 0)
		return tree;
	bool sandboxed = reason == EACCES && sandbox_denies(path, R_OK);
	error_set(error, "cannot open the prompt directory \"%s\": %s%s", path, strerror(reason),
		sandboxed ? "\nit was not there when promptd closed its sandbox: restart promptd"
			  : "");
	walk_finish(&tree->walk);
	free(tree);
	return NULL;
}

void
tree_close(struct tree *tree)
{
	if (tree == NULL)
		return;
	close(tree->root.descriptor);
	walk_finish(&tree->walk);
	free(tree);
}

int
tree_ancestor(const struct tree *tree, size_t levels)
{
	const struct step *step = &tree->root;
	for (; step != NULL && levels > 0; levels--)
		step = step->above;
	return step != NULL ? step->descriptor : -1;
}

void
tree_identity(const struct tree *tree, uint64_t *device, uint64_t *inode)
{
	*device = tree->root.device;
	*inode = tree->root.inode;
}

const char *
tree_link_target(const struct tree *tree)
{
	const char *target = tree->walk.link_target;
	const char *slash = target != NULL ? strrchr(target, '/') : NULL;
	return slash != NULL ? slash + 1 : target;
}

static void
tell(const struct scan *scan, enum lookup_kind kind, const struct step *step, const char *name)
{
	scan->tree->terms.on_lookup(scan->tree->terms.context,
		&(struct lookup){kind, step->descriptor, name, step->path});
}

/* Why something cannot be read: a text, or for NULL an errno. */
static const char *
why(const struct scan *scan, int reason, const char *text)
{
	if (text != NULL)
		return text;
	text = arena_printf(scan->tree->arena, "%s%s", strerror(reason), reason_advice(reason));
	return text != NULL ? text : strerror(reason);
}

/* Bring a file that cannot be read, and why: for an errno, or for 0 as the text says. */
static int
bring_problem(
	struct scan *scan, const struct step *step, const char *path, int reason, const char *text)
{
	return scan->on_file(scan->context, &(struct tree_file){.path = path,
						    .problem = why(scan, reason, text),
						    .is_transient = reason_is_transient(reason),
						    .pin = step->pin});
}

/* The same of a directory, or of what could be one. */
static int
bring_hidden(
	struct scan *scan, const struct step *step, const char *path, int reason, const char *text)
{
	return scan->on_file(scan->context, &(struct tree_file){.path = *path != '\0' ? path : ".",
						    .problem = why(scan, reason, text),
						    .is_directory = true,
						    .is_transient = reason_is_transient(reason),
						    .pin = step->pin});
}

static bool
leads_back(const struct step *from, const struct step *to)
{
	for (; from != NULL; from = from->from)
		if (from->device == to->device && from->inode == to->inode)
			return true;
	return false;
}

/* Why a directory is not looked into, or NULL. Links are followed one deep: below a linked directory further
 * ones could multiply without end. */
static const char *
reason_to_stay_out(const struct step *to, bool is_link)
{
	if (to->level > TREE_MAX_LEVELS)
		return "more than 16 levels of directories\nuse fewer";
	if (is_link && to->from->linked)
		return "a link to a directory below another, of which only one is followed\nlink "
		       "to it from above";
	if (leads_back(to->from, to))
		return "the link leads back to a directory above it\nremove it";
	return NULL;
}

/* Look into a directory of that identity, which stands in another one or at the end of a link's walk. */
static int
enter_directory(struct scan *scan, struct step to, const char *name, const struct step *linked,
	const char *wanted)
{
	to.level = to.from->level + 1;
	to.linked = linked != NULL || to.from->linked;
	to.pin = to.from->pin;
	const char *problem = reason_to_stay_out(&to, linked != NULL);
	if (problem != NULL)
		return bring_hidden(scan, &to, to.path, 0, problem);
	to.descriptor = openat(linked != NULL ? linked->descriptor : to.from->descriptor,
		linked != NULL ? "." : name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to.descriptor < 0) {
		bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		return gone ? 0 : bring_hidden(scan, &to, to.path, errno, NULL);
	}
	int result = scan_directory(scan, &to, wanted);
	close(to.descriptor);
	return result;
}

/* Bring a file whose name stands in a directory; a link that led there stands in another, else NULL. */
static int
bring_file(struct scan *scan, const char *path, const struct statx *stat, const struct step *step,
	const char *name, const struct step *linked_from)
{
	if (!S_ISREG(stat->stx_mode))
		return bring_problem(scan, step, path, 0,
			"not a regular file\nremove it, or give it another name");
	bool is_mounted =
		(stat->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 || stat->stx_nlink == 0;
	return scan->on_file(
		scan->context, &(struct tree_file){.path = path,
				       .signature = signature_of(stat),
				       .is_linked = linked_from != NULL,
				       .pin = (linked_from != NULL ? linked_from : step)->pin,
				       .is_mounted = is_mounted,
				       .step = step,
				       .name = name});
}

/* What a link that could not be followed, for an errno, is a problem for. */
static int
bring_broken_link(
	struct scan *scan, const struct step *step, const char *name, const char *path, int reason)
{
	struct stat stat;
	bool is_directory = fstatat(step->descriptor, name, &stat, 0) == 0 && S_ISDIR(stat.st_mode);
	const char *text = reason == EXDEV
				   ? "the link leads out of the prompt directory\nmove the file "
				     "in, or start promptd with --follow-links anywhere"
				   : NULL;
	if (reason == ENOENT || !(is_directory || name_is_prompt_file(name)))
		return 0; /* a link to nothing is nothing */
	return is_directory ? bring_hidden(scan, step, path, reason, text)
			    : bring_problem(scan, step, path, reason, text);
}

static int
scan_link(struct scan *scan, const struct step *step, const char *name, const char *path,
	const char *wanted)
{
	struct walk walk = walk_for(scan->tree, path);
	const struct step *found = walk_to(&walk, step, name);
	int reason = found != NULL ? 0 : errno;
	int result = 0;
	if (reason == 0 && !scan->tree->terms.links_lead_anywhere &&
		!step_is_below(found != NULL ? found : walk.parent, &scan->tree->root))
		reason = EXDEV;
	if (reason != 0)
		result = bring_broken_link(scan, step, name, path, reason);
	else if (found != NULL)
		result = enter_directory(scan,
			(struct step){.above = found->above,
				.from = step,
				.path = path,
				.device = found->device,
				.inode = found->inode},
			name, found, wanted);
	else if (wanted == NULL && name_is_prompt_file(name))
		result = bring_file(scan, path, &walk.end, walk.parent, walk.name, step);
	walk_finish(&walk);
	return result;
}

/* A path that can be shown, with the bytes that are not UTF-8 in hexadecimal. */
static const char *
clean_path(struct arena *arena, const char *path)
{
	char *copy = arena_alloc(arena, 4 * strlen(path) + 1), *to = copy;
	while (copy != NULL && *path != '\0') {
		size_t length = text_utf8_span(path, strlen(path));
		memcpy(to, path, length);
		to += length;
		path += length;
		if (*path != '\0')
			to += snprintf(to, 5, "\\x%02x", (unsigned char)*path++);
	}
	if (copy != NULL)
		*to = '\0';
	return copy != NULL ? copy : "";
}

static const char *
join_path(struct arena *arena, const char *directory, const char *name)
{
	size_t above = strlen(directory), length = strlen(name);
	if (above == 0)
		return arena_copy(arena, name, length);
	char *path = arena_alloc(arena, above + 1 + length + 1);
	if (path == NULL)
		return NULL;
	memcpy(path, directory, above + 1);
	path[above] = '/';
	memcpy(path + above + 1, name, length + 1);
	return path;
}

/* Look at one name of a directory, and at what is wanted below it, NULL for all. */
static int
scan_name(struct scan *scan, const struct step *step, const char *name, const char *wanted)
{
	struct statx stat;
	if (name_is_ignored(name))
		return 0;
	const char *path = join_path(scan->tree->arena, step->path, name);
	if (path == NULL)
		return -1;
	if (text_utf8_span(name, strlen(name)) != strlen(name)) {
		if (name_is_prompt_file(name))
			return bring_problem(scan, step, clean_path(scan->tree->arena, path), 0,
				"the name is not UTF-8\nrename the file");
		return 0;
	}
	if (statx(step->descriptor, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		    &stat) != 0) {
		if (errno == ENOENT) /* gone meanwhile */
			return 0;
		return bring_hidden(scan, step, step->path, errno, NULL) == 0 ? HIDDEN : -1;
	}
	if (S_ISLNK(stat.stx_mode))
		return scan_link(scan, step, name, path, wanted);
	if (S_ISDIR(stat.stx_mode))
		return enter_directory(scan,
			(struct step){.above = step,
				.from = step,
				.path = path,
				.device = makedev(stat.stx_dev_major, stat.stx_dev_minor),
				.inode = stat.stx_ino},
			name, NULL, wanted);
	if (wanted != NULL || !name_is_prompt_file(name))
		return 0;
	return bring_file(scan, path, &stat, step, name, NULL);
}

/* Look at all names of a directory: in their order, in which the files are known too. */
static int
scan_names(struct scan *scan, const struct step *step)
{
	struct names names;
	int reason = names_read(&names, step->descriptor);
	int result = reason < 0 ? -1 : 0;
	for (size_t i = 0; i < names.count && result == 0; i++)
		result = scan_name(scan, step, names.items[i], NULL);
	names_finish(&names);
	return result == 0 && reason > 0 ? bring_hidden(scan, step, step->path, reason, NULL)
					 : result;
}

/* Look at the first name of a path, and at what stands behind it. */
static int
scan_wanted(struct scan *scan, const struct step *step, const char *wanted)
{
	size_t length = strcspn(wanted, "/");
	const char *name = arena_copy(scan->tree->arena, wanted, length);
	if (name == NULL)
		return -1;
	return scan_name(scan, step, name, wanted[length] == '/' ? wanted + length + 1 : NULL);
}

/* Go through a directory's pin, if it has one. Returns 0 with the directory whose names count, or what
 * bringing the problem returned, or HIDDEN. */
static int
follow_pin(struct scan *scan, struct walk *walk, struct step *step)
{
	struct stat stat;
	tell(scan, LOOKUP_HOP, step, tree_pin_name);
	if (fstatat(step->descriptor, tree_pin_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
		!S_ISLNK(stat.st_mode))
		return 0;
	const struct step *found = walk_to(walk, step, tree_pin_name);
	int reason = found != NULL ? 0 : errno != 0 ? errno : ENOTDIR;
	const char *text = NULL;
	if (found == NULL)
		text = arena_printf(scan->tree->arena, "the link ..data cannot be followed: %s",
			strerror(reason));
	else if (!scan->tree->terms.links_lead_anywhere && !step_is_below(found, &scan->tree->root))
		text = "the link ..data leads out of the prompt directory\nstart promptd with "
		       "--follow-links anywhere";
	if (found == NULL || text != NULL)
		return bring_hidden(scan, step, step->path, reason, text) == 0 ? HIDDEN : -1;
	struct pin *pin = arena_alloc(scan->tree->arena, sizeof(*pin));
	if (pin == NULL)
		return -1;
	*pin = (struct pin){step->path, stat.st_ino,
		(int64_t)stat.st_ctim.tv_sec * 1000000000 + stat.st_ctim.tv_nsec};
	step->descriptor = found->descriptor;
	step->above = found->above;
	step->pin = pin;
	return 0;
}

/* Look at the names of a directory, or only at what is wanted below it. */
static int
scan_directory(struct scan *scan, const struct step *entered, const char *wanted)
{
	struct step step = *entered;
	struct walk walk = walk_for(scan->tree, step.path);
	int result = follow_pin(scan, &walk, &step);
	if (result == 0) {
		tell(scan, LOOKUP_NAMES, &step, NULL);
		result =
			wanted != NULL ? scan_wanted(scan, &step, wanted) : scan_names(scan, &step);
	}
	walk_finish(&walk);
	return result == HIDDEN ? 0 : result;
}

int
tree_look(struct tree *tree, const char *path, tree_on_file *on_file, void *context)
{
	struct scan scan = {.tree = tree, .on_file = on_file, .context = context};
	int result = scan_directory(&scan, &tree->root, *path != '\0' ? path : NULL);
	return result != 0 || arena_failed(tree->arena) ? -1 : 0;
}
