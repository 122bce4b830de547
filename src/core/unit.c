/* unit.c -- what one file yields: its prompts, rendered, or its errors. */
#include "core/unit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/lint.h"
#include "core/meter.h"
#include "core/name.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/render.h"
#include "core/text.h"
#include "core/yaml.h"

struct unit_maker {
	const struct prompt_rules *rules;
	struct arena *arena;
	struct digest *digest;
	struct unit unit; /* made last; its parts lie in the arena */
};

/* The one allocation: the unit first, so that a pointer to it is one to this. */
struct block {
	struct unit unit;
	atomic_uint references;
	_Alignas(max_align_t) char data[];
};

/* A unit is packed twice by the same code: first with no base, to learn its size, then for good. */
struct pack {
	char *base;
	size_t used;
};

struct unit_maker *
unit_maker_new(const struct prompt_rules *rules)
{
	struct unit_maker *maker = calloc(1, sizeof(*maker));
	if (maker == NULL)
		return NULL;
	maker->rules = rules;
	maker->arena = arena_new();
	maker->digest = digest_new();
	if (maker->arena != NULL && maker->digest != NULL)
		return maker;
	unit_maker_free(maker);
	return NULL;
}

void
unit_maker_free(struct unit_maker *maker)
{
	if (maker == NULL)
		return;
	arena_free(maker->arena);
	digest_free(maker->digest);
	free(maker);
}

/* Copy bytes into the block; NULL while only measuring. */
static void *
pack_bytes(struct pack *pack, const void *data, size_t length, size_t alignment)
{
	size_t at = (pack->used + alignment - 1) / alignment * alignment;
	pack->used = at + length;
	if (pack->base == NULL)
		return NULL;
	if (length > 0)
		memcpy(pack->base + at, data, length);
	return pack->base + at;
}

static const char *
pack_text(struct pack *pack, const char *text)
{
	return text == NULL ? NULL : pack_bytes(pack, text, strlen(text) + 1, 1);
}

#define PACK_ARRAY(pack, array, count) \
	pack_bytes((pack), (array), (count) * sizeof(*(array)), __alignof__(*(array)))

static const char *const *
pack_texts(struct pack *pack, const char *const *texts, size_t count)
{
	const char **copies = PACK_ARRAY(pack, texts, count);
	for (size_t i = 0; i < count; i++) {
		const char *copy = pack_text(pack, texts[i]);
		if (copies != NULL)
			copies[i] = copy;
	}
	return copies;
}

static const struct variable *
pack_variables(struct pack *pack, const struct variable *variables, size_t count)
{
	struct variable *copies = PACK_ARRAY(pack, variables, count);
	for (size_t i = 0; i < count; i++) {
		struct variable copy = variables[i];
		copy.name = pack_text(pack, copy.name);
		copy.fallback = pack_text(pack, copy.fallback);
		if (copies != NULL)
			copies[i] = copy;
	}
	return copies;
}

static struct prompt
pack_prompt(struct pack *pack, const struct prompt *prompt, const struct unit *unit)
{
	struct prompt copy = *prompt;
	copy.unit = unit;
	copy.id = pack_text(pack, prompt->id);
	copy.version = pack_text(pack, prompt->version);
	copy.project = pack_text(pack, prompt->project);
	copy.slug = pack_text(pack, prompt->slug);
	copy.labels = pack_texts(pack, prompt->labels, prompt->n_labels);
	copy.label_places = PACK_ARRAY(pack, prompt->label_places, prompt->n_labels);
	copy.answer = pack_text(pack, prompt->answer);
	copy.slots = PACK_ARRAY(pack, prompt->slots, prompt->n_slots);
	copy.variables = pack_variables(pack, prompt->variables, prompt->n_variables);
	copy.listing = pack_text(pack, prompt->listing);
	if (copy.listing != NULL)
		copy.detail = copy.listing + (prompt->detail - prompt->listing);
	return copy;
}

