/* json_put.h -- writes JSON text into a buffer. */
#pragma once

#include <stddef.h>

struct buffer;
struct value;

/* The characters of a text as they stand between the quotes of a JSON string (RFC 8259 section 7).
 * The text is UTF-8. */
void json_put_characters(struct buffer *, const char *text, size_t length);

/* A string, or null where it is NULL. */
void json_put_string(struct buffer *, const char *text);

/* ,"key": or, right behind an opening bracket, "key": */
void json_put_key(struct buffer *, const char *key);

/* A value as compact JSON, with numbers in their source text, as LiteLLM's mock writes it. */
void json_put_value(struct buffer *, const struct value *);

/* The same for people: one member a line, indented by two spaces a level. */
void json_put_indented(struct buffer *, const struct value *, unsigned level);
