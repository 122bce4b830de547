/* limit.c -- so many, so often, for each of many. */
#include "server/limit.h"

#include <arpa/inet.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
	SLOTS = 4096, /* a power of two */
	PROBES = 8, /* where a key may stand */
};

/* GCRA, the bucket that leaks (ITU-T I.371, annex A): of each key the time is kept at which its bucket is empty. */
struct slot {
	uint64_t key;
	int64_t empty_us; /* in the past: as good as free */
};

struct limit {
	pthread_mutex_t lock; /* of the slots */
	struct slot slots[SLOTS];
};

struct limit *
limit_new(void)
{
	struct limit *limit = calloc(1, sizeof(*limit));
	if (limit == NULL || pthread_mutex_init(&limit->lock, NULL) != 0) {
		free(limit);
		return NULL;
	}
	return limit;
}

void
limit_free(struct limit *limit)
{
	if (limit == NULL)
		return;
	pthread_mutex_destroy(&limit->lock);
	free(limit);
}

/* The slot of a key, or the one that is given up for it. */
static struct slot *
find_slot(struct limit *limit, uint64_t key)
{
	size_t at =
		(size_t)((key * 0x9e3779b97f4a7c15u) >> 52); /* Knuth's multiplicative hashing */
	struct slot *oldest = &limit->slots[at];
	for (size_t i = 0; i < PROBES; i++) {
		struct slot *slot = &limit->slots[(at + i) % SLOTS];
		if (slot->key == key)
			return slot;
		if (slot->empty_us < oldest->empty_us)
			oldest = slot;
	}
	*oldest = (struct slot){.key = key};
	return oldest;
}

int64_t
limit_take(struct limit *limit, uint64_t key, const struct rate *rate, int64_t now_ms)
{
	int64_t now_us = now_ms * 1000;
	int64_t interval_us = (int64_t)60 * 1000 * 1000 / rate->per_minute;
	int64_t depth_us =
		interval_us * (rate->burst - 1); /* how far ahead of now it may be filled */
	pthread_mutex_lock(&limit->lock);
	struct slot *slot = find_slot(limit, key);
	int64_t from_us = slot->empty_us > now_us ? slot->empty_us : now_us;
	int64_t wait_us = from_us - now_us - depth_us;
	if (wait_us <= 0)
		slot->empty_us = from_us + interval_us;
	pthread_mutex_unlock(&limit->lock);
	return wait_us <= 0 ? 0 : (wait_us + 999) / 1000;
}

uint64_t
limit_key_of_address(const char *address)
{
	struct in6_addr six;
	struct in_addr four;
	uint64_t network;
	if (inet_pton(AF_INET, address, &four) == 1)
		return four.s_addr;
	if (inet_pton(AF_INET6, address, &six) != 1)
		return 0;
	memcpy(&network, &six, sizeof(network));
	if (IN6_IS_ADDR_V4MAPPED(&six))
		memcpy(&network, &six.s6_addr[8], sizeof(network));
	return network;
}

/* FNV-1a, as names are chosen by whoever runs the server. */
uint64_t
limit_key_of_name(const char *name)
{
	uint64_t key = 0xcbf29ce484222325u;
	for (; *name != '\0'; name++)
		key = (key ^ (unsigned char)*name) * 0x100000001b3u;
	return key;
}
