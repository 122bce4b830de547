/* spare.h -- memory for libevent when there is no other. */
#pragma once

#include <stdbool.h>

/* evhttp 2.1.12 does not stand being refused memory: a request that it cannot make ends the process, and a reply whose head it
 * cannot write goes out without it. So small pieces come from a store that is set aside where malloc has none. To be
 * called before anything else of libevent. */
void spare_init(void);

/* Whether half of the store is used: no time to take on more. Any thread. */
bool spare_is_low(void);
