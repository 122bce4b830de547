/* test_expect.c -- tests of what is said of a value that should have been another. */
#include "support.h"

#include <string.h>

#include "core/arena.h"
#include "core/expect.h"

static const struct {
	enum value_kind kind, wanted;
	const char *message; /* NULL: it is what was wanted */
} cases[] = {
	{VALUE_STRING, VALUE_STRING, NULL							 },
	{VALUE_MAP,    VALUE_MAP,    NULL							 },
	{VALUE_NUMBER, VALUE_STRING,
         "it must be a string, not a number: put it in quotes, or write it behind |-"             },
	{VALUE_BOOL,   VALUE_STRING,
         "it must be a string, not a boolean: put it in quotes, or write it behind |-"            },
	{VALUE_NULL,   VALUE_STRING,
         "it must be a string, not null: put it in quotes, or write it behind |-"                 },
	{VALUE_LIST,   VALUE_STRING,
         "it must be a string, not a list: put it in quotes, or write it behind |-"               },
	{VALUE_NUMBER, VALUE_MAP,
         "it must be a mapping, not a number: write a mapping, KEY: VALUE"                        },
	{VALUE_STRING, VALUE_LIST,   "it must be a list, not a string: write a list, [ITEM, ITEM]"},
	{VALUE_STRING, VALUE_BOOL,   "it must be a boolean, not a string: write true or false"    },
};

static void
kinds_are_expected(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct errors errors = {.arena = arena_new()};
		struct value value = {.kind = cases[i].kind, .text = "x", .line = 3, .column = 4};
		bool fits = expect_kind(&errors, &value, cases[i].wanted, "it");
		EXPECT(fits == (cases[i].message == NULL), "case %zu", i);
		EXPECT(errors.count == (fits ? 0 : 1), "case %zu: %zu errors", i, errors.count);
		if (!fits)
			EXPECT(strcmp(errors.first->message, cases[i].message) == 0 &&
					errors.first->line == 3 && errors.first->column == 4 &&
					errors.first->value == &value &&
					errors.first->kind == ERROR_TYPE,
				"case %zu: %s", i, errors.first->message);
		arena_free(errors.arena);
	}
}

static void
strings_are_given(void **state)
{
	struct errors errors = {.arena = arena_new()};
	struct value text = {.kind = VALUE_STRING, .text = "x"};
	struct value list = {.kind = VALUE_LIST, .text = ""};
	(void)state;
	assert_string_equal(expect_string(&errors, &text, "it"), "x");
	assert_null(expect_string(&errors, &list, "it"));
	assert_int_equal(errors.count, 1);
	arena_free(errors.arena);
}

static void
members_are_expected(void **state)
{
	struct errors errors = {.arena = arena_new()};
	struct value member = {.kind = VALUE_NULL, .text = "", .key = "zzz"};
	struct value map = {.kind = VALUE_MAP,
		.text = "",
		.line = 5,
		.column = 6,
		.first = &member,
		.last = &member,
		.count = 1};
	(void)state;
	assert_ptr_equal(expect_member(&errors, &map, "zzz"), &member);
	assert_null(errors.first);
	assert_null(expect_member(&errors, &map, "there"));
	assert_string_equal(errors.first->message, "there is missing: add it");
	assert_int_equal(errors.first->kind, ERROR_MISSING);
	assert_int_equal(errors.first->line, 5);
	assert_int_equal(errors.first->column, 6);
	assert_string_equal(errors.first->key, "there");
	assert_ptr_equal(errors.first->value, &map);
	arena_free(errors.arena);
}

/* An error that is not kept, because there are too many, is about nothing. */
static void
too_many_errors_are_fine(void **state)
{
	struct errors errors = {.arena = arena_new()};
	struct value value = {.kind = VALUE_MAP, .text = ""};
	(void)state;
	for (int i = 0; i < 60; i++) {
		assert_false(expect_kind(&errors, &value, VALUE_STRING, "it"));
		assert_null(expect_member(&errors, &value, "key"));
	}
	assert_int_equal(errors.count, 120);
	arena_free(errors.arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_are_expected),
		cmocka_unit_test(strings_are_given),
		cmocka_unit_test(members_are_expected),
		cmocka_unit_test(too_many_errors_are_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
