/* conflict.c -- which of two prompts that claim the same is served. */
#include "core/conflict.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"
#include "core/version.h"

/* A label that a prompt claims. */
struct label_claim {
	const char *label;
	struct place place;
	struct entry *entry;
};

static int
compare_precedence(const struct prompt *a, bool a_leaves, const struct prompt *b, bool b_leaves)
{
	if (a_leaves != b_leaves)
		return a_leaves ? 1 : -1;
	if (a->path_gives_id != b->path_gives_id)
		return a->path_gives_id ? -1 : 1;
	size_t length = strlen(a->unit->path), other = strlen(b->unit->path);
	if (length != other)
		return length < other ? -1 : 1;
	int order = strcmp(a->unit->path, b->unit->path);
	if (order != 0)
		return order;
	return a < b ? -1 : a > b; /* both lie in the unit's array, in the file's order */
}

int
conflict_compare(const void *claim, const void *other)
{
	const struct claim *x = claim, *y = other;
	int order = strcmp(x->prompt->id, y->prompt->id);
	if (order == 0)
		order = version_compare(x->prompt->version, y->prompt->version);
	return order != 0 ? order
			  : compare_precedence(x->prompt, x->leaving, y->prompt, y->leaving);
}

static int
compare_label_claims(const void *a, const void *b)
{
	const struct label_claim *x = a, *y = b;
	int order = strcmp(x->label, y->label);
	return order != 0 ? order
			  : compare_precedence(x->entry->prompt, x->entry->leaving,
				    y->entry->prompt, y->entry->leaving);
}

static int
compare_version_to_entry(const void *version, const void *entry)
{
	return version_compare(version, ((const struct entry *)entry)->prompt->version);
}

/* A problem without its words. */
static struct problem
loss_of(const struct prompt *loser)
{
	return (struct problem){.path = loser->unit->path,
		.line = loser->line,
		.column = loser->column,
		.kind = ERROR_CONFLICT,
		.rule = RULE_CONFLICT};
}

static void
add_problem(struct problems *problems, struct problem problem)
{
	if (problem.message != NULL) /* NULL: the arena has failed, which ends the making */
		problems->items[problems->count++] = problem;
}

/* A path for a message, on one line. */
static const char *
shown(struct arena *arena, const char *path)
{
	char *copy = arena_copy(arena, path, strlen(path));
	for (char *at = copy; at != NULL && *at != '\0'; at++)
		if ((unsigned char)*at < ' ')
			*at = '?';
	return copy != NULL ? copy : "";
}

static void
add_double(struct arena *arena, struct problems *problems, const struct claim *loser,
	const struct prompt *winner)
{
	struct quote quote;
	const struct prompt *prompt = loser->prompt;
	bool versioned = prompt->version != NULL;
	if (loser->leaving)
		return;
	const struct problem loss = loss_of(prompt);
	add_problem(
		problems, problem_of(arena, &loss,
				  "the prompt %s%s%s is served from %s:%u\ndelete one of them%s",
				  text_quote(&quote, prompt->id), versioned ? " version " : "",
				  versioned ? prompt->version : "", winner->unit->path,
				  winner->line, versioned ? "" : ", or give them versions"));
}

size_t
conflict_settle_versions(struct arena *arena, const struct claim *claims, size_t count,
	struct entry *entries, struct problems *problems)
{
	size_t kept = 0;
	for (const struct claim *claim = claims; claim < claims + count; claim++) {
		const struct prompt *prompt = claim->prompt;
		const struct prompt *winner = kept > 0 ? entries[kept - 1].prompt : NULL;
		if (winner != NULL && strcmp(winner->id, prompt->id) == 0 &&
			version_compare(winner->version, prompt->version) == 0)
			add_double(arena, problems, claim, winner);
		else
			entries[kept++] = (struct entry){
				.prompt = prompt, .stale = claim->stale, .leaving = claim->leaving};
	}
	return kept;
}

/* Give a label to its first claimant; each later one loses it. */
static void
settle_claim(struct arena *arena, const struct label_claim *claim, const struct label_claim *first,
	const struct entry *version, struct problems *problems)
{
	struct quote quote;
	const char *label = text_quote(&quote, claim->label);
	const struct prompt *prompt = claim->entry->prompt, *holder = first->entry->prompt;
	struct problem loss = loss_of(prompt);
	bool silent = claim->entry->leaving;
	loss.line = claim->place.line;
	loss.column = claim->place.column;
	if (version != NULL && !silent) {
		add_problem(problems,
			problem_of(arena, &loss,
				"the label %s is a version of this id in %s:%u\nrename it", label,
				shown(arena, version->prompt->unit->path), version->prompt->line));
	} else if (version == NULL && claim == first) {
		const char **labels = (const char **)(uintptr_t)claim->entry->labels;
		labels[claim->entry->n_labels++] = claim->label;
	} else if (version == NULL && holder != prompt && !silent) {
		add_problem(
			problems, problem_of(arena, &loss,
					  "the label %s is held by %s:%u\ntake it away from one",
					  label, shown(arena, holder->unit->path), holder->line));
	}
}

/* List what the entries claim, in the order of labels and precedence, and give each entry room for its
 * labels. Returns how many claims there are, or -1. */
static long
gather_claims(struct arena *arena, struct entry *entries, size_t count, struct label_claim **claims)
{
	size_t most = 0, gathered = 0;
	for (size_t i = 0; i < count; i++)
		most += entries[i].prompt->n_labels;
	*claims = arena_array(arena, most, sizeof(**claims));
	if (*claims == NULL)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const struct prompt *prompt = entries[i].prompt;
		entries[i].labels = arena_array(arena, prompt->n_labels, sizeof(const char *));
		if (entries[i].labels == NULL)
			return -1;
		for (size_t k = 0; k < prompt->n_labels; k++)
			(*claims)[gathered++] = (struct label_claim){
				prompt->labels[k], prompt->label_places[k], &entries[i]};
	}
	if (gathered > 0)
		qsort(*claims, gathered, sizeof(**claims), compare_label_claims);
	return (long)gathered;
}

static bool
claims_labels(const struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].prompt->n_labels > 0)
			return true;
	return false;
}

int
conflict_settle_labels(
	struct arena *arena, struct entry *entries, size_t count, struct problems *problems)
{
	struct label_claim *claims;
	if (!claims_labels(entries, count))
		return 0;
	long n_claims = gather_claims(arena, entries, count, &claims);
	if (n_claims < 0)
		return -1;
	const struct label_claim *first = claims;
	for (const struct label_claim *claim = claims; claim < claims + n_claims; claim++) {
		if (strcmp(claim->label, first->label) != 0)
			first = claim;
		settle_claim(arena, claim, first,
			bsearch(claim->label, entries, count, sizeof(*entries),
				compare_version_to_entry),
			problems);
	}
	return 0;
}
