/* api_render.c -- a prompt's messages with values in their placeholders. */
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/render.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"

enum { MAX_BYTES = 4 * 1024 * 1024 };

static void
add_invalid(struct reply *reply, const char *name, const char *message, const char *type)
{
	struct buffer location = {0};
	if (reply->status != 422)
		reply_begin_invalid(reply);
	buffer_puts(&location, "\"body\",\"variables\",");
	json_put_string(&location, name);
	reply_add_invalid(reply, location.failed ? "" : location.data, message, type);
	reply->body.failed |= location.failed;
	buffer_finish(&location);
}

/* The text to put in for a variable; NULL where it has none and the reply says so. */
static const char *
value_of(struct reply *reply, const struct variable *variable, const struct value *given)
{
	if (given == NULL || given->kind == VALUE_NULL) {
		if (variable->fallback != NULL || !variable->required)
			return variable->fallback != NULL ? variable->fallback : "";
		add_invalid(reply, variable->name, "field required", "value_error.missing");
		return NULL;
	}
	if (given->kind == VALUE_BOOL)
		return given->truth ? "true" : "false";
	if (given->kind == VALUE_STRING || given->kind == VALUE_NUMBER)
		return given->text;
	add_invalid(reply, variable->name, "str, number or bool expected", "type_error.str");
	return NULL;
}

/* Find a value for each variable of the prompt; NULL where the reply says what is missing. */
static const char **
gather_values(const struct request *request, struct reply *reply, const struct prompt *prompt,
	const struct value *given)
{
	const char **values =
		arena_array(request->arena, prompt->n_variables + 1, sizeof(const char *));
	const struct value **members = document_sort(request->arena, given);
	size_t at = 0;
	if (values == NULL || members == NULL) {
		reply_error(reply, 503, "Out of memory");
		return NULL;
	}
	for (size_t i = 0; i < prompt->n_variables; i++) {
		const struct variable *variable = &prompt->variables[i];
		while (at < given->count && strcmp(members[at]->key, variable->name) < 0)
			at++;
		bool found = at < given->count && strcmp(members[at]->key, variable->name) == 0;
		values[i] = value_of(reply, variable, found ? members[at] : NULL);
	}
	if (reply->status == 200)
		return values;
	reply_end_invalid(reply);
	return NULL;
}

void
api_render(const struct request *request, struct reply *reply)
{
	static const struct value nothing = {.kind = VALUE_MAP};
	struct errors errors = {.arena = request->arena};
	const struct group *group;
	const struct entry *entry = reply_find(request, reply, request->target.id, &group);
	const struct value *body =
		entry != NULL ? reply_read_body(request, reply, &errors, true) : NULL;
	if (body == NULL)
		return;
	const struct value *given = document_find(body, "variables");
	if (given == NULL || given->kind == VALUE_NULL)
		given = &nothing;
	if (given->kind != VALUE_MAP) {
		reply_invalid(reply, "\"body\",\"variables\"", "value is not a valid dict",
			"type_error.dict");
		return;
	}
	const char **values = gather_values(request, reply, entry->prompt, given);
	if (values == NULL)
		return;
	buffer_puts(&reply->body, "{\"prompt_id\":");
	json_put_string(&reply->body, entry->prompt->id);
	json_put_key(&reply->body, "version");
	json_put_string(&reply->body, entry->prompt->version);
	json_put_key(&reply->body, "messages");
	if (render_messages(entry->prompt, values, &reply->body, MAX_BYTES) == 0)
		buffer_putc(&reply->body, '}');
	else
		reply_invalid(reply, "\"body\",\"variables\"",
			"the messages would be longer than 4 MiB", "value_error");
}
