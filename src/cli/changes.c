/* changes.c -- what changes for those who ask, between two sets of prompts. */
#include "cli/changes.h"

#include <string.h>

#include "cli/lines.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/conflict.h"
#include "core/diff.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/unit.h"

/* Behind the @ stands a selector, NULL for none. */
static struct change_of_prompt *
add_change(struct changes *changes, enum change_kind kind, const char *id, const char *selector)
{
	struct change_of_prompt *change = arena_alloc(changes->arena, sizeof(*change));
	if (change == NULL)
		return NULL;
	*change = (struct change_of_prompt){.kind = kind,
		.name = arena_printf(changes->arena, "%s%s%s", id, selector != NULL ? "@" : "",
			selector != NULL ? selector : ""),
		.diff = ""};
	change->last = &change->first;
	*changes->last = change;
	changes->last = &change->next;
	changes->counts[kind]++;
	return change;
}

static void
add_breaking(struct changes *changes, struct change_of_prompt *change, const char *why)
{
	change->breaking = change->breaking == NULL
				   ? why
				   : arena_printf(changes->arena, "%s; %s", change->breaking, why);
	changes->breaking = true;
}

static bool
is_needed(const struct prompt *prompt, const char *name)
{
	for (size_t i = 0; i < prompt->n_variables; i++)
		if (strcmp(prompt->variables[i].name, name) == 0)
			return prompt->variables[i].required &&
			       prompt->variables[i].fallback == NULL;
	return false;
}

/* Whoever fills in the values of before lacks those that are needed now. */
static void
check_variables(struct changes *changes, struct change_of_prompt *change,
	const struct prompt *before, const struct prompt *now)
{
	const char *names = NULL;
	for (size_t i = 0; i < now->n_variables; i++) {
		const char *name = now->variables[i].name;
		if (!is_needed(now, name) || is_needed(before, name))
			continue;
		names = names == NULL ? name : arena_printf(changes->arena, "%s, %s", names, name);
	}
	if (names != NULL)
		add_breaking(changes, change,
			arena_printf(changes->arena, "callers must give %s now", names));
}

/* A prompt whole, as JSON; NULL when memory is out. */
static const struct value *
parse_prompt(struct arena *arena, const struct prompt *prompt)
{
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	const char *text = arena_printf(
		arena, "%.*s,%s}", (int)prompt->answer_length - 1, prompt->answer, prompt->detail);
	if (text == NULL || json_parse(&document, text, strlen(text)) != 0)
		return NULL;
	return document.first;
}

/* A value's text as people write it, in the arena; NULL for an absent one. */
static const char *
shown(struct arena *arena, const struct value *value)
{
	struct buffer text = {0};
	if (value == NULL || value->kind == VALUE_NULL)
		return NULL;
	if (value->kind == VALUE_STRING)
		return value->text;
	json_put_value(&text, value);
	const char *copy = text.failed ? NULL : arena_copy(arena, text.data, text.length);
	buffer_finish(&text);
	return copy != NULL ? copy : "";
}

static const char *
shown_labels(struct arena *arena, const struct entry *entry)
{
	const char *all = NULL;
	for (size_t i = 0; i < entry->n_labels; i++)
		all = i == 0 ? entry->labels[i]
			     : arena_printf(arena, "%s, %s", all, entry->labels[i]);
	return all;
}

static bool
add_field(struct changes *changes, struct change_of_prompt *change, const char *name,
	const char *before, const char *now)
{
	struct changed_field *field = NULL;
	bool same = before == NULL || now == NULL ? before == now : strcmp(before, now) == 0;
	if (!same)
		field = arena_alloc(changes->arena, sizeof(*field));
	if (field == NULL)
		return false;
	*field = (struct changed_field){.name = name, .before = before, .now = now};
	*change->last = field;
	change->last = &field->next;
	return true;
}

