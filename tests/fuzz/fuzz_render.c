/* fuzz_render.c -- any line as a prompt's text, and what follows it as the body that asks for it with values. */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/template.h"
#include "core/text.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"

/* The prompt of that text, or NULL where it can be none. */
static struct unit *
make_unit(const char *text)
{
	static const struct prompt_rules rules;
	static struct unit_maker *maker;
	struct buffer file = {0};
	if (maker == NULL)
		maker = unit_maker_new(&rules);
	MUST(maker != NULL);
	buffer_puts(&file, "{\"prompt_id\": \"a\", \"prompt_template\": ");
	json_put_string(&file, text);
	buffer_putc(&file, '}');
	struct unit *unit = unit_new(maker, "a.json", file.data, file.length);
	MUST(unit != NULL);
	buffer_finish(&file);
	if (unit->n_errors == 0)
		return unit;
	unit_unref(unit);
	return NULL;
}

static const struct value *
read_json(struct arena *arena, const char *data, size_t length)
{
	struct errors *errors = arena_alloc(arena, sizeof(*errors));
	*errors = (struct errors){.arena = arena};
	struct document document = {.arena = arena, .errors = errors};
	bool is_good = json_parse(&document, data, length) == 0 && errors->count == 0;
	return is_good ? document.first : NULL;
}

/* The text of a value that a placeholder may be given, or NULL. */
static const char *
text_of(const struct value *value)
{
	switch (value != NULL ? value->kind : VALUE_NULL) {
	case VALUE_BOOL:
		return value->truth ? "true" : "false";
	case VALUE_NUMBER:
	case VALUE_STRING:
		return value->text;
	default:
		return NULL;
	}
}

/* Fill the values into the text itself. Returns whether there is one for each placeholder. */
static bool
fill_in(const char *text, const struct value *variables, struct arena *arena, struct buffer *out)
{
	struct placeholder found;
	size_t length = strlen(text), done = 0;
	buffer_puts(out, "");
	for (size_t cursor = 0; template_next(text, length, &cursor, &found);) {
		const char *name = arena_copy(arena, found.name, found.name_length);
		const char *value =
			variables != NULL ? text_of(document_find(variables, name)) : NULL;
		if (value == NULL)
			return false;
		buffer_put(out, text + done, found.offset - done);
		buffer_puts(out, value);
		done = found.offset + found.length;
	}
	buffer_puts(out, text + done);
	return true;
}

/* The status that an answer must have, and the text. */
static int
expect(const char *text, const struct request *request, struct buffer *out)
{
	const struct value *body = read_json(request->arena, request->body, request->body_length);
	if (request->body_length > 0 && (body == NULL || body->kind != VALUE_MAP))
		return 422;
	const struct value *given = body != NULL ? document_find(body, "variables") : NULL;
	if (given != NULL && given->kind != VALUE_NULL && given->kind != VALUE_MAP)
		return 422;
	bool is_map = given != NULL && given->kind == VALUE_MAP;
	return fill_in(text, is_map ? given : NULL, request->arena, out) ? 200 : 422;
}

static void
check_reply(const struct reply *reply, struct arena *arena, const char *expected)
{
	const struct value *body = read_json(arena, reply->body.data, reply->body.length);
	MUST(body != NULL && body->kind == VALUE_MAP);
	if (reply->status != 200) {
		MUST(document_find(body, "detail") != NULL);
		return;
	}
	const struct value *messages = document_find(body, "messages");
	MUST(messages->count == 1);
	MUST(strcmp(document_find(messages->first, "content")->text, expected) == 0);
}

static void
ask(struct unit *unit, const char *text, const char *body, size_t length)
{
	static const char *const labels[] = {NULL};
	struct api api = {.default_labels = labels};
	struct digest *digest = digest_new();
	struct change change = {.now = {.served = unit}};
	struct snapshot *snapshot = snapshot_new(NULL, &change, 1, NULL, digest);
	struct arena *arena = arena_new();
	MUST(snapshot != NULL && arena != NULL);
	struct request request = {.api = &api,
		.arena = arena,
		.body = body,
		.body_length = length,
		.content_type = "application/json",
		.snapshot = snapshot,
		.target = {.id = "a"}};
	struct reply reply = {.status = 200};
	struct buffer expected = {0};
	api_render(&request, &reply);
	MUST(!reply.body.failed);
	MUST(reply.status == expect(text, &request, &expected));
	check_reply(&reply, arena, expected.data);
	buffer_finish(&expected);
	reply_finish(&reply);
	snapshot_free(snapshot);
	digest_free(digest);
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const char *line_end = length > 0 ? memchr(data, '\n', length) : NULL;
	size_t line = line_end != NULL ? (size_t)(line_end - (const char *)data) : length;
	size_t rest = line + (line_end != NULL);
	struct buffer text = {0};
	buffer_put(&text, data, line);
	if (line == 0 || text_utf8_span(text.data, strlen(text.data)) != strlen(text.data)) {
		buffer_finish(&text);
		return 0;
	}
	struct unit *unit = make_unit(text.data);
	if (unit != NULL)
		ask(unit, text.data, (const char *)data + rest, length - rest);
	unit_unref(unit);
	buffer_finish(&text);
	return 0;
}
