/* test_snapshot.c -- tests of the index over all prompts and of its revision. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/conflict.h"
#include "core/digest.h"
#include "core/meter.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/unit.h"

enum { MOST_FILES = 5 };

/* Make a snapshot of files of which the last is bad now; its last good text is served. */
static struct snapshot *
snapshot_with_stale(const struct file *good, size_t count, const struct file *bad)
{
	struct source sources[MOST_FILES] = {{0}};
	struct digest *digest = digest_new();
	for (size_t i = 0; i < count; i++)
		sources[i].served = make_unit(good[i].path, good[i].text);
	sources[count - 1].faulty = make_unit(bad->path, bad->text);
	struct snapshot *snapshot = snapshot_of(sources, count, digest);
	for (size_t i = 0; i < count; i++)
		unit_unref(sources[i].served);
	unit_unref(sources[count - 1].faulty);
	digest_free(digest);
	assert_non_null(snapshot);
	return snapshot;
}

static void
a_last_good_version_competes_like_a_good_file(void **state)
{
	static const struct {
		const char *name;
		struct file good[2];
		const char *shown;
	} stale[] = {
		ROW("it is served and marked",
			ROW(ROW("a.yaml", "prompt_template: x"),
				ROW("z.yaml", "prompt_template: x")),
			"a - a.yaml\nz - z.yaml stale\n"
			"z.yaml:2:1: prompt_template is missing: add it\n"),
		ROW("its path can win",
			ROW(ROW("a.yaml", "{prompt_id: z, prompt_template: x}"),
				ROW("z.yaml", "prompt_template: x")),
			"z - z.yaml stale\n"
			"a.yaml:1:1: the prompt \"z\" is served from z.yaml:1: delete one of them, "
			"or give them versions\n"
			"z.yaml:2:1: prompt_template is missing: add it\n"),
		ROW("its path can lose",
			ROW(ROW("a.yaml", "prompt_template: x"),
				ROW("z.yaml", "{prompt_id: a, prompt_template: x}")),
			"a - a.yaml\n"
			"z.yaml:1:1: the prompt \"a\" is served from a.yaml:1: delete one of them, "
			"or give them versions\n"
			"z.yaml:2:1: prompt_template is missing: add it\n"),
	};
	static const struct file bad = {"z.yaml", "# bad\nversion: 1\n"};
	(void)state;
	for (size_t i = 0; i < LENGTH(stale); i++) {
		struct snapshot *snapshot = snapshot_with_stale(stale[i].good, 2, &bad);
		expect_text(stale[i].name, describe_snapshot(snapshot), stale[i].shown);
		snapshot_free(snapshot);
	}
}

/* A file that is gone, and is served for a moment more, yields to any file, without a problem. */
static void
a_leaving_file_yields(void **state)
{
	static const struct file files[] = {
		{"a.v1.yaml",  "prompt_template: x\nlabels: [l, m]"          },
		{"a.v2.yaml",  "prompt_template: x\nlabels: [l]"             },
		{"other.yaml", "prompt_id: a\nversion: 1\nprompt_template: x"},
	};
	struct source sources[LENGTH(files)] = {{0}};
	struct digest *digest = digest_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(files); i++)
		sources[i].served = make_unit(files[i].path, files[i].text);
	sources[0].leaving = true;
	for (size_t count = 1; count <= LENGTH(files); count++) {
		static const char *const wanted[] = {
			"a 1 l m a.v1.yaml\n",
			"a 1 m a.v1.yaml\na 2 l a.v2.yaml\n",
			"a 1 other.yaml\na 2 l a.v2.yaml\n",
		};
		struct snapshot *snapshot = snapshot_of(sources, count, digest);
		expect_text(files[count - 1].path, describe_snapshot(snapshot), wanted[count - 1]);
		snapshot_free(snapshot);
	}
	for (size_t i = 0; i < LENGTH(files); i++)
		unit_unref(sources[i].served);
	digest_free(digest);
}