/* The messages as lines: a role in brackets, and what follows. */
static const char *
lines_of(struct arena *arena, const struct value *messages)
{
	struct buffer text = {0};
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *content = document_find(message, "content");
		const char *role = shown(arena, document_find(message, "role"));
		bool plain =
			content != NULL && content->kind == VALUE_STRING && message->count == 2;
		const char *rest = shown(arena, plain ? content : message);
		buffer_printf(
			&text, "[%s]\n%s\n", role != NULL ? role : "", rest != NULL ? rest : "");
	}
	const char *copy = text.failed ? NULL : arena_copy(arena, text.data, text.length);
	buffer_finish(&text);
	return copy != NULL ? copy : "";
}

static void
compare_fields(struct changes *changes, struct change_of_prompt *change, const struct entry *before,
	const struct entry *now)
{
	static const struct {
		const char *key, *name;
		bool is_selector; /* requests name it, and must name the prompt's own */
	} fields[] = {
		{"prompt_template_model",           "model",       false},
		{"prompt_template_optional_params", "parameters",  false},
		{"variables",                       "variables",   false},
		{"project_name",                    "project",     true },
		{"slug",			    "slug",        true },
		{"description",                     "description", false},
		{"metadata",                        "metadata",    false},
	};
	struct arena *arena = changes->arena;
	const struct value *old = parse_prompt(arena, before->prompt);
	const struct value *new = parse_prompt(arena, now->prompt);
	struct buffer diff = {0};
	if (old == NULL || new == NULL)
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *was = shown(arena, document_find(old, fields[i].key));
		bool differs = add_field(changes, change, fields[i].name, was,
			shown(arena, document_find(new, fields[i].key)));
		if (differs && fields[i].is_selector)
			add_breaking(changes, change,
				was != NULL ? arena_printf(arena,
						      "whoever asks with the %s %s gets a 404",
						      fields[i].name, was)
					    : arena_printf(arena,
						      "whoever asks with another %s gets a 404",
						      fields[i].name));
	}
	add_field(changes, change, "labels", shown_labels(arena, before), shown_labels(arena, now));
	lines_put_diff(&diff, lines_of(arena, document_find(old, "prompt_template")),
		lines_of(arena, document_find(new, "prompt_template")));
	if (!diff.failed && diff.length > 0)
		change->diff = arena_copy(arena, diff.data, diff.length);
	buffer_finish(&diff);
}

static const struct entry *
default_of(const struct changes *changes, const struct group *group)
{
	const struct selector nothing = {.default_labels = changes->default_labels};
	const struct entry *entry;
	return select_version(group, &nothing, &entry) == SELECTION_FOUND ? entry : NULL;
}

/* A version that a label points to, or that is served when none is asked for, is what people rely on. */
static void
check_published(struct changes *changes, struct change_of_prompt *change,
	const struct entry *before, const struct entry *now)
{
	const struct prompt *prompt = before->prompt;
	if (strcmp(prompt->etag, now->prompt->etag) == 0 || prompt->version == NULL)
		return;
	if (before->n_labels > 0)
		change->published = shown_labels(changes->arena, before);
	else if (default_of(changes, snapshot_find(changes->before, prompt->id)) == before)
		change->published = "the default";
}

/* Whether somebody can have asked for a version that is gone: one without a number has no name, and whoever got it by
 * asking for none gets another one now. */
static bool
is_missed(const struct changes *changes, const struct prompt *prompt)
{
	return prompt->version != NULL || snapshot_find(changes->now, prompt->id) == NULL;
}

static void
on_prompt(void *context, const struct entry *before, const struct entry *now)
{
	struct changes *changes = context;
	struct change_of_prompt *change;
	if (before == NULL) {
		add_change(changes, PROMPT_ADDED, now->prompt->id, now->prompt->version);
	} else if (now == NULL) {
		change = add_change(
			changes, PROMPT_REMOVED, before->prompt->id, before->prompt->version);
		if (change != NULL && is_missed(changes, before->prompt))
			add_breaking(changes, change, "whoever asks for it gets a 404");
	} else if ((change = add_change(changes, PROMPT_CHANGED, now->prompt->id,
			    now->prompt->version)) != NULL) {
		compare_fields(changes, change, before, now);
		check_published(changes, change, before, now);
		check_variables(changes, change, before->prompt, now->prompt);
	}
}

