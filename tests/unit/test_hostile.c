/* test_hostile.c -- tests that no file of a megabyte costs more than moments. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/buffer.h"
#include "core/digest.h"
#include "core/snapshot.h"
#include "core/unit.h"

enum { MEGABYTE = 1000 * 1000 };

/* Processor time that is too much: some times what a megabyte of good prompts takes in this build and on
 * this machine. What grows with the square of its length takes hundreds of times as much. */
static double bound_ms;

#define TEMPLATE "prompt_template: x\n"

/* A text made of three: the middle one is repeated until the whole has a megabyte, with %u or %x in
 * it replaced by the number of its repetition. */
struct shape {
	const char *name, *path, *start, *piece, *end;
	size_t most; /* repetitions; 0: as many as fit */
};

static const struct shape shapes[] = {
	ROW("lists opened", "a.yaml", "", "[", NULL, 0),
	ROW("maps opened", "a.yaml", "", "{", NULL, 0),
	ROW("maps in maps opened", "a.yaml", "", "{a: ", NULL, 0),
	ROW("block lists opened", "a.yaml", "", "- ", NULL, 0),
	ROW("keys opened", "a.yaml", "", "? ", NULL, 0),
	ROW("keys in lists opened", "a.yaml", "", "[? ", NULL, 0),
	ROW("values opened", "a.yaml", "", ": ", NULL, 0),
	ROW("anchored lists opened", "a.yaml", "", "&a [", NULL, 0),
	ROW("tagged lists opened", "a.yaml", "", "!!seq [", NULL, 0),
	ROW("JSON lists opened", "a.json", "", "[", NULL, 0),
	ROW("JSON objects opened", "a.json", "", "{\"a\":", NULL, 0),
	ROW("wide and deep", "a.yaml",
		TEMPLATE "x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "a, ",
		NULL, 90000),
	ROW("unknown keys", "a.yaml", TEMPLATE, "unknown_key_%u: 1\n", NULL, 0),
	ROW("unknown JSON keys", "a.json", "{\"prompt_template\":\"x\"", ",\"unknown_%u\":1", "}",
		0),
	ROW("unknown keys of 60 bytes", "a.json", "{\"prompt_template\":\"x\"",
		",\"prompt_template_optional_parameters_that_are_unknown_%07u\":1", "}", 0),
	ROW("unknown keys of a variable", "a.json",
		"{\"prompt_template\":\"x\",\"variables\":{\"a\":{\"default\":1",
		",\"a_key_that_a_variable_cannot_have_at_all_%u\":1", "}}}", 0),
	ROW("keys of metadata", "a.yaml", TEMPLATE "metadata:\n", "  key_%u: 1\n", NULL, 0),
	ROW("explicit keys", "a.yaml", TEMPLATE "metadata:\n", "  ? key_%u\n  : 1\n", NULL, 0),
	ROW("one key again and again", "a.yaml", TEMPLATE "metadata: {", "a: 1, ", "a: 1}\n",
		90000),
	ROW("one JSON key again and again", "a.json", "{\"prompt_template\":\"x\",\"metadata\":{",
		"\"a\":1,", "\"a\":1}}", 90000),
	ROW("merges of a big map", "a.yaml", TEMPLATE "x-a: &a {", "key_%u: 1, ",
		"z: 1}\nx-b: [{<<: *a}, {<<: *a}, {<<: *a}]\n", 20000),
	ROW("many merges of one map", "a.yaml", TEMPLATE "x-a: &a {a: 1, b: 2}\nx-b:\n",
		"- {<<: *a}\n", NULL, 0),
	ROW("a merge of many maps", "a.yaml", TEMPLATE "x-a: &a {a: 1, b: 2}\nx-b: {<<: [", "*a, ",
		"*a]}\n", 0),
	ROW("many merge keys", "a.yaml", TEMPLATE "x-a: &a {a: 1, b: 2}\nx-b: {", "<<: *a, ",
		"c: 1}\n", 0),
	ROW("anchors", "a.yaml", TEMPLATE "x-a: [", "&anchor_%u x, ", "x]\n", 27000),
	ROW("anchors and aliases", "a.yaml", TEMPLATE "x-a: [", "&a%u x, *a%u, ", "x]\n", 27000),
	ROW("one anchor again and again", "a.yaml", TEMPLATE "x-a: [", "&a x, ", "x]\n", 90000),
	ROW("tag handles", "a.yaml", "", "%%TAG !h%x! x\n", "---\n" TEMPLATE, 0),
	ROW("tag handles behind other line ends", "a.yaml", "#\u2028", "%%TAG !h%x! x\u2028",
		"---\n" TEMPLATE, 0),
	ROW("documents", "a.yaml", "", "---\n", NULL, 0),
	ROW("prompts", "a.json", "[", "{\"prompt_id\":\"p%u\",\"prompt_template\":\"\"},", "1]",
		15000),
	ROW("good prompts", "a.yaml", "", "- {prompt_id: p%u, prompt_template: x}\n", NULL, 15000),
	ROW("prompts of one id", "a.yaml", "", "- {prompt_id: p, prompt_template: x}\n", NULL, 0),
	ROW("versions", "a.yaml", "", "- {prompt_id: p, version: %u, prompt_template: x}\n", NULL,
		0),
	ROW("labelled versions", "a.json", "[",
		"{\"prompt_id\":\"p\",\"version\":%u,\"labels\":[\"a%u\",\"b\"],\"prompt_"
		"template\":\"x\"},",
		"{\"prompt_id\":\"p\",\"version\":\"z\",\"prompt_template\":\"x\"}]", 10000),
	ROW("labels", "a.yaml", TEMPLATE "labels: [", "l%u, ", "l]\n", 90000),
	ROW("messages", "a.yaml", "prompt_template:\n", "- {role: user, content: x}\n", NULL,
		30000),
	ROW("parts", "a.yaml", "prompt_template:\n- role: user\n  content:\n",
		"  - {type: text, text: \"{a}\"}\n", NULL, 30000),
	ROW("bad messages", "a.yaml", "prompt_template:\n", "- {roel: 1}\n", NULL, 0),
	ROW("warnings", "a.yaml", TEMPLATE "x-a: [", "no, ", "no]\n", 90000),
	ROW("placeholders", "a.yaml", "prompt_template: \"", "{a} ", "\"\n", 200000),
	ROW("different placeholders", "a.yaml", "prompt_template: \"", "{%x}", "\"\n", 0),
	ROW("undeclared placeholders", "a.yaml", "variables: {a: , b: }\nprompt_template: \"",
		"{{c}}", "\"\n", 0),
	ROW("an aliased message before others", "a.yaml",
		"x-m: &m {role: user, content: aa}\nprompt_template:\n",
		"- *m\n- {role: user, content: x}\n", NULL, 33000),
	ROW("URLs", "a.yaml", "prompt_template: \"", "a://b:c", "\"\n", 0),
	ROW("unused variables", "a.yaml", TEMPLATE "variables: {", "v%u: , ", "v: }\n", 90000),
	ROW("used variables", "a.yaml", "variables: {a: , b: }\nprompt_template: \"", "{a}{b}",
		"\"\n", 100000),
	ROW("messages on a line", "a.yaml", "prompt_template: [", "{role: u, content: x}, ",
		"{role: u, content: x}]\n", 30000),
	ROW("spaced placeholders", "a.yaml", "prompt_template: \"", "{ a }", "\"\n", 0),
	ROW("cut texts", "a.yaml", "prompt_template:\n", "- {role: u, content: x # y\n  }\n", NULL,
		30000),
	ROW("secrets", "a.yaml", "prompt_template: \"", "sk-%07uabcdefghijklmnopq ", "\"\n", 0),
	ROW("rules switched off", "a.yaml", TEMPLATE, "# promptd: ignore secret\n", NULL, 0),
	ROW("braces", "a.yaml", "prompt_template: \"", "{", "\"\n", 0),
	ROW("braces and spaces", "a.yaml", "prompt_template: \"", "{{   ", "\"\n", 0),
	ROW("closing braces", "a.yaml", "prompt_template: \"{{a", "}", "\"\n", 0),
	ROW("a line of a million letters", "a.yaml", "prompt_template: ", "x", NULL, 0),
	ROW("a line of words", "a.yaml", "prompt_template: ", "x ", NULL, 0),
	ROW("a quoted line", "a.yaml", "prompt_template: \"", "é", "\"\n", 0),
	ROW("a JSON line", "a.json", "{\"prompt_template\":\"", "x", "\"}", 0),
	ROW("lines", "a.yaml", "prompt_template: |\n", " x\n", NULL, 0),
	ROW("folded lines", "a.yaml", "prompt_template:\n", " x\n", NULL, 0),
	ROW("empty lines", "a.yaml", "prompt_template: |\n", "\n", " x\n", 0),
	ROW("comments", "a.yaml", "", "#\n", TEMPLATE, 0),
	ROW("escapes", "a.yaml", "prompt_template: \"", "\\u0001", "\"\n", 0),
	ROW("JSON escapes", "a.json", "{\"prompt_template\":\"", "\\u0001", "\"}", 0),
	ROW("an open quote", "a.yaml", "prompt_template: '", "''", NULL, 0),
	ROW("digits", "a.yaml", TEMPLATE "metadata: {a: ", "1", "}\n", 0),
	ROW("JSON digits", "a.json", "{\"prompt_template\":\"x\",\"metadata\":{\"a\":", "1", "}}",
		0),
	ROW("base 60", "a.yaml", TEMPLATE "metadata: {a: 1", ":1", "}\n", 0),
	ROW("conflict marks", "a.yaml", "", "<<<<<<<\n", NULL, 0),
};

