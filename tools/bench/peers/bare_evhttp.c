/* The least that a server on evhttp does for a reply: bare_evhttp FILE. */
#include <err.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#include "reply.h"

static struct reply reply;

/* Date and Content-Length are evhttp's own. */
static bool
is_ours(const char *name)
{
	return strcasecmp(name, "Date") != 0 && strcasecmp(name, "Content-Length") != 0;
}

static void
on_request(struct evhttp_request *request, void *unused)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	size_t i;

	(void)unused;
	for (i = 0; i < reply.n_headers; i++)
		evhttp_add_header(headers, reply.headers[i].name, reply.headers[i].value);
	evbuffer_add_reference(evhttp_request_get_output_buffer(request), reply.body,
		reply.body_length, NULL, NULL);
	evhttp_send_reply(request, 200, "OK", NULL);
}

static void
keep_ours(void)
{
	size_t i, kept = 0;

	for (i = 0; i < reply.n_headers; i++)
		if (is_ours(reply.headers[i].name))
			reply.headers[kept++] = reply.headers[i];
	reply.n_headers = kept;
}

int
main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	if (argc != 2 || http == NULL)
		errx(2, "usage: bare_evhttp FILE");
	signal(SIGPIPE, SIG_IGN);
	reply_load(&reply, argv[1]);
	keep_ours();
	evhttp_set_gencb(http, on_request, NULL);
	if (evhttp_accept_socket(http, listen_on_loopback()) != 0)
		errx(1, "cannot accept connections");
	return event_base_dispatch(base) == 0 ? 0 : 1;
}
