/* process.c -- what this process takes of the machine. */
#include "server/process.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int statm = -1;

void
process_open(void)
{
	statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

double
process_cpu_seconds(void)
{
	struct timespec time = {0};
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The second figure there, in pages: proc(5). */
double
process_resident_bytes(void)
{
	char text[128] = "";
	const char *second = pread(statm, text, sizeof(text) - 1, 0) > 0 ? strchr(text, ' ') : NULL;
	if (second == NULL)
		return NAN;
	return (double)strtoll(second, NULL, 10) * getpagesize();
}
