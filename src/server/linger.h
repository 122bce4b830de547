/* linger.h -- keeps the descriptors of connections that evhttp is done with for a while.
 *
 * Closed at once while its client is still sending, a connection is reset, and the client can lose the last reply
 * (RFC 9112 section 9.6). And epoll is told once a turn of the loop only what is waited for no more: by then a descriptor that was
 * closed meanwhile could be another thread's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct bufferevent;
struct event_base;
struct lingers;

/* Everything here is for the worker's thread. Beyond so many, the oldest is closed. Returns NULL when memory is out. */
struct lingers *lingers_new(struct event_base *, size_t most);

/* Close them all. */
void lingers_free(struct lingers *);

/* Drop what still comes on a connection until its client ends it too, for a while, whoever frees this bufferevent, which closes
 * its descriptor when it is freed (BEV_OPT_CLOSE_ON_FREE). Where memory is out, nothing is done. */
void lingers_add(struct lingers *, struct bufferevent *);

/* Keep the descriptor of a bufferevent that somebody is about to free until epoll knows that it is waited for no more. Where memory
 * is out, it is closed at once: the kernel forgets it by itself. */
void lingers_keep(struct lingers *, struct bufferevent *);

/* How many wait for their clients. */
size_t lingers_count(const struct lingers *);

/* Close those whose time is over, by the monotonic clock. */
void lingers_sweep(struct lingers *, int64_t now_ms);
