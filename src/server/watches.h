/* watches.h -- which directory a watch is of, and what for. */
#pragma once

#include <stddef.h>

#include "server/lookup.h"

struct marks;

/* Names of the directory are looked up for this path. */
struct use {
	enum lookup_kind kind;
	char *name; /* NULL for LOOKUP_NAMES */
	char *path;
	unsigned look; /* the last one that needed it */
};

struct watch {
	int id; /* inotify's descriptor */
	struct use *uses;
	size_t count;
};

/* By id. Starts zeroed. One thread. */
struct watches {
	struct watch *items;
	size_t count, capacity;
	unsigned look;
};

void watches_clear(struct watches *);

const struct watch *watches_find(const struct watches *, int id);

/* Remember a use, once. Returns -1 when memory is out. */
int watches_add(struct watches *, int id, const struct lookup *);

/* Forget a watch that is gone already. */
void watches_forget(struct watches *, int id);

/* The link at a path leads elsewhere: what was behind it is of no use any more. */
void watches_leave(struct watches *, const char *path);

/* Between the two all uses for what the marks cover are added anew; the others are forgotten, and so are
 * the watches that are of no use any more. */
void watches_begin(struct watches *);
void watches_end(struct watches *, int inotify, const struct marks *);
