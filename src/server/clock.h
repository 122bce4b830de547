/* clock.h -- time that only goes forward. */
#pragma once

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. Any thread. */
int64_t clock_ms(void);
