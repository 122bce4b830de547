/* publisher.c -- whether a set of files is published, and what is told of it. */
#include "server/publisher.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/diff.h"
#include "core/error.h"
#include "core/lint.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/figures.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/warnings.h"

enum { MAX_SAID = 100 }; /* problems that are logged at once */

void
publisher_init(struct publisher *publisher, const struct publisher_terms *terms)
{
	*publisher = (struct publisher){.terms = *terms, .shown = N_HOLDS};
}

void
publisher_finish(struct publisher *publisher)
{
	snapshot_free(publisher->candidate);
}

static bool
is_same_problem(const struct problem *a, const struct problem *b)
{
	return a->line == b->line && a->column == b->column && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->message, b->message) == 0;
}

static bool
has_same_problems(const struct snapshot *a, const struct snapshot *b)
{
	if (a->n_problems != b->n_problems)
		return false;
	for (size_t i = 0; i < a->n_problems; i++)
		if (!is_same_problem(&a->problems[i], &b->problems[i]))
			return false;
	return true;
}

/* Whether a snapshot has a problem of the path, with the message or, for NULL, with any; its problems stand in
 * the order of their paths. */
static bool
has_problem(const struct snapshot *snapshot, const char *path, const char *message)
{
	size_t low = 0, high = snapshot->n_problems;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(snapshot->problems[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < snapshot->n_problems; low++) {
		const struct problem *problem = &snapshot->problems[low];
		if (strcmp(problem->path, path) != 0)
			return false;
		if (message == NULL || strcmp(problem->message, message) == 0)
			return true;
	}
	return false;
}

/* Say, and count, what is wrong now and was not before. */
static void
tell_problems(struct figures *figures, const struct snapshot *before, const struct snapshot *now)
{
	size_t said = 0;
	for (size_t i = 0; i < now->n_problems; i++) {
		const struct problem *problem = &now->problems[i];
		struct buffer text = {0};
		if (before != NULL && has_problem(before, problem->path, problem->message))
			continue;
		atomic_fetch_add_explicit(
			&figures->problems[problem->kind], 1, memory_order_relaxed);
		if (++said > MAX_SAID)
			continue;
		problem_put(problem, &text);
		log_write(LOG_LEVEL_ERROR, text.failed ? problem->message : text.data, LOG_END);
		buffer_finish(&text);
	}
	if (said > MAX_SAID)
		log_write(LOG_LEVEL_ERROR, "there are more problems",
			LOG_NUMBER("more", said - MAX_SAID), LOG_END);
}

/* Say what was wrong and is not any more. */
static void
log_recoveries(const struct snapshot *before, const struct snapshot *now)
{
	size_t said = 0;
	for (size_t i = 0; i < before->n_problems && said < MAX_SAID; i++) {
		const char *path = before->problems[i].path;
		bool is_told = i > 0 && strcmp(before->problems[i - 1].path, path) == 0;
		if (is_told || has_problem(now, path, NULL))
			continue;
		log_write(LOG_LEVEL_INFO, "good again", LOG_TEXT("path", path), LOG_END);
		said++;
	}
}

/* A comparison of what was and is published. */
struct telling {
	const struct snapshot *before, *now; /* before: NULL at first */
	const char *const *default_labels;
	struct arena *arena;
	const struct group *group; /* the last one that was looked at */
	size_t n_warnings;
	struct publication *publication;
};

/* Warn of an id that is served in no version any more when none is asked for. */
static void
tell_default(struct telling *telling, const char *id)
{
	const struct group *now = snapshot_find(telling->now, id);
	const struct group *before =
		telling->before != NULL ? snapshot_find(telling->before, id) : NULL;
	struct problem problem, old;
	if (now == NULL || now == telling->group || telling->arena == NULL)
		return;
	telling->group = now;
	if (!lint_group(now, telling->default_labels, telling->arena, &problem) ||
		(before != NULL &&
			lint_group(before, telling->default_labels, telling->arena, &old)))
		return;
	warnings_log(&problem, ++telling->n_warnings);
}

/* Write a line for a prompt that changed; the first ones of all are too many to name. */
static void
on_prompt(void *context, const struct entry *before, const struct entry *now)
{
	struct telling *telling = context;
	const struct entry *entry = now != NULL ? now : before;
	const struct prompt *prompt = entry->prompt;
	const char *what = before == NULL ? "prompt added"
			   : now == NULL  ? "prompt removed"
					  : "prompt changed";
	const char *commit = telling->now->source_revision;
	tell_default(telling, prompt->id);
	telling->publication->added += before == NULL;
	telling->publication->removed += now == NULL;
	telling->publication->changed += before != NULL && now != NULL;
	if (telling->before == NULL)
		return;
	log_write(LOG_LEVEL_INFO, what, LOG_TEXT("prompt_id", prompt->id),
		LOG_TEXT("prompt_version", prompt->version != NULL ? prompt->version : "-"),
		LOG_TEXT("etag", now != NULL ? now->prompt->etag : "-"),
		LOG_TEXT("old_etag", before != NULL ? before->prompt->etag : "-"),
		LOG_TEXT("source_revision", commit != NULL ? commit : "-"), LOG_END);
}

static void
note_publication(struct publisher *publisher, const struct publication *publication)
{
	struct publication *all = publisher->publications;
	memmove(all + 1, all, (N_PUBLICATIONS - 1) * sizeof(*all));
	all[0] = *publication;
	publisher->n_publications += publisher->n_publications < N_PUBLICATIONS;
}

/* Measure how old the newest content is that was published just now. */
static void
note_age(struct figures *figures, int64_t changed_ns)
{
	int64_t age_ns = clock_real_ns() - changed_ns;
	if (changed_ns > 0 && age_ns >= 0)
		histogram_add(&figures->age, (uint64_t)age_ns / 1000);
}

/* Tell of a new generation. */
static void
tell(struct publisher *publisher, const struct snapshot *before, const struct snapshot *now,
	const struct offer *offer)
{
	struct figures *figures = publisher->terms.figures;
	int64_t latency_ms = offer->first_ms > 0 ? clock_ms() - offer->first_ms : offer->look_ms;
	struct publication publication = {
		.generation = now->generation,
		.cause = offer->cause,
		.look_ms = offer->look_ms,
		.latency_ms = latency_ms,
	};
	struct telling telling = {.before = before,
		.now = now,
		.default_labels = publisher->terms.default_labels,
		.arena = arena_new(),
		.publication = &publication};
	diff_prompts(before, now, on_prompt, &telling);
	arena_free(telling.arena);
	note_publication(publisher, &publication);
	if (offer->first_ms > 0)
		histogram_add(&figures->latency, (uint64_t)latency_ms * 1000);
	tell_problems(figures, before, now);
	if (before != NULL) {
		log_recoveries(before, now);
		note_age(figures, offer->changed_ns);
	}
	log_write(LOG_LEVEL_INFO, "prompts published", LOG_NUMBER("prompts", now->n_groups),
		LOG_NUMBER("problems", now->n_problems), LOG_NUMBER("generation", now->generation),
		LOG_TEXT("cause", cause_name(offer->cause)), LOG_NUMBER("added", publication.added),
		LOG_NUMBER("changed", publication.changed),
		LOG_NUMBER("removed", publication.removed), LOG_NUMBER("scan_ms", offer->look_ms),
		LOG_NUMBER("latency_ms", latency_ms), LOG_TEXT("revision", now->revision),
		LOG_TEXT("source_revision",
			now->source_revision != NULL ? now->source_revision : "-"),
		LOG_END);
	if (now->n_prompts == 0)
		log_write(LOG_LEVEL_WARN,
			"there are no prompts: /ready stays red unless --allow-empty is given",
			LOG_TEXT("directory", publisher->terms.directory), LOG_END);
}

/* Make a snapshot, which is taken, current. */
static void
publish(struct publisher *publisher, struct snapshot *snapshot, const struct offer *offer,
	bool is_new)
{
	const struct snapshot *before = publisher->published;
	bool is_generation = is_new || before == NULL || !has_same_problems(before, snapshot);
	snapshot->generation = before == NULL ? 1 : before->generation + (is_generation ? 1 : 0);
	snapshot->was_clean =
		(before != NULL && before->was_clean) ||
		(snapshot->n_problems == 0 &&
			loader_counts(publisher->terms.loader)->files[FILE_UNSETTLED] == 0);
	store_publish(publisher->terms.store, snapshot);
	publisher->published = snapshot;
	figures_set(publisher->terms.figures, FIGURE_PUBLISHED_MS, clock_ms());
	if (is_generation) /* before may be freed only behind this */
		tell(publisher, before, snapshot, offer);
	publisher->in_use = store_reap(publisher->terms.store) > 0;
}

static size_t
count_present(const struct loader *loader)
{
	const struct file_counts *counts = loader_counts(loader);
	size_t present = 0;
	for (int i = 0; i < N_FILE_STATES; i++)
		present += i != FILE_LEAVING ? counts->files[i] : 0;
	return present;
}

/* Whether all files are gone, which is believed only after a while; on another file system, as when a
 * mount is gone, never. */
static bool
is_empty(struct publisher *publisher, const struct offer *offer)
{
	bool present = count_present(publisher->terms.loader) > 0;
	if (present || publisher->published == NULL || publisher->published->n_prompts == 0) {
		if (present)
			publisher->device = offer->device;
		publisher->empty_since_ms = 0;
		publisher->elsewhere = false;
		return false;
	}
	bool elsewhere = offer->device != publisher->device;
	if (publisher->empty_since_ms == 0 || (publisher->elsewhere && !elsewhere))
		publisher->empty_since_ms = offer->now_ms;
	publisher->elsewhere = elsewhere;
	return publisher->elsewhere ||
	       offer->now_ms - publisher->empty_since_ms < publisher->terms.empty_grace_ms;
}

/* What keeps the newest set from being published, or N_HOLDS. */
static enum hold
find_hold(struct publisher *publisher, const struct snapshot *newest, const struct offer *offer)
{
	if (offer->root_problem != NULL) {
		publisher->empty_since_ms = 0;
		return HOLD_ROOT;
	}
	if (is_empty(publisher, offer))
		return HOLD_EMPTY;
	if (newest->n_groups < publisher->terms.min_prompts)
		return HOLD_MIN_PROMPTS;
	if (publisher->terms.hold_bad_files && newest->n_problems > 0 &&
		publisher->published != NULL && publisher->published->was_clean)
		return HOLD_BAD_FILE;
	return N_HOLDS;
}

/* Say why the newest set is not served. */
static void
explain(const struct publisher *publisher, enum hold hold, const struct snapshot *newest,
	const struct offer *offer, char *out, size_t size)
{
	const char *instead = publisher->published != NULL
				      ? "the last prompts are served on"
				      : "waiting for it (--strict-start exits instead)";
	switch (hold) {
	case HOLD_ROOT:
		snprintf(out, size, "%s: %s", offer->root_problem->message, instead);
		break;
	case HOLD_EMPTY:
		snprintf(out, size, "%s: the last prompts are served on",
			publisher->elsewhere
				? "another file system, without files, was mounted over the "
				  "prompts"
				: "all files are gone");
		break;
	case HOLD_MIN_PROMPTS:
		snprintf(out, size, "there are prompts of %zu id%s, and --min-prompts is %zu: %s",
			newest->n_groups, newest->n_groups == 1 ? "" : "s",
			publisher->terms.min_prompts,
			publisher->published != NULL ? instead : "waiting for more");
		break;
	default:
		snprintf(out, size,
			"files are not good, and --on-bad-file is hold: the last good set is "
			"served on");
		break;
	}
}

/* Serve on what is published, and tell why. Returns whether that was not told yet. */
static bool
restate(struct publisher *publisher, enum hold hold, const struct snapshot *newest,
	const struct offer *offer)
{
	char *message = publisher->reason;
	struct loader *loader = publisher->terms.loader;
	struct problem note = {
		.path = ".", .kind = ERROR_FILE, .rule = RULE_FILE, .message = message};
	struct circumstances circumstances = {NULL, &note, 1};
	explain(publisher, hold, newest, offer, message, sizeof(publisher->reason));
	if (publisher->published == NULL) {
		if (hold != publisher->shown && !publisher->terms.strict_start)
			log_write(LOG_LEVEL_WARN, message, LOG_END);
		publisher->shown = hold;
		return false;
	}
	/* What is wrong with the held files is told first. */
	struct snapshot *told = NULL, *view;
	circumstances.source_revision = publisher->published->source_revision;
	if (hold == HOLD_BAD_FILE) {
		told = loader_restate(loader, newest, &circumstances);
		if (told == NULL)
			return false;
		circumstances.problems = told->problems;
		circumstances.n_problems = told->n_problems;
	}
	view = loader_restate(loader, publisher->published, &circumstances);
	publisher->failed |= view == NULL;
	bool differs = view != NULL && !has_same_problems(publisher->published, view);
	if (differs)
		publish(publisher, view, offer, false);
	else
		snapshot_free(view);
	snapshot_free(told);
	publisher->shown = hold;
	return differs;
}

static const char *
commit_of(const struct snapshot *snapshot)
{
	return snapshot->source_revision != NULL ? snapshot->source_revision : "";
}

/* Bring the candidate up to date with the loader's files. Returns the newest snapshot, or NULL. */
static const struct snapshot *
update_candidate(struct publisher *publisher, const struct circumstances *circumstances)
{
	struct loader *loader = publisher->terms.loader;
	const struct snapshot *base =
		publisher->candidate != NULL ? publisher->candidate : publisher->published;
	if (base != NULL && !loader_has_changes(loader))
		return base;
	bool is_new = loader_has_new_units(loader);
	struct snapshot *newest = loader_snapshot(loader, base, circumstances);
	if (newest == NULL)
		return NULL;
	snapshot_free(publisher->candidate);
	publisher->candidate = newest;
	publisher->is_new |= is_new;
	return newest;
}

/* Publish the newest set, if anything of it is new. */
static bool
release(struct publisher *publisher, const struct circumstances *circumstances,
	const struct offer *offer)
{
	struct snapshot *snapshot = publisher->candidate;
	const struct snapshot *base = snapshot != NULL ? snapshot : publisher->published;
	bool was_told = publisher->shown != N_HOLDS && publisher->published != NULL;
	bool is_new = publisher->is_new;
	if (was_told || strcmp(commit_of(base), offer->commit) != 0) {
		struct snapshot *other =
			loader_restate(publisher->terms.loader, base, circumstances);
		publisher->failed |= other == NULL;
		if (other == NULL)
			return false;
		snapshot_free(snapshot);
		snapshot = other;
	}
	if (snapshot == NULL)
		return false;
	publisher->candidate = NULL;
	publisher->is_new = false;
	publisher->shown = N_HOLDS;
	publish(publisher, snapshot, offer, is_new);
	return true;
}

bool
publisher_offer(struct publisher *publisher, const struct offer *offer)
{
	const struct circumstances circumstances = {
		.source_revision = *offer->commit != '\0' ? offer->commit : NULL};
	const struct snapshot *newest = offer->root_problem == NULL
						? update_candidate(publisher, &circumstances)
						: publisher->published;
	publisher->failed = newest == NULL && offer->root_problem == NULL;
	if (publisher->failed)
		return false;
	enum hold hold = find_hold(publisher, newest, offer);
	return hold != N_HOLDS ? restate(publisher, hold, newest, offer)
			       : release(publisher, &circumstances, offer);
}

void
publisher_reap(struct publisher *publisher)
{
	if (publisher->in_use)
		publisher->in_use = store_reap(publisher->terms.store) > 0;
}

int64_t
publisher_next_ms(const struct publisher *publisher)
{
	return publisher->shown == HOLD_EMPTY && !publisher->elsewhere
		       ? publisher->empty_since_ms + publisher->terms.empty_grace_ms
		       : 0;
}
