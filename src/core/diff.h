/* diff.h -- what differs between two snapshots. */
#pragma once

struct entry;
struct snapshot;

/* Called for each prompt that differs: before is NULL for one that was added, now for one that was
 * removed. */
typedef void diff_on_prompt(void *context, const struct entry *before, const struct entry *now);

/* Compare what is served, in the order of ids and versions; before may be NULL. */
void diff_prompts(
	const struct snapshot *before, const struct snapshot *now, diff_on_prompt *, void *context);
