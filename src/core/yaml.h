/* yaml.h -- reads YAML 1.2 into a document. */
#pragma once

#include <stddef.h>

struct document;

/* Read a YAML stream with the core schema and merge keys; each of its documents becomes one. What is
 * wrong goes into the document's errors. Refused: duplicate keys, tags other than YAML's own types,
 * more than 64 levels, aliases to what is still open, an expansion beyond the budget, keys that are
 * not scalars, \0 in a string, .nan and .inf. Returns -1 where reading stopped before the end. */
int yaml_parse(struct document *, const char *data, size_t length);
