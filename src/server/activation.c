/* activation.c -- the listening sockets that systemd passes: sd_listen_fds(3). */
#include "server/activation.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

enum { FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* How many descriptors were passed, to this very process. */
static unsigned long
count_passed(void)
{
	const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	if (process == NULL || count == NULL || strtol(process, NULL, 10) != getpid())
		return 0;
	return strtoul(count, NULL, 10);
}

int
activation_find(bool admin, int sockets[ACTIVATION_MAX], struct error *error)
{
	static const char admin_name[] = "admin";
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned long count = count_passed();
	int found = 0;
	if (count > ACTIVATION_MAX) {
		error_set(error, "%lu sockets were passed, of which %d can be used\npass fewer",
			count, ACTIVATION_MAX);
		return -1;
	}
	for (unsigned long i = 0; i < count; i++) {
		size_t length = names != NULL ? strcspn(names, ":") : 0;
		bool is_admin =
			length == strlen(admin_name) && strncmp(names, admin_name, length) == 0;
		if (is_admin == admin)
			sockets[found++] = FIRST + (int)i;
		names = names != NULL && names[length] == ':' ? names + length + 1 : NULL;
	}
	return found;
}
