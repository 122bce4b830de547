/* lines.c -- what differs between two texts, line by line. */
#include "cli/lines.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"

enum { CONTEXT = 2, MOST_CELLS = 4 * 1024 * 1024 };

/* A text's lines, each without its end. */
struct lines {
	const char **starts;
	size_t *lengths;
	size_t count;
};

/* A line of the difference. */
struct edit {
	char sign;
	const char *start;
	size_t length;
};

struct edits {
	struct edit *items;
	size_t count;
};

static int
split(const char *text, struct lines *lines)
{
	size_t most = 1;
	for (const char *at = text; *at != '\0'; at++)
		most += *at == '\n';
	lines->starts = calloc(most, sizeof(const char *));
	lines->lengths = calloc(most, sizeof(size_t));
	if (lines->starts == NULL || lines->lengths == NULL)
		return -1;
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		lines->starts[lines->count] = text;
		lines->lengths[lines->count++] = length;
		text += length + (text[length] == '\n');
	}
	return 0;
}

static bool
is_same(const struct lines *a, size_t i, const struct lines *b, size_t k)
{
	return a->lengths[i] == b->lengths[k] &&
	       memcmp(a->starts[i], b->starts[k], a->lengths[i]) == 0;
}

static void
add(struct edits *edits, char sign, const struct lines *lines, size_t i)
{
	edits->items[edits->count++] = (struct edit){sign, lines->starts[i], lines->lengths[i]};
}

/* Find the edits between what is left of two texts by their longest common subsequence. */
static void
find_edits(struct edits *edits, const struct lines *a, size_t from, size_t a_end,
	const struct lines *b, size_t b_end)
{
	size_t n = a_end - from, m = b_end - from, i = 0, k = 0;
	uint32_t *longest = n > 0 && m > 0 && n * m <= MOST_CELLS
				    ? calloc((n + 1) * (m + 1), sizeof(*longest))
				    : NULL;
	for (size_t x = n; longest != NULL && x-- > 0;)
		for (size_t y = m; y-- > 0;) {
			uint32_t down = longest[(x + 1) * (m + 1) + y];
			uint32_t right = longest[x * (m + 1) + y + 1];
			longest[x * (m + 1) + y] = is_same(a, from + x, b, from + y)
							   ? longest[(x + 1) * (m + 1) + y + 1] + 1
							   : (down > right ? down : right);
		}
	while (longest != NULL && i < n && k < m) {
		if (is_same(a, from + i, b, from + k)) {
			add(edits, ' ', a, from + i++);
			k++;
		} else if (longest[(i + 1) * (m + 1) + k] >= longest[i * (m + 1) + k + 1]) {
			add(edits, '-', a, from + i++);
		} else {
			add(edits, '+', b, from + k++);
		}
	}
	while (i < n)
		add(edits, '-', a, from + i++);
	while (k < m)
		add(edits, '+', b, from + k++);
	free(longest);
}

static bool
is_near_change(const struct edits *edits, size_t at)
{
	size_t from = at > CONTEXT ? at - CONTEXT : 0;
	for (size_t i = from; i <= at + CONTEXT && i < edits->count; i++)
		if (edits->items[i].sign != ' ')
			return true;
	return false;
}

static void
put_edits(struct buffer *out, const struct edits *edits)
{
	bool is_left_out = false;
	for (size_t i = 0; i < edits->count; i++) {
		const struct edit *edit = &edits->items[i];
		bool shown = is_near_change(edits, i);
		if (!shown && !is_left_out)
			buffer_puts(out, " …\n");
		is_left_out = !shown;
		if (!shown)
			continue;
		buffer_putc(out, edit->sign);
		buffer_put(out, edit->start, edit->length);
		buffer_putc(out, '\n');
	}
}

void
lines_put_diff(struct buffer *out, const char *before, const char *now)
{
	struct lines a = {0}, b = {0};
	struct edits edits = {0};
	if (strcmp(before, now) == 0)
		return;
	if (split(before, &a) == 0 && split(now, &b) == 0)
		edits.items = calloc(a.count + b.count + 1, sizeof(*edits.items));
	if (edits.items != NULL) {
		size_t from = 0, a_end = a.count, b_end = b.count;
		while (from < a_end && from < b_end && is_same(&a, from, &b, from))
			add(&edits, ' ', &a, from++);
		while (a_end > from && b_end > from && is_same(&a, a_end - 1, &b, b_end - 1)) {
			a_end--;
			b_end--;
		}
		find_edits(&edits, &a, from, a_end, &b, b_end);
		for (size_t i = a_end; i < a.count; i++)
			add(&edits, ' ', &a, i);
		put_edits(out, &edits);
	} else {
		out->failed = true;
	}
	free(edits.items);
	free(a.starts);
	free(a.lengths);
	free(b.starts);
	free(b.lengths);
}
