/* test_name.c -- tests of the grammar of names and of what a path gives. */
#include "support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/name.h"

struct row {
	const char *name;
	bool fits;
};

static void
expect_rows(const char *what, bool (*fits)(const char *), const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		EXPECT(fits(rows[i].name) == rows[i].fits, "%s \"%s\": wanted %s", what,
			rows[i].name, rows[i].fits ? "yes" : "no");
}

static const struct row ids[] = {
	{"a",	      true },
	{"support/refund", true },
	{"a/b/c",          true },
	{"A B",            true },
	{"größe/漢字", true },
	{"a.b",            true },
	{"a_b",            true },
	{"a#b",            true },
	{"a~b",            true },
	{"~a",             true },
	{"-",	      true },
	{"a..",            true },
	{"a%2Fb",          true },
	{"\xc2\xa0",       true },
	{"",	       false},
	{"/",	      false},
	{"/a",             false},
	{"a/",             false},
	{"a//b",           false},
	{".",	      false},
	{"..",             false},
	{"a/../b",         false},
	{"a/./b",          false},
	{".a",             false},
	{"a/.b",           false},
	{"#a",             false},
	{"a/#b",           false},
	{"_a",             false},
	{"a/_b",           false},
	{"a~",             false},
	{"a~/b",           false},
	{"a@b",            false},
	{"@",	      false},
	{"a\nb",           false},
	{"a\x7f",          false},
	{"\xc2\x80",       false},
	{"a\xc2\x9f",      false},
	{"é\xc2\x85",     false},
	{"\xff",           false},
	{"\xed\xa0\x80",   false},
};

static const struct row versions[] = {
	{"1",       true },
	{"1.10",    true },
	{"2.0-rc1", true },
	{"V2",      true },
	{"0",       true },
	{"1.",      true },
	{"a-",      true },
	{"",        false},
	{".1",      false},
	{"-1",      false},
	{"+1",      false},
	{"1_0",     false},
	{"1 0",     false},
	{"1/2",     false},
	{"1@",      false},
	{"é",      false},
	{"1\n",     false},
};

static const struct row words[] = {
	{"a",          true },
	{"1",          true },
	{"production", true },
	{"team-a_b.c", true },
	{"0a",         true },
	{"",           false},
	{"A",          false},
	{"aB",         false},
	{"_a",         false},
	{"-a",         false},
	{".a",         false},
	{"a b",        false},
	{"a/b",        false},
	{"a@b",        false},
	{"é",         false},
};

static const struct row labels[] = {
	{"production", true },
	{"1a",         true },
	{"1.0",        true },
	{"1-",         true },
	{"1",          false},
	{"0010",       false},
	{"",           false},
	{"Production", false},
};

static const struct row ignored[] = {
	{".git",        true },
	{"..data",      true },
	{".",           true },
	{"#a.yaml#",    true },
	{"_draft.yaml", true },
	{"a.yaml~",     true },
	{"~",           true },
	{"",            true },
	{"a.yaml",      false},
	{"a#.yaml",     false},
	{"~a.yaml",     false},
};

static const struct row prompt_files[] = {
	{"a.yaml",     true },
	{"a.yml",      true },
	{"a.json",     true },
	{"a.b.json",   true },
	{".yaml",      false},
	{"yaml",       false},
	{"a.YAML",     false},
	{"a.yaml.bak", false},
	{"a.json5",    false},
	{"a.txt",      false},
	{"a",          false},
};

static void
names_have_a_grammar(void **state)
{
	(void)state;
	expect_rows("id", name_is_id, ids, LENGTH(ids));
	expect_rows("version", name_is_version, versions, LENGTH(versions));
	expect_rows("word", name_is_word, words, LENGTH(words));
	expect_rows("label", name_is_label, labels, LENGTH(labels));
	expect_rows("ignored", name_is_ignored, ignored, LENGTH(ignored));
	expect_rows("prompt file", name_is_prompt_file, prompt_files, LENGTH(prompt_files));
	assert_true(name_is_json_file("a.json"));
	assert_false(name_is_json_file("a.yaml"));
	assert_false(name_is_json_file("json"));
}

