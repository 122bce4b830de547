/* test_yaml.c -- tests that YAML is YAML 1.2 with the core schema and merge keys. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/yaml.h"

/* What is read, as JSON: one line for each document, and one for each warning. */
static const struct {
	const char *name, *text, *json;
} accepted[] = {
	ROW("plain scalars", "[a, 1, 1.10, true, null, ~, ]", "[\"a\",1,1.10,true,null,null]"),
	ROW("quoted scalars", "['1', \"true\", 'a''b', \"\"]", "[\"1\",\"true\",\"a'b\",\"\"]"),
	ROW("literal block", "|\n a\n  b\n", "\"a\\n b\\n\""),
	ROW("folded block", ">-\n a\n b\n", "\"a b\""),
	ROW("block collections", "a:\n- b\n- c: d\n  e: f\n",
		"{\"a\":[\"b\",{\"c\":\"d\",\"e\":\"f\"}]}"),
	ROW("empty values", "a:\nb: []\nc: {}\nd: ''\n",
		"{\"a\":null,\"b\":[],\"c\":{},\"d\":\"\"}"),
	ROW("JSON", "{\"a\": [1, {\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}"),
	ROW("key without value", "{a, b: 1}", "{\"a\":null,\"b\":1}"),
	ROW("typed keys are text", "{1: a, true: b, ~: c, 1.10: d}",
		"{\"1\":\"a\",\"true\":\"b\",\"~\":\"c\",\"1.10\":\"d\"}"),
	ROW("quoted empty key", "{\"\": 1}", "{\"\":1}"),
	ROW("explicit key", "? a\n: b\n", "{\"a\":\"b\"}"),
	ROW("several documents", "a\n---\nb\n...\n---\n[c]\n", "\"a\"\n\"b\"\n[\"c\"]"),
	ROW("directive", "%YAML 1.2\n---\na\n", "\"a\""),
	ROW("tag directive in a text", "a: |\n  %TAG !y! x\nb: a%TAG\n",
		"{\"a\":\"%TAG !y! x\\n\",\"b\":\"a%TAG\"}"),
	ROW("comments", "# a\na: b # c\n# d\n", "{\"a\":\"b\"}"),
	ROW("no document", "# nothing\n", ""),
	ROW("null document", "---\n", "null"),
	ROW("Windows line ends", "a: |\r\n  b\r\n  c\r\nd: e\r\n",
		"{\"a\":\"b\\nc\\n\",\"d\":\"e\"}"),
	ROW("old Mac line ends", "a: b\rc: d\r", "{\"a\":\"b\",\"c\":\"d\"}"),
	ROW("no line end", "a: b", "{\"a\":\"b\"}"),
	ROW("tab behind a colon", "a:\tb", "{\"a\":\"b\"}"),
	ROW("byte order mark",
		"\xef\xbb\xbf"
		"a: b\nc: d\n",
		"{\"a\":\"b\",\"c\":\"d\"}"),
	ROW("beyond the BMP", "\"\\U0001F600 😀\"", "\"😀 😀\""),
	ROW("escapes", "\"\\t\\x41\\u00e9\\e\\/\"", "\"\\tAé\\u001b/\""),
	ROW("anchor and alias", "[&a {b: c}, *a, *a]",
		"[{\"b\":\"c\"},{\"b\":\"c\"},{\"b\":\"c\"}]"),
	ROW("alias to a scalar", "[&a 0x10, *a]", "[16,16]"),
	ROW("anchor on a key", "{&a b: 1, c: *a}", "{\"b\":1,\"c\":\"b\"}"),
	ROW("anchor on nothing", "[&a , *a]", "[null,null]"),
	ROW("anchor used anew", "[&a 1, *a, &a 2, *a]", "[1,1,2,2]"),
	ROW("unused anchors", "[&a 1, &b 2]", "[1,2]"),
	ROW("merge", "[&a {b: 1, c: 2}, {<<: *a, c: 3}]", "[{\"b\":1,\"c\":2},{\"c\":3,\"b\":1}]"),
	ROW("merge of a list", "[&a {b: 1}, &c {b: 2, d: 3}, {<<: [*a, *c]}]",
		"[{\"b\":1},{\"b\":2,\"d\":3},{\"b\":1,\"d\":3}]"),
	ROW("merge of an empty list", "{<<: [], a: 1}", "{\"a\":1}"),
	ROW("merge in a merge", "[&a {b: 1}, &c {<<: *a, d: 2}, {<<: *c}]",
		"[{\"b\":1},{\"d\":2,\"b\":1},{\"d\":2,\"b\":1}]"),
	ROW("quoted merge key", "{\"<<\": {a: 1}}", "{\"<<\":{\"a\":1}}"),
	ROW("merge key as value", "[<<]", "[\"<<\"]"),
	ROW("tags",
		"[!!str 1, !!int 1, !!float 1, !!bool true, !!null '', !!seq [], !!map {}, ! 1]",
		"[\"1\",1,1,true,null,[],{},\"1\"]"),
	ROW("integer in a string", "!!int \"7\"", "7"),
	ROW("old words", "[no, off]",
		"[\"no\",\"off\"]\n"
		"1:2: YAML 1.1 readers take \"no\" for the boolean false: quote it if it is text, "
		"else write true or false\n"
		"1:6: YAML 1.1 readers take \"off\" for the boolean false: quote it if it is text, "
		"else write true or false"),
	ROW("old words in quotes", "['no', !!str off]", "[\"no\",\"off\"]"),
};