static const struct prompt *
pack_prompts(struct pack *pack, const struct unit *from, const struct unit *unit)
{
	struct prompt *copies = PACK_ARRAY(pack, from->prompts, from->n_prompts);
	for (size_t i = 0; i < from->n_prompts; i++) {
		struct prompt copy = pack_prompt(pack, &from->prompts[i], unit);
		if (copies != NULL)
			copies[i] = copy;
	}
	return copies;
}

static const struct problem *
pack_problems(struct pack *pack, const struct unit *from, const char *path)
{
	struct problem *copies = PACK_ARRAY(pack, from->problems, from->n_problems);
	for (size_t i = 0; i < from->n_problems; i++) {
		struct problem copy = from->problems[i];
		copy.path = path;
		copy.message = pack_text(pack, copy.message);
		if (copies != NULL)
			copies[i] = copy;
	}
	return copies;
}

static struct unit
pack_unit(struct pack *pack, const struct unit *from, const struct unit *unit)
{
	struct unit copy = *from;
	copy.path = pack_text(pack, from->path);
	copy.prompts = pack_prompts(pack, from, unit);
	copy.problems = pack_problems(pack, from, copy.path);
	return copy;
}

/* Copy a unit into one allocation of its exact size. */
static struct unit *
copy_unit(const struct unit *from)
{
	struct pack pack = {0};
	pack_unit(&pack, from, NULL);
	struct block *block = malloc(sizeof(*block) + pack.used);
	if (block == NULL)
		return NULL;
	pack = (struct pack){.base = block->data};
	block->unit = pack_unit(&pack, from, &block->unit);
	atomic_init(&block->references, 1);
	return &block->unit;
}

static struct problem
problem_from(const char *path, const struct error *error)
{
	return (struct problem){path, error->line, error->column, error->kind, error->rule,
		error->message, error->advice};
}

/* Say how many errors, or warnings, were too many to keep. */
static void
add_rest(struct arena *arena, enum error_kind kind, size_t count, size_t kept, struct unit *unit,
	struct problem *problems)
{
	struct problem what = {.path = unit->path,
		.kind = kind,
		.rule = kind == ERROR_WARNING ? RULE_DOUBTFUL : RULE_SCHEMA};
	if (count > kept)
		problems[unit->n_problems++] = problem_of(arena, &what,
			"%zu %s, of which these are the first %zu\nmend these first", count,
			kind == ERROR_WARNING ? "warnings" : "errors", kept);
}

/* Drop warnings that say the same of the same place, as of an anchor's text for each alias. */
static void
drop_repeated(struct unit *unit, struct problem *problems)
{
	size_t kept = 0;
	for (size_t i = 0; i < unit->n_problems; i++) {
		const struct problem *last = kept > 0 ? &problems[kept - 1] : NULL;
		if (last == NULL || problems[i].kind != ERROR_WARNING ||
			problems[i].rule != last->rule || problem_compare(&problems[i], last) != 0)
			problems[kept++] = problems[i];
	}
	unit->n_problems = kept;
}

/* List the errors as the unit's problems; with an error there are no prompts. */
static int
take_errors(struct arena *arena, const struct errors *errors, struct unit *unit)
{
	size_t count = 0, kept = 0;
	for (const struct error *error = errors->first; error != NULL; error = error->next)
		count++;
	struct problem *problems = arena_array(arena, count + 2, sizeof(*problems));
	if (problems == NULL)
		return -1;
	for (const struct error *error = errors->first; error != NULL; error = error->next) {
		kept += error->kind != ERROR_WARNING;
		problems[unit->n_problems++] = problem_from(unit->path, error);
	}
	add_rest(arena, ERROR_VALUE, errors->count, kept, unit, problems);
	add_rest(arena, ERROR_WARNING, errors->warnings, count - kept, unit, problems);
	if (unit->n_problems > 0)
		qsort(problems, unit->n_problems, sizeof(*problems), problem_compare);
	drop_repeated(unit, problems);
	unit->problems = problems;
	unit->n_errors = errors->count;
	if (unit->n_errors > 0)
		unit->n_prompts = 0;
	return arena_failed(arena) ? -1 : 0;
}

