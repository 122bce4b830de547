/* test_names.c -- tests of reading the names in a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/names.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const made[] = {
	"b.yaml", "B.yaml", "a", "b-c.yaml", ".hidden", "_x.yaml", "~", "z~", "ä.yaml"};
static const char *const wanted[] = {"B.yaml", "a", "b-c.yaml", "b.yaml", "ä.yaml"};

static void
names_come_in_bytewise_order_without_those_that_are_ignored(void **state)
{
	char path[] = "/tmp/promptd-names-XXXXXX";
	struct names names;
	(void)state;
	assert_non_null(mkdtemp(path));
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(directory >= 0);
	for (size_t i = 0; i < LENGTH(made); i++)
		close(openat(directory, made[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(names_read(&names, directory), 0);
	assert_int_equal(names.count, LENGTH(wanted));
	for (size_t i = 0; i < LENGTH(wanted); i++)
		assert_string_equal(names.items[i], wanted[i]);
	names_finish(&names);
	for (size_t i = 0; i < LENGTH(made); i++)
		unlinkat(directory, made[i], 0);
	assert_int_equal(names_read(&names, directory), 0);
	assert_int_equal(names.count, 0);
	names_finish(&names);
	close(directory);
	rmdir(path);
}

static void
what_is_no_directory_has_no_names(void **state)
{
	struct names names;
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)state;
	assert_int_equal(names_read(&names, file), ENOTDIR);
	assert_int_equal(names.count, 0);
	names_finish(&names);
	close(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_in_bytewise_order_without_those_that_are_ignored),
		cmocka_unit_test(what_is_no_directory_has_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
