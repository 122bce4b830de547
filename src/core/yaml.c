/* yaml.c -- reads YAML 1.2 into a document. */
#include "core/yaml.h"

#include <search.h>
#include <string.h>

#include <yaml.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/scalar.h"
#include "core/text.h"

struct anchor {
	const char *name;
	struct value *value;
};

struct reader {
	yaml_parser_t parser;
	struct document *document;
	const char *data;
	size_t length;
	void *anchors; /* a tsearch(3) tree of struct anchor, of the current document */
	unsigned level;
};

/* Where an event stands, from 1. */
struct place {
	unsigned line, column;
};

static struct place
place_of(const yaml_mark_t *mark)
{
	return (struct place){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static struct value *read_node(struct reader *, yaml_event_t *);

/* What libyaml's terse problems mean to someone who writes prompts. */
static const char *
remedy(const char *problem)
{
	static const struct {
		const char *start, *remedy;
	} remedies[] = {
		{"mapping values",                 "quote text that holds \": \", and check the indentation"   },
		{"found character",                "indent with spaces, and quote text that starts with @ or `"},
		{"did not find expected key",      "check the indentation, and quote the whole text"           },
		{"did not find expected '-'",      "align each - of the list, and what belongs to it"          },
		{"did not find expected alpha",    "quote text that starts with * or &"                        },
		{"did not find expected ','",      "is a bracket not closed?"                                  },
		{"found unexpected end of stream", "is a quote not closed?"                                    },
		{"found unexpected document",      "is a quote not closed?"                                    },
		{"found unknown escape",           "write a backslash twice, or use single quotes"             },
		{"found incompatible YAML",        "remove the %YAML line"                                     },
		{"control characters",             "write them as escapes in double quotes"                    },
	};
	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strncmp(problem, remedies[i].start, strlen(remedies[i].start)) == 0)
			return remedies[i].remedy;
	return "check the indentation, and quote text with special characters";
}

static void
add_syntax_error(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	struct place place = place_of(&parser->problem_mark);
	if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
		return;
	if (parser->error == YAML_READER_ERROR)
		text_place(reader->data,
			parser->problem_offset < reader->length ? parser->problem_offset
								: reader->length,
			&place.line, &place.column);
	if (parser->context != NULL)
		errors_add(reader->document->errors, ERROR_SYNTAX, place.line, place.column,
			"%s, %s that starts on line %zu\n%s", parser->problem, parser->context,
			parser->context_mark.line + 1, remedy(parser->problem));
	else
		errors_add(reader->document->errors, ERROR_SYNTAX, place.line, place.column,
			"%s\n%s", parser->problem, remedy(parser->problem));
}

static int
next_event(struct reader *reader, yaml_event_t *event)
{
	if (yaml_parser_parse(&reader->parser, event))
		return 0;
	add_syntax_error(reader);
	return -1;
}

static int
compare_anchors(const void *a, const void *b)
{
	const struct anchor *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static void
keep_anchor(void *anchor)
{
	(void)anchor; /* it is the arena's */
}

static void
forget_anchors(struct reader *reader)
{
	tdestroy(reader->anchors, keep_anchor);
	reader->anchors = NULL;
}

/* Remember a value under its anchor; a later one of the same name takes its place. */
static int
add_anchor(struct reader *reader, const yaml_char_t *name, struct value *value)
{
	struct arena *arena = reader->document->arena;
	if (name == NULL)
		return 0;
	struct anchor *anchor = arena_alloc(arena, sizeof(*anchor));
	char *copy = arena_copy(arena, (const char *)name, strlen((const char *)name));
	if (anchor == NULL || copy == NULL)
		return -1;
	*anchor = (struct anchor){copy, value};
	struct anchor **found = tsearch(anchor, &reader->anchors, compare_anchors);
	if (found == NULL)
		return -1;
	(*found)->value = value;
	return 0;
}

static struct value *
read_alias(struct reader *reader, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct place at = place_of(&event->start_mark);
	struct errors *errors = reader->document->errors;
	struct anchor **found =
		tfind(&(struct anchor){.name = name}, &reader->anchors, compare_anchors);
	struct quote quote;
	if (found != NULL && !(*found)->value->open)
		return document_alias(reader->document, (*found)->value, at.line, at.column);
	if (found == NULL)
		errors_add(errors, ERROR_SYNTAX, at.line, at.column,
			"the alias %s has no anchor before it\nquote text that starts with *",
			text_quote(&quote, name));
	else
		errors_add(errors, ERROR_SYNTAX, at.line, at.column,
			"the alias %s stands inside its own anchor\nremove it",
			text_quote(&quote, name));
	return document_value(reader->document, VALUE_NULL, "", at.line, at.column);
}

/* The kind that a tag asks for; -1 for one that is not known, with an error. */
static int
tag_kind(struct reader *reader, const yaml_char_t *tag, const yaml_mark_t *mark)
{
	static const struct {
		const char *tag;
		enum value_kind kind;
	} tags[] = {
		{"!",		       VALUE_STRING},
		{"tag:yaml.org,2002:str",   VALUE_STRING},
		{"tag:yaml.org,2002:int",   VALUE_NUMBER},
		{"tag:yaml.org,2002:float", VALUE_NUMBER},
		{"tag:yaml.org,2002:bool",  VALUE_BOOL  },
		{"tag:yaml.org,2002:null",  VALUE_NULL  },
		{"tag:yaml.org,2002:seq",   VALUE_LIST  },
		{"tag:yaml.org,2002:map",   VALUE_MAP   },
	};
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strcmp((const char *)tag, tags[i].tag) == 0)
			return (int)tags[i].kind;
	struct quote quote;
	struct place at = place_of(mark);
	errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
		"the tag %s is not one of YAML's own types\nremove it, or quote the text",
		text_quote(&quote, (const char *)tag));
	return -1;
}

