/* limit.h -- so many, so often, for each of many. */
#pragma once

#include <stdint.h>

/* Remembers when each key may come again, in a table of fixed size. Any thread. */
struct limit;

/* So many times a minute, and, after a rest, so many at once; both at least 1. */
struct rate {
	unsigned per_minute, burst;
};

/* Returns NULL when memory is out. */
struct limit *limit_new(void);
void limit_free(struct limit *);

/* Count one more of a key, at a time of clock_ms(). Returns 0, or the milliseconds, 1 or more, after which it would be let
 * through: then it does not count. Where more keys come at a time than the table holds, the one that is closest to its full
 * burst is forgotten. */
int64_t limit_take(struct limit *, uint64_t key, const struct rate *, int64_t now_ms);

/* The key of an address in text: that of an IPv4 address, or of the network, /64, of an IPv6 address. */
uint64_t limit_key_of_address(const char *address);

/* The key of a name. */
uint64_t limit_key_of_name(const char *name);
