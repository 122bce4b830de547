/* check.c -- says what is wrong with the prompt files, in the server's own words. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/page.h"
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

struct check {
	const struct options *options;
	const struct snapshot *snapshot;
	size_t files, errors, warnings;
	struct problem *problems; /* borrowed parts */
	size_t n_problems, capacity;
	bool failed; /* memory was out */
};

static void
add_problem(struct check *check, const struct problem *problem)
{
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

/* The warnings of a file; its errors are the snapshot's. */
static void
on_file(void *context, const struct file_report *report)
{
	struct check *check = context;
	const struct unit *unit = report->faulty != NULL ? report->faulty : report->served;
	check->files++;
	for (size_t i = 0; unit != NULL && i < unit->n_problems; i++)
		if (unit->problems[i].kind == ERROR_WARNING)
			add_problem(check, &unit->problems[i]);
}

/* The text of a line of a file, without its end; false where it cannot be had. */
static bool
read_line(const struct check *check, const struct problem *problem, struct buffer *out)
{
	struct buffer path = {0};
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length = -1;
	buffer_printf(&path, "%s/%s", check->options->directory, problem->path);
	FILE *file = path.failed || problem->line == 0 ? NULL : fopen(path.data, "re");
	for (unsigned i = 0; file != NULL && i < problem->line; i++)
		length = getline(&line, &capacity, file);
	if (length > 0)
		buffer_put(out, line, strcspn(line, "\r\n"));
	if (file != NULL)
		fclose(file);
	free(line);
	buffer_finish(&path);
	return length > 0 && !out->failed && out->length <= MAX_SHOWN_BYTES &&
	       text_utf8_span(out->data, out->length) == out->length;
}

/* Show a line of a file, and the place in it. */
static void
print_place(const struct check *check, const struct problem *problem)
{
	struct buffer line = {0};
	if (read_line(check, problem, &line)) {
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
print_text(const struct check *check, const struct problem *problem)
{
	bool warning = problem->kind == ERROR_WARNING;
	printf("%s", page_style(STYLE_BOLD));
	page_text(problem->path, NULL);
	if (problem->line > 0)
		printf(":%u:%u", problem->line, problem->column);
	printf(":%s %s%s%s: ", page_plain(), page_style(warning ? STYLE_YELLOW : STYLE_RED),
		warning ? "warning" : "error", page_plain());
	page_text(problem->message, NULL);
	puts("");
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
print_github(const struct check *check, const struct problem *problem)
{
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
	puts("");
}

static void
print_json(const struct check *check)
{
	struct buffer out = {0};
	buffer_printf(&out,
		"{\"files\":%zu,\"prompts\":%zu,\"errors\":%zu,\"warnings\":%zu,"
		"\"problems\":[",
		check->files, check->snapshot->n_prompts, check->errors, check->warnings);
	for (size_t i = 0; i < check->n_problems; i++) {
		const struct problem *problem = &check->problems[i];
		buffer_puts(&out, i > 0 ? ",\n{\"file\":" : "\n{\"file\":");
		json_put_string(&out, problem->path);
		buffer_printf(&out, ",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"message\":",
			problem->line, problem->column,
			problem->kind == ERROR_WARNING ? "warning" : "error");
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
print_all(const struct check *check)
{
	if (check->options->format == FORMAT_JSON) {
		print_json(check);
		return;
	}
	for (size_t i = 0; i < check->n_problems; i++)
		if (check->options->format == FORMAT_GITHUB)
			print_github(check, &check->problems[i]);
		else
			print_text(check, &check->problems[i]);
	if (check->options->format == FORMAT_TEXT)
		printf("%zu file%s, %zu prompt%s: %zu error%s, %zu warning%s\n", check->files,
			plural(check->files), check->snapshot->n_prompts,
			plural(check->snapshot->n_prompts), check->errors, plural(check->errors),
			check->warnings, plural(check->warnings));
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

int
cli_check(const struct options *options)
{
	struct load load = {0};
	struct error error;
	int status = EXIT_USAGE;
	if (load_open(&load, options, &error) == 0) {
		struct check check = {.options = options, .snapshot = load.snapshot};
		for (size_t i = 0; i < load.snapshot->n_problems; i++)
			add_problem(&check, &load.snapshot->problems[i]);
		loader_report(cycle_loader(load.cycle), on_file, &check);
		if (check.n_problems > 0)
			qsort(check.problems, check.n_problems, sizeof(*check.problems),
				problem_compare);
		if (check.files > 0)
			print_all(&check);
		status = conclude(&check);
		free(check.problems);
	} else {
		fprintf(stderr, "promptd: %s\n", error.message);
	}
	load_close(&load);
	return status;
}
