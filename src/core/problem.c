/* problem.c -- something wrong with a file, as it is kept and told. */
#include "core/problem.h"

#include <string.h>

#include "core/buffer.h"

void
problem_put(const struct problem *problem, struct buffer *out)
{
	buffer_puts(out, problem->path);
	if (problem->line > 0)
		buffer_printf(out, ":%u:%u", problem->line, problem->column);
	buffer_puts(out, ": ");
	buffer_puts(out, problem->message);
}

int
problem_compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	int order = strcmp(x->path, y->path);
	if (order != 0)
		return order;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}
