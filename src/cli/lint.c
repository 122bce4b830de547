/* lint.c -- what is likely a mistake in prompt files that are served all the same. */
#include "cli/lint.h"

#include <ctype.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/name.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/template.h"
#include "core/text.h"
#include "core/unit.h"
#include "core/yaml.h"

enum { NEAR_FILE_BYTES = 800 * 1024, NEAR_ID_BYTES = 180 };

const struct lint_rule lint_rules[] = {
	{"syntax",               "The text is not YAML or JSON.",
         "Nothing of the file is served. The message says where reading ended; the mistake "
		"is there or "
		"just before."							    },
	{"schema",               "A key is unknown or missing, or a value is not what it has to be.",
         "Nothing of the file is served. promptd-prompts(5) and the README list the keys."},
	{"file",		 "The file cannot be read, or is none.",
         "Look at its mode, its owner and where links lead."                              },
	{"conflict",             "Two files claim the same prompt, version or label.",
         "One of them wins, by its path; delete the other, or give them versions."        },
	{"doubtful",             "A value is served, but perhaps not as it was meant.",
         "The loader itself warns: a name that does not fit is left out, YAML 1.1 reads a "
		"value otherwise, a "
		"model is empty."							 },
	{"unused-variable",      "A variable is declared and stands in no message.",
         "Callers are asked for a value that changes nothing. Use it, or delete its "
		"declaration."							    },
	{"undeclared-variable",  "Braces name a variable that is not declared.",
         "Where a prompt declares variables, all other braces are text, and reach the model "
		"as they are. "
		"Declare it, or correct its name."                                        },
	{"placeholder-in-parts", "A placeholder stands in a list of parts.",
         "LiteLLM's own client fills in plain texts only. Write the message as one text." },
	{"template-logic",       "A text has the logic of another template language.",
         "{% if %}, {{#if}} and the like are not carried out: they reach the model as they "
		"are. Make two prompts, or "
		"two versions."							   },
	{"spaced-placeholder",   "Single braces have spaces in them.",
         "{ name } is text; {name} and {{ name }} are placeholders."                      },
	{"cut-text",             "A text is cut by a comment.",
         "YAML begins a comment at \" #\". Put the text in quotes, or behind |-."         },
	{"secret",               "A text looks like a secret.",
         "Prompts are in git, and served to everyone who may read them. Take it out, and "
		"change it: it is "
		"known now."							      },
	{"no-default",           "No version is served when none is asked for.",
         "Labels are in use for this id, and none of them is a default label. Give one "
		"version the label, such as "
		"production."							     },
	{"stock-id",             "LiteLLM's own client takes the id apart.",
         "It cuts ids at the first .v or _v, so that my_video and my_voice are the same for "
		"it. Rename the prompt, "
		"or use --profile any if you do not register ids with it."                },
	{"near-limit",           "Something is nearly as large as it may be.",
         "A file may have 1 MiB, an id 200 bytes. What is larger is refused."             },
};

const size_t n_lint_rules = sizeof(lint_rules) / sizeof(lint_rules[0]);

const struct lint_rule *
lint_find(const char *id)
{
	for (size_t i = 0; i < n_lint_rules; i++)
		if (strcmp(lint_rules[i].id, id) == 0)
			return &lint_rules[i];
	return NULL;
}

const char *
lint_id_of(const struct problem *problem)
{
	static const char *const ids[N_ERROR_KINDS] = {
		[ERROR_SYNTAX] = "syntax",
		[ERROR_MISSING] = "schema",
		[ERROR_TYPE] = "schema",
		[ERROR_VALUE] = "schema",
		[ERROR_FILE] = "file",
		[ERROR_CONFLICT] = "conflict",
		[ERROR_WARNING] = "doubtful",
	};
	return ids[problem->kind];
}

/* A prompt of a file being looked at. */
struct linting {
	const struct lint *lint;
	const char *path, *data;
	size_t length;
	const struct draft *draft;
};

