/* access.c -- what the log tells of a request: who asked for what, and what came of it. */
#include "server/access.h"

#include <sys/socket.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "core/tokens.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/clock.h"
#include "server/log.h"

/* Those by which somebody is turned away; a 404 is an answer. */
static bool
is_refusal(int status)
{
	static const int refusals[] = {
		400, 401, 403, 405, 408, 413, 414, 415, 417, 429, 431, 501, 505};
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i] == status)
			return true;
	return false;
}

static bool
is_write(const struct request *request)
{
	return request->method == METHOD_POST && request->target.endpoint == ENDPOINT_PROMPTS;
}

bool
access_is_due(const struct request *request, int status)
{
	return request->api->access_log || is_refusal(status) || is_write(request);
}

/* Copy a text, as much of it as there is room for. */
static void
copy(char *to, size_t size, const char *text, size_t length)
{
	length = length < size ? length : size - 1;
	memcpy(to, text, length);
	to[length] = '\0';
}

void
access_of(const struct request *request, int64_t start_us, struct access *access)
{
	static const char *const methods[] = {
		[METHOD_GET] = "GET",
		[METHOD_HEAD] = "HEAD",
		[METHOD_POST] = "POST",
		[METHOD_OPTIONS] = "OPTIONS",
		[METHOD_OTHER] = "other",
	};
	bool is_known = request->uri != NULL;
	const char *uri = is_known ? request->uri : "";
	const char *token = request->token != NULL ? request->token->name : "";
	const char *method = is_known ? methods[request->method] : "";
	*access = (struct access){.is_write = is_write(request), .start_us = start_us};
	memcpy(access->id, request->id, sizeof(access->id));
	copy(access->peer, sizeof(access->peer), request->peer, strlen(request->peer));
	copy(access->token, sizeof(access->token), token, strlen(token));
	copy(access->method, sizeof(access->method), method, strlen(method));
	copy(access->path, sizeof(access->path), uri, strcspn(uri, "?#"));
}

enum { N_WHO = 6 };

/* Put who asked for what before the other fields of a line; what is not known is left out. */
static struct log_field *
put_who(const struct access *access, struct log_field fields[N_WHO])
{
	const struct log_field who[N_WHO] = {
		LOG_TEXT("request_id", access->id),
		LOG_TEXT("peer", access->peer),
		LOG_TEXT("token", access->token),
		LOG_TEXT("method", access->method),
		LOG_TEXT("path", access->path),
		LOG_TEXT("file", access->file),
	};
	for (size_t i = 0; i < N_WHO; i++)
		if (*who[i].text != '\0')
			*fields++ = who[i];
	return fields;
}

bool
access_note_write(const struct access *access)
{
	struct log_field fields[N_WHO + 1];
	*put_who(access, fields) = LOG_END;
	return log_audit(LOG_LEVEL_INFO, "write begins", fields);
}

bool
access_note(const struct access *access, const struct reply *reply, struct log_batch *batch)
{
	struct log_field fields[N_WHO + 4];
	struct log_field *end = put_who(access, fields);
	*end++ = LOG_NUMBER("status", reply->status);
	*end++ = LOG_NUMBER("us", clock_us() - access->start_us);
	if (reply_reason(reply) != NULL)
		*end++ = LOG_TEXT("reason", reply_reason(reply));
	*end = LOG_END;
	if (*access->file != '\0')
		return log_audit(LOG_LEVEL_INFO, "write ends", fields);
	if (is_refusal(reply->status) || access->is_write)
		return log_audit(LOG_LEVEL_WARN, "request refused", fields);
	if (batch == NULL)
		return log_write_fields(LOG_LEVEL_INFO, "request answered", fields);
	log_add(batch, LOG_LEVEL_INFO, "request answered", fields);
	return true;
}

void
access_note_unread(int descriptor, const char *id, int status, const char *reason)
{
	struct access access = {0};
	struct log_field fields[N_WHO + 3];
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} address;
	socklen_t size = sizeof(address);
	snprintf(access.id, sizeof(access.id), "%s", id);
	if (getpeername(descriptor, &address.any, &size) == 0)
		getnameinfo(&address.any, size, access.peer, sizeof(access.peer), NULL, 0,
			NI_NUMERICHOST);
	struct log_field *end = put_who(&access, fields);
	*end++ = LOG_NUMBER("status", status);
	*end++ = LOG_TEXT("reason", reason);
	*end = LOG_END;
	log_audit(LOG_LEVEL_WARN, "request refused", fields);
}
