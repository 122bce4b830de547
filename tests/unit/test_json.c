/* test_json.c -- tests that JSON is RFC 8259 to the letter. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/json.h"

/* What is written in other words than it was read in. */
static const struct {
	const char *text, *json;
} rewritten[] = {
	{" \t\r\n{ \"a\" : [ 1 , 2 ] }\n", "{\"a\":[1,2]}"               },
	{"\"\\u0041\\/\\u00e9\"",          "\"A/é\""                    },
	{"\"\\ud83d\\ude00\"",             "\"😀\""                    },
	{"\"\\uD83D\\uDE00\"",             "\"😀\""                    },
	{"\"\\udbff\\udfff\"",             "\"\xf4\x8f\xbf\xbf\""        },
	{"\"\\u2028\\uffff\"",             "\"\xe2\x80\xa8\xef\xbf\xbf\""},
	{"\"\\b\\f\\n\\r\\t\\\"\\\\\"",    "\"\\b\\f\\n\\r\\t\\\"\\\\\"" },
	{"\"\\u000a\\u001F\"",             "\"\\n\\u001f\""              },
};

/* What is written as it was read. */
static const char *const kept[] = {
	"null",
	"true",
	"false",
	"\"\"",
	"[]",
	"{}",
	"[[],{},[{}]]",
	"{\"\":1,\" \":2,\"a\":{\"a\":3}}",
	"\"\x7f \xc2\x80 é 漢 😀 \xef\xbb\xbf\"",
	"0",
	"-0",
	"-1",
	"10",
	"1.0",
	"0.7",
	"1.10",
	"-0.0",
	"1e3",
	"1E3",
	"1e+3",
	"1e-3",
	"0e0",
	"0E+1",
	"-1.5e-10",
	"1e00",
	"9007199254740993",
	"9223372036854775808",
	"18446744073709551616",
	"-9223372036854775809",
	"0.30000000000000004",
	"1.7976931348623157e308",
	"5e-324",
	"1e400",
	"-1e-400",
	"1.000000000000000000000000000000000000000000000000000000000000000000000000000000001",
	"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
};

