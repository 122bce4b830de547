/* framing.c -- where the requests of an HTTP/1.1 connection begin and end (RFC 9112), to the letter. */
#include "core/framing.h"

#include <string.h>

#include "core/text.h"

enum state {
	START, /* of a request; empty lines may stand in front of it */
	REQUEST_LINE,
	FIELDS,
	BODY,
	CHUNK_SIZE,
	CHUNK_SPACE, /* between a chunk's size and its extension */
	CHUNK_EXTENSION,
	CHUNK_LINE_END,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START, /* of a line behind the last chunk */
	TRAILER,
	LAST_LF,
	REFUSED,
};

enum {
	MOST_SIZE_DIGITS = 15, /* what they say fits into 64 bits */
	MOST_EMPTY_LINES_BYTES = 16,
};

void
framing_init(struct framing *framing, const struct framing_limits *limits)
{
	*framing = (struct framing){.limits = limits};
}

void
framing_finish(struct framing *framing)
{
	buffer_finish(&framing->line);
}

enum framing_part
framing_part(const struct framing *framing)
{
	if (framing->state == START)
		return FRAMING_NONE;
	return framing->state <= FIELDS ? FRAMING_HEAD : FRAMING_BODY;
}

static enum framing_verdict
refuse(struct framing *framing, int status, const char *reason)
{
	if (framing->refusal.status == 0)
		framing->refusal = (struct refusal){status, reason};
	framing->state = REFUSED;
	return FRAMING_REFUSE;
}

static enum framing_verdict
complete(struct framing *framing)
{
	framing->is_complete = true;
	framing->closes = framing->head.closes;
	framing->state = START;
	framing->head = (struct head){0};
	framing->head_bytes = 0;
	buffer_finish(&framing->line);
	return FRAMING_PASS;
}

/* Begin what follows the head. */
static enum framing_verdict
begin_body(struct framing *framing)
{
	const struct head *head = &framing->head;
	if (!head->is_chunked && head->length > framing->limits->body_bytes)
		return refuse(framing, 413, "the body is too long");
	framing->left = head->length;
	if (!head->is_chunked && head->length == 0)
		return complete(framing);
	framing->state = head->is_chunked ? CHUNK_SIZE : BODY;
	return FRAMING_PASS;
}

/* Take a whole line of the head. */
static enum framing_verdict
take_head_line(struct framing *framing, const char *line, size_t length)
{
	struct head *head = &framing->head;
	struct refusal *refusal = &framing->refusal;
	if (length == 0 || line[length - 1] != '\r')
		return refuse(framing, 400, "a line ends without CR");
	length--;
	if (framing->state == REQUEST_LINE) {
		framing->state = FIELDS;
		if (!head_take_request_line(head, line, length, refusal))
			return refuse(framing, 0, NULL);
	} else if (length > 0) {
		if (!head_take_field(head, line, length, refusal))
			return refuse(framing, 0, NULL);
		if (head->fields > framing->limits->fields)
			return refuse(framing, 431, "too many header fields");
	} else {
		return head_end(head, refusal) ? begin_body(framing) : refuse(framing, 0, NULL);
	}
	return FRAMING_PASS;
}

/* Find the next line of which these bytes are the end or a part. Returns its length without LF, which
 * is then in *line; -1 where the rest is yet to come. */
static long
next_line(
	struct framing *framing, const char *bytes, size_t length, const char **line, size_t *taken)
{
	const char *end = memchr(bytes, '\n', length);
	*taken = end != NULL ? (size_t)(end - bytes) + 1 : length;
	framing->head_bytes += *taken;
	if (end != NULL && framing->line.length == 0) {
		*line = bytes;
		return end - bytes;
	}
	buffer_put(&framing->line, bytes, *taken - (end != NULL));
	*line = framing->line.data;
	return end != NULL ? (long)framing->line.length : -1;
}

