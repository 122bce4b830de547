/* show.c -- the commands that show what would be served: list, show, render, revision. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/snapshot.h"
#include "server/options.h"

/* Load the directory, do something with it, and end. */
static int
with_load(const struct options *options, int (*act)(const struct load *, const struct options *))
{
	struct load load = {0};
	struct error error;
	int status = EXIT_FAILURE;
	if (load_open(&load, options, options->directory, &error) == 0) {
		load_tell_problems(&load, options->directory);
		status = act(&load, options);
	} else {
		page_error(&error);
	}
	load_close(&load);
	return status;
}

static void
print_indented(const struct value *json)
{
	struct buffer text = {0};
	json_put_indented(&text, json, 0);
	if (!text.failed)
		puts(text.data);
	buffer_finish(&text);
}

/* Print an item of a JSON list on a line of its own. */
static void
print_line(const struct value *item, bool is_first)
{
	struct buffer text = {0};
	json_put_value(&text, item);
	printf("%s%s", is_first ? "" : ",\n", text.failed ? "" : text.data);
	buffer_finish(&text);
}

/* A member's text, or what stands for none. */
static const char *
text_of(const struct value *map, const char *key, const char *none)
{
	const struct value *member = document_find(map, key);
	return member != NULL && member->kind == VALUE_STRING ? member->text : none;
}

/* The labels of a map, with commas between, in the answer's arena. */
static const char *
labels_of(struct arena *arena, const struct value *map)
{
	const char *all = "-";
	const struct value *labels = document_find(map, "labels");
	for (const struct value *label = labels->first; label != NULL; label = label->next)
		all = label == labels->first ? label->text
					     : arena_printf(arena, "%s,%s", all, label->text);
	return all;
}

/* Put a text with what a target cannot hold percent-encoded, slashes too: RFC 3986 section 2.3. */
static void
put_encoded(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~@", *text) != NULL)
			buffer_putc(out, *text);
		else
			buffer_printf(out, "%%%02X", (unsigned char)*text);
}

/* Print a page of the list; the table's head only with the first. */
static void
print_page(const struct answer *answer, const struct value *prompts, const struct options *options,
	bool is_first)
{
	static const char *const head[] = {
		"ID", "VERSION", "LABELS", "MODEL", "PROJECT", "DESCRIPTION"};
	enum { COLUMNS = sizeof(head) / sizeof(head[0]) };
	const char **cells =
		arena_array(answer->arena, prompts->count * COLUMNS + 1, sizeof(const char *));
	size_t at = 0;
	for (const struct value *row = prompts->first; cells != NULL && row != NULL;
		row = row->next) {
		cells[at++] = text_of(row, "prompt_id", "-");
		cells[at++] = text_of(row, "version", "-");
		cells[at++] = labels_of(answer->arena, row);
		cells[at++] = text_of(row, "model", "-");
		cells[at++] = text_of(row, "project_name", "-");
		cells[at++] = text_of(row, "description", "-");
		if (options->format == FORMAT_JSON)
			print_line(row, is_first && row == prompts->first);
	}
	if (cells != NULL && options->format != FORMAT_JSON)
		page_table(is_first ? head : NULL, COLUMNS, cells, prompts->count);
}

static int
list(const struct load *load, const struct options *options)
{
	struct buffer target = {0};
	bool is_first = true, more = true;
	int status = EXIT_SUCCESS;
	buffer_puts(&target, "/prompts");
	if (options->format == FORMAT_JSON)
		putchar('[');
	while (more && status == EXIT_SUCCESS) {
		struct answer answer;
		const struct value *json =
			ask(&answer, load, options, METHOD_GET, target.data, NULL);
		const struct value *cursor =
			json != NULL ? document_find(json, "next_cursor") : NULL;
		more = cursor != NULL;
		status = json != NULL ? EXIT_SUCCESS : EXIT_FAILURE;
		if (json != NULL)
			print_page(&answer, document_find(json, "prompts"), options, is_first);
		if (more) {
			buffer_clear(&target);
			buffer_puts(&target, "/prompts?cursor=");
			put_encoded(&target, cursor->text);
		}
		ask_end(&answer);
		is_first = false;
	}
	if (options->format == FORMAT_JSON)
		puts("]");
	buffer_finish(&target);
	return status;
}

/* Ask about the prompt that the first operand names. */
static const struct value *
ask_about(struct answer *answer, const struct load *load, const struct options *options,
	const char *verb, const char *body)
{
	struct buffer target = {0};
	buffer_puts(&target, "/prompts/");
	put_encoded(&target, options->operands[0]);
	buffer_puts(&target, verb);
	const struct value *json = ask(answer, load, options,
		body != NULL ? METHOD_POST : METHOD_GET, target.failed ? "/" : target.data, body);
	buffer_finish(&target);
	return json;
}

