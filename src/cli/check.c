/* check.c -- says what is wrong with the prompt files, in the server's own words. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/litellm_check.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "server/cycle.h"
#include "server/loader.h"
#include "server/options.h"
#include "server/warnings.h"

enum { MAX_SHOWN_BYTES = 160 }; /* of a source line */

struct check {
	const struct options *options;
	const struct load *load;
	struct arena *arena;
	struct buffer path, file; /* the file shown last, and its content */
	size_t files, errors, warnings;
	struct problem *problems; /* borrowed parts */
	size_t n_problems, capacity;
	bool failed; /* memory was out */
};

/* Whether a path is below the prompt directory, and not that of LiteLLM's configuration. */
static bool
is_own(const struct check *check, const char *path)
{
	return path != check->options->litellm_config;
}

/* Read a file, unless it is the one read last. What cannot be read is empty. */
static void
read_file(struct check *check, const char *path)
{
	if (check->path.length > 0 && strcmp(check->path.data, path) == 0)
		return;
	buffer_clear(&check->file);
	buffer_clear(&check->path);
	if (is_own(check, path))
		buffer_printf(&check->path, "%s/", check->options->directory);
	buffer_puts(&check->path, path);
	if (!check->path.failed)
		load_read_file(check->path.data, &check->file);
	buffer_clear(&check->path);
	buffer_puts(&check->path, path);
}

static void
on_problem(void *context, const struct problem *problem)
{
	struct check *check = context;
	if (check->n_problems == check->capacity) {
		size_t capacity = check->capacity == 0 ? 64 : 2 * check->capacity;
		struct problem *problems = realloc(check->problems, capacity * sizeof(*problems));
		check->failed |= problems == NULL;
		if (problems == NULL)
			return;
		check->problems = problems;
		check->capacity = capacity;
	}
	check->problems[check->n_problems++] = *problem;
	if (problem->kind == ERROR_WARNING)
		check->warnings++;
	else
		check->errors++;
}

static void
on_file(void *context, const struct file_report *report)
{
	struct check *check = context;
	(void)report;
	check->files++;
}

/* Returns -1 with an error where LiteLLM's configuration cannot be read. */
static int
find_all(struct check *check, struct error *error)
{
	const char *config = check->options->litellm_config;
	const struct snapshot *snapshot = check->load->snapshot;
	const struct loader *loader = cycle_loader(check->load->cycle);
	for (size_t i = 0; i < snapshot->n_problems; i++)
		on_problem(check, &snapshot->problems[i]);
	warnings_each(loader, snapshot, check->options->default_labels.items, check->arena,
		on_problem, check);
	loader_report(loader, on_file, check);
	if (config != NULL && litellm_check(config, snapshot, check->options->default_labels.items,
				      check->arena, on_problem, check, error) != 0)
		return -1;
	if (check->n_problems > 0)
		qsort(check->problems, check->n_problems, sizeof(*check->problems),
			problem_compare);
	return 0;
}

/* Put the text of a line of a file, without its end; false where it cannot be shown. */
static bool
put_line(struct check *check, const struct problem *problem, struct buffer *out)
{
	if (problem->line == 0)
		return false;
	read_file(check, problem->path);
	const char *at = check->file.data, *end = at + check->file.length;
	for (unsigned i = 1; i < problem->line && at != NULL; i++) {
		at = memchr(at, '\n', (size_t)(end - at));
		at = at != NULL ? at + 1 : NULL;
	}
	if (at == NULL || at >= end)
		return false;
	size_t length = 0;
	while (at + length < end && strchr("\r\n", at[length]) == NULL)
		length++;
	buffer_put(out, at, length);
	return !out->failed && length > 0 && length <= MAX_SHOWN_BYTES &&
	       text_utf8_span(out->data, length) == length;
}

/* Show a line of a file, and the place in it. */
static void
print_place(struct check *check, const struct problem *problem)
{
	struct buffer line = {0};
	if (put_line(check, problem, &line)) {
		printf("    %s", page_style(STYLE_DIM));
		page_text(line.data, NULL);
		printf("\n    ");
		unsigned column = 1;
		for (const char *at = line.data; *at != '\0' && column < problem->column; at++)
			if (((unsigned char)at[1] & 0xc0) != 0x80) {
				putchar(*at == '\t' ? '\t' : ' ');
				column++;
			}
		printf("^%s\n", page_plain());
	}
	buffer_finish(&line);
}

static const char *
severity_of(const struct problem *problem)
{
	return problem->kind == ERROR_WARNING ? "warning" : "error";
}

/* Print a file's path as it is from here. */
static void
print_path(const struct check *check, const struct problem *problem, void (*print)(const char *))
{
	bool is_directory = strcmp(problem->path, ".") == 0;
	if (is_own(check, problem->path))
		print(check->options->directory);
	if (is_own(check, problem->path) && !is_directory)
		putchar('/');
	if (!is_directory)
		print(problem->path);
}

static void
print_plain(const char *text)
{
	page_text(text, NULL);
}

/* What is wrong on a first line, what to do on a second, and the line of the file with the place in it. */
static void
print_text(struct check *check, const struct problem *problem)
{
	bool warning = problem->kind == ERROR_WARNING;
	size_t length = problem->advice > 0 ? problem->advice - 2 : strlen(problem->message);
	char *what = arena_copy(check->arena, problem->message, length);
	printf("%s", page_style(STYLE_BOLD));
	print_path(check, problem, print_plain);
	if (problem->line > 0)
		printf(":%u:%u", problem->line, problem->column);
	printf(":%s %s%s%s: ", page_plain(), page_style(warning ? STYLE_YELLOW : STYLE_RED),
		severity_of(problem), page_plain());
	page_text(what != NULL ? what : problem->message, NULL);
	printf(" %s[%s]%s\n", page_style(STYLE_DIM), rule_rows[problem->rule].id, page_plain());
	if (problem->advice > 0) {
		printf("  ");
		page_text(problem->message + problem->advice, NULL);
		putchar('\n');
	}
	print_place(check, problem);
}

