/* expect.h -- says what a document's value should have been. */
#pragma once

#include <stdbool.h>

#include "core/document.h"
#include "core/error.h"

/* Add an error at a value's place and about it. */
#define EXPECT_ERROR(errors, kind, about, ...) \
	expect_about((about), \
		errors_add((errors), (kind), (about)->line, (about)->column, __VA_ARGS__))

/* Say which value an error, if it was kept, is about. */
void expect_about(const struct value *, struct error *);

/* Whether a value is of a kind; else an error is added that calls it by the name given. */
bool expect_kind(struct errors *, const struct value *, enum value_kind, const char *name);

/* A value's text, or NULL with an error. */
const char *expect_string(struct errors *, const struct value *, const char *name);

/* Add the error that a map lacks a key. */
void expect_missing(struct errors *, const struct value *map, const char *key);

/* A map's member, or NULL with that error. */
const struct value *expect_member(struct errors *, const struct value *map, const char *key);

/* Add an error about a member whose key is none of those expected, with the key that was meant or, for NULL, with what may
 * stand there. */
void expect_unknown(struct errors *, enum error_kind, const struct value *member, const char *meant,
	const char *expected);
