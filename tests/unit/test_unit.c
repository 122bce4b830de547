/* test_unit.c -- tests of what one file yields. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/prompt.h"
#include "core/unit.h"

static const struct prompt_rules rules = {0};

/* What is in the unit does not lie in the file's text, nor in what the maker reuses. */
static void
a_unit_stands_alone(void **state)
{
	static const char text[] = "prompt_id: a\nprompt_template: \"{b}\"\nversion: 1\n"
				   "labels: [l, k]\nproject_name: p\nslug: s\ndescription: d\n"
				   "variables: {b: {default: c, description: e}}\n";
	char path[] = "file.yaml";
	struct unit_maker *maker = unit_maker_new(&rules);
	char *copy = strdup(text);
	(void)state;
	struct unit *unit = unit_new(maker, path, copy, strlen(copy));
	memset(copy, 'x', strlen(copy));
	free(copy);
	memset(path, 'x', strlen(path));
	unit_unref(unit_new(maker, "other.yaml", "prompt_template: zzzzzzzzzzzzz", 30));
	unit_maker_free(maker);
	const struct prompt *prompt = unit->prompts;
	assert_string_equal(unit->path, "file.yaml");
	assert_int_equal(unit->n_prompts, 1);
	assert_ptr_equal(prompt->unit, unit);
	assert_int_equal(prompt->line, 1);
	assert_false(prompt->path_gives_id);
	assert_string_equal(prompt->id, "a");
	assert_string_equal(prompt->version, "1");
	assert_string_equal(prompt->project, "p");
	assert_string_equal(prompt->slug, "s");
	assert_int_equal(prompt->n_labels, 2);
	assert_string_equal(prompt->labels[0], "l");
	assert_string_equal(prompt->labels[1], "k");
	assert_string_equal(prompt->variables[0].name, "b");
	assert_string_equal(prompt->variables[0].fallback, "c");
	assert_int_equal(strlen(prompt->answer), prompt->answer_length);
	assert_int_equal(strlen(prompt->etag), ETAG_BYTES - 1);
	unit_unref(unit);
}

static void
the_path_chooses_the_format(void **state)
{
	static const struct {
		const char *path, *text;
		size_t prompts;
	} cases[] = {
		{"a.yaml",      "prompt_template: x",            1},
		{"a.yml",       "prompt_template: x",            1},
		{"a.yaml",      "{\"prompt_template\": \"x\"}",  1},
		{"a.json",      "{\"prompt_template\": \"x\"}",  1},
		{"b/a.json",    "{\"prompt_template\": \"x\"}",  1},
		{"a.json",      "prompt_template: x",            0},
		{"a.json",      "{\"prompt_template\": \"x\",}", 0},
		{"a.yaml",      "{\"prompt_template\": \"x\",}", 1},
		{"a.json.yaml", "prompt_template: x",            1},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct unit *unit = make_unit(cases[i].path, cases[i].text);
		EXPECT(unit->n_prompts == cases[i].prompts, "%s, %s: %zu prompts", cases[i].path,
			cases[i].text, unit->n_prompts);
		unit_unref(unit);
	}
}

/* One error anywhere in the file, and none of its prompts is served. */
static void
a_unit_with_errors_has_no_prompts(void **state)
{
	static const char text[] = "- {prompt_id: a, prompt_template: x}\n"
				   "- {prompt_id: b, prompt_template: 1}\n"
				   "- {prompt_id: c, prompt_template: no}\n"
				   "- {prompt_id: d, prompt_template: x, modle: y}\n";
	struct unit *unit = make_unit("a.yaml", text);
	(void)state;
	assert_int_equal(unit->n_prompts, 0);
	assert_int_equal(unit->n_errors, 2);
	expect_text("errors and a warning", describe_unit(unit),
		"a.yaml:2:35: prompt_template must be a list of messages or a string, not a "
		"number: put a - before each message, or put the text in quotes or behind |-\n"
		"a.yaml:3:35: YAML 1.1 readers take \"no\" for the boolean false: quote it if it "
		"is text, else write true or false\n"
		"a.yaml:4:38: unknown key \"modle\": did you mean \"prompt_template_model\"?\n");
	assert_int_not_equal(unit->problems[0].kind, ERROR_WARNING);
	assert_int_equal(unit->problems[1].kind, ERROR_WARNING);
	unit_unref(unit);
}

