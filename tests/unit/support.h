/* support.h -- what the unit tests share: cmocka, and units and snapshots made of texts. */
#pragma once

#include "core/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef expect_string /* core/expect.h has a function of that name */

struct document;
struct snapshot;
struct unit;

/* Fail the test, in words that name the case, unless a condition holds. */
#define EXPECT(condition, ...) \
	do { \
		if (!(condition)) \
			fail_msg(__VA_ARGS__); \
	} while (0)

/* A row of a table whose texts are too long to stand in columns. */
#define ROW(...) \
	{ \
		__VA_ARGS__ \
	}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

struct digest;
struct source;

struct file {
	const char *path, *text;
};

/* The unit of a file. The caller has the reference. */
struct unit *make_unit(const char *path, const char *text);
struct unit *make_unit_of_bytes(const char *path, const char *data, size_t length);

/* How many files of an array, which ends in one without a path or at its size. */
size_t count_files(const struct file *, size_t size);

/* The snapshot of files as they stand, from nothing. */
struct snapshot *snapshot_of(const struct source *, size_t count, struct digest *);

/* The snapshot of good files, in any order. */
struct snapshot *make_snapshot(const struct file *, size_t count);

/* A unit in words: the answer of each prompt, then its faults as path:line:col: message, a line each.
 * The caller frees it. */
char *describe_unit(const struct unit *);

/* A snapshot in words: "id version labels path" for each prompt, with "stale" behind a last good one
 * and "-" for no version, then its problems as path:line:col: message. The caller frees it. */
char *describe_snapshot(const struct snapshot *);

/* What a parser makes of a text: its documents as JSON, then its errors as line:col: message, a line
 * each, without the last line's end. The caller frees it. */
char *describe_text(int (*parse)(struct document *, const char *data, size_t length),
	const char *data, size_t length);

/* Fail unless a text, which is freed, is the one wanted. */
void expect_text(const char *name, char *got, const char *wanted);
