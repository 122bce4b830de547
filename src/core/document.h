/* document.h -- the parsed form of a file, the same for YAML and JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buffer;
struct errors;

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_LIST, VALUE_MAP };

/* A value and where it stands. Texts are UTF-8 without NUL. Borrowed: lives as long as the
 * document's arena. Children may be shared with other values (YAML aliases). */
struct value {
	enum value_kind kind;
	bool truth; /* a bool's value */
	bool open; /* still being read: an alias to it would never end */
	bool merge; /* a map member whose key is YAML's << */
	bool cut; /* a plain text of YAML, behind which a comment begins on the same line */
	unsigned levels; /* of lists and maps from here on down: 0 for a scalar */
	unsigned line, column; /* from 1; column in characters */
	unsigned start,
		end; /* of a scalar: where it stands in the text; an alias has its anchor's */
	size_t nodes, bytes; /* this and all below, shared ones counted each time */

	const char *text; /* string: itself; number: as JSON; bool and null: as written */
	const char *source; /* scalars: as written; an own version reads 1.10, not 1.1 */

	const char *key; /* a map's member only */
	unsigned key_line, key_column;

	struct value *first, *last, *next; /* children, and the sibling behind this one */
	size_t count;
};

/* What a file holds: one document in JSON, any number in YAML. */
struct document {
	struct arena *arena;
	struct errors *errors;
	struct value *first, *last;
	size_t nodes, bytes; /* of all documents, aliases expanded */
	size_t most_values; /* that JSON may hold; 0: as many as a file */
};

/* Levels of lists and maps; values of a file and bytes of their texts, aliases expanded. */
enum {
	DOCUMENT_MAX_LEVELS = 64,
	DOCUMENT_MAX_NODES = 100000,
	DOCUMENT_MAX_BYTES = 4 * 1024 * 1024
};

/* Check what holds for any text file: UTF-8, not empty, no leftovers of a merge conflict. Returns -1,
 * with an error added, where it is not worth parsing. */
int document_check_text(struct document *, const char *data, size_t length);

/* A new value; NULL when memory is out or, with an error added, when the file expands to more than
 * the budget. The text is borrowed. */
struct value *document_value(
	struct document *, enum value_kind, const char *text, unsigned line, unsigned column);

/* A second appearance of a value that shares its children; the same failures. */
struct value *document_alias(
	struct document *, const struct value *, unsigned line, unsigned column);

/* Give a value the key that it will stand under in a map; the key is borrowed. Returns -1 with an error
 * when the file expands to more than the budget. */
int document_set_key(
	struct document *, struct value *, const char *key, unsigned line, unsigned column);

/* Put a whole document behind the others. */
void document_add(struct document *, struct value *root);

/* Put a child at the end of a list or map; in a map its key is already set. */
void document_append(struct value *parent, struct value *child);

/* End a list or map: its members must have distinct keys (each later one is an error) and YAML's
 * merge keys are replaced by the members they bring. Returns -1 when reading must stop. */
int document_close(struct document *, struct value *);

/* The member with a key, or NULL. */
const struct value *document_find(const struct value *map, const char *key);

/* A map's members in the bytewise order of their keys, in an array of its own; NULL when memory is
 * out. */
const struct value **document_sort(struct arena *, const struct value *map);

/* "a string", "a list", … for messages. */
const char *document_kind_name(enum value_kind);

/* Put the keys and positions that lead from a root to a value below it as items of a JSON array,
 * each with a comma in front: ,"prompt_template",0,"content". Nothing for the root itself. */
void document_put_path(const struct value *root, const struct value *, struct buffer *);