static void
a_file_that_never_was_good_is_a_problem_alone(void **state)
{
	struct digest *digest = digest_new();
	struct source source = {
		.faulty = make_unit("a.yaml", "prompt_template: x\nversion: no way\nmodle: no\n")};
	struct snapshot *snapshot = snapshot_of(&source, 1, digest);
	(void)state;
	expect_text("errors without warnings", describe_snapshot(snapshot),
		"a.yaml:2:10: version \"no way\" does not fit: use letters, digits, . and -, "
		"starting with a "
		"letter or digit\n"
		"a.yaml:3:1: unknown key \"modle\": did you mean \"prompt_template_model\"?\n");
	assert_int_equal(snapshot->n_prompts, 0);
	unit_unref(source.faulty);
	snapshot_free(snapshot);
	digest_free(digest);
}

/* Each set of files, and whether its revision is that of the first set. */
static const struct {
	const char *name;
	struct file files[MOST_FILES];
	bool same;
} layouts[] = {
	ROW("one file each",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}")),
		true),
	ROW("one list",
		ROW(ROW("all.yaml",
			"- {prompt_id: b, prompt_template: y}\n"
			"- {prompt_id: a, prompt_template: x, version: 1, labels: [k, l], "
			"slug: s, project_name: p}\n")),
		true),
	ROW("two documents, with comments",
		ROW(ROW("z.yml",
			"# note\nprompt_id: b\nprompt_template: y\n---\n"
			"{prompt_template: [{role: user, content: x}], prompt_id: a, version: "
			"\"1\", labels: [l, k], slug: s, project_name: p}\n")),
		true),
	ROW("JSON, and a version in the name",
		ROW(ROW("a.v1.json",
			    "{\"prompt_template\": \"x\", \"labels\": [\"l\", \"k\"], \"slug\": "
			    "\"s\", \"project_name\": \"p\"}"),
			ROW("b.json", "{\"prompt_template\": \"y\"}")),
		true),
	ROW("a losing double beside them",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}"),
			ROW("c.yaml", "{prompt_id: b, prompt_template: z}")),
		true),
	ROW("a label less",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}")),
		false),
	ROW("another label",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, m], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}")),
		false),
	ROW("a label on the other prompt",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y, labels: [k]}")),
		false),
	ROW("another version",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 2, labels: [l, k], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}")),
		false),
	ROW("another text",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: z}")),
		false),
	ROW("another description",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p, description: d}"),
			ROW("b.yaml", "{prompt_template: y}")),
		false),
	ROW("a prompt less",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p}")),
		false),
	ROW("a prompt more",
		ROW(ROW("a.yaml", "{prompt_template: x, version: 1, labels: [l, k], slug: s, "
				  "project_name: p}"),
			ROW("b.yaml", "{prompt_template: y}"),
			ROW("c.yaml", "{prompt_template: y}")),
		false),
	ROW("nothing", ROW(ROW(0)), false),
};

static void
revisions_follow_the_prompts_alone(void **state)
{
	struct snapshot *first =
		make_snapshot(layouts[0].files, count_files(layouts[0].files, MOST_FILES));
	(void)state;
	assert_int_equal(strlen(first->revision), 32);
	assert_int_equal(strspn(first->revision, "0123456789abcdef"), 32);
	for (size_t i = 0; i < LENGTH(layouts); i++) {
		struct snapshot *snapshot =
			make_snapshot(layouts[i].files, count_files(layouts[i].files, MOST_FILES));
		EXPECT((strcmp(first->revision, snapshot->revision) == 0) == layouts[i].same,
			"%s: %s", layouts[i].name, layouts[i].same ? "another" : "the same");
		snapshot_free(snapshot);
	}
	snapshot_free(first);
}

/* A file that is bad now changes nothing that clients are told of the prompts. */
static void
revisions_do_not_follow_the_state(void **state)
{
	static const struct file files[] = {
		{"a.yaml", "prompt_template: x"}
        };
	static const struct file bad = {"a.yaml", "no prompt"};
	struct snapshot *good = make_snapshot(files, 1);
	struct snapshot *stale = snapshot_with_stale(files, 1, &bad);
	(void)state;
	assert_true(stale->groups[0].entries[0].stale);
	assert_string_equal(good->revision, stale->revision);
	snapshot_free(good);
	snapshot_free(stale);
}

