/* notify.c -- tells the service manager how things stand: sd_notify(3). */
#include "server/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/log.h"

static struct {
	int socket;
	struct sockaddr_un address;
	socklen_t length;
	bool is_connected;
} manager = {.socket = -1};

/* A name in the abstract space is connected to, which a sandbox would not let later. A path is not, as the service
 * is not let connect to anything. */
static bool
find_manager(const char *name)
{
	const struct timeval limit = {.tv_sec = 1};
	size_t length = strlen(name);
	bool is_abstract = *name == '@';
	if ((!is_abstract && *name != '/') || length >= sizeof(manager.address.sun_path)) {
		errno = EINVAL;
		return false;
	}
	manager.address.sun_family = AF_UNIX;
	memcpy(manager.address.sun_path, name, length);
	if (is_abstract)
		manager.address.sun_path[0] = '\0';
	manager.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager.socket < 0 ||
		setsockopt(manager.socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0)
		return false;
	manager.is_connected = is_abstract;
	return !is_abstract || connect(manager.socket, (const struct sockaddr *)&manager.address,
				       manager.length) == 0;
}

void
notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	if (name == NULL || *name == '\0' || find_manager(name))
		return;
	log_write(LOG_LEVEL_WARN, "cannot tell the service manager how things stand",
		LOG_TEXT("reason", strerror(errno)), LOG_TEXT("socket", name), LOG_END);
	notify_close();
}

void
notify_close(void)
{
	if (manager.socket >= 0)
		close(manager.socket);
	manager.socket = -1;
}

int64_t
notify_watchdog_ms(void)
{
	const char *process = getenv("WATCHDOG_PID"), *limit = getenv("WATCHDOG_USEC");
	if (manager.socket < 0 || limit == NULL ||
		(process != NULL && strtol(process, NULL, 10) != getpid()))
		return 0;
	int64_t limit_us = strtoll(limit, NULL, 10);
	return limit_us > 0 ? limit_us / 4000 + 1 : 0;
}

/* A manager that does not listen cannot be told even that. */
void
notify_send(const char *format, ...)
{
	char text[512];
	va_list args;
	if (manager.socket < 0)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	const void *address = manager.is_connected ? NULL : &manager.address;
	if (sendto(manager.socket, text, strlen(text), MSG_NOSIGNAL, address,
		    manager.is_connected ? 0 : manager.length) < 0)
		log_write(LOG_LEVEL_WARN, "the service manager cannot be told how things stand",
			LOG_TEXT("reason", strerror(errno)), LOG_END);
}
