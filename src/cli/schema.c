/* schema.c -- the JSON Schema of a prompt file, made from the keys that the parser knows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"
#include "core/prompt.h"

/* What message.c and prompt.c ask of the parts of a prompt. */
static const char definitions[] =
	"\"message\":{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{"
	"\"role\":{\"type\":\"string\",\"minLength\":1,\"examples\":[\"system\",\"user\","
	"\"assistant\"]},"
	"\"content\":{\"type\":[\"string\",\"array\",\"null\"],\"items\":{\"$ref\":\"#/$defs/"
	"part\"}}},"
	"\"if\":{\"required\":[\"tool_calls\"]},"
	"\"else\":{\"required\":[\"content\"],\"properties\":{\"content\":{\"type\":[\"string\","
	"\"array\"]}}}},"
	"\"part\":{\"type\":\"object\",\"required\":[\"type\"],\"properties\":{\"type\":{\"type\":"
	"\"string\"}},"
	"\"if\":{\"properties\":{\"type\":{\"const\":\"text\"}}},"
	"\"then\":{\"required\":[\"text\"],\"properties\":{\"text\":{\"type\":\"string\"}}}},"
	"\"variable\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
	"\"properties\":{"
	"\"description\":{\"type\":[\"string\",\"null\"]},\"required\":{\"type\":[\"boolean\","
	"\"null\"]},"
	"\"default\":{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}}},";

static void
put_key(void *context, const struct prompt_key *key)
{
	struct buffer *out = context;
	json_put_key(out, key->name);
	buffer_put(out, key->schema, strlen(key->schema) - 1); /* without its last brace */
	json_put_key(out, "description");
	json_put_string(out, key->help);
	buffer_putc(out, '}');
}

static void
put_required(void *context, const struct prompt_key *key)
{
	struct buffer *out = context;
	if (!key->required)
		return;
	if (out->data[out->length - 1] != '[')
		buffer_putc(out, ',');
	json_put_string(out, key->name);
}

static void
put_schema(struct buffer *out)
{
	buffer_puts(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/"
			 "schema\",\"title\":\"promptd prompt file\","
			 "\"if\":{\"type\":\"array\"},\"then\":{\"items\":{\"$ref\":\"#/$defs/"
			 "prompt\"},\"minItems\":1},"
			 "\"else\":{\"$ref\":\"#/$defs/prompt\"},\"$defs\":{");
	buffer_puts(out, definitions);
	buffer_puts(out,
		"\"prompt\":{\"type\":\"object\",\"additionalProperties\":false,"
		"\"patternProperties\":{\"^x-\":true,\"^[$]schema$\":true},\"properties\":{");
	prompt_each_key(put_key, out);
	buffer_puts(out, "},\"required\":[");
	prompt_each_key(put_required, out);
	buffer_puts(out, "]}}}");
}

int
cli_schema(const struct options *options)
{
	struct buffer text = {0}, indented = {0};
	struct errors errors = {.arena = arena_new()};
	struct document document = {.arena = errors.arena, .errors = &errors};
	(void)options;
	put_schema(&text);
	if (errors.arena != NULL && !text.failed &&
		json_parse(&document, text.data, text.length) == 0)
		json_put_indented(&indented, document.first, 0);
	bool good = !indented.failed && indented.length > 0;
	if (good)
		puts(indented.data);
	else
		page_fail("out of memory");
	buffer_finish(&text);
	buffer_finish(&indented);
	if (errors.arena != NULL)
		arena_free(errors.arena);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
