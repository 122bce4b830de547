/* test_document.c -- tests of the parsed form: its checks, its budget, merging and paths. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/yaml.h"

/* A document whose parts live until it is freed. */
struct fixture {
	struct arena *arena;
	struct errors errors;
	struct document document;
};

static struct fixture *
fixture_new(void)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	fixture->arena = arena_new();
	assert_non_null(fixture->arena);
	fixture->errors.arena = fixture->arena;
	fixture->document.arena = fixture->arena;
	fixture->document.errors = &fixture->errors;
	return fixture;
}

static void
fixture_free(struct fixture *fixture)
{
	arena_free(fixture->arena);
	free(fixture);
}

static void
texts_are_checked_first(void **state)
{
	static const struct {
		const char *text, *message;
		unsigned line, column;
	} cases[] = {
		ROW("a: b\n", NULL, 0, 0),
		ROW("é\n", NULL, 0, 0),
		ROW("", "the file is empty: write something into it, or delete it", 1, 1),
		ROW("\xff", "not UTF-8: save the file as UTF-8", 1, 1),
		ROW("one\né\xe9", "not UTF-8: save the file as UTF-8", 2, 2),
		ROW("<<<<<<< HEAD\n",
			"an unresolved merge conflict: resolve it and remove the marks", 1, 1),
		ROW("a\n>>>>>>> b", "an unresolved merge conflict: resolve it and remove the marks",
			2, 1),
		ROW("a: <<<<<<< b\n >>>>>>> c\n", NULL, 0, 0),
		ROW("a\n<<<<<<<\n=======\n>>>>>>", NULL, 0, 0),
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct fixture *fixture = fixture_new();
		int result = document_check_text(
			&fixture->document, cases[i].text, strlen(cases[i].text));
		const struct error *error = fixture->errors.first;
		EXPECT((result != 0) == (cases[i].message != NULL), "case %zu: %d", i, result);
		EXPECT((error != NULL) == (cases[i].message != NULL), "case %zu: error", i);
		if (error != NULL)
			EXPECT(strcmp(error->message, cases[i].message) == 0 &&
					error->line == cases[i].line &&
					error->column == cases[i].column,
				"case %zu: %u:%u: %s", i, error->line, error->column,
				error->message);
		fixture_free(fixture);
	}
}

static void
values_are_counted(void **state)
{
	struct fixture *fixture = fixture_new();
	(void)state;
	for (size_t i = 0; i < DOCUMENT_MAX_NODES; i++)
		EXPECT(document_value(&fixture->document, VALUE_NULL, "", 1, 1) != NULL,
			"value %zu", i);
	assert_null(document_value(&fixture->document, VALUE_NULL, "", 7, 8));
	assert_int_equal(fixture->errors.count, 1);
	assert_int_equal(fixture->errors.first->line, 7);
	assert_int_equal(fixture->errors.first->column, 8);
	fixture_free(fixture);
}

static void
texts_are_counted_with_their_aliases(void **state)
{
	enum { ALIASES = 8 };
	struct fixture *fixture = fixture_new();
	size_t length = DOCUMENT_MAX_BYTES / ALIASES;
	char *text = arena_alloc(fixture->arena, length + 1);
	(void)state;
	memset(text, 'x', length);
	text[length] = '\0';
	struct value *value = document_value(&fixture->document, VALUE_STRING, text, 1, 1);
	for (size_t i = 1; i < ALIASES; i++)
		EXPECT(document_alias(&fixture->document, value, 1, 1) != NULL, "alias %zu", i);
	assert_null(document_alias(&fixture->document, value, 1, 1));
	fixture_free(fixture);
}

/* Keys are told to clients like values, so an alias must not multiply them for nothing. */
static void
keys_are_counted_with_their_aliases(void **state)
{
	struct buffer text = {0};
	(void)state;
	buffer_puts(&text, "x-a: &a\n  ? \"");
	for (size_t i = 0; i < 10000; i++)
		buffer_puts(&text, "0123456789");
	buffer_puts(&text, "\"\n  : 1\nx-b: [");
	for (size_t i = 0; i < 100; i++)
		buffer_puts(&text, "*a, ");
	buffer_puts(&text, "*a]\n");
	struct fixture *fixture = fixture_new();
	int result = yaml_parse(&fixture->document, text.data, text.length);
	EXPECT(result == -1 && fixture->errors.count == 1,
		"100 kB of key times 100 aliases were accepted");
	fixture_free(fixture);
	buffer_finish(&text);
}

static void
keys_are_counted_like_texts(void **state)
{
	enum { KEYS = 8 };
	struct fixture *fixture = fixture_new();
	size_t length = DOCUMENT_MAX_BYTES / KEYS;
	char *key = arena_alloc(fixture->arena, length + 1);
	(void)state;
	memset(key, 'k', length);
	key[length] = '\0';
	for (size_t i = 0; i <= KEYS; i++) {
		struct value *value = document_value(&fixture->document, VALUE_NULL, "", 1, 1);
		EXPECT((document_set_key(&fixture->document, value, key, 2, 3) == 0) == (i < KEYS),
			"key %zu", i);
	}
	assert_int_equal(fixture->errors.count, 1);
	assert_int_equal(fixture->errors.first->line, 2);
	assert_int_equal(fixture->errors.first->column, 3);
	fixture_free(fixture);
}

