/* test_template.c -- tests of where the placeholders of a text are found. */
#include "support.h"

#include <string.h>

#include "core/buffer.h"
#include "core/template.h"

/* Each placeholder is shown as <name>, whatever form it has. */
static const struct {
	const char *text, *shown;
} cases[] = {
	{"",			""		       },
	{"plain",		   "plain"                  },
	{"{a}",		     "<a>"                    },
	{"{{a}}",		   "<a>"                    },
	{"{{ a }}",                 "<a>"                    },
	{"{{\ta  }}",               "<a>"                    },
	{"x{a}y{b}z",               "x<a>y<b>z"              },
	{"{a}{a}{{b}}",             "<a><a><b>"              },
	{"{a_1}{_}{0}{A}",          "<a_1><_><0><A>"         },
	{"{größe}{漢字}{😀}", "<größe><漢字><😀>"},
	{"{}",		      "{}"		     },
	{"{{}}",		    "{{}}"                   },
	{"{{ }}",		   "{{ }}"                  },
	{"{ a }",		   "{ a }"                  },
	{"{a b}",		   "{a b}"                  },
	{"{a-b}{a.b}{a:b}",         "{a-b}{a.b}{a:b}"        },
	{"{\na\n}",                 "{\na\n}"                },
	{"{{\na\n}}",               "{{\na\n}}"              },
	{"{a",		      "{a"		     },
	{"a}",		      "a}"		     },
	{"{{a}",		    "{<a>"                   },
	{"{a}}",		    "<a>}"                   },
	{"{{{a}}}",                 "{<a>}"                  },
	{"{{{{a}}}}",               "{{<a>}}"                },
	{"{{a }",		   "{{a }"                  },
	{"{ {a} }",                 "{ <a> }"                },
	{"{\"k\": {a}}",            "{\"k\": <a>}"           },
	{"{\"k\": {\"l\": 1}}",     "{\"k\": {\"l\": 1}}"    },
	{"{a{b}c}",                 "{a<b>c}"                },
	{"{{a}b}",                  "{<a>b}"                 },
	{"\\{a}",		   "\\<a>"                  },
	{"${a}$",		   "$<a>$"                  },
	{"{% if a %}",              "{% if a %}"             },
	{"{{ a | upper }}",         "{{ a | upper }}"        },
	{"}{a}{",		   "}<a>{"                  },
};

static void
show(const char *text, size_t length, struct buffer *out)
{
	struct placeholder found;
	size_t done = 0;
	buffer_clear(out);
	buffer_puts(out, "");
	for (size_t cursor = 0; template_next(text, length, &cursor, &found);) {
		buffer_put(out, text + done, found.offset - done);
		buffer_printf(out, "<%.*s>", (int)found.name_length, found.name);
		done = found.offset + found.length;
		EXPECT(cursor == done, "%s: cursor at %zu", text, cursor);
	}
	buffer_put(out, text + done, length - done);
}

static void
placeholders_are_found(void **state)
{
	struct buffer shown = {0};
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		show(cases[i].text, strlen(cases[i].text), &shown);
		EXPECT(strcmp(shown.data, cases[i].shown) == 0, "%s: got %s, wanted %s",
			cases[i].text, shown.data, cases[i].shown);
	}
	buffer_finish(&shown);
}

/* What lies behind the text is not read as part of it. */
static void
the_length_is_the_end(void **state)
{
	static const char text[] = "{{ a }}";
	struct placeholder found;
	(void)state;
	for (size_t length = 0; length < strlen(text); length++) {
		size_t cursor = 0;
		EXPECT(!template_next(text, length, &cursor, &found), "%zu bytes", length);
		EXPECT(cursor == length, "%zu bytes: cursor at %zu", length, cursor);
	}
}

static void
names_are_word_characters(void **state)
{
	static const struct {
		const char *name;
		int fits;
	} names[] = {
		{"a",       1},
		{"A_9",     1},
		{"größe", 1},
		{"1",       1},
		{"",        0},
		{"a b",     0},
		{"a-b",     0},
		{"{a}",     0},
		{"a\n",     0},
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		EXPECT(template_is_name(names[i].name) == names[i].fits, "\"%s\"", names[i].name);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(placeholders_are_found),
		cmocka_unit_test(the_length_is_the_end),
		cmocka_unit_test(names_are_word_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
