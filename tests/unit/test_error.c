/* test_error.c -- tests of how the errors of a file are kept. */
#include "support.h"

#include <string.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"

static void
errors_keep_their_order_and_place(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	errors_add(&errors, ERROR_TYPE, 3, 7, "%s must be %s", "a", "b");
	errors_add(&errors, ERROR_WARNING, 1, 1, "odd");
	struct error *last = errors_add(&errors, ERROR_MISSING, 2, 2, "c is missing");
	assert_int_equal(errors.count, 2);
	assert_string_equal(errors.first->message, "a must be b");
	assert_int_equal(errors.first->line, 3);
	assert_int_equal(errors.first->column, 7);
	assert_int_equal(errors.first->next->kind, ERROR_WARNING);
	assert_ptr_equal(errors.last, last);
	assert_null(last->next);
	assert_null(last->value);
	assert_null(last->key);
	arena_free(errors.arena);
}

static size_t
count_kept(const struct errors *errors)
{
	size_t kept = 0;
	for (const struct error *error = errors->first; error != NULL; error = error->next)
		kept++;
	return kept;
}

/* Of each kind: many warnings do not hide an error. */
static void
no_more_than_fifty_are_kept(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	for (unsigned i = 1; i <= 60; i++) {
		EXPECT(errors_keep(&errors, ERROR_WARNING) == (i <= 50), "warning %u", i);
		EXPECT((errors_add(&errors, ERROR_WARNING, i, 1, "odd") != NULL) == (i <= 50),
			"warning %u", i);
	}
	assert_int_equal(errors.count, 0);
	for (unsigned i = 1; i <= 60; i++) {
		EXPECT(errors_keep(&errors, ERROR_TYPE) == (i <= 50), "error %u", i);
		EXPECT((errors_add(&errors, ERROR_VALUE, i, 1, "bad") != NULL) == (i <= 50),
			"error %u", i);
	}
	assert_int_equal(count_kept(&errors), 100);
	assert_int_equal(errors.count, 60);
	assert_int_equal(errors.warnings, 60);
	arena_free(errors.arena);
}

/* A message that does not fit is cut, but not within a character. */
static void
long_messages_stay_utf8(void **state)
{
	struct error error;
	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		char text[400];
		size_t length = (size_t)shift;
		memset(text, 'x', length);
		for (; length + 4 < sizeof(text); length += 4)
			memcpy(text + length, "😀", 4);
		text[length] = '\0';
		error_set(&error, "%s", text);
		length = strlen(error.message);
		EXPECT(length >= sizeof(error.message) - 5 && length < sizeof(error.message),
			"shift %d: %zu bytes", shift, length);
		EXPECT(text_utf8_span(error.message, length) == length, "shift %d: not UTF-8",
			shift);
	}
	error_set(&error, "short %d", 1);
	assert_string_equal(error.message, "short 1");
	assert_int_equal(error.line, 0);
	assert_int_equal(error.column, 0);
}

/* What to do stands behind a line feed in the format, and behind ": " in the message. */
static void
advice_is_on_the_same_line(void **state)
{
	struct error error;
	char text[sizeof(error.message) + 10];
	(void)state;
	error_set(&error, "%s is wrong\nmend %s", "a", "it");
	assert_string_equal(error.message, "a is wrong: mend it");
	assert_string_equal(error.message + error.advice, "mend it");
	error_set(&error, "a is wrong: always");
	assert_int_equal(error.advice, 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, "a\n%s", text);
	assert_int_equal(error.advice, 3);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

/* Warnings have rules, and some are not wanted. */
static void
warnings_are_of_rules(void **state)
{
	struct errors errors = {.arena = arena_new(), .ignored = 1u << RULE_SECRET};
	(void)state;
	assert_false(errors_want(&errors, RULE_SECRET));
	errors_warn(&errors, RULE_SECRET, 1, 1, "unwanted");
	errors_warn(&errors, RULE_CUT_TEXT, 2, 3, "cut %s", "here");
	assert_int_equal(errors.count, 0);
	assert_int_equal(errors.warnings, 1);
	assert_int_equal(errors.first->rule, RULE_CUT_TEXT);
	assert_int_equal(errors.first->line, 2);
	assert_int_equal(errors.first->column, 3);
	assert_string_equal(errors.first->message, "cut here");
	for (int i = 0; i < 60; i++)
		errors_warn(&errors, RULE_CUT_TEXT, 1, 1, "cut");
	assert_false(errors_keep(&errors, ERROR_WARNING));
	assert_int_equal(errors.warnings, 61);
	assert_int_equal(count_kept(&errors), 50);
	arena_free(errors.arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_keep_their_order_and_place),
		cmocka_unit_test(no_more_than_fifty_are_kept),
		cmocka_unit_test(long_messages_stay_utf8),
		cmocka_unit_test(advice_is_on_the_same_line),
		cmocka_unit_test(warnings_are_of_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
