/* failing.h -- what a test and the failing.so in its server tell each other, through a file that both map. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum failing_mode { FAILING_NONE, FAILING_ONE, FAILING_SAMPLE };
enum failing_kinds { FAILING_ALLOCATIONS = 1, FAILING_CALLS = 2 };
enum { FAILING_SITES = 4096, FAILING_NAME = 32 };

/* A place in the program's text that calls what may fail. */
struct failing_site {
	_Atomic uint64_t offset; /* of the return address; 0: no site */
	_Atomic uint64_t seen, failed;
	_Atomic uint32_t kind;
	char name[FAILING_NAME]; /* of what it calls */
};

/* support.py has it too. */
struct failing_control {
	/* The test's. Of the calls of these kinds fails one, the nth of the program's since it was armed (of those of a site, if
	 * it is given), or a sample of the program's and the libraries': so many of 65536, drawn by the seed. */
	_Atomic uint32_t mode, kinds;
	_Atomic uint32_t variant; /* which of the ways in which a call may fail */
	_Atomic uint32_t share;
	_Atomic uint64_t nth, site, seed;
	_Atomic int64_t skew_seconds; /* added to the wall clock */
	/* failing.so's. */
	_Atomic uint64_t seen, failed; /* since it was armed */
	_Atomic uint32_t variants; /* ways in which the last one that failed may */
	_Atomic uint32_t sites_lost; /* for want of room */
	_Atomic int64_t live; /* allocations of the whole process */
	char name[FAILING_NAME]; /* of the last one that failed */
	_Atomic uint64_t offset; /* of its return address */
	struct failing_site sites[FAILING_SITES];
};