static void
names_have_at_most_200_bytes(void **state)
{
	static const struct {
		const char *name;
		bool (*fits)(const char *);
	} cases[] = {
		{"id",      name_is_id     },
		{"version", name_is_version},
		{"word",    name_is_word   },
		{"label",   name_is_label  },
	};
	char text[202];
	(void)state;
	memset(text, 'a', 201);
	text[201] = '\0';
	for (size_t i = 0; i < LENGTH(cases); i++) {
		EXPECT(!cases[i].fits(text), "%s of 201 bytes", cases[i].name);
		EXPECT(cases[i].fits(text + 1), "%s of 200 bytes", cases[i].name);
	}
}

static const struct {
	const char *path, *id, *version, *project;
	bool project_unfit;
} paths[] = {
	{"greet.yaml",              "greet",           NULL,      NULL,      false},
	{"greet.yml",               "greet",           NULL,      NULL,      false},
	{"greet.json",              "greet",           NULL,      NULL,      false},
	{"support/refund.yaml",     "support/refund",  NULL,      "support", false},
	{"support__refund.yaml",    "support/refund",  NULL,      "support", false},
	{"a/b__c.yaml",             "a/b/c",           NULL,      "a",       false},
	{"a__b/c.yaml",             "a__b/c",          NULL,      "a__b",    false},
	{"greet.v3.yaml",           "greet",           "3",       NULL,      false},
	{"greet.v1.10.yaml",        "greet",           "1.10",    NULL,      false},
	{"greet.v2.0-rc1.json",     "greet",           "2.0-rc1", NULL,      false},
	{"greet.v1.v2.yaml",        "greet.v1",        "2",       NULL,      false},
	{"support__refund.v2.yaml", "support/refund",  "2",       "support", false},
	{"greet.vision.yaml",       "greet.vision",    NULL,      NULL,      false},
	{"greet.v1.vision.yaml",    "greet.v1.vision", NULL,      NULL,      false},
	{"greet.v.yaml",            "greet.v",         NULL,      NULL,      false},
	{"greet.v3_x.yaml",         "greet.v3_x",      NULL,      NULL,      false},
	{".v3.yaml",                NULL,              NULL,      NULL,      false},
	{"v3.yaml",                 "v3",              NULL,      NULL,      false},
	{"a.v1/b.yaml",             "a.v1/b",          NULL,      "a.v1",    false},
	{"Team A/greet.yaml",       "Team A/greet",    NULL,      NULL,      true },
	{"Team__greet.yaml",        "Team/greet",      NULL,      NULL,      true },
	{"a@b.yaml",                NULL,              NULL,      NULL,      false},
	{"a@b.v3.yaml",             NULL,              "3",       NULL,      false},
	{"a/b__.yaml",              NULL,              NULL,      "a",       false},
	{"a___b.yaml",              NULL,              NULL,      "a",       false},
};

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
paths_give_names(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(paths); i++) {
		struct path_names names;
		assert_int_equal(name_from_path(arena, paths[i].path, &names), 0);
		EXPECT(same(names.id, paths[i].id), "%s: id %s", paths[i].path,
			names.id != NULL ? names.id : "none");
		EXPECT(same(names.version, paths[i].version), "%s: version %s", paths[i].path,
			names.version != NULL ? names.version : "none");
		EXPECT(same(names.project, paths[i].project), "%s: project %s", paths[i].path,
			names.project != NULL ? names.project : "none");
		EXPECT(names.project_unfit == paths[i].project_unfit, "%s: project unfit",
			paths[i].path);
	}
	arena_free(arena);
}

/* A prompt that is written into a file is found again under the same names. */
static void
paths_of_new_prompts_give_their_names(void **state)
{
	static const struct {
		const char *id, *version, *path;
	} cases[] = {
		{"greet",          NULL,   "greet.json"            },
		{"greet",          "1.10", "greet.v1.10.json"      },
		{"support/refund", "3",    "support/refund.v3.json"},
	};
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct path_names names;
		const char *path = name_to_path(arena, cases[i].id, cases[i].version);
		EXPECT(same(path, cases[i].path), "%s: %s", cases[i].id, path);
		assert_int_equal(name_from_path(arena, path, &names), 0);
		EXPECT(same(names.id, cases[i].id) && same(names.version, cases[i].version),
			"%s: read as %s", path, names.id);
	}
	arena_free(arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_a_grammar),
		cmocka_unit_test(names_have_at_most_200_bytes),
		cmocka_unit_test(paths_give_names),
		cmocka_unit_test(paths_of_new_prompts_give_their_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
