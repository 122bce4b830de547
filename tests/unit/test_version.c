/* test_version.c -- tests of the order of versions. */
#include "support.h"

#include <stdbool.h>

#include "core/version.h"

/* In the order in which they are listed. */
static const char *const in_order[] = {
	NULL,
	"0",
	"00",
	"01",
	"1",
	"2",
	"009",
	"10",
	"99",
	"100",
	"99999999999999999999",
	"100000000000000000000",
	"1.10",
	"1.9",
	"2.0-rc1",
	"beta",
};

static int
sign(int number)
{
	return (number > 0) - (number < 0);
}

static void
versions_have_one_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(in_order); i++)
		for (size_t k = 0; k < LENGTH(in_order); k++) {
			int wanted = i < k ? -1 : i > k;
			int got = sign(version_compare(in_order[i], in_order[k]));
			EXPECT(got == wanted, "%s and %s: %d, wanted %d",
				in_order[i] != NULL ? in_order[i] : "none",
				in_order[k] != NULL ? in_order[k] : "none", got, wanted);
		}
}

static void
only_digits_are_a_number(void **state)
{
	static const struct {
		const char *version;
		bool number;
	} cases[] = {
		{"1",     true },
		{"0010",  true },
		{"",      false},
		{"1.0",   false},
		{"1-rc1", false},
		{"beta",  false},
		{"1beta", false},
		{NULL,    false},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		EXPECT(version_is_number(cases[i].version) == cases[i].number, "%s",
			cases[i].version != NULL ? cases[i].version : "none");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_have_one_order),
		cmocka_unit_test(only_digits_are_a_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
