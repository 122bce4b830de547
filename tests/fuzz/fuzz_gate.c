/* fuzz_gate.c -- any bytes as a connection to evhttp behind its gate, over a real socket: what is handed on and answered is
 * what the framing says of the same bytes in one piece, however they arrive cut. */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "reading.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/gate.h"
#include "server/gates.h"
#include "server/http.h"
#include "server/traffic.h"

static const struct gate_limits limits = {
	.framing = {.target_bytes = 256, .head_bytes = 1024, .fields = 8, .body_bytes = 8192},
	.connections = 4,
 /* Time plays no part here. */
	.first_ms = 1000000,
	.idle_ms = 1000000,
	.head_ms = 1000000,
	.body_ms = 1000000,
	.reply_ms = 1000000,
};

enum { MOST_TURNS = 100000 };

/* How the bytes come and the replies go. */
struct manner {
	size_t most_piece; /* bytes; each piece is of some length up to it */
	bool is_late; /* replies wait until nothing else is to be done */
	bool leaves; /* the client goes away somewhere in the middle */
};

struct run {
	const struct reading *expected;
	struct manner manner;
	uint32_t chance;

	struct event_base *base;
	struct evhttp *http;
	struct gates *gates;
	struct traffic traffic;
	int client;

	struct evhttp_request *request; /* being answered */
	struct gate *gate;
	size_t handed, replied;
	struct buffer replies;
	bool has_ended; /* as the client sees it */
};

/* The same numbers for the same input (xorshift). */
static uint32_t
draw(struct run *run)
{
	run->chance ^= run->chance << 13;
	run->chance ^= run->chance >> 17;
	run->chance ^= run->chance << 5;
	return run->chance;
}

static uint32_t
seed_of(const uint8_t *data, size_t length)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash | 1;
}

static void
on_sent(struct evhttp_request *request, void *context)
{
	struct run *run = context;
	MUST(run->request == request);
	run->request = NULL;
	run->replied++;
	gates_note_reply(run->gates, run->gate);
}

static void
on_closed_early(void *context)
{
	struct run *run = context;
	MUST(run->request != NULL);
	if (evhttp_request_get_connection(run->request) == NULL)
		evhttp_request_free(run->request);
	run->request = NULL;
}

static void
answer(struct run *run)
{
	struct http_scratch scratch = {0};
	const struct refusal *refusal = gate_refusal(run->gate);
	struct reply reply = {.status = refusal != NULL ? refusal->status : ANSWERED};
	buffer_printf(&reply.body, "reply %zu", run->handed);
	gate_begin_reply(run->gate);
	http_send(run->request, &reply,
		&(struct http_terms){.scratch = &scratch,
			.is_plain = true,
			.closing = gate_must_close(run->gate)});
	buffer_finish(&scratch.head);
	reply_finish(&reply);
}

static void
on_request(struct evhttp_request *request, void *context)
{
	struct run *run = context;
	const struct reading *expected = run->expected;
	MUST(run->request == NULL && run->replied == run->handed);
	run->request = request;
	run->gate = gates_find(run->gates, request);
	MUST(run->gate != NULL);
	const struct refusal *refusal = gate_refusal(run->gate);
	if (refusal == NULL) {
		MUST(run->handed < expected->count);
		reading_check(&expected->asked[run->handed], request);
	} else {
		MUST(run->handed == expected->count && refusal->status == expected->status);
		MUST(evbuffer_get_length(evhttp_request_get_input_buffer(request)) == 0);
	}
	run->handed++;
	evhttp_request_set_on_complete_cb(request, on_sent, run);
	run->gate->owner = run;
	if (!run->manner.is_late)
		answer(run);
}

static struct bufferevent *
on_connection(struct event_base *base, void *context)
{
	struct run *run = context;
	(void)base;
	return gates_open(run->gates);
}

