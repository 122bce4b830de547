/* problem.c -- something wrong with a file, as it is kept and told. */
#include "core/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"

struct problem
problem_of(struct arena *arena, const struct problem *what, const char *format, ...)
{
	struct problem problem = *what;
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, args);
	size_t size = length > 0 ? (size_t)length + 1 : 1;
	char *text = arena_alloc(arena, size + 1); /* joining needs one byte more */
	if (text != NULL) {
		vsnprintf(text, size, format, again);
		problem.advice = error_join(text);
	}
	problem.message = text;
	va_end(again);
	va_end(args);
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