static void
ids_and_versions_have_an_order(void **state)
{
	static const struct file files[] = {
		{"z.yaml",      "- {prompt_id: b, prompt_template: x}\n"
			   "- {prompt_id: a/c, prompt_template: x}\n"
			   "- {prompt_id: a, prompt_template: x}\n"},
		{"a.v10.yaml",  "prompt_template: x"                                         },
		{"a.v9.yaml",   "prompt_template: x"                                         },
		{"a.v1.5.yaml", "prompt_template: x"                                         },
	};
	struct snapshot *snapshot = make_snapshot(files, LENGTH(files));
	(void)state;
	expect_text("order", describe_snapshot(snapshot),
		"a - z.yaml\na 9 a.v9.yaml\na 10 a.v10.yaml\na 1.5 a.v1.5.yaml\n"
		"a/c - z.yaml\nb - z.yaml\n");
	snapshot_free(snapshot);
	snapshot = make_snapshot(NULL, 0);
	expect_text("nothing", describe_snapshot(snapshot), "");
	snapshot_free(snapshot);
}

static void
ids_are_found(void **state)
{
	static const struct file files[] = {
		{"b.yaml",   "prompt_template: x"},
                {"d.yaml",   "prompt_template: x"},
		{"d/a.yaml", "prompt_template: x"}
        };
	static const struct {
		const char *id;
		size_t position;
		bool found;
	} ids[] = {
		{"",    0, false},
		{"a",   0, false},
		{"b",   0, true },
		{"c",   1, false},
		{"d",   1, true },
		{"d.",  2, false},
		{"d/a", 2, true },
		{"e",   3, false},
	};
	struct snapshot *snapshot = make_snapshot(files, LENGTH(files));
	(void)state;
	for (size_t i = 0; i < LENGTH(ids); i++) {
		const struct group *group = snapshot_find(snapshot, ids[i].id);
		EXPECT(snapshot_position(snapshot, ids[i].id) == ids[i].position, "\"%s\": %zu",
			ids[i].id, snapshot_position(snapshot, ids[i].id));
		EXPECT((group != NULL) == ids[i].found, "\"%s\"", ids[i].id);
		if (group != NULL)
			assert_string_equal(group->entries->prompt->id, ids[i].id);
	}
	assert_int_equal(snapshot->n_prompts, 3);
	snapshot_free(snapshot);
	snapshot_free(NULL);
}

enum { RANDOM_FILES = 12, RANDOM_ROUNDS = 400 };

/* The next of a fixed sequence of numbers that look random: xorshift. */
static unsigned
next_random(unsigned *seed, unsigned below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed % below;
}

/* Give a file another source: none, or a text that shares ids, versions, labels and slugs with others, and
 * perhaps a bad one on top. */
static void
change_source(struct source *source, unsigned index, unsigned *seed)
{
	char path[32], text[256];
	unit_unref(source->served);
	unit_unref(source->faulty);
	*source = (struct source){0};
	if (next_random(seed, 4) == 0)
		return;
	snprintf(path, sizeof(path), "f%u.yaml", index);
	snprintf(text, sizeof(text),
		"- {prompt_id: p%u, version: %u, labels: [l%u], slug: s%u, prompt_template: t%u}\n"
		"- {prompt_id: q%u, prompt_template: t%u}\n",
		next_random(seed, 3), next_random(seed, 3), next_random(seed, 2),
		next_random(seed, 2), next_random(seed, 1000), next_random(seed, 8),
		next_random(seed, 1000));
	source->served = make_unit(path, text);
	if (next_random(seed, 4) == 0)
		source->faulty = make_unit(path, "prompt_template: x\nmodle: y\n");
	source->leaving = source->faulty == NULL && next_random(seed, 4) == 0;
}

