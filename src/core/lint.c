/* lint.c -- what is likely a mistake in prompt files that are served all the same. */
#include "core/lint.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/name.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/template.h"
#include "core/text.h"
#include "core/unit.h"

enum { NEAR_FILE_BYTES = 800 * 1024, NEAR_ID_BYTES = 180, MAX_SHOWN = 60 };

/* A prompt being looked at. */
struct linting {
	struct lint_text *text;
	const struct draft *draft;
	struct errors *errors;
	const struct value **declared; /* its variables by name; NULL where it declares none */
	bool *used; /* which of these stand in a message */
	size_t n_declared;
};

struct lint_text
lint_text_of(const char *data, size_t length, bool is_json)
{
	static const char mark[] = "\xef\xbb\xbf"; /* takes up no column */
	size_t skipped = !is_json && length >= 3 && memcmp(data, mark, 3) == 0 ? 3 : 0;
	return (struct lint_text){
		data + skipped, length - skipped, is_json, {1, 1, 0}
        };
}

/* The offset of a place in the file. */
static size_t
offset_of(struct linting *linting, unsigned line, unsigned column)
{
	const char *data = linting->text->data, *end = data + linting->text->length;
	struct lint_place at = linting->text->last;
	if (at.line > line || (at.line == line && at.column > column))
		at = (struct lint_place){1, 1, 0};
	while (at.line < line && data + at.offset < end) {
		const char *feed = memchr(data + at.offset, '\n', (size_t)(end - data) - at.offset);
		at = (struct lint_place){
			at.line + 1, 1, (size_t)((feed != NULL ? feed + 1 : end) - data)};
	}
	while (at.column < column && data + at.offset < end) {
		size_t left = (size_t)(end - data) - at.offset;
		size_t length = text_utf8_length(data + at.offset, left);
		at.offset += length > 0 ? length : 1;
		at.column++;
	}
	linting->text->last = at;
	return at.offset;
}

/* Where words stand in a value, if they are found behind its beginning; else where that is. */
static struct lint_place
place_in(struct linting *linting, const struct value *value, const char *words, size_t length)
{
	const struct lint_text *text = linting->text;
	struct lint_place place = {value->line, value->column, 0};
	size_t offset = offset_of(linting, value->line, value->column);
	const char *found = memmem(text->data + offset, text->length - offset, words, length);
	if (found != NULL)
		text_place(text->data, (size_t)(found - text->data), &place.line, &place.column);
	return place;
}

/* Where many would be too many, their places are not looked for. */
#define WARN(linting, rule, where, ...) \
	do { \
		if (!errors_want((linting)->errors, (rule))) \
			break; \
		struct lint_place place_ = (where); \
		errors_warn((linting)->errors, (rule), place_.line, place_.column, __VA_ARGS__); \
	} while (0)

static struct lint_place
place_of(const struct value *value)
{
	return (struct lint_place){value->line, value->column, 0};
}

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

/* Whether what stands in braces may well be meant as a variable: it is no number, as in \d{3}, and the prompt did not
 * say by an empty declaration that it has none. */
static bool
is_like_one(const struct linting *linting, const struct placeholder *at)
{
	return linting->n_declared > 0 && (*at->name < '0' || *at->name > '9');
}

/* Say what the placeholders of a text come to. */
static void
check_placeholders(struct linting *linting, const struct value *text, bool in_parts)
{
	struct placeholder at;
	size_t cursor = 0, length = strlen(text->text);
	while (template_next(text->text, length, &cursor, &at)) {
		const char *shown = text->text + at.offset;
		int shown_length = (int)(at.length < MAX_SHOWN ? at.length : MAX_SHOWN);
		bool variable = is_variable(linting, at.name, at.name_length);
		if (!variable && is_like_one(linting, &at))
			WARN(linting, RULE_UNDECLARED_VARIABLE,
				place_in(linting, text, shown, at.length),
				"%.*s is not declared, so it stays as it is\ndeclare it, or "
				"correct its "
				"name",
				shown_length, shown);
		else if (variable && in_parts)
			WARN(linting, RULE_PLACEHOLDER_IN_PARTS,
				place_in(linting, text, shown, at.length),
				"LiteLLM's own client does not fill in %.*s in a list of "
				"parts\nwrite "
				"the message as one text",
				shown_length, shown);
	}
}

/* Say which variables stood in no text. */
static void
check_unused(struct linting *linting)
{
	for (size_t i = 0; i < linting->n_declared; i++) {
		const struct value *variable = linting->declared[i];
		struct lint_place place = {variable->key_line, variable->key_column, 0};
		struct quote quote;
		if (!linting->used[i])
			WARN(linting, RULE_UNUSED_VARIABLE, place,
				"the variable %s is declared and stands in no message\nuse it, or "
				"delete "
				"it",
				text_quote(&quote, variable->key));
	}
}

static void
check_logic(struct linting *linting, const struct value *text, bool in_parts)
{
	(void)in_parts;
	for (const char *brace = text->text; (brace = strchr(brace, '{')) != NULL; brace++) {
		int length = brace[1] == '%' ? 2 : 3;
		if (length == 3 &&
			(brace[1] != '{' || brace[2] == '\0' || strchr("#/^>", brace[2]) == NULL))
			continue;
		WARN(linting, RULE_TEMPLATE_LOGIC, place_in(linting, text, brace, (size_t)length),
			"%.*s is the logic of another template language and stays as it is\nmake "
			"two "
			"prompts of it",
			length, brace);
		return;
	}
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
		if (is_double || !is_spaced || *end != '}' || length == 0 || length > MAX_SHOWN)
			continue;
		char copy[MAX_SHOWN + 1] = "";
		int shown = (int)(end + 1 - brace);
		memcpy(copy, name, length);
		if (template_is_name(copy) && (linting->draft->variables == NULL ||
						      find_declared(linting, name, length) != NULL))
			WARN(linting, RULE_SPACED_PLACEHOLDER,
				place_in(linting, text, brace, (size_t)shown),
				"%.*s is text, not a placeholder\nwrite {%s}", shown, brace, copy);
	}
}

