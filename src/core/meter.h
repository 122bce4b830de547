/* meter.h -- counts how often a prompt was asked for, over all its edits. */
#pragma once

/* Counted. */
struct meter;

/* Returns NULL when memory is out: then nothing is counted. */
struct meter *meter_new(void);

/* Any thread; NULL is fine. The last reference frees it. */
struct meter *meter_ref(struct meter *);
void meter_unref(struct meter *);

/* Any thread; NULL is fine, and reads 0. */
void meter_count(struct meter *);
unsigned long long meter_read(const struct meter *);
