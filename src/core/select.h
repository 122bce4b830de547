/* select.h -- which version of a prompt answers a request. */
#pragma once

#include <stddef.h>

struct entry;
struct group;
struct snapshot;
struct token;

/* What a request names; NULL where it names nothing. */
struct selector {
	const char *version; /* exactly that version */
	const char *label; /* exactly the version with that label */
	const char *either; /* behind an @: the version, or else the version with the label */
	const char *project, *slug;
	const char *const *default_labels; /* NULL-ended: what is served when nothing is asked */
};

enum selection {
	SELECTION_FOUND,
	SELECTION_NO_VERSION, /* the version or label asked does not exist */
	SELECTION_NO_DEFAULT, /* nothing was asked, and nothing says which is meant */
	SELECTION_OTHER_OWNER, /* its project or slug is not the one named */
};

/* Choose among the versions of an id. *entry is set when found. */
enum selection select_version(const struct group *, const struct selector *, const struct entry **);

/* The version that has a label, or NULL. */
const struct entry *select_label(const struct group *, const char *label);

/* How many ids have the slug (within the project, if one is named, and within what the token may see); *group is
 * the last of them. */
size_t select_slug(const struct snapshot *, const char *slug, const char *project,
	const struct token *, const struct group **);
