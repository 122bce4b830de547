/* test_lint.c -- what is warned of, and where. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/lint.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/unit.h"

#define SECRET "sk-a1b2c3d4e5f6g7h8i9j0k1"

/* Each warning of a file as "line:column rule", in the order of the text. */
static const struct {
	const char *path, *text, *warnings;
} cases[] = {
  /* clang-format off */
	{"a.yaml", "prompt_template: Hi {a}\n", ""},
	{"a.yaml", "prompt_template: Hi {b}\nvariables: {a: }\n", "1:21 undeclared-variable, 2:13 unused-variable"},
	{"a.yaml", "prompt_template: \"{a}{b} {b} é {c}\"\nvariables: {a: }\n",
		"1:26 undeclared-variable, 1:32 undeclared-variable"},
	{"a.yaml", "prompt_template: \"{a} \\\\d{3} {{ 4 }}\"\nvariables: {a: }\n", ""},
	{"a.yaml", "prompt_template: '{a} /users/{id} \\frac{x}{y} ${HOME} x^{n} f{g}'\nvariables: {a: }\n", ""},
	{"a.yaml", "prompt_template: \"{a} {b}\\n{b} {b}\"\nvariables: {a: }\n",
		"1:23 undeclared-variable, 1:28 undeclared-variable, 1:32 undeclared-variable"},
	{"a.yaml", "prompt_template: \"\\x7bb} {b\\x7d\" # {b}\nvariables: {a: }\n",
		"1:19 undeclared-variable, 1:26 undeclared-variable, 2:13 unused-variable"},
	{"a.yaml", "x-t: &t \"{ x }\"\nprompt_template: [{role: user, content: *t}, {role: user, content: *t}]\n",
		"1:10 spaced-placeholder"},
	{"a.yaml", "prompt_template: [{role: User, content: x}]\n", "1:26 unknown-role"},
	{"a.yaml", "prompt_template: \"{user-name} {a.b} {1-2} x{c-d} {{e-f}} {g-}\"\n",
		"1:19 odd-placeholder, 1:31 odd-placeholder, 1:50 template-logic"},
	{"a.yaml", "prompt_template: &you are {x}\n", "1:18 doubtful"},
	{"a.yaml", "x-a: &a b\nprompt_template: *a\n", ""},
	{"a.yaml", "prompt_template: \"import { x } f() { y } = { z }\"\n", ""},
	{"a.yaml", "prompt_template: \"{% x %}\"\nvariables: {}\n", ""},
	{"a.yaml", "variables: {a: }\nprompt_template: \"{a} {\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
		"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9}\"\n",
		"2:23 undeclared-variable"},
	{"a.yaml", "prompt_template: \"{a}\"\nvariables: {}\n", ""},
	{"a.yaml", "prompt_template: \"{ a } {  b} {c } { \\\"d\\\" } {{ e }} { f g }\"\n",
		"1:19 spaced-placeholder, 1:25 spaced-placeholder, 1:31 spaced-placeholder"},
	{"a.yaml", "prompt_template: |\n  {{#if x}}\n  {% y %}\n", "2:3 template-logic"},
	{"a.yaml", "prompt_template: \"a { % b # c\"\n", ""},
	{"a.yaml", "prompt_template: \"{{ user.name }}\"\n", "1:19 template-logic"},
	{"a.yaml", "prompt_template: \"a {{ x | upper }}\"\n", "1:21 template-logic"},
	{"a.yaml", "prompt_template: \"{# c #}\"\n", "1:19 template-logic"},
	{"a.yaml", "prompt_template: \"{{ a }} {{a}} {{\\\"b\\\": 1}} {{1, 2}} {#id} {{ }}\"\n", ""},
	{"a.yaml", "prompt_template: |\n  Use {{ name }} here\n  { name } is wrong\n", "3:3 spaced-placeholder"},
	{"a.yaml", "variables: {user: }\nprompt_template: |\n  GET /users/{id} for {user}\n  {id} is wrong\n",
		"4:3 undeclared-variable"},
	{"a.json", "{\"prompt_template\": \"Use {{ name }} here\\n{ name } is wrong\"}", "1:43 spaced-placeholder"},
	{"a.yaml", "prompt_template: [&m {role: user, content: \"Hi { q }\"}, *m]\n", "1:48 spaced-placeholder"},
	{"a.yaml", "prompt_template: useQuery({ id }) try { run } enum { A }\n", ""},
	{"a.yaml", "prompt_template: a # b\n", "1:19 cut-text"},
	{"a.yaml", "\xef\xbb\xbfprompt_template: a # b\n", "1:19 cut-text"},
	{"a.yaml", "prompt_template: a   # b\n", "1:19 cut-text"},
	{"a.yaml", "prompt_template: a\n# b\n", ""},
	{"a.yaml", "prompt_template: a\t# b\n", "1:19 cut-text"},
	{"a.yaml", "prompt_template: a\n  b # c\n", "2:4 cut-text"},
	{"a.yaml", "prompt_template: &a b # c\nx-b: *a\n", "1:22 cut-text"},
	{"a.yaml", "prompt_template: x\ndescription: Refund # v2\nversion: 3 # three\n", "2:20 cut-text"},
	{"a.yaml", "prompt_template: \"{a}\"\nvariables: {a: {default: b # c\n  }}\n", "2:27 cut-text"},
	{"a.yaml", "#promptd:ignore cut-text,nonsense\nprompt_template: a # b\n", "1:26 doubtful"},
	{"a.yaml", "x: # promptd: ignore cut-text\nx-promptd: ignore secret\n", ""},
	{"a.yaml", "prompt_template: 'a' # b\n", ""},
	{"a.yaml", "prompt_template: |- # b\n  a\n", ""},
	{"a.yaml", "prompt_template: [{role: user, content: é a # b\n  }, {role: user, content: c # d\n}]\n",
		"1:44 cut-text, 2:29 cut-text"},
	{"a.yaml", "x-m: &m [{role: user, content: a # b\n  }]\nprompt_template: *m\n", "1:33 cut-text"},
	{"a.yaml", "prompt_template: x\ndescription: " SECRET "\n", "2:14 secret"},
	{"a.yaml", "prompt_template: x # ftp://me:pass@x ftp://me@x ftp://{u}:{p}@x ftp://u:$P@x\n",
		"1:19 cut-text, 1:31 secret"},
	{"a.yaml", "prompt_template: AKIAIOSFODNN7EXAMPLE sk-your-own-api-key-goes-here-please\n", ""},
	{"a.json", "{\"prompt_template\": \"# promptd: ignore secret " SECRET "\"}", "1:47 secret"},
	{"a.yaml", "# " SECRET "\nprompt_template: x\n", "1:3 secret"},
	{"a.yaml", "prompt_template: desk-a1b2c3d4e5f6g7h8i9j0k1 sk-short\n", ""},
	{"a.yaml", "prompt_template: sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", ""},
	{"a.yaml", "prompt_template: x\nmetadata: {k: \"-----BEGIN RSA PRIVATE KEY-----\"}\n", "2:16 secret"},
	{"a.json", "{\"prompt_template\": \"a # b {c}\", \"metadata\": {\"k\": \"" SECRET "\"}}", "1:53 secret"},
	{"a.json", "{\"prompt_template\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"{a}\"}]}]}",
		"1:77 placeholder-in-parts"},
	{"my_video.yaml", "prompt_template: x\n", "1:1 stock-id"},
	{"a.yaml", "# promptd: ignore cut-text\nprompt_template: a # b " SECRET "\n", "2:24 secret"},
	{"a.yaml", "- {prompt_id: b, prompt_template: \"{ c }\"}\n- {prompt_id: b@d, prompt_template: \"{ e }\"}\n",
		"1:36 spaced-placeholder"},
  /* clang-format on */
};