static void
fill(const struct shape *shape, struct buffer *text)
{
	buffer_puts(text, shape->start);
	for (unsigned i = 0; text->length < MEGABYTE && (shape->most == 0 || i < shape->most);
		i++) {
		char piece[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(piece, sizeof(piece), shape->piece, i, i);
#pragma GCC diagnostic pop
		buffer_puts(text, piece);
	}
	if (shape->end != NULL)
		buffer_puts(text, shape->end);
}

/* The processor time, in milliseconds, of making a unit of a text and a snapshot of the unit. */
static double
cost_ms(const char *path, const struct buffer *text)
{
	clock_t start = clock();
	struct digest *digest = digest_new();
	struct unit *unit = make_unit_of_bytes(path, text->data, text->length);
	struct source source = {.served = unit->n_errors == 0 ? unit : NULL,
		.faulty = unit->n_errors == 0 ? NULL : unit};
	struct snapshot *snapshot = snapshot_of(&source, 1, digest);
	snapshot_free(snapshot);
	unit_unref(unit);
	digest_free(digest);
	return (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
}

static int
find_bound(void **state)
{
	struct buffer text = {0};
	(void)state;
	buffer_putc(&text, '[');
	for (unsigned i = 0; text.length < MEGABYTE; i++)
		buffer_printf(&text, "{\"prompt_id\":\"p%u\",\"prompt_template\":\"x {y}\"},", i);
	buffer_puts(&text, "{\"prompt_id\":\"p\",\"prompt_template\":\"\"}]");
	bound_ms = 10 * cost_ms("a.json", &text);
	buffer_finish(&text);
	return bound_ms > 0 ? 0 : -1;
}

static bool
is_cheap(const char *name, const char *path, const struct buffer *text)
{
	double ms = cost_ms(path, text);
	print_message("%-30s %7zu bytes %7.1f ms%s\n", name, text->length, ms,
		ms > bound_ms ? ": too much" : "");
	return ms <= bound_ms;
}

static void
repetition_is_cheap(void **state)
{
	size_t dear = 0;
	(void)state;
	for (size_t i = 0; i < LENGTH(shapes); i++) {
		struct buffer text = {0};
		fill(&shapes[i], &text);
		dear += !is_cheap(shapes[i].name, shapes[i].path, &text);
		buffer_finish(&text);
	}
	EXPECT(dear == 0, "%zu of them cost too much", dear);
}

/* Each list holds the one before it nine times. */
static void
an_alias_bomb_does_not_go_off(void **state)
{
	struct buffer text = {0};
	(void)state;
	buffer_puts(&text, TEMPLATE "x-a: &a [x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c <= 'z'; c++) {
		buffer_printf(&text, "x-%c: &%c [", c, c);
		for (int i = 0; i < 9; i++)
			buffer_printf(&text, "*%c,", c - 1);
		buffer_puts(&text, "]\n");
	}
	EXPECT(is_cheap("alias bomb", "a.yaml", &text), "too much");
	buffer_finish(&text);
}

/* One big thing with an anchor, and aliases that would tell it to clients a hundred times. */
static void
aliases_of_big_things_are_refused(void **state)
{
	static const struct {
		const char *name, *start, *end;
	} things[] = {
		ROW("aliases of a big text", TEMPLATE "metadata:\n  a: &a \"", "\"\n"),
		ROW("aliases of a big key", TEMPLATE "metadata:\n  a: &a\n    ? \"",
			"\"\n    : 1\n"),
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(things); i++) {
		struct buffer text = {0};
		buffer_puts(&text, things[i].start);
		for (int k = 0; k < 90000; k++)
			buffer_puts(&text, "xxxxxxxxxx");
		buffer_printf(&text, "%s  b: [", things[i].end);
		for (int k = 0; k < 100; k++)
			buffer_puts(&text, "*a, ");
		buffer_puts(&text, "*a]\n");
		struct unit *unit = make_unit_of_bytes("a.yaml", text.data, text.length);
		EXPECT(unit->n_errors == 1, "%s: %zu bytes became %zu", things[i].name, text.length,
			strlen(unit->prompts->detail));
		unit_unref(unit);
		buffer_finish(&text);
	}
}

/* Keys that differ only at their end are compared at length. */
static void
long_keys_are_cheap(void **state)
{
	struct buffer text = {0};
	(void)state;
	buffer_puts(&text, "{\"prompt_template\":\"x\",\"metadata\":{\"a\":1");
	for (int i = 0; i < 200; i++)
		buffer_printf(&text, ",\"%05000d\":1", i);
	buffer_puts(&text, "}}");
	EXPECT(is_cheap("long keys", "a.json", &text), "too much");
	buffer_finish(&text);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(repetition_is_cheap),
		cmocka_unit_test(an_alias_bomb_does_not_go_off),
		cmocka_unit_test(aliases_of_big_things_are_refused),
		cmocka_unit_test(long_keys_are_cheap),
	};
	return cmocka_run_group_tests(tests, find_bound, NULL);
}