static void
members_are_found(void **state)
{
	static const char text[] = "{a: 1, b: {c: 2}, ä: 3}";
	struct fixture *fixture = fixture_new();
	(void)state;
	assert_int_equal(yaml_parse(&fixture->document, text, strlen(text)), 0);
	const struct value *root = fixture->document.first;
	assert_int_equal(root->count, 3);
	assert_string_equal(document_find(root, "a")->text, "1");
	assert_string_equal(document_find(root, "ä")->text, "3");
	assert_string_equal(document_find(document_find(root, "b"), "c")->text, "2");
	assert_null(document_find(root, "c"));
	assert_null(document_find(root, ""));
	fixture_free(fixture);
}

static void
members_can_be_sorted(void **state)
{
	static const char text[] = "{b: 1, a: 2, ä: 3, B: 4, '': 5, aa: 6}";
	static const char *const keys[] = {"", "B", "a", "aa", "b", "ä"};
	struct fixture *fixture = fixture_new();
	(void)state;
	assert_int_equal(yaml_parse(&fixture->document, text, strlen(text)), 0);
	const struct value *root = fixture->document.first;
	const struct value **sorted = document_sort(fixture->arena, root);
	for (size_t i = 0; i < LENGTH(keys); i++)
		EXPECT(strcmp(sorted[i]->key, keys[i]) == 0, "%zu: %s", i, sorted[i]->key);
	assert_string_equal(root->first->key, "b");
	fixture_free(fixture);
}

static void
places_are_counted_in_characters(void **state)
{
	static const char text[] = "é: [ü, {ö: x}]\n\"k\":\n  z\n";
	struct fixture *fixture = fixture_new();
	(void)state;
	assert_int_equal(yaml_parse(&fixture->document, text, strlen(text)), 0);
	const struct value *root = fixture->document.first;
	const struct value *x = root->first->first->next->first;
	assert_int_equal(x->line, 1);
	assert_int_equal(x->column, 12);
	assert_int_equal(x->key_column, 9);
	const struct value *z = document_find(root, "k");
	assert_int_equal(z->key_line, 2);
	assert_int_equal(z->key_column, 1);
	assert_int_equal(z->line, 3);
	assert_int_equal(z->column, 3);
	fixture_free(fixture);
}

static void
levels_and_values_are_counted(void **state)
{
	static const struct {
		const char *text;
		unsigned levels;
		size_t nodes;
	} cases[] = {
		{"a",                     0, 1},
		{"[]",                    1, 1},
		{"{}",                    1, 1},
		{"[a]",                   1, 2},
		{"[a, [b]]",              2, 4},
		{"{a: {b: {c: d}}}",      3, 4},
		{"[&a [x], *a, *a]",      2, 7},
		{"[&a {b: c}, {<<: *a}]", 2, 5},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct fixture *fixture = fixture_new();
		assert_int_equal(
			yaml_parse(&fixture->document, cases[i].text, strlen(cases[i].text)), 0);
		const struct value *root = fixture->document.first;
		EXPECT(root->levels == cases[i].levels && root->nodes == cases[i].nodes,
			"%s: %u levels, %zu values", cases[i].text, root->levels, root->nodes);
		fixture_free(fixture);
	}
}

static void
paths_lead_to_values(void **state)
{
	static const char text[] = "{a: 1, b: [x, {c: [y, z]}]}";
	struct fixture *fixture = fixture_new();
	struct buffer out = {0};
	(void)state;
	assert_int_equal(yaml_parse(&fixture->document, text, strlen(text)), 0);
	const struct value *root = fixture->document.first;
	const struct value *z = root->last->last->first->last;
	buffer_puts(&out, "\"body\"");
	document_put_path(root, z, &out);
	document_put_path(root, root, &out);
	assert_string_equal(out.data, "\"body\",\"b\",1,\"c\",1");
	buffer_finish(&out);
	fixture_free(fixture);
}

static void
kinds_have_names(void **state)
{
	static const char *const names[] = {
		"null", "a boolean", "a number", "a string", "a list", "a mapping"};
	(void)state;
	for (int kind = VALUE_NULL; kind <= VALUE_MAP; kind++)
		assert_string_equal(document_kind_name((enum value_kind)kind), names[kind]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_checked_first),
		cmocka_unit_test(values_are_counted),
		cmocka_unit_test(texts_are_counted_with_their_aliases),
		cmocka_unit_test(keys_are_counted_with_their_aliases),
		cmocka_unit_test(keys_are_counted_like_texts),
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(members_can_be_sorted),
		cmocka_unit_test(places_are_counted_in_characters),
		cmocka_unit_test(levels_and_values_are_counted),
		cmocka_unit_test(paths_lead_to_values),
		cmocka_unit_test(kinds_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
