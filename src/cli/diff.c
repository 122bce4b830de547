/* diff.c -- what changes for those who ask, between two directories. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/diff.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/options.h"

enum kind { ADDED, REMOVED, CHANGED, DEFAULT_MOVED, N_KINDS };

static const char *const kind_names[N_KINDS] = {
	[ADDED] = "added",
	[REMOVED] = "removed",
	[CHANGED] = "changed",
	[DEFAULT_MOVED] = "default moved",
};

/* What is said of one prompt. Texts are in the arena. */
struct news {
	struct news *next;
	enum kind kind;
	const char *name; /* ID or ID@VERSION */
	const char *breaking; /* why it is; NULL: it is not */
	const char *notes; /* a line each */
	const char *diff; /* of the messages */
};

struct comparison {
	const struct options *options;
	struct arena *arena;
	struct news *first, **last;
	size_t counts[N_KINDS];
	bool breaking;
};

static struct news *
add_news(struct comparison *comparison, enum kind kind, const struct prompt *prompt, bool versioned)
{
	struct news *news = arena_alloc(comparison->arena, sizeof(*news));
	if (news == NULL)
		return NULL;
	bool has_version = versioned && prompt->version != NULL;
	*news = (struct news){.kind = kind,
		.name = arena_printf(comparison->arena, "%s%s%s", prompt->id,
			has_version ? "@" : "", has_version ? prompt->version : ""),
		.notes = "",
		.diff = ""};
	*comparison->last = news;
	comparison->last = &news->next;
	comparison->counts[kind]++;
	return news;
}

