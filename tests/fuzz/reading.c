/* reading.c -- what a connection's bytes mean, read at once, and whether evhttp and its client see the same. */
#include "reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

#include "core/framing.h"
#include "fuzz.h"

/* Some bytes of a text, and the rest of it. */
struct text {
	const char *at;
	size_t length;
};

void
reading_init(struct reading *reading, const struct framing_limits *limits, const char *bytes,
	size_t length)
{
	struct framing framing;
	bool waits = false;
	size_t begin = 0;
	*reading = (struct reading){.asked = calloc(length + 1, sizeof(struct asked))};
	MUST(reading->asked != NULL);
	framing_init(&framing, limits);
	for (size_t at = 0, taken; at < length && framing.refusal.status == 0 && !reading->closes;
		at += taken) {
		if (framing_take(&framing, bytes + at, length - at, &taken) == FRAMING_PASS)
			buffer_put(&reading->passed, bytes + at, taken);
		reading->continues += framing.head.wants_continue && !waits;
		waits = framing.head.wants_continue;
		if (!framing.is_complete)
			continue;
		reading->closes = framing.closes;
		reading->asked[reading->count++].length = reading->passed.length - begin;
		begin = reading->passed.length;
	}
	reading->status = framing.refusal.status;
	reading->refuses_head = framing.head.is_head;
	begin = 0;
	for (size_t i = 0; i < reading->count; i++) {
		reading->asked[i].bytes = reading->passed.data + begin;
		begin += reading->asked[i].length;
	}
	framing_finish(&framing);
}

void
reading_finish(struct reading *reading)
{
	buffer_finish(&reading->passed);
	free(reading->asked);
}

/* Cut what stands in front of the next mark off a text, and the mark. The mark must be there. */
static struct text
cut(struct text *text, const char *mark)
{
	size_t length = strlen(mark);
	const char *found = text->length > 0 ? memmem(text->at, text->length, mark, length) : NULL;
	MUST(found != NULL);
	struct text front = {text->at, (size_t)(found - text->at)};
	text->at = found + length;
	text->length -= front.length + length;
	return front;
}

static struct text
trim(struct text text)
{
	while (text.length > 0 && strchr(" \t", *text.at) != NULL)
		text = (struct text){text.at + 1, text.length - 1};
	while (text.length > 0 && strchr(" \t", text.at[text.length - 1]) != NULL)
		text.length--;
	return text;
}

static bool
is(struct text text, const char *other)
{
	return text.length == strlen(other) && memcmp(text.at, other, text.length) == 0;
}

static bool
is_word(struct text text, const char *word)
{
	return text.length == strlen(word) && strncasecmp(text.at, word, text.length) == 0;
}

static int
command_of(struct text method)
{
	static const struct {
		const char *name;
		enum evhttp_cmd_type command;
	} commands[] = {
		{"GET",     EVHTTP_REQ_GET    },
		{"HEAD",    EVHTTP_REQ_HEAD   },
		{"POST",    EVHTTP_REQ_POST   },
		{"PUT",     EVHTTP_REQ_PUT    },
		{"PATCH",   EVHTTP_REQ_PATCH  },
		{"DELETE",  EVHTTP_REQ_DELETE },
		{"OPTIONS", EVHTTP_REQ_OPTIONS},
		{"TRACE",   EVHTTP_REQ_TRACE  },
	};
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (is(method, commands[i].name))
			return (int)commands[i].command;
	return -1;
}

static size_t
hex_of(struct text digits)
{
	size_t number = 0;
	for (size_t i = 0; i < digits.length; i++) {
		static const char known[] = "0123456789abcdef0123456789ABCDEF";
		const char *digit = memchr(known, digits.at[i], sizeof(known) - 1);
		MUST(digit != NULL);
		number = number * 16 + (size_t)(digit - known) % 16;
	}
	return number;
}

/* Chunks, all of whose extensions and trailers are gone. */
static void
put_chunks(struct buffer *body, struct text rest)
{
	for (size_t size; (size = hex_of(cut(&rest, "\r\n"))) > 0;) {
		MUST(size + 2 <= rest.length);
		buffer_put(body, rest.at, size);
		rest = (struct text){rest.at + size, rest.length - size};
		MUST(cut(&rest, "\r\n").length == 0);
	}
	MUST(is(rest, "\r\n"));
}

