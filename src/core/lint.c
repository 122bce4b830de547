/* lint.c -- what is likely a mistake in prompt files that are served all the same. */
#include "core/lint.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/origin.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/secrets.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/template.h"
#include "core/text.h"
#include "core/unit.h"

enum {
	NEAR_FILE_BYTES = 800 * 1024,
	NEAR_ID_BYTES = 180,
	MAX_NAME = 60, /* that is shown */
};

/* A prompt being looked at. */
struct linting {
	const struct lint_text *text;
	const struct draft *draft;
	struct errors *errors;
	const struct value **declared; /* its variables by name; NULL where it declares none */
	bool *used; /* which of these stand in a message */
	size_t n_declared;
};

static struct place
place_of(const struct value *value)
{
	return (struct place){value->line, value->column};
}

static struct place
place_at(const struct linting *linting, size_t offset)
{
	struct place place;
	text_place(linting->text->data, offset, &place.line, &place.column);
	return place;
}

/* Where what is at an offset in a value's text stands in the file. */
static struct place
place_in(const struct linting *linting, const struct value *value, size_t offset)
{
	return place_at(linting, origin_of(linting->text->data, value, offset));
}

/* Places are looked for only where a warning is kept. */
#define WARN(linting, rule, where, ...) \
	do { \
		struct place place_ = {0}; \
		if (!errors_want((linting)->errors, (rule))) \
			break; \
		if (errors_keep((linting)->errors, ERROR_WARNING)) \
			place_ = (where); \
		errors_warn((linting)->errors, (rule), place_.line, place_.column, __VA_ARGS__); \
	} while (0)

/* A name that is looked for among the variables. */
struct name {
	const char *text;
	size_t length;
};

static int
compare_name(const void *wanted, const void *variable)
{
	const struct name *name = wanted;
	const char *key = (*(const struct value *const *)variable)->key;
	int order = strncmp(name->text, key, name->length);
	return order != 0 ? order : -(int)(key[name->length] != '\0');
}

/* The declaration of a variable; NULL where there is none. */
static const struct value **
find_declared(const struct linting *linting, const char *text, size_t length)
{
	const struct name name = {text, length};
	return linting->n_declared == 0 ? NULL
					: bsearch(&name, linting->declared, linting->n_declared,
						  sizeof(const struct value *), compare_name);
}

/* Whether a name in braces is a placeholder's; if so it is used. */
static bool
is_variable(struct linting *linting, const char *text, size_t length)
{
	const struct value **found = find_declared(linting, text, length);
	if (found != NULL)
		linting->used[found - linting->declared] = true;
	return found != NULL || linting->draft->variables == NULL;
}

typedef void on_text(struct linting *, const struct value *text, bool in_parts);

/* Call for each text of the messages. */
static void
each_text(struct linting *linting, on_text *call)
{
	const struct value *messages = linting->draft->messages;
	if (messages->kind == VALUE_STRING) {
		call(linting, messages, false);
		return;
	}
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *content = document_find(message, "content");
		if (content != NULL && content->kind == VALUE_STRING)
			call(linting, content, false);
		else if (content != NULL && content->kind == VALUE_LIST)
			for (const struct value *part = content->first; part != NULL;
				part = part->next) {
				const struct value *text = document_find(part, "text");
				if (text != NULL && text->kind == VALUE_STRING)
					call(linting, text, true);
			}
	}
}

/* Whether braces are no part of a word or of code, as in /users/{id}, \frac{a}{b} or ${HOME}. */
static bool
stands_free(const char *text, size_t offset)
{
	return offset == 0 || strchr(" \t\n\"'([,:;-*>", text[offset - 1]) != NULL;
}

/* Whether what stands in braces may well be meant as a variable: it is no number, as in \d{3}, nothing of code, and the
 * prompt did not say by an empty declaration that it has none. */
static bool
is_like_one(const struct linting *linting, const char *text, const struct placeholder *at)
{
	bool is_number = *at->name >= '0' && *at->name <= '9';
	return linting->n_declared > 0 && !is_number && stands_free(text, at->offset);
}

