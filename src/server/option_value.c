/* option_value.c -- what the values of options may be. */
#include "server/option_value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "server/listen.h"
#include "server/options.h"

enum { MAX_DURATION_MS = 24 * 60 * 60 * 1000 };

int
option_check_address(const char *value, struct error *error)
{
	if (listen_is_address(value))
		return 0;
	error_set(error, "takes ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080, not \"%s\"",
		value);
	return -1;
}

int
option_take_number(
	size_t *option, const char *value, size_t least, size_t most, struct error *error)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end != '\0' || number < least || number > most) {
		error_set(error, "takes a number from %zu to %zu, not \"%s\"", least, most, value);
		return -1;
	}
	*option = number;
	return 0;
}

int
option_take_switch(bool *option, const char *value, struct error *error)
{
	static const char *const on[] = {"1", "true", "yes", "on"};
	static const char *const off[] = {"", "0", "false", "no", "off"};
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (value == NULL || strcmp(value, on[i]) == 0) {
			*option = true;
			return 0;
		}
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (strcmp(value, off[i]) == 0) {
			*option = false;
			return 0;
		}
	error_set(error, "takes true or false, not \"%s\"", value);
	return -1;
}

int
option_take_choice(
	bool *option, const char *value, const char *no, const char *yes, struct error *error)
{
	*option = strcmp(value, yes) == 0;
	if (*option || strcmp(value, no) == 0)
		return 0;
	error_set(error, "takes %s or %s, not \"%s\"", no, yes, value);
	return -1;
}

int
option_take_duration(int64_t *option, const char *value, struct error *error)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{"ms", 1        },
		{"s",  1000     },
		{"m",  60 * 1000},
	};
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (isdigit((unsigned char)*value) && strcmp(end, units[i].name) == 0 &&
			number <= MAX_DURATION_MS / (unsigned long)units[i].ms) {
			*option = (int64_t)number * units[i].ms;
			return 0;
		}
	error_set(error, "takes a time up to a day, such as 300ms, 2s or 1m, not \"%s\"", value);
	return -1;
}

int
option_take_dns_label(const char **option, const char *value, struct error *error)
{
	size_t length = strlen(value);
	bool fits = length > 0 && length <= 63 && value[0] != '-' && value[length - 1] != '-' &&
		    value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
	if (fits)
		*option = value;
	else
		error_set(error,
			"takes at most 63 lower-case letters, digits and - between them, not "
			"\"%s\"",
			value);
	return fits ? 0 : -1;
}

static int
add_name(struct option_names *names, const char *name, size_t length, struct error *error)
{
	if (names->count == OPTIONS_MAX_NAMES || sizeof(names->texts) - names->used <= length) {
		error_set(error, "takes at most %d names of 63 bytes", OPTIONS_MAX_NAMES);
		return -1;
	}
	char *copy = names->texts + names->used;
	memcpy(copy, name, length);
	names->used += length + 1; /* with a NUL: the texts start zeroed */
	names->items[names->count++] = copy;
	return 0;
}

int
option_add_names(struct option_names *names, const char *value, struct error *error)
{
	for (;;) {
		size_t length = strcspn(value, ",");
		if (length > 0 && add_name(names, value, length, error) != 0)
			return -1;
		if (value[length] == '\0')
			return 0;
		value += length + 1;
	}
}
