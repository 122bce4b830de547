/* arena.h -- memory that is taken piece by piece and given back at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arena;

/* Returns NULL when memory is out. One thread at a time. */
struct arena *arena_new(void);
void arena_free(struct arena *);

/* Give back everything taken; the first chunk is kept for reuse. */
void arena_reset(struct arena *);

/* Take memory, aligned for any type, not zeroed. Returns NULL when memory is out, and from then on
 * arena_failed() is true until the next reset, so that a caller may check once at the end. */
void *arena_alloc(struct arena *, size_t size);
void *arena_array(struct arena *, size_t count, size_t size);

/* Copy bytes and put a NUL behind them. */
char *arena_copy(struct arena *, const char *data, size_t length);

__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *, const char *format, ...);

bool arena_failed(const struct arena *);
