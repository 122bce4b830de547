/* sandbox.h -- leaves the process with what it needs to serve, and nothing else. */
#pragma once

#include <stdbool.h>

#include "core/buffer.h"
#include "core/error.h"

enum { SANDBOX_MAX_FILES = 3 };

struct sandbox_terms {
	const char *directory; /* of the prompts */
	const char *files
		[SANDBOX_MAX_FILES]; /* others that are read again when they change; NULL: none */
	const char *log; /* a file that lines are added to, and that is made anew; NULL: none */
	bool writable; /* prompt files are made */
	bool reads_anything; /* prompts may be links to anywhere */
};

/* What came of it. */
struct sandbox {
	bool is_whole;
	int landlock; /* the version of its rules that are in force; 0: none */
	bool is_fixed; /* something stands in / and was opened itself */
	struct buffer reads, writes; /* the places, for people */
	struct error problem; /* of one that is not whole */
};

/* Confine the process for good: no new privileges, no core dumps, no tracer of the same user; and by Landlock no other
 * program, no connection, no signal to others, no files but these:
 *   - the prompt directory, to read, and to write where it is writable;
 *   - to read: what lies below the directory in which its name stands, and below those of all links on the way to it, as
 *     a new one that takes a name there is another inode. Where it is not there yet, below the nearest one that is;
 *   - the repository that it lies in: HEAD and branches. A linked work tree comes and goes as a whole: what lies below
 *     the directory in which it stands, too;
 *   - files below the directories of the other files, and of all links on the way to them;
 *   - to make and to write, files below the directory of the log.
 * Landlock knows no single names: a tokens file in /etc opens all files below /etc that the user may read. / is never
 * opened: what stands there is opened itself, and one that replaces it is not. Where that leaves nothing to open, as
 * for a directory that is to appear in /, reading is not confined. What is open already stays so.
 *
 * For this thread and those that it starts. Returns -1 where some of it could not be had, with the problem; the rest is. */
int sandbox_enter(struct sandbox *, const struct sandbox_terms *);

/* Log what came of it. */
void sandbox_tell(const struct sandbox *);
void sandbox_finish(struct sandbox *);

/* Whether EACCES came of the sandbox, as the user may do that with the path, by access(2); then it helps to restart
 * promptd. Any thread. */
bool sandbox_denies(const char *path, int mode);