/* Take what there is of the head's lines. */
static enum framing_verdict
take_head(struct framing *framing, const char *bytes, size_t length, size_t *taken)
{
	const struct framing_limits *limits = framing->limits;
	enum framing_verdict verdict = FRAMING_PASS;
	*taken = 0;
	while (*taken < length && verdict == FRAMING_PASS && framing->state <= FIELDS &&
		!framing->is_complete) {
		const char *line;
		size_t used;
		bool is_first = framing->state == REQUEST_LINE;
		long found = next_line(framing, bytes + *taken, length - *taken, &line, &used);
		*taken += used;
		if (is_first && framing->head_bytes > limits->target_bytes)
			return refuse(framing, 414, "the request line is too long");
		if (framing->head_bytes > limits->head_bytes)
			return refuse(framing, 431, "the header is too long");
		if (framing->line.failed)
			return refuse(framing, 503, "out of memory");
		if (found < 0)
			break;
		verdict = take_head_line(framing, line, (size_t)found);
		buffer_clear(&framing->line);
	}
	return verdict;
}

/* RFC 9112 section 2.2: an empty line in front of a request is no mistake. */
static enum framing_verdict
take_start(struct framing *framing, const char *bytes, size_t length, size_t *taken)
{
	size_t empty = 0;
	while (empty < length && bytes[empty] == (framing->head_bytes % 2 == 0 ? '\r' : '\n')) {
		empty++;
		framing->head_bytes++;
	}
	*taken = empty;
	if (empty > 0)
		return framing->head_bytes <= MOST_EMPTY_LINES_BYTES
			       ? FRAMING_OMIT
			       : refuse(framing, 400, "there is no request");
	*taken = 1;
	if (framing->head_bytes % 2 != 0)
		return refuse(framing, 400, "a CR stands alone");
	if (*bytes < 'A' || *bytes > 'z') /* TLS, say, of which no line may come */
		return refuse(framing, 400, "a request begins with a method");
	framing->head_bytes = framing->body_bytes = 0;
	framing->chunk_lines_bytes = framing->digits = 0;
	framing->state = REQUEST_LINE;
	return take_head(framing, bytes, length, taken);
}

static enum framing_verdict
take_body(struct framing *framing, const char *bytes, size_t length, size_t *taken)
{
	(void)bytes;
	*taken = length < framing->left ? length : (size_t)framing->left;
	framing->left -= *taken;
	if (framing->left > 0)
		return FRAMING_PASS;
	if (framing->state == BODY)
		return complete(framing);
	framing->state = CHUNK_DATA_CR;
	return FRAMING_PASS;
}

/* Take a byte of a chunk's size, or what ends it. */
static enum framing_verdict
take_chunk_size(struct framing *framing, char byte)
{
	int digit = text_hex_digit((unsigned char)byte);
	if (digit >= 0) {
		if (framing->digits == 0)
			framing->left = 0;
		framing->left = framing->left * 16 + (uint64_t)digit;
		if (++framing->digits > MOST_SIZE_DIGITS)
			return refuse(framing, 400, "a chunk's size is too long");
		return FRAMING_PASS;
	}
	if (framing->digits == 0)
		return refuse(framing, 400, "a chunk has no size");
	framing->state = byte == '\r'                  ? CHUNK_LINE_END
			 : byte == ';'                 ? CHUNK_EXTENSION
			 : byte == ' ' || byte == '\t' ? CHUNK_SPACE
						       : REFUSED;
	if (framing->state == REFUSED)
		return refuse(framing, 400, "a chunk's size is no hexadecimal number");
	return byte == '\r' ? FRAMING_PASS : FRAMING_OMIT;
}

static enum framing_verdict
take_chunk_space(struct framing *framing, char byte)
{
	if (byte == ';')
		framing->state = CHUNK_EXTENSION;
	else if (byte != ' ' && byte != '\t')
		return refuse(framing, 400, "something stands behind a chunk's size");
	return FRAMING_OMIT;
}

