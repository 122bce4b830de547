/* clock.h -- time that only goes forward, and the time of day. */
#pragma once

#include <stdint.h>

/* Milliseconds and microseconds of CLOCK_MONOTONIC. Any thread. */
int64_t clock_ms(void);
int64_t clock_us(void);

/* Nanoseconds of CLOCK_REALTIME, to be compared with the times of files: it may jump. Any thread. */
int64_t clock_real_ns(void);
