/* walk.h -- follows a path name by name, and tells each directory in which it looks one up. */
#pragma once

#include <sys/stat.h>

#include <stdbool.h>

#include "core/buffer.h"
#include "server/tree.h"

struct arena;

/* A directory on a way. */
struct step {
	const struct step *above; /* the directory that ".." is; NULL where that was not walked */
	const struct step *from; /* the one from which a scan came */
	const char *path; /* relative to the tree, "" for its own */
	int descriptor;
	dev_t device;
	ino_t inode;
	unsigned level; /* below the tree's directory */
	bool linked; /* at or below a link to a directory */
	const struct pin *pin; /* the link "..data" that it is behind; NULL: none */
};

struct walk {
	struct arena *arena;
	on_lookup *on_lookup;
	void *context;
	const char *path; /* what depends on the names */

	/* The end of the way. */
	const struct step *parent; /* where the last name stands */
	const char *name;
	struct statx end;
	const char *link_target; /* of the last link met, NULL without one */

	struct buffer opened; /* descriptors (int), until walk_finish */
	unsigned links;
};

/* Follow a path, through links, from a directory; from NULL: from the root or the current directory.
 * Returns the step of the directory that it ends at, or NULL: with errno, or 0 there when the end is no
 * directory. Steps are in the arena; their descriptors last until walk_finish. */
const struct step *walk_to(struct walk *, const struct step *from, const char *path);
void walk_finish(struct walk *);

/* Whether a directory is another one or below it. */
bool step_is_below(const struct step *, const struct step *other);
