/* tls.h -- the certificate that connections are secured with. */
#pragma once

#include <stdint.h>

struct bufferevent;
struct error;
struct event_base;

/* The certificate and key in force, which the reload thread replaces when their files change. */
struct tls;

/* Take a certificate, with its chain behind it, and its key, from PEM files; the paths are borrowed. TLS 1.2 and later,
 * with authenticated encryption alone (RFC 9325 section 4.2). Returns NULL with an error. */
struct tls *tls_new(const char *certificate, const char *key, struct error *);
void tls_free(struct tls *);

/* Take what the files hold now, once they have not changed for a second. What is wrong is logged once, and the last
 * good certificate stays in force. Returns when to call again, on clock_ms(); 0: never, where there is no TLS. Reload
 * thread only. */
int64_t tls_refresh(struct tls *, int64_t now_ms);

/* Who is told that a client spoke HTTP without TLS and has got an answer to that. */
struct tls_peer {
	void (*on_plain)(void *context, const char *id); /* the answer's */
	void *context;
};

/* Make a connection's bufferevent, with the certificate of this moment; it closes its descriptor. The peer is borrowed.
 * Returns NULL when memory is out. Any thread. */
struct bufferevent *tls_open(struct tls *, struct event_base *, struct tls_peer *);
