/* linger.c -- keeps the descriptors of connections that evhttp is done with for a while. */
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

/* What is waited for no more is told to epoll before the next wait only: what ends in one turn of the loop is let go in the turn
 * after the next timer. */
struct lingers {
	struct event_base *base;
	struct lingering *first; /* the newest */
	size_t count, most;
	struct event *on_turn;
	struct lingering *ending, *ended; /* in this turn, and before */
};

/* Let go of all in a list. */
static void
let_go(struct lingering **list)
{
	for (struct lingering *lingering; (lingering = *list) != NULL;) {
		*list = lingering->next;
		bufferevent_decref(lingering->bufev);
		free(lingering);
	}
}

static void
wait_a_turn(struct lingers *lingers)
{
	static const struct timeval now;
	if (evtimer_add(lingers->on_turn, &now) != 0)
		let_go(&lingers->ended);
}

static void
on_turn(evutil_socket_t none, short events, void *context)
{
	struct lingers *lingers = context;
	(void)none;
	(void)events;
	let_go(&lingers->ended);
	lingers->ended = lingers->ending;
	lingers->ending = NULL;
	if (lingers->ended != NULL)
		wait_a_turn(lingers);
}

static void
end(struct lingering *lingering)
{
	struct lingers *lingers = lingering->lingers;
	if (lingering->on_read != NULL)
		event_free(lingering->on_read);
	lingering->next = lingers->ending;
	lingers->ending = lingering;
	wait_a_turn(lingers);
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
	lingers->on_turn = evtimer_new(base, on_turn, lingers);
	if (lingers->on_turn != NULL)
		return lingers;
	free(lingers);
	return NULL;
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
	let_go(&lingers->ending);
	let_go(&lingers->ended);
	event_free(lingers->on_turn);
	free(lingers);
}

/* Returns NULL when memory is out. */
static struct lingering *
hold(struct lingers *lingers, struct bufferevent *bufev)
{
	struct lingering *lingering = calloc(1, sizeof(*lingering));
	if (lingering == NULL)
		return NULL;
	lingering->lingers = lingers;
	lingering->bufev = bufev;
	bufferevent_incref(bufev);
	bufferevent_disable(
		bufev, EV_READ | EV_WRITE); /* or it would go on reading, and keep what comes */
	return lingering;
}

void
lingers_keep(struct lingers *lingers, struct bufferevent *bufev)
{
	struct lingering *lingering = hold(lingers, bufev);
	if (lingering != NULL)
		end(lingering);
}

void
lingers_add(struct lingers *lingers, struct bufferevent *bufev)
{
	struct lingering *lingering = hold(lingers, bufev);
	if (lingering == NULL)
		return;
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
	if (lingers->ending != NULL) /* in case that memory was out for it */
		wait_a_turn(lingers);
	for (struct lingering *at = lingers->first, *next; at != NULL; at = next) {
		next = at->next;
		if (now_ms >= at->deadline_ms)
			leave(lingers, at);
	}
}