static const struct {
	const char *text, *error;
} refused[] = {
	ROW("", "1:1: the file is empty: write something into it, or delete it"),
	ROW(" ", "1:2: the text ends where a value was expected: is the file cut off?"),
	ROW("\xef\xbb\xbf{}", "1:1: a byte order mark: save the file as UTF-8 without it"),
	ROW("{}{}", "1:3: nothing was expected behind the value: a file holds one, which may be a "
		    "list of prompts"),
	ROW("nullx", "1:5: nothing was expected behind the value: a file holds one, which may be a "
		     "list of prompts"),
	ROW("1 2", "1:3: nothing was expected behind the value: a file holds one, which may be a "
		   "list of prompts"),
	ROW("[1],", "1:4: nothing was expected behind the value: a file holds one, which may be a "
		    "list of prompts"),
	ROW("[]]", "1:3: nothing was expected behind the value: a file holds one, which may be a "
		   "list of prompts"),
	ROW("0x10", "1:2: nothing was expected behind the value: a file holds one, which may be a "
		    "list of prompts"),
	ROW("1.5.5", "1:4: nothing was expected behind the value: a file holds one, which may be a "
		     "list of prompts"),
	ROW("1e5e5", "1:4: nothing was expected behind the value: a file holds one, which may be a "
		     "list of prompts"),
	ROW("true false", "1:6: nothing was expected behind the value: a file holds one, which may "
			  "be a list of prompts"),
	ROW("\xc2\xa0{}",
		"1:1: a value was expected: write a string in double quotes, a number, true, "
		"false, null, or a list or object"),
	ROW("01", "1:1: a number with a leading zero: remove it, or quote it if it is text"),
	ROW("-01", "1:1: a number with a leading zero: remove it, or quote it if it is text"),
	ROW("00", "1:1: a number with a leading zero: remove it, or quote it if it is text"),
	ROW("-", "1:1: a number without digits: add them"),
	ROW("[-]", "1:2: a number without digits: add them"),
	ROW("-.5", "1:1: a number without digits: add them"),
	ROW("-Infinity", "1:1: a number without digits: add them"),
	ROW("1.", "1:1: a number without digits behind the point: add them"),
	ROW("2.e3", "1:1: a number without digits behind the point: add them"),
	ROW("1e", "1:1: a number without digits in the exponent: add them"),
	ROW("1e+", "1:1: a number without digits in the exponent: add them"),
	ROW("1e-a", "1:1: a number without digits in the exponent: add them"),
	ROW("[1,]", "1:3: a comma with nothing behind it: remove it"),
	ROW("[1,\n ]", "1:3: a comma with nothing behind it: remove it"),
	ROW("{\"a\":1,}", "1:7: a comma with nothing behind it: remove it"),
	ROW("{,}", "1:2: a key in double quotes was expected: JSON knows no comments and no other "
		   "quotes"),
	ROW("{1:2}", "1:2: a key in double quotes was expected: JSON knows no comments and no "
		     "other quotes"),
	ROW("{null:2}", "1:2: a key in double quotes was expected: JSON knows no comments and no "
			"other quotes"),
	ROW("{", "1:2: a key in double quotes was expected: JSON knows no comments and no other "
		 "quotes"),
	ROW("{\"a\"}", "1:5: \":\" was expected behind the key: add it"),
	ROW("{\"a\" 1}", "1:6: \":\" was expected behind the key: add it"),
	ROW("{\"a\":1 \"b\"}", "1:8: \",\" or \"}\" was expected: add it before this"),
	ROW("{\"a\":1", "1:7: \",\" or \"}\" was expected: add it before this"),
	ROW("{\"a\":1]", "1:7: \",\" or \"}\" was expected: add it before this"),
	ROW("[1 2]", "1:4: \",\" or \"]\" was expected: add it before this"),
	ROW("[1}", "1:3: \",\" or \"]\" was expected: add it before this"),
	ROW("[1", "1:3: \",\" or \"]\" was expected: add it before this"),
	ROW("\"abc", "1:1: the string does not end: close it with a double quote"),
	ROW("\"abc\\\"", "1:1: the string does not end: close it with a double quote"),
	ROW("\"abc\\", "1:5: the string does not end: close it with a double quote"),
	ROW("[\"a\n\"]", "1:4: a line break in a string: write it as \\n"),
	ROW("\"\t\"", "1:2: a control character in a string: write it as an escape"),
	ROW("\"\x1f\"", "1:2: a control character in a string: write it as an escape"),
	ROW("\"\\a\"", "1:2: an escape that JSON does not know: write a backslash as \\\\"),
	ROW("\"\\'\"", "1:2: an escape that JSON does not know: write a backslash as \\\\"),
	ROW("\"\\x41\"", "1:2: an escape that JSON does not know: write a backslash as \\\\"),
	ROW("\"\\U0041\"", "1:2: an escape that JSON does not know: write a backslash as \\\\"),
	ROW("\"\\\n\"", "1:2: an escape that JSON does not know: write a backslash as \\\\"),
	ROW("\"\\u12g4\"", "1:2: \\u takes four hexadecimal digits: write a backslash as \\\\"),
	ROW("\"\\u 123\"", "1:2: \\u takes four hexadecimal digits: write a backslash as \\\\"),
	ROW("\"\\u12\"", "1:2: \\u takes four hexadecimal digits: write a backslash as \\\\"),
	ROW("\"\\u", "1:2: \\u takes four hexadecimal digits: write a backslash as \\\\"),
	ROW("\"\\u0000\"", "1:2: \\u0000, which prompts cannot hold: remove it"),
	ROW("{\"\\u0000\":1}", "1:3: \\u0000, which prompts cannot hold: remove it"),
	ROW("\"\\ud83d\"", "1:2: half of a surrogate pair: write both, or the character itself"),
	ROW("\"\\ude00\"", "1:2: half of a surrogate pair: write both, or the character itself"),
	ROW("\"\\ud83dx\"", "1:2: half of a surrogate pair: write both, or the character itself"),
	ROW("\"\\ud83d\\n\"", "1:2: half of a surrogate pair: write both, or the character itself"),
	ROW("\"\\ud83d\\ud83d\"",
		"1:2: half of a surrogate pair: write both, or the character itself"),
	ROW("\"é\\ud83d\\u0041\"",
		"1:3: half of a surrogate pair: write both, or the character itself"),
	ROW("\"\xff\"", "1:2: not UTF-8: save the file as UTF-8"),
	ROW("\"\xc0\x80\"", "1:2: not UTF-8: save the file as UTF-8"),
	ROW("\"\xed\xa0\x80\"", "1:2: not UTF-8: save the file as UTF-8"),
	ROW("\"\xf4\x90\x80\x80\"", "1:2: not UTF-8: save the file as UTF-8"),
	ROW("{\"a\":1,\"a\":2}",
		"1:8: the key \"a\" is here twice, first on line 1: remove one of them"),
	ROW("{\"é\":1,\n\"\\u00e9\":2}",
		"2:1: the key \"é\" is here twice, first on line 1: remove one of them"),
};

