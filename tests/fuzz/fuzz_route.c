/* fuzz_route.c -- any text as a request target. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include <event2/http.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/text.h"
#include "server/route.h"

static void
check_text(const char *text, size_t most)
{
	if (text == NULL)
		return;
	size_t length = strlen(text);
	MUST(length <= most);
	MUST(text_utf8_span(text, length) == length);
	for (size_t i = 0; i < length; i++)
		MUST((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static void
check_target(const struct target *target, size_t length)
{
	enum endpoint endpoint = target->endpoint;
	MUST(endpoint >= ENDPOINT_NONE && endpoint < N_ENDPOINTS);
	if (endpoint >= ENDPOINT_PROMPT && endpoint <= ENDPOINT_RENDER)
		MUST(target->id != NULL && *target->id != '\0');
	check_text(target->id, length);
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		const char *value = target->parameters[i];
		check_text(value, length);
		MUST(value == NULL || *value != '\0' || i == PARAMETER_PROMPT_ID);
	}
}

/* Some bytes as libevent decodes them; empty where there is a NUL in them. */
static char *
decode(const char *text, size_t length, int is_query)
{
	char *copy = strndup(text, length);
	size_t decoded_length = 0;
	MUST(copy != NULL);
	char *decoded = evhttp_uridecode(copy, is_query, &decoded_length);
	MUST(decoded != NULL);
	if (strlen(decoded) != decoded_length)
		*decoded = '\0';
	free(copy);
	return decoded;
}

/* The last value of a name in a query, or NULL; NULL for an empty one too. */
static char *
find_value(const char *query, const char *name, int may_be_empty)
{
	char *found = NULL;
	for (size_t length; *query != '\0'; query += length + (query[length] == '&')) {
		length = strcspn(query, "&");
		size_t until = strcspn(query, "=");
		char *own = decode(query, until < length ? until : length, 1);
		if (length > 0 && strcmp(own, name) == 0) {
			free(found);
			found = until < length ? decode(query + until + 1, length - until - 1, 1)
					       : strdup("");
		}
		free(own);
	}
	if (found == NULL || *found != '\0' || may_be_empty)
		return found;
	free(found);
	return NULL;
}

/* Each parameter is what libevent makes of it. */
static void
check_query(const struct target *target, const char *uri)
{
	const char *query = strpbrk(uri, "?#");
	char *copy = strdup(query != NULL && *query == '?' ? query + 1 : "");
	MUST(copy != NULL);
	copy[strcspn(copy, "#")] = '\0';
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		const char *value = target->parameters[i];
		char *expected = find_value(
			copy, route_parameter_name((enum parameter)i), i == PARAMETER_PROMPT_ID);
		MUST((value == NULL) == (expected == NULL));
		MUST(value == NULL || strcmp(value, expected) == 0);
		free(expected);
	}
	free(copy);
}

/* The id is what libevent makes of what stands between /prompts/ and the verb. */
static void
check_id(const struct target *target, const char *uri)
{
	size_t length = strcspn(uri, "?#"), prefix = strlen("/prompts/");
	if (target->id == NULL || *uri != '/')
		return;
	length -= target->endpoint == ENDPOINT_VARIABLES ? strlen("/variables") : 0;
	length -= target->endpoint == ENDPOINT_RENDER ? strlen("/render") : 0;
	char *expected = decode(uri + prefix, length - prefix, 0);
	MUST(strcmp(target->id, expected) == 0);
	free(expected);
}

static void
put_encoded(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		buffer_printf(out, "%%%02x", (unsigned)(unsigned char)*text);
}

/* Said in another way, with every byte of a name encoded, it is the same target. */
static void
check_round_trip(struct arena *arena, const struct target *target)
{
	static const char *const verbs[N_ENDPOINTS] = {
		[ENDPOINT_VARIABLES] = "/variables", [ENDPOINT_RENDER] = "/render"};
	struct buffer uri = {0};
	struct target again;
	struct error error;
	buffer_puts(&uri, target->id != NULL ? "/prompts/" : "/");
	put_encoded(&uri, target->id != NULL ? target->id : "");
	if (verbs[target->endpoint] != NULL)
		buffer_puts(&uri, verbs[target->endpoint]);
	buffer_putc(&uri, '?');
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		if (target->parameters[i] == NULL)
			continue;
		buffer_printf(&uri, "&%s=", route_parameter_name((enum parameter)i));
		put_encoded(&uri, target->parameters[i]);
	}
	MUST(route_parse(arena, uri.data, &again, &error) == 0);
	MUST(target->id == NULL || again.endpoint == target->endpoint);
	MUST((again.id == NULL) == (target->id == NULL));
	MUST(target->id == NULL || strcmp(again.id, target->id) == 0);
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		MUST((again.parameters[i] == NULL) == (target->parameters[i] == NULL));
		MUST(again.parameters[i] == NULL ||
			strcmp(again.parameters[i], target->parameters[i]) == 0);
	}
	buffer_finish(&uri);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct arena *arena = arena_new();
	struct target target;
	struct error error = {.message = ""};
	char *uri = malloc(length + 1);
	MUST(arena != NULL && uri != NULL);
	if (length > 0)
		memcpy(uri, data, length);
	uri[length] = '\0';
	if (route_parse(arena, uri, &target, &error) == 0) {
		check_target(&target, strlen(uri));
		check_id(&target, uri);
		check_query(&target, uri);
		check_round_trip(arena, &target);
	} else {
		MUST(error.message[0] != '\0');
	}
	free(uri);
	arena_free(arena);
	return 0;
}
