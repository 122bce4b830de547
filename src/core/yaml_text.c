/* yaml_text.c -- what is to be said of a YAML text that libyaml does not say, or not to people. */
#include "core/yaml_text.h"

#include <stdbool.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

/* What libyaml's terse problems mean to someone who writes prompts. */
const char *
yaml_text_remedy(const char *problem)
{
	static const struct {
		const char *start, *remedy;
	} remedies[] = {
		{"mapping values",                 "quote text that holds \": \", and check the indentation"            },
		{"found character",
                 "indent with spaces, and quote text that starts with @, % or `"                                        },
		{"did not find expected key",      "check the indentation, and quote the whole text; "
					      "within '…' write '' for '"},
		{"did not find expected '-'",      "align each - of the list, and what belongs to it"                   },
		{"did not find expected alpha",    "quote text that starts with * or &"                                 },
		{"did not find expected ','",      "is a bracket not closed?"                                           },
		{"found unexpected end of stream", "is a quote not closed?"                                             },
		{"found unexpected document",      "is a quote not closed?"                                             },
		{"found unknown escape",           "write a backslash twice, or use single quotes"                      },
		{"found incompatible YAML",        "remove the %YAML line"                                              },
		{"control characters",             "write them as escapes in double quotes"                             },
	};
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strncmp(problem, remedies[i].start, strlen(remedies[i].start)) == 0)
			return remedies[i].remedy;
	return "check the indentation, and quote text with special characters";
}

/* What libyaml would read otherwise than YAML 1.2 says, or in a time that grows with the square of the
 * number: line ends of YAML 1.1 that are plain characters now, and tag directives, of which none would be
 * of use. */
static const struct oddity {
	const char *text;
	bool starts_line;
	const char *message;
} oddities[] = {
	{"\xc2\x85",     false, "the character U+0085\nwrite it as \"\\u0085\""                },
	{"\xe2\x80\xa8", false, "the character U+2028\nwrite it as \"\\u2028\""                },
	{"\xe2\x80\xa9", false, "the character U+2029\nwrite it as \"\\u2029\""                },
	{"%TAG",         true,  "a tag directive\nremove it, as only YAML's own tags are known"},
};

static const char *
find_oddity(const struct oddity *oddity, const char *data, size_t length)
{
	size_t size = strlen(oddity->text);
	const char *end = data + length;
	for (const char *at = data; (at = memchr(at, oddity->text[0], (size_t)(end - at))) != NULL;
		at++) {
		bool starts_line = at == data || at[-1] == '\n' || at[-1] == '\r';
		if ((size_t)(end - at) >= size && memcmp(at, oddity->text, size) == 0 &&
			(starts_line || !oddity->starts_line))
			return at;
	}
	return NULL;
}

int
yaml_text_check(struct errors *errors, const char *data, size_t length)
{
	size_t before = errors->count;
	for (size_t i = 0; i < sizeof(oddities) / sizeof(oddities[0]); i++) {
		const char *at = find_oddity(&oddities[i], data, length);
		unsigned line, column;
		if (at == NULL)
			continue;
		text_place(data, (size_t)(at - data), &line, &column);
		errors_add(errors, ERROR_SYNTAX, line, column, "%s", oddities[i].message);
	}
	return errors->count == before ? 0 : -1;
}
