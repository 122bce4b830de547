/* origin.c -- where a character of a text that was read stands in the file. */
#include "core/origin.h"

#include <stdbool.h>
#include <string.h>

#include "core/document.h"
#include "core/text.h"

/* Quotes, escapes, folding and indentation differ between a text and its source in blanks and in how characters are written;
 * the characters that are no blanks are the same, in the same order. So these are counted. */
static bool
is_blank(char character)
{
	return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

static bool
begins_character(char character)
{
	return ((unsigned char)character & 0xc0) != 0x80;
}

static size_t
count_characters(const char *text, size_t length)
{
	size_t count = 0;
	for (size_t i = 0; i < length; i++)
		count += begins_character(text[i]) && !is_blank(text[i]);
	return count;
}

/* Skip an anchor and a tag. */
static size_t
skip_properties(const char *data, size_t at, size_t end)
{
	while (at < end && (data[at] == '&' || data[at] == '!')) {
		while (at < end && !is_blank(data[at]))
			at++;
		while (at < end && is_blank(data[at]))
			at++;
	}
	return at;
}

/* The length of an escape, and whether what it stands for counts. */
static size_t
escape_length(const char *escape, size_t left, bool *counts)
{
	static const struct {
		char letter;
		unsigned char length;
	} numbers[] = {
		{'x', 4 },
                {'u', 6 },
                {'U', 10}
        };
	char letter = left > 1 ? escape[1] : ' ';
	size_t length = 2;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (letter == numbers[i].letter)
			length = numbers[i].length;
	*counts = !is_blank(letter) && strchr("ntr", letter) == NULL;
	bool is_low_surrogate = length == 6 && left >= 6 && strchr("dD", escape[2]) != NULL &&
				strchr("cdefCDEF", escape[3]) != NULL;
	if (is_low_surrogate) /* the second half of one character */
		*counts = false;
	return length < left ? length : left;
}

/* Walk over a quoted text until so many characters have passed. */
static size_t
walk_quoted(const char *data, size_t at, size_t end, size_t count)
{
	bool is_double = data[at++] == '"';
	while (at < end) {
		size_t length = text_utf8_length(data + at, end - at);
		bool counts = !is_blank(data[at]);
		length = length > 0 ? length : 1;
		if (is_double && data[at] == '\\')
			length = escape_length(data + at, end - at, &counts);
		else if (!is_double && data[at] == '\'')
			length = 2;
		if (counts && count-- == 0)
			return at;
		at += length;
	}
	return end;
}

static size_t
walk_plain(const char *data, size_t at, size_t end, size_t count)
{
	for (; at < end; at++)
		if (begins_character(data[at]) && !is_blank(data[at]) && count-- == 0)
			return at;
	return end;
}

size_t
origin_of(const char *data, const struct value *string, size_t offset)
{
	size_t at = skip_properties(data, string->start, string->end);
	size_t count = count_characters(string->text, offset);
	if (at >= string->end)
		return string->start;
	if (data[at] == '"' || data[at] == '\'')
		return walk_quoted(data, at, string->end, count);
	if (data[at] == '|' || data[at] == '>')
		while (at < string->end && data[at] != '\n')
			at++; /* the rest of its header, and a comment */
	return walk_plain(data, at, string->end, count);
}
