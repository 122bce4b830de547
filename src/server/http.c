/* http.c -- requests and replies as evhttp has them. */
#include "server/http.h"

#include <arpa/inet.h>
#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "core/arena.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/api.h"

static const char *
reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
		{200, "OK"			     },
		{204, "No Content"                     },
		{304, "Not Modified"                   },
		{400, "Bad Request"                    },
		{401, "Unauthorized"                   },
		{403, "Forbidden"                      },
		{404, "Not Found"                      },
		{405, "Method Not Allowed"             },
		{408, "Request Timeout"                },
		{409, "Conflict"                       },
		{413, "Content Too Large"              },
		{414, "URI Too Long"                   },
		{415, "Unsupported Media Type"         },
		{417, "Expectation Failed"             },
		{422, "Unprocessable Content"          },
		{429, "Too Many Requests"              },
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"          },
		{501, "Not Implemented"                },
		{503, "Service Unavailable"            },
		{505, "HTTP Version Not Supported"     },
		{507, "Insufficient Storage"           },
	};
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

static enum method
method_of(struct evhttp_request *request)
{
	switch (evhttp_request_get_command(request)) {
	case EVHTTP_REQ_GET:
		return METHOD_GET;
	case EVHTTP_REQ_HEAD:
		return METHOD_HEAD;
	case EVHTTP_REQ_POST:
		return METHOD_POST;
	case EVHTTP_REQ_OPTIONS:
		return METHOD_OPTIONS;
	default:
		return METHOD_OTHER;
	}
}

/* Put a header behind the reason phrase, if it has a value. evhttp sends that phrase as it is: a header that is given to evhttp
 * costs more than all of these together. No value may hold a line's end. */
static void
put_header(struct buffer *head, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buffer_puts(head, "\r\n");
	buffer_puts(head, name);
	buffer_puts(head, ": ");
	buffer_puts(head, value);
}

/* Give evhttp a header that it would add otherwise, or goes by itself. Returns -1 when memory is out. */
static int
add_header(struct evhttp_request *request, const char *name, const char *value)
{
	return evhttp_add_header(evhttp_request_get_output_headers(request), name, value);
}

static const char *
find_header(struct evhttp_request *request, const char *name)
{
	const char *value = evhttp_find_header(evhttp_request_get_input_headers(request), name);
	return value != NULL ? value + strspn(value, " \t") : NULL; /* evhttp leaves a tab */
}

/* The host that a request is for: an URL's counts more than the header (RFC 9112 section 3.2.2). Empty when memory is
 * out. */
static const char *
find_host(struct evhttp_request *request, struct arena *arena)
{
	const char *uri = evhttp_request_get_uri(request);
	const char *authority = *uri != '/' ? strstr(uri, "://") : NULL;
	if (authority == NULL)
		return find_header(request, "Host");
	authority += strlen("://");
	const char *copy = arena_copy(arena, authority, strcspn(authority, "/?"));
	return copy != NULL ? copy : "";
}

/* Whether If-None-Match (RFC 9110 section 13.1.2) names an ETag; the comparison is weak. */
static bool
names_etag(const char *header, const char *etag)
{
	if (header != NULL && strcmp(header, etag) == 0) /* as clients send it back */
		return true;
	size_t length = strlen(etag);
	while (header != NULL && *header != '\0') {
		header += strspn(header, " \t,");
		if (*header == '*')
			return true;
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		if (strncmp(header, etag, length) == 0)
			return true;
		header += strcspn(header, ",");
	}
	return false;
}

static void
on_unit_sent(const void *data, size_t length, void *unit)
{
	(void)data;
	(void)length;
	unit_unref(unit);
}

static void
on_body_sent(const void *data, size_t length, void *body)
{
	(void)data;
	(void)length;
	free(body);
}

/* Hand a reply's bytes over without copying them. Returns -1 when memory is out. */
static int
move_body(struct reply *reply, struct evbuffer *out)
{
	const struct prompt *prompt = reply->prompt;
	if (prompt != NULL) {
		struct unit *unit = unit_ref(prompt->unit);
		int result = evbuffer_add_reference(
			out, prompt->answer, prompt->answer_length, on_unit_sent, unit);
		if (result != 0)
			unit_unref(unit);
		return result;
	}
	if (reply->body.length == 0)
		return 0;
	if (evbuffer_add_reference(
		    out, reply->body.data, reply->body.length, on_body_sent, reply->body.data) != 0)
		return -1;
	reply->body = (struct buffer){0};
	return 0;
}

