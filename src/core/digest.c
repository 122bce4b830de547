/* digest.c -- SHA-256 of bytes, and ETags made of it. */
#include "core/digest.h"

#include <stdlib.h>

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

#include "core/text.h"

/* Of nettle, as OpenSSL's own takes two megabytes more of the process. */
struct digest {
	struct sha256_ctx context;
};

struct digest *
digest_new(void)
{
	struct digest *digest = malloc(sizeof(*digest));
	if (digest != NULL)
		sha256_init(&digest->context);
	return digest;
}

void
digest_free(struct digest *digest)
{
	free(digest);
}

void
digest_add(struct digest *digest, const void *data, size_t length)
{
	sha256_update(&digest->context, length, data);
}

void
digest_take(struct digest *digest, unsigned char out[DIGEST_BYTES])
{
#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(&digest->context, out);
#else
	sha256_digest(&digest->context, DIGEST_BYTES, out);
#endif
}

bool
digest_equal(const unsigned char a[DIGEST_BYTES], const unsigned char b[DIGEST_BYTES])
{
	return memeql_sec(a, b, DIGEST_BYTES) != 0;
}

void
digest_etag(const unsigned char digest[DIGEST_BYTES], char out[ETAG_BYTES])
{
	out[0] = out[ETAG_BYTES - 2] = '"';
	text_put_hex(out + 1, digest, (ETAG_BYTES - 3) / 2);
	out[ETAG_BYTES - 1] = '\0';
}
