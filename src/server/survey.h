/* survey.h -- one look at the prompt directory: what changed, and whether it was seen as it stood at one
 * time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "server/git.h"
#include "server/loader.h"

struct arena;
struct figures;
struct watcher;

/* Reload thread only. */
struct survey {
	const char *path; /* of the directory; borrowed, like these: */
	struct loader *loader;
	struct watcher *watcher;
	struct figures *figures;
	bool links_lead_anywhere;

	struct arena *arena; /* of one look */
	struct git git;
	/* The directory as the last look found it. */
	struct error problem; /* why it could not be looked at; an empty message where it was */
	char resolved[4096]; /* "" where it is missing */
	uint64_t device, inode;
	int64_t verify_us; /* what its second part took */
	bool moved; /* it is another one than that of the last settled look */
	char commit[COMMIT_BYTES]; /* of the files that were taken last */
	unsigned long filesystem; /* statfs(2)'s type */
};

/* Fill in the borrowed part before. Returns -1 when memory is out. */
int survey_init(struct survey *);
void survey_finish(struct survey *);

enum outcome {
	OUTCOME_SETTLED, /* all was seen as it stood at one time, or the directory is missing */
	OUTCOME_MOVING, /* some files changed meanwhile */
	OUTCOME_TORN, /* files that are replaced together did: none of it may be served */
	OUTCOME_FAILED, /* memory was out */
};

/* Look at what the watcher has marked, in the directory that the path names now. */
enum outcome survey_look(struct survey *, bool force, struct look *);

/* What the last look found is taken, to be published or held. */
void survey_take(struct survey *);

/* Whether the directory cannot be looked at. */
bool survey_has_no_root(const struct survey *);