static size_t
body_length(const struct reply *reply)
{
	return reply->prompt != NULL ? reply->prompt->answer_length : reply->body.length;
}

/* The ETag of a reply's bytes: a prompt's answer has its own. */
static void
find_etag(struct digest *digest, const struct reply *reply, char etag[ETAG_BYTES])
{
	unsigned char bytes[DIGEST_BYTES];
	if (reply->prompt != NULL) {
		memcpy(etag, reply->prompt->etag, ETAG_BYTES);
		return;
	}
	digest_add(digest, reply->body.data, reply->body.length);
	digest_take(digest, bytes);
	digest_etag(bytes, etag);
}

/* Find the ETag of a read; a client that has these very bytes is told so instead. */
static void
judge_read(struct evhttp_request *request, struct reply *reply, const struct http_terms *terms,
	char etag[ETAG_BYTES])
{
	find_etag(terms->digest, reply, etag);
	if (names_etag(find_header(request, "If-None-Match"), etag))
		reply->status = 304;
}

/* An absolute form, which evhttp takes for a proxy's: it closes the connection behind it. */
static bool
has_absolute_form(struct evhttp_request *request)
{
	return strchr("/*", *evhttp_request_get_uri(request)) == NULL;
}

/* Leave it to the reply to say that the connection ends. What the client said of it evhttp would put beside that, or, with an
 * absolute form, in its place, but for one header. */
static void
forget_connection(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	while (evhttp_remove_header(headers, "Connection") == 0 ||
		evhttp_remove_header(headers, "Proxy-Connection") == 0)
		;
	evhttp_add_header(headers, "Proxy-Connection", "keep-alive");
}

static bool
has_body(const struct reply *reply)
{
	return reply->status != 304 && reply->status != 204;
}

/* Put a reply's status and headers together, but for those that evhttp is given. */
static void
put_head(const struct reply *reply, const struct http_terms *terms, const char *etag)
{
	static const char of_all[] =
		"\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff";
	struct buffer *head = &terms->scratch->head;
	bool tells_revision = *etag != '\0' && !reply->restricted && terms->snapshot != NULL;
	const char *type = reply->content_type != NULL ? reply->content_type : "application/json";
	char retry_after[24];
	if (reply->retry_after_ms > 0)
		snprintf(retry_after, sizeof(retry_after), "%lld",
			(long long)(reply->retry_after_ms + 999) / 1000);
	buffer_clear(head);
	buffer_puts(head, reason_phrase(reply->status));
	put_header(head, "Content-Type", has_body(reply) ? type : NULL);
	put_header(head, "ETag", *etag != '\0' ? etag : NULL);
	if (tells_revision) {
		put_header(head, "Prompts-Revision", terms->snapshot->revision);
		put_header(head, "Prompts-Source-Revision", terms->snapshot->source_revision);
	}
	put_header(head, "Vary", terms->has_tokens ? "Authorization" : NULL);
	put_header(head, "WWW-Authenticate", reply->authenticate ? "Bearer" : NULL);
	put_header(head, "Allow", reply->allow);
	put_header(head, "Retry-After", reply->retry_after_ms > 0 ? retry_after : NULL);
	put_header(head, "X-Request-Id", terms->request_id);
	buffer_put(head, of_all, sizeof(of_all) - 1);
}

/* Now, as a Date has it, which evhttp would work out for each reply. */
static const char *
find_date(struct http_scratch *scratch)
{
	time_t now = time(NULL);
	struct tm parts;
	if (now != scratch->date_at && gmtime_r(&now, &parts) != NULL) {
		evutil_date_rfc1123(scratch->date, sizeof(scratch->date), &parts);
		scratch->date_at = now;
	}
	return scratch->date;
}

/* Give evhttp what it would decide otherwise: it tells no length to HTTP/1.0 where the connection ends, nor to HEAD, to
 * which it sends a body that it is given. Returns -1 when memory is out. */
static int
add_headers(
	struct evhttp_request *request, const struct reply *reply, const struct http_terms *terms)
{
	char length[24];
	bool closes = terms->closing || has_absolute_form(request);
	snprintf(length, sizeof(length), "%zu", body_length(reply));
	if (closes)
		forget_connection(request);
	if ((closes && add_header(request, "Connection", "close") != 0) ||
		add_header(request, "Date", find_date(terms->scratch)) != 0)
		return -1;
	return has_body(reply) ? add_header(request, "Content-Length", length) : 0;
}

