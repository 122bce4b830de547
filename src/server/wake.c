/* wake.c -- wakes another thread's loop. */
#include "server/wake.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <unistd.h>

int
wake_open(void)
{
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void
wake_ring(int descriptor)
{
	while (eventfd_write(descriptor, 1) < 0 && errno == EINTR)
		;
}

void
wake_clear(int descriptor)
{
	eventfd_t count;
	while (eventfd_read(descriptor, &count) < 0 && errno == EINTR)
		;
}
