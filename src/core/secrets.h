/* secrets.h -- what looks like a secret in a text. */
#pragma once

#include <stddef.h>

struct errors;

/* Warn of tokens of well-known forms, private keys, and passwords in URLs, wherever they stand in a file, be it in a comment. */
void secrets_find(const char *data, size_t length, struct errors *);
