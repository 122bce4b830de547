/* render.c -- the texts in which a prompt is told to clients. */
#include "core/render.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/document.h"
#include "core/json_put.h"
#include "core/prompt.h"
#include "core/template.h"
#include "core/unit.h"

/* A placeholder as it is met; its variable's position is known only when all are. */
struct use {
	const char *name;
	uint32_t offset, length;
};

struct rendering {
	const struct draft *draft;
	struct arena *arena;
	struct buffer text; /* the answer */
	struct buffer uses; /* of struct use */
	const struct value **declared; /* sorted by key; NULL where the prompt declares nothing */
	size_t n_declared;
};

static int
compare_name_to_key(const void *name, const void *member)
{
	const struct value *const *value = member;
	return strcmp(name, (*value)->key);
}

static void
sort_declared(struct rendering *rendering)
{
	const struct value *variables = rendering->draft->variables;
	if (variables == NULL)
		return;
	rendering->declared = document_sort(rendering->arena, variables);
	rendering->n_declared = rendering->declared != NULL ? variables->count : 0;
}

static const struct value *
find_declared(const struct rendering *rendering, const char *name)
{
	if (rendering->n_declared == 0)
		return NULL;
	const struct value **found = bsearch(name, rendering->declared, rendering->n_declared,
		sizeof(struct value *), compare_name_to_key);
	return found != NULL ? *found : NULL;
}

/* Put a placeholder as {name}, the one form that the client fills in, and note it. */
static void
put_placeholder(struct rendering *rendering, const char *name)
{
	struct buffer *out = &rendering->text;
	struct use use = {name, (uint32_t)out->length, (uint32_t)strlen(name) + 2};
	buffer_putc(out, '{');
	buffer_puts(out, name);
	buffer_putc(out, '}');
	buffer_put(&rendering->uses, &use, sizeof(use));
}

/* Put a text whose placeholders are the prompt's, as a JSON string. */
static void
put_template(struct rendering *rendering, const char *text)
{
	struct buffer *out = &rendering->text;
	struct placeholder found;
	size_t length = strlen(text), done = 0;
	buffer_putc(out, '"');
	for (size_t cursor = 0; template_next(text, length, &cursor, &found);) {
		const char *name = arena_copy(rendering->arena, found.name, found.name_length);
		if (name == NULL)
			return;
		if (rendering->declared != NULL && find_declared(rendering, name) == NULL)
			continue;
		json_put_characters(out, text + done, found.offset - done);
		put_placeholder(rendering, name);
		done = found.offset + found.length;
	}
	json_put_characters(out, text + done, length - done);
	buffer_putc(out, '"');
}

/* Put a map, with the member of that key as a template where it is a string. */
static void
put_map(struct rendering *rendering, const struct value *map, const char *key,
	void (*put_list)(struct rendering *, const struct value *))
{
	struct buffer *out = &rendering->text;
	buffer_putc(out, '{');
	for (const struct value *member = map->first; member != NULL; member = member->next) {
		json_put_key(out, member->key);
		bool is_template = strcmp(member->key, key) == 0;
		if (is_template && member->kind == VALUE_STRING)
			put_template(rendering, member->text);
		else if (is_template && member->kind == VALUE_LIST && put_list != NULL)
			put_list(rendering, member);
		else
			json_put_value(out, member);
	}
	buffer_putc(out, '}');
}

static void
put_parts(struct rendering *rendering, const struct value *parts)
{
	buffer_putc(&rendering->text, '[');
	for (const struct value *part = parts->first; part != NULL; part = part->next) {
		if (part != parts->first)
			buffer_putc(&rendering->text, ',');
		put_map(rendering, part, "text", NULL);
	}
	buffer_putc(&rendering->text, ']');
}

static void
put_messages(struct rendering *rendering, const struct value *messages)
{
	struct buffer *out = &rendering->text;
	buffer_putc(out, '[');
	if (messages->kind == VALUE_STRING) {
		buffer_puts(out, "{\"role\":\"user\",\"content\":");
		put_template(rendering, messages->text);
		buffer_putc(out, '}');
	}
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		if (message != messages->first)
			buffer_putc(out, ',');
		put_map(rendering, message, "content", put_parts);
	}
	buffer_putc(out, ']');
}