/* Words of a text for a message. */
static const char *
quoted(struct linting *linting, struct quote *quote, const char *words, size_t length)
{
	const char *copy = arena_copy(linting->errors->arena, words, length);
	return text_quote(quote, copy != NULL ? copy : "");
}

/* Say what the placeholders of a text come to. */
static void
check_placeholders(struct linting *linting, const struct value *text, bool in_parts)
{
	struct placeholder at;
	struct quote quote;
	size_t cursor = 0, length = strlen(text->text);
	while (template_next(text->text, length, &cursor, &at)) {
		const char *words = text->text + at.offset;
		bool variable = is_variable(linting, at.name, at.name_length);
		if (!variable && is_like_one(linting, text->text, &at))
			WARN(linting, RULE_UNDECLARED_VARIABLE, place_in(linting, text, at.offset),
				"%s is not declared, so it stays as it is\ndeclare it, or correct "
				"its name",
				quoted(linting, &quote, words, at.length));
		else if (variable && in_parts)
			WARN(linting, RULE_PLACEHOLDER_IN_PARTS, place_in(linting, text, at.offset),
				"LiteLLM's own client does not fill in %s in a list of "
				"parts\nwrite the message as one text",
				quoted(linting, &quote, words, at.length));
	}
}

/* Say which variables stood in no text. */
static void
check_unused(struct linting *linting)
{
	for (size_t i = 0; i < linting->n_declared; i++) {
		const struct value *variable = linting->declared[i];
		struct place place = {variable->key_line, variable->key_column};
		struct quote quote;
		if (!linting->used[i])
			WARN(linting, RULE_UNUSED_VARIABLE, place,
				"the variable %s is declared and stands in no message\nuse it, or "
				"delete it",
				text_quote(&quote, variable->key));
	}
}

/* The length of what begins the logic of a template language: {%, {#, {{#, {{/ and the like; 0 for none. */
static size_t
logic_length(const char *brace)
{
	if (brace[1] == '%')
		return 2;
	if (brace[1] == '#' && brace[2] == ' ')
		return 2;
	return brace[1] == '{' && brace[2] != '\0' && strchr("#/^>", brace[2]) != NULL ? 3 : 0;
}

/* The length of an expression in double braces, {{ user.name }} or {{ x | upper }}; 0 for none. A name alone is a
 * placeholder, and what has quotes, colons or further braces is likely JSON. */
static size_t
expression_length(const char *brace)
{
	if (brace[1] != '{')
		return 0;
	size_t length = 2 + strcspn(brace + 2, "{}\":\n");
	const char *name = brace + 2 + strspn(brace + 2, " ");
	bool has_letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
	bool ends = brace[length] == '}' && brace[length + 1] == '}';
	struct placeholder placeholder;
	size_t cursor = 0;
	bool is_name = ends && template_next(brace, length + 2, &cursor, &placeholder) &&
		       placeholder.offset == 0;
	return ends && has_letter && !is_name && length < MAX_NAME ? length + 2 : 0;
}

static void
check_logic(struct linting *linting, const struct value *text, bool in_parts)
{
	const struct value *variables = linting->draft->variables;
	bool no_placeholders = variables != NULL && linting->n_declared == 0;
	(void)in_parts;
	for (const char *brace = text->text;
		!no_placeholders && (brace = strchr(brace, '{')) != NULL; brace++) {
		size_t length = logic_length(brace);
		struct quote quote;
		if (length == 0 && variables == NULL)
			length = expression_length(brace);
		if (length == 0)
			continue;
		WARN(linting, RULE_TEMPLATE_LOGIC,
			place_in(linting, text, (size_t)(brace - text->text)),
			"%s is of another template language and stays as it is\nwrite plain "
			"placeholders, and two prompts for two cases",
			quoted(linting, &quote, brace, length));
		return;
	}
}

