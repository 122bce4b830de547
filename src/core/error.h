/* error.h -- what is wrong, where, in words for a person. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/rule.h"

struct arena;
struct value;

enum error_kind {
	ERROR_SYNTAX, /* the text is not YAML or JSON */
	ERROR_MISSING, /* a required field is absent */
	ERROR_TYPE, /* a value of the wrong type */
	ERROR_VALUE, /* a value of the right type that is not allowed */
	ERROR_FILE, /* the file cannot be read, or is none */
	ERROR_CONFLICT, /* another file has it already */
	ERROR_WARNING, /* not an error: the file is served */
	N_ERROR_KINDS
};

/* Messages are lower case, without full stop, and say what was found and what was wanted. Behind a line feed
 * in a format stands what to do: the message has both on one line. */
struct error {
	enum error_kind kind;
	enum rule rule;
	unsigned line, column; /* from 1, column in characters; 0: the file as a whole */
	const struct value *value; /* what it is about, or NULL; borrowed from the document */
	const char *key; /* the absent or refused key in that value, or NULL */
	struct error *next;
	size_t advice; /* where in the message it says what to do; 0: nowhere */
	char message[240];
};

/* The errors of one file, in the order found, in an arena. Starts zeroed. */
struct errors {
	struct arena *arena;
	struct error *first, *last;
	size_t count, warnings;
	rule_set ignored; /* of which no warning is wanted */
};

/* Fill an error that is about no place in a file. */
__attribute__((format(printf, 2, 3))) void error_set(struct error *, const char *format, ...);

/* Whether one more of a kind would be kept: a file's first 50 errors and 50 warnings are, the others are
 * only counted. Fixing these comes first. */
bool errors_keep(const struct errors *, enum error_kind);

/* Add an error. Returns it, or NULL where it was not kept. */
__attribute__((format(printf, 5, 6))) struct error *errors_add(
	struct errors *, enum error_kind, unsigned line, unsigned column, const char *format, ...);

/* Whether warnings of a rule are wanted. */
bool errors_want(const struct errors *, enum rule);

/* Add a warning of a rule, if it is. */
__attribute__((format(printf, 5, 6))) void errors_warn(
	struct errors *, enum rule, unsigned line, unsigned column, const char *format, ...);

/* Bring what a format with a line feed gave on one line. Returns where it says what to do, or 0. The text needs
 * room for one byte more. */
size_t error_join(char *text);
