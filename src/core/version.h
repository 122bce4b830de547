/* version.h -- the order of versions. */
#pragma once

#include <stdbool.h>

/* Whether a version has an order: it is all digits. */
bool version_is_number(const char *);

/* The order in which versions are listed: none (NULL) first, then numbers by value, then the others
 * bytewise. Returns less than, equal to or more than 0. */
int version_compare(const char *, const char *);