/* Whether braces with spaces are likely code: import { x }, f() { return }, a = { x }. */
static bool
is_code(const char *text, const char *brace)
{
	static const char *const words[] = {"import", "export", "const", "let", "var", "return",
		"type", "try", "catch", "finally", "else", "do", "enum", "struct", "union",
		"interface", "class", "default", "async", "unsafe", "loop"};
	while (brace > text && (brace[-1] == ' ' || brace[-1] == '\t'))
		brace--;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);
		if ((size_t)(brace - text) >= length &&
			memcmp(brace - length, words[i], length) == 0)
			return true;
	}
	return brace > text && strchr("()=;>|&?\\", brace[-1]) != NULL;
}

/* Single braces with a name and spaces: { name }. */
static void
check_spaces(struct linting *linting, const struct value *text, bool in_parts)
{
	(void)in_parts;
	for (const char *brace = text->text; (brace = strchr(brace, '{')) != NULL; brace++) {
		size_t spaces = strspn(brace + 1, " ");
		const char *name = brace + 1 + spaces;
		size_t length = strcspn(name, " {}\",:\n");
		const char *end = name + length + strspn(name + length, " ");
		bool is_double = brace > text->text && brace[-1] == '{';
		bool is_spaced = spaces > 0 || end > name + length;
		if (is_double || !is_spaced || *end != '}' || length == 0 || length > MAX_NAME)
			continue;
		char copy[MAX_NAME + 1] = "";
		memcpy(copy, name, length);
		bool is_name = template_is_name(copy);
		if (is_name && (linting->draft->variables == NULL
					       ? !is_code(text->text, brace)
					       : find_declared(linting, name, length) != NULL))
			WARN(linting, RULE_SPACED_PLACEHOLDER,
				place_in(linting, text, (size_t)(brace - text->text)),
				"{ %s } is text, not a placeholder\nwrite {%s}", copy, copy);
	}
}

/* Braces with - or . in a name: {user-name}, {user.name}. */
static void
check_names(struct linting *linting, const struct value *text, bool in_parts)
{
	(void)in_parts;
	for (const char *brace = text->text; (brace = strchr(brace, '{')) != NULL; brace++) {
		const char *name = brace + 1;
		size_t length = strcspn(name, " {}\",:\n");
		bool is_free = stands_free(text->text, (size_t)(brace - text->text));
		if (!is_free || length == 0 || length > MAX_NAME || name[length] != '}' ||
			linting->draft->variables != NULL)
			continue;
		char copy[MAX_NAME + 1] = "";
		bool is_odd = false;
		for (size_t i = 0; i < length; i++) {
			bool joint = i > 0 && i + 1 < length && (name[i] == '-' || name[i] == '.');
			is_odd |= joint;
			copy[i] = joint ? '_' : name[i];
		}
		if (is_odd && template_is_name(copy) && (*copy < '0' || *copy > '9') &&
			!is_code(text->text, brace))
			WARN(linting, RULE_ODD_PLACEHOLDER,
				place_in(linting, text, (size_t)(brace - text->text)),
				"{%.*s} is text, as a name is made of letters, digits and _\nwrite "
				"{%s}",
				(int)length, name, copy);
	}
}

static void
check_roles(struct linting *linting)
{
	static const char *const roles[] = {
		"system", "user", "assistant", "tool", "developer", "function"};
	const struct value *messages = linting->draft->messages;
	struct quote quote;
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *role = document_find(message, "role");
		bool is_known = role == NULL || role->kind != VALUE_STRING;
		for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]) && !is_known; i++)
			is_known = strcmp(role->text, roles[i]) == 0;
		if (!is_known)
			WARN(linting, RULE_UNKNOWN_ROLE, place_of(role),
				"%s is no role that providers know\nwrite system, user, assistant, "
				"tool, developer or function",
				text_quote(&quote, role->text));
	}
}

static void
check_cut(struct linting *linting, const struct value *text)
{
	if (text != NULL && text->kind == VALUE_STRING && text->cut)
		WARN(linting, RULE_CUT_TEXT, place_at(linting, text->end),
			"the text ends here, as \" #\" begins a comment\nquote it, or write it "
			"behind |-");
}

