/* listen.h -- the sockets that workers accept from. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct error;

/* Sockets of one address, one for each worker; the kernel spreads connections over them. */
struct listeners {
	int *sockets;
	size_t count;
	bool is_loopback; /* other machines cannot reach it */
	bool is_shared; /* others have the sockets, too, so that connections which wait there outlive this process */
	char url[96]; /* with the real port: http://127.0.0.1:8080 */
};

/* Whether a text is "ADDRESS:PORT". */
bool listen_is_address(const char *);

/* Open so many sockets on "ADDRESS:PORT", for the scheme "http" or "https"; an IPv6 address stands in brackets. An
 * address in use is an error, and so is one that other machines can reach where loopback_only says why it must not be.
 * Returns -1 with an error. */
int listen_open(struct listeners *, const char *scheme, const char *address, size_t count,
	const char *loopback_only, struct error *);

/* Share sockets that listen already among so many workers or, where that is more, one for each. They are taken. The same is an
 * error. */
int listen_take(struct listeners *, const char *scheme, const int *sockets, size_t n_sockets,
	size_t count, const char *loopback_only, struct error *);
void listen_close(struct listeners *);