static void
problems_are_in_the_order_of_the_text(void **state)
{
	static const char text[] = "prompt_id: a@b\nprompt_template: [{role: 1}, {content: 2}]\n"
				   "slug: A\nversion: a b\nzzz: no\nprompt_id: c\n";
	struct unit *unit = make_unit("a.yaml", text);
	(void)state;
	assert_int_equal(unit->n_problems, 10);
	for (size_t i = 1; i < unit->n_problems; i++) {
		const struct problem *a = &unit->problems[i - 1], *b = &unit->problems[i];
		EXPECT(a->line < b->line || (a->line == b->line && a->column <= b->column),
			"%u:%u before %u:%u", a->line, a->column, b->line, b->column);
	}
	unit_unref(unit);
}

/* More errors than are kept are still errors, and it is said that there are more. */
static void
dropped_errors_count(void **state)
{
	char text[400] = "";
	(void)state;
	for (int i = 0; i < 99; i++)
		strcat(text, "- x\n");
	struct unit *unit = make_unit("a.yaml", text);
	assert_int_equal(unit->n_errors, 99);
	assert_int_equal(unit->n_problems, 51);
	assert_int_equal(unit->problems[0].line, 0);
	assert_string_equal(unit->problems[0].message,
		"99 errors, of which these are the first 50: mend these first");
	assert_int_equal(unit->n_prompts, 0);
	unit_unref(unit);
}

static void
a_file_that_cannot_be_read_is_a_unit_too(void **state)
{
	struct error error;
	(void)state;
	error_set(&error, "cannot be read: %s", "permission denied");
	struct unit *unit = unit_new_failed("a/b.yaml", &error);
	memset(&error, 0, sizeof(error));
	assert_int_equal(unit->n_errors, 1);
	assert_int_equal(unit->n_prompts, 0);
	expect_text("failed", describe_unit(unit), "a/b.yaml: cannot be read: permission denied\n");
	unit_unref(unit);
}

static void
references_are_counted(void **state)
{
	struct unit *unit = make_unit("a.yaml", "prompt_template: x");
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(unit_ref(unit), unit);
	for (int i = 0; i < 5; i++) {
		unit_unref(unit);
		assert_string_equal(unit->path, "a.yaml");
	}
	unit_unref(unit);
	unit_unref(NULL);
}

static void
a_maker_forgets_the_last_file(void **state)
{
	static const struct {
		const char *path, *text;
		size_t prompts;
	} cases[] = {
		{"a.yaml", "x-a: &a 1\nprompt_template: x", 1},
		{"b.yaml", "prompt_template: *a",           0},
		{"c.json", "{\"prompt_template\":",         0},
		{"d.yaml", "prompt_template: x",            1},
		{"e.yaml", "",                              0},
		{"f.json", "{\"prompt_template\":\"x\"}",   1},
	};
	struct unit_maker *maker = unit_maker_new(&rules);
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct unit *unit =
			unit_new(maker, cases[i].path, cases[i].text, strlen(cases[i].text));
		EXPECT(unit->n_prompts == cases[i].prompts, "%s: %zu prompts", cases[i].path,
			unit->n_prompts);
		EXPECT((unit->n_errors == 0) == (cases[i].prompts > 0), "%s: %zu errors",
			cases[i].path, unit->n_errors);
		unit_unref(unit);
	}
	unit_maker_free(maker);
	unit_maker_free(NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_unit_stands_alone),
		cmocka_unit_test(the_path_chooses_the_format),
		cmocka_unit_test(a_unit_with_errors_has_no_prompts),
		cmocka_unit_test(problems_are_in_the_order_of_the_text),
		cmocka_unit_test(dropped_errors_count),
		cmocka_unit_test(a_file_that_cannot_be_read_is_a_unit_too),
		cmocka_unit_test(references_are_counted),
		cmocka_unit_test(a_maker_forgets_the_last_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