static void
check_cut_content(struct linting *linting, const struct value *text, bool in_parts)
{
	(void)in_parts;
	check_cut(linting, text);
}

/* Behind other values a comment is a comment. */
static void
check_cut_texts(struct linting *linting, const struct value *map)
{
	const struct value *variables = linting->draft->variables;
	each_text(linting, check_cut_content);
	check_cut(linting, document_find(map, "description"));
	for (const struct value *variable = variables != NULL ? variables->first : NULL;
		variable != NULL; variable = variable->next) {
		check_cut(linting, document_find(variable, "description"));
		check_cut(linting, document_find(variable, "default"));
	}
}

static void
on_ignored_name(void *context, const char *name, size_t length)
{
	struct linting *linting = context;
	struct quote quote;
	if (rule_set_of(name, length) == 0)
		WARN(linting, RULE_DOUBTFUL,
			place_at(linting, (size_t)(name - linting->text->data)),
			"there is no warning %s to ignore\npromptd check --explain all lists them",
			quoted(linting, &quote, name, length));
}

void
lint_file(const struct lint_text *text, struct errors *errors)
{
	struct linting linting = {.text = text, .errors = errors};
	secrets_find(text->data, text->length, errors);
	if (!text->is_json)
		rule_each_ignored(text->data, text->length, on_ignored_name, &linting);
	if (text->length > NEAR_FILE_BYTES)
		errors_warn(errors, RULE_NEAR_LIMIT, 1, 1,
			"the file has %zu KiB of at most 1024\nsplit it", text->length / 1024);
}

static void
check_id(struct linting *linting, const struct value *map)
{
	const char *id = linting->draft->id;
	const struct value *given = document_find(map, "prompt_id");
	const struct value *place = given != NULL && given->kind != VALUE_NULL ? given : map;
	struct quote quote;
	if (strstr(id, "_v") != NULL || strstr(id, ".v") != NULL)
		WARN(linting, RULE_STOCK_ID, place_of(place),
			"LiteLLM's own client cuts the id %s at its first .v or _v\nrename the "
			"prompt",
			text_quote(&quote, id));
	if (strlen(id) > NEAR_ID_BYTES)
		WARN(linting, RULE_NEAR_LIMIT, place_of(place),
			"the id has %zu of at most 200 bytes\nshorten it", strlen(id));
}

void
lint_prompt(const struct lint_text *text, const struct value *map, const struct draft *draft,
	struct errors *errors)
{
	static on_text *const checks[] = {
		check_placeholders, check_logic, check_spaces, check_names};
	struct linting linting = {.text = text, .draft = draft, .errors = errors};
	if (draft->variables != NULL) {
		linting.declared = document_sort(errors->arena, draft->variables);
		linting.used = arena_array(errors->arena, draft->variables->count, sizeof(bool));
		if (linting.declared == NULL || linting.used == NULL)
			return;
		linting.n_declared = draft->variables->count;
		memset(linting.used, 0, linting.n_declared * sizeof(bool));
	}
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		each_text(&linting, checks[i]);
	check_cut_texts(&linting, map);
	check_roles(&linting);
	check_unused(&linting);
	check_id(&linting, map);
}

bool
lint_group(const struct group *group, const char *const *default_labels, struct arena *arena,
	struct problem *out)
{
	struct selector nothing = {.default_labels = default_labels};
	const struct prompt *prompt = group->entries->prompt;
	const struct entry *entry;
	struct quote quote;
	if ((prompt->unit->ignored & 1u << RULE_NO_DEFAULT) != 0 ||
		select_version(group, &nothing, &entry) != SELECTION_NO_DEFAULT)
		return false;
	const struct problem what = {.path = prompt->unit->path,
		.line = prompt->line,
		.column = prompt->column,
		.kind = ERROR_WARNING,
		.rule = RULE_NO_DEFAULT};
	*out = problem_of(arena, &what,
		"no version of %s is served when none is asked for\ngive one the label %s",
		text_quote(&quote, prompt->id), default_labels[0]);
	return out->message != NULL;
}
