/* test_scalar.c -- tests of what plain YAML scalars mean, in YAML 1.2 and in YAML 1.1. */
#include "support.h"

#include <string.h>

#include "core/arena.h"
#include "core/scalar.h"

#define NULL_ VALUE_NULL
#define BOOL VALUE_BOOL
#define NUMBER VALUE_NUMBER
#define STRING VALUE_STRING

/* YAML 1.2.2 section 10.3.2; a number's text as JSON, and what PyYAML would read instead. */
static const struct {
	const char *scalar;
	enum value_kind kind;
	const char *json, *in_yaml11;
} cases[] = {
	ROW("", NULL_, "", NULL),
	ROW("~", NULL_, "~", NULL),
	ROW("null", NULL_, "null", NULL),
	ROW("Null", NULL_, "Null", NULL),
	ROW("NULL", NULL_, "NULL", NULL),
	ROW("nULL", STRING, "nULL", NULL),
	ROW("nul", STRING, "nul", NULL),
	ROW("~~", STRING, "~~", NULL),
	ROW("true", BOOL, "true", NULL),
	ROW("True", BOOL, "True", NULL),
	ROW("TRUE", BOOL, "TRUE", NULL),
	ROW("false", BOOL, "false", NULL),
	ROW("False", BOOL, "False", NULL),
	ROW("FALSE", BOOL, "FALSE", NULL),
	ROW("tRUE", STRING, "tRUE", NULL),
	ROW("no", STRING, "no", "the boolean false"),
	ROW("No", STRING, "No", "the boolean false"),
	ROW("NO", STRING, "NO", "the boolean false"),
	ROW("off", STRING, "off", "the boolean false"),
	ROW("yes", STRING, "yes", "the boolean true"),
	ROW("ON", STRING, "ON", "the boolean true"),
	ROW("On", STRING, "On", "the boolean true"),
	ROW("nO", STRING, "nO", NULL),
	ROW("y", STRING, "y", NULL),
	ROW("n", STRING, "n", NULL),
	ROW("no way", STRING, "no way", NULL),
	ROW("0", NUMBER, "0", NULL),
	ROW("-0", NUMBER, "-0", NULL),
	ROW("+1", NUMBER, "1", NULL),
	ROW("-1", NUMBER, "-1", NULL),
	ROW("12", NUMBER, "12", NULL),
	ROW("9223372036854775808", NUMBER, "9223372036854775808", NULL),
	ROW("014", NUMBER, "14", "an octal number"),
	ROW("-014", NUMBER, "-14", "an octal number"),
	ROW("08", NUMBER, "8", "text"),
	ROW("0o14", NUMBER, "12", "text"),
	ROW("0o18", STRING, "0o18", NULL),
	ROW("0o", STRING, "0o", NULL),
	ROW("-0o14", STRING, "-0o14", NULL),
	ROW("0x1F", NUMBER, "31", NULL),
	ROW("0xffffffffffffffff", NUMBER, "18446744073709551615", NULL),
	ROW("0x10000000000000000", NUMBER, NULL, NULL),
	ROW("0x", STRING, "0x", NULL),
	ROW("0X1F", STRING, "0X1F", NULL),
	ROW("0x1G", STRING, "0x1G", NULL),
	ROW("-0x1F", STRING, "-0x1F", "a number"),
	ROW("0b11", STRING, "0b11", "a number"),
	ROW("-0b11", STRING, "-0b11", "a number"),
	ROW("0b12", STRING, "0b12", NULL),
	ROW("1_000", STRING, "1_000", "a number"),
	ROW("1_000.5", STRING, "1_000.5", "a number"),
	ROW("0x1_F", STRING, "0x1_F", "a number"),
	ROW("_1", STRING, "_1", NULL),
	ROW("1.5", NUMBER, "1.5", NULL),
	ROW("1.10", NUMBER, "1.10", NULL),
	ROW("1.", NUMBER, "1.0", NULL),
	ROW(".5", NUMBER, "0.5", NULL),
	ROW("-.5", NUMBER, "-0.5", "text"),
	ROW("+.5", NUMBER, "0.5", "text"),
	ROW("+1.5", NUMBER, "1.5", NULL),
	ROW("00.5", NUMBER, "0.5", NULL),
	ROW("-01.50", NUMBER, "-1.50", NULL),
	ROW(".", STRING, ".", NULL),
	ROW("-", STRING, "-", NULL),
	ROW("+", STRING, "+", NULL),
	ROW("1.2.3", STRING, "1.2.3", NULL),
	ROW("1e3", NUMBER, "1e3", "text"),
	ROW("1E3", NUMBER, "1E3", "text"),
	ROW("1e+3", NUMBER, "1e+3", "text"),
	ROW("1.5e3", NUMBER, "1.5e3", "text"),
	ROW("1.5e+3", NUMBER, "1.5e+3", NULL),
	ROW("1.5e-3", NUMBER, "1.5e-3", NULL),
	ROW("+01.e3", NUMBER, "1.0e3", "text"),
	ROW("e3", STRING, "e3", NULL),
	ROW("1e", STRING, "1e", NULL),
	ROW("1e+", STRING, "1e+", NULL),
	ROW(".e3", STRING, ".e3", NULL),
	ROW("1e3.5", STRING, "1e3.5", NULL),
	ROW(".nan", NUMBER, NULL, NULL),
	ROW(".NaN", NUMBER, NULL, NULL),
	ROW(".NAN", NUMBER, NULL, NULL),
	ROW(".inf", NUMBER, NULL, NULL),
	ROW("-.Inf", NUMBER, NULL, NULL),
	ROW("+.INF", NUMBER, NULL, NULL),
	ROW("-.nan", STRING, "-.nan", NULL),
	ROW("nan", STRING, "nan", NULL),
	ROW("inf", STRING, "inf", NULL),
	ROW("1:30", STRING, "1:30", "a number of base 60"),
	ROW("-1:30", STRING, "-1:30", "a number of base 60"),
	ROW("12:30:45", STRING, "12:30:45", "a number of base 60"),
	ROW("12:30:45.5", STRING, "12:30:45.5", "a number of base 60"),
	ROW("1:60", STRING, "1:60", NULL),
	ROW("1:300", STRING, "1:300", NULL),
	ROW("09:30", STRING, "09:30", NULL),
	ROW("0:30", STRING, "0:30", NULL),
	ROW("1:", STRING, "1:", NULL),
	ROW("2024-01-31", STRING, "2024-01-31", "a date"),
	ROW("2024-01-31T10:00:00Z", STRING, "2024-01-31T10:00:00Z", "a date"),
	ROW("2024-01-31 10:00:00", STRING, "2024-01-31 10:00:00", "a date"),
	ROW("2024-01-31 is a day", STRING, "2024-01-31 is a day", NULL),
	ROW("2024-1-3", STRING, "2024-1-3", NULL),
	ROW("2024-01", STRING, "2024-01", NULL),
	ROW("12024-01-31", STRING, "12024-01-31", NULL),
};

static const char *
shown(const char *text)
{
	return text != NULL ? text : "none";
}

static int
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
scalars_follow_the_core_schema(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *json;
		enum value_kind kind = scalar_resolve(arena, cases[i].scalar, &json);
		EXPECT(kind == cases[i].kind, "%s: %s, wanted %s", cases[i].scalar,
			document_kind_name(kind), document_kind_name(cases[i].kind));
		EXPECT(same(json, cases[i].json), "%s: %s, wanted %s", cases[i].scalar, shown(json),
			shown(cases[i].json));
	}
	arena_free(arena);
}

static void
differences_from_yaml11_are_known(void **state)
{
	size_t wrong = 0;
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *other = scalar_in_yaml11(cases[i].scalar);
		if (same(other, cases[i].in_yaml11))
			continue;
		print_message("%s: %s, wanted %s\n", cases[i].scalar, shown(other),
			shown(cases[i].in_yaml11));
		wrong++;
	}
	EXPECT(wrong == 0, "%zu scalars", wrong);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_follow_the_core_schema),
		cmocka_unit_test(differences_from_yaml11_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
