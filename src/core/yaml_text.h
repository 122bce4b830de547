/* yaml_text.h -- what is to be said of a YAML text that libyaml does not say, or not to people. */
#pragma once

#include <stddef.h>

struct errors;

/* Check for what libyaml lets through or misreads. Returns -1, with errors added, where the text is not worth parsing. */
int yaml_text_check(struct errors *, const char *data, size_t length);

/* What to do about a problem of libyaml's. */
const char *yaml_text_remedy(const char *problem);
