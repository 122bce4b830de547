/* stream.c -- finds whole and well-formed requests in the bytes of a connection, for evhttp to read. */
#include "server/stream.h"

#include <string.h>

#include <event2/buffer.h>

enum { SMALL_BYTES = 2048 }; /* copied: the buffer that they came in may be much larger */

int
stream_init(struct stream *stream, const struct framing_limits *limits, struct scratch *scratch)
{
	*stream = (struct stream){.scratch = scratch, .held = evbuffer_new()};
	framing_init(&stream->framing, limits);
	return stream->held != NULL ? 0 : -1;
}

void
stream_finish(struct stream *stream)
{
	framing_finish(&stream->framing);
	if (stream->held != NULL)
		evbuffer_free(stream->held);
}

void
stream_refuse(struct stream *stream, struct evbuffer *input, int status, const char *reason)
{
	const char *method = stream->framing.head.is_head ? "HEAD" : "GET";
	stream->is_refused = true;
	stream->framing.refusal = (struct refusal){status, reason};
	evbuffer_drain(stream->held, evbuffer_get_length(stream->held));
	stream->passed++;
	if (evbuffer_add_printf(input, "%s / HTTP/1.1\r\nConnection: close\r\n\r\n", method) < 0)
		stream->is_lost = true;
}

/* Move bytes from the start of the rest to what is held, or drop them. Returns -1 when memory is out. */
static int
move(struct stream *stream, size_t length, enum framing_verdict verdict)
{
	struct evbuffer *rest = stream->scratch->rest;
	if (verdict == FRAMING_PASS && length >= SMALL_BYTES)
		return evbuffer_remove_buffer(rest, stream->held, length) == (int)length ? 0 : -1;
	if (verdict == FRAMING_PASS &&
		evbuffer_add(stream->held, evbuffer_pullup(rest, (ev_ssize_t)length), length) != 0)
		return -1;
	return evbuffer_drain(rest, length);
}

/* Take bytes from the start of the rest, up to the end of a request. Those of one verdict are moved at once, as a chunk may
 * be a single byte. Returns -1 when memory is out. */
static int
take_run(struct stream *stream, const char *bytes, size_t length)
{
	enum framing_verdict verdict = FRAMING_PASS, before = FRAMING_PASS;
	size_t pending = 0;
	for (size_t at = 0, taken = 0; at < length && !stream->framing.is_complete; at += taken) {
		verdict = framing_take(&stream->framing, bytes + at, length - at, &taken);
		if (verdict != before && pending > 0) {
			if (move(stream, pending, before) != 0)
				return -1;
			pending = 0;
		}
		if (verdict == FRAMING_REFUSE)
			return 0;
		before = verdict;
		pending += taken;
	}
	return pending > 0 ? move(stream, pending, before) : 0;
}

/* Take the rest: what is whole goes to the input. Returns -1 when memory is out. */
static int
take_rest(struct stream *stream, struct evbuffer *input)
{
	struct evbuffer *rest = stream->scratch->rest;
	struct framing *framing = &stream->framing;
	for (size_t length; (length = evbuffer_get_contiguous_space(rest)) > 0;) {
		framing->is_complete = false;
		if (take_run(stream, (const char *)evbuffer_pullup(rest, (ev_ssize_t)length),
			    length) != 0)
			return -1;
		if (framing->refusal.status != 0) {
			stream_refuse(
				stream, input, framing->refusal.status, framing->refusal.reason);
			return 0;
		}
		if (!framing->is_complete)
			continue;
		stream->passed++;
		stream->has_continued = false;
		if (evbuffer_add_buffer(input, stream->held) != 0)
			return -1;
		stream->is_last = framing->closes;
		if (stream->is_last)
			return 0;
	}
	return 0;
}

/* Take the bytes that were added to the end of the input. */
static int
take_added(struct stream *stream, struct evbuffer *input, size_t added)
{
	struct scratch *scratch = stream->scratch;
	size_t before = evbuffer_get_length(input) - added;
	if (before > 0 && evbuffer_remove_buffer(input, scratch->front, before) != (int)before)
		return -1;
	if (evbuffer_add_buffer(scratch->rest, input) != 0)
		return -1;
	if (before > 0 && evbuffer_add_buffer(input, scratch->front) != 0)
		return -1;
	return stream->is_refused || stream->is_last ? 0 : take_rest(stream, input);
}

void
stream_take(struct stream *stream, struct evbuffer *input, size_t added)
{
	struct scratch *scratch = stream->scratch;
	if (take_added(stream, input, added) != 0)
		stream_refuse(stream, input, 503, "out of memory");
	evbuffer_drain(scratch->rest, evbuffer_get_length(scratch->rest));
	evbuffer_drain(scratch->front, evbuffer_get_length(scratch->front));
}
