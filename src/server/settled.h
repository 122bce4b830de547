/* settled.h -- takes what files hold anew once they have changed, and then not for a second. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/signature.h"

struct error;

enum { SETTLED_MAX_FILES = 2 };

enum settled_result {
	SETTLED_TAKEN,
	SETTLED_BAD, /* what the files hold is not good */
	SETTLED_FAILED, /* it had nothing to do with what they hold: to be tried again */
};

/* Take what the files hold; with an error where that fails. */
typedef enum settled_result settled_load(void *context, struct error *);

struct settled_terms {
	const char *paths[SETTLED_MAX_FILES]; /* NULL: fewer; borrowed */
	const char *instead; /* what holds while they cannot be taken, for people */
	settled_load *load;
	void *context;
};

/* For one thread at a time. */
struct settled {
	struct settled_terms terms;
	struct signature taken[SETTLED_MAX_FILES], /* of what was looked at last, good or not */
		seen[SETTLED_MAX_FILES]; /* at the last check */
	struct signature told[SETTLED_MAX_FILES]; /* of what was said to be wrong, … */
	bool is_told; /* … if anything is */
	int64_t next_ms;
};

/* Take what the files hold now. Returns -1 with an error. */
int settled_begin(struct settled *, const struct settled_terms *, struct error *);

/* Take it anew, where it is due. What is wrong is logged once. Returns when to call again, on clock_ms(). */
int64_t settled_refresh(struct settled *, int64_t now_ms);
