/* tree.h -- what files there are, what is in them, and where names were looked up to find them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/lookup.h"
#include "server/signature.h"

struct arena;
struct buffer;
struct error;

/* A pinned place with files in it. Today a directory; what is above knows paths, signatures and bytes
 * only. One thread. */
struct tree;

/* "..data", a ConfigMap's link to the directory with its present files: one rename of it changes all. */
extern const char tree_pin_name[];

struct tree_terms {
	bool links_lead_anywhere; /* else only to what is below the tree's directory */
	on_lookup *on_lookup;
	void *context;
};

/* Pin the directory that a path names now. The arena is used until the tree is closed. Returns NULL with an
 * error. */
struct tree *tree_open(const char *path, const struct tree_terms *, struct arena *, struct error *);
void tree_close(struct tree *);

/* The directory itself and, up from it, those above: a descriptor, or -1. */
int tree_ancestor(const struct tree *, size_t levels);

void tree_identity(const struct tree *, uint64_t *device, uint64_t *inode);

/* The last name in the target of the last link on the way to the directory, or NULL. */
const char *tree_link_target(const struct tree *);

struct step;

/* A directory with a link "..data": all that is in it is replaced at once. */
struct pin {
	const char *path; /* of the directory */
	uint64_t inode; /* of the link, … */
	int64_t changed_ns; /* … and when it was put there */
};

/* A prompt file, or a place that could not be looked at. Valid during the call that brings it. */
struct tree_file {
	const char *path; /* relative to the tree, "." for its directory; in the arena */
	struct signature signature;
	const char *problem; /* why it cannot be read; NULL for a file that may be */
	bool is_directory; /* the problem hides all below the path */
	bool is_transient; /* the problem may be gone soon, without an event */
	bool is_linked; /* found through a link of its own */
	const struct pin *pin; /* that it is behind; NULL: none. In the arena */
	bool is_mounted; /* by itself: renames over it cannot be seen */
	const struct step *step; /* where its name stands */
	const char *name;
};

/* Returns -1 to end the look. */
typedef int tree_on_file(void *context, const struct tree_file *);

/* Find the prompt files at and below a path, "" for all, those of a directory in the order of their names. In a
 * directory with a link "..data" only that link's target counts. Where a directory on the way cannot be looked at, that
 * is what is found. Returns -1 when a call did, or memory is out. */
int tree_look(struct tree *, const char *path, tree_on_file *, void *context);

enum tree_result { TREE_READ, TREE_CHANGED, TREE_FAILED };

/* Bring the signature of a file up to date, where it still is one. */
void tree_refresh(struct tree_file *);

/* Read a whole file into the buffer. TREE_CHANGED when it is not as its signature says any more, which is set to what it is
 * like now, or is gone: look again. TREE_FAILED comes with an error, and sets is_transient. */
enum tree_result tree_read(struct tree_file *, struct buffer *, struct error *);

/* Whether somebody has a file open to write it; TREE_UNKNOWN where only its owner may ask. */
enum tree_writer { TREE_NO_WRITER, TREE_WRITER, TREE_UNKNOWN };
enum tree_writer tree_find_writer(const struct tree_file *);

enum { TREE_MAX_FILE_BYTES = 1024 * 1024, TREE_MAX_LEVELS = 16 };
