/* names.h -- the names that stand in a directory. */
#pragma once

#include <stddef.h>

#include "core/buffer.h"

/* In bytewise order. */
struct names {
	const char **items;
	size_t count;
	struct buffer text; /* that the items point into */
};

/* Read the names in an open directory that are not ignored. Returns 0; an errno, with those that were
 * read before it; or -1 when memory is out. In any case there is something to finish. */
int names_read(struct names *, int directory);
void names_finish(struct names *);
