/* version.c -- the order of versions. */
#include "core/version.h"

#include <stddef.h>
#include <string.h>

bool
version_is_number(const char *version)
{
	return version != NULL && *version != '\0' &&
	       version[strspn(version, "0123456789")] == '\0';
}

/* Compare numbers of any length by value. */
static int
compare_numbers(const char *a, const char *b)
{
	a += strspn(a, "0");
	b += strspn(b, "0");
	size_t length = strlen(a), other = strlen(b);
	if (length != other)
		return length < other ? -1 : 1;
	return strcmp(a, b);
}

int
version_compare(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	bool number = version_is_number(a), other = version_is_number(b);
	if (number != other)
		return number ? -1 : 1;
	int order = number ? compare_numbers(a, b) : 0;
	return order != 0 ? order : strcmp(a, b); /* 01 and 1 are two versions */
}
