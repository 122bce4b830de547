/* problem.c -- something wrong with a file, as it is kept and told. */
#include "core/problem.h"

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
