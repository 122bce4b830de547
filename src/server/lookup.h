/* lookup.h -- where names are looked up on the way to a file: what to watch. */
#pragma once

enum lookup_kind {
	LOOKUP_NAMES, /* all names of a directory; each makes path/NAME */
	LOOKUP_HOP, /* a name on the way to the path: of a directory or a link */
	LOOKUP_FILE, /* the name that a link to a file ends at */
	LOOKUP_LOCK, /* a name that is there while somebody changes many files */
	LOOKUP_NOTE, /* a name that tells of the files, but leads to none */
};

/* A directory in which names are looked up to find what stands at a path. */
struct lookup {
	enum lookup_kind kind;
	int directory; /* a descriptor */
	const char *name; /* NULL for LOOKUP_NAMES */
	const char *path; /* relative to the tree, "" for all of it */
};

/* Called before the names are looked up, and, for LOOKUP_FILE, once more when the kind is known. */
typedef void on_lookup(void *context, const struct lookup *);
