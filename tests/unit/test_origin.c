/* test_origin.c -- each character of a text is found where it stands in the file. */
#include "support.h"

#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/origin.h"
#include "core/yaml.h"

/* Of each text the @ is looked for, the last one where there are several. */
static const struct {
	const char *text;
	bool is_json;
} texts[] = {
	{"abc @ d",					      false},
	{"é ü @",					      false},
	{"a\n  b\n\n  c @",				      false},
	{"'it''s @ '",					   false},
	{"'a\n\n  b''' ",					false},
	{"'a\n\n  b'' @' ",				      false},
	{"\"a \\x41 \\u00e9 \\U0001F600 \\\" \\\\ \\/ \\n@\"",   false},
	{"\"a \\\n   b \\t @ @\"",                               false},
	{"&a b @",					       false},
	{"!!str &a \"b @\"",				     false},
	{"|- # comment @\n  a\n    b\n   @ c\n",                 false},
	{">+\n\n  a\n  b\n\n\n  c @\n\n",                        false},
	{"|2\n    a\n   @\n",				    false},
	{"\"a \\u00e9 \\ud83d\\ude00 \\\" \\\\ \\/ \\n\\t@ b\"", true },
	{"\"\\u00e9@\"",					 true },
	{"\"@\"",						true },
};

static void
characters_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++) {
		const char *text = texts[i].text;
		struct errors errors = {.arena = arena_new()};
		struct document document = {.arena = errors.arena, .errors = &errors};
		int result = texts[i].is_json ? json_parse(&document, text, strlen(text))
					      : yaml_parse(&document, text, strlen(text));
		EXPECT(result == 0 && document.first->kind == VALUE_STRING, "%s: no text", text);
		const char *found = strrchr(document.first->text, '@');
		const char *wanted = strrchr(text, '@');
		if (found != NULL)
			EXPECT(origin_of(text, document.first,
				       (size_t)(found - document.first->text)) ==
					(size_t)(wanted - text),
				"%s: at %zu", text,
				origin_of(text, document.first,
					(size_t)(found - document.first->text)));
		arena_free(errors.arena);
	}
}

/* However far behind the end one asks, the answer is within the text. */
static void
the_end_is_the_border(void **state)
{
	static const char text[] = "[\"\\u00e9\", \"b\\\\\"]";
	struct errors errors = {.arena = arena_new()};
	struct document document = {.arena = errors.arena, .errors = &errors};
	(void)state;
	assert_int_equal(json_parse(&document, text, strlen(text)), 0);
	for (const struct value *value = document.first->first; value != NULL; value = value->next)
		for (size_t at = 0; at <= strlen(value->text); at++) {
			size_t origin = origin_of(text, value, at);
			EXPECT(origin >= value->start && origin <= value->end, "%s: %zu",
				value->text, origin);
		}
	arena_free(errors.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_are_found),
		cmocka_unit_test(the_end_is_the_border),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