/* None of these begins a value. */
static const char *const words[] = {"'a'", "nul", "Null", "True", "NaN", "Infinity", "+1", ".5",
	"undefined", "// x\n1", "/* x */ 1", "# x\n1", "\f1", "\v1", ",", ":", "]", "}", "\\u0031"};

static void
allowed_texts_are_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(kept); i++)
		expect_text(kept[i], describe_text(json_parse, kept[i], strlen(kept[i])), kept[i]);
	for (size_t i = 0; i < LENGTH(rewritten); i++)
		expect_text(rewritten[i].text,
			describe_text(json_parse, rewritten[i].text, strlen(rewritten[i].text)),
			rewritten[i].json);
}

static void
a_thousand_digits_are_kept(void **state)
{
	char number[1004] = "-";
	(void)state;
	memset(number + 1, '7', 1000);
	expect_text("a thousand digits", describe_text(json_parse, number, strlen(number)), number);
	memcpy(number + 500, ".5e", 3);
	expect_text("a long fraction", describe_text(json_parse, number, strlen(number)), number);
}

/* Like describe_text, but with errors alone: what was read of a refused text does not matter. */
static void
expect_refusal(const char *text, size_t length, const char *error)
{
	char *got = describe_text(json_parse, text, length);
	char *last = strrchr(got, '\n');
	EXPECT(strcmp(last != NULL ? last + 1 : got, error) == 0, "%s:\n  got    %s\n  wanted %s",
		text, got, error);
	free(got);
}

static void
forbidden_texts_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(refused); i++)
		expect_refusal(refused[i].text, strlen(refused[i].text), refused[i].error);
	for (size_t i = 0; i < LENGTH(words); i++)
		expect_refusal(words[i], strlen(words[i]),
			"1:1: a value was expected: write a string in double quotes, a number, "
			"true, "
			"false, null, or a list or object");
}

static void
raw_nul_is_refused(void **state)
{
	(void)state;
	expect_refusal("{}\0", 3,
		"1:3: nothing was expected behind the value: a file holds one, which may be a list "
		"of prompts");
	expect_refusal(
		"\"a\0b\"", 5, "1:3: a control character in a string: write it as an escape");
	expect_refusal("\"a\\\0\"", 5,
		"1:3: an escape that JSON does not know: write a backslash as \\\\");
}

/* Every start of a text is refused, whatever lies behind it in memory. */
static void
every_start_is_refused(void **state)
{
	static const char text[] =
		"{\"a\":[1.5e3,true,null,\"\\ud83d\\ude00\"],\"b\":{\"c\":false}}";
	(void)state;
	for (size_t length = 0; length < strlen(text); length++) {
		char *start = malloc(length + 1);
		assert_non_null(start);
		memcpy(start, text, length);
		start[length] = 'x';
		char *got = describe_text(json_parse, start, length);
		EXPECT(*got == '1', "%zu bytes: %s", length, got);
		free(got);
		free(start);
	}
}

static char *
nested(size_t levels)
{
	struct buffer text = {0};
	for (size_t i = 0; i < levels; i++)
		buffer_puts(&text, i % 2 == 0 ? "[" : "{\"a\":");
	buffer_puts(&text, "1");
	for (size_t i = levels; i > 0; i--)
		buffer_puts(&text, i % 2 == 1 ? "]" : "}");
	return text.data;
}

static void
sixty_four_levels_are_enough(void **state)
{
	char *text = nested(64);
	(void)state;
	expect_text("64 levels", describe_text(json_parse, text, strlen(text)), text);
	free(text);
	text = nested(65);
	expect_refusal(
		text, strlen(text), "1:193: more than 64 levels of lists and objects: use fewer");
	free(text);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(allowed_texts_are_kept),
		cmocka_unit_test(a_thousand_digits_are_kept),
		cmocka_unit_test(forbidden_texts_are_refused),
		cmocka_unit_test(raw_nul_is_refused),
		cmocka_unit_test(every_start_is_refused),
		cmocka_unit_test(sixty_four_levels_are_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
