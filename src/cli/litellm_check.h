/* litellm_check.h -- whether LiteLLM's config.yaml and the prompts fit together. */
#pragma once

struct arena;
struct error;
struct problem;
struct snapshot;

/* The problem is borrowed; its parts are the arena's, or the prompts'. */
typedef void litellm_on_problem(void *context, const struct problem *);

/* Tell of mistakes in the file at a path, of its entries of prompts that do not exist, and of models that prompts name and
 * it does not serve. Problems in it have that path. Returns -1 with an error where it cannot be read. */
int litellm_check(const char *path, const struct snapshot *, const char *const *default_labels,
	struct arena *, litellm_on_problem *, void *context, struct error *);