static enum framing_verdict
take_chunk_extension(struct framing *framing, char byte)
{
	if (byte == '\r') {
		framing->state = CHUNK_LINE_END;
		return FRAMING_PASS;
	}
	if (((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f)
		return refuse(framing, 400, "a control character in a chunk extension");
	return FRAMING_OMIT;
}

static enum framing_verdict
take_chunk_line_end(struct framing *framing, char byte)
{
	if (byte != '\n')
		return refuse(framing, 400, "a line of a chunk ends without LF");
	framing->digits = 0;
	framing->body_bytes += framing->left;
	if (framing->body_bytes > framing->limits->body_bytes)
		return refuse(framing, 413, "the body is too long");
	framing->state = framing->left > 0 ? CHUNK_DATA : TRAILER_START;
	return FRAMING_PASS;
}

static enum framing_verdict
take_chunk_data_end(struct framing *framing, char byte)
{
	bool is_cr = framing->state == CHUNK_DATA_CR;
	if (byte != (is_cr ? '\r' : '\n'))
		return refuse(framing, 400, "a chunk is longer than it says");
	framing->state = is_cr ? CHUNK_DATA_LF : CHUNK_SIZE;
	return FRAMING_PASS;
}

static enum framing_verdict
take_last_lf(struct framing *framing, char byte)
{
	return byte == '\n' ? complete(framing) : refuse(framing, 400, "a CR stands alone");
}

/* Take what there is of a line behind the last chunk. */
static enum framing_verdict
take_trailer(struct framing *framing, const char *bytes, size_t length, size_t *taken)
{
	const char *line;
	if (framing->state == TRAILER_START && *bytes == '\r') {
		*taken = 1;
		framing->state = LAST_LF;
		return FRAMING_PASS;
	}
	framing->state = TRAILER;
	long found = next_line(framing, bytes, length, &line, taken);
	if (framing->head_bytes > framing->limits->head_bytes)
		return refuse(framing, 431, "the trailer is too long");
	if (framing->line.failed)
		return refuse(framing, 503, "out of memory");
	if (found < 0)
		return FRAMING_OMIT;
	if (found == 0 || line[found - 1] != '\r' || !head_is_field(line, (size_t)found - 1))
		return refuse(framing, 400, "a trailer field is malformed");
	buffer_clear(&framing->line);
	framing->state = TRAILER_START;
	return FRAMING_OMIT;
}

/* Take the bytes of a chunk's lines, one by one. */
static enum framing_verdict
take_byte(struct framing *framing, char byte)
{
	static enum framing_verdict (*const takes[])(struct framing *, char) = {
		[CHUNK_SIZE] = take_chunk_size,
		[CHUNK_SPACE] = take_chunk_space,
		[CHUNK_EXTENSION] = take_chunk_extension,
		[CHUNK_LINE_END] = take_chunk_line_end,
		[CHUNK_DATA_CR] = take_chunk_data_end,
		[CHUNK_DATA_LF] = take_chunk_data_end,
		[LAST_LF] = take_last_lf,
	};
	if (++framing->chunk_lines_bytes > framing->limits->body_bytes)
		return refuse(framing, 413, "the body's chunks are too many");
	return takes[framing->state](framing, byte);
}

enum framing_verdict
framing_take(struct framing *framing, const char *bytes, size_t length, size_t *taken)
{
	framing->is_complete = false;
	*taken = 1;
	switch (framing->state) {
	case START:
		return take_start(framing, bytes, length, taken);
	case REQUEST_LINE:
	case FIELDS:
		return take_head(framing, bytes, length, taken);
	case BODY:
	case CHUNK_DATA:
		return take_body(framing, bytes, length, taken);
	case TRAILER_START:
	case TRAILER:
		return take_trailer(framing, bytes, length, taken);
	case REFUSED:
		*taken = length;
		return FRAMING_REFUSE;
	default:
		return take_byte(framing, *bytes);
	}
}
