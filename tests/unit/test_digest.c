/* test_digest.c -- tests of SHA-256 and of ETags. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "core/digest.h"

/* The first and the third are the examples of FIPS 180-2, appendix B. */
static const struct {
	const char *text;
	size_t times;
	const char *digest;
} vectors[] = {
	{"abc", 1,       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"",    1,       "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"a",   1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void
take_hex(struct digest *digest, char out[2 * DIGEST_BYTES + 1])
{
	unsigned char bytes[DIGEST_BYTES];
	digest_take(digest, bytes);
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void
known_texts_have_known_digests(void **state)
{
	char hex[2 * DIGEST_BYTES + 1];
	struct digest *digest = digest_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(vectors); i++) {
		for (size_t k = 0; k < vectors[i].times; k++)
			digest_add(digest, vectors[i].text, strlen(vectors[i].text));
		take_hex(digest, hex);
		EXPECT(strcmp(hex, vectors[i].digest) == 0, "\"%s\": %s", vectors[i].text, hex);
	}
	digest_free(digest);
}

static void
pieces_count_as_the_whole(void **state)
{
	char whole[2 * DIGEST_BYTES + 1], pieces[2 * DIGEST_BYTES + 1];
	struct digest *digest = digest_new();
	(void)state;
	digest_add(digest, "one two", 7);
	take_hex(digest, whole);
	digest_add(digest, "one", 3);
	digest_add(digest, "", 0);
	digest_add(digest, " two", 4);
	take_hex(digest, pieces);
	assert_string_equal(whole, pieces);
	digest_free(digest);
	digest_free(NULL);
}

static void
an_etag_is_quoted_hexadecimal(void **state)
{
	unsigned char digest[DIGEST_BYTES];
	char etag[ETAG_BYTES];
	(void)state;
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		digest[i] = (unsigned char)(i * 17);
	digest_etag(digest, etag);
	assert_string_equal(etag, "\"00112233445566778899aabbccddeeff\"");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts_have_known_digests),
		cmocka_unit_test(pieces_count_as_the_whole),
		cmocka_unit_test(an_etag_is_quoted_hexadecimal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
