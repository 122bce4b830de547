/* problem.h -- something wrong with a file, as it is kept and told. */
#pragma once

#include "core/error.h"

struct buffer;

/* Borrowed: lives as long as the unit or snapshot that it is of. */
struct problem {
	const char *path;
	unsigned line, column; /* from 1; 0: the file as a whole */
	enum error_kind kind;
	const char *message;
};

/* Put path:line:column: message. */
void problem_put(const struct problem *, struct buffer *);

/* The order of two problems for qsort(3): by path, line and column. */
int problem_compare(const void *, const void *);
