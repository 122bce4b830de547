/* test_conflict.c -- tests of which of two prompts that claim the same is served. */
#include "support.h"

#include "core/snapshot.h"

enum { MOST_FILES = 3 };

#define DELETE_ONE ": delete one of them\n"
#define DELETE_OR_VERSION ": delete one of them, or give them versions\n"

struct row {
	const char *name;
	struct file files[MOST_FILES];
	const char *wanted; /* what is served, then the problems */
};

static const struct row doubles[] = {
	ROW("the file whose path gives the id wins",
		ROW(ROW("a.yaml", "{prompt_id: long-name, prompt_template: x}"),
			ROW("long-name.yaml", "prompt_template: x")),
		"long-name - long-name.yaml\n"
		"a.yaml:1:1: the prompt \"long-name\" is served from "
		"long-name.yaml:1" DELETE_OR_VERSION),
	ROW("then the shorter path",
		ROW(ROW("aaa.yaml", "{prompt_id: p, prompt_template: x}"),
			ROW("zz.yaml", "\n{prompt_id: p, prompt_template: x}")),
		"p - zz.yaml\n"
		"aaa.yaml:1:1: the prompt \"p\" is served from zz.yaml:2" DELETE_OR_VERSION),
	ROW("then the bytewise smaller",
		ROW(ROW("B.yaml", "{prompt_id: p, prompt_template: x}"),
			ROW("a.yaml", "{prompt_id: p, prompt_template: x}")),
		"p - B.yaml\n"
		"a.yaml:1:1: the prompt \"p\" is served from B.yaml:1" DELETE_OR_VERSION),
	ROW("in one file the first prompt",
		ROW(ROW("a.yaml", "{prompt_id: p, prompt_template: x}\n---\n{prompt_id: p, "
				  "prompt_template: y}\n")),
		"p - a.yaml\n"
		"a.yaml:3:1: the prompt \"p\" is served from a.yaml:1" DELETE_OR_VERSION),
	ROW("three forms of one path",
		ROW(ROW("a.json", "{\"prompt_template\": \"x\"}"),
			ROW("a.yml", "prompt_template: x"), ROW("a.yaml", "prompt_template: x")),
		"a - a.yml\n"
		"a.json:1:1: the prompt \"a\" is served from a.yml:1" DELETE_OR_VERSION
		"a.yaml:1:1: the prompt \"a\" is served from a.yml:1" DELETE_OR_VERSION),
	ROW("a conflict costs only the losing prompt",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1}"),
			ROW("b.yaml", "{prompt_id: a, version: 1, prompt_template: x}\n"
				      "---\n{prompt_id: a, version: 2, prompt_template: x}\n"
				      "---\n{prompt_id: c, prompt_template: x}\n")),
		"a 1 a.yaml\na 2 b.yaml\nc - b.yaml\n"
		"b.yaml:1:1: the prompt \"a\" version 1 is served from a.yaml:1" DELETE_ONE),
	ROW("01 and 1 are two versions",
		ROW(ROW("a.v1.yaml", "prompt_template: x"),
			ROW("a.v01.yaml", "prompt_template: x")),
		"a 01 a.v01.yaml\na 1 a.v1.yaml\n"),
	ROW("a version and none are two",
		ROW(ROW("a.v1.yaml", "prompt_template: x"), ROW("a.yaml", "prompt_template: x")),
		"a - a.yaml\na 1 a.v1.yaml\n"),
};

