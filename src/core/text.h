/* text.h -- UTF-8, places in a text, quoting and likeness of words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The length in bytes of the character at the start of the data, 0 where that is not UTF-8
 * (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF). */
size_t text_utf8_length(const char *data, size_t length);

/* The offset of the first byte that is not UTF-8, or length. */
size_t text_utf8_span(const char *data, size_t length);

/* How many bytes the data begins with that are ASCII, or that stand in a JSON string as they are: most texts are
 * that altogether, so eight bytes are looked at in one go. */
size_t text_ascii_span(const char *data, size_t length);
size_t text_json_span(const char *data, size_t length);

/* The code of the control character at the start of UTF-8 data (U+0001 to U+001F, U+007F to U+009F), or
 * 0 where there is none. */
unsigned text_control(const char *text, size_t length);

/* Cut a character that a buffer's end has broken. */
void text_trim_utf8(char *text);

/* Where something stands in a text: from 1, columns in characters. */
struct place {
	unsigned line, column;
};

/* The line and column of an offset. */
void text_place(const char *data, size_t offset, unsigned *line, unsigned *column);

/* A word in double quotes for a message: control characters and bytes that are not UTF-8 escaped, cut to a readable length. */
struct quote {
	char text[80];
};
const char *text_quote(struct quote *, const char *word);

/* How many insertions, deletions, replacements and swaps lead from one word to the other;
 * words over 63 bytes count as unlike. */
unsigned text_distance(const char *, const char *);

/* Whether a name is near enough to have been meant. */
bool text_is_near(const char *word, const char *name);

/* The value of a hexadecimal digit, or -1. */
int text_hex_digit(int character);

/* Write bytes as two digits each, of lower case; no NUL. */
void text_put_hex(char *out, const unsigned char *bytes, size_t count);

/* How many bytes of UTF-8's byte order mark a text begins with: 3, or 0. */
size_t text_mark_length(const char *data, size_t length);

/* The first place of words before an end, or NULL. */
const char *text_find(const char *data, const char *end, const char *words);

/* Whether a text ends in another and has something before it. */
bool text_ends_in(const char *text, size_t length, const char *ending);
