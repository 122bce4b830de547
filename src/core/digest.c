/* digest.c -- SHA-256 of bytes, and ETags made of it. */
#include "core/digest.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/text.h"

/* The algorithm is fetched once: a fetch costs more than a digest of a prompt. */
struct digest {
	EVP_MD *algorithm;
	EVP_MD_CTX *context;
	bool failed;
};

struct digest *
digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));
	if (digest == NULL)
		return NULL;
	digest->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	digest->context = EVP_MD_CTX_new();
	if (digest->algorithm == NULL || digest->context == NULL ||
		!EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL)) {
		digest_free(digest);
		return NULL;
	}
	return digest;
}

void
digest_free(struct digest *digest)
{
	if (digest == NULL)
		return;
	EVP_MD_CTX_free(digest->context);
	EVP_MD_free(digest->algorithm);
	free(digest);
}

void
digest_add(struct digest *digest, const void *data, size_t length)
{
	if (digest->failed || !EVP_DigestUpdate(digest->context, data, length))
		digest->failed = true;
}

int
digest_take(struct digest *digest, unsigned char out[DIGEST_BYTES])
{
	bool failed = digest->failed || !EVP_DigestFinal_ex(digest->context, out, NULL);
	digest->failed = !EVP_DigestInit_ex2(digest->context, NULL, NULL);
	return failed ? -1 : 0;
}

bool
digest_equal(const unsigned char a[DIGEST_BYTES], const unsigned char b[DIGEST_BYTES])
{
	return CRYPTO_memcmp(a, b, DIGEST_BYTES) == 0;
}

void
digest_etag(const unsigned char digest[DIGEST_BYTES], char out[ETAG_BYTES])
{
	out[0] = out[ETAG_BYTES - 2] = '"';
	text_put_hex(out + 1, digest, (ETAG_BYTES - 3) / 2);
	out[ETAG_BYTES - 1] = '\0';
}
