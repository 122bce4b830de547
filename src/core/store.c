/* store.c -- which snapshot is current. */
#include "core/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/snapshot.h"

/* A snapshot's users are counted under the lock: with an atomic count and no lock a reader could take
 * a snapshot that was just freed. */
struct store {
	pthread_mutex_t lock;
	_Atomic(struct snapshot *) current; /* read without the lock, too */
	struct snapshot *retired; /* no longer current, perhaps in use; newest first */
};

struct store *
store_new(void)
{
	struct store *store = calloc(1, sizeof(*store));
	if (store != NULL && pthread_mutex_init(&store->lock, NULL) != 0) {
		free(store);
		return NULL;
	}
	return store;
}

static void
free_all(struct snapshot *snapshot)
{
	while (snapshot != NULL) {
		struct snapshot *next = snapshot->retired;
		snapshot_free(snapshot);
		snapshot = next;
	}
}

void
store_free(struct store *store)
{
	if (store == NULL)
		return;
	free_all(store->current);
	free_all(store->retired);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

const struct snapshot *
store_acquire(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	struct snapshot *snapshot = store->current;
	if (snapshot != NULL)
		snapshot->users++;
	pthread_mutex_unlock(&store->lock);
	return snapshot;
}

void
store_refresh(struct store *store, const struct snapshot **held)
{
	if (*held != NULL && *held == atomic_load_explicit(&store->current, memory_order_acquire))
		return;
	store_release(store, *held);
	*held = store_acquire(store);
}

void
store_release(struct store *store, const struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	pthread_mutex_lock(&store->lock);
	((struct snapshot *)(uintptr_t)snapshot)->users--;
	pthread_mutex_unlock(&store->lock);
}

void
store_publish(struct store *store, struct snapshot *snapshot)
{
	pthread_mutex_lock(&store->lock);
	struct snapshot *last = store->current;
	if (last != NULL) {
		last->retired = store->retired;
		store->retired = last;
	}
	store->current = snapshot;
	pthread_mutex_unlock(&store->lock);
}

/* Take the retired snapshots without users off the list. */
static struct snapshot *
take_unused(struct store *store, size_t *in_use)
{
	struct snapshot *unused = NULL;
	pthread_mutex_lock(&store->lock);
	for (struct snapshot **at = &store->retired; *at != NULL;) {
		struct snapshot *snapshot = *at;
		if (snapshot->users > 0) {
			++*in_use;
			at = &snapshot->retired;
			continue;
		}
		*at = snapshot->retired;
		snapshot->retired = unused;
		unused = snapshot;
	}
	pthread_mutex_unlock(&store->lock);
	return unused;
}

size_t
store_reap(struct store *store)
{
	size_t in_use = 0;
	free_all(take_unused(store, &in_use));
	return in_use;
}
