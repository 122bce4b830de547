/* params.h -- which request parameters a prompt must not set. */
#pragma once

#include <stdbool.h>

/* Whether a parameter takes a request over: sends it, its credentials or its record elsewhere, or
 * replaces what the caller asked. LiteLLM merges a prompt's parameters into the request. */
bool params_is_forbidden(const char *name);
