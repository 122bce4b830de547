/* variables.c -- what a prompt's declarations of its variables may be. */
#include "core/variables.h"

#include <stddef.h>
#include <string.h>

#include "core/expect.h"
#include "core/template.h"
#include "core/text.h"

static void
check_description(struct errors *errors, const struct value *value)
{
	expect_string(errors, value, "description");
}

static void
check_required(struct errors *errors, const struct value *value)
{
	expect_kind(errors, value, VALUE_BOOL, "required");
}

static void
check_default(struct errors *errors, const struct value *value)
{
	if (value->kind == VALUE_LIST || value->kind == VALUE_MAP)
		EXPECT_ERROR(errors, ERROR_TYPE, value,
			"default must be a string, a number or a boolean, not %s\nquote it if it "
			"is text",
			document_kind_name(value->kind));
}

/* The keys of a declaration; rendering takes their values from the document. */
static const struct field {
	const char *name;
	void (*check)(struct errors *, const struct value *);
	const char *help;
	const char *schema;
} fields[] = {
  /* clang-format off */
	{"description", check_description, "What it is for.",
		SCHEMA("'string'", "description must be a string: put it in quotes, or write it behind |-", "")},
	{"required", check_required, "Whether callers must give it; true if not said.",
		SCHEMA("'boolean'", "required must be a boolean: write true or false", ",'default':true")},
	{"default", check_default, "What stands there where callers give nothing.",
		SCHEMA("'string','number','boolean'",
			"default must be a string, a number or a boolean: quote it if it is text", "")},
  /* clang-format on */
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static const struct field *
find_field(const char *key)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(key, fields[i].name) == 0)
			return &fields[i];
	return NULL;
}

bool
variables_is_key(const char *key)
{
	return find_field(key) != NULL;
}

void
variables_each_key(schema_on_key *on_key, void *context)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		on_key(context, &(struct schema_key){
					fields[i].name, fields[i].help, fields[i].schema, false});
}

static void
add_unknown(struct errors *errors, enum error_kind kind, const struct value *item)
{
	const char *meant = NULL;
	bool keep = errors_keep(errors, kind);
	for (size_t i = 0; i < N_FIELDS && keep; i++)
		if (text_is_near(item->key, fields[i].name))
			meant = fields[i].name;
	expect_unknown(
		errors, kind, item, meant, "a variable has description, required and default");
}

static void
check_variable(struct errors *errors, const struct value *value, enum error_kind unknown)
{
	struct quote quote;
	if (!template_is_name(value->key))
		expect_about(
			value, errors_add(errors, ERROR_VALUE, value->key_line, value->key_column,
				       "the variable %s does not fit\nuse letters, digits and _",
				       text_quote(&quote, value->key)));
	if (value->kind == VALUE_NULL || !expect_kind(errors, value, VALUE_MAP, "a variable"))
		return;
	for (const struct value *item = value->first; item != NULL; item = item->next) {
		const struct field *field = find_field(item->key);
		if (field == NULL)
			add_unknown(errors, unknown, item);
		else if (item->kind != VALUE_NULL)
			field->check(errors, item);
	}
}

void
variables_check(struct errors *errors, const struct value *variables, enum error_kind unknown)
{
	for (const struct value *member = variables->first; member != NULL; member = member->next)
		check_variable(errors, member, unknown);
}
