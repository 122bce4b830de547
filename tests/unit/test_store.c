/* test_store.c -- tests of which snapshot is current, with one thread and with many. */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/snapshot.h"
#include "core/store.h"
#include "core/unit.h"

static struct snapshot *
snapshot_of_text(const char *path)
{
	return make_snapshot(&(struct file){path, "prompt_template: x"}, 1);
}

static void
nothing_is_current_at_first(void **state)
{
	struct store *store = store_new();
	(void)state;
	assert_null(store_acquire(store));
	store_release(store, NULL);
	assert_int_equal(store_reap(store), 0);
	store_free(store);
	store_free(NULL);
}

static void
the_last_one_published_is_current(void **state)
{
	struct store *store = store_new();
	struct snapshot *first = snapshot_of_text("a.yaml"), *second = snapshot_of_text("b.yaml");
	(void)state;
	store_publish(store, first);
	const struct snapshot *got = store_acquire(store);
	assert_ptr_equal(got, first);
	store_release(store, got);
	store_publish(store, second);
	got = store_acquire(store);
	assert_ptr_equal(got, second);
	store_release(store, got);
	store_free(store);
}

/* A reference that is refreshed is to what is current, and counted once. */
static void
a_reference_can_be_refreshed(void **state)
{
	struct store *store = store_new();
	const struct snapshot *held = NULL;
	(void)state;
	store_refresh(store, &held);
	assert_null(held);
	store_publish(store, snapshot_of_text("a.yaml"));
	for (int i = 0; i < 2; i++) {
		store_refresh(store, &held);
		assert_non_null(snapshot_find(held, "a"));
		assert_int_equal(held->users, 1);
	}
	store_publish(store, snapshot_of_text("b.yaml"));
	assert_int_equal(store_reap(store), 1);
	store_refresh(store, &held);
	assert_non_null(snapshot_find(held, "b"));
	assert_int_equal(store_reap(store), 0);
	store_release(store, held);
	store_free(store);
}

/* What is in use outlives its successors, whatever the order in which it is given back. */
static void
what_is_in_use_is_not_freed(void **state)
{
	struct store *store = store_new();
	const struct snapshot *held[3];
	(void)state;
	for (size_t i = 0; i < LENGTH(held); i++) {
		store_publish(store, snapshot_of_text("a.yaml"));
		held[i] = store_acquire(store);
		assert_ptr_equal(store_acquire(store), held[i]);
	}
	assert_int_equal(store_reap(store), 2);
	store_release(store, held[1]);
	assert_int_equal(store_reap(store), 2);
	store_release(store, held[1]);
	assert_int_equal(store_reap(store), 1);
	assert_non_null(snapshot_find(held[0], "a"));
	store_release(store, held[0]);
	store_release(store, held[0]);
	assert_int_equal(store_reap(store), 0);
	store_release(store, held[2]);
	store_release(store, held[2]);
	assert_int_equal(store_reap(store), 0);
	assert_non_null(store_acquire(store));
	store_free(store);
}

static void
the_store_frees_what_it_holds(void **state)
{
	struct store *store = store_new();
	(void)state;
	for (int i = 0; i < 3; i++)
		store_publish(store, snapshot_of_text("a.yaml"));
	store_free(store);
}

enum { READERS = 4, GENERATIONS = 300, ROUNDS = 20000 };

struct crowd {
	struct store *store;
	atomic_uint wrong;
	atomic_bool done;
};

/* Look at one snapshot while it may be replaced: its two prompts were made together. */
static void *
read_snapshots(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS || !atomic_load(&crowd->done); i++) {
		const struct snapshot *snapshot = store_acquire(crowd->store);
		const struct group *a = snapshot_find(snapshot, "a");
		const struct group *b = snapshot_find(snapshot, "b");
		if (a == NULL || b == NULL ||
			strcmp(a->entries->prompt->version, b->entries->prompt->version) != 0)
			atomic_fetch_add(&crowd->wrong, 1);
		struct unit *unit = a != NULL ? unit_ref(a->entries->prompt->unit) : NULL;
		store_release(crowd->store, snapshot);
		if (unit != NULL && strcmp(unit->path, "all.yaml") != 0)
			atomic_fetch_add(&crowd->wrong, 1);
		unit_unref(unit);
	}
	return NULL;
}

static struct snapshot *
generation(unsigned number)
{
	char text[200];
	snprintf(text, sizeof(text),
		"- {prompt_id: a, version: %u, prompt_template: x}\n"
		"- {prompt_id: b, version: %u, prompt_template: x}\n",
		number, number);
	return make_snapshot(&(struct file){"all.yaml", text}, 1);
}

static void
readers_and_a_writer_do_not_disturb_each_other(void **state)
{
	struct crowd crowd = {.store = store_new()};
	pthread_t readers[READERS];
	(void)state;
	store_publish(crowd.store, generation(0));
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_snapshots, &crowd), 0);
	for (unsigned i = 1; i <= GENERATIONS; i++) {
		store_publish(crowd.store, generation(i));
		size_t in_use = store_reap(crowd.store);
		EXPECT(in_use <= READERS, "%zu snapshots in use by %d readers", in_use, READERS);
	}
	atomic_store(&crowd.done, true);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(atomic_load(&crowd.wrong), 0);
	assert_int_equal(store_reap(crowd.store), 0);
	store_free(crowd.store);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_current_at_first),
		cmocka_unit_test(the_last_one_published_is_current),
		cmocka_unit_test(a_reference_can_be_refreshed),
		cmocka_unit_test(what_is_in_use_is_not_freed),
		cmocka_unit_test(the_store_frees_what_it_holds),
		cmocka_unit_test(readers_and_a_writer_do_not_disturb_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