/* Prepare a reply but for sending it. Returns -1 when memory is out. */
static int
prepare(struct evhttp_request *request, struct reply *reply, const struct http_terms *terms,
	struct evbuffer *out)
{
	char etag[ETAG_BYTES] = "";
	enum method method = method_of(request);
	bool is_read = method == METHOD_GET || method == METHOD_HEAD;
	if (reply->body.failed)
		return -1;
	if (reply->status == 200 && is_read)
		judge_read(request, reply, terms, etag);
	put_head(reply, terms, etag);
	if (terms->scratch->head.failed || add_headers(request, reply, terms) != 0)
		return -1;
	return method == METHOD_HEAD || reply->status == 304 ? 0 : move_body(reply, out);
}

/* The last element of the last header of a name, which is what a proxy has added (RFC 9110 section 5.3), or NULL. */
static const char *
find_added(struct evhttp_request *request, const char *name)
{
	const char *added = NULL;
	const struct evkeyval *field;
	TAILQ_FOREACH(field, evhttp_request_get_input_headers(request), next)
	{
		if (evutil_ascii_strcasecmp(field->key, name) == 0)
			added = field->value;
	}
	const char *comma = added != NULL ? strrchr(added, ',') : NULL;
	if (comma != NULL)
		added = comma + 1;
	return added != NULL ? added + strspn(added, " \t") : NULL;
}

/* The address that a request comes from. */
static const char *
find_peer(struct evhttp_request *request, bool behind_proxy)
{
	const char *forwarded = behind_proxy ? find_added(request, "X-Forwarded-For") : NULL;
	struct in6_addr address;
	char *peer = NULL;
	ev_uint16_t port;
	if (forwarded != NULL && (inet_pton(AF_INET, forwarded, &address) == 1 ||
					 inet_pton(AF_INET6, forwarded, &address) == 1))
		return forwarded;
	evhttp_connection_get_peer(evhttp_request_get_connection(request), &peer, &port);
	return peer != NULL ? peer : "";
}

int
http_read(struct evhttp_request *from, struct request *request, struct error *error)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(from);
	request->uri = evhttp_request_get_uri(from);
	request->peer = find_peer(from, request->api->behind_proxy);
	request->method = method_of(from);
	request->authorization = find_header(from, "Authorization");
	request->content_type = find_header(from, "Content-Type");
	request->origin = find_header(from, "Origin");
	request->host = find_host(from, request->arena);
	request->body_length = evbuffer_get_length(body);
	request->body = "";
	if (request->body_length > 0)
		request->body = (const char *)evbuffer_pullup(body, -1);
	if (request->body == NULL) {
		error_set(error, "out of memory");
		return -1;
	}
	return route_parse(request->arena, request->uri, &request->target, error);
}

/* Write a reply without waiting for the loop. Returns whether it is out as a whole; if it is not, evhttp goes on, but must not
 * read on: it would do so without end, and take a client that has no more to say for one that is gone. It reads again
 * behind each reply. */
static bool
write_at_once(struct bufferevent *bufev)
{
	struct evbuffer *output = bufferevent_get_output(bufev);
	evbuffer_unfreeze(output, 1); /* as when the loop writes */
	evbuffer_write(output, bufferevent_getfd(bufev));
	evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) > 0)
		return false;
	bufferevent_disable(bufev, EV_WRITE);
	return true;
}

void
http_send(struct evhttp_request *request, struct reply *reply, const struct http_terms *terms)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(request);
	bool is_ready = prepare(request, reply, terms, out) == 0;
	if (!is_ready) {
		evhttp_clear_headers(evhttp_request_get_output_headers(request));
		reply->status = 503; /* memory is out: nothing but the status may be had */
		evbuffer_drain(out, evbuffer_get_length(out));
	}
	struct bufferevent *bufev =
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
	evhttp_send_reply(request, reply->status,
		is_ready ? terms->scratch->head.data : reason_phrase(503), NULL);
	/* The request is freed at once then, while its memory is warm. */
	if (terms->is_plain && write_at_once(bufev))
		bufferevent_trigger(bufev, EV_WRITE, 0);
	else
		bufferevent_disable(bufev, EV_READ);
}
