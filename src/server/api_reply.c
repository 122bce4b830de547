/* api_reply.c -- what the handlers answer with in common. */
#include "server/api_reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/meter.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/tokens.h"
#include "core/unit.h"
#include "server/api.h"

void
reply_error(struct reply *reply, int status, const char *format, ...)
{
	va_list args;
	buffer_finish(&reply->reason);
	va_start(args, format);
	buffer_vprintf(&reply->reason, format, args);
	va_end(args);
	buffer_clear(&reply->body);
	buffer_puts(&reply->body, "{\"detail\":");
	json_put_string(&reply->body, reply_reason(reply));
	buffer_putc(&reply->body, '}');
	reply->body.failed |= reply->reason.failed;
	reply->status = status;
}

const char *
reply_reason(const struct reply *reply)
{
	return reply->reason.failed ? "Out of memory" : reply->reason.data;
}

void
reply_finish(struct reply *reply)
{
	buffer_finish(&reply->body);
	buffer_finish(&reply->reason);
}

void
reply_begin_invalid(struct reply *reply)
{
	buffer_clear(&reply->body);
	buffer_puts(&reply->body, "{\"detail\":[");
	reply->status = 422;
}

void
reply_add_invalid(struct reply *reply, const char *location, const char *message, const char *type)
{
	struct buffer *out = &reply->body;
	if (reply->reason.length == 0)
		buffer_puts(&reply->reason, message);
	if (out->length > 0 && out->data[out->length - 1] != '[')
		buffer_putc(out, ',');
	buffer_printf(out, "{\"loc\":[%s],\"msg\":", location);
	json_put_string(out, message);
	buffer_puts(out, ",\"type\":");
	json_put_string(out, type);
	buffer_putc(out, '}');
}

void
reply_end_invalid(struct reply *reply)
{
	buffer_puts(&reply->body, "]}");
}

void
reply_invalid(struct reply *reply, const char *location, const char *message, const char *type)
{
	reply_begin_invalid(reply);
	reply_add_invalid(reply, location, message, type);
	reply_end_invalid(reply);
}

/* Say where a body stops being JSON. */
static void
refuse_json(struct reply *reply, const struct errors *errors)
{
	const struct error *error = errors->first;
	if (error == NULL) {
		reply_error(reply, 503, "Out of memory");
		return;
	}
	char message[320];
	snprintf(message, sizeof(message), "%s: line %u column %u", error->message, error->line,
		error->column);
	reply_invalid(reply, "\"body\"", message, "value_error.jsondecode");
}

static bool
has_json_type(const struct request *request)
{
	static const char json[] = "application/json";
	const char *type = request->content_type;
	return type != NULL && strncasecmp(type, json, strlen(json)) == 0 &&
	       strchr("; \t", type[strlen(json)]) != NULL;
}

enum { MOST_VALUES = 10000 }; /* others wait while a body is read */

const struct value *
reply_read_body(
	const struct request *request, struct reply *reply, struct errors *errors, int may_be_empty)
{
	struct document document = {
		.arena = request->arena, .errors = errors, .most_values = MOST_VALUES};
	const char *body = request->body;
	size_t length = request->body_length;
	if (length == 0 && may_be_empty) {
		body = "{}";
		length = 2;
	} else if (length == 0) {
		reply_invalid(reply, "\"body\"", "field required", "value_error.missing");
		return NULL;
	} else if (!has_json_type(request)) {
		reply_error(reply, 415, "A body needs Content-Type: application/json");
		return NULL;
	}
	if (json_parse(&document, body, length) != 0 || errors->count > 0) {
		refuse_json(reply, errors);
		return NULL;
	}
	if (document.first->kind != VALUE_MAP) {
		reply_invalid(reply, "\"body\"", "value is not a valid dict", "type_error.dict");
		return NULL;
	}
	return document.first;
}

