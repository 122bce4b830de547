/* route.c -- what a request target asks for. */
#include "server/route.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/text.h"

static const char *const parameter_names[] = {
	[PARAMETER_PROMPT_ID] = "prompt_id",
	[PARAMETER_PROJECT_NAME] = "project_name",
	[PARAMETER_SLUG] = "slug",
	[PARAMETER_VERSION] = "version",
	[PARAMETER_LABEL] = "label",
	[PARAMETER_ENVIRONMENT] = "environment",
	[PARAMETER_LIMIT] = "limit",
	[PARAMETER_CURSOR] = "cursor",
	[PARAMETER_FILES] = "files",
};

const char *
route_parameter_name(enum parameter parameter)
{
	return parameter_names[parameter];
}

static bool
has_control(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0' || text_control(text + i, length - i) != 0)
			return true;
	return false;
}

/* Undo percent-encoding. NULL with an error where it is malformed or yields what no name can hold. */
static char *
decode(struct arena *arena, const char *text, size_t length, bool is_query, struct error *error)
{
	char *out = arena_alloc(arena, length + 1);
	size_t used = 0;
	if (out == NULL) {
		error_set(error, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < length; i++) {
		out[used++] = is_query && text[i] == '+' ? ' ' : text[i];
		if (text[i] != '%')
			continue;
		int high = length - i > 2 ? text_hex_digit((unsigned char)text[i + 1]) : -1;
		int low = high >= 0 ? text_hex_digit((unsigned char)text[i + 2]) : -1;
		if (low < 0) {
			error_set(error, "%% takes two hexadecimal digits");
			return NULL;
		}
		out[used - 1] = (char)(high * 16 + low);
		i += 2;
	}
	out[used] = '\0';
	if (has_control(out, used) || text_utf8_span(out, used) != used) {
		error_set(
			error, "%s", has_control(out, used) ? "a control character" : "not UTF-8");
		return NULL;
	}
	return out;
}

/* Take a name=value pair; one whose name is not known is ignored, whatever it holds. */
static int
parse_pair(struct arena *arena, const char *pair, size_t length, struct target *target,
	struct error *error)
{
	const char *equals = memchr(pair, '=', length);
	size_t name_length = equals != NULL ? (size_t)(equals - pair) : length;
	size_t skipped = equals != NULL ? name_length + 1 : length;
	const char *name = decode(arena, pair, name_length, true, error);
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		if (name == NULL || strcmp(name, parameter_names[i]) != 0)
			continue;
		const char *value = decode(arena, pair + skipped, length - skipped, true, error);
		if (value == NULL)
			return -1;
		target->parameters[i] = *value != '\0' || i == PARAMETER_PROMPT_ID ? value : NULL;
	}
	return 0;
}

static int
parse_query(struct arena *arena, const char *query, size_t length, struct target *target,
	struct error *error)
{
	while (length > 0) {
		const char *end = memchr(query, '&', length);
		size_t pair = end != NULL ? (size_t)(end - query) : length;
		if (pair > 0 && parse_pair(arena, query, pair, target, error) != 0)
			return -1;
		pair += end != NULL;
		query += pair;
		length -= pair;
	}
	return 0;
}

/* Everything behind /prompts/ is an id, save a verb as the last raw segment. */
static int
parse_prompt_path(struct arena *arena, const char *path, size_t length, struct target *target,
	struct error *error)
{
	static const struct {
		const char *ending;
		enum endpoint endpoint;
	} verbs[] = {
		{"/variables", ENDPOINT_VARIABLES},
		{"/render",    ENDPOINT_RENDER   },
		{"",           ENDPOINT_PROMPT   },
	};
	size_t verb = 0;
	while (!text_ends_in(path, length, verbs[verb].ending) && *verbs[verb].ending != '\0')
		verb++;
	target->id = decode(arena, path, length - strlen(verbs[verb].ending), false, error);
	if (target->id == NULL)
		return -1;
	target->endpoint = *target->id != '\0' ? verbs[verb].endpoint : ENDPOINT_NONE;
	return 0;
}

static int
parse_path(struct arena *arena, const char *path, size_t length, struct target *target,
	struct error *error)
{
	static const struct {
		const char *path;
		enum endpoint endpoint;
	} fixed[] = {
		{"/beta/litellm_prompt_management", ENDPOINT_LITELLM},
		{"/health",                         ENDPOINT_HEALTH },
		{"/ready",                          ENDPOINT_READY  },
		{"/prompts",                        ENDPOINT_PROMPTS},
		{"/metrics",                        ENDPOINT_METRICS},
		{"/-/status",                       ENDPOINT_STATUS },
		{"/-/reload",                       ENDPOINT_RELOAD },
		{"/openapi.json",                   ENDPOINT_OPENAPI},
		{"*",			       ENDPOINT_SERVER },
	};
	static const char prompts[] = "/prompts/";
	size_t prefix = sizeof(prompts) - 1;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (length == strlen(fixed[i].path) && memcmp(path, fixed[i].path, length) == 0)
			target->endpoint = fixed[i].endpoint;
	if (length > prefix && memcmp(path, prompts, prefix) == 0)
		return parse_prompt_path(arena, path + prefix, length - prefix, target, error);
	return 0;
}

/* Skip the scheme and authority of the absolute form, http://host/path. */
static const char *
path_start(const char *uri)
{
	const char *authority = uri + strcspn(uri, ":/?#");
	if (strncmp(authority, "://", 3) != 0)
		return uri;
	return authority + 3 + strcspn(authority + 3, "/?#");
}

int
route_parse(struct arena *arena, const char *uri, struct target *target, struct error *error)
{
	*target = (struct target){0};
	const char *path = path_start(uri);
	size_t length = strcspn(path, "?#");
	const char *query = path[length] == '?' ? path + length + 1 : "";
	if (parse_path(arena, path, length, target, error) != 0)
		return -1;
	return parse_query(arena, query, strcspn(query, "#"), target, error);
}
