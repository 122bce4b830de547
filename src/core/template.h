/* template.h -- finds the placeholders in a text: {name}, {{name}}, {{ name }}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct placeholder {
	size_t offset, length; /* with its braces */
	const char *name; /* in the text, not terminated */
	size_t name_length;
};

/* Find the next placeholder at or behind *cursor and put the cursor behind it. A name is one or more
 * ASCII letters, digits, '_' and characters from U+0080. */
bool template_next(const char *text, size_t length, size_t *cursor, struct placeholder *);

/* Whether a whole text is a placeholder's name. */
bool template_is_name(const char *);
