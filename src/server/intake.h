/* intake.h -- what is made of a file that was found, or is gone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "server/files.h"

struct digest;
struct look;
struct makers;
struct prompt_rules;
struct tree_file;
struct watcher;

/* Reload thread only. */
struct intake {
	int64_t settle_ms, delete_grace_ms; /* as in the loader's terms */
	struct makers *makers;
	struct digest *digest;
	struct files changed; /* those that differ from the last snapshot; borrowed */
	bool some_are_gone; /* among those that changed */
	struct file_counts counts;
	size_t warnings; /* that were logged in this round */

	/* The look under way. */
	struct watcher *watcher;
	int64_t now_ms;
	bool force;
	int tries; /* left to read files that are written over and over */
	struct look *look; /* what becomes of it */
	bool failed; /* memory was out */
};

/* Starts zeroed but for the times. Returns -1 when memory is out. */
int intake_init(struct intake *, const struct prompt_rules *);
void intake_finish(struct intake *);

/* A look begins; it is filled in by what follows. */
void intake_begin(struct intake *, struct watcher *, bool force, struct look *);

/* Take a file that was found: its content, if that is new and known to be complete, or its problem. What is made of
 * the content may be known only at the end. Returns -1 when memory is out. */
int intake_take(struct intake *, const struct tree_file *found, struct file *);

/* All files were found. Returns -1 when memory was out. */
int intake_end(struct intake *);

/* Serve a file that is gone for a moment more, or no longer, as where it was replaced together with others. Returns
 * -1 when memory is out. */
int intake_miss(struct intake *, struct file *, bool replaced);
