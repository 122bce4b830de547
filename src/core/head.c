/* head.c -- what the head of an HTTP/1.1 request says: its request line and its fields. */
#include "core/head.h"

#include <arpa/inet.h>

#include <string.h>
#include <strings.h>

#include "core/text.h"

/* A piece of a line. */
struct piece {
	const char *text;
	size_t length;
};

enum {
	MOST_LENGTH_DIGITS = 18, /* more would be refused as too long anyway */
	MOST_PORT_DIGITS = 5,
};

static bool
refuse(struct refusal *refusal, int status, const char *reason)
{
	*refusal = (struct refusal){status, reason};
	return false;
}

static bool
is_alphanumeric(char byte)
{
	return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
	       (byte >= 'a' && byte <= 'z');
}

static bool
consists_of(struct piece piece, const char *others)
{
	for (size_t i = 0; i < piece.length; i++)
		if (!is_alphanumeric(piece.text[i]) &&
			(piece.text[i] == '\0' || strchr(others, piece.text[i]) == NULL))
			return false;
	return true;
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(struct piece piece)
{
	return piece.length > 0 && consists_of(piece, "!#$%&'*+-.^_`|~");
}

static bool
is_control(char byte)
{
	return ((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f;
}

static bool
has_control(struct piece piece)
{
	for (size_t i = 0; i < piece.length; i++)
		if (is_control(piece.text[i]))
			return true;
	return false;
}

static bool
is_text(struct piece piece, const char *text)
{
	return piece.length == strlen(text) && strncasecmp(piece.text, text, piece.length) == 0;
}

static struct piece
trim(struct piece piece)
{
	while (piece.length > 0 && (*piece.text == ' ' || *piece.text == '\t'))
		piece = (struct piece){piece.text + 1, piece.length - 1};
	while (piece.length > 0 &&
		(piece.text[piece.length - 1] == ' ' || piece.text[piece.length - 1] == '\t'))
		piece.length--;
	return piece;
}

/* Cut what stands before the next space off a line. */
static struct piece
cut_word(struct piece *rest)
{
	const char *space = memchr(rest->text, ' ', rest->length);
	size_t length = space != NULL ? (size_t)(space - rest->text) : rest->length;
	struct piece word = {rest->text, length};
	length += space != NULL;
	*rest = (struct piece){rest->text + length, rest->length - length};
	return word;
}

static bool
take_method(struct head *head, struct piece method, struct refusal *refusal)
{
	static const struct {
		const char *name;
		bool forbids_body;
	} methods[] = {
		{"GET",     false},
		{"HEAD",    true },
		{"POST",    false},
		{"PUT",     false},
		{"PATCH",   false},
		{"DELETE",  false},
		{"OPTIONS", false},
		{"TRACE",   true },
	};
	if (!is_token(method))
		return refuse(refusal, 400, "the request line does not begin with a method");
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (method.length != strlen(methods[i].name) ||
			memcmp(method.text, methods[i].name, method.length) != 0)
			continue;
		head->forbids_body = methods[i].forbids_body;
		head->is_head = i == 1;
		return true;
	}
	return refuse(refusal, 501, "the method is not known here");
}

/* Cut a port, with its colon, off an authority. Returns false where it is none. */
static bool
cut_port(struct piece *authority)
{
	size_t start = authority->length;
	unsigned long number = 0;
	while (start > 0 && authority->text[start - 1] >= '0' && authority->text[start - 1] <= '9')
		start--;
	if (start == 0 || authority->text[start - 1] != ':')
		return true;
	if (authority->length - start > MOST_PORT_DIGITS)
		return false;
	for (size_t i = start; i < authority->length; i++)
		number = number * 10 + (unsigned long)(authority->text[i] - '0');
	authority->length = start - 1;
	return number <= 65535;
}

/* [::1] (RFC 3986 section 3.2.2; there are no other literals yet). */
static bool
is_ip_literal(struct piece host)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char bytes[sizeof(struct in6_addr)];
	if (host.length < 2 || host.length - 2 >= sizeof(address) || *host.text != '[' ||
		host.text[host.length - 1] != ']' || memchr(host.text, '\0', host.length) != NULL)
		return false;
	memcpy(address, host.text + 1, host.length - 2);
	address[host.length - 2] = '\0';
	return inet_pton(AF_INET6, address, bytes) == 1;
}

/* A host, or an IP address of either kind, and perhaps a port; of a user nothing. A URL's is a plain name; a Host's may be empty,
 * and have what a name has in theory (RFC 3986 section 3.2.2). */
static bool
is_authority(struct piece authority, bool is_urls)
{
	if (!cut_port(&authority))
		return false;
	if (is_ip_literal(authority))
		return true;
	if (is_urls)
		return authority.length > 0 && consists_of(authority, "-._~");
	for (size_t i = 0; i < authority.length; i++)
		if (authority.text[i] == '%' &&
			(authority.length - i < 3 ||
				text_hex_digit((unsigned char)authority.text[i + 1]) < 0 ||
				text_hex_digit((unsigned char)authority.text[i + 2]) < 0))
			return false;
	return consists_of(authority, "-._~!$&'()*+,;=%");
}

/* RFC 9112 section 3.2; bytes beyond ASCII are left to who decodes the path. */
static bool
is_target(struct piece target)
{
	if (is_text(target, "*"))
		return true;
	for (size_t i = 0; i < target.length; i++)
		if (is_control(target.text[i]) || target.text[i] == '\t' || target.text[i] == '#')
			return false;
	if (target.length > 0 && *target.text == '/') /* two would begin an authority for evhttp */
		return target.length == 1 || target.text[1] != '/';
	size_t scheme = target.length > 7 && strncasecmp(target.text, "http://", 7) == 0    ? 7
			: target.length > 8 && strncasecmp(target.text, "https://", 8) == 0 ? 8
											    : 0;
	struct piece authority = {target.text + scheme, 0};
	while (scheme + authority.length < target.length &&
		strchr("/?", authority.text[authority.length]) == NULL)
		authority.length++;
	return scheme > 0 && is_authority(authority, true);
}

bool
head_take_request_line(struct head *head, const char *line, size_t length, struct refusal *refusal)
{
	struct piece rest = {line, length};
	if (!take_method(head, cut_word(&rest), refusal))
		return false;
	struct piece target = cut_word(&rest);
	if (!is_target(target))
		return refuse(refusal, 400, "the request target must be a path or an http URL");
	bool is_version = rest.length == 8 && memcmp(rest.text, "HTTP/", 5) == 0 &&
			  rest.text[6] == '.' && rest.text[5] >= '0' && rest.text[5] <= '9' &&
			  rest.text[7] >= '0' && rest.text[7] <= '9';
	if (!is_version)
		return refuse(refusal, 400, "the request line does not end in HTTP/1.1");
	if (rest.text[5] != '1' || rest.text[7] > '1')
		return refuse(refusal, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	head->is_old = rest.text[7] == '0';
	return true;
}

static bool
take_host(struct head *head, struct piece value, struct refusal *refusal)
{
	(void)head;
	if (!is_authority(value, false))
		return refuse(refusal, 400, "Host is no host name");
	return true;
}

static bool
take_length(struct head *head, struct piece value, struct refusal *refusal)
{
	if (value.length == 0)
		return refuse(refusal, 400, "Content-Length is no number");
	for (size_t i = 0; i < value.length; i++) {
		if (value.text[i] < '0' || value.text[i] > '9')
			return refuse(refusal, 400, "Content-Length is no number");
		if (i < MOST_LENGTH_DIGITS)
			head->length = head->length * 10 + (uint64_t)(value.text[i] - '0');
	}
	if (value.length > MOST_LENGTH_DIGITS)
		head->length = UINT64_MAX;
	return true;
}

static bool
take_encoding(struct head *head, struct piece value, struct refusal *refusal)
{
	if (value.length == 0)
		return refuse(refusal, 400, "Transfer-Encoding is empty");
	if (!is_text(value, "chunked"))
		return refuse(refusal, 501, "the only Transfer-Encoding here is chunked");
	head->is_chunked = true;
	return true;
}

static bool
take_expectation(struct head *head, struct piece value, struct refusal *refusal)
{
	if (!is_text(value, "100-continue"))
		return refuse(refusal, 417, "the only Expect here is 100-continue");
	head->wants_continue = true;
	return true;
}

/* A list of words (RFC 9110 section 7.6.1). */
static bool
take_connection(struct head *head, struct piece value, struct refusal *refusal)
{
	(void)refusal;
	while (value.length > 0) {
		const char *comma = memchr(value.text, ',', value.length);
		size_t length = comma != NULL ? (size_t)(comma - value.text) : value.length;
		head->closes |= is_text(trim((struct piece){value.text, length}), "close");
		length += comma != NULL;
		value = (struct piece){value.text + length, value.length - length};
	}
	return true;
}

/* Cut a field's name off its line. */
static bool
cut_name(const char *line, size_t length, struct piece *name, struct piece *value)
{
	const char *colon = memchr(line, ':', length);
	if (colon == NULL)
		return false;
	*name = (struct piece){line, (size_t)(colon - line)};
	*value = (struct piece){colon + 1, length - name->length - 1};
	return is_token(*name) && !has_control(*value);
}

bool
head_is_field(const char *line, size_t length)
{
	struct piece name, value;
	return cut_name(line, length, &name, &value);
}

enum field {
	FIELD_HOST,
	FIELD_LENGTH,
	FIELD_ENCODING,
	FIELD_EXPECT,
	FIELD_CONNECTION,
	FIELD_AUTHORIZATION,
	FIELD_TYPE,
	FIELD_ORIGIN,
	N_FIELDS
};

static const struct known {
	const char *name;
	/* NULL: what it says is not of the framing. */
	bool (*take)(struct head *, struct piece, struct refusal *);
	/* Why it may not be there again, as one would be overlooked; NULL: it may. */
	const char *twice;
	bool evhttp_looks; /* which does not skip a tab in front of a value */
} known_fields[N_FIELDS] = {
  /* clang-format off */
	[FIELD_HOST] = {"Host", take_host, "more than one Host", false},
	[FIELD_LENGTH] = {"Content-Length", take_length, "more than one Content-Length", true},
	[FIELD_ENCODING] = {"Transfer-Encoding", take_encoding, "more than one Transfer-Encoding", true},
	[FIELD_EXPECT] = {"Expect", take_expectation, NULL, true},
	[FIELD_CONNECTION] = {"Connection", take_connection, NULL, false},
	[FIELD_AUTHORIZATION] = {"Authorization", NULL, "more than one Authorization", false},
	[FIELD_TYPE] = {"Content-Type", NULL, "more than one Content-Type", false},
	[FIELD_ORIGIN] = {"Origin", NULL, "more than one Origin", false},
  /* clang-format on */
};

static bool
has_field(const struct head *head, enum field field)
{
	return (head->seen & 1u << field) != 0;
}

static bool
take_known(struct head *head, enum field field, struct piece value, struct refusal *refusal)
{
	const struct known *known = &known_fields[field];
	if (known->twice != NULL && has_field(head, field))
		return refuse(refusal, 400, known->twice);
	if (known->evhttp_looks && memchr(value.text, '\t', value.length) != NULL)
		return refuse(refusal, 400, "a tab where a space would do");
	head->seen |= 1u << field;
	return known->take == NULL || known->take(head, trim(value), refusal);
}

bool
head_take_field(struct head *head, const char *line, size_t length, struct refusal *refusal)
{
	struct piece name, value;
	if (length > 0 && (*line == ' ' || *line == '\t'))
		return refuse(refusal, 400, "a header field is folded");
	if (!cut_name(line, length, &name, &value))
		return refuse(refusal, 400, "a header field is malformed");
	head->fields++;
	for (size_t i = 0; i < N_FIELDS; i++)
		if (is_text(name, known_fields[i].name))
			return take_known(head, (enum field)i, value, refusal);
	return true;
}

bool
head_end(struct head *head, struct refusal *refusal)
{
	bool is_encoded = has_field(head, FIELD_ENCODING);
	if (!has_field(head, FIELD_HOST) && !head->is_old)
		return refuse(refusal, 400, "Host is missing");
	if (is_encoded && has_field(head, FIELD_LENGTH))
		return refuse(refusal, 400, "both Content-Length and Transfer-Encoding");
	if (is_encoded && head->is_old)
		return refuse(refusal, 400, "HTTP/1.0 has no Transfer-Encoding");
	bool has_body = head->is_chunked || head->length > 0;
	if (has_body && head->forbids_body)
		return refuse(refusal, 400, "a request of this method has no body");
	head->wants_continue = head->wants_continue && has_body && !head->is_old;
	return true;
}
