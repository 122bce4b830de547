/* test_render.c -- tests of the texts in which a prompt is told to clients. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/buffer.h"
#include "core/render.h"
#include "core/unit.h"

static struct unit *
good_unit(const char *text)
{
	struct unit *unit = make_unit("a.yaml", text);
	EXPECT(unit->n_errors == 0, "%s: %s", text, unit->problems[0].message);
	assert_int_equal(unit->n_prompts, 1);
	return unit;
}

/* The messages with "<name>" in the place of each placeholder. */
static const struct {
	const char *text, *messages;
} rendered[] = {
	ROW("prompt_template: Hello", "[{\"role\":\"user\",\"content\":\"Hello\"}]"),
	ROW("prompt_template: \"{a} {{b}} {{ a }}\"",
		"[{\"role\":\"user\",\"content\":\"<a> <b> <a>\"}]"),
	ROW("prompt_template: \"{{{a}}} {b\"", "[{\"role\":\"user\",\"content\":\"{<a>} {b\"}]"),
	ROW("prompt_template: \"\\\"{a}\\\"\\n{größe}\"",
		"[{\"role\":\"user\",\"content\":\"\\\"<a>\\\"\\n<größe>\"}]"),
	ROW("prompt_template: \"{a} {b}\"\nvariables: {b: }",
		"[{\"role\":\"user\",\"content\":\"{a} <b>\"}]"),
	ROW("prompt_template: \"{a}\"\nvariables: {}", "[{\"role\":\"user\",\"content\":\"{a}\"}]"),
	ROW("prompt_template: [{role: system, content: \"{a}\"}, {role: \"{b}\", name: \"{c}\", "
	    "content: null, tool_calls: [\"{d}\"]}]",
		"[{\"role\":\"system\",\"content\":\"<a>\"},{\"role\":\"{b}\",\"name\":\"{c}\","
		"\"content\":null,\"tool_calls\":[\"{d}\"]}]"),
	ROW("prompt_template: [{content: [{type: text, text: \"{a}\"}, {type: x, text: \"{b}\", "
	    "url: "
	    "\"{c}\"}], role: user}]",
		"[{\"content\":[{\"type\":\"text\",\"text\":\"<a>\"},{\"type\":\"x\",\"text\":\"<b>"
		"\",\"url\":\"{c}\"}],\"role\":\"user\"}]"),
	ROW("prompt_template: []", "[]"),
};

static void
put_marked(const struct prompt *prompt, struct buffer *out)
{
	static char names[8][32];
	const char *values[8];
	assert_true(prompt->n_variables <= LENGTH(values));
	for (size_t i = 0; i < prompt->n_variables; i++) {
		snprintf(names[i], sizeof(names[i]), "<%s>", prompt->variables[i].name);
		values[i] = names[i];
	}
	buffer_clear(out);
	assert_int_equal(render_messages(prompt, values, out, SIZE_MAX), 0);
}

static void
values_stand_in_their_places(void **state)
{
	struct buffer out = {0};
	(void)state;
	for (size_t i = 0; i < LENGTH(rendered); i++) {
		struct unit *unit = good_unit(rendered[i].text);
		put_marked(unit->prompts, &out);
		EXPECT(strcmp(out.data, rendered[i].messages) == 0, "%s:\n  got    %s\n  wanted %s",
			rendered[i].text, out.data, rendered[i].messages);
		unit_unref(unit);
	}
	buffer_finish(&out);
}

/* Little text with many placeholders and a big value is a lot of text. */
static void
rendering_stops_at_the_most_bytes(void **state)
{
	static const char *const values[] = {"0123456789"};
	struct unit *unit = good_unit("prompt_template: \"{a}{a}{a}\"");
	struct buffer out = {0};
	(void)state;
	assert_int_equal(render_messages(unit->prompts, values, &out, SIZE_MAX), 0);
	size_t length = out.length;
	for (size_t most = 0; most <= length; most++) {
		buffer_clear(&out);
		int result = render_messages(unit->prompts, values, &out, most);
		EXPECT(result == 0 || out.length > most, "%zu of %zu bytes refused", out.length,
			most);
		EXPECT(result == 0 || most < length, "%zu bytes refused", length);
		EXPECT(out.length <= most + length, "%zu bytes, %zu allowed", out.length, most);
	}
	buffer_clear(&out);
	assert_int_equal(render_messages(unit->prompts, values, &out, 20), -1);
	buffer_finish(&out);
	unit_unref(unit);
}

