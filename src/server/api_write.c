/* api_write.c -- POST /prompts: a body becomes a prompt file. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/name.h"
#include "core/prompt.h"
#include "core/tokens.h"
#include "core/variables.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/creation.h"

/* A creation with the texts it points to behind it. */
struct full_creation {
	struct creation creation;
	const char *answer; /* for when the prompt is created */
	char texts[];
};

static const char *
type_of(const struct error *error)
{
	static const char *const types[] = {
		[ERROR_SYNTAX] = "value_error",
		[ERROR_MISSING] = "value_error.missing",
		[ERROR_TYPE] = "type_error",
		[ERROR_VALUE] = "value_error",
	};
	return types[error->kind];
}

/* List what is wrong with a body, each with its place in it, in the mock's form. */
static void
refuse(struct reply *reply, const struct value *body, const struct errors *errors)
{
	reply_begin_invalid(reply);
	for (const struct error *error = errors->first; error != NULL; error = error->next) {
		struct buffer location = {0};
		if (error->kind == ERROR_WARNING)
			continue;
		buffer_puts(&location, "\"body\"");
		if (error->value != NULL)
			document_put_path(body, error->value, &location);
		if (error->key != NULL) {
			buffer_putc(&location, ',');
			json_put_string(&location, error->key);
		}
		reply_add_invalid(reply, location.failed ? "" : location.data,
			error->kind == ERROR_MISSING ? "field required" : error->message,
			type_of(error));
		reply->body.failed |= location.failed;
		buffer_finish(&location);
	}
	reply_end_invalid(reply);
}

static void
put_file_variable(struct buffer *out, const struct value *declared)
{
	bool first = true;
	buffer_putc(out, '{');
	for (const struct value *item = declared->first; item != NULL; item = item->next) {
		if (!variables_is_key(item->key))
			continue;
		buffer_puts(out, first ? "" : ", ");
		json_put_string(out, item->key);
		buffer_puts(out, ": ");
		json_put_value(out, item);
		first = false;
	}
	buffer_putc(out, '}');
}

/* The variables without the keys that a file may not have. */
static void
put_file_variables(struct buffer *out, const struct value *variables)
{
	buffer_putc(out, '{');
	for (const struct value *member = variables->first; member != NULL; member = member->next) {
		buffer_puts(out, member == variables->first ? "\n    " : ",\n    ");
		json_put_string(out, member->key);
		buffer_puts(out, ": ");
		if (member->kind == VALUE_MAP)
			put_file_variable(out, member);
		else
			json_put_value(out, member);
	}
	buffer_puts(out, variables->first != NULL ? "\n  }" : "}");
}

/* The file's text: the body's keys that a prompt file may have, indented. */
static void
put_file(struct buffer *out, const struct value *body)
{
	bool first = true;
	buffer_putc(out, '{');
	for (const struct value *member = body->first; member != NULL; member = member->next) {
		if (!prompt_is_key(member->key))
			continue;
		buffer_puts(out, first ? "\n  " : ",\n  ");
		json_put_string(out, member->key);
		buffer_puts(out, ": ");
		if (strcmp(member->key, "variables") == 0 && member->kind == VALUE_MAP)
			put_file_variables(out, member);
		else
			json_put_indented(out, member, 1);
		first = false;
	}
	buffer_puts(out, "\n}\n");
}

static void
put_answer(struct buffer *out, const char *id, const struct errors *errors)
{
	bool first = true;
	buffer_puts(out, "{\"status\":\"created\",\"prompt_id\":");
	json_put_string(out, id);
	buffer_puts(out, ",\"message\":\"Prompt '");
	json_put_characters(out, id, strlen(id));
	buffer_puts(out, "' created successfully\"");
	for (const struct error *error = errors->first; error != NULL; error = error->next) {
		buffer_puts(out, first ? ",\"warnings\":[" : ",");
		json_put_string(out, error->message);
		first = false;
	}
	buffer_puts(out, first ? "}" : "]}");
}

/* Copy a text behind the creation and step over it. */
static const char *
place(char **at, const char *text, size_t length)
{
	char *copy = *at;
	memcpy(copy, text, length);
	copy[length] = '\0';
	*at += length + 1;
	return copy;
}

static struct job *
make_job(const struct draft *draft, const char *path, const struct buffer *file,
	const struct buffer *answer)
{
	size_t length = strlen(draft->id) + strlen(path) + file->length + answer->length + 4;
	struct full_creation *made =
		file->failed || answer->failed ? NULL : malloc(sizeof(*made) + length);
	if (made == NULL)
		return NULL;
	char *at = made->texts;
	made->answer = place(&at, answer->data, answer->length);
	made->creation = (struct creation){.job.kind = JOB_CREATE, .length = file->length};
	made->creation.id = place(&at, draft->id, strlen(draft->id));
	made->creation.path = place(&at, path, strlen(path));
	made->creation.data = place(&at, file->data, file->length);
	return &made->creation.job;
}

enum { MAX_DIRECTORIES = 16 }; /* as deep as the loader looks */

static size_t
count_directories(const char *path)
{
	size_t count = 0;
	for (; *path != '\0'; path++)
		count += *path == '/';
	return count;
}

