/* lint.h -- what is likely a mistake in prompt files that are served all the same. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct draft;
struct errors;
struct group;
struct problem;
struct value;

/* The text of a prompt file. */
struct lint_text {
	const char *data;
	size_t length;
	bool is_json;
};

/* Warn of what is wrong with the text as a whole. */
void lint_file(const struct lint_text *, struct errors *);

/* Warn of what is wrong with a prompt that was read from a map in it. */
void lint_prompt(
	const struct lint_text *, const struct value *map, const struct draft *, struct errors *);

/* Whether no version of an id is served when none is asked for: what to warn of then. The message is in the arena. */
bool lint_group(
	const struct group *, const char *const *default_labels, struct arena *, struct problem *);
