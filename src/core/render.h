/* render.h -- the texts in which a prompt is told to clients. */
#pragma once

#include <stddef.h>

struct arena;
struct buffer;
struct digest;
struct draft;
struct prompt;

/* Render a draft into a prompt, whose texts lie in the arena or are the draft's. Everything but unit
 * is set. Returns -1 when memory is out. */
int render_prompt(const struct draft *, struct arena *, struct digest *, struct prompt *);

/* Put the prompt's messages with a value in each placeholder, in one pass: values[i] is the text for
 * variables[i]. Returns -1, with only a part put, once the buffer holds more bytes than allowed. */
int render_messages(const struct prompt *, const char *const *values, struct buffer *, size_t most);
