/* cpus.h -- how many threads can run at the same time. */
#pragma once

/* The CPUs that this process may use, at least 1. */
unsigned cpus_usable(void);
