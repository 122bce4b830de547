/* store.h -- which snapshot is current. */
#pragma once

#include <stddef.h>

struct snapshot;
struct store;

/* Returns NULL when memory is out. */
struct store *store_new(void);

/* Frees the current snapshot too. No other thread may use the store any more. */
void store_free(struct store *);

/* A reference to the current snapshot, NULL before the first was published. Any thread. */
const struct snapshot *store_acquire(struct store *);

/* Have a reference, NULL for none, be one to the current snapshot. Where it already is, this writes nothing that threads
 * share. Any thread. */
void store_refresh(struct store *, const struct snapshot **held);

/* Give a reference back. Any thread; never frees. */
void store_release(struct store *, const struct snapshot *);

/* Make a snapshot current; takes it. Reload thread only. */
void store_publish(struct store *, struct snapshot *);

/* Free the snapshots that are neither current nor in use. Returns how many are still in use. Reload
 * thread only. */
size_t store_reap(struct store *);
