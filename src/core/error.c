/* error.c -- what is wrong, where, in words for a person. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/text.h"

enum { MAX_ERRORS = 50 };

/* The rule that an error of a kind breaks; of a warning without a rule of its own, doubtful. */
static enum rule
rule_of(enum error_kind kind)
{
	static const enum rule rules[N_ERROR_KINDS] = {
		[ERROR_SYNTAX] = RULE_SYNTAX,
		[ERROR_MISSING] = RULE_SCHEMA,
		[ERROR_TYPE] = RULE_SCHEMA,
		[ERROR_VALUE] = RULE_SCHEMA,
		[ERROR_FILE] = RULE_FILE,
		[ERROR_CONFLICT] = RULE_CONFLICT,
		[ERROR_WARNING] = RULE_DOUBTFUL,
	};
	return rules[kind];
}

size_t
error_join(char *text)
{
	char *end = strchr(text, '\n');
	if (end == NULL)
		return 0;
	memmove(end + 2, end + 1, strlen(end + 1) + 1);
	end[0] = ':';
	end[1] = ' ';
	return (size_t)(end + 2 - text);
}

__attribute__((format(printf, 2, 0))) static void
set_message(struct error *error, const char *format, va_list args)
{
	vsnprintf(error->message, sizeof(error->message) - 1, format, args);
	text_trim_utf8(error->message);
	error->advice = error_join(error->message);
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

__attribute__((format(printf, 3, 0))) static struct error *
add(struct errors *errors, const struct error *what, const char *format, va_list args)
{
	bool keep = errors_keep(errors, what->kind);
	++*(what->kind == ERROR_WARNING ? &errors->warnings : &errors->count);
	struct error *error = keep ? arena_alloc(errors->arena, sizeof(*error)) : NULL;
	if (error == NULL)
		return NULL;
	*error = *what;
	set_message(error, format, args);
	if (errors->last != NULL)
		errors->last->next = error;
	else
		errors->first = error;
	errors->last = error;
	return error;
}

struct error *
errors_add(struct errors *errors, enum error_kind kind, unsigned line, unsigned column,
	const char *format, ...)
{
	struct error what = {.kind = kind, .rule = rule_of(kind), .line = line, .column = column};
	va_list args;
	va_start(args, format);
	struct error *error = add(errors, &what, format, args);
	va_end(args);
	return error;
}

bool
errors_want(const struct errors *errors, enum rule rule)
{
	return (errors->ignored & 1u << rule) == 0;
}

void
errors_warn(struct errors *errors, enum rule rule, unsigned line, unsigned column,
	const char *format, ...)
{
	struct error what = {.kind = ERROR_WARNING, .rule = rule, .line = line, .column = column};
	va_list args;
	if (!errors_want(errors, rule))
		return;
	va_start(args, format);
	add(errors, &what, format, args);
	va_end(args);
}