/* The path of the new file; NULL where the id cannot be one's name and the reply says why. */
static const char *
find_path(const struct request *request, struct reply *reply, const struct draft *draft)
{
	struct path_names names;
	const char *path = name_to_path(request->arena, draft->id, draft->version);
	if (path == NULL || name_from_path(request->arena, path, &names) != 0) {
		reply_error(reply, 503, "Out of memory");
		return NULL;
	}
	bool other_version = names.version != NULL &&
			     (draft->version == NULL || strcmp(names.version, draft->version) != 0);
	if (other_version) {
		reply_invalid(reply, "\"body\",\"prompt_id\"",
			"a file's name ends in a version: this one would be read as another "
			"version",
			"value_error");
		return NULL;
	}
	if (count_directories(path) > MAX_DIRECTORIES) {
		reply_invalid(reply, "\"body\",\"prompt_id\"", "more than 16 levels of directories",
			"value_error");
		return NULL;
	}
	const char *slash = strrchr(path, '/');
	if (strlen(slash != NULL ? slash + 1 : path) > NAME_MAX) {
		reply_invalid(reply, "\"body\",\"prompt_id\"",
			"the id and version are too long for a file's name", "value_error");
		return NULL;
	}
	return path;
}

static void
post_job(const struct request *request, struct reply *reply, const struct value *body,
	const struct draft *draft, const struct errors *errors)
{
	struct buffer file = {0}, answer = {0};
	const char *path = find_path(request, reply, draft);
	if (path == NULL)
		return;
	put_file(&file, body);
	put_answer(&answer, draft->id, errors);
	reply->job = make_job(draft, path, &file, &answer);
	buffer_finish(&file);
	buffer_finish(&answer);
	if (reply->job == NULL)
		reply_error(reply, 503, "Out of memory");
}

/* Whether the id lies in a project of the token's. */
static bool
may_write(const struct request *request, const char *id)
{
	const char *const *project = request->token != NULL ? request->token->projects : NULL;
	if (project == NULL)
		return true;
	for (; *project != NULL; project++) {
		size_t length = strlen(*project);
		if (strncmp(id, *project, length) == 0 && id[length] == '/')
			return true;
	}
	return false;
}

/* The same whether the id exists or not. */
static void
refuse_id(const struct request *request, struct reply *reply)
{
	struct buffer projects = {0};
	for (const char *const *project = request->token->projects; *project != NULL; project++)
		buffer_printf(&projects, "%s'%s/'", projects.length > 0 ? " or " : "", *project);
	reply_error(reply, 403, "The token '%s' may write prompts whose id begins with %s only",
		request->token->name, projects.failed ? "" : projects.data);
	reply->body.failed |= projects.failed;
	buffer_finish(&projects);
}

void
api_write(const struct request *request, struct reply *reply)
{
	static const struct path_names no_path = {0};
	struct prompt_rules rules = *request->api->rules;
	struct errors errors = {.arena = request->arena};
	struct draft draft;
	rules.request = true;
	if (!request->api->writable) {
		reply_error(reply, 403,
			"This server is read-only: add the file to its directory, or start promptd "
			"with --writable");
		return;
	}
	const struct value *body = reply_read_body(request, reply, &errors, false);
	if (body == NULL)
		return;
	int result = prompt_parse(body, &no_path, &rules, &errors, &draft);
	if (result != 0 && errors.first == NULL)
		reply_error(reply, 503, "Out of memory");
	else if (result == 0 && !may_write(request, draft.id))
		refuse_id(request, reply);
	else if (result != 0)
		refuse(reply, body, &errors);
	else
		post_job(request, reply, body, &draft, &errors);
}

void
api_answer_creation(const struct job *job, struct reply *reply)
{
	const struct full_creation *made = (const struct full_creation *)(const void *)job;
	const struct creation *creation = &made->creation;
	switch (creation->outcome) {
	case CREATION_DONE:
		buffer_puts(&reply->body, made->answer);
		break;
	case CREATION_UNSERVED:
		reply_error(reply, 503,
			"The prompt is written, but not served yet: /-/status says what is in the "
			"way");
		break;
	case CREATION_ID_EXISTS:
		reply_error(reply, 409, "Prompt '%s' already exists", creation->id);
		break;
	case CREATION_VERSION_NEEDED:
		reply_error(reply, 409, "Prompt '%s' already exists: give the new one a version",
			creation->id);
		break;
	case CREATION_TAKEN:
		reply_error(
			reply, 409, "Prompt '%s' not created: %s", creation->id, creation->message);
		break;
	case CREATION_INVALID:
		reply_invalid(reply, "\"body\"", creation->message, "value_error");
		break;
	case CREATION_DENIED:
		reply_error(reply, 403,
			"The directory cannot be written to: %s. Give promptd's user the right to, "
			"or "
			"add the file there yourself",
			creation->message);
		break;
	case CREATION_FULL:
		reply_error(reply, 507, "The disk is full: nothing was written");
		break;
	case CREATION_FAILED:
		reply_error(reply, 500, "%s", creation->message);
		break;
	}
}
