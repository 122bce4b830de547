/* test_marks.c -- tests of what is remembered until the next look. */
#include "support.h"

#include <stdio.h>

#include "server/marks.h"

static void
a_mark_is_made_once(void **state)
{
	struct marks marks = {0};
	(void)state;
	assert_null(marks_find(&marks, "a"));
	struct mark *mark = marks_make(&marks, "a");
	assert_ptr_equal(marks_make(&marks, "a"), mark);
	assert_ptr_equal(marks_find(&marks, "a"), mark);
	assert_int_equal(marks.count, 1);
	marks_clear(&marks);
	assert_null(marks_find(&marks, "a"));
}

static void
what_stands_above_is_found(void **state)
{
	static const struct {
		const char *marked, *asked;
		bool above;
	} rows[] = {
		{"a",   "a/b",        true },
		{"a",   "a/b/c.yaml", true },
		{"a/b", "a/b/c.yaml", true },
		{"",    "a.yaml",     true },
		{"",    "a/b.yaml",   true },
		{"a",   "a",          false},
		{"a",   "ab/c",       false},
		{"a/b", "a/c",        false},
		{"",    "",           false},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct marks marks = {0};
		marks_make(&marks, rows[i].marked)->transacted = true;
		struct mark_above above = marks_above(&marks, rows[i].asked);
		EXPECT(above.marked == rows[i].above && above.transacted == rows[i].above,
			"\"%s\" above \"%s\"", rows[i].marked, rows[i].asked);
		marks_clear(&marks);
	}
}

static void
a_look_takes_what_was_there_before_it(void **state)
{
	struct marks marks = {0};
	(void)state;
	marks_make(&marks, "before")->fresh = true;
	marks_make(&marks, "again")->fresh = true;
	marks_make(&marks, "kept")->fresh = true;
	marks_begin_look(&marks);
	marks_find(&marks, "again")->fresh = true;
	marks_find(&marks, "kept")->keep = true;
	marks_make(&marks, "during")->fresh = true;
	assert_true(marks_find(&marks, "before")->looked);
	assert_false(marks_find(&marks, "during")->looked);
	marks_forget_looked(&marks);
	assert_null(marks_find(&marks, "before"));
	assert_non_null(marks_find(&marks, "again"));
	assert_non_null(marks_find(&marks, "kept"));
	assert_non_null(marks_find(&marks, "during"));
	marks_begin_look(&marks);
	marks_forget_looked(&marks);
	assert_int_equal(marks.count, 0);
	marks_clear(&marks);
}

static void
a_look_at_everything_is_over_when_nothing_new_came(void **state)
{
	struct marks marks = {0};
	(void)state;
	marks_all(&marks);
	assert_true(marks_has_all(&marks));
	marks_begin_look(&marks);
	assert_true(marks_above(&marks, "a/b").looked);
	marks_lose(&marks); /* meanwhile */
	marks_forget_looked(&marks);
	assert_true(marks_has_all(&marks));
	marks_begin_look(&marks);
	marks_forget_looked(&marks);
	assert_false(marks_has_all(&marks));
	marks_make(&marks, "");
	assert_true(marks_has_all(&marks));
	marks_clear(&marks);
}

static void
too_many_marks_become_a_look_at_everything(void **state)
{
	struct marks marks = {0};
	(void)state;
	for (int i = 0; i < 70000 && !marks.all; i++) {
		char path[32];
		snprintf(path, sizeof(path), "d/%d.yaml", i);
		marks_make(&marks, path);
	}
	assert_true(marks_has_all(&marks));
	assert_null(marks_make(&marks, "a"));
	assert_non_null(marks_find(&marks, "d/0.yaml")); /* whose evidence stays */
	marks_begin_look(&marks);
	marks_forget_looked(&marks);
	assert_non_null(marks_make(&marks, "a"));
	marks_clear(&marks);
}

static void
what_was_lost_is_not_known(void **state)
{
	struct marks marks = {0};
	(void)state;
	struct mark *mark = marks_make(&marks, "a");
	mark->own = (struct sighting){EVIDENCE_COMPLETE, 1};
	marks_lose(&marks);
	assert_ptr_equal(marks_find(&marks, "a"), mark); /* a look may be at it */
	assert_int_equal(mark->own.evidence, EVIDENCE_NONE);
	marks_clear(&marks);
}

static void
writers_are_remembered(void **state)
{
	struct marks marks = {0};
	(void)state;
	marks_make(&marks, "d/a")->own = (struct sighting){EVIDENCE_WRITING, 1};
	marks_make(&marks, "d/b")->own = (struct sighting){EVIDENCE_COMPLETE, 1};
	marks_make(&marks, "dd/a")->own = (struct sighting){EVIDENCE_WRITING, 1};
	marks_move_writers(&marks, "d", "e/f");
	assert_int_equal(marks_find(&marks, "e/f/a")->own.evidence, EVIDENCE_WRITING);
	assert_null(marks_find(&marks, "e/f/b"));
	marks_forget_below(&marks, "e");
	assert_int_equal(marks_find(&marks, "e/f/a")->own.evidence, EVIDENCE_NONE);
	marks_begin_look(&marks);
	marks_forget_looked(&marks);
	assert_int_equal(marks.count, 2); /* d/a and dd/a */
	assert_int_equal(mark_written_ms(marks_find(&marks, "d/a")), 1);
	marks_find(&marks, "d/a")->own.evidence = EVIDENCE_COMPLETE;
	marks_begin_look(&marks);
	marks_forget_looked(&marks);
	assert_int_equal(marks.count, 1);
	marks_clear(&marks);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_made_once),
		cmocka_unit_test(what_stands_above_is_found),
		cmocka_unit_test(a_look_takes_what_was_there_before_it),
		cmocka_unit_test(a_look_at_everything_is_over_when_nothing_new_came),
		cmocka_unit_test(too_many_marks_become_a_look_at_everything),
		cmocka_unit_test(what_was_lost_is_not_known),
		cmocka_unit_test(writers_are_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
