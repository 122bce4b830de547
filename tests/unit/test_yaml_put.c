/* test_yaml_put.c -- tests of the writing of YAML. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/yaml.h"
#include "core/yaml_put.h"

static void
texts_are_blocks_where_that_is_the_same(void **state)
{
	static const struct {
		const char *text, *yaml;
	} cases[] = {
		{"a\nb\n",				"|\n  a\n  b\n"                    },
		{"a",				     "|-\n  a\n"                        },
		{"a\n\n",				 "|+\n  a\n\n"                      },
		{"a\n\n b\n\tc \n",                       "|\n  a\n\n   b\n  \tc \n"         },
		{"a\n   ",				"|-\n  a\n     \n"                 },
		{"- \"x\": #\\ é😀",                   "|-\n  - \"x\": #\\ é😀\n"      },
		{"---\na\n...\n",                         "|\n  ---\n  a\n  ...\n"           },
		{"",				      "\"\"\n"                           },
		{" a\n",				  "\" a\\n\"\n"                      },
		{"\ta",				   "\"\\ta\"\n"                       },
		{"\na \"b\" \\\n",                        "\"\\na \\\"b\\\" \\\\\\n\"\n"     },
		{"a\r\nb\r\n",                            "\"a\\r\\nb\\r\\n\"\n"             },
		{"a\x01\x7f\x1b",                         "\"a\\u0001\\u007f\\u001b\"\n"     },
		{"a\xc2\x85 é",                          "\"a\\u0085 é\"\n"                },
		{"a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"a\\u2028\\u2029\xe2\x80\xaa\"\n"},
		{"\xef\xbb\xbf😀",                      "\"\\ufeff😀\"\n"                },
		{"\xef\xbf\xbd\xef\xbf\xbe\xef\xbf\xbf",  "\"\xef\xbf\xbd\\ufffe\\uffff\"\n" },
	};
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buffer_clear(&out);
		yaml_put_text(&out, cases[i].text, strlen(cases[i].text), 2);
		EXPECT(strcmp(out.data, cases[i].yaml) == 0, "case %zu: %s, wanted %s", i, out.data,
			cases[i].yaml);
	}
	buffer_finish(&out);
}

/* Whether a text comes back from a YAML document in which other keys stand around it. */
static bool
comes_back(struct arena *arena, struct buffer *out, const char *text, size_t length)
{
	arena_reset(arena);
	buffer_clear(out);
	buffer_puts(out, "data:\n  a: ");
	yaml_put_text(out, text, length, 4);
	buffer_puts(out, "  b: c\n");
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	if (yaml_parse(&document, out->data, out->length) != 0)
		return false;
	const struct value *a = document_find(document.first->first, "a");
	const struct value *b = document_find(document.first->first, "b");
	return b != NULL && strcmp(b->text, "c") == 0 && strlen(a->text) == length &&
	       strcmp(a->text, text) == 0;
}

static void
all_short_texts_come_back(void **state)
{
	static const char *const parts[] = {"", " ", "\n", "\t", "\r", "a", "#", "\"", "\\", ": ",
		"---", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbb\xbf", "é"};
	enum { LONGEST = 4 };
	struct arena *arena = arena_new();
	struct buffer out = {0};
	(void)state;
	size_t number = 1;
	for (int i = 0; i < LONGEST; i++)
		number *= LENGTH(parts);
	for (size_t i = 0; i < number; i++) {
		char text[LONGEST * 4 + 1] = "";
		for (size_t k = i; k > 0; k /= LENGTH(parts)) /* the part for 0 is none */
			strcat(text, parts[k % LENGTH(parts)]);
		EXPECT(comes_back(arena, &out, text, strlen(text)), "%s", out.data);
	}
	buffer_finish(&out);
	arena_free(arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_blocks_where_that_is_the_same),
		cmocka_unit_test(all_short_texts_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
