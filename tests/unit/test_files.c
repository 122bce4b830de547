/* test_files.c -- tests of the set of known files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buffer.h"
#include "server/files.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void
append_all(struct files *files, const char *const *paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(files_append(files, file_new(paths[i])), 0);
}

static int
put_path(void *context, struct file *file)
{
	buffer_printf(context, "%s ", file->path);
	return 0;
}

static void
expect_each(const struct files *files, const char *path, const char *wanted)
{
	struct buffer got = {0};
	buffer_puts(&got, "");
	assert_int_equal(files_each(files, path, put_path, &got), 0);
	assert_string_equal(got.data, wanted);
	buffer_finish(&got);
}

static void
files_are_merged_in_order_and_found(void **state)
{
	static const char *const first[] = {"b/x.yaml", "a.yaml", "b.yaml", "b"};
	static const char *const second[] = {"zz.yaml", "b-c.yaml", "a", "b/a.yaml"};
	struct files files = {0}, added = {0};
	(void)state;
	append_all(&added, first, LENGTH(first));
	assert_int_equal(files_merge(&files, &added), 0);
	append_all(&added, second, LENGTH(second));
	assert_int_equal(files_merge(&files, &added), 0);
	assert_int_equal(added.count, 0);
	expect_each(&files, "", "a a.yaml b b-c.yaml b.yaml b/a.yaml b/x.yaml zz.yaml ");
	expect_each(&files, "b", "b b/a.yaml b/x.yaml ");
	expect_each(&files, "b/x.yaml", "b/x.yaml ");
	expect_each(&files, "nothing", "");
	assert_non_null(files_find(&files, "b.yaml"));
	assert_null(files_find(&files, "b.yam"));
	files_finish(&files);
	files_finish(&added);
}

static void
what_is_gone_and_told_is_purged(void **state)
{
	static const char *const paths[] = {"changed.yaml", "gone.yaml", "seen.yaml"};
	struct files files = {0}, added = {0};
	(void)state;
	append_all(&added, paths, LENGTH(paths));
	assert_int_equal(files_merge(&files, &added), 0);
	files_find(&files, "changed.yaml")->is_changed = true;
	files_find(&files, "seen.yaml")->seen_ms = 1;
	files_purge(&files);
	expect_each(&files, "", "changed.yaml seen.yaml ");
	files_finish(&files);
	files_finish(&added);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_merged_in_order_and_found),
		cmocka_unit_test(what_is_gone_and_told_is_purged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