static bool
is_same_version(const struct entry *a, const struct entry *b)
{
	const char *x = a->prompt->version, *y = b->prompt->version;
	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

static const char *
version_of(const struct entry *entry)
{
	const char *version = entry != NULL ? entry->prompt->version : "no version";
	return version != NULL ? version : "unversioned";
}

/* Tell that a label, or NULL for none, leads to another version than before, or to none. */
static void
tell_move(struct changes *changes, const char *label, const struct entry *before,
	const struct entry *now)
{
	struct change_of_prompt *change = add_change(
		changes, label != NULL ? LABEL_MOVED : DEFAULT_MOVED, before->prompt->id, label);
	if (change == NULL)
		return;
	add_field(changes, change, "version", version_of(before), version_of(now));
	if (now != NULL)
		check_variables(changes, change, before->prompt, now->prompt);
	else
		add_breaking(changes, change,
			label != NULL ? "whoever asks for it gets a 404"
				      : "whoever asks without a version gets a 404");
}

static bool
has_moved(const struct entry *before, const struct entry *now)
{
	return before != NULL && (now == NULL || !is_same_version(before, now));
}

/* What is served when no version is asked for, and under each label. A label that moved like the default is
 * not worth a word of its own. */
static void
compare_selectors(struct changes *changes, const struct group *old, const struct group *new)
{
	const struct entry *before = default_of(changes, old);
	const struct entry *now = default_of(changes, new);
	bool default_moved = has_moved(before, now);
	if (default_moved)
		tell_move(changes, NULL, before, now);
	for (size_t i = 0; i < old->count; i++)
		for (size_t k = 0; k < old->entries[i].n_labels; k++) {
			const char *label = old->entries[i].labels[k];
			const struct entry *target = select_label(new, label);
			bool is_like_default =
				default_moved && before == &old->entries[i] && target == now;
			if (has_moved(&old->entries[i], target) && !is_like_default)
				tell_move(changes, label, &old->entries[i], target);
		}
}

/* A slug that led to one id, of a project or of all, and leads to several now. */
static bool
is_shared(const struct changes *changes, const char *slug, const char *project)
{
	const struct group *group;
	return select_slug(changes->before, slug, project, NULL, &group) == 1 &&
	       select_slug(changes->now, slug, project, NULL, &group) > 1;
}

static void
compare_slugs(struct changes *changes)
{
	const struct snapshot *before = changes->before;
	const char *told = NULL;
	for (size_t i = 0; i < before->n_slugs; i++) {
		const struct prompt *prompt = before->by_slug[i].prompt;
		bool shared = is_shared(changes, prompt->slug, NULL) ||
			      (prompt->project != NULL &&
				      is_shared(changes, prompt->slug, prompt->project));
		if (!shared || (told != NULL && strcmp(told, prompt->slug) == 0))
			continue;
		struct change_of_prompt *change =
			add_change(changes, SLUG_SHARED, prompt->slug, NULL);
		if (change != NULL)
			add_breaking(changes, change, "whoever asks by it gets a 409");
		told = prompt->slug;
	}
}

int
changes_find(struct changes *changes)
{
	const struct snapshot *before = changes->before;
	changes->last = &changes->first;
	diff_prompts(before, changes->now, on_prompt, changes);
	for (size_t i = 0; i < before->n_groups; i++) {
		const struct group *old = &before->groups[i];
		const struct group *new = snapshot_find(changes->now, old->entries->prompt->id);
		if (new != NULL)
			compare_selectors(changes, old, new);
	}
	compare_slugs(changes);
	return arena_failed(changes->arena) ? -1 : 0;
}
