/* api_prompt.c -- one prompt: as LiteLLM asks for it, whole, and its variables. */
#include <string.h>

#include "core/json_put.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"

/* The id under a slug; NULL where the reply says that there is none, or more than one. */
static const char *
id_of_slug(const struct request *request, struct reply *reply, const char *slug)
{
	const char *project = request->target.parameters[PARAMETER_PROJECT_NAME];
	const struct group *group;
	size_t found = select_slug(request->snapshot, slug, project, request->token, &group);
	if (found == 1)
		return group->entries->prompt->id;
	if (found == 0)
		reply_error(reply, 404, "Prompt '' not found: no prompt has the slug '%s'",
			reply_shown(request, slug));
	else
		reply_error(reply, 409,
			"%zu prompts have the slug '%s': name the project_name or the prompt_id",
			found, reply_shown(request, slug));
	return NULL;
}

void
api_litellm(const struct request *request, struct reply *reply)
{
	const char *id = request->target.parameters[PARAMETER_PROMPT_ID];
	const char *slug = request->target.parameters[PARAMETER_SLUG];
	const struct group *group;
	if (id == NULL && slug == NULL) {
		reply_invalid(
			reply, "\"query\",\"prompt_id\"", "field required", "value_error.missing");
		return;
	}
	if ((id == NULL || *id == '\0') && slug != NULL)
		id = id_of_slug(request, reply, slug);
	const struct entry *entry = id != NULL ? reply_find(request, reply, id, &group) : NULL;
	if (entry != NULL)
		reply->prompt = entry->prompt;
}

static void
put_versions(struct reply *reply, const struct group *group)
{
	struct buffer *out = &reply->body;
	json_put_key(out, "versions");
	buffer_putc(out, '[');
	for (size_t i = 0; i < group->count; i++) {
		buffer_puts(out, i > 0 ? ",{" : "{");
		json_put_key(out, "version");
		json_put_string(out, group->entries[i].prompt->version);
		reply_put_labels(reply, &group->entries[i]);
		buffer_putc(out, '}');
	}
	buffer_putc(out, ']');
}

void
api_prompt(const struct request *request, struct reply *reply)
{
	struct buffer *out = &reply->body;
	const struct group *group;
	const struct entry *entry = reply_find(request, reply, request->target.id, &group);
	if (entry == NULL)
		return;
	const struct prompt *prompt = entry->prompt;
	buffer_put(out, prompt->answer, prompt->answer_length - 1); /* without its last brace */
	buffer_putc(out, ',');
	buffer_puts(out, prompt->detail);
	reply_put_labels(reply, entry);
	put_versions(reply, group);
	json_put_key(out, "source");
	buffer_puts(out, "{\"file\":");
	json_put_string(out, prompt->unit->path);
	buffer_printf(out, ",\"line\":%u}", prompt->line);
	json_put_key(out, "state");
	json_put_string(out, entry->stale ? "stale" : "good");
	buffer_putc(out, '}');
}

void
api_variables(const struct request *request, struct reply *reply)
{
	struct buffer *out = &reply->body;
	const struct group *group;
	const struct entry *entry = reply_find(request, reply, request->target.id, &group);
	if (entry == NULL)
		return;
	const struct prompt *prompt = entry->prompt;
	buffer_puts(out, "{\"prompt_id\":");
	json_put_string(out, prompt->id);
	buffer_puts(out, ",\"variables\":[");
	for (size_t i = 0; i < prompt->n_variables; i++) {
		buffer_puts(out, i > 0 ? "," : "");
		json_put_string(out, prompt->variables[i].name);
	}
	buffer_puts(out, "],\"example_usage\":{\"prompt_id\":");
	json_put_string(out, prompt->id);
	buffer_puts(out, ",\"prompt_variables\":{");
	for (size_t i = 0; i < prompt->n_variables; i++) {
		json_put_key(out, prompt->variables[i].name);
		buffer_printf(out, "\"<%s_value>\"", prompt->variables[i].name);
	}
	buffer_puts(out, "}}}");
}
