/* snapshot.h -- a set of units and the index over their prompts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct claim;
struct digest;
struct problem;
struct prompt;
struct unit;

/* One file as it stands: what it serves and, if that differs, what is wrong with it. */
struct source {
	struct unit *served; /* the last good one; NULL if there never was one */
	struct unit *faulty; /* the present content where that is not good, else NULL */
	bool leaving; /* the file is gone, and served on for a moment: it yields to any other */
};

/* A file that is not as it was. */
struct change {
	struct source before, now; /* all zero where there is no file */
};

/* A prompt that is served. */
struct entry {
	const struct prompt *prompt;
	const char *const *labels; /* those it holds; sorted */
	size_t n_labels;
	bool stale; /* a last good version: the file is not good now */
	bool leaving; /* as its source */
};

/* The versions of one id, in the order of version_compare. */
struct group {
	const struct entry *entries;
	size_t count;
};

/* Immutable once it is published, save what is the store's. Borrowed parts live as long as the
 * snapshot. */
struct snapshot {
	const struct group *groups; /* by id, bytewise */
	size_t n_groups;
	const struct claim *by_slug; /* all prompts with a slug, served or not: by slug, then id */
	size_t n_slugs;
	const struct problem
		*problems; /* what keeps a prompt or a label from being served, by path and line */
	size_t n_problems, n_conflicts; /* the latter: those of two prompts that claim the same */
	size_t n_prompts; /* of all groups */
	char revision[33]; /* of all that clients are told of the prompts, in hexadecimal */
	const char
		*source_revision; /* the commit that the files are of; NULL where none is known */

	/* The publisher's to set. */
	uint64_t generation; /* grows with each change of what is served, or wrong */
	bool was_clean; /* this one, or one before it, had no problems */

	size_t users; /* the store's, under its lock */
	struct snapshot *retired;
};

/* What is to be told beside the files. Copied. */
struct circumstances {
	const char *source_revision; /* NULL: none */
	const struct problem *problems; /* of the directory */
	size_t n_problems;
};

/* Make a snapshot that differs from a base, NULL for nothing, in some files; it takes its own references
 * to their units. What stands before in a change is what the base has of that file. Conflicts between
 * files are decided here and become problems. Returns NULL when memory is out. */
struct snapshot *snapshot_new(const struct snapshot *base, const struct change *, size_t count,
	const struct circumstances *, struct digest *);
void snapshot_free(struct snapshot *);

/* The versions of an id, or NULL. */
const struct group *snapshot_find(const struct snapshot *, const char *id);

/* A version of an id, NULL for the one without a version; NULL if there is none. */
const struct entry *snapshot_find_version(
	const struct snapshot *, const char *id, const char *version);

/* Where an id stands or would stand in groups. */
size_t snapshot_position(const struct snapshot *, const char *id);

bool entry_has_label(const struct entry *, const char *label);
