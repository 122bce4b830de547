/* expect.c -- says what a document's value should have been. */
#include "core/expect.h"

#include "core/text.h"

void
expect_about(const struct value *value, struct error *error)
{
	if (error != NULL)
		error->value = value;
}

/* How to write what was wanted instead of what was found. */
static const char *
advice(enum value_kind wanted, enum value_kind found)
{
	static const char *const others[] = {
		[VALUE_NULL] = "leave it empty",
		[VALUE_BOOL] = "write true or false",
		[VALUE_NUMBER] = "write digits, without quotes",
		[VALUE_STRING] = "write it as text",
		[VALUE_LIST] = "write a list, [ITEM, ITEM]",
		[VALUE_MAP] = "write a mapping, KEY: VALUE",
	};
	if (wanted != VALUE_STRING)
		return others[wanted];
	if (found == VALUE_NUMBER || found == VALUE_BOOL)
		return "put it in quotes";
	if (found == VALUE_MAP)
		return "quote text that starts with { or holds \": \", or write it behind |-";
	if (found == VALUE_LIST)
		return "quote text that starts with [ or -, or write it behind |-";
	return others[wanted];
}

bool
expect_kind(
	struct errors *errors, const struct value *value, enum value_kind kind, const char *name)
{
	if (value->kind == kind)
		return true;
	EXPECT_ERROR(errors, ERROR_TYPE, value, "%s must be %s, not %s\n%s", name,
		document_kind_name(kind), document_kind_name(value->kind),
		advice(kind, value->kind));
	return false;
}

const char *
expect_string(struct errors *errors, const struct value *value, const char *name)
{
	return expect_kind(errors, value, VALUE_STRING, name) ? value->text : NULL;
}

void
expect_missing(struct errors *errors, const struct value *map, const char *key)
{
	struct error *error = errors_add(
		errors, ERROR_MISSING, map->line, map->column, "%s is missing\nadd it", key);
	expect_about(map, error);
	if (error != NULL)
		error->key = key;
}

const struct value *
expect_member(struct errors *errors, const struct value *map, const char *key)
{
	const struct value *member = document_find(map, key);
	if (member == NULL)
		expect_missing(errors, map, key);
	return member;
}

void
expect_unknown(struct errors *errors, enum error_kind kind, const struct value *member,
	const char *meant, const char *expected)
{
	struct quote quote, other;
	text_quote(&quote, member->key);
	expect_about(member, errors_add(errors, kind, member->key_line, member->key_column,
				     "unknown key %s%s%s%s", quote.text,
				     meant != NULL ? "\ndid you mean " : "\n",
				     meant != NULL ? text_quote(&other, meant) : expected,
				     meant != NULL ? "?" : ""));
}
