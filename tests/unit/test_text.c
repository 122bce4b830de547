/* test_text.c -- tests of UTF-8, places, quoting and likeness of words. */
#include "support.h"

#include <limits.h>
#include <string.h>

#include "core/text.h"

/* The borders of the table in RFC 3629 section 4. */
static const struct {
	const char *bytes;
	size_t size, length;
} characters[] = {
	{"",		 0, 0},
	{"\0",	       1, 1},
	{"a",		1, 1},
	{"\x7f",             1, 1},
	{"\x80",             1, 0},
	{"\xbf",             1, 0},
	{"\xc0\x80",         2, 0},
	{"\xc1\xbf",         2, 0},
	{"\xc2\x80",         2, 2},
	{"\xdf\xbf",         2, 2},
	{"\xc2",             1, 0},
	{"\xc2\x41",         2, 0},
	{"\xc2\xc0",         2, 0},
	{"\xe0\x9f\xbf",     3, 0},
	{"\xe0\xa0\x80",     3, 3},
	{"\xec\xbf\xbf",     3, 3},
	{"\xed\x9f\xbf",     3, 3},
	{"\xed\xa0\x80",     3, 0},
	{"\xed\xbf\xbf",     3, 0},
	{"\xee\x80\x80",     3, 3},
	{"\xef\xbf\xbf",     3, 3},
	{"\xef\xbf",         2, 0},
	{"\xef\xbf\x41",     3, 0},
	{"\xf0\x8f\xbf\xbf", 4, 0},
	{"\xf0\x90\x80\x80", 4, 4},
	{"\xf3\xbf\xbf\xbf", 4, 4},
	{"\xf4\x8f\xbf\xbf", 4, 4},
	{"\xf4\x90\x80\x80", 4, 0},
	{"\xf5\x80\x80\x80", 4, 0},
	{"\xf0\x9f\x98",     3, 0},
	{"\xf0\x9f\x98\x41", 4, 0},
	{"\xf8\x88\x80\x80", 4, 0},
	{"\xff\xff\xff\xff", 4, 0},
};

/* Each byte at each place of a text that is longer than the words that are looked at in one go. */
static void
spans_end_at_the_first_other_byte(void **state)
{
	enum { LENGTH_BYTES = 27 };
	char text[LENGTH_BYTES];
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		bool is_ascii = byte < 0x80;
		bool is_json = byte >= 0x20 && byte != '"' && byte != '\\';
		for (size_t at = 0; at < LENGTH_BYTES; at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (char)byte;
			size_t ascii = text_ascii_span(text, sizeof(text));
			size_t json = text_json_span(text, sizeof(text));
			EXPECT(ascii == (is_ascii ? sizeof(text) : at), "%u at %zu: %zu", byte, at,
				ascii);
			EXPECT(json == (is_json ? sizeof(text) : at), "%u at %zu: %zu", byte, at,
				json);
			assert_int_equal(text_json_span(text, at), at);
			assert_int_equal(text_ascii_span(text, at), at);
		}
	}
}

static void
characters_have_a_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(characters); i++) {
		size_t length = text_utf8_length(characters[i].bytes, characters[i].size);
		EXPECT(length == characters[i].length, "case %zu: %zu, wanted %zu", i, length,
			characters[i].length);
	}
}

static void
spans_end_where_utf8_ends(void **state)
{
	static const struct {
		const char *text;
		size_t span;
	} cases[] = {
		{"",                 0},
		{"abc",              3},
		{"é漢😀",        9},
		{"ab\xff",           2},
		{"é\xe9",           2},
		{"😀\xf0\x9f\x98", 4},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t span = text_utf8_span(cases[i].text, strlen(cases[i].text));
		EXPECT(span == cases[i].span, "case %zu: %zu, wanted %zu", i, span, cases[i].span);
	}
	assert_int_equal(text_utf8_span("a\0b", 3), 3);
}

