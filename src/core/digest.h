/* digest.h -- SHA-256 of bytes, and ETags made of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_BYTES = 32, ETAG_BYTES = 35 /* two quotes, 32 hexadecimal digits, NUL */ };

/* A reusable context. One thread at a time. Returns NULL when memory is out. */
struct digest;
struct digest *digest_new(void);
void digest_free(struct digest *);

/* Add bytes, then take the digest of all since the last one taken. */
void digest_add(struct digest *, const void *data, size_t length);
void digest_take(struct digest *, unsigned char out[DIGEST_BYTES]);

/* Whether two digests are the same, in a time that does not tell where they differ. */
bool digest_equal(const unsigned char[DIGEST_BYTES], const unsigned char[DIGEST_BYTES]);

/* The strong ETag (RFC 9110 section 8.8.3) of a digest: its first 16 bytes. */
void digest_etag(const unsigned char digest[DIGEST_BYTES], char out[ETAG_BYTES]);
