/* listen.c -- the sockets that workers accept from. */
#include "server/listen.h"

#include <sys/socket.h>

#include <netdb.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"

enum { BACKLOG = 1024 };

/* Cut "HOST:PORT" or "[HOST]:PORT" into its parts. */
static int
split(const char *address, char *host, size_t host_size, char *port, size_t port_size)
{
	const char *colon = strrchr(address, ':');
	if (colon == NULL || colon[1] == '\0' ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -1;
	const char *start = address;
	size_t length = (size_t)(colon - address);
	if (length >= 2 && *start == '[' && start[length - 1] == ']') {
		start++;
		length -= 2;
	} else if (memchr(start, ':', length) != NULL) {
		return -1;
	}
	snprintf(host, host_size, "%.*s", (int)length, start);
	snprintf(port, port_size, "%s", colon + 1);
	bool fits = length < host_size && strlen(colon + 1) < port_size;
	return fits && strtoul(colon + 1, NULL, 10) <= 65535 ? 0 : -1;
}

bool
listen_is_address(const char *address)
{
	char host[256], port[6];
	return split(address, host, sizeof(host), port, sizeof(port)) == 0;
}

static struct addrinfo *
resolve(const char *address, struct error *error)
{
	char host[256], port[6];
	struct addrinfo *found;
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	if (split(address, host, sizeof(host), port, sizeof(port)) != 0) {
		error_set(error, "\"%s\" is not ADDRESS:PORT\nwrite 127.0.0.1:8080, say", address);
		return NULL;
	}
	int reason = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &found);
	if (reason == 0)
		return found;
	error_set(error,
		"cannot listen on \"%s\": %s\ngive an address of this machine, such as "
		"127.0.0.1:8080",
		address, gai_strerror(reason));
	return NULL;
}

static bool
is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	}
	const struct sockaddr_in6 *v6 = (const void *)address;
	return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* The first socket binds without SO_REUSEPORT, so that an address in use is an error, and shares the
 * address afterwards; its siblings join it. */
static int
open_one(const struct sockaddr *address, socklen_t length, bool is_first)
{
	const int on = 1;
	int one = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (one < 0)
		return -1;
	bool good = setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
	if (!is_first)
		good = good && setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
	good = good && bind(one, address, length) == 0;
	if (is_first)
		good = good && setsockopt(one, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0;
	if (good && listen(one, BACKLOG) == 0)
		return one;
	int reason = errno;
	close(one);
	errno = reason;
	return -1;
}

static int
format_url(const char *scheme, const struct sockaddr *address, socklen_t length, char *url,
	size_t size)
{
	char host[64], port[8];
	if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		errno = ENOMEM;
		return -1;
	}
	bool is_v6 = strchr(host, ':') != NULL;
	snprintf(url, size, "%s://%s%s%s:%s", scheme, is_v6 ? "[" : "", host, is_v6 ? "]" : "",
		port);
	return 0;
}

static int
open_all(
	struct listeners *listeners, const char *scheme, const struct addrinfo *found, size_t count)
{
	struct sockaddr_storage storage;
	struct sockaddr *address = (struct sockaddr *)&storage;
	socklen_t length = found->ai_addrlen;
	memcpy(&storage, found->ai_addr, length);
	for (; listeners->count < count; listeners->count++) {
		int one = open_one(address, length, listeners->count == 0);
		if (one < 0)
			return -1;
		listeners->sockets[listeners->count] = one;
		length = sizeof(storage);
		if (getsockname(one, address, &length) != 0)
			return -1;
	}
	return format_url(scheme, address, length, listeners->url, sizeof(listeners->url));
}

