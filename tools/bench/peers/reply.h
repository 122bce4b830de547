/* reply.h -- a reply that is in a file, for servers that can give no other. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { REPLY_MAX_HEADERS = 32 };

/* The file holds the reply as it was on the wire. */
struct reply {
	char *bytes; /* all of it, unchanged */
	size_t length;
	char *head; /* a copy of it, into which these point */
	struct {
		const char *name, *value;
	} headers[REPLY_MAX_HEADERS];
	size_t n_headers;
	const char *body; /* within bytes */
	size_t body_length;
};

/* Exits with a message where the file is not that. */
void reply_load(struct reply *, const char *file);

/* A socket that listens on a free port of loopback; says where, on stderr. */
int listen_on_loopback(void);
