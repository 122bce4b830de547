/* gate.c -- lets whole and well-formed requests of a connection through to evhttp, in time. */
#include "server/gate.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "server/clock.h"

/* What evhttp understands differs from RFC 9112 in many places, so that it is given nothing but whole requests which
 * nobody can understand in two ways. The bytes of a connection are looked at in its input buffer's callback, before
 * evhttp reads them, and those of a request that is not whole yet are held. In the place of the first request
 * that is refused, and of all that follows it, evhttp gets a stand-in, which is answered with the reason in its turn: behind
 * the replies to the requests in front of it, and through TLS. */

enum { WORK_MS = 30000 }; /* more than what a request may wait for */

static enum phase
phase_of(const struct gate *gate)
{
	if (gate->stream.passed > gate->replied)
		return gate->is_replying ? PHASE_REPLY : PHASE_WORK;
	switch (framing_part(&gate->stream.framing)) {
	case FRAMING_HEAD:
		return PHASE_HEAD;
	case FRAMING_BODY:
		return PHASE_BODY;
	default:
		return gate->stream.passed == 0 ? PHASE_FIRST : PHASE_IDLE;
	}
}

static void
set_phase(struct gate *gate, enum phase phase)
{
	const struct gate_limits *limits = gate->limits;
	const int64_t most_ms[] = {
		[PHASE_FIRST] = limits->first_ms,
		[PHASE_IDLE] = limits->idle_ms,
		[PHASE_HEAD] = limits->head_ms,
		[PHASE_BODY] = limits->body_ms,
		[PHASE_WORK] = WORK_MS,
		[PHASE_REPLY] = limits->reply_ms,
	};
	gate->phase = phase;
	gate->deadline_ms = clock_ms() + most_ms[phase];
}

/* Tell a client that waits with a body to send it (RFC 9110 section 10.1.1). evhttp, which sees whole requests
 * alone, never does. Its write callback is for replies. */
static void
send_continue(struct gate *gate)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	bufferevent_data_cb on_read, on_write;
	bufferevent_event_cb on_event;
	void *context;
	gate->stream.has_continued = true;
	bufferevent_getcb(gate->bufev, &on_read, &on_write, &on_event, &context);
	bufferevent_setcb(gate->bufev, on_read, NULL, on_event, context);
	if (bufferevent_write(gate->bufev, line, sizeof(line) - 1) == 0)
		bufferevent_enable(gate->bufev, EV_WRITE);
}

bool
gate_owes_continue(const struct gate *gate)
{
	return gate->phase == PHASE_BODY && gate->stream.framing.head.wants_continue &&
	       !gate->stream.has_continued;
}

void
gate_settle(struct gate *gate)
{
	enum phase phase = phase_of(gate);
	if (phase != gate->phase)
		set_phase(gate, phase);
	if (gate_owes_continue(gate))
		send_continue(gate);
}

static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *context)
{
	struct gate *gate = context;
	if (info->n_added == 0 || gate->is_busy)
		return;
	gate->is_busy = true;
	stream_take(&gate->stream, input, info->n_added);
	gate->is_busy = false;
	gate_settle(gate);
}

int
gate_init(struct gate *gate, struct bufferevent *bufev, const struct gate_limits *limits,
	struct scratch *scratch)
{
	*gate = (struct gate){.limits = limits, .bufev = bufev};
	if (stream_init(&gate->stream, &limits->framing, scratch) == 0)
		gate->on_input = evbuffer_add_cb(bufferevent_get_input(bufev), on_input, gate);
	set_phase(gate, PHASE_FIRST);
	return gate->on_input != NULL ? 0 : -1;
}

void
gate_finish(struct gate *gate)
{
	if (gate->on_input != NULL)
		evbuffer_remove_cb_entry(bufferevent_get_input(gate->bufev), gate->on_input);
	stream_finish(&gate->stream);
}

bool
gate_expire(struct gate *gate)
{
	struct evbuffer *input = bufferevent_get_input(gate->bufev);
	if ((gate->phase != PHASE_HEAD && gate->phase != PHASE_BODY) || gate->stream.is_refused)
		return true;
	gate->is_busy = true;
	evbuffer_unfreeze(input, 0); /* as while bytes are read */
	stream_refuse(&gate->stream, input, 408,
		gate->phase == PHASE_HEAD ? "the header took too long" : "the body took too long");
	gate->is_busy = false;
	gate_settle(gate);
	bufferevent_trigger(gate->bufev, EV_READ, 0);
	return false;
}

/* Whether the request that is being answered is the last one that came through. */
static bool
answers_last(const struct gate *gate)
{
	return gate->stream.passed - gate->replied == 1;
}

const struct refusal *
gate_refusal(const struct gate *gate)
{
	return gate->stream.is_refused && answers_last(gate) ? &gate->stream.framing.refusal : NULL;
}

bool
gate_must_close(const struct gate *gate)
{
	return gate->stream.is_last && answers_last(gate);
}

bool
gate_may_close(const struct gate *gate)
{
	return answers_last(gate) && framing_part(&gate->stream.framing) == FRAMING_NONE;
}

void
gate_begin_reply(struct gate *gate)
{
	gate->is_replying = true;
	set_phase(gate, PHASE_REPLY);
}

void
gate_end_reply(struct gate *gate)
{
	gate->owner = NULL;
	gate->is_replying = false;
	gate->replied++;
	set_phase(gate, phase_of(gate));
}
