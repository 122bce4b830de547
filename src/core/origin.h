/* origin.h -- where a character of a text that was read stands in the file. */
#pragma once

#include <stddef.h>

struct value;

/* The offset in the file's text of what is at an offset in a string's text. Blanks are not told apart: with them, it is near
 * by. Borders: the string's own in the file. */
size_t origin_of(const char *data, const struct value *string, size_t offset);
