/* variables.h -- what a prompt's declarations of its variables may be. */
#pragma once

#include <stdbool.h>

#include "core/error.h"
#include "core/schema.h"

struct value;

/* Check a map of declarations; unknown keys in one are of a kind. */
void variables_check(struct errors *, const struct value *variables, enum error_kind unknown);

/* Whether a declaration may have a key. */
bool variables_is_key(const char *);

/* The keys that a declaration may have. */
void variables_each_key(schema_on_key *, void *context);
