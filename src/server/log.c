/* log.c -- one line on stderr for each fact. */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/text.h"

enum {
	MOST_BYTES = 1000, /* of a text */
	PATIENCE_MS = 1000, /* with a reader who does not read */
};

/* Where lines go. */
struct sink {
	int descriptor;
	bool json;
	atomic_bool is_stalled; /* nobody read the last time: not waited for again */
	atomic_bool is_torn; /* the last line may have no end */
};

static struct sink log_sink = {.descriptor = STDERR_FILENO};
static struct sink audit_sink = {.descriptor = -1, .json = true}; /* -1: the log's */
static const char *audit_path;
static bool is_silent;

static const char *const level_names[] = {
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

void
log_init(bool json)
{
	log_sink.json = json;
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
		if (out->length >= MOST_BYTES) {
			buffer_puts(out, "…");
			return;
		}
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
put_text(struct buffer *out, const char *text, bool json)
{
	struct buffer clean = {0};
	put_clean(&clean, text);
	const char *shown = clean.length > 0 ? clean.data : "";
	if (json)
		json_put_string(out, shown);
	else
		buffer_puts(out, shown);
	buffer_finish(&clean);
}

static void
put_field(struct buffer *out, const struct log_field *field, bool json)
{
	if (json)
		json_put_key(out, field->name);
	else
		buffer_printf(out, "  %s=", field->name);
	if (field->text != NULL)
		put_text(out, field->text, json);
	else
		buffer_printf(out, "%lld", field->number);
}

static void
put_start(struct buffer *out, enum log_level level, const char *message, bool json)
{
	char now[32] = "";
	time_t seconds = time(NULL);
	struct tm parts;
	if (json && gmtime_r(&seconds, &parts) != NULL)
		strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &parts);
	else if (localtime_r(&seconds, &parts) != NULL)
		strftime(now, sizeof(now), "%H:%M:%S", &parts);
	buffer_printf(out, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":" : "%s %-5s ", now,
		level_names[level]);
	put_text(out, message, json);
}

/* Whether a line can be written at once, or soon: a worker that waited for who reads the log would answer nobody. */
static bool
is_taken(struct sink *sink)
{
	struct pollfd poll_entry = {.fd = sink->descriptor, .events = POLLOUT};
	int patience_ms = atomic_load(&sink->is_stalled) ? 0 : PATIENCE_MS;
	int ready = poll(&poll_entry, 1, patience_ms);
	atomic_store(&sink->is_stalled, ready == 0);
	return ready != 0;
}

static bool
write_line(struct sink *sink, const struct buffer *line)
{
	ssize_t written;
	if (line->failed || !is_taken(sink))
		return false;
	if (atomic_exchange(&sink->is_torn, false) && write(sink->descriptor, "\n", 1) != 1)
		atomic_store(&sink->is_torn, true);
	do
		written = write(sink->descriptor, line->data, line->length);
	while (written < 0 && errno == EINTR);
	if (written > 0 && written < (ssize_t)line->length)
		atomic_store(&sink->is_torn, true);
	return written == (ssize_t)line->length;
}

static bool
write_to(struct sink *sink, enum log_level level, const char *message,
	const struct log_field *fields)
{
	struct buffer line = {0};
	put_start(&line, level, message, sink->json);
	for (; fields->name != NULL; fields++)
		put_field(&line, fields, sink->json);
	buffer_puts(&line, sink->json ? "}\n" : "\n");
	bool is_written = write_line(sink, &line);
	buffer_finish(&line);
	return is_written;
}

void
log_write(enum log_level level, const char *message, ...)
{
	enum { MOST_FIELDS = 15 };
	struct log_field fields[MOST_FIELDS + 1] = {LOG_END};
	va_list args;
	va_start(args, message);
	for (size_t i = 0; i < MOST_FIELDS; i++) {
		fields[i] = va_arg(args, struct log_field);
		if (fields[i].name == NULL)
			break;
	}
	va_end(args);
	log_write_fields(level, message, fields); /* one that is lost has nowhere to say so */
}

bool
log_write_fields(enum log_level level, const char *message, const struct log_field *fields)
{
	return is_silent || write_to(&log_sink, level, message, fields);
}

static int
open_audit(struct error *error)
{
	int descriptor = open(audit_path,
		O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
	if (descriptor < 0)
		error_set(error,
			"cannot write the audit log \"%s\": %s\ngive --audit-log a file in a "
			"directory that promptd's user may write to",
			audit_path, strerror(errno));
	return descriptor;
}

int
log_open_audit(const char *path, struct error *error)
{
	audit_path = path;
	audit_sink.descriptor = open_audit(error);
	return audit_sink.descriptor >= 0 ? 0 : -1;
}

void
log_reopen_audit(void)
{
	struct error error;
	if (audit_path == NULL)
		return;
	int descriptor = open_audit(&error);
	if (descriptor < 0) {
		log_write(LOG_LEVEL_ERROR, error.message,
			LOG_TEXT("instead", "the old file is written on"), LOG_END);
		return;
	}
	/* In one step: other threads write meanwhile. */
	dup3(descriptor, audit_sink.descriptor, O_CLOEXEC);
	close(descriptor);
}

bool
log_audit(enum log_level level, const char *message, const struct log_field *fields)
{
	return write_to(
		audit_sink.descriptor >= 0 ? &audit_sink : &log_sink, level, message, fields);
}
