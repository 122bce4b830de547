/* json.c -- reads JSON into a document. */
#include "core/json.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/text.h"

/* cJSON lets through much that RFC 8259 forbids, keeps no places and rounds numbers. So a scanner
 * checks the text first and notes where each key and value stands, in the order of the text; cJSON
 * then builds the tree, and both are walked in step. */
struct mark {
	unsigned line, column;
	unsigned offset, length;
};

struct scanner {
	struct document *document;
	char *data; /* a copy: numbers are blanked for cJSON once their text is kept */
	size_t length, at;
	unsigned line;
	size_t line_start; /* offset of the current line */
	size_t counted; /* up to here, in that line, the columns are counted */
	unsigned column; /* of that offset */
	unsigned level;
	size_t values, most_values;
	struct buffer marks; /* of struct mark */
};

static int scan_value(struct scanner *);

/* The column of an offset in the current line; offsets mostly grow, so counting goes on from the
 * last one. */
static unsigned
column_at(struct scanner *scanner, size_t offset)
{
	if (scanner->counted < scanner->line_start || scanner->counted > offset) {
		scanner->counted = scanner->line_start;
		scanner->column = 1;
	}
	for (; scanner->counted < offset; scanner->counted++)
		scanner->column += ((unsigned char)scanner->data[scanner->counted] & 0xc0) != 0x80;
	return scanner->column;
}

static int
fail_at(struct scanner *scanner, size_t offset, const char *message)
{
	errors_add(scanner->document->errors, ERROR_SYNTAX, scanner->line,
		column_at(scanner, offset), "%s", message);
	return -1;
}

static int
fail_values(struct scanner *scanner)
{
	char message[64];
	snprintf(message, sizeof(message), "more than %zu values\nuse fewer", scanner->most_values);
	return fail_at(scanner, scanner->at, message);
}

static int
peek(const struct scanner *scanner)
{
	return scanner->at < scanner->length ? (unsigned char)scanner->data[scanner->at] : -1;
}

static void
skip_space(struct scanner *scanner)
{
	for (;; scanner->at++) {
		int next = peek(scanner);
		if (next == '\n') {
			scanner->line++;
			scanner->line_start = scanner->at + 1;
		} else if (next != ' ' && next != '\t' && next != '\r') {
			return;
		}
	}
}

/* Note that a key or value stands between start and here. */
static void
add_mark(struct scanner *scanner, size_t start)
{
	struct mark mark = {scanner->line, column_at(scanner, start), (unsigned)start,
		(unsigned)(scanner->at - start)};
	buffer_put(&scanner->marks, &mark, sizeof(mark));
}

