/* openapi.h -- src/openapi.json, which describes the HTTP interface, as the build puts it into the program. */
#pragma once

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_length;