/* The offset of a place; length where there is none. */
static size_t
offset_of(const struct linting *linting, unsigned line, unsigned column)
{
	const char *at = linting->data, *end = at + linting->length;
	for (; line > 1 && at != NULL && at < end; line--) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at != NULL ? at + 1 : end;
	}
	for (; column > 1 && at < end; column--)
		at += text_utf8_length(at, (size_t)(end - at)) > 0
			      ? text_utf8_length(at, (size_t)(end - at))
			      : 1;
	return (size_t)(at - linting->data);
}

/* Tell of something about a value: at the words in it, if they are found behind its beginning. */
static void
tell(const struct linting *linting, const char *id, const struct value *value, const char *words,
	size_t words_length, const char *message)
{
	struct problem problem = {.path = linting->path,
		.line = value->line,
		.column = value->column,
		.kind = ERROR_WARNING,
		.message = message};
	size_t offset = offset_of(linting, value->line, value->column);
	const char *found = words == NULL ? NULL
					  : memmem(linting->data + offset, linting->length - offset,
						    words, words_length);
	if (found != NULL)
		text_place(linting->data, (size_t)(found - linting->data), &problem.line,
			&problem.column);
	if (message != NULL)
		linting->lint->on_finding(linting->lint->context, id, &problem);
}

static bool
is_declared(const struct draft *draft, const char *name, size_t length)
{
	for (const struct value *variable = draft->variables != NULL ? draft->variables->first
								     : NULL;
		variable != NULL; variable = variable->next)
		if (strlen(variable->key) == length && memcmp(variable->key, name, length) == 0)
			return true;
	return false;
}

typedef void on_text(
	const struct linting *, const struct value *text, bool in_parts, void *context);

/* Call for each text of the messages. */
static void
each_text(const struct linting *linting, on_text *call, void *context)
{
	const struct value *messages = linting->draft->messages;
	if (messages->kind == VALUE_STRING) {
		call(linting, messages, false, context);
		return;
	}
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *content = document_find(message, "content");
		if (content != NULL && content->kind == VALUE_STRING)
			call(linting, content, false, context);
		else if (content != NULL && content->kind == VALUE_LIST)
			for (const struct value *part = content->first; part != NULL;
				part = part->next) {
				const struct value *text = document_find(part, "text");
				if (text != NULL && text->kind == VALUE_STRING)
					call(linting, text, true, context);
			}
	}
}

/* A variable that is looked for. */
struct search {
	const char *name;
	bool found;
};

static void
find_variable(const struct linting *linting, const struct value *text, bool in_parts, void *context)
{
	struct search *search = context;
	struct placeholder place;
	size_t cursor = 0, length = strlen(text->text);
	(void)linting;
	(void)in_parts;
	while (template_next(text->text, length, &cursor, &place))
		search->found |= strlen(search->name) == place.name_length &&
				 memcmp(search->name, place.name, place.name_length) == 0;
}

static void
check_unused(const struct linting *linting)
{
	const struct value *variables = linting->draft->variables;
	for (const struct value *variable = variables != NULL ? variables->first : NULL;
		variable != NULL; variable = variable->next) {
		struct search search = {.name = variable->key};
		struct value place = *variable;
		struct quote quote;
		each_text(linting, find_variable, &search);
		place.line = variable->key_line;
		place.column = variable->key_column;
		if (!search.found)
			tell(linting, "unused-variable", &place, NULL, 0,
				arena_printf(linting->lint->arena,
					"the variable %s is declared and stands in no message: use "
					"it, or "
					"delete it",
					text_quote(&quote, variable->key)));
	}
}

/* Say what the placeholders of a text come to. */
static void
check_placeholders(
	const struct linting *linting, const struct value *text, bool in_parts, void *none)
{
	struct arena *arena = linting->lint->arena;
	struct placeholder place;
	size_t cursor = 0, length = strlen(text->text);
	(void)none;
	while (template_next(text->text, length, &cursor, &place)) {
		const char *shown = text->text + place.offset;
		int shown_length = (int)(place.length < 60 ? place.length : 60);
		bool is_variable = linting->draft->variables == NULL ||
				   is_declared(linting->draft, place.name, place.name_length);
		if (!is_variable)
			tell(linting, "undeclared-variable", text, shown, place.length,
				arena_printf(arena,
					"%.*s is not declared, so it stays as it is: declare it, "
					"or "
					"correct its name",
					shown_length, shown));
		else if (in_parts)
			tell(linting, "placeholder-in-parts", text, shown, place.length,
				arena_printf(arena,
					"LiteLLM's own client does not fill in %.*s in a list of "
					"parts: "
					"write the message as one text",
					shown_length, shown));
	}
}

