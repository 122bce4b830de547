/* params.h -- which request parameters a prompt must not set. */
#pragma once

#include <stdbool.h>

/* Whether a parameter takes a request over: sends it, its credentials or its record elsewhere, or
 * replaces what the caller asked. LiteLLM merges a prompt's parameters into the request. */
bool params_is_forbidden(const char *name);

/* Those parameters, as patterns of fnmatch(3) that know * alone. */
typedef void params_on_pattern(void *context, const char *pattern);
void params_each_forbidden(params_on_pattern *, void *context);