void
reading_check(const struct asked *asked, struct evhttp_request *request)
{
	struct text rest = {asked->bytes, asked->length}, field;
	struct evbuffer *input = evhttp_request_get_input_buffer(request);
	struct buffer body = {0};
	bool is_chunked = false;
	MUST(command_of(cut(&rest, " ")) == (int)evhttp_request_get_command(request));
	MUST(is(cut(&rest, " "), evhttp_request_get_uri(request)));
	cut(&rest, "\r\n");
	const struct evkeyval *seen = TAILQ_FIRST(evhttp_request_get_input_headers(request));
	for (; (field = cut(&rest, "\r\n")).length > 0; seen = TAILQ_NEXT(seen, next)) {
		MUST(seen != NULL);
		struct text name = cut(&field, ":"), found = {seen->value, strlen(seen->value)};
		MUST(is(name, seen->key));
		found = trim(found);
		MUST(found.length == trim(field).length);
		MUST(memcmp(found.at, trim(field).at, found.length) == 0);
		is_chunked |= is_word(name, "Transfer-Encoding");
	}
	MUST(seen == NULL);
	if (is_chunked)
		put_chunks(&body, rest);
	else
		buffer_put(&body, rest.at, rest.length);
	MUST(evbuffer_get_length(input) == body.length);
	MUST(body.length == 0 || memcmp(evbuffer_pullup(input, -1), body.data, body.length) == 0);
	buffer_finish(&body);
}

/* Whether a connection may end behind this request, by what it says of itself: its version, its form, a field. */
static bool
may_end(const struct asked *asked)
{
	struct text rest = {asked->bytes, asked->length}, field;
	cut(&rest, " ");
	struct text target = cut(&rest, " ");
	if (!is(cut(&rest, "\r\n"), "HTTP/1.1") || strchr("/*", *target.at) == NULL)
		return true;
	while ((field = cut(&rest, "\r\n")).length > 0)
		if (is_word(cut(&field, ":"), "Connection"))
			return true;
	return false;
}

/* Take one reply off the front. Returns whether it says that it is the last. */
static bool
take_reply(struct text *rest, size_t number, int status, bool is_head)
{
	char body[32], line[16];
	struct text field, version = cut(rest, " ");
	bool has_length = false, has_connection = false, ends = is(version, "HTTP/1.0");
	size_t length = (size_t)snprintf(body, sizeof(body), "reply %zu", number);
	MUST(ends || is(version, "HTTP/1.1"));
	snprintf(line, sizeof(line), "%d", status);
	MUST(is(cut(rest, " "), line));
	cut(rest, "\r\n");
	while ((field = cut(rest, "\r\n")).length > 0) {
		struct text name = cut(&field, ":");
		if (is_word(name, "Connection")) {
			ends = is_word(trim(field), "close");
			MUST(!has_connection);
			has_connection = true;
		}
		if (!is_word(name, "Content-Length"))
			continue;
		snprintf(line, sizeof(line), "%zu", length);
		MUST(is(trim(field), line) && !has_length);
		has_length = true;
	}
	MUST(has_length);
	if (is_head)
		return ends;
	MUST(rest->length >= length && memcmp(rest->at, body, length) == 0);
	*rest = (struct text){rest->at + length, rest->length - length};
	return ends;
}

static size_t
skip_continues(struct text *rest)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	size_t count = 0, length = sizeof(line) - 1;
	while (rest->length >= length && memcmp(rest->at, line, length) == 0) {
		*rest = (struct text){rest->at + length, rest->length - length};
		count++;
	}
	return count;
}

size_t
replies_check(const struct reading *expected, const struct buffer *replies)
{
	struct text rest = {replies->data, replies->length};
	size_t all = expected->count + (expected->status != 0), count = 0;
	size_t continues = skip_continues(&rest);
	for (bool ends = false; count < all && !ends; continues += skip_continues(&rest)) {
		const struct asked *asked = &expected->asked[count];
		bool refuses = count == expected->count;
		bool is_head =
			refuses ? expected->refuses_head : memcmp(asked->bytes, "HEAD ", 5) == 0;
		count++;
		MUST(rest.length > 0);
		ends = take_reply(&rest, count, refuses ? expected->status : ANSWERED, is_head);
		MUST(ends || !(refuses || (expected->closes && count == all)));
		MUST(!ends || refuses || may_end(asked));
	}
	MUST(rest.length == 0);
	MUST(continues <= expected->continues);
	return count;
}
