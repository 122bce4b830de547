/* test_limit.c -- so many, so often, for each of many. */
#include "support.h"

#include "server/limit.h"

static void
a_burst_passes_and_then_one_at_a_time(void **state)
{
	const struct rate rate = {.per_minute = 60, .burst = 3};
	struct limit *limit = limit_new();
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(limit_take(limit, 7, &rate, 5000), 0);
	assert_int_equal(limit_take(limit, 7, &rate, 5000), 1000);
	assert_int_equal(
		limit_take(limit, 7, &rate, 5400), 600); /* what was refused does not count */
	assert_int_equal(limit_take(limit, 7, &rate, 6000), 0);
	assert_int_equal(limit_take(limit, 7, &rate, 6000), 1000);
	limit_free(limit);
}

static void
a_rest_gives_the_whole_burst_and_no_more(void **state)
{
	const struct rate rate = {.per_minute = 600, .burst = 2};
	struct limit *limit = limit_new();
	(void)state;
	for (int64_t now_ms = 1; now_ms < 3000000; now_ms += 1000000) {
		assert_int_equal(limit_take(limit, 7, &rate, now_ms), 0);
		assert_int_equal(limit_take(limit, 7, &rate, now_ms), 0);
		assert_int_equal(limit_take(limit, 7, &rate, now_ms), 100);
	}
	limit_free(limit);
}

static void
keys_do_not_disturb_each_other(void **state)
{
	const struct rate rate = {.per_minute = 1, .burst = 1};
	struct limit *limit = limit_new();
	(void)state;
	for (uint64_t key = 0; key < 200; key++)
		assert_int_equal(limit_take(limit, key << 24, &rate, 5000), 0);
	for (uint64_t key = 0; key < 200; key++)
		assert_int_equal(limit_take(limit, key << 24, &rate, 5000), 60000);
	limit_free(limit);
}

/* Many more keys than there is room for do not make it forget one that keeps coming. */
static void
a_flood_of_keys_is_forgotten_first(void **state)
{
	const struct rate flood = {.per_minute = 60, .burst = 10},
			  rate = {.per_minute = 60, .burst = 100};
	struct limit *limit = limit_new();
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(limit_take(limit, 7, &rate, 5000), 0);
	for (uint64_t key = 1000; key < 200000; key++)
		limit_take(limit, key, &flood, 5000);
	assert_int_equal(limit_take(limit, 7, &rate, 5000), 1000);
	limit_free(limit);
}

static void
addresses_are_told_apart_by_network(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} rows[] = {
		{"10.0.0.1",        "10.0.0.1",         true },
		{"10.0.0.1",        "10.0.0.2",         false},
		{"2001:db8::1",     "2001:db8::ffff:2", true },
		{"2001:db8:0:1::1", "2001:db8:0:2::1",  false},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.2",  false},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.1",  true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			limit_key_of_address(rows[i].one) == limit_key_of_address(rows[i].other),
			rows[i].same);
	assert_int_not_equal(limit_key_of_name("a"), limit_key_of_name("b"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_then_one_at_a_time),
		cmocka_unit_test(a_rest_gives_the_whole_burst_and_no_more),
		cmocka_unit_test(keys_do_not_disturb_each_other),
		cmocka_unit_test(a_flood_of_keys_is_forgotten_first),
		cmocka_unit_test(addresses_are_told_apart_by_network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
