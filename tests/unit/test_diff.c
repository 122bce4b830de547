/* test_diff.c -- tests of what differs between two snapshots. */
#include "support.h"

#include <stdio.h>

#include "core/buffer.h"
#include "core/diff.h"
#include "core/digest.h"
#include "core/snapshot.h"
#include "core/unit.h"

enum { MOST_FILES = 3 };

static void
on_prompt(void *context, const struct entry *before, const struct entry *now)
{
	static const char signs[] = "~+-";
	const struct entry *entry = now != NULL ? now : before;
	buffer_printf(context, "%c%s %s\n", signs[before == NULL ? 1 : 2 * (now == NULL)],
		entry->prompt->id, entry->prompt->version != NULL ? entry->prompt->version : "-");
}

static const struct {
	const char *name;
	struct file before[MOST_FILES], now[MOST_FILES];
	const char *wanted;
} rows[] = {
	ROW("the same", ROW(ROW("a.yaml", "prompt_template: x")),
		ROW(ROW("a.yaml", "prompt_template: x")), ""),
	ROW("the same in another file", ROW(ROW("a.yaml", "prompt_template: x")),
		ROW(ROW("b.yaml", "{prompt_id: a, prompt_template: x}")), ""),
	ROW("one of each kind",
		ROW(ROW("a.yaml", "prompt_template: x"), ROW("b.yaml", "prompt_template: x"),
			ROW("d.yaml", "prompt_template: x")),
		ROW(ROW("b.yaml", "prompt_template: y"), ROW("c.yaml", "prompt_template: x"),
			ROW("d.yaml", "prompt_template: x")),
		"-a -\n~b -\n+c -\n"),
	ROW("versions are prompts of their own", ROW(ROW("a.v1.yaml", "prompt_template: x")),
		ROW(ROW("a.v1.yaml", "prompt_template: x"), ROW("a.v2.yaml", "prompt_template: x")),
		"+a 2\n"),
	ROW("a label less", ROW(ROW("a.yaml", "{prompt_template: x, labels: [k, l]}")),
		ROW(ROW("a.yaml", "{prompt_template: x, labels: [k]}")), "~a -\n"),
	ROW("another label", ROW(ROW("a.yaml", "{prompt_template: x, labels: [l]}")),
		ROW(ROW("a.yaml", "{prompt_template: x, labels: [m]}")), "~a -\n"),
	ROW("a description", ROW(ROW("a.yaml", "prompt_template: x")),
		ROW(ROW("a.yaml", "{prompt_template: x, description: d}")), "~a -\n"),
};

static void
each_difference_is_told_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct buffer got = {0};
		struct snapshot *before =
			make_snapshot(rows[i].before, count_files(rows[i].before, MOST_FILES));
		struct snapshot *now =
			make_snapshot(rows[i].now, count_files(rows[i].now, MOST_FILES));
		buffer_puts(&got, "");
		diff_prompts(before, now, on_prompt, &got);
		expect_text(rows[i].name, got.data, rows[i].wanted);
		snapshot_free(before);
		snapshot_free(now);
	}
}

static void
at_first_all_is_new(void **state)
{
	struct buffer got = {0};
	struct snapshot *now = make_snapshot(
		(const struct file[]){
			{"b.yaml", "prompt_template: x"},
                        {"a.yaml", "prompt_template: x"}
        },
		2);
	(void)state;
	diff_prompts(NULL, now, on_prompt, &got);
	expect_text("from nothing", got.data, "+a -\n+b -\n");
	snapshot_free(now);
}

/* Snapshots share the parts of their index in which nothing changed: what is told is what did. */
static void
what_is_shared_does_not_differ(void **state)
{
	enum { COUNT = 500 };
	static struct change changes[COUNT];
	struct digest *digest = digest_new();
	struct buffer got = {0};
	char path[16];
	(void)state;
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), "p%03u.yaml", i);
		changes[i].now.served = make_unit(path, "prompt_template: x");
	}
	struct snapshot *base = snapshot_new(NULL, changes, COUNT, NULL, digest);
	const struct source none = {0};
	struct source edited = {.served = make_unit("p000.yaml", "prompt_template: y")};
	struct source added = {.served = make_unit("p250.v2.yaml", "prompt_template: x")};
	struct change edits[] = {
		{changes[0].now,         edited},
                {none,                   added },
                {changes[COUNT - 1].now, none  }
        };
	struct snapshot *now = snapshot_new(base, edits, LENGTH(edits), NULL, digest);
	diff_prompts(base, now, on_prompt, &got);
	expect_text("edits", got.data, "~p000 -\n+p250 2\n-p499 -\n");
	snapshot_free(base);
	snapshot_free(now);
	for (unsigned i = 0; i < COUNT; i++)
		unit_unref(changes[i].now.served);
	unit_unref(edited.served);
	unit_unref(added.served);
	digest_free(digest);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_difference_is_told_once),
		cmocka_unit_test(at_first_all_is_new),
		cmocka_unit_test(what_is_shared_does_not_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
