/* files.h -- the files that are known, in the order of their paths. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"
#include "core/snapshot.h"
#include "server/tree.h"

/* Holds a reference to each unit of its source. */
struct file {
	struct signature signature; /* of the content behind source */
	unsigned char content[DIGEST_BYTES]; /* of its bytes; zero for a problem */
	struct signature seen; /* newer content that is not known to be complete, … */
	int64_t seen_ms; /* … since when it has looked like that; 0: there is none */
	int64_t gone_ms; /* since when the file is gone; 0: it is there */
	struct source source;
	struct source before; /* as the last snapshot has it, where that differs */
	bool is_changed; /* the source does differ */
	bool again; /* read it at the next look even if it looks the same */
	bool is_mounted; /* as the tree says, … */
	uint64_t pin_inode; /* … like its pin, 0 without one, … */
	int64_t pin_changed_ns;
	unsigned look; /* the last one that found it */
	char path[];
};

/* A file without content or source; NULL when memory is out. */
struct file *file_new(const char *path);
void file_free(struct file *);

/* Whether there is nothing of it: neither to serve nor to tell. */
bool file_is_gone(const struct file *);

/* What the file looked like when it was looked at last. */
const struct signature *file_signature(const struct file *);

enum file_state { FILE_OK, FILE_STALE, FILE_INVALID, FILE_UNSETTLED, FILE_LEAVING, N_FILE_STATES };
enum file_state file_state(const struct file *);

struct file_counts {
	size_t files[N_FILE_STATES];
	size_t mounted; /* whose replacement cannot be seen */
};

/* Count a file in (1) or out (-1), unless it is gone. */
void file_count(const struct file *, struct file_counts *, int by);

/* Starts zeroed. */
struct files {
	struct file **items;
	size_t count, capacity;
	size_t next; /* behind the one that was found last: files are looked for in their order, mostly */
};

/* Free the files too. */
void files_finish(struct files *);

struct file *files_find(struct files *, const char *path);

/* Put a file behind the others, out of order. Returns -1 when memory is out. */
int files_append(struct files *, struct file *);

/* Bring files that were appended elsewhere, whose paths are not here, in order. Returns
 * -1 when memory is out, with nothing done. */
int files_merge(struct files *, struct files *appended);

/* Take out those without a source that are not changed either, and free them. */
void files_purge(struct files *);

/* Call for each file at and below a path, "" for all. Returns -1 as soon as a call does. */
typedef int files_on_file(void *context, struct file *);
int files_each(const struct files *, const char *path, files_on_file *, void *context);