/* The code unit of the four digits behind \u at an offset, or -1. */
static int
unicode_escape(const struct scanner *scanner, size_t at)
{
	int unit = 0;
	if (scanner->length - at < 6 || scanner->data[at] != '\\' || scanner->data[at + 1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		int digit = text_hex_digit((unsigned char)scanner->data[at + i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static int
scan_escape(struct scanner *scanner)
{
	size_t start = scanner->at;
	scanner->at += 2;
	if (start + 1 >= scanner->length)
		return fail_at(
			scanner, start, "the string does not end\nclose it with a double quote");
	if (scanner->data[start + 1] != 'u')
		return strchr("\"\\/bfnrt", scanner->data[start + 1]) != NULL &&
				       scanner->data[start + 1] != '\0'
			       ? 0
			       : fail_at(scanner, start,
					 "an escape that JSON does not know\nwrite a backslash as "
					 "\\\\");
	int unit = unicode_escape(scanner, start);
	scanner->at = start + 6;
	if (unit < 0)
		return fail_at(scanner, start,
			"\\u takes four hexadecimal digits\nwrite a backslash as \\\\");
	if (unit == 0)
		return fail_at(scanner, start, "\\u0000, which prompts cannot hold\nremove it");
	if (unit < 0xd800 || unit > 0xdfff)
		return 0;
	int low = unit < 0xdc00 ? unicode_escape(scanner, scanner->at) : -1;
	scanner->at += 6;
	return low >= 0xdc00 && low <= 0xdfff
		       ? 0
		       : fail_at(scanner, start,
				 "half of a surrogate pair\nwrite both, or the character itself");
}

static int
scan_string(struct scanner *scanner)
{
	size_t start = scanner->at++;
	for (;;) {
		scanner->at +=
			text_json_span(scanner->data + scanner->at, scanner->length - scanner->at);
		int next = peek(scanner);
		if (next < 0)
			return fail_at(scanner, start,
				"the string does not end\nclose it with a double quote");
		if (next < 0x20)
			return fail_at(scanner, scanner->at,
				next == '\n' ? "a line break in a string\nwrite it as \\n"
					     : "a control character in a string\nwrite it as an "
					       "escape");
		if (next == '"')
			break;
		if (scan_escape(scanner) != 0)
			return -1;
	}
	scanner->at++;
	add_mark(scanner, start);
	return 0;
}

static size_t
skip_digits(struct scanner *scanner)
{
	size_t start = scanner->at;
	while (peek(scanner) >= '0' && peek(scanner) <= '9')
		scanner->at++;
	return scanner->at - start;
}

static int
scan_number(struct scanner *scanner)
{
	size_t start = scanner->at;
	scanner->at += peek(scanner) == '-';
	bool zero = peek(scanner) == '0';
	size_t digits = skip_digits(scanner);
	if (digits == 0 || (zero && digits > 1))
		return fail_at(scanner, start,
			digits == 0 ? "a number without digits\nadd them"
				    : "a number with a leading zero\nremove it, or quote it if it "
				      "is text");
	if (peek(scanner) == '.') {
		scanner->at++;
		if (skip_digits(scanner) == 0)
			return fail_at(scanner, start,
				"a number without digits behind the point\nadd them");
	}
	if (peek(scanner) == 'e' || peek(scanner) == 'E') {
		scanner->at++;
		scanner->at += peek(scanner) == '-' || peek(scanner) == '+';
		if (skip_digits(scanner) == 0)
			return fail_at(scanner, start,
				"a number without digits in the exponent\nadd them");
	}
	add_mark(scanner, start);
	return 0;
}

static int
scan_word(struct scanner *scanner)
{
	static const char *const words[] = {"null", "true", "false"};
	size_t start = scanner->at;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);
		if (scanner->length - start < length ||
			memcmp(scanner->data + start, words[i], length) != 0)
			continue;
		scanner->at += length;
		add_mark(scanner, start);
		return 0;
	}
	return fail_at(scanner, start,
		start < scanner->length
			? "a value was expected\nwrite a string in double quotes, a number, "
			  "true, false, null, or a list or object"
			: "the text ends where a value was expected\nis the file cut off?");
}

static int
scan_member(struct scanner *scanner)
{
	if (peek(scanner) != '"')
		return fail_at(scanner, scanner->at,
			"a key in double quotes was expected\nJSON knows no comments and no other "
			"quotes");
	if (scan_string(scanner) != 0)
		return -1;
	skip_space(scanner);
	if (peek(scanner) != ':')
		return fail_at(scanner, scanner->at, "\":\" was expected behind the key\nadd it");
	scanner->at++;
	return scan_value(scanner);
}

/* Scan the items between brackets, up to the closing one. */
static int
scan_items(struct scanner *scanner, int close)
{
	for (bool first = true;; first = false) {
		skip_space(scanner);
		if (first && peek(scanner) == close)
			break;
		if ((close == '}' ? scan_member(scanner) : scan_value(scanner)) != 0)
			return -1;
		skip_space(scanner);
		if (peek(scanner) == close)
			break;
		if (peek(scanner) != ',')
			return fail_at(scanner, scanner->at,
				close == '}' ? "\",\" or \"}\" was expected\nadd it before this"
					     : "\",\" or \"]\" was expected\nadd it before this");
		struct scanner comma = *scanner;
		scanner->at++;
		skip_space(scanner);
		if (peek(scanner) == close)
			return fail_at(
				&comma, comma.at, "a comma with nothing behind it\nremove it");
	}
	scanner->at++;
	return 0;
}

static int
scan_collection(struct scanner *scanner)
{
	if (scanner->level == DOCUMENT_MAX_LEVELS)
		return fail_at(scanner, scanner->at,
			"more than 64 levels of lists and objects\nuse fewer");
	int close = peek(scanner) == '[' ? ']' : '}';
	add_mark(scanner, scanner->at++);
	scanner->level++;
	int result = scan_items(scanner, close);
	scanner->level--;
	return result;
}

static int
scan_value(struct scanner *scanner)
{
	skip_space(scanner);
	if (scanner->values++ == scanner->most_values)
		return fail_values(scanner);
	int next = peek(scanner);
	if (next == '{' || next == '[')
		return scan_collection(scanner);
	if (next == '"')
		return scan_string(scanner);
	if (next == '-' || (next >= '0' && next <= '9'))
		return scan_number(scanner);
	return scan_word(scanner);
}

static int
scan_text(struct scanner *scanner)
{
	if (text_mark_length(scanner->data, scanner->length) > 0)
		return fail_at(scanner, 0, "a byte order mark\nsave the file as UTF-8 without it");
	if (scan_value(scanner) != 0)
		return -1;
	skip_space(scanner);
	if (scanner->at < scanner->length)
		return fail_at(scanner, scanner->at,
			"nothing was expected behind the value\na file holds one, which may be a "
			"list of prompts");
	return scanner->marks.failed ? -1 : 0;
}

/* The walk over cJSON's tree, with the marks in step. */
struct walk {
	struct document *document;
	const char *data; /* the text with its numbers */
	const struct mark *mark;
};

static enum value_kind
kind_of(const cJSON *item)
{
	static const struct {
		int type;
		enum value_kind kind;
	} kinds[] = {
		{cJSON_NULL,   VALUE_NULL  },
		{cJSON_False,  VALUE_BOOL  },
		{cJSON_True,   VALUE_BOOL  },
		{cJSON_Number, VALUE_NUMBER},
		{cJSON_String, VALUE_STRING},
		{cJSON_Array,  VALUE_LIST  },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((item->type & 0xff) == kinds[i].type)
			return kinds[i].kind;
	return VALUE_MAP;
}

/* The text of a scalar, copied; "" for a list or map. */
static const char *
scalar_text(struct walk *walk, const cJSON *item, const struct mark *mark)
{
	enum value_kind kind = kind_of(item);
	if (kind == VALUE_LIST || kind == VALUE_MAP)
		return "";
	if (kind == VALUE_STRING)
		return arena_copy(
			walk->document->arena, item->valuestring, strlen(item->valuestring));
	return arena_copy(walk->document->arena, walk->data + mark->offset, mark->length);
}

static struct value *
walk_value(struct walk *walk, const cJSON *item)
{
	const struct mark *key = item->string != NULL ? walk->mark++ : NULL;
	const struct mark *mark = walk->mark++;
	const char *text = scalar_text(walk, item, mark);
	struct value *value = text == NULL ? NULL
					   : document_value(walk->document, kind_of(item), text,
						     mark->line, mark->column);
	if (value == NULL)
		return NULL;
	value->start = mark->offset;
	value->end = mark->offset + mark->length;
	value->truth = (item->type & 0xff) == cJSON_True;
	if (key != NULL) {
		const char *copy =
			arena_copy(walk->document->arena, item->string, strlen(item->string));
		if (copy == NULL ||
			document_set_key(walk->document, value, copy, key->line, key->column) != 0)
			return NULL;
	}
	for (const cJSON *child = item->child; child != NULL; child = child->next) {
		struct value *below = walk_value(walk, child);
		if (below == NULL)
			return NULL;
		document_append(value, below);
	}
	return document_close(walk->document, value) == 0 ? value : NULL;
}

/* Put 0 in the place of each number: cJSON refuses long ones, and its rounding is not wanted. */
static void
blank_numbers(struct scanner *scanner)
{
	const struct mark *marks = (const struct mark *)(const void *)scanner->marks.data;
	size_t count = scanner->marks.length / sizeof(*marks);
	for (size_t i = 0; i < count; i++) {
		char *text = scanner->data + marks[i].offset;
		if (*text != '-' && (*text < '0' || *text > '9'))
			continue;
		memset(text, ' ', marks[i].length);
		*text = '0';
	}
}

int
json_parse(struct document *document, const char *data, size_t length)
{
	struct scanner scanner = {.document = document, .length = length, .line = 1, .column = 1};
	int result = -1;
	scanner.most_values =
		document->most_values > 0 ? document->most_values : DOCUMENT_MAX_NODES;
	if (document_check_text(document, data, length) != 0)
		return -1;
	scanner.data = arena_copy(document->arena, data, length);
	if (scanner.data != NULL && scan_text(&scanner) == 0) {
		blank_numbers(&scanner);
		cJSON *tree = cJSON_ParseWithLength(scanner.data, length);
		struct walk walk = {
			document, data, (const struct mark *)(const void *)scanner.marks.data};
		struct value *root = tree == NULL ? NULL : walk_value(&walk, tree);
		cJSON_Delete(tree);
		if (root != NULL) {
			document_add(document, root);
			result = 0;
		}
	}
	buffer_finish(&scanner.marks);
	return result;
}
