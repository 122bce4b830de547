/* name.h -- the grammar of ids, versions, labels, projects and slugs, and what a path gives. */
#pragma once

#include <stdbool.h>

struct arena;

/* 1 to 200 bytes of UTF-8 without control characters and '@', in segments between single slashes;
 * none is empty, "." or "..", starts with '.', '#' or '_', or ends in '~'. */
bool name_is_id(const char *);

/* [0-9A-Za-z][0-9A-Za-z.-]*, up to 200 bytes */
bool name_is_version(const char *);

/* [a-z0-9][a-z0-9_.-]*, up to 200 bytes; a label is not all digits. Projects and
 * slugs are words. */
bool name_is_label(const char *);
bool name_is_word(const char *);

/* Whether a directory's entry of that name is passed over: editors' and tools' own files. */
bool name_is_ignored(const char *);

/* Whether a file of that name holds prompts, and whether as JSON. */
bool name_is_prompt_file(const char *);
bool name_is_json_file(const char *);

/* What a file's path, relative to the prompt directory, says of the prompts in it. */
struct path_names {
	const char *id; /* NULL where the path does not fit the grammar */
	const char *version; /* NULL unless the name ends in .vN */
	const char *project; /* NULL for a file at the top, or where it does not fit */
	bool project_unfit; /* there is a first directory, and it does not fit */
};

/* Returns -1 when memory is out. The names are in the arena. */
int name_from_path(struct arena *, const char *path, struct path_names *);

/* The path of the file for a new prompt: ID.json or ID.vVERSION.json, in the arena; NULL when memory
 * is out. */
const char *name_to_path(struct arena *, const char *id, const char *version);