static void
refuse_selectors(struct reply *reply, enum parameter parameter, const char *other)
{
	char location[64], message[128];
	snprintf(location, sizeof(location), "\"query\",\"%s\"", route_parameter_name(parameter));
	snprintf(message, sizeof(message), "it and %s choose two different versions: give one",
		other);
	reply_invalid(reply, location, message, "value_error");
}

/* Whether what stands behind the @ is at odds with a parameter. */
static bool
differs(const char *either, const char *parameter)
{
	return either != NULL && parameter != NULL && strcmp(either, parameter) != 0;
}

/* Put together what a request says of the version it wants. Returns -1 where it says two things. */
static int
read_selector(const struct request *request, struct reply *reply, const char *either,
	struct selector *selector)
{
	const char *const *given = request->target.parameters;
	const char *environment = given[PARAMETER_ENVIRONMENT];
	*selector = (struct selector){.version = given[PARAMETER_VERSION],
		.label = given[PARAMETER_LABEL],
		.either = either,
		.project = given[PARAMETER_PROJECT_NAME],
		.slug = given[PARAMETER_SLUG],
		.default_labels = request->api->default_labels};
	if (environment != NULL && differs(environment, selector->label)) {
		refuse_selectors(reply, PARAMETER_ENVIRONMENT, "label");
		return -1;
	}
	if (selector->label == NULL)
		selector->label = environment;
	if (selector->version != NULL && selector->label != NULL) {
		refuse_selectors(reply, PARAMETER_VERSION, "label or environment");
		return -1;
	}
	if (differs(either, selector->version) || differs(either, selector->label)) {
		refuse_selectors(reply,
			selector->version != NULL        ? PARAMETER_VERSION
			: given[PARAMETER_LABEL] != NULL ? PARAMETER_LABEL
							 : PARAMETER_ENVIRONMENT,
			"the @ in the id");
		return -1;
	}
	return 0;
}

const char *
reply_shown(const struct request *request, const char *text)
{
	enum { SHOWN = 200 };
	size_t length = strlen(text);
	char *copy = arena_copy(request->arena, text, length < SHOWN ? length : SHOWN);
	if (copy == NULL)
		return "";
	text_trim_utf8(copy);
	return copy;
}

const struct group *
reply_view(const struct request *request, const struct group *group)
{
	size_t visible = 0;
	if (group == NULL || api_sees_all(request))
		return group;
	for (size_t i = 0; i < group->count; i++)
		visible += token_may_see(request->token, group->entries[i].prompt->project);
	if (visible == 0 || visible == group->count)
		return visible == 0 ? NULL : group;
	struct entry *entries = arena_array(request->arena, visible, sizeof(*entries));
	struct group *view = arena_alloc(request->arena, sizeof(*view));
	if (entries == NULL || view == NULL)
		return NULL;
	*view = (struct group){.entries = entries};
	for (size_t i = 0; i < group->count; i++)
		if (token_may_see(request->token, group->entries[i].prompt->project))
			entries[view->count++] = group->entries[i];
	return view;
}

enum { NEAR = 5, NEAR_BEFORE = 2, NEAR_MOST = 200 }; /* so many are looked at on each side */

/* Name the ids next to where one would stand, of those that may be seen. */
static void
reply_no_id(const struct request *request, struct reply *reply, const char *id)
{
	const struct snapshot *snapshot = request->snapshot;
	size_t at = snapshot_position(snapshot, id), from = at, to = at, before = 0, count = 0;
	size_t first = at > NEAR_MOST ? at - NEAR_MOST : 0;
	size_t last = snapshot->n_groups - at > NEAR_MOST ? at + NEAR_MOST : snapshot->n_groups;
	while (from > first && before < NEAR_BEFORE)
		before += reply_view(request, &snapshot->groups[--from]) != NULL;
	for (count = before; to < last && count < NEAR; to++)
		count += reply_view(request, &snapshot->groups[to]) != NULL;
	while (from > first && count < NEAR)
		count += reply_view(request, &snapshot->groups[--from]) != NULL;
	struct buffer near = {0};
	for (size_t i = from; i < to; i++)
		if (reply_view(request, &snapshot->groups[i]) != NULL)
			buffer_printf(&near, "%s'%s'", near.length == 0 ? ". Nearby: " : ", ",
				snapshot->groups[i].entries->prompt->id);
	reply_error(reply, 404, "Prompt '%s' not found%s", reply_shown(request, id),
		near.length > 0           ? near.data
		: snapshot->n_groups == 0 ? ". No prompts are loaded"
					  : "");
	reply->body.failed |= near.failed;
	buffer_finish(&near);
}

