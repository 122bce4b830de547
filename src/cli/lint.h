/* lint.h -- what is likely a mistake in prompt files that are served all the same. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct problem;
struct prompt_rules;
struct snapshot;

/* Everything that check may say, by the name under which it can be switched off. */
struct lint_rule {
	const char *id;
	const char *sentence; /* what it says */
	const char *reason; /* why, and what to do */
};

extern const struct lint_rule lint_rules[];
extern const size_t n_lint_rules;

/* The rule of an id, or NULL. */
const struct lint_rule *lint_find(const char *id);

/* The id of the rule for what the loader itself says. */
const char *lint_id_of(const struct problem *);

typedef void lint_on_finding(void *context, const char *id, const struct problem *);

struct lint {
	struct arena *arena; /* messages lie in it */
	bool stock; /* say too what only LiteLLM's own client does not understand */
	lint_on_finding *on_finding;
	void *context;
};

/* Look at a file's prompts; those that the loader refuses are passed over. */
void lint_file(const struct lint *, const char *path, const char *data, size_t length,
	const struct prompt_rules *);

/* Look at what the files are together. */
void lint_snapshot(const struct lint *, const struct snapshot *, const char *const *default_labels);

/* Whether a file says "# promptd: ignore ID". */
bool lint_is_ignored(const char *data, size_t length, const char *id);
