/* log.c -- one line on stderr for each fact. */
#include "server/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/text.h"
#include "server/clock.h"

enum {
	MOST_BYTES = 1000, /* of a text */
	PATIENCE_MS = 1000, /* with a reader who is slow, in all, … */
	RECOVERY = 60, /* … and how many times longer it takes to have it again */
	COMPLAIN_MS = 10000, /* at most so often */
	BATCH_BYTES = PIPE_BUF / 2, /* and a line: a pipe takes that as a whole */
};

/* Where lines go. */
struct sink {
	int descriptor;
	bool json;
	/* Of what follows; and nobody else takes the room between poll(2) and write(2). */
	pthread_mutex_t mutex;
	int64_t patient_ms; /* when all of the patience is there again, on clock_ms() */
	bool is_torn; /* the last line may have no end */
};

static struct sink log_sink = {.descriptor = STDERR_FILENO, .mutex = PTHREAD_MUTEX_INITIALIZER};
static struct sink audit_sink = {
	.descriptor = -1, /* the log's */
	.json = true,
	.mutex = PTHREAD_MUTEX_INITIALIZER,
};
static const char *audit_path;
static atomic_ullong n_lost, n_lost_audit;
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

/* The number of a character that turns the direction of writing, or ends a line to some; 0 for others. */
static unsigned
direction(const char *text, size_t length)
{
	const unsigned char *bytes = (const unsigned char *)text;
	if (length != 3 || bytes[0] != 0xe2 || bytes[1] < 0x80 || bytes[1] > 0x81)
		return 0;
	unsigned code = 0x2000 + (bytes[1] - 0x80u) * 64 + (bytes[2] - 0x80u);
	return (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ? code : 0;
}

/* How many bytes at a text's start are printable ASCII, which stay as they are. */
static size_t
plain_span(const char *text)
{
	size_t length = 0;
	while (text[length] >= ' ' && text[length] < 0x7f)
		length++;
	return length;
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
		if (control == 0)
			control = direction(text, length);
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

/* Texts in JSON, and elsewhere those that could be taken for more than one field, are quoted. */
static void
put_text(struct buffer *out, const char *text, bool quoted)
{
	struct buffer clean = {0};
	const char *shown = text;
	size_t plain = plain_span(text);
	if (text[plain] != '\0' || plain > MOST_BYTES) {
		put_clean(&clean, text);
		shown = clean.data != NULL ? clean.data : "";
	}
	if (quoted)
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
		put_text(out, field->text, json || strpbrk(field->text, " =\"") != NULL);
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

bool
log_is_due(atomic_llong *told_ms, int64_t every_ms)
{
	long long now_ms = clock_ms(), before_ms = atomic_load(told_ms);
	return (before_ms == 0 || now_ms >= before_ms + every_ms) &&
	       atomic_compare_exchange_strong(told_ms, &before_ms, now_ms);
}

/* Whether a line can be written at once or, if there is patience left, soon: a worker that always waited for
 * a slow reader of the log would be as slow. */
static bool
is_taken(struct sink *sink)
{
	struct pollfd ready = {.fd = sink->descriptor, .events = POLLOUT};
	if (poll(&ready, 1, 0) > 0)
		return true;
	int64_t begun_ms = clock_ms();
	if (sink->patient_ms < begun_ms)
		sink->patient_ms = begun_ms;
	int64_t left_ms = PATIENCE_MS - (sink->patient_ms - begun_ms) / RECOVERY;
	if (left_ms <= 0)
		return false;
	bool is_ready = poll(&ready, 1, (int)left_ms) > 0;
	sink->patient_ms += (clock_ms() - begun_ms + 1) * RECOVERY;
	return is_ready;
}

static bool
write_in_turn(struct sink *sink, const struct buffer *lines)
{
	ssize_t written;
	if (!is_taken(sink))
		return false;
	if (sink->is_torn)
		sink->is_torn = write(sink->descriptor, "\n", 1) != 1;
	do
		written = write(sink->descriptor, lines->data, lines->length);
	while (written < 0 && errno == EINTR);
	if (written > 0 && written < (ssize_t)lines->length)
		sink->is_torn = true;
	return written == (ssize_t)lines->length;
}

static bool
write_lines(struct sink *sink, const struct buffer *lines)
{
	if (lines->failed)
		return false;
	pthread_mutex_lock(&sink->mutex);
	bool is_written = write_in_turn(sink, lines);
	pthread_mutex_unlock(&sink->mutex);
	return is_written;
}

static void
put_line(struct buffer *out, enum log_level level, const char *message,
	const struct log_field *fields, bool json)
{
	put_start(out, level, message, json);
	for (; fields->name != NULL; fields++)
		put_field(out, fields, json);
	buffer_puts(out, json ? "}\n" : "\n");
}

static bool
write_to(struct sink *sink, enum log_level level, const char *message,
	const struct log_field *fields)
{
	struct buffer line = {0};
	put_line(&line, level, message, fields, sink->json);
	bool is_written = write_lines(sink, &line);
	if (!is_written)
		atomic_fetch_add(sink == &audit_sink ? &n_lost_audit : &n_lost, 1);
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

void
log_flush(struct log_batch *batch)
{
	if (batch->n_lines > 0 && !write_lines(&log_sink, &batch->lines))
		atomic_fetch_add(&n_lost, batch->n_lines);
	buffer_clear(&batch->lines);
	batch->n_lines = 0;
}

void
log_add(struct log_batch *batch, enum log_level level, const char *message,
	const struct log_field *fields)
{
	if (is_silent)
		return;
	put_line(&batch->lines, level, message, fields, log_sink.json);
	batch->n_lines++;
	if (batch->lines.length >= BATCH_BYTES)
		log_flush(batch);
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
	while (dup3(descriptor, audit_sink.descriptor, O_CLOEXEC) < 0 && errno == EINTR)
		continue;
	close(descriptor);
}

bool
log_audit(enum log_level level, const char *message, const struct log_field *fields)
{
	static atomic_llong told_ms;
	if (audit_sink.descriptor < 0)
		return log_write_fields(level, message, fields);
	if (write_to(&audit_sink, level, message, fields))
		return true;
	if (log_is_due(&told_ms, COMPLAIN_MS))
		log_write(LOG_LEVEL_ERROR,
			"the audit log cannot be written, so nothing is created: make room there",
			LOG_TEXT("file", audit_path), LOG_END);
	log_write_fields(level, message, fields);
	return false;
}

unsigned long long
log_lost(void)
{
	return atomic_load(&n_lost);
}

unsigned long long
log_lost_audit(void)
{
	return atomic_load(&n_lost_audit);
}