/* A null parameter would overwrite the caller's, so it is left out. */
static void
put_params(struct buffer *out, const struct value *params)
{
	if (params == NULL) {
		buffer_puts(out, "null");
		return;
	}
	buffer_putc(out, '{');
	for (const struct value *param = params->first; param != NULL; param = param->next) {
		if (param->kind == VALUE_NULL)
			continue;
		json_put_key(out, param->key);
		json_put_value(out, param);
	}
	buffer_putc(out, '}');
}

static void
put_answer(struct rendering *rendering, struct prompt *prompt)
{
	const struct draft *draft = rendering->draft;
	struct buffer *out = &rendering->text;
	buffer_puts(out, "{\"prompt_id\":");
	json_put_string(out, draft->id);
	buffer_puts(out, ",\"prompt_template\":");
	prompt->messages_offset = out->length;
	put_messages(rendering, draft->messages);
	prompt->messages_length = out->length - prompt->messages_offset;
	buffer_puts(out, ",\"prompt_template_model\":");
	json_put_string(out, draft->model);
	buffer_puts(out, ",\"prompt_template_optional_params\":");
	put_params(out, draft->params);
	buffer_putc(out, '}');
}

static int
compare_uses(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* What the prompt declares of a variable, or that it is required. */
static struct variable
variable_of(const struct rendering *rendering, const char *name)
{
	struct variable variable = {.name = name, .required = true};
	const struct value *declared = find_declared(rendering, name);
	if (declared == NULL || declared->kind != VALUE_MAP)
		return variable;
	const struct value *fallback = document_find(declared, "default");
	const struct value *required = document_find(declared, "required");
	if (fallback != NULL && fallback->kind == VALUE_BOOL)
		variable.fallback = fallback->truth ? "true" : "false";
	else if (fallback != NULL && fallback->kind != VALUE_NULL)
		variable.fallback = fallback->text;
	variable.required = required == NULL || required->kind != VALUE_BOOL || required->truth;
	return variable;
}

static int
compare_slots(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Turn the uses into the sorted variables and the slots that refer to them. */
static int
collect_variables(struct rendering *rendering, struct prompt *prompt)
{
	struct use *uses = (struct use *)(void *)rendering->uses.data;
	size_t n_uses = rendering->uses.length / sizeof(*uses);
	struct slot *slots = arena_array(rendering->arena, n_uses, sizeof(*slots));
	struct variable *variables = arena_array(rendering->arena, n_uses, sizeof(*variables));
	if (slots == NULL || variables == NULL)
		return -1;
	if (n_uses > 0)
		qsort(uses, n_uses, sizeof(*uses), compare_uses);
	size_t n = 0;
	for (size_t i = 0; i < n_uses; i++) {
		if (n == 0 || strcmp(variables[n - 1].name, uses[i].name) != 0)
			variables[n++] = variable_of(rendering, uses[i].name);
		slots[i] = (struct slot){uses[i].offset, uses[i].length, (uint32_t)(n - 1)};
	}
	if (n_uses > 0)
		qsort(slots, n_uses, sizeof(*slots), compare_slots);
	prompt->variables = variables;
	prompt->n_variables = n;
	prompt->slots = slots;
	prompt->n_slots = n_uses;
	return 0;
}

static void
put_names(struct buffer *out, const struct draft *draft)
{
	json_put_key(out, "version");
	json_put_string(out, draft->version);
	json_put_key(out, "project_name");
	json_put_string(out, draft->project);
	json_put_key(out, "slug");
	json_put_string(out, draft->slug);
	json_put_key(out, "description");
	json_put_string(out, draft->description);
}

/* Put what an entry of the list has before what the whole prompt has too. */
static void
put_entry(struct buffer *out, const struct draft *draft, const struct prompt *prompt)
{
	buffer_puts(out, "\"prompt_id\":");
	json_put_string(out, draft->id);
	json_put_key(out, "model");
	json_put_string(out, draft->model);
	json_put_key(out, "has_variables");
	buffer_puts(out, prompt->n_variables > 0 ? "true" : "false");
}

/* Put a variable with what the prompt declares of it; declared may be NULL. */
static void
put_variable(struct buffer *out, const char *name, const struct value *declared)
{
	bool is_map = declared != NULL && declared->kind == VALUE_MAP;
	const struct value *required = is_map ? document_find(declared, "required") : NULL;
	json_put_key(out, name);
	bool optional = required != NULL && required->kind == VALUE_BOOL && !required->truth;
	buffer_puts(out, optional ? "{\"required\":false" : "{\"required\":true");
	for (const struct value *item = is_map ? declared->first : NULL; item != NULL;
		item = item->next) {
		if (strcmp(item->key, "required") == 0 || item->kind == VALUE_NULL)
			continue;
		json_put_key(out, item->key);
		json_put_value(out, item);
	}
	buffer_putc(out, '}');
}

/* Put the variables that are declared, or else those that are used. */
static void
put_variables(struct rendering *rendering, const struct prompt *prompt)
{
	struct buffer *out = &rendering->text;
	json_put_key(out, "variables");
	buffer_putc(out, '{');
	for (size_t i = 0; i < rendering->n_declared; i++)
		put_variable(out, rendering->declared[i]->key, rendering->declared[i]);
	for (size_t i = 0; rendering->declared == NULL && i < prompt->n_variables; i++)
		put_variable(out, prompt->variables[i].name, NULL);
	buffer_putc(out, '}');
}

/* Take the buffer's text into the arena and empty it; NULL when memory is out. */
static const char *
take_text(struct rendering *rendering, size_t *length)
{
	struct buffer *text = &rendering->text;
	const char *copy =
		text->failed ? NULL : arena_copy(rendering->arena, text->data, text->length);
	if (length != NULL)
		*length = text->length;
	buffer_clear(text);
	return copy;
}

/* Put the text that begins with the entry of the list and ends in what the whole prompt has beyond the answer. */
static int
put_others(struct rendering *rendering, struct prompt *prompt)
{
	struct buffer *out = &rendering->text;
	put_entry(out, rendering->draft, prompt);
	size_t detail = out->length + 1; /* behind the comma */
	put_names(out, rendering->draft);
	prompt->listing_length = out->length;
	put_variables(rendering, prompt);
	json_put_key(out, "metadata");
	if (rendering->draft->metadata != NULL)
		json_put_value(out, rendering->draft->metadata);
	else
		buffer_puts(out, "null");
	prompt->listing = take_text(rendering, NULL);
	if (prompt->listing == NULL)
		return -1;
	prompt->detail = prompt->listing + detail;
	return 0;
}

static void
take_digests(struct prompt *prompt, struct digest *digest)
{
	unsigned char answer[DIGEST_BYTES];
	digest_add(digest, prompt->answer, prompt->answer_length);
	digest_take(digest, answer);
	digest_etag(answer, prompt->etag);
	digest_add(digest, answer, sizeof(answer));
	digest_add(digest, prompt->detail, strlen(prompt->detail));
	digest_take(digest, prompt->digest);
}

static int
render(struct rendering *rendering, struct prompt *prompt)
{
	sort_declared(rendering);
	put_answer(rendering, prompt);
	prompt->answer = take_text(rendering, &prompt->answer_length);
	if (rendering->uses.failed || prompt->answer == NULL ||
		collect_variables(rendering, prompt) != 0)
		return -1;
	return put_others(rendering, prompt) != 0 || arena_failed(rendering->arena) ? -1 : 0;
}

int
render_prompt(const struct draft *draft, struct arena *arena, struct digest *digest,
	struct prompt *prompt)
{
	struct rendering rendering = {.draft = draft, .arena = arena};
	*prompt = (struct prompt){
		.line = draft->line,
		.column = draft->column,
		.path_gives_id = draft->path_gives_id,
		.id = draft->id,
		.version = draft->version,
		.project = draft->project,
		.slug = draft->slug,
		.labels = (const char *const *)draft->labels,
		.label_places = draft->label_places,
		.n_labels = draft->n_labels,
	};
	int result = render(&rendering, prompt);
	buffer_finish(&rendering.text);
	buffer_finish(&rendering.uses);
	if (result == 0)
		take_digests(prompt, digest);
	return result;
}

int
render_messages(
	const struct prompt *prompt, const char *const *values, struct buffer *out, size_t most)
{
	size_t done = prompt->messages_offset;
	size_t end = prompt->messages_offset + prompt->messages_length;
	for (size_t i = 0; i < prompt->n_slots && out->length <= most; i++) {
		const struct slot *slot = &prompt->slots[i];
		const char *value = values[slot->variable];
		buffer_put(out, prompt->answer + done, slot->offset - done);
		json_put_characters(out, value, strlen(value));
		done = slot->offset + slot->length;
	}
	if (out->length > most)
		return -1;
	buffer_put(out, prompt->answer + done, end - done);
	return 0;
}