static void
put_warnings(struct buffer *out, const struct unit *unit)
{
	buffer_puts(out, "");
	for (size_t i = 0; i < unit->n_problems; i++) {
		const struct problem *problem = &unit->problems[i];
		if (problem->kind == ERROR_WARNING)
			buffer_printf(out, "%s%u:%u %s", out->length > 0 ? ", " : "", problem->line,
				problem->column, rule_rows[problem->rule].id);
	}
}

static void
mistakes_are_found_in_their_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buffer got = {0};
		struct unit *unit = make_unit(cases[i].path, cases[i].text);
		put_warnings(&got, unit);
		EXPECT(strcmp(got.data, cases[i].warnings) == 0, "%s\n  got    %s\n  wanted %s",
			cases[i].text, got.data, cases[i].warnings);
		buffer_finish(&got);
		unit_unref(unit);
	}
}

/* Rules may be switched off for all files. */
static void
rules_are_ignored(void **state)
{
	static const char text[] = "prompt_template: a # b " SECRET "\n";
	static const struct prompt_rules rules = {.ignored = 1u << RULE_SECRET};
	struct unit_maker *maker = unit_maker_new(&rules);
	struct buffer got = {0};
	(void)state;
	assert_non_null(maker);
	struct unit *unit = unit_new(maker, "a.yaml", text, strlen(text));
	put_warnings(&got, unit);
	assert_string_equal(got.data, "1:19 cut-text");
	buffer_finish(&got);
	unit_unref(unit);
	unit_maker_free(maker);
}

/* A warning says what is wrong and, behind a place that it knows, what to do. */
static void
advice_stands_behind_the_mistake(void **state)
{
	struct unit *unit = make_unit("a.yaml", "prompt_template: a # b\n");
	const struct problem *problem = unit->problems;
	(void)state;
	assert_int_equal(unit->n_problems, 1);
	assert_string_equal(problem->message,
		"the text ends here, as \" #\" begins a comment: quote it, or write it behind |-");
	assert_string_equal(problem->message + problem->advice, "quote it, or write it behind |-");
	unit_unref(unit);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_found_in_their_places),
		cmocka_unit_test(rules_are_ignored),
		cmocka_unit_test(advice_stands_behind_the_mistake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