static void
set_breaking(struct comparison *comparison, struct news *news, const char *why)
{
	news->breaking = why;
	comparison->breaking = true;
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
check_variables(struct comparison *comparison, struct news *news, const struct prompt *before,
	const struct prompt *now)
{
	const char *names = NULL;
	for (size_t i = 0; i < now->n_variables; i++) {
		const char *name = now->variables[i].name;
		if (!is_needed(now, name) || is_needed(before, name))
			continue;
		names = names == NULL ? name
				      : arena_printf(comparison->arena, "%s, %s", names, name);
	}
	if (names != NULL)
		set_breaking(comparison, news,
			arena_printf(comparison->arena, "callers must give %s now", names));
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

/* A value's text as people write it, in the arena. */
static const char *
shown(struct arena *arena, const struct value *value)
{
	struct buffer text = {0};
	if (value == NULL || value->kind == VALUE_NULL)
		return "none";
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
	const char *all = "none";
	for (size_t i = 0; i < entry->n_labels; i++)
		all = i == 0 ? entry->labels[i]
			     : arena_printf(arena, "%s, %s", all, entry->labels[i]);
	return all != NULL ? all : "";
}

static void
add_note(struct comparison *comparison, struct news *news, const char *field, const char *before,
	const char *now)
{
	if (strcmp(before, now) == 0)
		return;
	const char *notes = arena_printf(
		comparison->arena, "%s%s: %s -> %s\n", news->notes, field, before, now);
	if (notes != NULL)
		news->notes = notes;
}

/* The messages as lines: a role in brackets, and what follows. */
static const char *
lines_of(struct arena *arena, const struct value *messages)
{
	struct buffer text = {0};
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *content = document_find(message, "content");
		buffer_printf(&text, "[%s]\n%s\n", shown(arena, document_find(message, "role")),
			shown(arena, content != NULL && content->kind == VALUE_STRING ? content
										      : message));
	}
	const char *copy = text.failed ? NULL : arena_copy(arena, text.data, text.length);
	buffer_finish(&text);
	return copy != NULL ? copy : "";
}

static void
compare_fields(struct comparison *comparison, struct news *news, const struct entry *before,
	const struct entry *now)
{
	static const struct {
		const char *key, *name;
	} fields[] = {
		{"prompt_template_model",           "model"      },
		{"prompt_template_optional_params", "parameters" },
		{"variables",                       "variables"  },
		{"project_name",                    "project"    },
		{"slug",			    "slug"       },
		{"description",                     "description"},
		{"metadata",                        "metadata"   },
	};
	struct arena *arena = comparison->arena;
	const struct value *old = parse_prompt(arena, before->prompt);
	const struct value *new = parse_prompt(arena, now->prompt);
	struct buffer diff = {0};
	if (old == NULL || new == NULL)
		return;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		add_note(comparison, news, fields[i].name,
			shown(arena, document_find(old, fields[i].key)),
			shown(arena, document_find(new, fields[i].key)));
	add_note(comparison, news, "labels", shown_labels(arena, before), shown_labels(arena, now));
	lines_put_diff(&diff, lines_of(arena, document_find(old, "prompt_template")),
		lines_of(arena, document_find(new, "prompt_template")));
	if (!diff.failed && diff.length > 0)
		news->diff = arena_copy(arena, diff.data, diff.length);
	buffer_finish(&diff);
}

/* Versions that a label points to are what people rely on. */
static void
check_published(struct comparison *comparison, struct news *news, const struct entry *before,
	const struct entry *now)
{
	bool same = strcmp(before->prompt->etag, now->prompt->etag) == 0;
	if (same || before->prompt->version == NULL || before->n_labels == 0)
		return;
	const char *notes = arena_printf(comparison->arena,
		"%sa published version was edited (%s): a new one would leave it as it was\n",
		news->notes, shown_labels(comparison->arena, before));
	if (notes != NULL)
		news->notes = notes;
}

static void
on_prompt(void *context, const struct entry *before, const struct entry *now)
{
	struct comparison *comparison = context;
	struct news *news;
	if (before == NULL) {
		add_news(comparison, ADDED, now->prompt, true);
	} else if (now == NULL) {
		news = add_news(comparison, REMOVED, before->prompt, true);
		if (news != NULL)
			set_breaking(comparison, news, "whoever asks for it gets a 404");
	} else if ((news = add_news(comparison, CHANGED, now->prompt, true)) != NULL) {
		compare_fields(comparison, news, before, now);
		check_published(comparison, news, before, now);
		check_variables(comparison, news, before->prompt, now->prompt);
	}
}

static const struct entry *
default_of(const struct comparison *comparison, const struct group *group)
{
	const struct selector nothing = {
		.default_labels = comparison->options->default_labels.items};
	const struct entry *entry;
	return select_version(group, &nothing, &entry) == SELECTION_FOUND ? entry : NULL;
}

static bool
is_same_version(const struct prompt *a, const struct prompt *b)
{
	return a->version == NULL || b->version == NULL ? a->version == b->version
							: strcmp(a->version, b->version) == 0;
}

/* What is served when no version is asked for. */
static void
compare_default(struct comparison *comparison, const struct group *old, const struct group *new)
{
	const struct entry *before = default_of(comparison, old),
			   *now = default_of(comparison, new);
	const char *to = now != NULL ? now->prompt->version : "no version";
	if (before == NULL || (now != NULL && is_same_version(before->prompt, now->prompt)))
		return;
	struct news *news = add_news(comparison, DEFAULT_MOVED, before->prompt, false);
	if (news == NULL)
		return;
	add_note(comparison, news, "version",
		before->prompt->version != NULL ? before->prompt->version : "unversioned",
		to != NULL ? to : "unversioned");
	if (now == NULL)
		set_breaking(comparison, news, "whoever asks without a version gets a 404");
	else
		check_variables(comparison, news, before->prompt, now->prompt);
}

static void
compare(struct comparison *comparison, const struct snapshot *before, const struct snapshot *now)
{
	diff_prompts(before, now, on_prompt, comparison);
	for (size_t i = 0; i < before->n_groups; i++) {
		const struct group *old = &before->groups[i];
		const struct group *new = snapshot_find(now, old->entries->prompt->id);
		if (new != NULL)
			compare_default(comparison, old, new);
	}
}

static void
print_summary(const struct comparison *comparison)
{
	bool any = false;
	for (int i = 0; i < N_KINDS; i++) {
		if (comparison->counts[i] > 0)
			printf("%s%zu %s", any ? ", " : "", comparison->counts[i], kind_names[i]);
		any |= comparison->counts[i] > 0;
	}
	printf("%s", !any ? "no prompt differs" : comparison->breaking ? ": breaking" : "");
}

/* Print lines with something in front of each. */
static void
print_lines(const char *text, const char *front)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		char *line = strndup(text, length);
		printf("%s", front);
		if (line != NULL)
			page_text(line, NULL);
		puts("");
		free(line);
		text += length + (text[length] == '\n');
	}
}

