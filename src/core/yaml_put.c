/* yaml_put.c -- writes a text as YAML. */
#include "core/yaml_put.h"

#include <stdbool.h>
#include <string.h>

#include "core/buffer.h"
#include "core/json_put.h"
#include "core/text.h"

/* The code of the character at the start of a text if readers refuse it, drop it or take it for the end of a line;
 * else 0. See section 5.1 of YAML 1.2, and 4.2 of YAML 1.1. */
static unsigned
unsafe_code(const char *text, size_t length)
{
	static const struct {
		const char *bytes;
		unsigned code;
	} others[] = {
		{"\xe2\x80\xa8", 0x2028},
		{"\xe2\x80\xa9", 0x2029},
		{"\xef\xbb\xbf", 0xfeff},
		{"\xef\xbf\xbe", 0xfffe},
		{"\xef\xbf\xbf", 0xffff},
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (length >= 3 && memcmp(text, others[i].bytes, 3) == 0)
			return others[i].code;
	return text_control(text, length);
}

/* A block's first line tells its indentation, so it cannot begin with blanks itself. */
static bool
fits_block(const char *text, size_t length)
{
	if (length == 0 || strchr(" \t\n", *text) != NULL)
		return false;
	for (size_t at = 0; at < length; at++) {
		unsigned code = unsafe_code(text + at, length - at);
		if (code != 0 && code != '\n' && code != '\t')
			return false;
	}
	return true;
}

static void
put_block(struct buffer *out, const char *text, size_t length, unsigned indent)
{
	size_t ends = 0;
	while (text[length - 1 - ends] == '\n') /* the first character is none */
		ends++;
	buffer_puts(out, ends == 0 ? "|-\n" : ends == 1 ? "|\n" : "|+\n");
	for (size_t at = 0; at < length;) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t line = end != NULL ? (size_t)(end - text) - at : length - at;
		if (line > 0)
			buffer_printf(out, "%*s", (int)indent, "");
		buffer_put(out, text + at, line);
		buffer_putc(out, '\n');
		at += line + 1;
	}
}

static void
put_quoted(struct buffer *out, const char *text, size_t length)
{
	buffer_putc(out, '"');
	for (size_t at = 0; at < length;) {
		unsigned code = unsafe_code(text + at, length - at);
		size_t step = text_utf8_length(text + at, length - at);
		if (code >= 0x7f)
			buffer_printf(out, "\\u%04x", code);
		else
			json_put_characters(out, text + at, step);
		at += step;
	}
	buffer_puts(out, "\"\n");
}

void
yaml_put_text(struct buffer *out, const char *text, size_t length, unsigned indent)
{
	if (fits_block(text, length))
		put_block(out, text, length, indent);
	else
		put_quoted(out, text, length);
}