/* Copy a scalar's text; NUL, which YAML can escape, cannot be served. */
static const char *
copy_scalar(struct reader *reader, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	struct place at = place_of(&event->start_mark);
	if (memchr(text, '\0', event->data.scalar.length) != NULL)
		errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
			"\\0 in a string, which prompts cannot hold\nremove it");
	return arena_copy(reader->document->arena, text, strlen(text));
}

static bool
is_plain(const yaml_event_t *event)
{
	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* Say where another YAML reader would see something else in a plain scalar. */
static void
warn_of_yaml11(struct reader *reader, const char *text, struct place at)
{
	const char *other = scalar_in_yaml11(text);
	struct quote quote;
	if (other != NULL)
		errors_warn(reader->document->errors, RULE_YAML_1_1, at.line, at.column,
			"YAML 1.1 readers take %s for %s\nquote it if it is text",
			text_quote(&quote, text), other);
}

/* Decide what a scalar is; sets *json to a number's JSON text. */
static enum value_kind
scalar_kind(struct reader *reader, const yaml_event_t *event, const char *text, const char **json)
{
	const yaml_char_t *tag = event->data.scalar.tag;
	struct place at = place_of(&event->start_mark);
	struct quote quote;
	*json = text;
	if (tag == NULL && !is_plain(event))
		return VALUE_STRING;
	int wanted = tag != NULL ? tag_kind(reader, tag, &event->start_mark) : -1;
	if (wanted == VALUE_STRING || (tag != NULL && wanted < 0))
		return VALUE_STRING;
	enum value_kind kind = scalar_resolve(reader->document->arena, text, json);
	if (tag == NULL)
		warn_of_yaml11(reader, text, at);
	else if ((int)kind != wanted)
		errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
			"%s does not fit its tag\nremove the tag", text_quote(&quote, text));
	if (*json == NULL)
		errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
			"the number %s %s\nquote it if it is text", text_quote(&quote, text),
			*text == '0' ? "has more than 64 bits" : "has no form in JSON");
	return kind;
}

