/* traffic.h -- what a worker counts of its requests. */
#pragma once

#include <stdatomic.h>

#include "server/figures.h"
#include "server/route.h"

enum { N_STATUSES = 23 };

/* Those that are counted one by one; the last, 0, stands for all others. */
extern const int traffic_statuses[N_STATUSES];

/* Written by its worker, read by any thread: relaxed atomics. Starts zeroed. */
struct traffic {
	atomic_ullong requests[N_ENDPOINTS][N_STATUSES];
	struct histogram duration[N_ENDPOINTS]; /* from the whole request to the reply's end */
	atomic_ullong connections; /* accepted so far */
	atomic_ullong open; /* of them, now */
};

void traffic_count(struct traffic *, enum endpoint, int status, uint64_t microseconds);
