/* unit.c -- checks what must hold of the unit of any file. */
#include "fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/name.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/render.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"

void
fuzz_say(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
}

void
fuzz_check_json(const char *text, size_t length)
{
	struct arena *arena = arena_new();
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	MUST(arena != NULL);
	MUST(json_parse(&document, text, length) == 0);
	MUST(errors.count == 0);
	arena_free(arena);
}

/* Members without their braces. */
static void
check_members(const char *members, size_t length)
{
	struct buffer text = {0};
	buffer_putc(&text, '{');
	buffer_put(&text, members, length);
	buffer_putc(&text, '}');
	fuzz_check_json(text.data, text.length);
	buffer_finish(&text);
}

static void
check_names(const struct prompt *prompt)
{
	MUST(name_is_id(prompt->id));
	MUST(prompt->version == NULL || name_is_version(prompt->version));
	MUST(prompt->project == NULL || name_is_word(prompt->project));
	MUST(prompt->slug == NULL || name_is_word(prompt->slug));
	for (size_t i = 0; i < prompt->n_labels; i++)
		MUST(name_is_label(prompt->labels[i]));
}

/* Slots lie in the messages, one behind the other, and each holds its variable's name in braces. */
static void
check_slots(const struct prompt *prompt)
{
	size_t end = prompt->messages_offset;
	MUST(prompt->messages_offset + prompt->messages_length <= prompt->answer_length);
	for (size_t i = 0; i < prompt->n_slots; i++) {
		const struct slot *slot = &prompt->slots[i];
		MUST(slot->offset >= end);
		end = slot->offset + slot->length;
		MUST(end <= prompt->messages_offset + prompt->messages_length);
		MUST(slot->variable < prompt->n_variables);
		const char *name = prompt->variables[slot->variable].name;
		const char *text = prompt->answer + slot->offset;
		MUST(slot->length == strlen(name) + 2);
		MUST(text[0] == '{' && text[slot->length - 1] == '}');
		MUST(memcmp(text + 1, name, strlen(name)) == 0);
	}
	for (size_t i = 1; i < prompt->n_variables; i++)
		MUST(strcmp(prompt->variables[i - 1].name, prompt->variables[i].name) < 0);
}

/* With values that need escaping the messages are JSON; with its own name in each placeholder they are
 * as before. */
static void
check_rendering(const struct prompt *prompt)
{
	const char **values = calloc(prompt->n_variables + 1, sizeof(*values));
	struct buffer out = {0}, name = {0};
	MUST(values != NULL);
	for (size_t i = 0; i < prompt->n_variables; i++)
		values[i] = "\"\\\n\x01{a}é";
	MUST(render_messages(prompt, values, &out, SIZE_MAX) == 0);
	MUST(!out.failed);
	fuzz_check_json(out.data, out.length);
	if (prompt->n_variables == 1) {
		buffer_clear(&out);
		buffer_printf(&name, "{%s}", prompt->variables[0].name);
		values[0] = name.data;
		MUST(render_messages(prompt, values, &out, SIZE_MAX) == 0);
		MUST(out.length == prompt->messages_length);
		MUST(memcmp(out.data, prompt->answer + prompt->messages_offset, out.length) == 0);
	}
	buffer_finish(&name);
	buffer_finish(&out);
	free(values);
}

static void
check_prompt(const struct prompt *prompt, const struct unit *unit)
{
	MUST(prompt->unit == unit);
	MUST(prompt->line > 0);
	MUST(strlen(prompt->answer) == prompt->answer_length);
	MUST(strlen(prompt->etag) == ETAG_BYTES - 1);
	check_names(prompt);
	fuzz_check_json(prompt->answer, prompt->answer_length);
	fuzz_check_json(prompt->answer + prompt->messages_offset, prompt->messages_length);
	check_members(prompt->listing, prompt->listing_length);
	check_members(prompt->detail, strlen(prompt->detail));
	check_slots(prompt);
	check_rendering(prompt);
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static void
check_problems(const struct unit *unit)
{
	size_t errors = 0;
	for (size_t i = 0; i < unit->n_problems; i++) {
		const struct problem *problem = &unit->problems[i];
		size_t length = strlen(problem->message);
		errors += problem->kind != ERROR_WARNING;
		MUST(length > 0 && text_utf8_span(problem->message, length) == length);
		MUST(!has_control(problem->message));
		/* only in front may stand what is of the whole file: that there are more errors, more warnings */
		MUST(problem->line == 0 ? i < 2 : problem->column > 0);
		MUST(i == 0 || problem->line >= unit->problems[i - 1].line);
	}
	MUST(errors <= unit->n_errors);
	MUST((errors == 0) == (unit->n_errors == 0));
	MUST(unit->n_errors == 0 || unit->n_prompts == 0);
	MUST(unit->n_errors > 0 || unit->n_prompts > 0);
}

/* No file costs more than 100 times its bytes, but for a start and for what its aliases bring. */
static void
check_size(const struct unit *unit, size_t length)
{
	size_t bytes = 0;
	for (size_t i = 0; i < unit->n_prompts; i++) {
		const struct prompt *prompt = &unit->prompts[i];
		bytes += prompt->answer_length + strlen(prompt->listing);
		bytes += prompt->n_slots * sizeof(*prompt->slots);
		bytes += prompt->n_variables * sizeof(*prompt->variables);
	}
	MUST(unit->n_prompts <= length);
	MUST(bytes <= 100 * length + 1024 ||
		(!name_is_json_file(unit->path) && bytes <= 8 * (size_t)DOCUMENT_MAX_BYTES));
}

static void
check_snapshot(struct unit *unit)
{
	struct digest *digest = digest_new();
	bool good = unit->n_errors == 0;
	struct change change = {
		.now = {.served = good ? unit : NULL, .faulty = good ? NULL : unit}
        };
	struct snapshot *snapshot = snapshot_new(NULL, &change, 1, NULL, digest);
	MUST(snapshot != NULL);
	MUST(snapshot->n_prompts <= unit->n_prompts);
	MUST((snapshot->n_groups > 0) == good);
	for (size_t i = 0; i < snapshot->n_groups; i++)
		MUST(snapshot_find(snapshot, snapshot->groups[i].entries->prompt->id) ==
			&snapshot->groups[i]);
	snapshot_free(snapshot);
	digest_free(digest);
}

void
fuzz_unit(const char *path, const uint8_t *data, size_t length)
{
	static const struct prompt_rules rules;
	static struct unit_maker *maker;
	if (maker == NULL)
		maker = unit_maker_new(&rules);
	MUST(maker != NULL);
	struct unit *unit = unit_new(maker, path, (const char *)data, length);
	MUST(unit != NULL);
	MUST(strcmp(unit->path, path) == 0);
	check_problems(unit);
	check_size(unit, length);
	for (size_t i = 0; i < unit->n_prompts; i++)
		check_prompt(&unit->prompts[i], unit);
	check_snapshot(unit);
	unit_unref(unit);
}
