/* test_buffer.c -- tests of text that grows at its end. */
#include "support.h"

#include <string.h>

#include "core/buffer.h"

static void
pieces_follow_one_another(void **state)
{
	struct buffer buffer = {0};
	(void)state;
	buffer_put(&buffer, "one", 3);
	buffer_putc(&buffer, ' ');
	buffer_puts(&buffer, "two");
	buffer_printf(&buffer, " %d%s", 3, "");
	buffer_put(&buffer, "", 0);
	assert_string_equal(buffer.data, "one two 3");
	assert_int_equal(buffer.length, 9);
	buffer_finish(&buffer);
	assert_null(buffer.data);
	assert_int_equal(buffer.length, 0);
}

static void
it_grows_with_its_text(void **state)
{
	struct buffer buffer = {0};
	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		buffer_putc(&buffer, (char)('a' + i % 26));
		assert_int_equal(buffer.length, i + 1);
		assert_int_equal(buffer.data[i + 1], '\0');
	}
	buffer_printf(&buffer, "%300000d", 1);
	assert_int_equal(buffer.length, 400000);
	for (size_t i = 0; i < 100000; i++)
		EXPECT(buffer.data[i] == (char)('a' + i % 26), "byte %zu", i);
	assert_false(buffer.failed);
	buffer_finish(&buffer);
}

static void
bytes_may_be_any(void **state)
{
	struct buffer buffer = {0};
	(void)state;
	buffer_put(&buffer, "a\0b", 3);
	buffer_putc(&buffer, '\0');
	assert_int_equal(buffer.length, 4);
	assert_memory_equal(buffer.data, "a\0b\0", 5);
	buffer_finish(&buffer);
}

static void
clearing_keeps_the_memory(void **state)
{
	struct buffer buffer = {0};
	(void)state;
	buffer_printf(&buffer, "%5000d", 1);
	char *data = buffer.data;
	buffer_clear(&buffer);
	assert_int_equal(buffer.length, 0);
	buffer_puts(&buffer, "again");
	assert_ptr_equal(buffer.data, data);
	assert_string_equal(buffer.data, "again");
	buffer_finish(&buffer);
}

static void
too_much_fails_until_cleared(void **state)
{
	struct buffer buffer = {0};
	(void)state;
	buffer_puts(&buffer, "kept");
	buffer_put(&buffer, "x", SIZE_MAX - 2);
	assert_true(buffer.failed);
	buffer_puts(&buffer, "dropped");
	buffer_putc(&buffer, 'x');
	buffer_printf(&buffer, "%d", 1);
	assert_string_equal(buffer.data, "kept");
	assert_int_equal(buffer.length, 4);
	buffer_clear(&buffer);
	assert_false(buffer.failed);
	buffer_puts(&buffer, "new");
	assert_string_equal(buffer.data, "new");
	buffer_finish(&buffer);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_follow_one_another),
		cmocka_unit_test(it_grows_with_its_text),
		cmocka_unit_test(bytes_may_be_any),
		cmocka_unit_test(clearing_keeps_the_memory),
		cmocka_unit_test(too_much_fails_until_cleared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
