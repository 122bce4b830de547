/* support.c -- what the unit tests share: units and snapshots made of texts. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/unit.h"

struct unit *
make_unit_of_bytes(const char *path, const char *data, size_t length)
{
	static const struct prompt_rules rules = {0};
	struct unit_maker *maker = unit_maker_new(&rules);
	assert_non_null(maker);
	struct unit *unit = unit_new(maker, path, data, length);
	EXPECT(unit != NULL, "%s: no unit", path);
	unit_maker_free(maker);
	return unit;
}

struct unit *
make_unit(const char *path, const char *text)
{
	return make_unit_of_bytes(path, text, strlen(text));
}

size_t
count_files(const struct file *files, size_t size)
{
	size_t count = 0;
	while (count < size && files[count].path != NULL)
		count++;
	return count;
}

struct snapshot *
snapshot_of(const struct source *sources, size_t count, struct digest *digest)
{
	struct change *changes = calloc(count + 1, sizeof(*changes));
	assert_non_null(changes);
	for (size_t i = 0; i < count; i++)
		changes[i].now = sources[i];
	struct snapshot *snapshot = snapshot_new(NULL, changes, count, NULL, digest);
	assert_non_null(snapshot);
	free(changes);
	return snapshot;
}

struct snapshot *
make_snapshot(const struct file *files, size_t count)
{
	struct digest *digest = digest_new();
	struct source *sources = calloc(count + 1, sizeof(*sources));
	assert_non_null(digest);
	assert_non_null(sources);
	for (size_t i = 0; i < count; i++) {
		sources[i].served = make_unit(files[i].path, files[i].text);
		EXPECT(sources[i].served->n_errors == 0, "%s is not good: %s", files[i].path,
			sources[i].served->problems[0].message);
	}
	struct snapshot *snapshot = snapshot_of(sources, count, digest);
	for (size_t i = 0; i < count; i++)
		unit_unref(sources[i].served);
	free(sources);
	digest_free(digest);
	return snapshot;
}

static void
put_line(struct buffer *out, const struct problem *problem)
{
	problem_put(problem, out);
	buffer_putc(out, '\n');
}

char *
describe_unit(const struct unit *unit)
{
	struct buffer out = {0};
	buffer_puts(&out, "");
	for (size_t i = 0; i < unit->n_prompts; i++) {
		buffer_puts(&out, unit->prompts[i].answer);
		buffer_putc(&out, '\n');
	}
	for (size_t i = 0; i < unit->n_problems; i++)
		put_line(&out, &unit->problems[i]);
	return out.data;
}

static void
put_entry(struct buffer *out, const struct entry *entry)
{
	const struct prompt *prompt = entry->prompt;
	buffer_printf(out, "%s %s", prompt->id, prompt->version != NULL ? prompt->version : "-");
	for (size_t i = 0; i < entry->n_labels; i++)
		buffer_printf(out, " %s", entry->labels[i]);
	buffer_printf(out, " %s%s\n", prompt->unit->path, entry->stale ? " stale" : "");
}

char *
describe_snapshot(const struct snapshot *snapshot)
{
	struct buffer out = {0};
	buffer_puts(&out, "");
	for (size_t i = 0; i < snapshot->n_groups; i++)
		for (size_t k = 0; k < snapshot->groups[i].count; k++)
			put_entry(&out, &snapshot->groups[i].entries[k]);
	for (size_t i = 0; i < snapshot->n_problems; i++) {
		problem_put(&snapshot->problems[i], &out);
		buffer_putc(&out, '\n');
	}
	return out.data;
}

char *
describe_text(int (*parse)(struct document *, const char *data, size_t length), const char *data,
	size_t length)
{
	struct buffer out = {0};
	struct arena *arena = arena_new();
	assert_non_null(arena);
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	int result = parse(&document, data, length);
	EXPECT(result == 0 || errors.count > 0, "reading stopped without an error");
	buffer_puts(&out, "");
	for (const struct value *root = document.first; root != NULL; root = root->next) {
		buffer_puts(&out, out.length > 0 ? "\n" : "");
		json_put_value(&out, root);
	}
	for (const struct error *error = errors.first; error != NULL; error = error->next)
		buffer_printf(&out, "%s%u:%u: %s", out.length > 0 ? "\n" : "", error->line,
			error->column, error->message);
	arena_free(arena);
	return out.data;
}

void
expect_text(const char *name, char *got, const char *wanted)
{
	EXPECT(strcmp(got, wanted) == 0, "%s:\n  got    %s\n  wanted %s", name, got, wanted);
	free(got);
}
