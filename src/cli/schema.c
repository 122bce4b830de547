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
#include "core/params.h"
#include "core/prompt.h"
#include "core/variables.h"
#include "server/options.h"

/* A member of a list of allOf by itself has a message of its own. All this is as in core/schema.h. */
#define REQUIRED(key) "{'required':['" key "'],'errorMessage':'" key " is missing: add it'}"
#define OF_MAP(what) \
	"{'type':['object'],'errorMessage':'" what \
	" must be a mapping: write a mapping, KEY: VALUE'}"
#define OF_TEXT(key) \
	"'" key "':{'type':'string','errorMessage':'" key \
	" must be a string: put it in quotes, or write it behind |-'"

/* What message.c and prompt.c ask of the parts of a prompt. */
static const char definitions[] =
	/* clang-format off */
	"'message':{'title':'message','description':'One message: a role and a content; further keys pass through.',"
		"'defaultSnippets':[{'label':'message','body':{'role':'${1:user}','content':'$2'}}],"
		"'allOf':[" OF_MAP("a message") "," REQUIRED("role") "],"
		"'properties':{"
			OF_TEXT("role") ",'pattern':'.','patternErrorMessage':'role is empty: write system, user or assistant',"
				"'description':'Who speaks.','examples':['system','user','assistant']},"
			"'content':{'description':'Text, a list of parts, or null beside tool_calls.',"
				"'items':{'$ref':'#/$defs/part'}}},"
		"'if':{'required':['tool_calls'],'properties':{'tool_calls':{'type':['array','object','string','number','boolean']}}},"
		"'then':{'properties':{'content':{'type':['string','array','null'],"
			"'errorMessage':'content must be a string: put it in quotes, or write it behind |-'}}},"
		"'else':{'allOf':[" REQUIRED("content") ",{'properties':{'content':{'type':['string','array'],"
			"'errorMessage':'content must be a string: put it in quotes, or write it behind |-'}}}]}},"
	"'part':{'title':'part','description':'A part of a content; one of the type text has a text.',"
		"'allOf':[" OF_MAP("a part of content") "," REQUIRED("type") "],"
		"'properties':{" OF_TEXT("type") ",'description':'text, image_url, …'}},"
		"'if':{'required':['type'],'properties':{'type':{'const':'text'}}},"
		"'then':{'allOf':[" REQUIRED("text") ",{'properties':{" OF_TEXT("text") "}}}]}},";
/* clang-format on */

/* Put JSON that is written with ' for ". */
static void
put(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		buffer_putc(out, *text == '\'' ? '"' : *text);
}

/* Begin a further item of a list. */
static void
next(struct buffer *out)
{
	if (!out->failed && out->length > 0 && strchr("[{(", out->data[out->length - 1]) == NULL)
		buffer_putc(out, ',');
}

static void
put_key(void *context, const struct schema_key *key)
{
	struct buffer *out = context;
	next(out);
	json_put_string(out, key->name);
	buffer_putc(out, ':');
	put(out, key->schema);
	out->length -= out->length > 0; /* its last brace */
	json_put_key(out, "description");
	json_put_string(out, key->help);
	buffer_putc(out, '}');
}

static void
put_required(void *context, const struct schema_key *key)
{
	struct buffer *out = context;
	if (!key->required)
		return;
	next(out);
	buffer_printf(out, "{\"required\":[\"%s\"],\"errorMessage\":\"%s is missing: add it\"}",
		key->name, key->name);
}

/* A word that people use for a key is unknown, and its message says which key is meant. */
static void
put_other_name(void *context, const char *word, const char *key)
{
	struct buffer *out = context;
	next(out);
	buffer_printf(out,
		"{\"properties\":{\"%s\":false},\"errorMessage\":\"unknown key \\\"%s\\\": did "
		"you mean \\\"%s\\\"?\"}",
		word, word, key);
}

static void
put_word(void *context, const char *word, const char *key)
{
	(void)key;
	buffer_printf(context, "|%s", word);
}

/* Put a pattern of fnmatch(3) as a regular expression. */
static void
put_pattern(void *context, const char *pattern)
{
	struct buffer *out = context;
	if (!out->failed && out->data[out->length - 1] != ':')
		buffer_putc(out, '|');
	for (; *pattern != '\0'; pattern++)
		buffer_printf(out, *pattern == '*' ? ".%c" : "%c", *pattern);
}

/* The parameters that a prompt must not set, but for those that are allowed. */
static void
put_parameters(struct buffer *out, const char *const *allowed)
{
	put(out, "'parameters':{'errorMessage':'the parameter would take the request over: remove "
		 "it, or start promptd with --allow-param','patternProperties':{'^");
	if (*allowed != NULL) {
		buffer_puts(out, "(?!(?:");
		for (size_t i = 0; allowed[i] != NULL; i++) {
			buffer_puts(out, i > 0 ? "|" : "");
			buffer_puts(out, allowed[i]);
		}
		buffer_puts(out, ")$)");
	}
	buffer_puts(out, "(?:");
	params_each_forbidden(put_pattern, out);
	put(out, ")$':false}},");
}

static void
put_variable(struct buffer *out)
{
	put(out, "'variable':{'title':'variable','description':'What stands in braces; null only "
		 "declares it.',"
		 "'allOf':[{'type':['object','null'],"
		 "'errorMessage':'a variable must be a mapping: write a mapping, KEY: VALUE'}],"
		 "'additionalProperties':false,"
		 "'errorMessage':'unknown key: a variable has description, required and default',"
		 "'properties':{");
	variables_each_key(put_key, out);
	put(out, "}},");
}

static void
put_prompt(struct buffer *out)
{
	put(out, "'prompt':{'title':'prompt','allOf':[" OF_MAP("a prompt") "");
	prompt_each_key(put_required, out);
	prompt_each_other_name(put_other_name, out);
	put(out,
		"],'additionalProperties':false,"
		"'errorMessage':'unknown key: keys of your own go under metadata or start with x-',"
		"'patternProperties':{'^x-':true,'^([$]schema");
	prompt_each_other_name(put_word, out);
	put(out, ")$':true},'properties':{");
	prompt_each_key(put_key, out);
	put(out, "}}");
}

static void
put_schema(struct buffer *out, const char *const *allowed_params)
{
	put(out,
		"{'$schema':'https://json-schema.org/draft/2020-12/schema','title':'promptd prompt "
		"file',"
		"'if':{'type':'array'},'then':{'items':{'$ref':'#/$defs/prompt'},'if':{'maxItems':"
		"0},"
		"'then':{'type':'object','errorMessage':'a list without a prompt: delete the file, "
		"or write a prompt'}},"
		"'else':{'$ref':'#/$defs/prompt'},'$defs':{");
	put(out, definitions);
	put_variable(out);
	put_parameters(out, allowed_params);
	put_prompt(out);
	buffer_puts(out, "}}");
}

int
cli_schema(const struct options *options)
{
	struct buffer text = {0}, indented = {0};
	struct errors errors = {.arena = arena_new()};
	struct document document = {.arena = errors.arena, .errors = &errors};
	put_schema(&text, options->allowed_params.items);
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