static int
add_prompt(struct unit_maker *maker, const struct value *value, const struct path_names *names,
	const struct lint_text *text, struct errors *errors, struct prompt *prompts,
	struct unit *unit)
{
	struct draft draft;
	if (prompt_parse(value, names, maker->rules, errors, &draft) != 0)
		return arena_failed(maker->arena) ? -1 : 0;
	lint_prompt(text, value, &draft, errors);
	return render_prompt(&draft, maker->arena, maker->digest, &prompts[unit->n_prompts++]);
}

/* Each document is a prompt or a list of prompts. */
static int
add_prompts(struct unit_maker *maker, const struct document *document, const struct lint_text *text,
	struct unit *unit)
{
	struct path_names names;
	size_t most = 0;
	for (const struct value *root = document->first; root != NULL; root = root->next)
		most += root->kind == VALUE_LIST ? root->count : 1;
	struct prompt *prompts = arena_array(maker->arena, most, sizeof(*prompts));
	if (prompts == NULL || name_from_path(maker->arena, unit->path, &names) != 0)
		return -1;
	unit->prompts = prompts;
	for (const struct value *root = document->first; root != NULL; root = root->next) {
		bool is_list = root->kind == VALUE_LIST;
		if (is_list && root->first == NULL)
			errors_add(document->errors, ERROR_VALUE, root->line, root->column,
				"a list without a prompt\ndelete the file, or write a prompt");
		for (const struct value *value = is_list ? root->first : root; value != NULL;
			value = is_list ? value->next : NULL)
			if (add_prompt(maker, value, &names, text, document->errors, prompts,
				    unit) != 0)
				return -1;
	}
	return 0;
}

int
unit_make(struct unit_maker *maker, const char *path, const char *data, size_t length)
{
	arena_reset(maker->arena);
	bool is_json = name_is_json_file(path);
	size_t skipped = is_json ? 0 : text_mark_length(data, length); /* takes up no column */
	const struct lint_text text = {data + skipped, length - skipped, is_json};
	struct errors errors = {.arena = maker->arena,
		.ignored = maker->rules->ignored | (is_json ? 0 : rule_ignored_in(data, length))};
	struct document document = {.arena = maker->arena, .errors = &errors};
	struct unit *unit = &maker->unit;
	*unit = (struct unit){.path = path, .ignored = errors.ignored};
	lint_file(&text, &errors);
	int result =
		is_json ? json_parse(&document, data, length) : yaml_parse(&document, data, length);
	if (arena_failed(maker->arena) || (result != 0 && errors.count == 0))
		return -1;
	if (result == 0 && document.first == NULL)
		errors_add(&errors, ERROR_SYNTAX, 1, 1,
			"the file holds no prompt\ndelete it, or write one");
	if (add_prompts(maker, &document, &text, unit) != 0 ||
		take_errors(maker->arena, &errors, unit) != 0)
		return -1;
	return 0;
}

struct unit *
unit_seal(struct unit_maker *maker)
{
	struct unit *unit = copy_unit(&maker->unit);
	arena_reset(maker->arena);
	return unit;
}

struct unit *
unit_new(struct unit_maker *maker, const char *path, const char *data, size_t length)
{
	return unit_make(maker, path, data, length) == 0 ? unit_seal(maker) : NULL;
}

struct unit *
unit_new_failed(const char *path, const struct error *error)
{
	struct problem problem = problem_from(path, error);
	struct unit unit = {.path = path, .problems = &problem, .n_problems = 1, .n_errors = 1};
	problem.kind = ERROR_FILE;
	problem.rule = RULE_FILE;
	return copy_unit(&unit);
}

static struct block *
block_of(const struct unit *unit)
{
	return (struct block *)(uintptr_t)unit;
}

struct unit *
unit_ref(const struct unit *unit)
{
	struct block *block = block_of(unit);
	atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
	return &block->unit;
}

void
unit_unref(const struct unit *unit)
{
	if (unit == NULL)
		return;
	struct block *block = block_of(unit);
	if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < unit->n_prompts; i++)
		meter_unref(unit->prompts[i].meter);
	free(block);
}