static void
check_logic(const struct linting *linting, const struct value *text, bool in_parts, void *none)
{
	static const char *const signs[] = {"{%", "{{#", "{{/", "{{^", "{{>"};
	(void)in_parts;
	(void)none;
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (strstr(text->text, signs[i]) == NULL)
			continue;
		tell(linting, "template-logic", text, signs[i], strlen(signs[i]),
			arena_printf(linting->lint->arena,
				"%s is the logic of another template language and stays as it is: "
				"make "
				"two prompts of it",
				signs[i]));
		return;
	}
}

/* Single braces with a name and spaces: { name }. */
static void
check_spaces(const struct linting *linting, const struct value *text, bool in_parts, void *none)
{
	(void)in_parts;
	(void)none;
	for (const char *brace = text->text; (brace = strchr(brace, '{')) != NULL; brace++) {
		size_t spaces = strspn(brace + 1, " ");
		const char *name = brace + 1 + spaces;
		size_t length = strcspn(name, " {}\",:\n");
		const char *end = name + length + strspn(name + length, " ");
		bool is_double = brace > text->text && brace[-1] == '{';
		bool is_spaced = spaces > 0 || end > name + length;
		if (is_double || !is_spaced || *end != '}' || length == 0 || length > 60)
			continue;
		char *copy = arena_copy(linting->lint->arena, name, length);
		bool is_meant = copy != NULL && template_is_name(copy) &&
				(linting->draft->variables == NULL ||
					is_declared(linting->draft, name, length));
		if (is_meant)
			tell(linting, "spaced-placeholder", text, brace, (size_t)(end + 1 - brace),
				arena_printf(linting->lint->arena,
					"%.*s is text, not a placeholder: write {%s}",
					(int)(end + 1 - brace), brace, copy));
	}
}

/* A plain text behind which a comment begins on the same line. */
static void
check_cut(const struct linting *linting, const struct value *text)
{
	size_t offset = offset_of(linting, text->line, text->column);
	size_t length = strlen(text->source);
	const char *rest = linting->data + offset + length;
	bool is_plain = offset + length < linting->length &&
			memcmp(linting->data + offset, text->source, length) == 0 &&
			strchr("\"'|>", *text->source) == NULL;
	if (!is_plain || *rest != ' ')
		return;
	size_t left = linting->length - offset - length, spaces = 0;
	while (spaces < left && rest[spaces] == ' ')
		spaces++;
	if (spaces < left && rest[spaces] == '#')
		tell(linting, "cut-text", text, rest, spaces + 1,
			"the text ends here: \" #\" begins a comment. Quote it, or write it behind "
			"|-");
}

static void
check_cut_text(const struct linting *linting, const struct value *text, bool in_parts, void *none)
{
	(void)in_parts;
	(void)none;
	if (text->source != NULL && *text->source != '\0' && !name_is_json_file(linting->path))
		check_cut(linting, text);
}

/* How well-known secrets begin, and how many letters, digits, - and _ they have behind that at least. */
static const struct {
	const char *start;
	size_t least;
} secrets[] = {
	{"sk-",			     20},
	{"ghp_",			    30},
	{"github_pat_",                     30},
	{"glpat-",			  20},
	{"xoxb-",			   20},
	{"AKIA",			    16},
	{"AIza",			    30},
	{"hf_",			     30},
	{"pd_",			     43},
	{"-----BEGIN PRIVATE KEY-----",     0 },
	{"-----BEGIN RSA PRIVATE KEY-----", 0 },
};

static size_t
secret_span(const char *text)
{
	size_t length = 0;
	while (isalnum((unsigned char)text[length]) ||
		(text[length] != '\0' && strchr("-_", text[length])))
		length++;
	return length;
}

