/* problem.c -- something wrong with a file, as it is kept and told. */
#include "core/problem.h"

#include <stdarg.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"

struct problem
problem_of(struct arena *arena, const struct problem *what, const char *format, ...)
{
	struct problem problem = *what;
	struct buffer text = {0};
	va_list args;
	va_start(args, format);
	buffer_vprintf(&text, format, args);
	va_end(args);
	buffer_putc(&text, '\0'); /* the byte that joining needs */
	char *copy = text.failed ? NULL : arena_copy(arena, text.data, text.length);
	if (copy != NULL)
		problem.advice = error_join(copy);
	problem.message = copy;
	buffer_finish(&text);
	return problem;
}

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