static const struct row labels[] = {
	ROW("labels are sorted, and named once",
		ROW(ROW("a.yaml", "{prompt_template: x, labels: [c, a, b, a]}")),
		"a - a b c a.yaml\n"),
	ROW("where both paths give the id, the shorter one holds the label",
		ROW(ROW("a.v10.yaml", "{prompt_template: x, labels: [production, new]}"),
			ROW("a.v2.yaml", "{prompt_template: x, labels: [production, beta]}")),
		"a 2 beta production a.v2.yaml\na 10 new a.v10.yaml\n"
		"a.v10.yaml:1:31: the label \"production\" is held by a.v2.yaml:1: take it away "
		"from one\n"),
	ROW("the file whose path gives the id holds it",
		ROW(ROW("b.yaml", "{prompt_id: a, version: 1, prompt_template: x, labels: [l]}"),
			ROW("a.v10.yaml", "{prompt_template: x, labels: [l]}")),
		"a 1 b.yaml\na 10 l a.v10.yaml\n"
		"b.yaml:1:57: the label \"l\" is held by a.v10.yaml:1: take it away from one\n"),
	ROW("of three, two lose",
		ROW(ROW("a.v1.yaml", "{prompt_template: x, labels: [l]}"),
			ROW("a.v2.yaml", "{prompt_template: x, labels: [l]}"),
			ROW("a.v3.yaml", "{prompt_template: x, labels: [l, m]}")),
		"a 1 l a.v1.yaml\na 2 a.v2.yaml\na 3 m a.v3.yaml\n"
		"a.v2.yaml:1:31: the label \"l\" is held by a.v1.yaml:1: take it away from one\n"
		"a.v3.yaml:1:31: the label \"l\" is held by a.v1.yaml:1: take it away from one\n"),
	ROW("a label is free on another id",
		ROW(ROW("a.yaml", "{prompt_template: x, labels: [l]}"),
			ROW("b.yaml", "{prompt_template: x, labels: [l]}")),
		"a - l a.yaml\nb - l b.yaml\n"),
	ROW("who loses the prompt loses its labels",
		ROW(ROW("a.yaml", "{prompt_template: x}"),
			ROW("b.yaml", "{prompt_id: a, prompt_template: x, labels: [l]}"),
			ROW("c.yaml",
				"{prompt_id: a, version: 2, prompt_template: x, labels: [l]}")),
		"a - a.yaml\na 2 l c.yaml\n"
		"b.yaml:1:1: the prompt \"a\" is served from a.yaml:1" DELETE_OR_VERSION),
	ROW("a label that is a version of the id is held by none",
		ROW(ROW("a.v1.yaml", "{prompt_template: x, labels: [rc1, l]}"),
			ROW("a.v2.yaml", "{prompt_template: x, labels: [rc1]}"),
			ROW("b.yaml", "{prompt_id: a, version: rc1, prompt_template: x}")),
		"a 1 l a.v1.yaml\na 2 a.v2.yaml\na rc1 b.yaml\n"
		"a.v1.yaml:1:31: the label \"rc1\" is a version of this id in b.yaml:1: rename it\n"
		"a.v2.yaml:1:31: the label \"rc1\" is a version of this id in b.yaml:1: rename "
		"it\n"),
	ROW("a version of another id does not matter",
		ROW(ROW("a.yaml", "{prompt_template: x, labels: [rc1]}"),
			ROW("b.yaml", "{version: rc1, prompt_template: x}")),
		"a - rc1 a.yaml\nb rc1 b.yaml\n"),
};

static void
expect_outcomes(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct snapshot *snapshot =
			make_snapshot(rows[i].files, count_files(rows[i].files, MOST_FILES));
		expect_text(rows[i].name, describe_snapshot(snapshot), rows[i].wanted);
		snapshot_free(snapshot);
	}
}

static void
one_file_has_the_prompt(void **state)
{
	(void)state;
	expect_outcomes(doubles, LENGTH(doubles));
}

static void
one_version_has_the_label(void **state)
{
	(void)state;
	expect_outcomes(labels, LENGTH(labels));
}

static void
a_conflict_is_told_where_it_stands(void **state)
{
	static const struct row rows[] = {
		ROW("a prompt of a list",
			ROW(ROW("a.yaml", "- {prompt_id: p, prompt_template: x}\n"
					  "- {prompt_id: p, prompt_template: y}\n")),
			"p - a.yaml\n"
			"a.yaml:2:3: the prompt \"p\" is served from a.yaml:1" DELETE_OR_VERSION),
	};
	(void)state;
	expect_outcomes(rows, LENGTH(rows));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_has_the_prompt),
		cmocka_unit_test(one_version_has_the_label),
		cmocka_unit_test(a_conflict_is_told_where_it_stands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
