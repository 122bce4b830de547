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
#include "core/yaml_text.h"

struct anchor {
	const char *name;
	struct value *value;
	struct errors *errors; /* for a warning where it is not used */
	bool used;
};

struct reader {
	yaml_parser_t parser;
	struct document *document;
	const char *data;
	size_t length;
	size_t ascii; /* so many bytes at the start are a character each */
	size_t index,
		offset; /* behind them: of the character that was looked for last, and its byte */
	void *anchors; /* a tsearch(3) tree of struct anchor, of the current document */
	unsigned level;
};

static struct place
place_of(const yaml_mark_t *mark)
{
	return (struct place){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

static struct value *read_node(struct reader *, yaml_event_t *);

/* The offset of a mark; marks are looked for in the order of the text. */
static unsigned
offset_of(struct reader *reader, const yaml_mark_t *mark)
{
	if (mark->index <= reader->ascii)
		return (unsigned)mark->index;
	for (; reader->index < mark->index && reader->offset < reader->length; reader->index++)
		do
			reader->offset++;
		while (reader->offset < reader->length &&
			((unsigned char)reader->data[reader->offset] & 0xc0) == 0x80);
	return (unsigned)reader->offset;
}

/* Where the text ends but for blank lines. */
static size_t
text_end(const struct reader *reader)
{
	size_t end = reader->length;
	while (end > 0 && strchr(" \t\r\n", reader->data[end - 1]) != NULL)
		end--;
	return end;
}

static void
add_syntax_error(struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	size_t offset = offset_of(reader, &parser->problem_mark);
	bool is_at_end = offset >= text_end(reader);
	bool is_tab = !is_at_end && reader->data[offset] == '\t';
	bool is_open = is_at_end && parser->context != NULL &&
		       (strstr(parser->context, "quoted") != NULL ||
			       strstr(parser->context, "flow") != NULL);
	struct place place = place_of(is_open ? &parser->context_mark : &parser->problem_mark);
	if (parser->error == YAML_MEMORY_ERROR || parser->problem == NULL)
		return;
	if (parser->error == YAML_READER_ERROR)
		text_place(reader->data,
			parser->problem_offset < reader->length ? parser->problem_offset
								: reader->length,
			&place.line, &place.column);
	if (is_tab && strncmp(parser->problem, "found character", 15) == 0)
		errors_add(reader->document->errors, ERROR_SYNTAX, place.line, place.column,
			"a tab, which YAML does not take for indentation\nindent with spaces");
	else if (parser->context != NULL)
		errors_add(reader->document->errors, ERROR_SYNTAX, place.line, place.column,
			"%s, %s that starts on line %zu\n%s", parser->problem, parser->context,
			parser->context_mark.line + 1, yaml_text_remedy(parser->problem));
	else
		errors_add(reader->document->errors, ERROR_SYNTAX, place.line, place.column,
			"%s\n%s", parser->problem, yaml_text_remedy(parser->problem));
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

/* An anchor of a text that no alias names is likely the text's own beginning. The anchor is the arena's. */
static void
let_go(void *item)
{
	const struct anchor *anchor = item;
	const struct value *value = anchor->value;
	struct quote quote;
	if (!anchor->used && value->kind == VALUE_STRING && anchor->errors->count == 0)
		errors_warn(anchor->errors, RULE_DOUBTFUL, value->line, value->column,
			"the anchor %s is not used, and no part of the text\nquote text that "
			"starts with "
			"&, or remove it",
			text_quote(&quote, anchor->name));
}

static void
forget_anchors(struct reader *reader)
{
	tdestroy(reader->anchors, let_go);
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
	*anchor = (struct anchor){.name = copy, .value = value, .errors = reader->document->errors};
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
	if (found != NULL)
		(*found)->used = true;
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
	return document_value(
		reader->document, VALUE_STRING, "", at.line, at.column); /* likely text */
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
			"YAML 1.1 readers take %s for %s\nquote it if it is text%s",
			text_quote(&quote, text), other,
			strncmp(other, "the boolean", 11) == 0 ? ", else write true or false" : "");
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

/* Whether a comment begins behind an offset on the same line. */
static bool
has_comment_at(const struct reader *reader, size_t offset)
{
	size_t at = offset;
	while (at < reader->length && (reader->data[at] == ' ' || reader->data[at] == '\t'))
		at++;
	return at > offset && at < reader->length && reader->data[at] == '#';
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
	value->start = offset_of(reader, &event->start_mark);
	value->end = offset_of(reader, &event->end_mark);
	value->cut = is_plain(event) && has_comment_at(reader, value->end);
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
			"a key must be plain text\nquote text that starts with {, [, * or &, or "
			"write it behind |-");
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

int
yaml_parse(struct document *document, const char *data, size_t length)
{
	size_t skipped = text_mark_length(data, length); /* takes up no column */
	data += skipped;
	length -= skipped;
	struct reader reader = {.document = document, .data = data, .length = length};
	if (document_check_text(document, data, length) != 0 ||
		yaml_text_check(document->errors, data, length) != 0)
		return -1;
	if (!yaml_parser_initialize(&reader.parser))
		return -1;
	reader.ascii = reader.index = reader.offset = text_ascii_span(data, length);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)data, length);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	int result = read_stream(&reader);
	yaml_parser_delete(&reader.parser);
	return result;
}