static void
broken_ends_are_cut(void **state)
{
	static const struct {
		const char *text, *cut;
	} cases[] = {
		{"",              ""     },
		{"abc",           "abc"  },
		{"aé",           "aé"  },
		{"a\xc3",         "a"    },
		{"漢",           "漢"  },
		{"\xe6\xbc",      ""     },
		{"\xe6",          ""     },
		{"a😀",         "a😀"},
		{"a\xf0\x9f\x98", "a"    },
		{"a\xf0\x9f",     "a"    },
		{"😀\xf0",      "😀" },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char text[16];
		strcpy(text, cases[i].text);
		text_trim_utf8(text);
		EXPECT(strcmp(text, cases[i].cut) == 0, "case %zu: %s", i, text);
	}
}

static void
places_are_lines_and_characters(void **state)
{
	static const char text[] = "ab\n\ncé漢d\r\ne";
	static const struct {
		size_t offset;
		unsigned line, column;
	} cases[] = {
		{0,  1, 1},
		{2,  1, 3},
		{3,  2, 1},
		{4,  3, 1},
		{5,  3, 2},
		{7,  3, 3},
		{10, 3, 4},
		{13, 4, 1},
		{14, 4, 2},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		unsigned line, column;
		text_place(text, cases[i].offset, &line, &column);
		EXPECT(line == cases[i].line && column == cases[i].column, "offset %zu: %u:%u",
			cases[i].offset, line, column);
	}
}

#define FIFTY "12345678901234567890123456789012345678901234567890"

static void
words_are_quoted_and_escaped(void **state)
{
	static const struct {
		const char *word, *quoted;
	} cases[] = {
		{"",              "\"\""                        },
		{"größe",       "\"größe\""                 },
		{FIFTY,           "\"" FIFTY "\""               },
		{"a\nb\tc",       "\"a\\nb\\tc\""               },
		{"\r\x1b[1m\x7f", "\"\\u000d\\u001b[1m\\u007f\""},
		{"\xc2\x85é",    "\"\\u0085é\""               },
		{"a\xed\xa0\x80", "\"a\\xed\\xa0\\x80\""        },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct quote quote;
		text_quote(&quote, cases[i].word);
		EXPECT(strcmp(quote.text, cases[i].quoted) == 0, "case %zu: %s, wanted %s", i,
			quote.text, cases[i].quoted);
	}
}

/* A long word is cut between two characters, and what is left out is shown as such. */
static void
long_words_are_cut(void **state)
{
	static const char *const words[] = {FIFTY FIFTY, "é" FIFTY FIFTY,
		"漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢",
		"1\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b\x1b", "12" FIFTY "😀😀😀😀"};
	(void)state;
	for (size_t i = 0; i < LENGTH(words); i++) {
		struct quote quote;
		const char *text = text_quote(&quote, words[i]);
		size_t length = strlen(text);
		EXPECT(length > 50 && length < sizeof(quote.text), "case %zu: %s", i, text);
		EXPECT(strcmp(text + length - 4, "…\"") == 0, "case %zu: %s", i, text);
		EXPECT(text_utf8_span(text, length) == length, "case %zu: not UTF-8", i);
	}
}

static void
control_characters_have_a_code(void **state)
{
	static const struct {
		const char *text;
		unsigned code;
	} cases[] = {
		{"",         0  },
		{"a",        0  },
		{" ",        0  },
		{"é",       0  },
		{"\xc2\xa0", 0  },
		{"\xc3\x85", 0  },
		{"\x01",     1  },
		{"\n",       10 },
		{"\x1f",     31 },
		{"\x7f",     127},
		{"\xc2\x80", 128},
		{"\xc2\x9f", 159},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		unsigned code = text_control(cases[i].text, strlen(cases[i].text));
		EXPECT(code == cases[i].code, "case %zu: %u, wanted %u", i, code, cases[i].code);
	}
	assert_int_equal(text_control("\xc2\x80", 1), 0);
}

