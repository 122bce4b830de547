/* meter.c -- counts how often a prompt was asked for, over all its edits. */
#include "core/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

struct meter {
	atomic_ullong requests;
	atomic_uint users;
};

struct meter *
meter_new(void)
{
	struct meter *meter = calloc(1, sizeof(*meter));
	return meter_ref(meter);
}

struct meter *
meter_ref(struct meter *meter)
{
	if (meter != NULL)
		atomic_fetch_add_explicit(&meter->users, 1, memory_order_relaxed);
	return meter;
}

void
meter_unref(struct meter *meter)
{
	if (meter != NULL && atomic_fetch_sub_explicit(&meter->users, 1, memory_order_acq_rel) == 1)
		free(meter);
}

void
meter_count(struct meter *meter)
{
	if (meter != NULL)
		atomic_fetch_add_explicit(&meter->requests, 1, memory_order_relaxed);
}

unsigned long long
meter_read(const struct meter *meter)
{
	return meter != NULL ? atomic_load_explicit(&meter->requests, memory_order_relaxed) : 0;
}
