/* scalar.h -- what a plain YAML scalar means. */
#pragma once

#include "core/document.h"

/* The kind that YAML 1.2's core schema (section 10.3.2) gives to a plain scalar. A number outside
 * JSON (.nan, .inf, hexadecimal beyond 64 bits) has the kind VALUE_NUMBER and *json NULL; else for a
 * number *json is its text as JSON, in the arena or the scalar itself (NULL also when memory is
 * out), for other kinds the scalar. */
enum value_kind scalar_resolve(struct arena *, const char *scalar, const char **json);

/* What a YAML 1.1 reader (PyYAML) takes a plain scalar for where that differs from the above,
 * "the boolean false" or "a date"; NULL where they agree. */
const char *scalar_in_yaml11(const char *scalar);
