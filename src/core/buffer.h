/* buffer.h -- text that grows at its end. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts zeroed. When memory is out, failed is set and what follows is dropped, so that a writer
 * checks once at the end. data is NUL-terminated once anything was put. */
struct buffer {
	char *data;
	size_t length, capacity;
	bool failed;
};

void buffer_finish(struct buffer *);

/* Empty it, keeping the memory for reuse; failed is cleared. */
void buffer_clear(struct buffer *);

void buffer_put(struct buffer *, const void *data, size_t length);
void buffer_puts(struct buffer *, const char *text);
void buffer_putc(struct buffer *, char character);
__attribute__((format(printf, 2, 3))) void buffer_printf(struct buffer *, const char *format, ...);
__attribute__((format(printf, 2, 0))) void buffer_vprintf(
	struct buffer *, const char *format, va_list);
