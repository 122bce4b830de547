/* cpus.c -- how many threads can run at the same time. */
#include "server/cpus.h"

#include <sched.h>

unsigned
cpus_usable(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	int count = CPU_COUNT(&set);
	return count < 1 ? 1 : (unsigned)count;
}