static void
read_replies(struct run *run)
{
	char bytes[16384];
	for (ssize_t count; !run->has_ended && run->client >= 0;) {
		count = recv(run->client, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (count < 0)
			break;
		run->has_ended = count == 0;
		buffer_put(&run->replies, bytes, (size_t)count);
	}
}

/* Let the server do what there is to be done. */
static void
turn(struct run *run)
{
	size_t turns = 0;
	do {
		MUST(turns++ < MOST_TURNS);
		event_base_get_max_events(run->base, EVENT_BASE_COUNT_ACTIVE, 1);
		MUST(event_base_loop(run->base, EVLOOP_NONBLOCK) >= 0);
		read_replies(run);
	} while (event_base_get_max_events(run->base, EVENT_BASE_COUNT_ACTIVE, 1) > 0);
}

static void
turn_and_answer(struct run *run)
{
	turn(run);
	while (run->manner.is_late && run->request != NULL) {
		answer(run);
		turn(run);
	}
}

/* Listen where nobody else finds it, and connect. */
static void
set_up(struct run *run)
{
	struct sockaddr_storage address = {.ss_family = AF_UNIX};
	socklen_t length = sizeof(sa_family_t); /* the kernel chooses a name (unix(7)) */
	int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int listener = socket(AF_UNIX, kind, 0);
	MUST(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
	length = sizeof(address);
	MUST(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
	run->base = event_base_new();
	run->http = evhttp_new(run->base);
	run->gates = gates_new(run->base, &limits, NULL, &run->traffic, on_closed_early);
	MUST(run->http != NULL && run->gates != NULL);
	evhttp_set_allowed_methods(run->http, 0xffff);
	evhttp_set_gencb(run->http, on_request, run);
	evhttp_set_bevcb(run->http, on_connection, run);
	gates_guard(run->gates, evhttp_accept_socket_with_handle(run->http, listener));
	run->client = socket(AF_UNIX, kind, 0);
	MUST(connect(run->client, (struct sockaddr *)&address, length) == 0);
}

static void
tear_down(struct run *run)
{
	gates_leave(run->gates);
	evhttp_free(run->http);
	MUST(run->request == NULL);
	gates_free(run->gates);
	event_base_free(run->base);
	buffer_finish(&run->replies);
}

static void
leave(struct run *run)
{
	if (run->client >= 0)
		close(run->client);
	run->client = -1;
}

static void
send_all(struct run *run, const char *bytes, size_t length)
{
	size_t until = run->manner.leaves && length > 0 ? draw(run) % length : length;
	for (size_t at = 0, piece; at < until && !run->has_ended; at += piece) {
		piece = 1 + draw(run) % run->manner.most_piece;
		if (piece > until - at)
			piece = until - at;
		if (send(run->client, bytes + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
			break; /* the server has ended it: the replies say why */
		turn_and_answer(run);
	}
	if (run->manner.leaves)
		leave(run);
	else
		shutdown(run->client, SHUT_WR);
	turn_and_answer(run);
}

static void
serve(const struct reading *expected, const char *bytes, size_t length, struct manner manner)
{
	struct run run = {.expected = expected,
		.manner = manner,
		.chance = seed_of((const uint8_t *)bytes, length)};
	set_up(&run);
	send_all(&run, bytes, length);
	MUST(run.request == NULL);
	MUST(!gates_are_busy(run.gates));
	if (!manner.leaves) {
		MUST(run.has_ended);
		MUST(run.replied == run.handed);
		MUST(replies_check(expected, &run.replies) == run.handed);
	}
	leave(&run);
	tear_down(&run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const char *bytes = (const char *)data;
	struct reading expected;
	reading_init(&expected, &limits.framing, bytes, length);
	serve(&expected, bytes, length, (struct manner){.most_piece = length + 1});
	serve(&expected, bytes, length, (struct manner){.most_piece = 1 + length / 8});
	serve(&expected, bytes, length,
		(struct manner){.most_piece = 1 + length / 64, .is_late = true});
	serve(&expected, bytes, length,
		(struct manner){.most_piece = 1 + length / 4, .is_late = true, .leaves = true});
	reading_finish(&expected);
	return 0;
}
