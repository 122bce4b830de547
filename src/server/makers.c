/* makers.c -- makes the units of files: of a few on the caller's thread, of many on further ones beside it. */
#include "server/makers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/buffer.h"
#include "server/cpus.h"
#include "server/files.h"

enum {
	N_PLACES = 64, /* so many files wait before further threads are worth their start, … */
	WORTH_WAKING = 16, /* … or one that waits is worth its waking */
	MOST_BYTES = 4 * 1024 * 1024, /* of all that wait */
	MOST_HELPERS = 15,
};

/* A file that waits for its unit, or whose unit waits to be brought. */
struct place {
	struct file *file;
	struct buffer bytes;
	struct unit_maker *maker; /* holds the unit */
	bool is_made; /* or could not be, … */
	bool has_unit; /* … where memory was out */
};

/* A ring of places, which are put, claimed by whoever makes the unit, made, and brought. The caller alone allocates what is kept:
 * malloc() has an arena for each thread, and what goes in one of them leaves no room for what comes in another. */
struct makers {
	const struct prompt_rules *rules;
	makers_on_unit *on_unit;
	void *context;

	struct place places[N_PLACES];
	size_t brought; /* the caller's, like the bytes */
	size_t bytes; /* that wait */

	pthread_mutex_t lock; /* of what follows, and of is_made */
	pthread_cond_t more, made;
	size_t put, claimed;
	bool ends;

	pthread_t helpers[MOST_HELPERS];
	size_t n_helpers;
	bool has_helpers; /* or could not have any */
};

struct makers *
makers_new(const struct prompt_rules *rules, makers_on_unit *on_unit, void *context)
{
	struct makers *makers = calloc(1, sizeof(*makers));
	if (makers == NULL)
		return NULL;
	makers->rules = rules;
	makers->on_unit = on_unit;
	makers->context = context;
	makers->places[0].maker = unit_maker_new(rules);
	if (makers->places[0].maker == NULL || pthread_mutex_init(&makers->lock, NULL) != 0) {
		unit_maker_free(makers->places[0].maker);
		free(makers);
		return NULL;
	}
	pthread_cond_init(&makers->more, NULL);
	pthread_cond_init(&makers->made, NULL);
	return makers;
}

void
makers_free(struct makers *makers)
{
	if (makers == NULL)
		return;
	for (size_t i = 0; i < N_PLACES; i++) {
		buffer_finish(&makers->places[i].bytes);
		unit_maker_free(makers->places[i].maker);
	}
	pthread_cond_destroy(&makers->more);
	pthread_cond_destroy(&makers->made);
	pthread_mutex_destroy(&makers->lock);
	free(makers);
}

static struct place *
place_at(struct makers *makers, size_t number)
{
	return &makers->places[number % N_PLACES];
}

/* Make the next unit that nobody makes; with the lock, which is given back meanwhile. */
static void
make_next(struct makers *makers)
{
	struct place *place = place_at(makers, makers->claimed++);
	pthread_mutex_unlock(&makers->lock);
	const char *data = place->bytes.length > 0 ? place->bytes.data : "";
	place->has_unit = place->maker != NULL && unit_make(place->maker, place->file->path, data,
							  place->bytes.length) == 0;
	pthread_mutex_lock(&makers->lock);
	place->is_made = true;
	pthread_cond_signal(&makers->made);
}

/* What a helper does. */
static void *
help(void *context)
{
	struct makers *makers = context;
	pthread_mutex_lock(&makers->lock);
	while (!makers->ends) {
		if (makers->claimed < makers->put)
			make_next(makers);
		else
			pthread_cond_wait(&makers->more, &makers->lock);
	}
	pthread_mutex_unlock(&makers->lock);
	return NULL;
}

/* One for each CPU beside the caller's, as far as they can be had. */
static void
start_helpers(struct makers *makers)
{
	size_t wanted = cpus_usable() - 1;
	makers->has_helpers = true;
	makers->ends = false;
	while (makers->n_helpers < wanted && makers->n_helpers < MOST_HELPERS &&
		pthread_create(&makers->helpers[makers->n_helpers], NULL, help, makers) == 0)
		makers->n_helpers++;
}

static void
end_helpers(struct makers *makers)
{
	pthread_mutex_lock(&makers->lock);
	makers->ends = true;
	pthread_cond_broadcast(&makers->more);
	pthread_mutex_unlock(&makers->lock);
	while (makers->n_helpers > 0)
		pthread_join(makers->helpers[--makers->n_helpers], NULL);
	makers->has_helpers = false;
}

/* Bring the oldest unit: until it is made, make others. */
static void
bring_oldest(struct makers *makers)
{
	struct place *place = place_at(makers, makers->brought);
	pthread_mutex_lock(&makers->lock);
	while (!place->is_made) {
		if (makers->claimed < makers->put)
			make_next(makers);
		else
			pthread_cond_wait(&makers->made, &makers->lock);
	}
	pthread_mutex_unlock(&makers->lock);
	makers->brought++;
	makers->bytes -= place->bytes.length;
	makers->on_unit(
		makers->context, place->file, place->has_unit ? unit_seal(place->maker) : NULL);
}

static bool
is_full(const struct makers *makers)
{
	return makers->put - makers->brought == N_PLACES || makers->bytes > MOST_BYTES;
}

/* Units that are brought together lie together, and leave memory in one piece that can be given back when they go. */
static bool
is_half_full(const struct makers *makers)
{
	return makers->put - makers->brought > N_PLACES / 2 || makers->bytes > MOST_BYTES / 2;
}

struct buffer *
makers_buffer(struct makers *makers)
{
	return &place_at(makers, makers->put)->bytes;
}

void
makers_put(struct makers *makers, struct file *file)
{
	struct place *place = place_at(makers, makers->put);
	place->file = file;
	place->is_made = false;
	if (place->maker == NULL)
		place->maker = unit_maker_new(makers->rules);
	makers->bytes += place->bytes.length;
	pthread_mutex_lock(&makers->lock);
	makers->put++;
	if (makers->put - makers->claimed >= WORTH_WAKING)
		pthread_cond_signal(&makers->more);
	pthread_mutex_unlock(&makers->lock);
	if (!is_full(makers))
		return;
	if (!makers->has_helpers)
		start_helpers(makers);
	while (is_half_full(makers))
		bring_oldest(makers);
}

void
makers_finish(struct makers *makers)
{
	while (makers->brought < makers->put)
		bring_oldest(makers);
	end_helpers(makers);
	makers->put = makers->claimed = makers->brought = 0;
	for (size_t i = 0; i < N_PLACES; i++)
		buffer_finish(&makers->places[i].bytes);
	for (size_t i = 1; i < N_PLACES; i++) { /* few files need the first one only */
		unit_maker_free(makers->places[i].maker);
		makers->places[i].maker = NULL;
	}
}

struct unit *
makers_make(struct makers *makers, const char *path, const char *data, size_t length)
{
	return unit_new(makers->places[0].maker, path, data, length);
}
