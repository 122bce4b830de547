/* gate.h -- lets whole and well-formed requests of a connection through to evhttp, in time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/framing.h"
#include "server/stream.h"

struct bufferevent;
struct evbuffer_cb_entry;

struct gate_limits {
	struct framing_limits framing;
	size_t connections; /* of a worker */
	/* Each counts from its beginning, not from the last byte. */
	int64_t first_ms,
		idle_ms; /* without a request: since the connection, since the last reply */
	int64_t head_ms, body_ms, reply_ms;
};

enum phase {
	PHASE_FIRST, /* no byte has come yet */
	PHASE_IDLE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_WORK, /* a request is being answered, … */
	PHASE_REPLY, /* … and the reply is on its way */
};

/* One connection's. To be read only. */
struct gate {
	const struct gate_limits *limits; /* borrowed */
	struct bufferevent *bufev;
	struct evbuffer_cb_entry *on_input;
	struct stream stream;
	uint64_t replied; /* requests */
	enum phase phase;
	int64_t deadline_ms; /* of the phase, on clock_ms() */
	bool is_busy, is_replying;
	void *owner; /* of the request that is being answered */
};

/* Worker's thread, like all here. Takes the bufferevent once it is done. Returns -1 when memory is out. */
int gate_init(struct gate *, struct bufferevent *, const struct gate_limits *, struct scratch *);

/* Take it from the bufferevent, if it has been put there. */
void gate_finish(struct gate *);

/* Bring what follows from the state up to date. */
void gate_settle(struct gate *);

/* The phase's time is over. Returns whether that ends the connection; else the request is refused. */
bool gate_expire(struct gate *);

/* Whether the client waits to be told to send its body, which evhttp does not read yet. */
bool gate_owes_continue(const struct gate *);

/* Why a request is refused, which only stands for the one that the client sent; NULL: it is the client's. */
const struct refusal *gate_refusal(const struct gate *);

/* Whether the client wants the connection closed behind the reply to this request, and whether nothing has come behind
 * it. */
bool gate_must_close(const struct gate *);
bool gate_may_close(const struct gate *);

/* The reply to a request is about to be sent; and is out, which gates_note_reply says. */
void gate_begin_reply(struct gate *);
void gate_end_reply(struct gate *);