/* A plain text behind which a comment begins on the same line. */
static void
check_cut(struct linting *linting, const struct value *text, bool in_parts)
{
	const char *source = text->source;
	(void)in_parts;
	if (linting->text->is_json || source == NULL || *source == '\0' ||
		strchr("\"'|>", *source) != NULL)
		return;
	size_t offset = offset_of(linting, text->line, text->column), length = strlen(source);
	const char *rest = linting->text->data + offset + length;
	if (offset + length >= linting->text->length || memcmp(rest - length, source, length) != 0)
		return;
	size_t left = linting->text->length - offset - length, spaces = 0;
	while (spaces < left && rest[spaces] == ' ')
		spaces++;
	if (spaces > 0 && spaces < left && rest[spaces] == '#')
		WARN(linting, RULE_CUT_TEXT, place_in(linting, text, rest, spaces + 1),
			"the text ends here, as \" #\" begins a comment\nquote it, or write it "
			"behind |-");
}

/* How well-known secrets begin, and how long they are behind that at least. */
static const struct {
	const char *start;
	size_t least;
} secrets[] = {
  /* clang-format off */
	{"sk-", 20}, {"sk_live_", 16}, {"rk_live_", 16}, /* OpenAI, Anthropic, LiteLLM; Stripe */
	{"ghp_", 30}, {"gho_", 30}, {"ghs_", 30}, {"github_pat_", 20}, {"glpat-", 20},
	{"xoxb-", 20}, {"xoxp-", 20}, {"xapp-", 20}, /* Slack */
	{"AKIA", 16}, {"ASIA", 16}, {"AIza", 30}, {"ya29.", 30}, /* AWS, Google */
	{"hf_", 30}, {"gsk_", 30}, {"r8_", 30}, {"nvapi-", 30}, {"xai-", 30}, {"pplx-", 30},
	{"lsv2_pt_", 30}, {"npm_", 30}, {"pypi-", 30}, {"dop_v1_", 30}, {"SG.", 20},
	{"pd_", 43}, /* promptd's own */
	{"eyJhbGciOi", 20}, /* JSON Web Tokens */
  /* clang-format on */
};

enum { SHORTEST_SECRET = 20 }; /* with its start */

static bool
is_of_secret(char character)
{
	return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
	       (character >= 'A' && character <= 'Z') || character == '-' || character == '_' ||
	       character == '.';
}

/* Whether a word is a secret, and no example such as sk-xxxx. */
static bool
is_secret(const char *word, size_t length)
{
	bool seen[256] = {false};
	size_t different = 0, start = 0;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]) && start == 0; i++) {
		size_t begun = strlen(secrets[i].start);
		if (length >= begun + secrets[i].least &&
			memcmp(word, secrets[i].start, begun) == 0)
			start = begun;
	}
	for (size_t i = start; i < length && start > 0; i++) {
		different += !seen[(unsigned char)word[i]];
		seen[(unsigned char)word[i]] = true;
	}
	return different >= 8;
}

static void
warn_of_secret(const struct lint_text *text, const char *at, struct errors *errors)
{
	struct lint_place place;
	if (!errors_want(errors, RULE_SECRET))
		return;
	text_place(text->data, (size_t)(at - text->data), &place.line, &place.column);
	errors_warn(errors, RULE_SECRET, place.line, place.column,
		"this looks like a secret\ntake it out, and change it, as it is known now");
}

/* Find secrets wherever they stand in a file, be it in a comment. Most words are too short, which their ends tell. */
static void
find_secrets(const struct lint_text *text, struct errors *errors)
{
	const char *end = text->data + text->length;
	for (const char *word = text->data; end - word >= SHORTEST_SECRET;) {
		const char *last = word + SHORTEST_SECRET;
		while (last > word && is_of_secret(last[-1]))
			last--;
		if (last > word) {
			word = last; /* behind what is of none */
			continue;
		}
		size_t length = SHORTEST_SECRET;
		while (word + length < end && is_of_secret(word[length]))
			length++;
		if (is_secret(word, length))
			warn_of_secret(text, word, errors);
		word += length;
	}
}

/* Find private keys in PEM (RFC 7468). */
static void
find_keys(const struct lint_text *text, struct errors *errors)
{
	static const char begin[] = "-----BEGIN ", key[] = "PRIVATE KEY-----";
	const char *end = text->data + text->length, *at = text->data;
	for (; (at = memmem(at, (size_t)(end - at), begin, sizeof(begin) - 1)) != NULL; at++) {
		size_t left = (size_t)(end - at);
		if (memmem(at, left < MAX_SHOWN ? left : MAX_SHOWN, key, sizeof(key) - 1) != NULL)
			warn_of_secret(text, at, errors);
	}
}

void
lint_file(const struct lint_text *text, struct errors *errors)
{
	find_secrets(text, errors);
	find_keys(text, errors);
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
lint_prompt(struct lint_text *text, const struct value *map, const struct draft *draft,
	struct errors *errors)
{
	static on_text *const checks[] = {check_placeholders, check_logic, check_spaces, check_cut};
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
