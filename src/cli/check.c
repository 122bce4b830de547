/* check.c -- says what is wrong with the prompt files, in the server's own words. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/lint.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"
#include "server/cycle.h"
#include "server/loader.h"
#include "server/options.h"

enum { MAX_SHOWN_BYTES = 160 }; /* of a source line */

/* A problem first, so that problem_compare orders findings. */
struct finding {
	struct problem problem; /* borrowed parts */
	const char *rule;
};

struct check {
	const struct options *options;
	const struct load *load;
	struct arena *arena;
	struct buffer path, file; /* the file read last, and its content */
	size_t files, errors, warnings;
	struct finding *findings;
	size_t n_findings, capacity;
	bool failed; /* memory was out */
};

/* Read a prompt file, unless it is the one read last. What cannot be read is empty. */
static void
read_file(struct check *check, const char *path)
{
	char block[16 * 1024];
	if (check->path.length > 0 && strcmp(check->path.data, path) == 0)
		return;
	buffer_clear(&check->file);
	buffer_clear(&check->path);
	buffer_printf(&check->path, "%s/%s", check->options->directory, path);
	FILE *file = check->path.failed ? NULL : fopen(check->path.data, "re");
	for (size_t length; file != NULL && (length = fread(block, 1, sizeof(block), file)) > 0;)
		buffer_put(&check->file, block, length);
	if (file != NULL)
		fclose(file);
	buffer_clear(&check->path);
	buffer_puts(&check->path, path);
}

/* Whether a warning is not wanted. */
static bool
is_ignored(struct check *check, const struct problem *problem, const char *rule)
{
	const struct option_names *ignored = &check->options->ignored;
	if (problem->kind != ERROR_WARNING)
		return false;
	for (size_t i = 0; i < ignored->count; i++)
		if (strcmp(ignored->items[i], rule) == 0)
			return true;
	read_file(check, problem->path);
	return check->file.length > 0 &&
	       lint_is_ignored(check->file.data, check->file.length, rule);
}

static void
on_finding(void *context, const char *rule, const struct problem *problem)
{
	struct check *check = context;
	if (is_ignored(check, problem, rule))
		return;
	if (check->n_findings == check->capacity) {
		size_t capacity = check->capacity == 0 ? 64 : 2 * check->capacity;
		struct finding *findings = realloc(check->findings, capacity * sizeof(*findings));
		check->failed |= findings == NULL;
		if (findings == NULL)
			return;
		check->findings = findings;
		check->capacity = capacity;
	}
	check->findings[check->n_findings++] = (struct finding){*problem, rule};
	if (problem->kind == ERROR_WARNING)
		check->warnings++;
	else
		check->errors++;
}

static struct lint
lint_for(struct check *check)
{
	return (struct lint){check->arena, check->options->stock_client, on_finding, check};
}

/* The loader's warnings of a file, whose errors are the snapshot's, and those of the rules. */
static void
on_file(void *context, const struct file_report *report)
{
	struct check *check = context;
	const struct unit *unit = report->faulty != NULL ? report->faulty : report->served;
	const struct lint lint = lint_for(check);
	check->files++;
	for (size_t i = 0; unit != NULL && i < unit->n_problems; i++)
		if (unit->problems[i].kind == ERROR_WARNING)
			on_finding(check, lint_id_of(&unit->problems[i]), &unit->problems[i]);
	if (report->faulty != NULL || report->served == NULL)
		return;
	read_file(check, report->path);
	if (check->file.length > 0 && !check->file.failed)
		lint_file(&lint, report->path, check->file.data, check->file.length,
			&check->load->rules);
}

