/* diff.c -- prints what changes for those who ask, between two directories. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "server/options.h"

static const char *const kind_names[N_CHANGE_KINDS] = {
	[PROMPT_ADDED] = "added",
	[PROMPT_REMOVED] = "removed",
	[PROMPT_CHANGED] = "changed",
	[DEFAULT_MOVED] = "default moved",
	[LABEL_MOVED] = "label moved",
	[SLUG_SHARED] = "slug shared",
};

static void
print_summary(const struct changes *changes)
{
	bool any = false;
	for (int i = 0; i < N_CHANGE_KINDS; i++) {
		if (changes->counts[i] > 0)
			printf("%s%zu %s", any ? ", " : "", changes->counts[i], kind_names[i]);
		any |= changes->counts[i] > 0;
	}
	printf("%s", !any ? "no prompt differs" : changes->breaking ? ": breaking" : "");
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

/* Print a text as it is, or "none". */
static void
print_plain(const char *text)
{
	page_text(text != NULL ? text : "none", NULL);
}

/* Print a text as Markdown's code, in which nothing means anything, not even @somebody. */
static void
print_code(const char *text)
{
	const char *fence = text != NULL && strchr(text, '`') != NULL ? "``` " : "`";
	if (text == NULL) {
		printf("none");
		return;
	}
	printf("%s", fence);
	page_text(text, " ");
	printf("%s", *fence == '`' && fence[1] != '\0' ? " ```" : "`");
}

/* Print what differs in fields, a line each, with something in front. */
static void
print_fields(const struct change_of_prompt *change, const char *front, void (*print)(const char *))
{
	for (const struct changed_field *field = change->first; field != NULL;
		field = field->next) {
		printf("%s%s: ", front, field->name);
		print(field->before);
		printf(" -> ");
		print(field->now);
		puts("");
	}
	if (change->published != NULL)
		printf("%sa published version was edited (%s): a new one would leave it as it "
		       "was\n",
			front, change->published);
}

static void
print_text(const struct changes *changes)
{
	static const char signs[N_CHANGE_KINDS] = {[PROMPT_ADDED] = '+',
		[PROMPT_REMOVED] = '-',
		[PROMPT_CHANGED] = '~',
		[DEFAULT_MOVED] = '>',
		[LABEL_MOVED] = '>',
		[SLUG_SHARED] = '='};
	print_summary(changes);
	puts("");
	for (const struct change_of_prompt *change = changes->first; change != NULL;
		change = change->next) {
		printf("\n%s%c ", page_style(STYLE_BOLD), signs[change->kind]);
		page_text(change->name, NULL);
		printf("%s  %s\n", page_plain(), kind_names[change->kind]);
		if (change->breaking != NULL) {
			printf("    %sbreaking: ", page_style(STYLE_RED));
			page_text(change->breaking, NULL);
			printf("%s\n", page_plain());
		}
		print_fields(change, "    ", print_plain);
		print_lines(change->diff, "    ");
	}
}

/* For a comment of a pull request. */
static void
print_markdown(const struct changes *changes)
{
	printf("### Prompts: ");
	print_summary(changes);
	puts("\n");
	for (const struct change_of_prompt *change = changes->first; change != NULL;
		change = change->next) {
		printf("- ");
		print_code(change->name);
		printf(" %s", kind_names[change->kind]);
		if (change->breaking != NULL) {
			printf(": :warning: **breaking**, ");
			print_code(change->breaking);
		}
		puts("");
		print_fields(change, "  - ", print_code);
		if (*change->diff == '\0')
			continue;
		puts("\n  ````diff");
		print_lines(change->diff, "  ");
		puts("  ````");
	}
}

static void
put_fields(struct buffer *out, const struct change_of_prompt *change)
{
	buffer_putc(out, '[');
	for (const struct changed_field *field = change->first; field != NULL;
		field = field->next) {
		buffer_puts(out, field == change->first ? "{\"field\":" : ",{\"field\":");
		json_put_string(out, field->name);
		json_put_key(out, "before");
		json_put_string(out, field->before);
		json_put_key(out, "now");
		json_put_string(out, field->now);
		buffer_putc(out, '}');
	}
	buffer_putc(out, ']');
}

static void
print_json(const struct changes *changes)
{
	struct buffer out = {0};
	buffer_printf(&out, "{\"breaking\":%s,\"changes\":[", changes->breaking ? "true" : "false");
	for (const struct change_of_prompt *change = changes->first; change != NULL;
		change = change->next) {
		buffer_puts(&out, change == changes->first ? "\n{\"prompt\":" : ",\n{\"prompt\":");
		json_put_string(&out, change->name);
		json_put_key(&out, "change");
		json_put_string(&out, kind_names[change->kind]);
		json_put_key(&out, "breaking");
		json_put_string(&out, change->breaking);
		json_put_key(&out, "fields");
		put_fields(&out, change);
		json_put_key(&out, "published");
		json_put_string(&out, change->published);
		json_put_key(&out, "diff");
		json_put_string(&out, change->diff);
		buffer_putc(&out, '}');
	}
	buffer_puts(&out, "]}");
	if (!out.failed)
		puts(out.data);
	buffer_finish(&out);
}

static int
compare_loads(const struct options *options, const struct load *before, const struct load *now)
{
	static void (*const prints[N_FORMATS])(const struct changes *) = {
		[FORMAT_TEXT] = print_text,
		[FORMAT_JSON] = print_json,
		[FORMAT_MARKDOWN] = print_markdown,
	};
	struct changes changes = {.arena = arena_new(),
		.before = before->snapshot,
		.now = now->snapshot,
		.default_labels = options->default_labels.items};
	bool failed = changes.arena == NULL || changes_find(&changes) != 0;
	if (failed)
		page_fail("out of memory");
	else
		prints[options->format](&changes);
	if (changes.arena != NULL)
		arena_free(changes.arena);
	return failed ? EXIT_USAGE : changes.breaking ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
cli_diff(const struct options *options)
{
	struct load before = {0}, now = {0};
	struct error error;
	int status = EXIT_USAGE;
	bool opened = load_open(&before, options, options->operands[0], &error) == 0 &&
		      load_open(&now, options, options->operands[1], &error) == 0;
	if (!opened) {
		page_error(&error);
	} else {
		load_tell_problems(&before, options->operands[0]); /* these were not served */
		if (!load_tell_problems(&now, options->operands[1])) /* nor removed */
			status = compare_loads(options, &before, &now);
	}
	load_close(&before);
	load_close(&now);
	return status;
}
