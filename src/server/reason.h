/* reason.h -- what it means that a file cannot be read, for an errno. */
#pragma once

#include <stdbool.h>

/* Whether it tells of a shortage or a fault, not of how the files are. */
bool reason_is_transient(int reason);

/* What to do about it, behind a line feed. */
const char *reason_advice(int reason);
