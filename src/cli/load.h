/* load.h -- the prompts of a directory, loaded once by the server's own loader. */
#pragma once

#include <stdbool.h>

#include "core/prompt.h"
#include "server/figures.h"

struct buffer;
struct error;
struct options;

/* Starts zeroed. */
struct load {
	struct prompt_rules rules;
	struct figures figures;
	struct store *store;
	struct cycle *cycle;
	const struct snapshot *snapshot;
};

/* Files are taken as they are now, whoever writes them. Returns -1 with an error. */
int load_open(struct load *, const struct options *, const char *directory, struct error *);
void load_close(struct load *);

/* Put all that a file holds. Returns 0, or an errno; what was read before is put all the same. */
int load_read_file(const char *path, struct buffer *);

/* Say on standard error that files are not good, and so not loaded. Returns whether there are any. */
bool load_tell_problems(const struct load *, const char *directory);
