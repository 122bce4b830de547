/* tree.h -- what files there are, and what is in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct buffer;
struct error;

/* A pinned place with files in it. Today a directory; what is above knows paths, signatures and bytes
 * only. Reload thread only. */
struct tree;

/* Changes whenever the content does, as far as the file system tells. */
struct signature {
	uint64_t device, inode;
	int64_t size, modified_ns, changed_ns;
};

bool signature_equal(const struct signature *, const struct signature *);

/* A prompt file, or a place that could not be looked at. */
struct tree_file {
	const char *path; /* relative to the tree */
	struct signature signature;
	const char *problem; /* why it cannot be read; NULL for a file that may be */
	bool is_directory; /* the problem hides all below the path */
};

/* Sorted bytewise by path; in an arena. */
struct tree_list {
	struct tree_file *files;
	size_t count;
};

/* Pin the directory that a path names now. Returns NULL with an error. */
struct tree *tree_open(const char *path, struct error *);
void tree_close(struct tree *);

/* Called with each directory in which names will be looked up, before they are: its descriptor and
 * its path, "" for the tree's own. */
typedef void tree_on_directory(void *context, int descriptor, const char *path);

/* List the prompt files. Links are followed where they stay inside the tree. Returns -1 with an error
 * when the tree itself cannot be read or memory is out. */
int tree_scan(struct tree *, struct arena *, tree_on_directory *, void *context, struct tree_list *,
	struct error *);

enum tree_result { TREE_READ, TREE_CHANGED, TREE_FAILED };

/* Read a whole file into the buffer. TREE_CHANGED when it is not, or no longer, the one that was
 * listed: look again. TREE_FAILED comes with an error. */
enum tree_result tree_read(
	struct tree *, const struct tree_file *, struct buffer *, struct error *);

/* The signature that a file has now; false when there is none to be read. */
bool tree_stat(struct tree *, const char *path, struct signature *);

enum { TREE_MAX_FILE_BYTES = 1024 * 1024, TREE_MAX_LEVELS = 16 };