/* The last thing said of a text. */
static const struct {
	const char *name, *text, *error;
} refused[] = {
	ROW("empty", "", "1:1: the file is empty: write something into it, or delete it"),
	ROW("not UTF-8", "a: \xe9", "1:4: not UTF-8: save the file as UTF-8"),
	ROW("UTF-16",
		"\xff\xfe"
		"a",
		"1:1: not UTF-8: save the file as UTF-8"),
	ROW("duplicate key", "{a: 1, b: 2, a: 3}",
		"1:14: the key \"a\" is here twice, first on line 1: remove one of them"),
	ROW("same key, quoted", "a: 1\n'a': 2\n",
		"2:1: the key \"a\" is here twice, first on line 1: remove one of them"),
	ROW("merge key twice", "{<<: {a: 1}, <<: {b: 2}}",
		"1:14: the key \"<<\" is here twice: give it a list of mappings"),
	ROW("merge of a scalar", "{<<: a}",
		"1:6: << takes a mapping or a list of mappings, not a string: name an anchor with "
		"*"),
	ROW("merge of scalars", "{<<: [{a: 1}, 2]}",
		"1:15: << takes a mapping or a list of mappings, not a number: name an anchor with "
		"*"),
	ROW("local tag", "!a b",
		"1:1: the tag \"!a\" is not one of YAML's own types: remove it, or quote the text"),
	ROW("Python tag", "!!python/none x",
		"1:1: the tag \"tag:yaml.org,2002:python/none\" is not one of YAML's own types: "
		"remove it, or quote the text"),
	ROW("tag of a list", "!a []",
		"1:1: the tag \"!a\" is not one of YAML's own types: remove it, or quote the text"),
	ROW("tag of a key", "{!a b: c}",
		"1:2: the tag \"!a\" is not one of YAML's own types: remove it, or quote the text"),
	ROW("unfit integer", "!!int a", "1:1: \"a\" does not fit its tag: remove the tag"),
	ROW("unfit boolean", "!!bool no", "1:1: \"no\" does not fit its tag: remove the tag"),
	ROW("unfit list", "!!map []", "1:1: a list does not fit its tag: remove the tag"),
	ROW("not a number", ".nan",
		"1:1: the number \".nan\" has no form in JSON: quote it if it is text"),
	ROW("infinity", "[-.inf]",
		"1:2: the number \"-.inf\" has no form in JSON: quote it if it is text"),
	ROW("alias before anchor", "[*a, &a 1]",
		"1:2: the alias \"a\" has no anchor before it: quote text that starts with *"),
	ROW("alias into the last document", "&a b\n---\n*a\n",
		"3:1: the alias \"a\" has no anchor before it: quote text that starts with *"),
	ROW("alias inside a list", "&a [*a]",
		"1:5: the alias \"a\" stands inside its own anchor: remove it"),
	ROW("alias inside a map", "a: &a\n  b: {c: *a}\n",
		"2:10: the alias \"a\" stands inside its own anchor: remove it"),
	ROW("merge of itself", "&a {<<: *a}",
		"1:9: << takes a mapping or a list of mappings, not a string: name an anchor with "
		"*"),
	ROW("alias as a key", "{&a b: 1, ? *a : 2}",
		"1:13: a key must be plain text: quote text that starts with {, [, * or &, or "
		"write it behind |-"),
	ROW("list as a key", "{[a]: b}",
		"1:2: a key must be plain text: quote text that starts with {, [, * or &, or write "
		"it behind |-"),
	ROW("map as a key", "{{a}}",
		"1:2: a key must be plain text: quote text that starts with {, [, * or &, or write "
		"it behind |-"),
	ROW("empty key", "?\n: a\n",
		"1:2: a key is missing before \":\": write one, or quote the text"),
	ROW("NUL escape", "\"a\\0\"", "1:1: \\0 in a string, which prompts cannot hold: remove it"),
	ROW("NUL escape in a key", "{\"\\x00\": 1}",
		"1:2: \\0 in a string, which prompts cannot hold: remove it"),
	ROW("tab indentation", "a:\n\tb: c\n",
		"2:1: a tab, which YAML does not take for indentation: indent with spaces"),
	ROW("control character", "a: é\x01\n",
		"1:5: control characters are not allowed: write them as escapes in double quotes"),
	ROW("DEL", "a: \x7f\n",
		"1:4: control characters are not allowed: write them as escapes in double quotes"),
	ROW("half a surrogate pair", "\"\\ud83d\"",
		"1:4: found invalid Unicode character escape code, while parsing a quoted scalar "
		"that starts on line 1: check the indentation, and quote text with special "
		"characters"),
	ROW("version 9.9", "%YAML 9.9\n---\na\n",
		"1:1: found incompatible YAML document: remove the %YAML line"),
	ROW("tag directive", "# a\n%TAG !y! tag:yaml.org,2002:\n---\n!y!str 1\n",
		"2:1: a tag directive: remove it, as only YAML's own tags are known"),
	ROW("unknown tag handle", "!e!a b",
		"1:1: found undefined tag handle, while parsing a node that starts on line 1: "
		"check "
		"the indentation, and quote text with special characters"),
};

