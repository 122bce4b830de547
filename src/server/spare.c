/* spare.c -- memory for libevent when there is no other. */
#include "server/spare.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

enum { PIECE_BYTES = 2048, N_PIECES = 1024 };

union piece {
	union piece *next; /* among those that were given back */
	_Alignas(max_align_t) char bytes[PIECE_BYTES];
};

/* Pages that were never drawn on take no memory. */
static union piece pieces[N_PIECES];
static union piece *given_back;
static size_t n_touched;
static atomic_size_t n_used;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool
is_piece(const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)pieces < sizeof(pieces);
}

static void *
take_piece(size_t size)
{
	union piece *piece = NULL;
	if (size > PIECE_BYTES)
		return NULL;
	pthread_mutex_lock(&lock);
	if (given_back != NULL) {
		piece = given_back;
		given_back = piece->next;
	} else if (n_touched < N_PIECES) {
		piece = &pieces[n_touched++];
	}
	pthread_mutex_unlock(&lock);
	if (piece != NULL)
		atomic_fetch_add(&n_used, 1);
	return piece;
}

static void *
take(size_t size)
{
	void *memory = malloc(size);
	if (memory == NULL)
		memory = take_piece(size);
	return memory;
}

static void
give(void *memory)
{
	union piece *piece = memory;
	if (!is_piece(memory)) {
		free(memory);
		return;
	}
	pthread_mutex_lock(&lock);
	piece->next = given_back;
	given_back = piece;
	pthread_mutex_unlock(&lock);
	atomic_fetch_sub(&n_used, 1);
}

/* Memory of malloc's whose size is not known cannot go on in a piece. */
static void *
resize(void *memory, size_t size)
{
	if (memory == NULL)
		return take(size);
	if (!is_piece(memory))
		return realloc(memory, size);
	if (size <= PIECE_BYTES)
		return memory;
	void *moved = malloc(size);
	if (moved == NULL)
		return NULL;
	memcpy(moved, memory, PIECE_BYTES);
	give(memory);
	return moved;
}

void
spare_init(void)
{
	event_set_mem_functions(take, resize, give);
}

bool
spare_is_low(void)
{
	return atomic_load_explicit(&n_used, memory_order_relaxed) > N_PIECES / 2;
}
