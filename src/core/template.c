/* template.c -- finds the placeholders in a text: {name}, {{name}}, {{ name }}. */
#include "core/template.h"

#include <string.h>

static bool
is_name_byte(char character)
{
	unsigned char byte = (unsigned char)character;
	return byte >= 0x80 || byte == '_' || (byte >= '0' && byte <= '9') ||
	       (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static size_t
skip_spaces(const char *text, size_t length, size_t at)
{
	while (at < length && (text[at] == ' ' || text[at] == '\t'))
		at++;
	return at;
}

/* Match at an opening brace, with one or two of them; spaces may stand within two. */
static bool
match(const char *text, size_t length, size_t start, size_t braces, struct placeholder *out)
{
	size_t at = start + braces;
	if (at > length || memcmp(text + start, "{{", braces) != 0)
		return false;
	if (braces == 2)
		at = skip_spaces(text, length, at);
	size_t name = at;
	while (at < length && is_name_byte(text[at]))
		at++;
	size_t name_length = at - name;
	if (braces == 2)
		at = skip_spaces(text, length, at);
	if (name_length == 0 || length - at < braces || memcmp(text + at, "}}", braces) != 0)
		return false;
	*out = (struct placeholder){start, at + braces - start, text + name, name_length};
	return true;
}

bool
template_next(const char *text, size_t length, size_t *cursor, struct placeholder *out)
{
	while (*cursor < length) {
		const char *brace = memchr(text + *cursor, '{', length - *cursor);
		if (brace == NULL)
			break;
		size_t start = (size_t)(brace - text);
		if (match(text, length, start, 2, out) || match(text, length, start, 1, out)) {
			*cursor = start + out->length;
			return true;
		}
		*cursor = start + 1;
	}
	*cursor = length;
	return false;
}

bool
template_is_name(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!is_name_byte(*text))
			return false;
	return true;
}