static void
yaml_is_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(accepted); i++)
		expect_text(accepted[i].name,
			describe_text(yaml_parse, accepted[i].text, strlen(accepted[i].text)),
			accepted[i].json);
}

static void
expect_refusal(const char *name, const char *text, size_t length, const char *error)
{
	char *got = describe_text(yaml_parse, text, length);
	char *last = strrchr(got, '\n');
	EXPECT(strcmp(last != NULL ? last + 1 : got, error) == 0, "%s:\n  got    %s\n  wanted %s",
		name, got, error);
	free(got);
}

static void
what_prompts_cannot_hold_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(refused); i++)
		expect_refusal(refused[i].name, refused[i].text, strlen(refused[i].text),
			refused[i].error);
	expect_refusal("raw NUL", "a: b\0c", 6,
		"1:5: control characters are not allowed: write them as escapes in double quotes");
}

/* One mistake does not hide the next. */
static void
all_mistakes_are_told(void **state)
{
	static const char text[] = "a: !x 1\na: 2\nb: [*c]\nd: .inf\n";
	char *got = describe_text(yaml_parse, text, strlen(text));
	(void)state;
	for (const char *const *line =
			(const char *const[]){"1:4: ", "2:1: ", "3:5: ", "4:4: ", NULL};
		*line != NULL; line++)
		EXPECT(strstr(got, *line) != NULL, "nothing at %sin %s", *line, got);
	free(got);
}