static void
print_text(const struct comparison *comparison)
{
	static const char signs[N_KINDS] = {
		[ADDED] = '+', [REMOVED] = '-', [CHANGED] = '~', [DEFAULT_MOVED] = '>'};
	print_summary(comparison);
	puts("");
	for (const struct news *news = comparison->first; news != NULL; news = news->next) {
		printf("\n%s%c ", page_style(STYLE_BOLD), signs[news->kind]);
		page_text(news->name, NULL);
		printf("%s  %s\n", page_plain(), kind_names[news->kind]);
		if (news->breaking != NULL) {
			printf("    %sbreaking: ", page_style(STYLE_RED));
			page_text(news->breaking, NULL);
			printf("%s\n", page_plain());
		}
		print_lines(news->notes, "    ");
		print_lines(news->diff, "    ");
	}
}

/* For a comment of a pull request. */
static void
print_markdown(const struct comparison *comparison)
{
	printf("### Prompts: ");
	print_summary(comparison);
	puts("\n");
	for (const struct news *news = comparison->first; news != NULL; news = news->next) {
		printf("- **");
		page_text(news->name, NULL);
		printf("** %s", kind_names[news->kind]);
		if (news->breaking != NULL) {
			printf(": :warning: **breaking**, ");
			page_text(news->breaking, NULL);
		}
		puts("");
		print_lines(news->notes, "  - ");
		if (*news->diff == '\0')
			continue;
		puts("\n  ````diff");
		print_lines(news->diff, "  ");
		puts("  ````");
	}
}

static void
print_json(const struct comparison *comparison)
{
	struct buffer out = {0};
	buffer_printf(
		&out, "{\"breaking\":%s,\"changes\":[", comparison->breaking ? "true" : "false");
	for (const struct news *news = comparison->first; news != NULL; news = news->next) {
		buffer_puts(&out, news == comparison->first ? "\n{\"prompt\":" : ",\n{\"prompt\":");
		json_put_string(&out, news->name);
		json_put_key(&out, "change");
		json_put_string(&out, kind_names[news->kind]);
		json_put_key(&out, "breaking");
		json_put_string(&out, news->breaking);
		json_put_key(&out, "notes");
		json_put_string(&out, news->notes);
		json_put_key(&out, "diff");
		json_put_string(&out, news->diff);
		buffer_putc(&out, '}');
	}
	buffer_puts(&out, "]}");
	if (!out.failed)
		puts(out.data);
	buffer_finish(&out);
}

/* Say what the server would not serve, so that what is missing is not taken for removed. */
static bool
is_clean(const struct load *load, const char *directory)
{
	if (load->snapshot->n_problems == 0)
		return true;
	page_fail("%zu mistake%s in \"%s\"\nsee promptd check %s", load->snapshot->n_problems,
		load->snapshot->n_problems == 1 ? "" : "s", directory, directory);
	return false;
}

static int
compare_loads(const struct options *options, const struct load *before, const struct load *now)
{
	static void (*const prints[N_FORMATS])(const struct comparison *) = {
		[FORMAT_TEXT] = print_text,
		[FORMAT_JSON] = print_json,
		[FORMAT_MARKDOWN] = print_markdown,
	};
	struct comparison comparison = {.options = options, .arena = arena_new()};
	comparison.last = &comparison.first;
	if (comparison.arena != NULL)
		compare(&comparison, before->snapshot, now->snapshot);
	bool failed = comparison.arena == NULL || arena_failed(comparison.arena);
	if (failed)
		page_fail("out of memory");
	else
		prints[options->format](&comparison);
	if (comparison.arena != NULL)
		arena_free(comparison.arena);
	return failed ? EXIT_USAGE : comparison.breaking ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
cli_diff(const struct options *options)
{
	struct load before = {0}, now = {0};
	struct error error;
	int status = EXIT_USAGE;
	if (load_open(&before, options, options->operands[0], &error) != 0 ||
		load_open(&now, options, options->operands[1], &error) != 0)
		page_error(&error);
	else if (is_clean(&before, options->operands[0]) && is_clean(&now, options->operands[1]))
		status = compare_loads(options, &before, &now);
	load_close(&before);
	load_close(&now);
	return status;
}
