/* prompt.h -- reads a prompt from a document. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/rule.h"
#include "core/schema.h"
#include "core/text.h"

struct errors;
struct path_names;
struct value;

/* What may differ between one place where prompts are read and another. */
struct prompt_rules {
	const char *const
		*allowed_params; /* forbidden parameters that are fine, NULL-ended, or NULL */
	bool strict_projects; /* the first directory is the project, and the ids' first segment */
	rule_set ignored; /* of which no warning is wanted */
	bool request; /* the body of a request: an id is required, unknown keys are warnings */
};

/* A prompt as its file gives it. Borrowed: lives as long as the document's arena. */
struct draft {
	unsigned line, column;
	bool path_gives_id;
	const char *id;
	const char *version, *project, *slug, *description, *model; /* NULL where absent */
	const char **labels;
	struct place *label_places;
	size_t n_labels;
	const struct value *messages; /* a list, or a string: one user message */
	const struct value *params, *variables, *metadata; /* maps, or NULL */
};

/* Read the prompt that a value is. Everything wrong with it is added to the errors. Returns -1 where
 * there is nothing to be served. */
int prompt_parse(const struct value *, const struct path_names *, const struct prompt_rules *,
	struct errors *, struct draft *);

/* The keys that a prompt may have. */
void prompt_each_key(schema_on_key *, void *context);

/* Words that people use for keys. */
typedef void prompt_on_other_name(void *context, const char *word, const char *key);
void prompt_each_other_name(prompt_on_other_name *, void *context);

/* Whether a prompt may have a key, be it one that is ignored. */
bool prompt_is_key(const char *);
