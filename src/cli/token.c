/* token.c -- makes a token. */
#include <sys/random.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/page.h"
#include "core/digest.h"
#include "core/name.h"
#include "core/text.h"
#include "server/options.h"

enum { RANDOM_BYTES = 32, TOKEN_CHARACTERS = 43 };

/* Write bits as base64url without padding: RFC 4648 section 5. */
static void
format_token(const unsigned char *bytes, char out[TOKEN_CHARACTERS + 1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	for (size_t i = 0; i < TOKEN_CHARACTERS; i++) {
		size_t bit = 6 * i, at = bit / 8;
		unsigned next = at + 1 < RANDOM_BYTES ? bytes[at + 1] : 0;
		unsigned both = (unsigned)bytes[at] << 8 | next;
		out[i] = digits[both >> (10 - bit % 8) & 63];
	}
	out[TOKEN_CHARACTERS] = '\0';
}

static int
make_token(const char *name)
{
	unsigned char bytes[RANDOM_BYTES], digest_bytes[DIGEST_BYTES];
	char text[TOKEN_CHARACTERS + 1], token[TOKEN_CHARACTERS + 4], digits[2 * DIGEST_BYTES];
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		page_fail("no random bytes: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	format_token(bytes, text);
	snprintf(token, sizeof(token), "pd_%s", text);
	struct digest *digest = digest_new();
	if (digest == NULL) {
		page_fail("out of memory");
		return EXIT_FAILURE;
	}
	digest_add(digest, token, strlen(token));
	digest_take(digest, digest_bytes);
	digest_free(digest);
	text_put_hex(digits, digest_bytes, DIGEST_BYTES);
	printf("%s\n\nThat is the token; it is kept nowhere. In the tokens file:\n\n"
	       "- name: %s\n"
	       "  sha256: %.*s\n"
	       "  rights: [read]          # or write, admin\n"
	       "  # projects: [support]   # only these; all where it is left out\n"
	       "  # rate_limit: 50        # requests a second; any number where it is left out\n",
		token, name, (int)sizeof(digits), digits);
	return EXIT_SUCCESS;
}

int
cli_token(const struct options *options)
{
	struct quote quote;
	const char *verb = options->operands[0];
	const char *name = options->operands[1] != NULL ? options->operands[1] : "litellm";
	if (strcmp(verb, "new") != 0) {
		page_fail("token can do \"new\", not %s\nsee promptd token --help",
			text_quote(&quote, verb));
		return EXIT_USAGE;
	}
	if (!name_is_word(name)) {
		page_fail("the name %s does not fit\nuse lower-case letters, digits, _, . and -",
			text_quote(&quote, name));
		return EXIT_USAGE;
	}
	return make_token(name);
}
