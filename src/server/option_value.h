/* option_value.h -- what the values of options may be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct option_names;

/* Each returns -1 with an error that says what the option takes. */

/* ADDRESS:PORT. */
int option_check_address(const char *value, struct error *);

/* A number within bounds. */
int option_take_number(
	size_t *option, const char *value, size_t least, size_t most, struct error *);

/* A switch: on without a value; in the environment 0, false, no and nothing leave it off. */
int option_take_switch(bool *option, const char *value, struct error *);

/* One of two words. */
int option_take_choice(
	bool *option, const char *value, const char *no, const char *yes, struct error *);

/* A time with its unit, up to a day. */
int option_take_duration(int64_t *option_ms, const char *value, struct error *);

/* What can be a label of a DNS name: RFC 1123 section 2.1. The value is borrowed. */
int option_take_dns_label(const char **option, const char *value, struct error *);

/* Add the names between commas. */
int option_add_names(struct option_names *, const char *value, struct error *);
