/* document.c -- the parsed form of a file, the same for YAML and JSON. */
#include "core/document.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/text.h"

/* Count what a value adds, or say that the file expands to too much. */
static int
charge(struct document *document, size_t nodes, size_t bytes, unsigned line, unsigned column)
{
	document->nodes += nodes;
	document->bytes += bytes;
	if (document->nodes <= DOCUMENT_MAX_NODES && document->bytes <= DOCUMENT_MAX_BYTES)
		return 0;
	errors_add(document->errors, ERROR_VALUE, line, column,
		"more than %d values or %d MiB of text, aliases expanded\nsplit the file",
		DOCUMENT_MAX_NODES, DOCUMENT_MAX_BYTES >> 20);
	return -1;
}

/* The offset of a line that git left in a file when a merge failed, or length. */
static size_t
find_conflict(const char *data, size_t length)
{
	static const char *const marks[] = {"<<<<<<< ", ">>>>>>> "};
	for (size_t at = 0; at < length; at++) {
		for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
			if (length - at >= 8 && memcmp(data + at, marks[i], 8) == 0)
				return at;
		const char *end = memchr(data + at, '\n', length - at);
		if (end == NULL)
			break;
		at = (size_t)(end - data);
	}
	return length;
}

int
document_check_text(struct document *document, const char *data, size_t length)
{
	unsigned line, column;
	const char *problem = NULL;
	size_t at = text_utf8_span(data, length);
	if (at < length)
		problem = "not UTF-8\nsave the file as UTF-8";
	else if ((at = find_conflict(data, length)) < length)
		problem = "an unresolved merge conflict\nresolve it and remove the marks";
	else if (length == 0)
		problem = "the file is empty\nwrite something into it, or delete it";
	if (problem == NULL)
		return 0;
	text_place(data, at, &line, &column);
	errors_add(document->errors, ERROR_SYNTAX, line, column, "%s", problem);
	return -1;
}

struct value *
document_value(struct document *document, enum value_kind kind, const char *text, unsigned line,
	unsigned column)
{
	size_t bytes = strlen(text);
	if (charge(document, 1, bytes, line, column) != 0)
		return NULL;
	struct value *value = arena_alloc(document->arena, sizeof(*value));
	if (value == NULL)
		return NULL;
	*value = (struct value){.kind = kind,
		.text = text,
		.source = text,
		.line = line,
		.column = column,
		.levels = kind == VALUE_LIST || kind == VALUE_MAP,
		.nodes = 1,
		.bytes = bytes};
	return value;
}

struct value *
document_alias(
	struct document *document, const struct value *target, unsigned line, unsigned column)
{
	if (charge(document, target->nodes, target->bytes, line, column) != 0)
		return NULL;
	struct value *value = arena_alloc(document->arena, sizeof(*value));
	if (value == NULL)
		return NULL;
	*value = *target;
	value->line = line;
	value->column = column;
	value->key = NULL;
	value->merge = false;
	value->next = NULL;
	return value;
}

int
document_set_key(struct document *document, struct value *value, const char *key, unsigned line,
	unsigned column)
{
	value->key = key;
	value->key_line = line;
	value->key_column = column;
	return charge(document, 0, strlen(key), line, column);
}

void
document_add(struct document *document, struct value *root)
{
	root->next = NULL;
	if (document->last != NULL)
		document->last->next = root;
	else
		document->first = root;
	document->last = root;
}

void
document_append(struct value *parent, struct value *child)
{
	child->next = NULL;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->count++;
	parent->nodes += child->nodes;
	parent->bytes += child->bytes + (child->key != NULL ? strlen(child->key) : 0);
	if (parent->levels <= child->levels)
		parent->levels = child->levels + 1;
}

/* A member with its place in the order of precedence: own ones first, then merged ones. */
struct member {
	struct value *value;
	size_t rank;
	bool merged;
};

static int
compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->value->key, y->value->key);
	if (order != 0)
		return order;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Mark a member as one to leave out. */
static void
drop(struct member *member)
{
	member->value->key = NULL;
}

/* Leave out later members of the same key; among own members that is an error. */
static void
drop_repeated(struct document *document, struct member *sorted, size_t count)
{
	struct quote quote;
	for (size_t i = 0, winner = 0; i < count; i++) {
		struct value *value = sorted[i].value;
		if (i == 0 || strcmp(value->key, sorted[winner].value->key) != 0) {
			winner = i;
			continue;
		}
		if (!sorted[i].merged)
			errors_add(document->errors, ERROR_SYNTAX, value->key_line,
				value->key_column,
				"the key %s is here twice, first on line %u\nremove one of them",
				text_quote(&quote, value->key), sorted[winner].value->key_line);
		drop(&sorted[i]);
	}
}

/* Copy the members of a map that a merge key brings, so that they can stand in another. */
static int
gather_merged(struct document *document, const struct value *merge, const struct value *map,
	struct member *members, size_t *count)
{
	for (const struct value *from = map->first; from != NULL; from = from->next) {
		struct value *copy = document_alias(document, from, merge->line, merge->column);
		if (copy == NULL || document_set_key(document, copy, from->key, merge->line,
					    merge->column) != 0)
			return -1;
		copy->line = from->line;
		copy->column = from->column;
		copy->key_line = from->key_line;
		copy->key_column = from->key_column;
		members[*count] = (struct member){copy, *count, true};
		++*count;
	}
	return 0;
}

/* The maps that a merge key names: its value, or the items of its value. */
static const struct value *
first_merged(const struct value *merge)
{
	return merge->kind == VALUE_LIST ? merge->first : merge;
}

