/* test_prompt.c -- tests of how a prompt is read from a document. */
#include "support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/name.h"
#include "core/prompt.h"
#include "core/yaml.h"

static const struct prompt_rules file_rules = {0};
static const struct prompt_rules request_rules = {.request = true};

struct fixture {
	struct arena *arena;
	struct errors errors;
	struct draft draft;
	int result;
};

/* Read the prompt of a text as if it stood in a file of that path. */
static struct fixture *
read_prompt(const char *path, const char *text, const struct prompt_rules *rules)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	fixture->arena = arena_new();
	assert_non_null(fixture->arena);
	fixture->errors.arena = fixture->arena;
	struct document document = {.arena = fixture->arena, .errors = &fixture->errors};
	struct path_names names;
	EXPECT(yaml_parse(&document, text, strlen(text)) == 0, "%s: not YAML", text);
	assert_int_equal(name_from_path(fixture->arena, path, &names), 0);
	fixture->result =
		prompt_parse(document.first, &names, rules, &fixture->errors, &fixture->draft);
	return fixture;
}

static void
fixture_free(struct fixture *fixture)
{
	arena_free(fixture->arena);
	free(fixture);
}

static int
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const char *
shown(const char *text)
{
	return text != NULL ? text : "none";
}

/* What a file's path and its keys give together. */
static const struct {
	const char *path, *text;
	const char *id, *version, *project, *slug;
	bool path_gives_id;
} names[] = {
	ROW("greet.yaml", "", "greet", NULL, NULL, "greet", true),
	ROW("greet.v3.yaml", "", "greet", "3", NULL, "greet", true),
	ROW("support/refund.yaml", "", "support/refund", NULL, "support", "refund", true),
	ROW("support__refund.yaml", "", "support/refund", NULL, "support", "refund", true),
	ROW("support/a/b.v1.10.yaml", "", "support/a/b", "1.10", "support", "b", true),
	ROW("greet.yaml", "prompt_id: greet", "greet", NULL, NULL, "greet", true),
	ROW("greet.yaml", "prompt_id: other", "other", NULL, NULL, "other", false),
	ROW("greet.yaml", "prompt_id: a/b", "a/b", NULL, NULL, "b", false),
	ROW("a@b.yaml", "prompt_id: ab", "ab", NULL, NULL, "ab", false),
	ROW("Team/greet.yaml", "", "Team/greet", NULL, NULL, "greet", true),
	ROW("team/Greet.yaml", "", "team/Greet", NULL, "team", NULL, true),
	ROW("greet.yaml", "version: 1.10", "greet", "1.10", NULL, "greet", true),
	ROW("greet.yaml", "version: \"1.10\"", "greet", "1.10", NULL, "greet", true),
	ROW("greet.yaml", "version: 0x1F", "greet", "0x1F", NULL, "greet", true),
	ROW("greet.v2.yaml", "version: 2", "greet", "2", NULL, "greet", true),
	ROW("team/greet.yaml", "project_name: sales", "team/greet", NULL, "sales", "greet", true),
	ROW("greet.yaml", "slug: hello", "greet", NULL, NULL, "hello", true),
	ROW("team/greet.v2.yaml", "prompt_id: null\nversion: null\nproject_name: null\nslug: null",
		"team/greet", "2", "team", "greet", true),
};

static void
names_come_from_keys_and_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++) {
		char text[200] = "prompt_template: x\n";
		strcat(text, names[i].text);
		struct fixture *fixture = read_prompt(names[i].path, text, &file_rules);
		const struct draft *draft = &fixture->draft;
		const struct error *error = fixture->errors.first;
		EXPECT(fixture->result == 0, "%s, %s: %s", names[i].path, names[i].text,
			error != NULL ? error->message : "out of memory");
		EXPECT(same(draft->id, names[i].id), "%s, %s: id %s", names[i].path, names[i].text,
			shown(draft->id));
		EXPECT(same(draft->version, names[i].version), "%s, %s: version %s", names[i].path,
			names[i].text, shown(draft->version));
		EXPECT(same(draft->project, names[i].project), "%s, %s: project %s", names[i].path,
			names[i].text, shown(draft->project));
		EXPECT(same(draft->slug, names[i].slug), "%s, %s: slug %s", names[i].path,
			names[i].text, shown(draft->slug));
		EXPECT(draft->path_gives_id == names[i].path_gives_id, "%s, %s: given by the path",
			names[i].path, names[i].text);
		fixture_free(fixture);
	}
}

static void
all_keys_are_kept(void **state)
{
	struct fixture *fixture = read_prompt("a.yaml",
		"# first line\n"
		"prompt_template: [{role: user, content: x}]\nprompt_template_model: gpt-4\n"
		"prompt_template_optional_params: {a: 1}\nlabels: [b, a]\ndescription: ''\n"
		"variables: {c: }\nmetadata: {d: 2}\n",
		&file_rules);
	const struct draft *draft = &fixture->draft;
	(void)state;
	assert_int_equal(fixture->result, 0);
	assert_int_equal(draft->line, 2);
	assert_int_equal(draft->messages->count, 1);
	assert_string_equal(draft->model, "gpt-4");
	assert_string_equal(draft->params->first->key, "a");
	assert_int_equal(draft->n_labels, 2);
	assert_string_equal(draft->labels[0], "b");
	assert_string_equal(draft->labels[1], "a");
	assert_string_equal(draft->description, "");
	assert_string_equal(draft->variables->first->key, "c");
	assert_string_equal(draft->metadata->first->key, "d");
	fixture_free(fixture);
}