static struct value *
read_scalar(struct reader *reader, const yaml_event_t *event)
{
	struct place at = place_of(&event->start_mark);
	const char *json, *text = copy_scalar(reader, event);
	if (text == NULL)
		return NULL;
	enum value_kind kind = scalar_kind(reader, event, text, &json);
	struct value *value = document_value(reader->document, kind, text, at.line, at.column);
	if (value == NULL)
		return NULL;
	value->text = json != NULL ? json : text;
	value->truth = kind == VALUE_BOOL && (*text == 't' || *text == 'T');
	return add_anchor(reader, event->data.scalar.anchor, value) == 0 ? value : NULL;
}

/* A key, until the value that stands under it is read. */
struct key {
	const char *text;
	struct place at;
	bool merge;
};

/* Read a key. Returns -1 when reading must stop. */
static int
read_key(struct reader *reader, const yaml_event_t *event, struct key *key)
{
	struct errors *errors = reader->document->errors;
	struct place at = place_of(&event->start_mark);
	if (event->type != YAML_SCALAR_EVENT) {
		errors_add(errors, ERROR_SYNTAX, at.line, at.column,
			"a key must be plain text\nquote one that starts with {, [, * or &");
		return -1;
	}
	*key = (struct key){.text = copy_scalar(reader, event), .at = at};
	if (key->text == NULL)
		return -1;
	key->merge = is_plain(event) && strcmp(key->text, "<<") == 0;
	if (*key->text == '\0' && is_plain(event))
		errors_add(errors, ERROR_SYNTAX, at.line, at.column,
			"a key is missing before \":\"\nwrite one, or quote the text");
	if (event->data.scalar.tag != NULL)
		tag_kind(reader, event->data.scalar.tag, &event->start_mark);
	if (event->data.scalar.anchor == NULL)
		return 0;
	struct value *text =
		document_value(reader->document, VALUE_STRING, key->text, at.line, at.column);
	return text == NULL ? -1 : add_anchor(reader, event->data.scalar.anchor, text);
}

/* Read a map's member whose key is the event given. */
static struct value *
read_member(struct reader *reader, const yaml_event_t *event)
{
	struct key key;
	yaml_event_t next;
	if (read_key(reader, event, &key) != 0 || next_event(reader, &next) != 0)
		return NULL;
	struct value *value = read_node(reader, &next);
	yaml_event_delete(&next);
	if (value == NULL)
		return NULL;
	value->merge = key.merge;
	return document_set_key(reader->document, value, key.text, key.at.line, key.at.column) == 0
		       ? value
		       : NULL;
}

static int
read_children(struct reader *reader, struct value *value, yaml_event_type_t end)
{
	for (;;) {
		yaml_event_t event;
		if (next_event(reader, &event) != 0)
			return -1;
		if (event.type == end) {
			yaml_event_delete(&event);
			return 0;
		}
		struct value *child = value->kind == VALUE_MAP ? read_member(reader, &event)
							       : read_node(reader, &event);
		yaml_event_delete(&event);
		if (child == NULL)
			return -1;
		document_append(value, child);
	}
}

static int
check_levels(struct reader *reader, const struct value *value, struct place at)
{
	if (reader->level + value->levels <= DOCUMENT_MAX_LEVELS)
		return 0;
	errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
		"more than %d levels of lists and mappings\nuse fewer", DOCUMENT_MAX_LEVELS);
	return -1;
}

static struct value *
read_collection(struct reader *reader, const yaml_event_t *event)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *tag =
		is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	const yaml_char_t *anchor =
		is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	enum value_kind kind = is_map ? VALUE_MAP : VALUE_LIST;
	struct place at = place_of(&event->start_mark);
	int wanted = tag != NULL ? tag_kind(reader, tag, &event->start_mark) : -1;
	if (wanted >= 0 && wanted != (int)kind && strcmp((const char *)tag, "!") != 0)
		errors_add(reader->document->errors, ERROR_VALUE, at.line, at.column,
			"%s does not fit its tag\nremove the tag", document_kind_name(kind));
	struct value *value = document_value(reader->document, kind, "", at.line, at.column);
	if (value == NULL || check_levels(reader, value, at) != 0 ||
		add_anchor(reader, anchor, value) != 0)
		return NULL;
	value->open = true;
	reader->level++;
	int result = read_children(
		reader, value, is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT);
	reader->level--;
	return result == 0 && document_close(reader->document, value) == 0 ? value : NULL;
}

