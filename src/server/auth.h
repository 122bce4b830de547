/* auth.h -- who may ask: the tokens in force. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct digest;
struct error;
struct figures;
struct token;
struct tokens;

/* The tokens in force, which the reload thread replaces when their file changes. */
struct auth;

struct auth_terms {
	const char *tokens_file; /* NULL: everyone may ask; borrowed */
	bool mock; /* instead: the mock's three test tokens, which its documentation gives away; no header is fine */
	bool strict_projects; /* --projects strict */
	struct figures *figures; /* borrowed */
};

/* Returns NULL with an error where the file cannot be taken; what is wrong in it is logged, line by line. */
struct auth *auth_new(const struct auth_terms *, struct error *);
void auth_free(struct auth *);

/* Whether answers depend on the Authorization header. Any thread. */
bool auth_has_tokens(const struct auth *);

/* Take the file's new content, once it has not changed for a second. What is wrong is logged once, and the last good
 * tokens stay in force. Returns when to call again, on clock_ms(); 0: never. Reload thread only. */
int64_t auth_refresh(struct auth *, int64_t now_ms);

enum auth_result { AUTH_GRANTED, AUTH_MALFORMED, AUTH_UNKNOWN };

/* Have a reference to tokens, NULL for none, be one to those in force, as store_refresh() does; tokens_unref() gives it back. Any
 * thread. */
void auth_hold(struct auth *, struct tokens **held);

/* Judge an Authorization header (RFC 6750 section 2.1); NULL where there is none. The token that was presented is one
 * of those held; NULL where nobody had to present one. Any thread, each with a digest of its own. */
enum auth_result auth_check(const struct auth *, const struct tokens *held, const char *header,
	struct digest *, const struct token **);
