/* fuzz_route.c -- any text as a request target. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
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
	if (route_parse(arena, uri, &target, &error) == 0)
		check_target(&target, strlen(uri));
	else
		MUST(error.message[0] != '\0');
	free(uri);
	arena_free(arena);
	return 0;
}