static void
expect_same(const struct snapshot *got, const struct snapshot *wanted)
{
	char *text = describe_snapshot(wanted);
	expect_text("from a base", describe_snapshot(got), text);
	free(text);
	assert_string_equal(got->revision, wanted->revision);
	assert_int_equal(got->n_slugs, wanted->n_slugs);
	assert_int_equal(got->n_conflicts, wanted->n_conflicts);
	for (size_t i = 0; i < got->n_slugs; i++)
		assert_string_equal(got->by_slug[i].prompt->slug, wanted->by_slug[i].prompt->slug);
}

/* Change some files at a time: the snapshot made from the one before is that made from nothing. */
static void
a_snapshot_from_a_base_is_like_one_from_nothing(void **state)
{
	struct source files[RANDOM_FILES] = {{0}};
	struct digest *digest = digest_new();
	struct snapshot *base = NULL;
	unsigned seed = 2463534242;
	(void)state;
	for (int round = 0; round < RANDOM_ROUNDS; round++) {
		struct change changes[RANDOM_FILES];
		struct source before[RANDOM_FILES];
		size_t count = 0;
		for (unsigned i = 0; i < RANDOM_FILES; i++) {
			if (next_random(&seed, 3) != 0)
				continue;
			before[count] = files[i];
			if (files[i].served != NULL)
				unit_ref(files[i].served);
			if (files[i].faulty != NULL)
				unit_ref(files[i].faulty);
			change_source(&files[i], i, &seed);
			changes[count] = (struct change){before[count], files[i]};
			count++;
		}
		struct snapshot *next = snapshot_new(base, changes, count, NULL, digest);
		struct snapshot *fresh = snapshot_of(files, RANDOM_FILES, digest);
		assert_non_null(next);
		expect_same(next, fresh);
		snapshot_free(fresh);
		snapshot_free(base);
		base = next;
		for (size_t i = 0; i < count; i++) {
			unit_unref(before[i].served);
			unit_unref(before[i].faulty);
		}
	}
	snapshot_free(base);
	for (unsigned i = 0; i < RANDOM_FILES; i++) {
		unit_unref(files[i].served);
		unit_unref(files[i].faulty);
	}
	digest_free(digest);
}

enum { MANY_FILES = 700, MANY_ROUNDS = 60 };

/* Give a file of many another text; of some the ids are those of others. */
static void
change_one_of_many(struct source *source, unsigned index, unsigned *seed)
{
	char path[32], text[256];
	unsigned id = next_random(seed, 8) == 0 ? next_random(seed, MANY_FILES) : index;
	snprintf(path, sizeof(path), "f%03u.yaml", index);
	snprintf(text, sizeof(text),
		"{prompt_id: p%03u, version: %u, labels: [l%u], slug: s%u, prompt_template: t%u}\n",
		id, next_random(seed, 3), next_random(seed, 3), next_random(seed, 50),
		next_random(seed, 1000));
	source->served = make_unit(path, text);
}

/* In each round all files of a range come, go or change, and a few others. */
static bool
is_to_change(unsigned index, unsigned from, unsigned to, unsigned *seed)
{
	return (index >= from && index < to) || next_random(seed, 100) == 0;
}

/* So many prompts that their index is in pieces, which grow, are split, shrink and vanish. */
static void
a_large_snapshot_from_a_base_is_like_one_from_nothing(void **state)
{
	static struct source files[MANY_FILES];
	static struct change changes[MANY_FILES];
	struct digest *digest = digest_new();
	struct snapshot *base = NULL;
	unsigned seed = 88172645;
	(void)state;
	for (int round = 0; round < MANY_ROUNDS; round++) {
		size_t count = 0;
		unsigned from = next_random(&seed, MANY_FILES), to = from + next_random(&seed, 300);
		bool is_for_good = next_random(&seed, 2) == 0;
		for (unsigned i = 0; i < MANY_FILES; i++) {
			if (!is_to_change(i, from, to, &seed))
				continue;
			changes[count].before = files[i];
			files[i] = (struct source){0};
			if (!is_for_good || changes[count].before.served == NULL)
				change_one_of_many(&files[i], i, &seed);
			changes[count++].now = files[i];
		}
		struct snapshot *next = snapshot_new(base, changes, count, NULL, digest);
		struct snapshot *fresh = snapshot_of(files, MANY_FILES, digest);
		assert_non_null(next);
		expect_same(next, fresh);
		snapshot_free(fresh);
		snapshot_free(base);
		base = next;
		while (count > 0)
			unit_unref(changes[--count].before.served);
	}
	snapshot_free(base);
	for (unsigned i = 0; i < MANY_FILES; i++)
		unit_unref(files[i].served);
	digest_free(digest);
}

