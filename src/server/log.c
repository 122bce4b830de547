/* log.c -- one line on stderr for each fact. */
#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/json_put.h"
#include "core/text.h"

static bool as_json;

static const char *const level_names[] = {
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

void
log_init(bool json)
{
	as_json = json;
}

/* Put a text with the bytes that are not UTF-8 replaced, so that a log stays readable. */
static void
put_clean(struct buffer *out, const char *text)
{
	size_t length = strlen(text);
	while (length > 0) {
		size_t good = text_utf8_span(text, length);
		buffer_put(out, text, good);
		text += good;
		length -= good;
		if (length > 0) {
			buffer_puts(out, "\xef\xbf\xbd");
			text++;
			length--;
		}
	}
}

static void
put_json_text(struct buffer *out, const char *text)
{
	struct buffer clean = {0};
	put_clean(&clean, text);
	json_put_string(out, clean.length > 0 ? clean.data : "");
	buffer_finish(&clean);
}

/* Put a text for a terminal: control characters escaped. */
static void
put_plain_text(struct buffer *out, const char *text)
{
	size_t start = out->length;
	put_clean(out, text);
	for (size_t i = start; i < out->length; i++)
		if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7f)
			out->data[i] = '?';
}

static void
put_field(struct buffer *out, const struct log_field *field)
{
	if (as_json) {
		json_put_key(out, field->name);
		if (field->text != NULL)
			put_json_text(out, field->text);
		else
			buffer_printf(out, "%lld", field->number);
		return;
	}
	buffer_printf(out, "  %s=", field->name);
	if (field->text != NULL)
		put_plain_text(out, field->text);
	else
		buffer_printf(out, "%lld", field->number);
}

static void
put_start(struct buffer *out, enum log_level level, const char *message)
{
	char now[32] = "";
	time_t seconds = time(NULL);
	struct tm parts;
	if (as_json && gmtime_r(&seconds, &parts) != NULL)
		strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &parts);
	else if (localtime_r(&seconds, &parts) != NULL)
		strftime(now, sizeof(now), "%H:%M:%S", &parts);
	if (as_json) {
		buffer_printf(
			out, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":", now, level_names[level]);
		put_json_text(out, message);
	} else {
		buffer_printf(out, "%s %-5s ", now, level_names[level]);
		put_plain_text(out, message);
	}
}

void
log_write(enum log_level level, const char *message, ...)
{
	struct buffer out = {0};
	put_start(&out, level, message);
	va_list args;
	va_start(args, message);
	for (;;) {
		struct log_field field = va_arg(args, struct log_field);
		if (field.name == NULL)
			break;
		put_field(&out, &field);
	}
	va_end(args);
	buffer_puts(&out, as_json ? "}\n" : "\n");
	/* A log that cannot be written has nowhere to say so. */
	if (!out.failed && write(STDERR_FILENO, out.data, out.length) < 0)
		out.failed = true;
	buffer_finish(&out);
}
