/* expect.c -- says what a document's value should have been. */
#include "core/expect.h"

void
expect_about(const struct value *value, struct error *error)
{
	if (error != NULL)
		error->value = value;
}

bool
expect_kind(
	struct errors *errors, const struct value *value, enum value_kind kind, const char *name)
{
	if (value->kind == kind)
		return true;
	bool quotable =
		kind == VALUE_STRING && (value->kind == VALUE_NUMBER || value->kind == VALUE_BOOL);
	EXPECT_ERROR(errors, ERROR_TYPE, value, "%s must be %s, not %s%s", name,
		document_kind_name(kind), document_kind_name(value->kind),
		quotable ? ": put it in quotes" : "");
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
	struct error *error =
		errors_add(errors, ERROR_MISSING, map->line, map->column, "%s is missing", key);
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
