/* test_json_put.c -- tests of the writing of JSON. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"

static void
strings_are_escaped(void **state)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{NULL,               "null"                         },
		{"",                 "\"\""                         },
		{"a/b",              "\"a/b\""                      },
		{"\"\\",             "\"\\\"\\\\\""                 },
		{"\b\f\n\r\t",       "\"\\b\\f\\n\\r\\t\""          },
		{"\x01\x0b\x1f\x7f", "\"\\u0001\\u000b\\u001f\x7f\""},
		{"é漢😀",        "\"é漢😀\""                },
		{"a\nb\n",           "\"a\\nb\\n\""                 },
		{"<script>",         "\"<script>\""                 },
	};
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buffer_clear(&out);
		json_put_string(&out, cases[i].text);
		EXPECT(strcmp(out.data, cases[i].json) == 0, "%s, wanted %s", out.data,
			cases[i].json);
	}
	buffer_clear(&out);
	json_put_characters(&out, "a\"\0b", 4);
	assert_string_equal(out.data, "a\\\"\\u0000b");
	buffer_finish(&out);
}

static void
keys_are_set_apart(void **state)
{
	struct buffer out = {0};
	(void)state;
	json_put_key(&out, "a");
	buffer_puts(&out, "{");
	json_put_key(&out, "b\"");
	buffer_puts(&out, "[]");
	json_put_key(&out, "c");
	buffer_puts(&out, "\"{\"}");
	json_put_key(&out, "d");
	buffer_puts(&out, "[");
	json_put_key(&out, "e");
	assert_string_equal(out.data, "\"a\":{\"b\\\"\":[],\"c\":\"{\"},\"d\":[\"e\":");
	buffer_finish(&out);
}

static void
expect_indented(const char *json, unsigned level, const char *wanted)
{
	struct arena *arena = arena_new();
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	struct buffer out = {0};
	assert_int_equal(json_parse(&document, json, strlen(json)), 0);
	json_put_indented(&out, document.first, level);
	EXPECT(strcmp(out.data, wanted) == 0, "%s: got %s, wanted %s", json, out.data, wanted);
	buffer_clear(&out);
	json_put_value(&out, document.first);
	EXPECT(strcmp(out.data, json) == 0, "%s: got %s", json, out.data);
	buffer_finish(&out);
	arena_free(arena);
}

static void
values_are_indented_for_people(void **state)
{
	static const struct {
		const char *json;
		unsigned level;
		const char *wanted;
	} cases[] = {
		ROW("[]", 0, "[]"),
		ROW("{}", 3, "{}"),
		ROW("1.10", 0, "1.10"),
		ROW("[1,\"a\",null,true,false]", 0,
			"[\n  1,\n  \"a\",\n  null,\n  true,\n  false\n]"),
		ROW("{\"a\":{\"b\":[{}]},\"c\":0}", 0,
			"{\n  \"a\": {\n    \"b\": [\n      {}\n    ]\n  },\n  \"c\": 0\n}"),
		ROW("{\"a\":1}", 2, "{\n      \"a\": 1\n    }"),
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_indented(cases[i].json, cases[i].level, cases[i].wanted);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(keys_are_set_apart),
		cmocka_unit_test(values_are_indented_for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
