/* changes.h -- what changes for those who ask, between two sets of prompts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct snapshot;

enum change_kind {
	PROMPT_ADDED,
	PROMPT_REMOVED,
	PROMPT_CHANGED,
	DEFAULT_MOVED,
	LABEL_MOVED,
	SLUG_SHARED,
	N_CHANGE_KINDS
};

/* A field that is not what it was. */
struct changed_field {
	struct changed_field *next;
	const char *name;
	const char *before, *now; /* NULL: absent */
};

/* What is said of one prompt. */
struct change_of_prompt {
	struct change_of_prompt *next;
	enum change_kind kind;
	const char *name; /* ID, ID@VERSION or ID@LABEL; of SLUG_SHARED the slug */
	const char *breaking; /* why it is; NULL: it is not */
	struct changed_field *first, **last;
	const char *
		published; /* in which way the version that was edited is; NULL: it was not, or is not */
	const char *diff; /* of the messages */
};

/* Everything, in the order of ids. Texts are in the arena. */
struct changes {
	struct arena *arena;
	const struct snapshot *before, *now;
	const char *const *default_labels; /* NULL-ended */
	struct change_of_prompt *first, **last;
	size_t counts[N_CHANGE_KINDS];
	bool breaking;
};

/* Starts zeroed but for the arena, the snapshots and the labels. Returns -1 when memory is out. */
int changes_find(struct changes *);
