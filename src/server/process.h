/* process.h -- what this process takes of the machine. */
#pragma once

/* Open what tells of its memory, before the sandbox closes /proc. Main thread, once. */
void process_open(void);

/* Seconds of CPU so far, of all threads. Any thread. */
double process_cpu_seconds(void);

/* Bytes of memory that are resident; NAN where /proc does not tell. Any thread. */
double process_resident_bytes(void);
