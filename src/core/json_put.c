/* json_put.c -- writes JSON text into a buffer. */
#include "core/json_put.h"

#include <string.h>

#include "core/buffer.h"
#include "core/document.h"
#include "core/text.h"

static void
put_escape(struct buffer *out, unsigned char byte)
{
	static const char *const short_forms[] = {
		['"'] = "\\\"",
		['\\'] = "\\\\",
		['\b'] = "\\b",
		['\f'] = "\\f",
		['\n'] = "\\n",
		['\r'] = "\\r",
		['\t'] = "\\t",
	};
	if (short_forms[byte] != NULL)
		buffer_puts(out, short_forms[byte]);
	else
		buffer_printf(out, "\\u%04x", byte);
}

void
json_put_characters(struct buffer *out, const char *text, size_t length)
{
	for (;;) {
		size_t plain = text_json_span(text, length);
		buffer_put(out, text, plain);
		if (plain == length)
			break;
		put_escape(out, (unsigned char)text[plain]);
		text += plain + 1;
		length -= plain + 1;
	}
}

void
json_put_string(struct buffer *out, const char *text)
{
	if (text == NULL) {
		buffer_puts(out, "null");
		return;
	}
	buffer_putc(out, '"');
	json_put_characters(out, text, strlen(text));
	buffer_putc(out, '"');
}

void
json_put_key(struct buffer *out, const char *key)
{
	char before = out->length > 0 ? out->data[out->length - 1] : '{';
	if (before != '{' && before != '[')
		buffer_putc(out, ',');
	json_put_string(out, key);
	buffer_putc(out, ':');
}

static void
put_scalar(struct buffer *out, const struct value *value)
{
	switch (value->kind) {
	case VALUE_STRING:
		json_put_string(out, value->text);
		break;
	case VALUE_NUMBER:
		buffer_puts(out, value->text);
		break;
	case VALUE_BOOL:
		buffer_puts(out, value->truth ? "true" : "false");
		break;
	default:
		buffer_puts(out, "null");
	}
}

enum { COMPACT = -1 };

static void
put_break(struct buffer *out, int level)
{
	static const char spaces[] = "\n                                ";
	size_t width = level < 16 ? (size_t)level * 2 : 32;
	if (level != COMPACT)
		buffer_put(out, spaces, 1 + width);
}

static void
put_value(struct buffer *out, const struct value *value, int level)
{
	if (value->kind != VALUE_LIST && value->kind != VALUE_MAP) {
		put_scalar(out, value);
		return;
	}
	int inside = level == COMPACT ? COMPACT : level + 1;
	buffer_putc(out, value->kind == VALUE_LIST ? '[' : '{');
	for (const struct value *child = value->first; child != NULL; child = child->next) {
		if (child != value->first)
			buffer_putc(out, ',');
		put_break(out, inside);
		if (value->kind == VALUE_MAP) {
			json_put_string(out, child->key);
			buffer_puts(out, level == COMPACT ? ":" : ": ");
		}
		put_value(out, child, inside);
	}
	if (value->first != NULL)
		put_break(out, level);
	buffer_putc(out, value->kind == VALUE_LIST ? ']' : '}');
}

void
json_put_value(struct buffer *out, const struct value *value)
{
	put_value(out, value, COMPACT);
}

void
json_put_indented(struct buffer *out, const struct value *value, unsigned level)
{
	put_value(out, value, (int)level);
}