static void
check_secrets(const struct linting *linting, const struct value *text, bool in_parts, void *none)
{
	(void)in_parts;
	(void)none;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const char *start = secrets[i].start;
		for (const char *at = text->text; (at = strstr(at, start)) != NULL; at++) {
			bool is_word = at > text->text && isalnum((unsigned char)at[-1]);
			if (is_word || secret_span(at + strlen(start)) < secrets[i].least)
				continue;
			tell(linting, "secret", text, at, strlen(start),
				"this looks like a secret: take it out, and change it, as it is "
				"known now");
			return;
		}
	}
}

static void
check_id(const struct linting *linting, const struct value *map)
{
	const char *id = linting->draft->id;
	const struct value *given = document_find(map, "prompt_id");
	const struct value *place = given != NULL ? given : map;
	struct quote quote;
	if (linting->lint->stock && (strstr(id, "_v") != NULL || strstr(id, ".v") != NULL))
		tell(linting, "stock-id", place, NULL, 0,
			arena_printf(linting->lint->arena,
				"LiteLLM's own client cuts the id %s at its first .v or _v: rename "
				"the "
				"prompt",
				text_quote(&quote, id)));
	if (strlen(id) > NEAR_ID_BYTES)
		tell(linting, "near-limit", place, NULL, 0,
			arena_printf(linting->lint->arena, "the id has %zu of at most 200 bytes",
				strlen(id)));
}

static void
check_prompt(const struct linting *linting, const struct value *map)
{
	static on_text *const checks[] = {
		check_placeholders, check_logic, check_spaces, check_cut_text, check_secrets};
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		each_text(linting, checks[i], NULL);
	check_unused(linting);
	check_id(linting, map);
}

void
lint_file(const struct lint *lint, const char *path, const char *data, size_t length,
	const struct prompt_rules *rules)
{
	struct errors errors = {.arena = lint->arena};
	struct document document = {.arena = lint->arena, .errors = &errors};
	struct path_names names;
	struct draft draft;
	struct linting linting = {lint, path, data, length, &draft};
	int result = name_is_json_file(path) ? json_parse(&document, data, length)
					     : yaml_parse(&document, data, length);
	if (result != 0 || errors.count > 0 || name_from_path(lint->arena, path, &names) != 0)
		return;
	if (length > NEAR_FILE_BYTES)
		tell(&linting, "near-limit", document.first, NULL, 0,
			arena_printf(lint->arena, "the file has %zu KiB of at most 1024: split it",
				length / 1024));
	for (const struct value *root = document.first; root != NULL; root = root->next) {
		bool is_list = root->kind == VALUE_LIST;
		for (const struct value *map = is_list ? root->first : root; map != NULL;
			map = is_list ? map->next : NULL)
			if (prompt_parse(map, &names, rules, &errors, &draft) == 0)
				check_prompt(&linting, map);
	}
}

void
lint_snapshot(
	const struct lint *lint, const struct snapshot *snapshot, const char *const *default_labels)
{
	struct selector nothing = {.default_labels = default_labels};
	for (size_t i = 0; i < snapshot->n_groups; i++) {
		const struct group *group = &snapshot->groups[i];
		const struct prompt *prompt = group->entries->prompt;
		const struct entry *entry;
		struct quote quote;
		if (select_version(group, &nothing, &entry) != SELECTION_NO_DEFAULT)
			continue;
		struct problem problem = {.path = prompt->unit->path,
			.line = prompt->line,
			.column = prompt->column,
			.kind = ERROR_WARNING,
			.message = arena_printf(lint->arena,
				"no version of %s is served when none is asked for: give one the "
				"label %s",
				text_quote(&quote, prompt->id), default_labels[0])};
		if (problem.message != NULL)
			lint->on_finding(lint->context, "no-default", &problem);
	}
}

bool
lint_is_ignored(const char *data, size_t length, const char *id)
{
	static const char words[] = "# promptd: ignore ";
	const char *at = data, *end = data + length;
	while ((at = memmem(at, (size_t)(end - at), words, sizeof(words) - 1)) != NULL) {
		at += sizeof(words) - 1;
		while (at < end && *at != '\n') {
			size_t span = 0;
			while (at + span < end && strchr(" ,\r\n", at[span]) == NULL)
				span++;
			if (span == strlen(id) && memcmp(at, id, span) == 0)
				return true;
			at += span > 0 ? span : 1;
		}
	}
	return false;
}
