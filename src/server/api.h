/* api.h -- the answers to requests; knows no files and no sockets. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "server/auth.h"
#include "server/request_id.h"
#include "server/route.h"

struct arena;
struct digest;
struct figures;
struct job;
struct limit;
struct prompt;
struct prompt_rules;
struct reloader;
struct snapshot;
struct store;
struct tls;
struct token;
struct traffic;

/* What all workers share. Borrowed, and unchanged while they run save for draining. */
struct api {
	struct store *store;
	struct reloader *reloader;
	struct auth *auth; /* NULL: everyone may ask */
	struct limit *failures; /* of tokens, by address; NULL: any number */
	struct limit *requests; /* by token */
	const struct prompt_rules *rules;
	const char *const *default_labels; /* NULL-ended */
	const struct figures *figures;
	struct traffic *traffic; /* of each worker */
	size_t n_workers;
	bool writable, allow_empty, prompt_metrics;
	bool ready_when_clean;
	bool behind_proxy; /* whose address all requests have */
	bool access_log; /* a line for each request */
	atomic_bool draining;
};

/* What is behind an address. */
struct door {
	enum {
		DOOR_BOTH, /* everything */
		DOOR_PROMPTS, /* all but what an address of its own has: … */
		DOOR_ADMIN, /* … metrics, status and reload; probes are behind both. Reading needs no token here */
	} kind;
	bool loopback_names; /* a Host must be one (RFC 9110 section 7.2), against DNS rebinding */
	bool is_shared; /* others have its socket, too */
	struct tls *tls; /* NULL: without */
};

enum method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OPTIONS, METHOD_OTHER };

struct request {
	const struct api *api;
	struct digest *digest; /* the worker's */
	struct door door;
	char id[REQUEST_ID_BYTES];
	const char *peer; /* the address it came from; "" where that is not known */
	const struct tokens *tokens; /* in force */
	const struct token *token; /* of them, that was presented; NULL: none was needed */
	enum method method;
	const char *uri; /* NULL where what was asked, and how, is not known */
	struct target target;
	const char *authorization, *content_type, *host, *origin; /* NULL where absent */
	const char *body;
	size_t body_length;
	const struct snapshot *snapshot; /* taken once; NULL before the first was published */
	struct arena *arena; /* the worker's, until the request is answered */
};

/* Starts zeroed. The body is either the buffer or, where prompt is set, that prompt's answer. */
struct reply {
	int status;
	struct buffer body;
	struct buffer reason; /* the detail of an error, for the log */
	const struct prompt *prompt;
	const char *allow; /* the Allow header */
	const char *content_type; /* NULL: JSON */
	bool authenticate; /* with a WWW-Authenticate header */
	int64_t retry_after_ms; /* a Retry-After header (RFC 9110 section 10.2.3); 0: none */
	bool restricted; /* not all may be seen: without revisions */
	struct job *job; /* post it and answer when it is done; the worker's to free */
};

/* Answer a request. Worker's thread. */
void api_answer(struct request *, struct reply *);

/* Answer the request of a job that is done, or whose deadline has passed. */
void api_answer_job(struct job *, struct reply *);
void api_answer_late_job(const struct job *, struct reply *);
void api_answer_creation(const struct job *, struct reply *);

/* Whether all prompts may be seen, or those of some projects only. */
bool api_sees_all(const struct request *);

/* What keeps /ready red, or NULL. */
const char *api_why_not_ready(const struct request *);

/* The handlers, each in the file of its name. */
void api_litellm(const struct request *, struct reply *);
void api_prompt(const struct request *, struct reply *);
void api_variables(const struct request *, struct reply *);
void api_list(const struct request *, struct reply *);
void api_health(const struct request *, struct reply *);
void api_ready(const struct request *, struct reply *);
void api_render(const struct request *, struct reply *);
void api_write(const struct request *, struct reply *);
void api_metrics(const struct request *, struct reply *);
void api_status(const struct request *, struct reply *);
void api_reload(const struct request *, struct reply *);
void api_openapi(const struct request *, struct reply *);