int
listen_open(struct listeners *listeners, const char *scheme, const char *address, size_t count,
	const char *loopback_only, struct error *error)
{
	*listeners = (struct listeners){0};
	struct addrinfo *found = resolve(address, error);
	int result = -1;
	if (found == NULL)
		return -1;
	if (loopback_only != NULL && !is_loopback(found->ai_addr)) {
		error_set(error, "not listening on %s, as %s", address, loopback_only);
		freeaddrinfo(found);
		return -1;
	}
	listeners->is_loopback = is_loopback(found->ai_addr);
	listeners->sockets = calloc(count, sizeof(int));
	if (listeners->sockets != NULL)
		result = open_all(listeners, scheme, found, count);
	if (result != 0) {
		error_set(error, "cannot listen on %s: %s\n%s", address, strerror(errno),
			errno == EADDRINUSE ? "stop what listens there, or give another --listen"
			: errno == EACCES
				? "give a port from 1024 on, or the right to take this one"
				: "give an address of this machine");
		listen_close(listeners);
	}
	freeaddrinfo(found);
	return result;
}

/* Judge a socket that somebody else opened. Returns false with an error, or sets the address. */
static bool
check_passed(int one, struct sockaddr_storage *address, socklen_t *length, struct error *error)
{
	int type = 0, listens = 0;
	socklen_t size = sizeof(int);
	*address = (struct sockaddr_storage){0};
	*length = sizeof(*address);
	bool good = getsockopt(one, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
		    getsockopt(one, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
		    getsockname(one, (struct sockaddr *)address, length) == 0 &&
		    type == SOCK_STREAM && listens &&
		    (address->ss_family == AF_INET || address->ss_family == AF_INET6);
	if (!good)
		error_set(error,
			"descriptor %d, which was passed, is not a TCP socket that listens\n"
			"write ListenStream=127.0.0.1:8080, say, and no Accept=yes",
			one);
	return good;
}

/* Give a worker a descriptor of its own; they accept from one queue, in which none must wait. */
static int
share(int one)
{
	int flags = fcntl(one, F_GETFL);
	if (flags < 0 || fcntl(one, F_SETFL, flags | O_NONBLOCK) != 0)
		return -1;
	return fcntl(one, F_DUPFD_CLOEXEC, 3);
}

/* Returns -1 with an error where not all of them may be used. */
static int
judge_passed(struct listeners *listeners, const char *scheme, const int *sockets, size_t n_sockets,
	const char *loopback_only, struct error *error)
{
	listeners->is_loopback = true;
	for (size_t i = n_sockets; i-- > 0;) { /* the first one is told of */
		struct sockaddr_storage address;
		socklen_t length;
		if (!check_passed(sockets[i], &address, &length, error))
			return -1;
		const struct sockaddr *plain = (const struct sockaddr *)&address;
		format_url(scheme, plain, length, listeners->url, sizeof(listeners->url));
		listeners->is_loopback &= is_loopback(plain);
		if (loopback_only == NULL || is_loopback(plain))
			continue;
		error_set(error, "not listening on %s, which was passed, as %s", listeners->url,
			loopback_only);
		return -1;
	}
	return 0;
}

int
listen_take(struct listeners *listeners, const char *scheme, const int *sockets, size_t n_sockets,
	size_t count, const char *loopback_only, struct error *error)
{
	*listeners = (struct listeners){0};
	if (judge_passed(listeners, scheme, sockets, n_sockets, loopback_only, error) != 0)
		return -1;
	listeners->is_shared = true;
	count = count > n_sockets ? count : n_sockets;
	listeners->sockets = calloc(count, sizeof(int));
	for (; listeners->sockets != NULL && listeners->count < count; listeners->count++) {
		int one = share(sockets[listeners->count % n_sockets]);
		if (one < 0)
			break;
		listeners->sockets[listeners->count] = one;
	}
	for (size_t i = 0; i < n_sockets; i++)
		close(sockets[i]);
	if (listeners->sockets != NULL && listeners->count == count)
		return 0;
	error_set(error, "cannot share the sockets that were passed: %s", strerror(errno));
	listen_close(listeners);
	return -1;
}

void
listen_close(struct listeners *listeners)
{
	for (size_t i = 0; listeners->sockets != NULL && i < listeners->count; i++)
		if (listeners->sockets[i] >= 0)
			close(listeners->sockets[i]);
	free(listeners->sockets);
	listeners->sockets = NULL;
	listeners->count = 0;
}
