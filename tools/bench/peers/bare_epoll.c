/* The least that any server does: it answers whatever ends in an empty line with the bytes of FILE. bare_epoll FILE. */
#include <err.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reply.h"

enum { MAX_EVENTS = 64 };

static void
watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		err(1, "epoll_ctl");
}

static void
answer(int fd, const struct reply *reply)
{
	char request[4096];
	ssize_t length = read(fd, request, sizeof(request));

	if (length <= 0) {
		close(fd);
		return;
	}
	if (length >= 4 && memcmp(request + length - 4, "\r\n\r\n", 4) == 0 &&
		write(fd, reply->bytes, reply->length) != (ssize_t)reply->length)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct epoll_event events[MAX_EVENTS];
	struct reply reply;
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener, n, i;

	if (argc != 2 || epoll < 0)
		errx(2, "usage: bare_epoll FILE");
	signal(SIGPIPE, SIG_IGN);
	reply_load(&reply, argv[1]);
	listener = listen_on_loopback();
	watch(epoll, listener);
	while ((n = epoll_wait(epoll, events, MAX_EVENTS, -1)) > 0)
		for (i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd != listener)
				answer(fd, &reply);
			else if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				watch(epoll, fd);
		}
	err(1, "epoll_wait");
}
