/* git.h -- which commit the files are of, and whether git is changing them now. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/signature.h"

struct tree;
struct tree_terms;

enum { COMMIT_BYTES = 65 }; /* a SHA-256 in hexadecimal, NUL */

/* index.lock, which git holds while it changes the work tree. */
struct git_lock {
	struct signature signature; /* all zero while there is none */
	int64_t since_ms; /* it is there, on clock_ms() */
	bool told, given_up;
};

/* Reload thread only. */
struct git {
	int directory; /* that of the repository's work tree; -1: there is none */
	char commit[COMMIT_BYTES]; /* "" where it is not known */
	struct signature index; /* at the last git_take_change; every change writes another */
	struct git_lock lock;
};

void git_init(struct git *);
void git_finish(struct git *);

/* Find the repository that a tree lies in, going up from it; where names are looked up is told in the
 * way of the terms. */
void git_find(struct git *, const struct tree *, const struct tree_terms *);

/* Open the main repository, with the branches, from that of a linked work tree; -1 where there is none. */
int git_open_shared(int directory);

/* Read which commit is checked out: where the tree was reached through git-sync's link, which is named for
 * it, that one, else HEAD. Where names are looked up is told. */
void git_read_commit(struct git *, const struct tree *, const struct tree_terms *);

/* Whether git may have changed the work tree since the last call. */
bool git_take_change(struct git *);

/* Whether git is about to change, or is changing, the work tree. A lock that is older than the limit is taken for
 * one that a git left which died. */
bool git_is_busy(struct git *, int64_t now_ms, int64_t limit_ms);