/* List an id's versions with their labels: 1, 2 (production), 3 */
static void
put_versions(struct buffer *out, const struct group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		const struct entry *entry = &group->entries[i];
		const char *version = entry->prompt->version;
		buffer_printf(
			out, "%s%s", i > 0 ? ", " : "", version != NULL ? version : "unversioned");
		for (size_t k = 0; k < entry->n_labels; k++)
			buffer_printf(out, "%s%s", k == 0 ? " (" : ", ", entry->labels[k]);
		if (entry->n_labels > 0)
			buffer_putc(out, ')');
	}
}

static void
reply_no_version(const struct request *request, struct reply *reply, const char *id,
	const struct selector *selector, const struct group *group)
{
	struct buffer versions = {0};
	put_versions(&versions, group);
	const char *list = versions.failed ? "" : versions.data;
	const char *kind = selector->version != NULL ? "version"
			   : selector->label != NULL ? "label"
						     : "version or label";
	const char *asked = selector->version != NULL ? selector->version
			    : selector->label != NULL ? selector->label
						      : selector->either;
	if (asked != NULL)
		reply_error(reply, 404, "Prompt '%s' not found with %s '%s'. It has: %s",
			reply_shown(request, id), kind, reply_shown(request, asked), list);
	else
		reply_error(reply, 404,
			"Prompt '%s' not found without a version: no rule says which of several is "
			"meant. It has: %s",
			reply_shown(request, id), list);
	reply->body.failed |= versions.failed;
	buffer_finish(&versions);
}

static void
reply_other_owner(const struct request *request, struct reply *reply, const char *id,
	const struct selector *selector, const struct prompt *prompt)
{
	bool project = selector->project != NULL && prompt->project != NULL &&
		       strcmp(selector->project, prompt->project) != 0;
	reply_error(reply, 404, "Prompt '%s' not found with %s '%s'", reply_shown(request, id),
		project ? "project_name" : "slug",
		reply_shown(request, project ? selector->project : selector->slug));
}

const struct entry *
reply_find(const struct request *request, struct reply *reply, const char *id,
	const struct group **group)
{
	struct selector selector;
	const struct entry *entry = NULL;
	const char *at = strchr(id, '@');
	if (at != NULL && at[1] != '\0')
		id = arena_copy(request->arena, id, (size_t)(at - id));
	else
		at = NULL;
	if (id == NULL) {
		reply_error(reply, 503, "Out of memory");
		return NULL;
	}
	if (read_selector(request, reply, at != NULL ? at + 1 : NULL, &selector) != 0)
		return NULL;
	*group = reply_view(request, snapshot_find(request->snapshot, id));
	if (*group == NULL) {
		reply_no_id(request, reply, id);
		return NULL;
	}
	switch (select_version(*group, &selector, &entry)) {
	case SELECTION_FOUND:
		meter_count(entry->prompt->meter);
		return entry;
	case SELECTION_OTHER_OWNER:
		reply_other_owner(request, reply, id, &selector, entry->prompt);
		return NULL;
	default:
		reply_no_version(request, reply, id, &selector, *group);
		return NULL;
	}
}

void
reply_put_labels(struct reply *reply, const struct entry *entry)
{
	json_put_key(&reply->body, "labels");
	buffer_putc(&reply->body, '[');
	for (size_t i = 0; i < entry->n_labels; i++) {
		if (i > 0)
			buffer_putc(&reply->body, ',');
		json_put_string(&reply->body, entry->labels[i]);
	}
	buffer_putc(&reply->body, ']');
}
