/* auth.h -- who may ask. */
#pragma once

#include <stdbool.h>

struct auth {
	const char *const *tokens; /* NULL-ended; NULL: everyone may ask */
	bool header_optional; /* no Authorization header at all is fine too */
};

enum auth_result { AUTH_GRANTED, AUTH_MALFORMED, AUTH_UNKNOWN };

/* The mock's three test tokens, which its documentation gives away; no header is fine. */
extern const struct auth auth_of_the_mock;

/* Judge an Authorization header (RFC 6750 section 2.1); NULL where there is none. Any thread. */
enum auth_result auth_check(const struct auth *, const char *header);
