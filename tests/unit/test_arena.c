/* test_arena.c -- tests of memory that is taken piece by piece. */
#include "support.h"

#include <string.h>

#include "core/arena.h"

static void
pieces_are_aligned_and_apart(void **state)
{
	static const size_t sizes[] = {1, 0, 15, 16, 17, 4095, 40000, 3, 32768, 100000, 1};
	char *pieces[LENGTH(sizes)];
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		pieces[i] = arena_alloc(arena, sizes[i]);
		EXPECT(pieces[i] != NULL, "%zu bytes: none", sizes[i]);
		EXPECT((uintptr_t)pieces[i] % _Alignof(max_align_t) == 0, "%zu bytes: not aligned",
			sizes[i]);
		memset(pieces[i], (int)i, sizes[i]);
	}
	for (size_t i = 0; i < LENGTH(sizes); i++)
		for (size_t k = 0; k < sizes[i]; k++)
			EXPECT(pieces[i][k] == (char)i, "piece %zu, byte %zu: overwritten", i, k);
	arena_free(arena);
}

static void
copies_end_in_nul(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	assert_string_equal(arena_copy(arena, "hello", 3), "hel");
	assert_string_equal(arena_copy(arena, "", 0), "");
	assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
	char *wide = arena_printf(arena, "%70000d", 1);
	assert_int_equal(strlen(wide), 70000);
	arena_free(arena);
}

static void
a_reset_gives_the_first_chunk_again(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	char *first = arena_alloc(arena, 10);
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_alloc(arena, 5000));
	arena_reset(arena);
	assert_ptr_equal(arena_alloc(arena, 10), first);
	arena_free(arena);
}

static void
too_much_fails_until_the_reset(void **state)
{
	static const struct {
		const char *name;
		size_t count, size;
	} cases[] = {
		{"all of memory",           1,                 SIZE_MAX        },
		{"half of memory and more", 1,                 SIZE_MAX / 2 + 1},
		{"a product that wraps",    SIZE_MAX / 16 + 2, 16              },
		{"a square that wraps",     SIZE_MAX / 4,      SIZE_MAX / 4    },
	};
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_false(arena_failed(arena));
		EXPECT(arena_array(arena, cases[i].count, cases[i].size) == NULL, "%s: given",
			cases[i].name);
		EXPECT(arena_failed(arena), "%s: not failed", cases[i].name);
		assert_non_null(arena_alloc(arena, 1));
		EXPECT(arena_failed(arena), "%s: forgotten by the next one", cases[i].name);
		arena_reset(arena);
	}
	arena_free(arena);
}

static void
nothing_is_fine(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	arena_free(NULL);
	arena_reset(arena);
	assert_non_null(arena_array(arena, 0, 100));
	assert_non_null(arena_array(arena, 100, 0));
	assert_false(arena_failed(arena));
	arena_free(arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_and_apart),
		cmocka_unit_test(copies_end_in_nul),
		cmocka_unit_test(a_reset_gives_the_first_chunk_again),
		cmocka_unit_test(too_much_fails_until_the_reset),
		cmocka_unit_test(nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