/* A value that looks like a placeholder is not filled in again. */
static void
values_are_filled_in_once(void **state)
{
	static const char *const values[] = {"{b}", "\"{{a}}\"\n"};
	struct unit *unit = good_unit("prompt_template: \"{a}{b}\"");
	struct buffer out = {0};
	(void)state;
	assert_int_equal(render_messages(unit->prompts, values, &out, SIZE_MAX), 0);
	assert_string_equal(out.data, "[{\"role\":\"user\",\"content\":\"{b}\\\"{{a}}\\\"\\n\"}]");
	buffer_finish(&out);
	unit_unref(unit);
}

static void
slots_lie_in_the_messages(void **state)
{
	struct unit *unit = good_unit("prompt_id: \"{a}\"\n"
				      "prompt_template: \"{b} {{ a }} {b}\"\n"
				      "prompt_template_model: \"{a}\"\n"
				      "description: \"{a}\"\n");
	const struct prompt *prompt = unit->prompts;
	static const char *const placeholders[] = {"{b}", "{a}", "{b}"};
	(void)state;
	assert_int_equal(prompt->n_slots, 3);
	assert_int_equal(prompt->n_variables, 2);
	for (size_t i = 0, end = prompt->messages_offset; i < prompt->n_slots; i++) {
		const struct slot *slot = &prompt->slots[i];
		EXPECT(slot->offset >= end, "slot %zu overlaps the one before it", i);
		end = slot->offset + slot->length;
		EXPECT(end <= prompt->messages_offset + prompt->messages_length, "slot %zu", i);
		EXPECT(memcmp(prompt->answer + slot->offset, placeholders[i], slot->length) == 0,
			"slot %zu", i);
		EXPECT(prompt->variables[slot->variable].name[0] == placeholders[i][1],
			"slot %zu: variable %u", i, slot->variable);
	}
	assert_memory_equal(prompt->answer + prompt->messages_offset, "[{\"role\":\"user\"", 15);
	unit_unref(unit);
}

static void
variables_are_as_declared(void **state)
{
	static const struct {
		const char *name, *fallback;
		bool required;
	} wanted[] = {
		{"a",  NULL,      true },
		{"b",  "science", true },
		{"c",  "1.50",    true },
		{"d",  "true",    true },
		{"e",  "",        true },
		{"f",  NULL,      true },
		{"ff", "false",   true },
		{"g",  NULL,      false},
		{"h",  "31",      false},
	};
	struct unit *unit = good_unit(
		"prompt_template: \"{h} {g} {ff} {f} {e} {d} {c} {b} {a}\"\n"
		"variables: {unused: , a: , b: {description: Field, required: true, default: "
		"science},\n"
		"  c: {default: 1.50}, d: {default: True}, e: {default: ''}, f: {default: null}, "
		"ff: {default: FALSE},\n"
		"  g: {required: false}, h: {required: false, default: 0x1F}}\n");
	const struct prompt *prompt = unit->prompts;
	(void)state;
	assert_int_equal(prompt->n_variables, LENGTH(wanted));
	for (size_t i = 0; i < LENGTH(wanted); i++) {
		const struct variable *got = &prompt->variables[i];
		EXPECT(strcmp(got->name, wanted[i].name) == 0, "%s: %s", wanted[i].name, got->name);
		EXPECT((got->fallback == NULL) == (wanted[i].fallback == NULL) &&
				(got->fallback == NULL ||
					strcmp(got->fallback, wanted[i].fallback) == 0),
			"%s: default %s", got->name, got->fallback);
		EXPECT(got->required == wanted[i].required, "%s: required", got->name);
	}
	unit_unref(unit);
}

static void
expect_listing(const struct prompt *prompt, const char *wanted)
{
	assert_int_equal(prompt->listing_length, strlen(wanted));
	assert_memory_equal(prompt->listing, wanted, prompt->listing_length);
}