static void
digits_have_a_value(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	(void)state;
	for (int c = -1; c < 256; c++) {
		const char *at = c > 0 ? strchr(digits, c) : NULL;
		int value = at == NULL ? -1 : (int)(at - digits) - (at - digits > 15 ? 6 : 0);
		EXPECT(text_hex_digit(c) == value, "character %d: %d", c, text_hex_digit(c));
	}
}

static void
endings_have_something_before_them(void **state)
{
	assert_true(text_ends_in("a.json", 6, ".json"));
	assert_true(text_ends_in("a.jsonx", 6, ".json"));
	assert_false(text_ends_in(".json", 5, ".json"));
	assert_false(text_ends_in("a.jso", 5, ".json"));
	assert_true(text_ends_in("a", 1, ""));
	assert_false(text_ends_in("", 0, "a"));
	(void)state;
}

#define SIXTY "1234567890" FIFTY

static void
words_have_a_distance(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{"",           "",          0       },
		{"",           "abc",       3       },
		{"model",      "model",     0       },
		{"modle",      "model",     1       },
		{"mdel",       "model",     1       },
		{"moddel",     "model",     1       },
		{"nodel",      "model",     1       },
		{"ab",         "ba",        1       },
		{"kitten",     "sitting",   3       },
		{"labels",     "label",     1       },
		{"abc",        "xyz",       3       },
		{SIXTY "123",  SIXTY "124", 1       },
		{SIXTY "1234", "a",         UINT_MAX},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		unsigned there = text_distance(cases[i].a, cases[i].b);
		unsigned back = text_distance(cases[i].b, cases[i].a);
		EXPECT(there == cases[i].distance && back == there, "%s and %s: %u, back %u",
			cases[i].a, cases[i].b, there, back);
	}
}

static void
near_words_may_have_been_meant(void **state)
{
	static const struct {
		const char *word, *name;
		int near;
	} cases[] = {
		{"label",           "labels",          1},
		{"lables",          "labels",          1},
		{"slag",            "slug",            1},
		{"prompt_tempalte", "prompt_template", 1},
		{"prompttemplate",  "prompt_template", 1},
		{"descripton",      "description",     1},
		{"colour",          "labels",          0},
		{"id",              "prompt_id",       0},
		{"xy",              "ab",              0},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		EXPECT(text_is_near(cases[i].word, cases[i].name) == cases[i].near, "%s and %s",
			cases[i].word, cases[i].name);
}

static void
words_are_found(void **state)
{
	static const char text[] = "aab abab\0c";
	const char *end = text + sizeof(text) - 1;
	(void)state;
	assert_ptr_equal(text_find(text, end, "ab"), text + 1);
	assert_ptr_equal(text_find(text + 2, end, "ab"), text + 4);
	assert_ptr_equal(text_find(text, end, "abab"), text + 4);
	assert_ptr_equal(text_find(text, end, "c"), text + 9);
	assert_null(text_find(text, text + 7, "abab"));
	assert_null(text_find(text, end, "cc"));
	assert_null(text_find(text, text, "a"));
}

static void
byte_order_marks_are_seen(void **state)
{
	(void)state;
	assert_int_equal(text_mark_length("\xef\xbb\xbf", 3), 3);
	assert_int_equal(text_mark_length("\xef\xbb\xbf", 2), 0);
	assert_int_equal(text_mark_length("abc", 3), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found),
		cmocka_unit_test(byte_order_marks_are_seen),
		cmocka_unit_test(characters_have_a_length),
		cmocka_unit_test(spans_end_at_the_first_other_byte),
		cmocka_unit_test(spans_end_where_utf8_ends),
		cmocka_unit_test(broken_ends_are_cut),
		cmocka_unit_test(places_are_lines_and_characters),
		cmocka_unit_test(words_are_quoted_and_escaped),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(control_characters_have_a_code),
		cmocka_unit_test(digits_have_a_value),
		cmocka_unit_test(endings_have_something_before_them),
		cmocka_unit_test(words_have_a_distance),
		cmocka_unit_test(near_words_may_have_been_meant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
