/* git.h -- which commit the files are of, and whether git is changing them now. */
#pragma once

#include <stdbool.h>

#include "server/tree.h"

struct tree_terms;

enum { COMMIT_BYTES = 65 }; /* a SHA-256 in hexadecimal, NUL */

/* Reload thread only. */
struct git {
	int directory; /* that of the repository's work tree; -1: there is none */
	char commit[COMMIT_BYTES]; /* "" where it is not known */
	struct signature index; /* at the last git_take_change; every change writes another */
};

void git_init(struct git *);
void git_finish(struct git *);

/* Find the repository that a tree lies in, going up from it; where names are looked up is told in the
 * way of the terms. */
void git_find(struct git *, const struct tree *, const struct tree_terms *);

/* Read which commit is checked out: where the tree was reached through git-sync's link, which is named for
 * it, that one, else HEAD. Where names are looked up is told. */
void git_read_commit(struct git *, const struct tree *, const struct tree_terms *);

/* Whether git may have changed the work tree since the last call. */
bool git_take_change(struct git *);

/* Whether git is about to change, or is changing, the work tree: it holds index.lock all the while. */
bool git_is_locked(const struct git *);
