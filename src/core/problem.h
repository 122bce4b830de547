/* problem.h -- something wrong with a file, as it is kept and told. */
#pragma once

#include "core/error.h"

struct arena;
struct buffer;

/* Borrowed: lives as long as the unit or snapshot that it is of. */
struct problem {
	const char *path;
	unsigned line, column; /* from 1; 0: the file as a whole */
	enum error_kind kind;
	enum rule rule;
	const char *message;
	size_t advice; /* where in the message it says what to do; 0: nowhere */
};

/* A problem with a message in an arena; the format as an error's. The message is NULL when memory is out. */
__attribute__((format(printf, 3, 4))) struct problem problem_of(
	struct arena *, const struct problem *what, const char *format, ...);

/* Put path:line:column: message. */
void problem_put(const struct problem *, struct buffer *);

/* The order of two problems for qsort(3): by path, line and column. */
int problem_compare(const void *, const void *);
