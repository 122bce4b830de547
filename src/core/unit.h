/* unit.h -- what one file yields: its prompts, rendered, or its errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/digest.h"
#include "core/rule.h"

struct error;
struct meter;
struct place;
struct problem;
struct prompt_rules;

struct variable {
	const char *name;
	const char *fallback; /* the default's text, NULL where there is none */
	bool required;
};

/* A placeholder in the messages of an answer; value goes in its place. */
struct slot {
	uint32_t offset, length; /* in the answer, braces included */
	uint32_t variable;
};

/* A prompt, rendered. Texts that a file may leave out are NULL where absent. Borrowed: lives as long
 * as its unit. */
struct prompt {
	const struct unit *unit;
	unsigned line, column;
	bool path_gives_id; /* the file's path gives this id by default */
	const char *id, *version, *project, *slug;
	const char *const *labels;
	const struct place *label_places; /* in the file */
	size_t n_labels;
	const char *answer; /* the LiteLLM answer, JSON */
	size_t answer_length;
	size_t messages_offset, messages_length; /* the list of messages in it */
	const struct slot *slots;
	size_t n_slots;
	const struct variable *variables; /* sorted by name */
	size_t n_variables;
	const char *listing; /* members of its entry in the list: JSON without the braces; … */
	size_t listing_length;
	const char *detail; /* … from there on, what the whole prompt has beyond the answer */
	char etag[ETAG_BYTES]; /* of the answer */
	unsigned char digest[DIGEST_BYTES]; /* of all that clients are told but the labels */
	struct meter *meter; /* set by the first snapshot; a reference */
};

/* Immutable and counted; one allocation. A unit with errors has no prompts. */
struct unit {
	const char *path; /* relative to the prompt directory */
	const struct prompt *prompts;
	size_t n_prompts;
	const struct problem *problems; /* by line and column */
	size_t n_problems;
	rule_set ignored; /* of which the file wants no warning */
	size_t n_errors; /* problems that are not warnings, and those that were too many to keep */
};

/* What making units needs, reused from one to the next. One thread at a time. */
struct unit_maker;
struct unit_maker *unit_maker_new(const struct prompt_rules *); /* rules: borrowed */
void unit_maker_free(struct unit_maker *);

/* Make the unit of a file's bytes, JSON where its path says so, else YAML, in the maker, which unit_seal() empties, moving it
 * into one allocation; unit_new() does both. All that is wrong is in the unit, but that memory is out: then they return
 * -1 and NULL. The caller has the reference. */
int unit_make(struct unit_maker *, const char *path, const char *data, size_t);
struct unit *unit_seal(struct unit_maker *);
struct unit *unit_new(struct unit_maker *, const char *path, const char *data, size_t);

/* The same of a file that could not be read. */
struct unit *unit_new_failed(const char *path, const struct error *);

/* Any thread. The last reference frees the unit. */
struct unit *unit_ref(const struct unit *);
void unit_unref(const struct unit *);
