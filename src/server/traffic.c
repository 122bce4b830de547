/* traffic.c -- what a worker counts of its requests. */
#include "server/traffic.h"

#include <stddef.h>

const int traffic_statuses[N_STATUSES] = {
	200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503, 507, 0};

void
traffic_count(struct traffic *traffic, enum endpoint endpoint, int status, uint64_t microseconds)
{
	size_t at = 0;
	while (traffic_statuses[at] != 0 && traffic_statuses[at] != status)
		at++;
	atomic_fetch_add_explicit(&traffic->requests[endpoint][at], 1, memory_order_relaxed);
	histogram_add(&traffic->duration[endpoint], microseconds);
}
