/* json.h -- reads JSON into a document. */
#pragma once

#include <stddef.h>

struct document;

/* Read one JSON text, RFC 8259 to the letter; duplicate keys and \u0000 are refused too, and more
 * than 64 levels. What is wrong goes into the document's errors. Returns -1 where reading stopped
 * before the end. */
int json_parse(struct document *, const char *data, size_t length);