static void
put_times(struct buffer *out, const char *text, size_t times)
{
	for (size_t i = 0; i < times; i++)
		buffer_puts(out, text);
}

/* Anchored things, then brackets around an inner text. */
static char *
nested(const char *before, size_t levels, const char *inner)
{
	struct buffer text = {0};
	buffer_puts(&text, before);
	put_times(&text, "[", levels);
	buffer_puts(&text, inner);
	put_times(&text, "]", levels);
	return text.data;
}

static void
sixty_four_levels_are_enough(void **state)
{
	static const struct {
		const char *name, *before;
		size_t levels;
		const char *inner, *error;
	} cases[] = {
		{"64 lists",                       "",               64, "a",          NULL    },
		{"65 lists",                       "",               65, "a",          "1:65: "},
		{"a map at level 64",              "",               63, "{a: b}",     NULL    },
		{"a map at level 65",              "",               64, "{a: b}",     "1:65: "},
		{"an empty list at 65",            "",               64, "[]",         "1:65: "},
		{"a scalar's alias at 64",         "",               64, "&a x, *a",   NULL    },
		{"a list's alias at 64",           "",               63, "&a [x], *a", NULL    },
		{"an empty list's alias below 64", "- &a []\n- ",    63, "*a",         "2:66: "},
		{"a list's alias below 64",        "- &a [x]\n- ",   63, "*a",         "2:66: "},
		{"a deep alias",                   "- &a [[x]]\n- ", 62, "*a",         "2:65: "},
		{"a deep alias that fits",         "- &a [[x]]\n- ", 61, "*a",         NULL    },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *text = nested(cases[i].before, cases[i].levels, cases[i].inner);
		char *got = describe_text(yaml_parse, text, strlen(text));
		const char *error = strstr(got, "more than 64 levels");
		EXPECT((error == NULL) == (cases[i].error == NULL), "%s: %s", cases[i].name,
			error != NULL ? error : "accepted");
		if (error != NULL)
			EXPECT(strstr(got, cases[i].error) + strlen(cases[i].error) == error,
				"%s: %s", cases[i].name, got);
		free(got);
		free(text);
	}
}

static void
block_levels_count_too(void **state)
{
	struct buffer text = {0};
	(void)state;
	put_times(&text, "- ", 65);
	expect_refusal("65 block lists", text.data, text.length,
		"1:129: more than 64 levels of lists and mappings: use fewer");
	buffer_finish(&text);
}

static void
expansion_has_a_budget(void **state)
{
	static const struct {
		const char *name, *item;
		size_t times;
		int refused;
	} cases[] = {
		{"99,000 values",        ", a",        98989, 0},
		{"100,001 values",       ", a",        99990, 1},
		{"aliases of 11 values", ", *a",       8000,  0},
		{"too many of them",     ", *a",       9100,  1},
		{"merges of 10 values",  ", {<<: *b}", 4700,  0},
		{"too many merges",      ", {<<: *b}", 30000, 1},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buffer text = {0};
		buffer_puts(&text, "[&a [1,2,3,4,5,6,7,8,9,0], &b {c: 1, d: 2, e: 3, f: 4}");
		put_times(&text, cases[i].item, cases[i].times);
		buffer_puts(&text, "]");
		char *got = describe_text(yaml_parse, text.data, text.length);
		int refusal = strstr(got, "more than 100000 values or 4 MiB") != NULL;
		EXPECT(refusal == cases[i].refused, "%s: %.60s", cases[i].name, got);
		free(got);
		buffer_finish(&text);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_is_read),
		cmocka_unit_test(what_prompts_cannot_hold_is_refused),
		cmocka_unit_test(all_mistakes_are_told),
		cmocka_unit_test(sixty_four_levels_are_enough),
		cmocka_unit_test(block_levels_count_too),
		cmocka_unit_test(expansion_has_a_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