/* Read the value that an event begins; NULL when reading must stop. */
static struct value *
read_node(struct reader *reader, yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(reader, event);
	if (event->type != YAML_ALIAS_EVENT)
		return read_collection(reader, event);
	struct value *value = read_alias(reader, event);
	if (value == NULL || check_levels(reader, value, place_of(&event->start_mark)) != 0)
		return NULL;
	return value;
}

/* Read one document; its start event has been read. */
static int
read_document(struct reader *reader)
{
	yaml_event_t event;
	if (next_event(reader, &event) != 0)
		return -1;
	struct value *root = read_node(reader, &event);
	yaml_event_delete(&event);
	if (root == NULL || next_event(reader, &event) != 0)
		return -1;
	yaml_event_delete(&event); /* the document's end */
	document_add(reader->document, root);
	return 0;
}

static int
read_stream(struct reader *reader)
{
	for (;;) {
		yaml_event_t event;
		if (next_event(reader, &event) != 0)
			return -1;
		yaml_event_type_t type = event.type;
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		int result = type == YAML_DOCUMENT_START_EVENT ? read_document(reader) : 0;
		forget_anchors(reader);
		if (result != 0)
			return -1;
	}
}

/* What libyaml would read otherwise than YAML 1.2 says, or in a time that grows with the square of the
 * number: line ends of YAML 1.1 that are plain characters now, and tag directives, of which none would be
 * of use. */
static const struct oddity {
	const char *text;
	bool starts_line;
	const char *message;
} oddities[] = {
	{"\xc2\x85",     false, "the character U+0085\nwrite it as \"\\u0085\""                },
	{"\xe2\x80\xa8", false, "the character U+2028\nwrite it as \"\\u2028\""                },
	{"\xe2\x80\xa9", false, "the character U+2029\nwrite it as \"\\u2029\""                },
	{"%TAG",         true,  "a tag directive\nremove it, as only YAML's own tags are known"},
};

static const char *
find_oddity(const struct oddity *oddity, const char *data, size_t length)
{
	size_t size = strlen(oddity->text);
	const char *end = data + length;
	for (const char *at = data; (at = memchr(at, oddity->text[0], (size_t)(end - at))) != NULL;
		at++) {
		bool starts_line = at == data || at[-1] == '\n' || at[-1] == '\r';
		if ((size_t)(end - at) >= size && memcmp(at, oddity->text, size) == 0 &&
			(starts_line || !oddity->starts_line))
			return at;
	}
	return NULL;
}

static int
refuse_oddities(struct document *document, const char *data, size_t length)
{
	size_t before = document->errors->count;
	for (size_t i = 0; i < sizeof(oddities) / sizeof(oddities[0]); i++) {
		const char *at = find_oddity(&oddities[i], data, length);
		unsigned line, column;
		if (at == NULL)
			continue;
		text_place(data, (size_t)(at - data), &line, &column);
		errors_add(document->errors, ERROR_SYNTAX, line, column, "%s", oddities[i].message);
	}
	return document->errors->count == before ? 0 : -1;
}

int
yaml_parse(struct document *document, const char *data, size_t length)
{
	if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		data += 3; /* a byte order mark may stand at the start, and takes up no column */
		length -= 3;
	}
	struct reader reader = {.document = document, .data = data, .length = length};
	if (document_check_text(document, data, length) != 0 ||
		refuse_oddities(document, data, length) != 0)
		return -1;
	if (!yaml_parser_initialize(&reader.parser))
		return -1;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)data, length);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	int result = read_stream(&reader);
	yaml_parser_delete(&reader.parser);
	return result;
}