/* Parameters that take a request over are an error unless they are allowed by name. */
static void
forbidden_parameters_can_be_allowed(void **state)
{
	static const char *const allowed[] = {"api_base", "aws_region_name", NULL};
	static const struct prompt_rules rules = {.allowed_params = allowed};
	static const struct {
		const char *params;
		size_t errors;
	} cases[] = {
		{"{api_base: x}",                             0},
		{"{aws_region_name: x, api_base: y}",         0},
		{"{api_key: x}",                              1},
		{"{api_base: x, api_key: y, aws_profile: z}", 2},
		{"{temperature: 1}",                          0},
		{"{api_key: null}",                           1},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char text[200] = "prompt_template: x\nprompt_template_optional_params: ";
		strcat(text, cases[i].params);
		struct fixture *fixture = read_prompt("a.yaml", text, &rules);
		EXPECT(fixture->errors.count == cases[i].errors, "%s: %zu errors", cases[i].params,
			fixture->errors.count);
		fixture_free(fixture);
	}
}

static void
a_request_names_its_prompt(void **state)
{
	struct fixture *fixture = read_prompt("a.yaml", "{prompt_template: x}", &request_rules);
	(void)state;
	assert_int_equal(fixture->result, -1);
	assert_int_equal(fixture->errors.first->kind, ERROR_MISSING);
	assert_string_equal(fixture->errors.first->key, "prompt_id");
	fixture_free(fixture);
	fixture = read_prompt("a.yaml", "{prompt_template: x, prompt_id: null}", &request_rules);
	assert_int_equal(fixture->result, -1);
	fixture_free(fixture);
	fixture = read_prompt("a.yaml", "{prompt_template: x, prompt_id: b}", &request_rules);
	assert_int_equal(fixture->result, 0);
	assert_string_equal(fixture->draft.id, "b");
	fixture_free(fixture);
}

static void
unknown_keys_of_a_request_are_warnings(void **state)
{
	static const char text[] =
		"{prompt_template: x, prompt_id: a, modle: y, variables: {b: {dflt: 1}}}";
	struct fixture *fixture = read_prompt("a.yaml", text, &request_rules);
	size_t warnings = 0;
	(void)state;
	assert_int_equal(fixture->result, 0);
	assert_int_equal(fixture->errors.count, 0);
	for (const struct error *error = fixture->errors.first; error != NULL; error = error->next)
		warnings += error->kind == ERROR_WARNING;
	assert_int_equal(warnings, 2);
	fixture_free(fixture);
}

/* An error says which value it is about, so that an API can name the path to it. */
static void
errors_know_their_value(void **state)
{
	static const struct {
		const char *text, *value_key, *key;
		enum error_kind kind;
	} cases[] = {
		ROW("{version: 1}", NULL, "prompt_template", ERROR_MISSING),
		ROW("{prompt_template: 1}", "prompt_template", NULL, ERROR_TYPE),
		ROW("{prompt_template: x, labels: a}", "labels", NULL, ERROR_TYPE),
		ROW("{prompt_template: x, slug: A}", "slug", NULL, ERROR_VALUE),
		ROW("{prompt_template: x, colour: red}", "colour", NULL, ERROR_VALUE),
		ROW("{prompt_template: x, prompt_template_optional_params: {api_key: 1}}",
			"api_key", NULL, ERROR_VALUE),
		ROW("{prompt_template: [{role: user}]}", NULL, "content", ERROR_MISSING),
		ROW("{prompt_template: [{role: 1, content: x}]}", "role", NULL, ERROR_TYPE),
		ROW("{prompt_template: x, prompt_id: 1}", "prompt_id", NULL, ERROR_TYPE),
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct fixture *fixture = read_prompt("a.yaml", cases[i].text, &file_rules);
		const struct error *error = fixture->errors.first;
		EXPECT(fixture->result == -1 && error != NULL && fixture->errors.count == 1,
			"%s: %zu errors", cases[i].text, fixture->errors.count);
		EXPECT(error->kind == cases[i].kind, "%s: kind %d", cases[i].text, error->kind);
		EXPECT(error->value != NULL, "%s: no value", cases[i].text);
		EXPECT(same(error->value->key, cases[i].value_key), "%s: about %s", cases[i].text,
			shown(error->value->key));
		EXPECT(same(error->key, cases[i].key), "%s: key %s", cases[i].text,
			shown(error->key));
		fixture_free(fixture);
	}
}

static void
keys_are_known(void **state)
{
	static const struct {
		const char *key;
		bool known;
	} cases[] = {
		{"prompt_id",                       true },
		{"prompt_template",                 true },
		{"prompt_template_model",           true },
		{"prompt_template_optional_params", true },
		{"version",                         true },
		{"labels",                          true },
		{"project_name",                    true },
		{"slug",			    true },
		{"description",                     true },
		{"variables",                       true },
		{"metadata",                        true },
		{"$schema",                         true },
		{"x-",			      true },
		{"x-anything",                      true },
		{"x_anything",                      false},
		{"X-anything",                      false},
		{"schema",                          false},
		{"model",			   false},
		{"",				false},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		EXPECT(prompt_is_key(cases[i].key) == cases[i].known, "\"%s\"", cases[i].key);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_from_keys_and_path),
		cmocka_unit_test(all_keys_are_kept),
		cmocka_unit_test(forbidden_parameters_can_be_allowed),
		cmocka_unit_test(a_request_names_its_prompt),
		cmocka_unit_test(unknown_keys_of_a_request_are_warnings),
		cmocka_unit_test(errors_know_their_value),
		cmocka_unit_test(keys_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
