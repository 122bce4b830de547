/* api_openapi.c -- the description of all this. */
#define ZLIB_CONST

#include <zlib.h>

#include "core/arena.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/openapi.h"

enum { GZIP_WINDOW = 16 + MAX_WBITS }; /* inflateInit2: gzip's header, the largest window */

void
api_openapi(const struct request *request, struct reply *reply)
{
	char *text = arena_alloc(request->arena, openapi_length);
	z_stream stream = {.next_in = openapi_gzip,
		.avail_in = (uInt)openapi_gzip_length,
		.next_out = (Bytef *)text,
		.avail_out = (uInt)openapi_length};
	bool is_begun = text != NULL && inflateInit2(&stream, GZIP_WINDOW) == Z_OK;
	if (is_begun && inflate(&stream, Z_FINISH) == Z_STREAM_END)
		buffer_put(&reply->body, text, openapi_length);
	else
		reply_error(reply, 503, "Out of memory");
	if (is_begun)
		inflateEnd(&stream);
}
