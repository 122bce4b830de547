/* test_makers.c -- tests of making the units of many files on several threads. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/prompt.h"
#include "core/unit.h"
#include "server/files.h"
#include "server/makers.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { MANY = 700, FEW = 20, N_CPUS = 4 };

static const struct prompt_rules rules;

/* What stands in front of libc, for all threads of this program. */
static size_t n_threads, most_threads;

typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int
pthread_create(pthread_t *thread, const pthread_attr_t *terms, void *(*run)(void *), void *context)
{
	create *real;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	if (n_threads == most_threads)
		return EAGAIN;
	n_threads++;
	return real(thread, terms, run, context);
}

int
sched_getaffinity(pid_t process, size_t size, cpu_set_t *set)
{
	(void)process;
	CPU_ZERO_S(size, set);
	for (size_t i = 0; i < N_CPUS; i++)
		CPU_SET_S(i, size, set);
	return 0;
}

/* Files, of which some are bad, some have warnings and some are large, and how far their units came. */
struct files_of_test {
	struct file *files[MANY];
	size_t brought;
	struct unit_maker *maker;
};

static void
put_text(struct buffer *out, size_t number)
{
	buffer_clear(out);
	if (number % 7 == 3)
		buffer_printf(out, "prompt_templat: number %zu\n", number);
	else if (number % 31 == 5)
		buffer_puts(out, "");
	else
		buffer_printf(out, "prompt_template: \"{number} %zu\"\nversion: no\n", number);
	for (size_t i = 0; number % 100 == 50 && i < 20000; i++)
		buffer_puts(out, "# a comment that makes the file large\n");
}

static void
expect_same(const struct unit *got, const struct unit *wanted)
{
	assert_non_null(got);
	assert_string_equal(got->path, wanted->path);
	assert_int_equal(got->n_errors, wanted->n_errors);
	assert_int_equal(got->n_prompts, wanted->n_prompts);
	assert_int_equal(got->n_problems, wanted->n_problems);
	for (size_t i = 0; i < got->n_prompts; i++) {
		assert_string_equal(got->prompts[i].answer, wanted->prompts[i].answer);
		assert_string_equal(got->prompts[i].etag, wanted->prompts[i].etag);
	}
	for (size_t i = 0; i < got->n_problems; i++) {
		assert_string_equal(got->problems[i].message, wanted->problems[i].message);
		assert_int_equal(got->problems[i].line, wanted->problems[i].line);
	}
}

/* Units come in the order of the files, each as one thread alone would make it. */
static void
on_unit(void *context, struct file *file, struct unit *unit)
{
	struct files_of_test *test = context;
	struct buffer text = {0};
	assert_ptr_equal(file, test->files[test->brought]);
	put_text(&text, test->brought++);
	struct unit *wanted = unit_new(test->maker, file->path, text.data, text.length);
	expect_same(unit, wanted);
	unit_unref(wanted);
	unit_unref(unit);
	buffer_finish(&text);
}

/* Make the units of files, and say how many threads were started for it. */
static size_t
make(struct makers *makers, struct files_of_test *test, size_t count, size_t may_start)
{
	n_threads = 0;
	most_threads = may_start;
	test->brought = 0;
	for (size_t i = 0; i < count; i++) {
		put_text(makers_buffer(makers), i);
		makers_put(makers, test->files[i]);
	}
	makers_finish(makers);
	assert_int_equal(test->brought, count);
	return n_threads;
}

static void
units_come_in_order_from_however_many_threads(void **state)
{
	static const struct {
		size_t files, may_start, started;
	} cases[] = {
		{MANY, N_CPUS, N_CPUS - 1}, /* beside this one */
		{MANY, 1,      1         },
                {MANY, 0,      0         },
                {FEW,  N_CPUS, 0         }, /* not worth it */
		{0,    N_CPUS, 0         },
                {MANY, N_CPUS, N_CPUS - 1}, /* once more */
	};
	struct files_of_test test = {.maker = unit_maker_new(&rules)};
	struct makers *makers = makers_new(&rules, on_unit, &test);
	char path[32];
	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "directory/file-%zu.yaml", i);
		test.files[i] = file_new(path);
	}
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t started = make(makers, &test, cases[i].files, cases[i].may_start);
		assert_int_equal(started, cases[i].started);
	}
	for (size_t i = 0; i < MANY; i++)
		file_free(test.files[i]);
	makers_free(makers);
	unit_maker_free(test.maker);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_come_in_order_from_however_many_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
