/* wake.h -- wakes another thread's loop. */
#pragma once

/* A descriptor to poll for reading (eventfd(2)); -1 with errno when there is none to be had. */
int wake_open(void);

/* Make it readable. Any thread, and signal-safe. */
void wake_ring(int descriptor);

/* Make it unreadable again. */
void wake_clear(int descriptor);
