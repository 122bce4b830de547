/* api_list.c -- the list of prompts, in pages. */
#include <stdlib.h>
#include <string.h>

#include "core/json_put.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"

enum { DEFAULT_LIMIT = 1000, MAX_LIMIT = 10000 };

static bool
equals(const char *own, const char *wanted)
{
	return wanted == NULL || (own != NULL && strcmp(own, wanted) == 0);
}

/* Whether a version of the id is of the project and has the label asked for. */
static bool
matches(const struct request *request, const struct group *group)
{
	const char *project = request->target.parameters[PARAMETER_PROJECT_NAME];
	const char *label = request->target.parameters[PARAMETER_LABEL];
	for (size_t i = 0; i < group->count; i++) {
		const struct entry *entry = &group->entries[i];
		if (equals(entry->prompt->project, project) &&
			(label == NULL || entry_has_label(entry, label)))
			return true;
	}
	return false;
}

/* An id that no rule makes a choice for is listed without what depends on the version. */
static void
put_undecided(struct buffer *out, const struct prompt *prompt)
{
	buffer_puts(out, "\"prompt_id\":");
	json_put_string(out, prompt->id);
	buffer_puts(out, ",\"model\":null,\"has_variables\":");
	buffer_puts(out, prompt->n_variables > 0 ? "true" : "false");
	buffer_puts(out,
		",\"version\":null,\"project_name\":null,\"slug\":null,\"description\":null,"
		"\"labels\":[]");
}

/* Put an id as it is served when nothing is asked. */
static void
put_entry(const struct request *request, struct reply *reply, const struct group *group)
{
	struct selector nothing = {.default_labels = request->api->default_labels};
	const struct entry *entry;
	buffer_putc(&reply->body, '{');
	if (select_version(group, &nothing, &entry) == SELECTION_FOUND) {
		buffer_put(&reply->body, entry->prompt->listing, entry->prompt->listing_length);
		reply_put_labels(reply, entry);
	} else {
		put_undecided(&reply->body, group->entries->prompt);
	}
	buffer_putc(&reply->body, '}');
}

static bool
read_limit(const struct request *request, struct reply *reply, size_t *limit)
{
	const char *text = request->target.parameters[PARAMETER_LIMIT];
	if (text == NULL)
		return true;
	size_t digits = strspn(text, "0123456789");
	*limit = strtoul(text, NULL, 10);
	if (digits > 0 && digits < 8 && text[digits] == '\0' && *limit >= 1 && *limit <= MAX_LIMIT)
		return true;
	reply_invalid(reply, "\"query\",\"limit\"", "value is not a number from 1 to 10000",
		"value_error.number");
	return false;
}

void
api_list(const struct request *request, struct reply *reply)
{
	const struct snapshot *snapshot = request->snapshot;
	const char *cursor = request->target.parameters[PARAMETER_CURSOR], *last = NULL;
	size_t limit = DEFAULT_LIMIT, total = 0, listed = 0;
	bool more = false;
	if (!read_limit(request, reply, &limit))
		return;
	buffer_puts(&reply->body, "{\"prompts\":[");
	for (size_t i = 0; i < snapshot->n_groups; i++) {
		const struct group *group = reply_view(request, &snapshot->groups[i]);
		if (group == NULL || !matches(request, group))
			continue;
		const char *id = group->entries->prompt->id;
		total++;
		if (cursor != NULL && strcmp(id, cursor) <= 0)
			continue;
		more = listed == limit;
		if (more)
			continue;
		if (listed++ > 0)
			buffer_putc(&reply->body, ',');
		put_entry(request, reply, group);
		last = id;
	}
	buffer_printf(&reply->body, "],\"total\":%zu", total);
	if (more) {
		json_put_key(&reply->body, "next_cursor");
		json_put_string(&reply->body, last);
	}
	buffer_putc(&reply->body, '}');
}
