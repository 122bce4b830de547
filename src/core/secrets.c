/* secrets.c -- what looks like a secret in a text. */
#include "core/secrets.h"

#include <stdbool.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

enum { MAX_PEM_LINE = 60, MAX_USERINFO = 200 };

/* How well-known secrets begin, and how long they are behind that at least. */
static const struct {
	const char *start;
	size_t least;
} secrets[] = {
  /* clang-format off */
	{"sk-", 20}, {"sk_live_", 16}, {"rk_live_", 16}, /* OpenAI, Anthropic, LiteLLM; Stripe */
	{"ghp_", 30}, {"gho_", 30}, {"ghs_", 30}, {"github_pat_", 20}, {"glpat-", 20},
	{"xoxb-", 20}, {"xoxp-", 20}, {"xapp-", 20}, /* Slack */
	{"AKIA", 16}, {"ASIA", 16}, {"AIza", 30}, {"ya29.", 30}, /* AWS, Google */
	{"hf_", 30}, {"gsk_", 30}, {"r8_", 30}, {"nvapi-", 30}, {"xai-", 30}, {"pplx-", 30},
	{"lsv2_pt_", 30}, {"npm_", 30}, {"pypi-", 30}, {"dop_v1_", 30}, {"SG.", 20},
	{"pd_", 43}, /* promptd's own */
	{"eyJhbGciOi", 20}, /* JSON Web Tokens */
  /* clang-format on */
};

enum { SHORTEST_SECRET = 20 }; /* with its start */

static bool
is_of_secret(char character)
{
	return (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
	       (character >= 'A' && character <= 'Z') || character == '-' || character == '_' ||
	       character == '.';
}

/* Whether a word is a secret, and no example such as sk-xxxx. */
static bool
is_secret(const char *word, size_t length)
{
	bool seen[256] = {false}, has_digit = false;
	size_t different = 0, start = 0;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]) && start == 0; i++) {
		size_t begun = strlen(secrets[i].start);
		if (length >= begun + secrets[i].least &&
			memcmp(word, secrets[i].start, begun) == 0)
			start = begun;
	}
	for (size_t i = start; i < length && start > 0; i++) {
		different += !seen[(unsigned char)word[i]];
		seen[(unsigned char)word[i]] = true;
		has_digit |= word[i] >= '0' && word[i] <= '9';
	}
	return different >= 8 && has_digit && memmem(word, length, "EXAMPLE", 7) == NULL;
}

static void
warn(const char *data, const char *at, struct errors *errors)
{
	unsigned line = 0, column = 0;
	if (!errors_want(errors, RULE_SECRET))
		return;
	if (errors_keep(errors, ERROR_WARNING)) /* else the place is of no use */
		text_place(data, (size_t)(at - data), &line, &column);
	errors_warn(errors, RULE_SECRET, line, column,
		"this looks like a secret\ntake it out, and change it, as it is known now");
}

/* Find secrets wherever they stand in a file, be it in a comment. Most words are too short, which their ends tell. */
static void
find_tokens(const char *data, size_t length, struct errors *errors)
{
	const char *end = data + length;
	for (const char *word = data; end - word >= SHORTEST_SECRET;) {
		const char *last = word + SHORTEST_SECRET;
		while (last > word && is_of_secret(last[-1]))
			last--;
		if (last > word) {
			word = last; /* behind what is of none */
			continue;
		}
		size_t size = SHORTEST_SECRET;
		while (word + size < end && is_of_secret(word[size]))
			size++;
		if (is_secret(word, size))
			warn(data, word, errors);
		word += size;
	}
}

static bool
is_of_userinfo(char character)
{
	return is_of_secret(character) ||
	       (character != '\0' && strchr("~!$&'()*+,;=:%", character) != NULL);
}

/* Find private keys in PEM (RFC 7468). */
static void
find_keys(const char *data, size_t length, struct errors *errors)
{
	const char *end = data + length, *at = data;
	for (; (at = text_find(at, end, "-----BEGIN ")) != NULL; at++) {
		size_t left = (size_t)(end - at);
		const char *line_end = at + (left < MAX_PEM_LINE ? left : MAX_PEM_LINE);
		if (text_find(at, line_end, "PRIVATE KEY-----") != NULL)
			warn(data, at, errors);
	}
}

/* Find passwords in URLs: scheme://user:password@host. */
static void
find_passwords(const char *data, size_t length, struct errors *errors)
{
	const char *end = data + length, *at = data;
	while ((at = text_find(at, end, "://")) != NULL) {
		size_t colon = 0, size = 0;
		at += 3;
		while (at + size < end && size < MAX_USERINFO && is_of_userinfo(at[size]))
			if (at[size++] == ':' && colon == 0)
				colon = size;
		if (colon > 1 && size > colon && at + size < end && at[size] == '@' &&
			at[colon] != '$')
			warn(data, at + colon, errors);
	}
}

void
secrets_find(const char *data, size_t length, struct errors *errors)
{
	find_tokens(data, length, errors);
	find_keys(data, length, errors);
	find_passwords(data, length, errors);
}
