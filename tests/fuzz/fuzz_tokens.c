/* fuzz_tokens.c -- any bytes as a tokens file. */
#include "fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/name.h"
#include "core/tokens.h"
#include "core/yaml.h"

static void
check_token(const struct token *token)
{
	MUST(name_is_word(token->name));
	MUST(token->n_digests == 1 || token->n_digests == 2);
	MUST((token->rights & ~(unsigned)(RIGHT_READ | RIGHT_WRITE | RIGHT_ADMIN)) == 0);
	MUST(token->projects == NULL || (token->rights & RIGHT_ADMIN) == 0);
	MUST(token->projects == NULL || token->projects[0] != NULL);
	MUST(token_may_see(token, NULL) == (token->projects == NULL));
	MUST(token_may_see(token, "no project, by its spaces") == (token->projects == NULL));
}

static void
read_digest(const char *text, unsigned char digest[DIGEST_BYTES])
{
	MUST(strlen(text) == 2 * (size_t)DIGEST_BYTES);
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		unsigned byte = 0;
		MUST(sscanf(text + 2 * i, "%2x", &byte) == 1);
		digest[i] = (unsigned char)byte;
	}
}

/* A digest finds the token it is written at, and no other digest does. */
static void
check_digest(const struct tokens *tokens, const struct value *map, const struct value *digest)
{
	unsigned char bytes[DIGEST_BYTES];
	read_digest(digest->source, bytes);
	const struct token *token = tokens_find(tokens, bytes);
	MUST(token != NULL && strcmp(token->name, document_find(map, "name")->text) == 0);
	check_token(token);
	const struct value *projects = document_find(map, "projects");
	MUST((projects == NULL) == (token->projects == NULL));
	for (const struct value *item = projects != NULL ? projects->first : NULL; item != NULL;
		item = item->next)
		MUST(token_may_see(token, item->text));
	bytes[digest->line % DIGEST_BYTES] ^= 1;
	const struct token *other = tokens_find(tokens, bytes);
	MUST(other == NULL || other != token || token->n_digests == 2);
}

/* Zeros, which stand where a token has no second digest, are nobody's unless they are written there. */
static void
check_unused(const struct tokens *tokens)
{
	static const unsigned char zeros[DIGEST_BYTES];
	const struct token *token = tokens_find(tokens, zeros);
	MUST(token == NULL || memcmp(token->digests[0], zeros, sizeof(zeros)) == 0 ||
		(token->n_digests == 2 && memcmp(token->digests[1], zeros, sizeof(zeros)) == 0));
}

/* Find each token that the file, read anew, has. */
static void
check_file(const struct tokens *tokens, struct arena *arena, const char *data, size_t length)
{
	struct errors errors = {.arena = arena};
	struct document document = {.arena = arena, .errors = &errors};
	MUST(yaml_parse(&document, data, length) == 0 && errors.count == 0);
	check_unused(tokens);
	MUST(tokens_count(tokens) > 0 && tokens_count(tokens) == document.first->count);
	for (const struct value *map = document.first->first; map != NULL; map = map->next) {
		const struct value *digests = document_find(map, "sha256");
		if (digests->kind != VALUE_LIST)
			check_digest(tokens, map, digests);
		else
			for (const struct value *item = digests->first; item != NULL;
				item = item->next)
				check_digest(tokens, map, item);
	}
}

/* Read the file with projects strict or not. The errors are gone with the arena; the tokens are not. */
static struct tokens *
parse(struct arena *arena, const char *data, size_t length, bool strict)
{
	struct errors errors = {.arena = arena};
	arena_reset(arena);
	struct tokens *tokens = tokens_parse(data, length, strict, &errors);
	MUST((tokens == NULL) == (errors.count > 0));
	for (const struct error *error = errors.first; error != NULL; error = error->next)
		MUST(error->line > 0 && error->column > 0 && error->message[0] != '\0');
	return tokens;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const char *text = (const char *)data;
	struct arena *arena = arena_new();
	MUST(arena != NULL);
	struct tokens *strict = parse(arena, text, length, true);
	struct tokens *loose = parse(arena, text, length, false);
	/* What holds where projects are anybody's holds where they are strict. */
	MUST(loose == NULL || strict != NULL);
	if (strict != NULL)
		check_file(strict, arena, text, length);
	if (loose != NULL)
		check_file(loose, arena, text, length);
	tokens_unref(strict);
	tokens_unref(loose);
	arena_free(arena);
	return 0;
}
