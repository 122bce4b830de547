/* error.c -- what is wrong, where, in words for a person. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/arena.h"
#include "core/text.h"

enum { MAX_ERRORS = 50 };

__attribute__((format(printf, 2, 0))) static void
set_message(struct error *error, const char *format, va_list args)
{
	vsnprintf(error->message, sizeof(error->message), format, args);
	text_trim_utf8(error->message);
}

void
error_set(struct error *error, const char *format, ...)
{
	*error = (struct error){.kind = ERROR_VALUE};
	va_list args;
	va_start(args, format);
	set_message(error, format, args);
	va_end(args);
}

bool
errors_keep(const struct errors *errors, enum error_kind kind)
{
	return (kind == ERROR_WARNING ? errors->warnings : errors->count) < MAX_ERRORS;
}

struct error *
errors_add(struct errors *errors, enum error_kind kind, unsigned line, unsigned column,
	const char *format, ...)
{
	bool keep = errors_keep(errors, kind);
	++*(kind == ERROR_WARNING ? &errors->warnings : &errors->count);
	if (!keep)
		return NULL;
	struct error *error = arena_alloc(errors->arena, sizeof(*error));
	if (error == NULL)
		return NULL;
	*error = (struct error){.kind = kind, .line = line, .column = column};
	va_list args;
	va_start(args, format);
	set_message(error, format, args);
	va_end(args);
	if (errors->last != NULL)
		errors->last->next = error;
	else
		errors->first = error;
	errors->last = error;
	return error;
}
