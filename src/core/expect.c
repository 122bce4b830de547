/* expect.c -- says what a document's value should have been. */
#include "core/expect.h"

#include "core/text.h"

void
expect_about(const struct value *value, struct error *error)
{
	if (error != NULL)
		error->value = value;
}

/* How to write what was wanted. */
static const char *
advice(enum value_kind wanted)
{
	static const char *const texts[] = {
		[VALUE_NULL] = "leave it empty",
		[VALUE_BOOL] = "write true or false",
		[VALUE_NUMBER] = "write digits, without quotes",
		[VALUE_STRING] = "put it in quotes, or write it behind |-",
		[VALUE_LIST] = "write a list, [ITEM, ITEM]",
		[VALUE_MAP] = "write a mapping, KEY: VALUE",
	};
	return texts[wanted];
}

bool
expect_kind(
	struct errors *errors, const struct value *value, enum value_kind kind, const char *name)
{
	if (value->kind == kind)
		return true;
	EXPECT_ERROR(errors, ERROR_TYPE, value, "%s must be %s, not %s\n%s", name,
		document_kind_name(kind), document_kind_name(value->kind), advice(kind));
	return false;
}

const char *
expect_string(struct errors *errors, const struct value *value, const char *name)
{
	return expect_kind(errors, value, VALUE_STRING, name) ? value->text : NULL;
}

/* A member of a map whose key was likely meant to be another, or NULL. */
static const struct value *
find_near(const struct value *map, const char *key)
{
	enum { MOST = 100 }; /* nobody misspells among more */
	if (map->kind != VALUE_MAP || map->count > MOST)
		return NULL;
	const struct value *member = map->first;
	while (member != NULL && !text_is_near(member->key, key))
		member = member->next;
	return member;
}

void
expect_missing(struct errors *errors, const struct value *map, const char *key)
{
	const struct value *near = errors_keep(errors, ERROR_MISSING) ? find_near(map, key) : NULL;
	struct error *error;
	struct quote quote;
	if (near != NULL)
		error = errors_add(errors, ERROR_MISSING, near->key_line, near->key_column,
			"%s is missing\nrename %s, if that is meant", key,
			text_quote(&quote, near->key));
	else
		error = errors_add(errors, ERROR_MISSING, map->line, map->column,
			"%s is missing\nadd it", key);
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
	struct quote quote = {""}, other;
	if (errors_keep(errors, kind))
		text_quote(&quote, member->key);
	expect_about(member, errors_add(errors, kind, member->key_line, member->key_column,
				     "unknown key %s%s%s%s", quote.text,
				     meant != NULL ? "\ndid you mean " : "\n",
				     meant != NULL ? text_quote(&other, meant) : expected,
				     meant != NULL ? "?" : ""));
}