static void
circumstances_are_told_with_the_same_prompts(void **state)
{
	static const struct problem problem = {.path = ".", .message = "gone"};
	struct digest *digest = digest_new();
	struct snapshot *base = make_snapshot(&(struct file){"a.yaml", "prompt_template: x"}, 1);
	struct snapshot *told = snapshot_new(
		base, NULL, 0, &(struct circumstances){"0123abcd", &problem, 1}, digest);
	struct snapshot *again = snapshot_new(told, NULL, 0, NULL, digest);
	(void)state;
	expect_text("told", describe_snapshot(told), "a - a.yaml\n.: gone\n");
	assert_string_equal(told->source_revision, "0123abcd");
	assert_string_equal(told->revision, base->revision);
	expect_text("no longer told", describe_snapshot(again), "a - a.yaml\n");
	assert_null(again->source_revision);
	snapshot_free(base);
	snapshot_free(told);
	snapshot_free(again);
	digest_free(digest);
}

/* A prompt's meter counts on over its edits, and begins anew for another version. */
static void
meters_outlive_edits(void **state)
{
	struct digest *digest = digest_new();
	struct source old = {.served = make_unit("a.yaml", "prompt_template: x")};
	struct source edited = {
		.served = make_unit("b.yaml", "{prompt_id: a, prompt_template: y}")};
	struct source other = {.served = make_unit("c.yaml", "{prompt_id: a, version: 2, "
							     "prompt_template: y}")};
	struct change first = {.now = old};
	struct change second[] = {{.before = old}, {.now = edited}, {.now = other}};
	(void)state;
	struct snapshot *base = snapshot_new(NULL, &first, 1, NULL, digest);
	meter_count(base->groups->entries[0].prompt->meter);
	struct snapshot *next = snapshot_new(base, second, LENGTH(second), NULL, digest);
	snapshot_free(base);
	assert_int_equal(next->n_prompts, 2);
	assert_int_equal(meter_read(next->groups->entries[0].prompt->meter), 1);
	assert_int_equal(meter_read(next->groups->entries[1].prompt->meter), 0);
	snapshot_free(next);
	unit_unref(old.served);
	unit_unref(edited.served);
	unit_unref(other.served);
	digest_free(digest);
}

static void
problems_are_lines(void **state)
{
	static const struct problem whole = {.path = "a/b.yaml", .message = "permission denied"};
	struct buffer out = {0};
	(void)state;
	problem_put(&whole, &out);
	assert_string_equal(out.data, "a/b.yaml: permission denied");
	buffer_finish(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_last_good_version_competes_like_a_good_file),
		cmocka_unit_test(a_leaving_file_yields),
		cmocka_unit_test(a_file_that_never_was_good_is_a_problem_alone),
		cmocka_unit_test(revisions_follow_the_prompts_alone),
		cmocka_unit_test(revisions_do_not_follow_the_state),
		cmocka_unit_test(ids_and_versions_have_an_order),
		cmocka_unit_test(ids_are_found),
		cmocka_unit_test(a_snapshot_from_a_base_is_like_one_from_nothing),
		cmocka_unit_test(a_large_snapshot_from_a_base_is_like_one_from_nothing),
		cmocka_unit_test(circumstances_are_told_with_the_same_prompts),
		cmocka_unit_test(meters_outlive_edits),
		cmocka_unit_test(problems_are_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
