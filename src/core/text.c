/* text.c -- UTF-8, places in a text, quoting and likeness of words. */
#include "core/text.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool
is_continuation(const char *data, size_t length, size_t at)
{
	return at < length && ((unsigned char)data[at] & 0xc0) == 0x80;
}

size_t
text_utf8_length(const char *data, size_t length)
{
	if (length == 0)
		return 0;
	unsigned char first = (unsigned char)data[0];
	if (first < 0x80)
		return 1;
	if (!is_continuation(data, length, 1))
		return 0;
	unsigned char second = (unsigned char)data[1];
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (!is_continuation(data, length, 2))
		return 0;
	if (first >= 0xe0 && first <= 0xef) {
		bool overlong = first == 0xe0 && second < 0xa0;
		bool surrogate = first == 0xed && second > 0x9f;
		return overlong || surrogate ? 0 : 3;
	}
	if (!is_continuation(data, length, 3))
		return 0;
	bool overlong = first == 0xf0 && second < 0x90;
	bool too_high = first == 0xf4 && second > 0x8f;
	return first < 0xf0 || first > 0xf4 || overlong || too_high ? 0 : 4;
}

/* A word of eight bytes that are the same. */
static uint64_t
each(unsigned char byte)
{
	return UINT64_C(0x0101010101010101) * byte;
}

/* Not 0 where a byte of a word is less than the limit, which is at most 128. */
static uint64_t
has_less(uint64_t word, unsigned char limit)
{
	return (word - each(limit)) & ~word & each(0x80);
}

/* The same where a byte is as named. */
static uint64_t
has_byte(uint64_t word, unsigned char byte)
{
	return has_less(word ^ each(byte), 1);
}

static uint64_t
word_at(const char *data)
{
	uint64_t word;
	memcpy(&word, data, sizeof(word));
	return word;
}

size_t
text_ascii_span(const char *data, size_t length)
{
	size_t at = 0;
	while (length - at >= sizeof(uint64_t) && (word_at(data + at) & each(0x80)) == 0)
		at += sizeof(uint64_t);
	while (at < length && (unsigned char)data[at] < 0x80)
		at++;
	return at;
}

size_t
text_json_span(const char *data, size_t length)
{
	size_t at = 0;
	for (; length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word = word_at(data + at);
		if ((has_less(word, 0x20) | has_byte(word, '"') | has_byte(word, '\\')) != 0)
			break;
	}
	while (at < length && (unsigned char)data[at] >= 0x20 && data[at] != '"' &&
		data[at] != '\\')
		at++;
	return at;
}

size_t
text_utf8_span(const char *data, size_t length)
{
	size_t at = 0;
	while ((at += text_ascii_span(data + at, length - at)) < length) {
		size_t step = text_utf8_length(data + at, length - at);
		if (step == 0)
			break;
		at += step;
	}
	return at;
}

void
text_trim_utf8(char *text)
{
	size_t length = strlen(text);
	size_t start = length;
	while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0x80) != 0)
		if (((unsigned char)text[--start] & 0xc0) == 0xc0)
			break;
	if (start < length && text_utf8_length(text + start, length - start) == 0)
		text[start] = '\0';
}

void
text_place(const char *data, size_t offset, unsigned *line, unsigned *column)
{
	*line = *column = 1;
	for (size_t i = 0; i < offset; i++) {
		if (data[i] == '\n') {
			++*line;
			*column = 1;
		} else if (((unsigned char)data[i] & 0xc0) != 0x80) {
			++*column;
		}
	}
}

unsigned
text_control(const char *text, size_t length)
{
	unsigned code = length > 0 ? (unsigned char)text[0] : 0;
	if (code == 0xc2 && length > 1 && (unsigned char)text[1] < 0xa0)
		return (unsigned char)text[1];
	return code < 0x20 || code == 0x7f ? code : 0;
}

/* Write a character, or of what is none one byte, where the length is 0, as a message shows it. Returns how many bytes that
 * are. */
static size_t
show(char *out, const char *character, size_t length)
{
	if (length == 0)
		return (size_t)sprintf(out, "\\x%02x", (unsigned char)*character);
	unsigned control = text_control(character, length);
	if (control == 0) {
		memcpy(out, character, length);
		return length;
	}
	if (control == '\t' || control == '\n')
		return (size_t)sprintf(out, "\\%c", control == '\t' ? 't' : 'n');
	return (size_t)sprintf(out, "\\u%04x", control);
}

const char *
text_quote(struct quote *quote, const char *word)
{
	enum { SHOWN = 60, LONGEST = 6 }; /* \u001b */
	char *out = quote->text, *end = quote->text + 1 + SHOWN;
	*out++ = '"';
	while (*word != '\0' && out + LONGEST <= end) {
		size_t length = text_utf8_length(word, strnlen(word, 4));
		out += show(out, word, length);
		word += length > 0 ? length : 1;
	}
	snprintf(out, sizeof(quote->text) - (size_t)(out - quote->text), "%s\"",
		*word != '\0' ? "…" : "");
	return quote->text;
}

int
text_hex_digit(int character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	character |= 0x20;
	return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

void
text_put_hex(char *out, const unsigned char *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < count; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
}

bool
text_ends_in(const char *text, size_t length, const char *ending)
{
	size_t tail = strlen(ending);
	return length > tail && memcmp(text + length - tail, ending, tail) == 0;
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Fill the row of the distances from a's first i bytes to each start of b. */
static void
distance_row(const char *a, const char *b, size_t i, unsigned rows[3][64])
{
	unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
	now[0] = (unsigned)i;
	for (size_t k = 1; b[k - 1] != '\0'; k++) {
		unsigned change = before[k - 1] + (a[i - 1] != b[k - 1]);
		now[k] = least(change, least(before[k], now[k - 1]) + 1);
		if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
			now[k] = least(now[k], earlier[k - 2] + 1);
	}
}

unsigned
text_distance(const char *a, const char *b)
{
	unsigned rows[3][64] = {{0}};
	size_t a_length = strlen(a), b_length = strlen(b);
	if (a_length > 63 || b_length > 63)
		return UINT_MAX;
	for (unsigned k = 0; k <= b_length; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= a_length; i++)
		distance_row(a, b, i, rows);
	return rows[a_length % 3][b_length];
}

bool
text_is_near(const char *word, const char *name)
{
	size_t length = strlen(name), other = strlen(word);
	size_t most = length < 4 ? 1 : length < 9 ? 2 : length / 4;
	size_t difference = length > other ? length - other : other - length;
	return difference <= most && text_distance(word, name) <= most;
}

size_t
text_mark_length(const char *data, size_t length)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t size = sizeof(mark) - 1;
	return length >= size && memcmp(data, mark, size) == 0 ? size : 0;
}

const char *
text_find(const char *data, const char *end, const char *words)
{
	size_t length = strlen(words);
	while ((data = memchr(data, *words, (size_t)(end - data))) != NULL) {
		if ((size_t)(end - data) >= length && memcmp(data, words, length) == 0)
			return data;
		data++;
	}
	return NULL;
}
