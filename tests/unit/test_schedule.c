/* test_schedule.c -- when the files are looked at. */
#include "support.h"

#include "server/schedule.h"

static struct schedule
made(void)
{
	return (struct schedule){.quiet_ms = 50,
		.max_latency_ms = 2000,
		.settle_ms = 300,
		.poll_ms = 60 * 1000,
		.git_wait_ms = 5000,
		.looked_ms = 1000};
}

static void
a_change_waits_for_quiet(void **state)
{
	struct schedule schedule = made();
	(void)state;
	assert_int_equal(schedule_due_ms(&schedule, 1000, false), 61000);
	assert_true(schedule_begin(&schedule, 10000));
	schedule.last_event_ms = 10000;
	assert_int_equal(schedule_due_ms(&schedule, 10000, false), 10050);
	assert_false(schedule_is_quiet(&schedule, 10049));
	assert_true(schedule_is_quiet(&schedule, 10050));
	assert_false(schedule_begin(&schedule, 11900)); /* the first one counts, … */
	schedule.last_event_ms = 11990; /* … however long it goes on */
	assert_int_equal(schedule_due_ms(&schedule, 11990, false), 11950);
	assert_true(schedule_is_forced(&schedule, 11950));
	assert_false(schedule_is_forced(&schedule, 11949));
}

static void
a_writer_is_waited_for_until_the_bound(void **state)
{
	struct schedule schedule = made();
	(void)state;
	schedule_begin(&schedule, 10000);
	schedule.last_event_ms = 10000;
	schedule.writing = true;
	assert_int_equal(schedule_due_ms(&schedule, 10050, false), 11950);
}

static void
what_was_left_out_is_looked_at_again(void **state)
{
	struct schedule schedule = made();
	(void)state;
	schedule.retry_ms = 3000;
	assert_int_equal(schedule_due_ms(&schedule, 1000, false), 3000);
	schedule.next_ms = 2000;
	assert_int_equal(schedule_due_ms(&schedule, 1000, false), 2000);
	schedule_begin(&schedule, 1000);
	assert_int_equal(schedule_due_ms(&schedule, 1000, false), 2000);
	schedule.next_ms = 9000;
	assert_int_equal(schedule_due_ms(&schedule, 1000, false), 2950);
}

static void
the_time_that_git_takes_does_not_count(void **state)
{
	struct schedule schedule = made();
	(void)state;
	schedule_begin(&schedule, 10000);
	schedule.urgent = true;
	schedule_note_git(&schedule, 10000, true, false);
	assert_int_equal(schedule_due_ms(&schedule, 10000, false), 10020); /* urgent or not */
	schedule_note_git(&schedule, 13000, true, false);
	schedule_note_git(&schedule, 14000, false, false);
	assert_int_equal(schedule.bound_ms, 16000);
	assert_int_equal(schedule.last_event_ms, 14000);
	schedule_note_git(&schedule, 15900, false, true); /* it has changed files: they settle */
	assert_int_equal(schedule.bound_ms, 16000);
	schedule_note_git(&schedule, 14900, false, true);
	schedule_note_git(&schedule, 20000, false, true); /* but not for ever */
	assert_int_equal(schedule.bound_ms, 16000);
}

static void
looks_take_their_share_of_the_time_only(void **state)
{
	struct schedule schedule = made();
	(void)state;
	assert_int_equal(schedule_poll_ms(&schedule, true), 2000);
	schedule.looked_ms = 0;
	schedule_note_look(&schedule, 4000, 900 * 1000, true, false); /* it has read all */
	assert_int_equal(schedule_poll_ms(&schedule, true), 2000);
	schedule_note_look(&schedule, 5000, 20 * 1000, true, false);
	assert_int_equal(schedule.looked_ms, 5000);
	assert_int_equal(schedule_poll_ms(&schedule, true), 4000);
	assert_int_equal(schedule_poll_ms(&schedule, false), 60000);
	schedule_note_look(&schedule, 6000, 900 * 1000, true, false); /* the machine was busy */
	assert_int_equal(schedule_poll_ms(&schedule, true), 4000);
	schedule_note_look(&schedule, 7000, 900 * 1000, true, true); /* it waited for writers */
	assert_int_equal(schedule_poll_ms(&schedule, true), 4000);
	schedule_note_look(&schedule, 8000, 900 * 1000, true, false);
	assert_int_equal(schedule_poll_ms(&schedule, false), 180000);
	schedule_put_off(&schedule, 10000);
	assert_int_equal(schedule.bound_ms, 10000 + 100 + 9000);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_waits_for_quiet),
		cmocka_unit_test(a_writer_is_waited_for_until_the_bound),
		cmocka_unit_test(what_was_left_out_is_looked_at_again),
		cmocka_unit_test(the_time_that_git_takes_does_not_count),
		cmocka_unit_test(looks_take_their_share_of_the_time_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
