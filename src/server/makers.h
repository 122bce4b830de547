/* makers.h -- makes the units of files: of a few on the caller's thread, of many on further ones beside it. */
#pragma once

#include <stddef.h>

#include "core/unit.h"

struct buffer;
struct file;

/* Reload thread only. The threads beside it see bytes and paths alone; they end with the files that they were
 * started for. */
struct makers;

/* Called for each file in the order in which they were put, whoever made the unit; NULL: memory was out. The reference
 * is the callee's. */
typedef void makers_on_unit(void *context, struct file *, struct unit *);

/* Rules: borrowed. Returns NULL when memory is out. */
struct makers *makers_new(const struct prompt_rules *, makers_on_unit *, void *context);
void makers_free(struct makers *);

/* Where the bytes of the next file go. */
struct buffer *makers_buffer(struct makers *);

/* Make the unit of the bytes there. Units of files that were put before may be brought meanwhile. The file's path is
 * used until its own is. */
void makers_put(struct makers *, struct file *);

/* Bring all units that were not brought yet. */
void makers_finish(struct makers *);

/* Make a unit at once. */
struct unit *makers_make(struct makers *, const char *path, const char *data, size_t length);
