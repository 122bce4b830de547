/* reloader.h -- the reload thread: decides when to look again, and when a set of files is settled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct figures;
struct job;
struct prompt_rules;
struct reloader;
struct store;

struct reloader_terms {
	const char *directory;
	const struct prompt_rules *rules;
	struct store *store; /* the reloader is its only publisher */
	struct figures *figures;
	int64_t quiet_ms; /* look once nothing has happened for so long, … */
	int64_t max_latency_ms; /* … but take what is complete so long after the first event */
	int64_t settle_ms, delete_grace_ms, empty_grace_ms;
	int64_t poll_ms; /* look in any case, events or none */
	bool without_inotify, links_lead_anywhere;
	bool hold_bad_files;
	bool strict_start;
	size_t min_prompts;
};

/* Borrows what the terms point to. Returns NULL when memory is out. */
struct reloader *reloader_new(const struct reloader_terms *);

/* Look and publish for the first time, on the caller's thread: files that are being put in place are waited
 * for, for as long as the maximum latency. Where nothing can be published yet it is logged, and waited for
 * once the thread runs. Returns -1 with an error where strict_start finds anything wrong. Before
 * reloader_start. */
int reloader_load(struct reloader *, struct error *);

/* Start the thread. Returns -1 with an error. */
int reloader_start(struct reloader *, struct error *);

/* End the thread, if it was started, after the jobs posted before, and free all. */
void reloader_free(struct reloader *);

/* Look everywhere soon, and log the outcome. Any thread, and signal-safe. */
void reloader_request(struct reloader *);

/* Queue a job. Any thread. */
void reloader_post(struct reloader *, struct job *);