/* A head, and a text below it. */
static void
print_section(const char *name, const char *text)
{
	printf("%s", page_style(STYLE_BOLD));
	page_text(name, NULL);
	printf("%s\n  ", page_plain());
	page_text(text, "  ");
	puts("");
}

static void
print_json_section(const char *name, const struct value *value)
{
	struct buffer text = {0};
	json_put_value(&text, value);
	if (!text.failed)
		print_section(name, text.data);
	buffer_finish(&text);
}

static void
print_messages(const struct value *messages)
{
	for (const struct value *message = messages->first; message != NULL;
		message = message->next) {
		const struct value *content = document_find(message, "content");
		const char *role = text_of(message, "role", "-");
		if (content != NULL && content->kind == VALUE_STRING)
			print_section(role, content->text);
		else
			print_json_section(role, message);
	}
}

static void
print_variables(const struct value *variables)
{
	if (variables == NULL || variables->first == NULL)
		return;
	printf("%svariables%s\n", page_style(STYLE_BOLD), page_plain());
	for (const struct value *variable = variables->first; variable != NULL;
		variable = variable->next) {
		const struct value *required = document_find(variable, "required");
		const struct value *fallback = document_find(variable, "default");
		const char *description = text_of(variable, "description", NULL);
		printf("  ");
		page_text(variable->key, NULL);
		if (fallback != NULL && fallback->text != NULL) {
			printf(" = ");
			page_text(fallback->text, NULL);
		} else if (required != NULL && !required->truth) {
			printf(" (optional)");
		}
		if (description != NULL) {
			printf(": ");
			page_text(description, NULL);
		}
		puts("");
	}
}

static void
print_prompt(struct answer *answer, const struct value *json)
{
	static const char *const facts[] = {
		"version", "prompt_template_model", "project_name", "slug", "description", "state"};
	const struct value *source = document_find(json, "source");
	const struct value *params = document_find(json, "prompt_template_optional_params");
	printf("%s", page_style(STYLE_BOLD));
	page_text(text_of(json, "prompt_id", "-"), NULL);
	printf("%s\n", page_plain());
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		const char *text = text_of(json, facts[i], NULL);
		if (text == NULL)
			continue;
		printf("  %s: ",
			strcmp(facts[i], "prompt_template_model") == 0 ? "model" : facts[i]);
		page_text(text, "    ");
		puts("");
	}
	printf("  labels: %s\n  file: ", labels_of(answer->arena, json));
	page_text(text_of(source, "file", "-"), NULL);
	printf(":%s\n", document_find(source, "line")->text);
	if (params != NULL && params->kind == VALUE_MAP)
		print_json_section("parameters", params);
	print_variables(document_find(json, "variables"));
	print_messages(document_find(json, "prompt_template"));
}

static int
show(const struct load *load, const struct options *options)
{
	struct answer answer;
	const struct value *json = ask_about(&answer, load, options, "", NULL);
	if (json != NULL && options->format == FORMAT_JSON)
		print_indented(json);
	else if (json != NULL)
		print_prompt(&answer, json);
	ask_end(&answer);
	return json != NULL ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Make the body of a rendering from NAME=VALUE operands. Returns false where one is not of that form. */
static bool
put_values(struct buffer *out, char **operands)
{
	buffer_puts(out, "{\"variables\":{");
	for (; *operands != NULL; operands++) {
		char *equals = strchr(*operands, '=');
		if (equals == NULL || equals == *operands) {
			page_fail("\"%s\" is not NAME=VALUE\nsee promptd render --help", *operands);
			return false;
		}
		*equals = '\0';
		json_put_key(out, *operands);
		json_put_string(out, equals + 1);
		*equals = '=';
	}
	buffer_puts(out, "}}");
	return !out->failed;
}

static int
render(const struct load *load, const struct options *options)
{
	struct answer answer = {0};
	struct buffer body = {0};
	const struct value *json = NULL;
	int status = EXIT_FAILURE;
	if (!put_values(&body, options->operands + 1))
		status = EXIT_USAGE;
	else
		json = ask_about(&answer, load, options, "/render", body.data);
	if (json != NULL && options->format == FORMAT_JSON)
		print_indented(json);
	else if (json != NULL)
		print_messages(document_find(json, "messages"));
	ask_end(&answer);
	buffer_finish(&body);
	return json != NULL ? EXIT_SUCCESS : status;
}

static int
revision(const struct load *load, const struct options *options)
{
	printf(options->format == FORMAT_JSON ? "{\"revision\":\"%s\"}\n" : "%s\n",
		load->snapshot->revision);
	return EXIT_SUCCESS;
}

int
cli_list(const struct options *options)
{
	return with_load(options, list);
}

int
cli_show(const struct options *options)
{
	return with_load(options, show);
}

int
cli_render(const struct options *options)
{
	return with_load(options, render);
}

int
cli_revision(const struct options *options)
{
	return with_load(options, revision);
}
