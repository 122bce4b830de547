/* clock.h -- time that only goes forward. */
#pragma once

#include <stdint.h>

/* Milliseconds and microseconds of CLOCK_MONOTONIC. Any thread. */
int64_t clock_ms(void);
int64_t clock_us(void);