static void
find_all(struct check *check)
{
	const struct snapshot *snapshot = check->load->snapshot;
	const struct lint lint = lint_for(check);
	for (size_t i = 0; i < snapshot->n_problems; i++)
		on_finding(check, lint_id_of(&snapshot->problems[i]), &snapshot->problems[i]);
	loader_report(cycle_loader(check->load->cycle), on_file, check);
	lint_snapshot(&lint, snapshot, check->options->default_labels.items);
	if (check->n_findings > 0)
		qsort(check->findings, check->n_findings, sizeof(*check->findings),
			problem_compare);
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
		printf("  %s", page_style(STYLE_DIM));
		page_text(line.data, NULL);
		printf("\n  ");
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

static void
print_text(struct check *check, const struct finding *finding)
{
	const struct problem *problem = &finding->problem;
	bool warning = problem->kind == ERROR_WARNING;
	printf("%s", page_style(STYLE_BOLD));
	page_text(problem->path, NULL);
	if (problem->line > 0)
		printf(":%u:%u", problem->line, problem->column);
	printf(":%s %s%s%s: ", page_plain(), page_style(warning ? STYLE_YELLOW : STYLE_RED),
		warning ? "warning" : "error", page_plain());
	page_text(problem->message, NULL);
	printf(" %s[%s]%s\n", page_style(STYLE_DIM), finding->rule, page_plain());
	print_place(check, problem);
}

/* A text as GitHub's workflow commands want it; a property's needs more escaped than a message. */
static void
print_escaped(const char *text, bool is_property)
{
	for (; *text != '\0'; text++)
		if (strchr("%\r\n", *text) != NULL || (is_property && strchr(":,", *text) != NULL))
			printf("%%%02X", (unsigned char)*text);
		else
			putchar(*text);
}

static void
print_github(const struct check *check, const struct finding *finding)
{
	const struct problem *problem = &finding->problem;
	printf("::%s file=", problem->kind == ERROR_WARNING ? "warning" : "error");
	print_escaped(check->options->directory, true);
	if (strcmp(problem->path, ".") != 0) {
		putchar('/');
		print_escaped(problem->path, true);
	}
	if (problem->line > 0)
		printf(",line=%u,col=%u", problem->line, problem->column);
	printf("::");
	print_escaped(problem->message, false);
	printf(" [%s]\n", finding->rule);
}

static void
print_json(const struct check *check)
{
	struct buffer out = {0};
	buffer_printf(&out,
		"{\"files\":%zu,\"prompts\":%zu,\"errors\":%zu,\"warnings\":%zu,"
		"\"problems\":[",
		check->files, check->load->snapshot->n_prompts, check->errors, check->warnings);
	for (size_t i = 0; i < check->n_findings; i++) {
		const struct problem *problem = &check->findings[i].problem;
		buffer_puts(&out, i > 0 ? ",\n{\"file\":" : "\n{\"file\":");
		json_put_string(&out, problem->path);
		buffer_printf(&out,
			",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"rule\":\"%s\","
			"\"message\":",
			problem->line, problem->column,
			problem->kind == ERROR_WARNING ? "warning" : "error",
			check->findings[i].rule);
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
	if (check->options->format == FORMAT_JSON) {
		print_json(check);
		return;
	}
	for (size_t i = 0; i < check->n_findings; i++)
		if (check->options->format == FORMAT_GITHUB)
			print_github(check, &check->findings[i]);
		else
			print_text(check, &check->findings[i]);
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
		fprintf(stderr, "promptd: out of memory\n");
		return EXIT_FAILURE;
	}
	if (check->files == 0) {
		fprintf(stderr,
			"promptd: no prompt file below \"%s\": they end in .yaml, .yml or .json\n",
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
	const struct lint_rule *rule = lint_find(id);
	for (size_t i = 0; strcmp(id, "all") == 0 && i < n_lint_rules; i++)
		printf("%-22s %s\n", lint_rules[i].id, lint_rules[i].sentence);
	if (rule != NULL)
		printf("%s\n%s\n", rule->sentence, rule->reason);
	if (rule != NULL || strcmp(id, "all") == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "promptd: there is no rule %s: promptd check --explain all lists them\n",
		text_quote(&quote, id));
	return EXIT_USAGE;
}

/* Whether each rule that is to be ignored can be; those of errors cannot. */
static bool
can_ignore(const struct option_names *ignored)
{
	struct quote quote;
	for (size_t i = 0; i < ignored->count; i++) {
		const char *id = ignored->items[i];
		bool is_error = false;
		for (int kind = 0; kind < ERROR_WARNING; kind++)
			is_error |= strcmp(id, lint_id_of(&(struct problem){
						       .kind = (enum error_kind)kind})) == 0;
		if (lint_find(id) != NULL && !is_error)
			continue;
		fprintf(stderr,
			"promptd: --ignore %s: %s: promptd check --explain all lists the rules\n",
			text_quote(&quote, id),
			is_error ? "what the server does not serve is no matter of taste"
				 : "there is no such rule");
		return false;
	}
	return true;
}

static int
check_load(const struct options *options, const struct load *load)
{
	struct check check = {.options = options, .load = load, .arena = arena_new()};
	check.failed = check.arena == NULL;
	if (!check.failed)
		find_all(&check);
	if (check.files > 0 && !check.failed)
		print_all(&check);
	int status = conclude(&check);
	free(check.findings);
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
	if (!can_ignore(&options->ignored))
		return EXIT_USAGE;
	if (load_open(&load, options, options->directory, &error) == 0)
		status = check_load(options, &load);
	else
		fprintf(stderr, "promptd: %s\n", error.message);
	load_close(&load);
	return status;
}
