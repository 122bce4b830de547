/* linger.c -- goes on reading from connections that are about to be closed. */
#include "server/linger.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "server/clock.h"

enum { LONGEST_MS = 2000, MOST_BYTES = 8 * 1024 * 1024 };

struct lingering {
	struct lingering *next;
	struct lingers *lingers;
	struct event *on_read;
	int64_t deadline_ms;
	size_t left; /* bytes that may still come */
	struct bufferevent *bufev; /* closes the descriptor when nobody has it any more */
};

struct lingers {
	struct event_base *base;
	struct lingering *first; /* the newest */
	size_t count, most;
};

static void
end(struct lingering *lingering)
{
	if (lingering->on_read != NULL)
		event_free(lingering->on_read);
	bufferevent_decref(lingering->bufev);
	free(lingering);
}

/* End one that is in the list. */
static void
leave(struct lingers *lingers, struct lingering *lingering)
{
	struct lingering **at = &lingers->first;
	while (*at != lingering)
		at = &(*at)->next;
	*at = lingering->next;
	lingers->count--;
	end(lingering);
}

static void
leave_oldest(struct lingers *lingers)
{
	struct lingering *oldest = lingers->first;
	while (oldest->next != NULL)
		oldest = oldest->next;
	leave(lingers, oldest);
}

static void
on_read(evutil_socket_t descriptor, short events, void *context)
{
	struct lingering *lingering = context;
	char bytes[16384];
	(void)events;
	ssize_t count = read(descriptor, bytes, sizeof(bytes));
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0 || (size_t)count > lingering->left)
		leave(lingering->lingers, lingering);
	else
		lingering->left -= (size_t)count;
}

struct lingers *
lingers_new(struct event_base *base, size_t most)
{
	struct lingers *lingers = calloc(1, sizeof(*lingers));
	if (lingers == NULL)
		return NULL;
	lingers->base = base;
	lingers->most = most;
	return lingers;
}

void
lingers_free(struct lingers *lingers)
{
	if (lingers == NULL)
		return;
	for (struct lingering *lingering; (lingering = lingers->first) != NULL;) {
		lingers->first = lingering->next;
		end(lingering);
	}
	free(lingers);
}

void
lingers_add(struct lingers *lingers, struct bufferevent *bufev)
{
	struct lingering *lingering = calloc(1, sizeof(*lingering));
	if (lingering == NULL)
		return;
	lingering->lingers = lingers;
	lingering->bufev = bufev;
	bufferevent_incref(bufev);
	bufferevent_disable(bufev, EV_READ | EV_WRITE); /* or it would go on reading, and keep what comes */
	lingering->left = MOST_BYTES;
	lingering->deadline_ms = clock_ms() + LONGEST_MS;
	lingering->on_read = event_new(
		lingers->base, bufferevent_getfd(bufev), EV_READ | EV_PERSIST, on_read, lingering);
	if (lingering->on_read == NULL || event_add(lingering->on_read, NULL) != 0) {
		end(lingering);
		return;
	}
	lingering->next = lingers->first;
	lingers->first = lingering;
	if (++lingers->count > lingers->most)
		leave_oldest(lingers);
}

size_t
lingers_count(const struct lingers *lingers)
{
	return lingers->count;
}

void
lingers_sweep(struct lingers *lingers, int64_t now_ms)
{
	for (struct lingering *at = lingers->first, *next; at != NULL; at = next) {
		next = at->next;
		if (now_ms >= at->deadline_ms)
			leave(lingers, at);
	}
}
