/* cycle.h -- looks at the prompt directory until what it holds is settled, publishes that, and begins anew. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/figures.h"

struct buffer;
struct creation;
struct cycle;
struct error;
struct loader;
struct prompt_rules;
struct snapshot;
struct store;

struct cycle_terms {
	const char *directory;
	const struct prompt_rules *rules;
	const char *const *default_labels; /* NULL-ended */
	const atomic_bool *stopping; /* set by another thread: a look ends early */
	struct store *store; /* the cycle is its only publisher */
	struct figures *figures;
	int64_t quiet_ms; /* look once nothing has happened for so long, … */
	int64_t max_latency_ms; /* … but take what is complete so long after the first event */
	int64_t settle_ms, delete_grace_ms, empty_grace_ms;
	int64_t git_wait_ms; /* for its lock to go */
	int64_t poll_ms; /* look in any case, events or none */
	bool without_inotify, links_lead_anywhere;
	bool hold_bad_files;
	bool strict_start;
	size_t min_prompts;
};

/* Borrows what the terms point to. One thread at a time. Returns NULL when memory is out. */
struct cycle *cycle_new(const struct cycle_terms *);
void cycle_free(struct cycle *);

/* Look and publish for the first time: files that are being put in place are waited for, for as long as the
 * maximum latency. Where nothing can be published yet that is logged. Returns -1 with an error where
 * strict_start finds anything wrong. */
int cycle_load(struct cycle *, struct error *);

/* When to step at the latest, on clock_ms(), and the descriptor that asks for it before by being readable, or
 * -1. */
int64_t cycle_due_ms(const struct cycle *);
int cycle_descriptor(const struct cycle *);

/* Take in what has happened, and look if it is time to. Returns whether a round is over: all that was asked
 * for before the step, and had happened before the look, is published or known not to be; files that are never left
 * alone are waited for as long as the maximum latency. */
bool cycle_step(struct cycle *);

/* Look at everything at the next step. */
void cycle_demand(struct cycle *, enum cause);

/* Write a new prompt's file, and look at it at the next step. Returns false where it was not written. */
bool cycle_create(struct cycle *, struct creation *);

/* Why the directory cannot be looked at; NULL where it can. */
const struct error *cycle_root_problem(const struct cycle *);

/* What is served; NULL before the first publication. */
const struct snapshot *cycle_published(const struct cycle *);

/* What is known of the files. */
const struct loader *cycle_loader(const struct cycle *);

/* Put how things stand, in JSON, with good files or without. */
void cycle_put_status(struct cycle *, bool all_files, struct buffer *);

/* Whether files that are gone are served for a moment more, and will then be looked for again. */
bool cycle_has_leaving(const struct cycle *);

/* Whether the newest files are served and nothing is wrong with them. */
bool cycle_is_clean(const struct cycle *);