static const struct value *
next_merged(const struct value *merge, const struct value *map)
{
	return merge->kind == VALUE_LIST ? map->next : NULL;
}

static bool
merge_is_sound(struct document *document, const struct value *merge)
{
	for (const struct value *map = first_merged(merge); map != NULL;
		map = next_merged(merge, map)) {
		if (map->kind == VALUE_MAP)
			continue;
		errors_add(document->errors, ERROR_TYPE, map->line, map->column,
			"<< takes a mapping or a list of mappings, not %s\nname an anchor with *",
			document_kind_name(map->kind));
		return false;
	}
	return true;
}

static size_t
count_members(const struct value *map)
{
	size_t count = map->count;
	for (const struct value *member = map->first; member != NULL; member = member->next)
		if (member->merge)
			for (const struct value *from = first_merged(member); from != NULL;
				from = next_merged(member, from))
				count += from->count;
	return count;
}

/* Add the members that a merge key brings. */
static int
gather_merge(
	struct document *document, const struct value *merge, struct member *members, size_t *count)
{
	if (!merge_is_sound(document, merge))
		return 0;
	for (const struct value *map = first_merged(merge); map != NULL;
		map = next_merged(merge, map))
		if (gather_merged(document, merge, map, members, count) != 0)
			return -1;
	return 0;
}

/* List a map's own members, then those that its merge key brings. Returns how many, or -1. */
static long
gather(struct document *document, struct value *map, struct member *members)
{
	const struct value *merge = NULL;
	size_t count = 0;
	for (struct value *member = map->first; member != NULL; member = member->next) {
		if (!member->merge) {
			members[count] = (struct member){member, count, false};
			count++;
		} else if (merge == NULL) {
			merge = member;
		} else {
			errors_add(document->errors, ERROR_SYNTAX, member->key_line,
				member->key_column,
				"the key \"<<\" is here twice\ngive it a list of mappings");
		}
	}
	if (merge != NULL && gather_merge(document, merge, members, &count) != 0)
		return -1;
	return (long)count;
}

static int
compare_ranks(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void
relink(struct value *map, const struct member *members, size_t count)
{
	map->first = map->last = NULL;
	map->count = 0;
	map->levels = 1;
	map->nodes = 1;
	map->bytes = 0;
	for (size_t i = 0; i < count; i++)
		if (members[i].value->key != NULL)
			document_append(map, members[i].value);
}

/* Whether a map needs no second look: a small one, as most are, of which each key is another and none is a merge key. */
static bool
is_plain(const struct value *map)
{
	enum { SMALL = 12 };
	if (map->count > SMALL)
		return false;
	for (const struct value *member = map->first; member != NULL; member = member->next) {
		if (member->merge)
			return false;
		for (const struct value *other = map->first; other != member; other = other->next)
			if (strcmp(other->key, member->key) == 0)
				return false;
	}
	return true;
}

int
document_close(struct document *document, struct value *value)
{
	value->open = false;
	if (value->kind != VALUE_MAP || is_plain(value))
		return 0;
	size_t most = count_members(value);
	if (most > DOCUMENT_MAX_NODES)
		return charge(document, most, 0, value->line, value->column);
	struct member *members = arena_array(document->arena, most, sizeof(*members));
	if (members == NULL)
		return -1;
	long count = gather(document, value, members);
	if (count < 0)
		return -1;
	qsort(members, (size_t)count, sizeof(*members), compare_members);
	drop_repeated(document, members, (size_t)count);
	qsort(members, (size_t)count, sizeof(*members), compare_ranks);
	relink(value, members, (size_t)count);
	return arena_failed(document->arena) ? -1 : 0;
}

const struct value *
document_find(const struct value *map, const char *key)
{
	for (const struct value *member = map->first; member != NULL; member = member->next)
		if (strcmp(member->key, key) == 0)
			return member;
	return NULL;
}

static int
compare_keys(const void *a, const void *b)
{
	const struct value *const *x = a, *const *y = b;
	return strcmp((*x)->key, (*y)->key);
}

const struct value **
document_sort(struct arena *arena, const struct value *map)
{
	const struct value **members =
		arena_array(arena, map->count + 1, sizeof(const struct value *));
	size_t count = 0;
	if (members == NULL)
		return NULL;
	for (const struct value *member = map->first; member != NULL; member = member->next)
		members[count++] = member;
	qsort(members, count, sizeof(const struct value *), compare_keys);
	return members;
}

const char *
document_kind_name(enum value_kind kind)
{
	static const char *const names[] = {
		[VALUE_NULL] = "null",
		[VALUE_BOOL] = "a boolean",
		[VALUE_NUMBER] = "a number",
		[VALUE_STRING] = "a string",
		[VALUE_LIST] = "a list",
		[VALUE_MAP] = "a mapping",
	};
	return names[kind];
}

/* Put the way from a value down to another; true where it lies below. */
static bool
put_path_from(const struct value *from, const struct value *to, struct buffer *out)
{
	size_t length = out->length, position = 0;
	if (from == to)
		return true;
	for (const struct value *child = from->first; child != NULL; child = child->next) {
		buffer_putc(out, ',');
		if (child->key != NULL)
			json_put_string(out, child->key);
		else
			buffer_printf(out, "%zu", position++);
		if (put_path_from(child, to, out))
			return true;
		out->length = length;
	}
	return false;
}

void
document_put_path(const struct value *root, const struct value *value, struct buffer *out)
{
	put_path_from(root, value, out);
}
