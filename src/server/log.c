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

static bool as_json, is_silent;

static const char *const level_names[] = {
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

void
log_init(bool json)
{
	as_json = json;
	tzset(); /* while the sandbox still lets it */
}

void
log_silence(void)
{
	is_silent = true;
}

/* Put a text with the bytes that are not UTF-8 replaced and control characters escaped, so that nothing
 * in it can act on a terminal or begin a line. */
static void
put_clean(struct buffer *out, const char *text)
{
	for (size_t left = strlen(text); left > 0;) {
		size_t length = text_utf8_length(text, left);
		unsigned control = text_control(text, left);
		if (length == 0)
			buffer_puts(out, "\xef\xbf\xbd");
		else if (control != 0)
			buffer_printf(out, "\\u%04x", control);
		else
			buffer_put(out, text, length);
		length = length > 0 ? length : 1;
		text += length;
		left -= length;
	}
}

static void
put_text(struct buffer *out, const char *text)
{
	struct buffer clean = {0};
	put_clean(&clean, text);
	const char *shown = clean.length > 0 ? clean.data : "";
	if (as_json)
		json_put_string(out, shown);
	else
		buffer_puts(out, shown);
	buffer_finish(&clean);
}

static void
put_field(struct buffer *out, const struct log_field *field)
{
	if (as_json) {
		json_put_key(out, field->name);
		if (field->text != NULL)
			put_text(out, field->text);
		else
			buffer_printf(out, "%lld", field->number);
		return;
	}
	buffer_printf(out, "  %s=", field->name);
	if (field->text != NULL)
		put_text(out, field->text);
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
		put_text(out, message);
	} else {
		buffer_printf(out, "%s %-5s ", now, level_names[level]);
		put_text(out, message);
	}
}

void
log_write(enum log_level level, const char *message, ...)
{
	struct buffer out = {0};
	if (is_silent)
		return;
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
