/* api_openapi.c -- the description of all this. */
#include "server/api.h"
#include "server/openapi.h"

void
api_openapi(const struct request *request, struct reply *reply)
{
	(void)request;
	buffer_put(&reply->body, openapi_json, openapi_json_length);
}
