/* buffer.c -- text that grows at its end. */
#include "core/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_TRY_BYTES = 32 }; /* of what is printed; most of it is shorter */

void
buffer_finish(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){0};
}

void
buffer_clear(struct buffer *buffer)
{
	buffer->length = 0;
	buffer->failed = false;
}

/* Make room for so many bytes and a NUL, where it is not there. */
static bool
grow(struct buffer *buffer, size_t more)
{
	if (buffer->failed || more > SIZE_MAX / 4 || buffer->length > SIZE_MAX / 4) {
		buffer->failed = true;
		return false;
	}
	size_t need = buffer->length + more + 1;
	size_t capacity = buffer->capacity < 256 ? 256 : buffer->capacity;
	while (capacity < need)
		capacity *= 2;
	char *data = realloc(buffer->data, capacity);
	if (data == NULL) {
		buffer->failed = true;
		return false;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

static bool
reserve(struct buffer *buffer, size_t more)
{
	return (!buffer->failed && more < buffer->capacity - buffer->length) || grow(buffer, more);
}

void
buffer_put(struct buffer *buffer, const void *data, size_t length)
{
	if (!reserve(buffer, length))
		return;
	if (length > 0)
		memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
}

void
buffer_puts(struct buffer *buffer, const char *text)
{
	buffer_put(buffer, text, strlen(text));
}

void
buffer_putc(struct buffer *buffer, char character)
{
	if (!reserve(buffer, 1))
		return;
	buffer->data[buffer->length++] = character;
	buffer->data[buffer->length] = '\0';
}

void
buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	if (reserve(buffer, FIRST_TRY_BYTES)) {
		size_t room = buffer->capacity - buffer->length;
		int length = vsnprintf(buffer->data + buffer->length, room, format, args);
		if (length >= 0 && (size_t)length >= room && grow(buffer, (size_t)length))
			vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
		buffer->failed |= length < 0;
		if (buffer->failed)
			buffer->data[buffer->length] = '\0';
		else
			buffer->length += (size_t)length;
	}
	va_end(again);
}

void
buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	buffer_vprintf(buffer, format, args);
	va_end(args);
}
