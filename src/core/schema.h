/* schema.h -- what a JSON Schema says of values, for tables. */
#pragma once

#include <stdbool.h>

/* A key that a map may have. */
struct schema_key {
	const char *name;
	const char *help; /* a sentence */
	const char *schema; /* what a JSON Schema can say of its value */
	bool required;
};

typedef void schema_on_key(void *context, const struct schema_key *);

/* Schemas are JSON with ' in the place of ". The message keywords are those of the yaml-language-server and of VS Code,
 * which show them instead of words of their own; others pass over them. */

/* A value of some types or null; more begins with a comma or is empty. */
#define SCHEMA(types, message, more) \
	"{'type':[" types ",'null'],'errorMessage':'" message "'" more "}"

#define SCHEMA_TEXT(name) \
	SCHEMA("'string'", name " must be a string: put it in quotes, or write it behind |-", "")
#define SCHEMA_MAP(name, more) \
	SCHEMA("'object'", name " must be a mapping: write a mapping, KEY: VALUE", more)

/* A text that fits a grammar. */
#define SCHEMA_FITS(pattern, name, grammar) \
	",'maxLength':200,'pattern':'" pattern "','patternErrorMessage':'" name \
	" does not fit: use " grammar "'"
#define SCHEMA_NAME(pattern, name, grammar) \
	SCHEMA("'string'", name " must be a string: put it in quotes", \
		SCHEMA_FITS(pattern, name, grammar))

/* A segment of an id; see name_is_id. */
#define SCHEMA_SEGMENT \
	"(?![.#_])[^@/\\\\x00-\\\\x1f\\\\x7f-\\\\x9f]*[^@/~\\\\x00-\\\\x1f\\\\x7f-\\\\x9f]"

/* A placeholder's name; see template_is_name. */
#define SCHEMA_PLACEHOLDER \
	"^[^\\\\x00-\\\\x2f\\\\x3a-\\\\x40\\\\x5b-\\\\x5e\\\\x60\\\\x7b-\\\\x7f]+$"