static void
members_are_complete(void **state)
{
	struct unit *unit = good_unit(
		"prompt_id: p/a\nprompt_template: \"{b}\"\nprompt_template_model: m\nversion: "
		"1.10\n"
		"labels: [x]\nproject_name: p\ndescription: \"d\\n\"\nmetadata: {k: [1.0]}\n"
		"variables: {b: {default: z, description: y}}\n");
	const struct prompt *prompt = unit->prompts;
	(void)state;
	assert_string_equal(prompt->answer,
		"{\"prompt_id\":\"p/a\",\"prompt_template\":[{\"role\":\"user\",\"content\":"
		"\"{b}\"}],\"prompt_template_model\":\"m\","
		"\"prompt_template_optional_params\":null}");
	assert_int_equal(prompt->answer_length, strlen(prompt->answer));
	expect_listing(prompt, "\"prompt_id\":\"p/a\",\"model\":\"m\",\"has_variables\":true,"
			       "\"version\":\"1.10\",\"project_name\":\"p\",\"slug\":\"a\","
			       "\"description\":\"d\\n\"");
	assert_string_equal(prompt->detail,
		"\"version\":\"1.10\",\"project_name\":\"p\",\"slug\":\"a\","
		"\"description\":\"d\\n\",\"variables\":{\"b\":{\"required\":true,"
		"\"default\":\"z\",\"description\":\"y\"}},\"metadata\":{\"k\":[1.0]}");
	unit_unref(unit);
	unit = good_unit("prompt_template: x");
	expect_listing(unit->prompts,
		"\"prompt_id\":\"a\",\"model\":null,\"has_variables\":false,\"version\":null,"
		"\"project_name\":null,\"slug\":\"a\",\"description\":null");
	assert_string_equal(unit->prompts->detail,
		"\"version\":null,\"project_name\":null,\"slug\":\"a\",\"description\":null,"
		"\"variables\":{},\"metadata\":null");
	unit_unref(unit);
}

/* What a change of the file changes: the answer's ETag, and the digest of all but the labels. */
static const struct {
	const char *text;
	bool etag, digest;
} changes[] = {
	ROW("prompt_template: \"{b}\"", false, false),
	ROW("# a comment\nprompt_template:   '{b}'\n", false, false),
	ROW("{\"prompt_template\": \"\\x7bb}\"}", false, false),
	ROW("prompt_template: \"{{b}}\"", false, false),
	ROW("prompt_template: [{role: user, content: \"{b}\"}]", false, false),
	ROW("prompt_template: \"{b}\"\nlabels: [x]", false, false),
	ROW("prompt_template: \"{b}\"\nx-note: 1", false, false),
	ROW("prompt_template: \"{b} \"", true, true),
	ROW("prompt_template: \"{b}\"\nprompt_id: c", true, true),
	ROW("prompt_template: \"{b}\"\nprompt_template_model: m", true, true),
	ROW("prompt_template: \"{b}\"\nprompt_template_optional_params: {}", true, true),
	ROW("prompt_template: \"{b}\"\nversion: 1", false, true),
	ROW("prompt_template: \"{b}\"\nslug: c", false, true),
	ROW("prompt_template: \"{b}\"\nproject_name: c", false, true),
	ROW("prompt_template: \"{b}\"\ndescription: c", false, true),
	ROW("prompt_template: \"{b}\"\nmetadata: {}", false, true),
	ROW("prompt_template: \"{b}\"\nvariables: {}", false, true),
	ROW("prompt_template: \"{b}\"\nvariables: {b: {default: c}}", false, true),
};

static void
digests_follow_what_is_told(void **state)
{
	struct unit *first = good_unit(changes[0].text);
	(void)state;
	for (size_t i = 0; i < LENGTH(changes); i++) {
		struct unit *unit = good_unit(changes[i].text);
		const struct prompt *a = first->prompts, *b = unit->prompts;
		EXPECT((strcmp(a->etag, b->etag) != 0) == changes[i].etag, "%s: ETag",
			changes[i].text);
		EXPECT((memcmp(a->digest, b->digest, DIGEST_BYTES) != 0) == changes[i].digest,
			"%s: digest", changes[i].text);
		unit_unref(unit);
	}
	unit_unref(first);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_stand_in_their_places),
		cmocka_unit_test(rendering_stops_at_the_most_bytes),
		cmocka_unit_test(values_are_filled_in_once),
		cmocka_unit_test(slots_lie_in_the_messages),
		cmocka_unit_test(variables_are_as_declared),
		cmocka_unit_test(members_are_complete),
		cmocka_unit_test(digests_follow_what_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
