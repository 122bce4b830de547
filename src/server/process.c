/* process.c -- what this process takes of the machine. */
#include "server/process.h"

#include <sys/resource.h>

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int statm = -1;

void
process_open(void)
{
	statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

static double
seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

double
process_cpu_seconds(void)
{
	struct rusage usage = {0};
	getrusage(RUSAGE_SELF, &usage);
	return seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
}

/* The second figure there, in pages: proc(5). */
double
process_resident_bytes(void)
{
	char text[128] = "";
	const char *second = pread(statm, text, sizeof(text) - 1, 0) > 0 ? strchr(text, ' ') : NULL;
	if (second == NULL)
		return NAN;
	return (double)strtoll(second, NULL, 10) * (double)sysconf(_SC_PAGESIZE);
}
