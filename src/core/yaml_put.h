/* yaml_put.h -- writes a text as YAML. */
#pragma once

#include <stddef.h>

struct buffer;

/* Put a text as the value of a key, up to the end of its last line: as a literal block whose lines are indented by so
 * many spaces where that gives back the same text, else in double quotes. Every reader of YAML 1.1 or 1.2 reads the
 * same bytes. The text is UTF-8 without NUL. */
void yaml_put_text(struct buffer *, const char *text, size_t length, unsigned indent);
