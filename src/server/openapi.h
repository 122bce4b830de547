/* openapi.h -- src/openapi.json, which describes the HTTP interface, as the build puts it into the program: compressed. */
#pragma once

#include <stddef.h>

extern const unsigned char openapi_gzip[]; /* RFC 1952 */
extern const size_t openapi_gzip_length;
extern const size_t openapi_length; /* of the text */
