/* tokens.h -- who may ask for what, known by the digest of a token. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/digest.h"

struct errors;

enum right {
	RIGHT_READ = 1, /* prompts */
	RIGHT_WRITE = 2, /* new prompts */
	RIGHT_ADMIN = 4, /* metrics, status, reload */
};

/* Borrowed: lives as long as its set. */
struct token {
	const char *name; /* for the log; not secret */
	unsigned char digests
		[2][DIGEST_BYTES]; /* SHA-256 of the token, and of its successor or predecessor */
	size_t n_digests;
	const char *const *projects; /* that it may see; NULL-ended; NULL: all prompts */
	unsigned rights;
	unsigned rate_limit; /* requests a second; 0: any number */
};

/* Immutable and counted. */
struct tokens;

/* Read a tokens file: a YAML list of {name, sha256, projects, rights, rate_limit}. A token that may write and sees some
 * projects only needs projects to be strict. Returns NULL with errors added, or without any when memory is
 * out. The errors' arena may be reset behind it. */
struct tokens *tokens_parse(const char *data, size_t length, bool strict_projects, struct errors *);

/* Any thread. NULL is fine for tokens_unref. */
struct tokens *tokens_ref(struct tokens *);
void tokens_unref(struct tokens *);

size_t tokens_count(const struct tokens *);

/* The token of a digest, or NULL, in a time that tells nothing of the digests in the set. Any thread. */
const struct token *tokens_find(const struct tokens *, const unsigned char digest[DIGEST_BYTES]);

/* Whether a token, NULL for anyone, may see the prompts of a project, NULL for none. */
bool token_may_see(const struct token *, const char *project);
