/* traffic.c -- what a worker counts of its requests. */
#include "server/traffic.h"

#include <stddef.h>

const int traffic_statuses[N_STATUSES] = {200, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413,
	414, 415, 417, 422, 429, 431, 500, 501, 503, 505, 507, 0};

void
traffic_count(struct traffic *traffic, enum endpoint endpoint, int status, uint64_t microseconds)
{
	size_t at = 0;
	while (traffic_statuses[at] != 0 && traffic_statuses[at] != status)
		at++;
	atomic_fetch_add_explicit(&traffic->requests[endpoint][at], 1, memory_order_relaxed);
	histogram_add(&traffic->duration[endpoint], microseconds);
}