/* All on one line, as compilers tell it and editors read it. */
static void
print_gcc(struct check *check, const struct problem *problem)
{
	print_path(check, problem, print_plain);
	printf(":%u:%u: %s: ", problem->line > 0 ? problem->line : 1,
		problem->line > 0 ? problem->column : 1, severity_of(problem));
	page_text(problem->message, NULL);
	printf(" [%s]\n", rule_rows[problem->rule].id);
}

/* A text as GitHub's workflow commands want it; a property's needs more escaped than a message. */
static void
print_escaped(const char *text, bool is_property)
{
	for (; *text != '\0'; text++)
		if (strchr("%\r\n", *text) != NULL || (is_property && strchr(":,", *text) != NULL))
			printf("%%%02X", (unsigned char)*text);
		else if (text_control(text, strlen(text)) == 0)
			putchar(*text);
		else
			text += text_utf8_length(text, strlen(text)) - 1;
}

static void
print_property(const char *text)
{
	print_escaped(text, true);
}

static void
print_github(struct check *check, const struct problem *problem)
{
	printf("::%s file=", severity_of(problem));
	print_path(check, problem, print_property);
	if (problem->line > 0)
		printf(",line=%u,col=%u", problem->line, problem->column);
	printf("::");
	print_escaped(problem->message, false);
	printf(" [%s]\n", rule_rows[problem->rule].id);
}

static void
print_json(const struct check *check)
{
	struct buffer out = {0};
	buffer_puts(&out, "{\"directory\":");
	json_put_string(&out, check->options->directory);
	buffer_printf(&out,
		",\"files\":%zu,\"prompts\":%zu,\"errors\":%zu,\"warnings\":%zu,"
		"\"problems\":[",
		check->files, check->load->snapshot->n_prompts, check->errors, check->warnings);
	for (size_t i = 0; i < check->n_problems; i++) {
		const struct problem *problem = &check->problems[i];
		buffer_puts(&out, i > 0 ? ",\n{\"file\":" : "\n{\"file\":");
		json_put_string(&out, problem->path);
		buffer_printf(&out,
			",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"rule\":\"%s\","
			"\"message\":",
			problem->line, problem->column, severity_of(problem),
			rule_rows[problem->rule].id);
		json_put_string(&out, problem->message);
		buffer_putc(&out, '}');
	}
	buffer_puts(&out, "]}");
	if (!out.failed)
		puts(out.data);
	buffer_finish(&out);
}

static const char *
plural(size_t number)
{
	return number == 1 ? "" : "s";
}

static void
print_all(struct check *check)
{
	static void (*const printers[N_FORMATS])(struct check *, const struct problem *) = {
		[FORMAT_TEXT] = print_text,
		[FORMAT_GCC] = print_gcc,
		[FORMAT_GITHUB] = print_github};
	if (check->options->format == FORMAT_JSON) {
		print_json(check);
		return;
	}
	for (size_t i = 0; i < check->n_problems; i++)
		printers[check->options->format](check, &check->problems[i]);
	if (check->options->format == FORMAT_TEXT)
		printf("%zu file%s, %zu prompt%s: %zu error%s, %zu warning%s\n", check->files,
			plural(check->files), check->load->snapshot->n_prompts,
			plural(check->load->snapshot->n_prompts), check->errors,
			plural(check->errors), check->warnings, plural(check->warnings));
}

/* Returns the exit status. */
static int
conclude(const struct check *check)
{
	if (check->failed) {
		page_fail("out of memory");
		return EXIT_FAILURE;
	}
	if (check->files == 0) {
		page_fail("no prompt file below \"%s\"\nprompt files end in .yaml, .yml or .json",
			check->options->directory);
		return EXIT_USAGE;
	}
	return check->errors > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Print why a rule is one, or for "all" of each what it says. */
static int
explain(const char *id)
{
	struct quote quote;
	enum rule rule = rule_find(id);
	bool all = strcmp(id, "all") == 0;
	for (int i = 0; all && i < N_RULES; i++)
		printf("%-22s %s\n", rule_rows[i].id, rule_rows[i].sentence);
	if (rule < N_RULES)
		printf("%s\n%s\n", rule_rows[rule].sentence, rule_rows[rule].reason);
	if (all || rule < N_RULES)
		return EXIT_SUCCESS;
	page_fail("there is no rule %s\npromptd check --explain all lists them",
		text_quote(&quote, id));
	return EXIT_USAGE;
}

static int
check_load(const struct options *options, const struct load *load)
{
	struct check check = {.options = options, .load = load, .arena = arena_new()};
	struct error error;
	int status = EXIT_USAGE;
	check.failed = check.arena == NULL;
	if (!check.failed && find_all(&check, &error) != 0) {
		page_error(&error);
	} else {
		if (check.files > 0 && !check.failed)
			print_all(&check);
		status = conclude(&check);
	}
	free(check.problems);
	buffer_finish(&check.path);
	buffer_finish(&check.file);
	if (check.arena != NULL)
		arena_free(check.arena);
	return status;
}

int
cli_check(const struct options *options)
{
	struct load load = {0};
	struct error error;
	int status = EXIT_USAGE;
	if (options->explain != NULL)
		return explain(options->explain);
	if (load_open(&load, options, options->directory, &error) == 0)
		status = check_load(options, &load);
	else
		page_error(&error);
	load_close(&load);
	return status;
}
