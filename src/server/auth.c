/* auth.c -- who may ask. */
#include "server/auth.h"

#include <stddef.h>
#include <string.h>

static const char *const test_tokens[] = {
	"test-token-12345",
	"dev-token-67890",
	"prod-token-abcdef",
	NULL,
};

const struct auth auth_of_the_mock = {.tokens = test_tokens, .header_optional = true};

enum auth_result
auth_check(const struct auth *auth, const char *header)
{
	static const char scheme[] = "Bearer ";
	if (auth->tokens == NULL || (header == NULL && auth->header_optional))
		return AUTH_GRANTED;
	if (header == NULL || strncmp(header, scheme, strlen(scheme)) != 0)
		return AUTH_MALFORMED;
	const char *presented = header + strlen(scheme);
	if (*presented == '\0')
		return AUTH_MALFORMED;
	for (const char *const *token = auth->tokens; *token != NULL; token++)
		if (strcmp(presented, *token) == 0)
			return AUTH_GRANTED;
	return AUTH_UNKNOWN;
}
