/* scalar.c -- what a plain YAML scalar means. */
#include "core/scalar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

#define DIGITS "0123456789"

/* Whether a word is one of a list whose items stand between spaces. */
static bool
is_one_of(const char *word, const char *list)
{
	size_t length = strlen(word);
	if (length == 0 || strchr(word, ' ') != NULL)
		return false;
	for (const char *at = strstr(list, word); at != NULL; at = strstr(at + 1, word))
		if (at[-1] == ' ' && at[length] == ' ')
			return true;
	return false;
}

static const char *
skip_sign(const char *text)
{
	return *text == '-' || *text == '+' ? text + 1 : text;
}

static bool
is_all(const char *text, const char *characters)
{
	return *text != '\0' && text[strspn(text, characters)] == '\0';
}

/* The parts of [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
struct decimal {
	bool negative;
	const char *whole, *fraction, *exponent; /* fraction and exponent may be empty */
	size_t whole_length, fraction_length;
	bool has_point;
};

static bool
decimal_parse(const char *text, struct decimal *out)
{
	*out = (struct decimal){.negative = *text == '-'};
	out->whole = skip_sign(text);
	out->whole_length = strspn(out->whole, DIGITS);
	const char *at = out->whole + out->whole_length;
	out->has_point = *at == '.';
	out->fraction = at + out->has_point;
	out->fraction_length = out->has_point ? strspn(out->fraction, DIGITS) : 0;
	if (out->whole_length + out->fraction_length == 0)
		return false;
	out->exponent = out->fraction + out->fraction_length;
	if (*out->exponent == '\0')
		return true;
	return (*out->exponent == 'e' || *out->exponent == 'E') &&
	       is_all(skip_sign(out->exponent + 1), DIGITS);
}

/* Write a decimal as JSON: no plus sign, no leading zeros, digits on both sides of the point. */
static const char *
decimal_json(struct arena *arena, const char *text, const struct decimal *decimal)
{
	const char *whole = decimal->whole;
	size_t length = decimal->whole_length;
	while (length > 1 && *whole == '0') {
		whole++;
		length--;
	}
	bool same = *text != '+' && length > 0 && length == decimal->whole_length &&
		    (!decimal->has_point || decimal->fraction_length > 0);
	if (same)
		return text;
	const char *fraction = decimal->fraction_length > 0 ? decimal->fraction : "0";
	return arena_printf(arena, "%s%.*s%s%.*s%s", decimal->negative ? "-" : "",
		length > 0 ? (int)length : 1, length > 0 ? whole : "0",
		decimal->has_point ? "." : "",
		decimal->has_point
			? (int)(decimal->fraction_length > 0 ? decimal->fraction_length : 1)
			: 0,
		fraction, decimal->exponent);
}

static const char *
based_json(struct arena *arena, const char *digits, int base)
{
	errno = 0;
	unsigned long long number = strtoull(digits, NULL, base);
	return errno != 0 ? NULL : arena_printf(arena, "%llu", number);
}

enum value_kind
scalar_resolve(struct arena *arena, const char *scalar, const char **json)
{
	struct decimal decimal;
	*json = scalar;
	if (*scalar != '\0' && strchr("nN~tTfF.+-" DIGITS, *scalar) == NULL)
		return VALUE_STRING; /* like most */
	if (*scalar == '\0' || is_one_of(scalar, " null Null NULL ~ "))
		return VALUE_NULL;
	if (is_one_of(scalar, " true True TRUE false False FALSE "))
		return VALUE_BOOL;
	if (strncmp(scalar, "0x", 2) == 0 && is_all(scalar + 2, DIGITS "abcdefABCDEF"))
		*json = based_json(arena, scalar + 2, 16);
	else if (strncmp(scalar, "0o", 2) == 0 && is_all(scalar + 2, "01234567"))
		*json = based_json(arena, scalar + 2, 8);
	else if (is_one_of(skip_sign(scalar), " .inf .Inf .INF ") ||
		 is_one_of(scalar, " .nan .NaN .NAN "))
		*json = NULL;
	else if (decimal_parse(scalar, &decimal))
		*json = decimal_json(arena, scalar, &decimal);
	else
		return VALUE_STRING;
	return VALUE_NUMBER;
}

/* The forms below are those of PyYAML's resolver, which most people know YAML 1.1 from. */

/* [-+]?[1-9][0-9_]*(:[0-5]?[0-9])+, or with any first digit and \.[0-9_]* behind */
static bool
is_base_60(const char *text)
{
	text = skip_sign(text);
	bool may_be_whole = *text != '0';
	size_t length = strspn(text, DIGITS "_");
	if (length == 0 || *text == '_' || text[length] != ':')
		return false;
	for (text += length; *text == ':'; text += length) {
		text++;
		length = strspn(text, DIGITS);
		if (length == 0 || length > 2 || (length == 2 && *text > '5'))
			return false;
	}
	if (*text == '\0')
		return may_be_whole;
	return *text == '.' && text[1 + strspn(text + 1, DIGITS "_")] == '\0';
}

/* Match the start of a text against a picture, in which 9 stands for a digit and 0 for one that may be
 * missing. Returns what is behind, or NULL. */
static const char *
match_picture(const char *text, const char *picture)
{
	for (; *picture != '\0'; picture++) {
		bool wants_digit = *picture == '9' || *picture == '0';
		bool matches = wants_digit ? *text >= '0' && *text <= '9' : *text == *picture;
		if (!matches && *picture != '0')
			return NULL;
		text += matches;
	}
	return text;
}

/* 2024-01-31, or 2024-1-3 with a time behind it */
static bool
is_date(const char *text)
{
	const char *end = match_picture(text, "9999-99-99");
	if (end != NULL && *end == '\0')
		return true;
	end = match_picture(text, "9999-90-90");
	if (end == NULL || *end == '\0' || strchr("Tt \t", *end) == NULL)
		return false;
	end += *end == 'T' || *end == 't' ? 1 : strspn(end, " \t");
	return match_picture(end, "90:99:99") != NULL;
}

/* 1_000, 0b101, -0x1F: numbers in YAML 1.1 alone */
static bool
is_old_number(const char *text)
{
	const char *digits = skip_sign(text);
	if (digits[0] == '0' && digits[1] == 'b')
		return is_all(digits + 2, "01_");
	if (digits[0] == '0' && digits[1] == 'x')
		return is_all(digits + 2, DIGITS "abcdefABCDEF_") &&
		       (digits != text || strchr(digits, '_') != NULL);
	return *digits >= '0' && *digits <= '9' && strchr(digits, '_') != NULL &&
	       (is_all(digits, DIGITS "_") || is_all(digits, DIGITS "_."));
}

static bool
is_old_octal(const char *text)
{
	text = skip_sign(text);
	bool is_octal = *text == '0' && is_all(text + 1, "01234567_");
	return is_octal && strlen(text + strspn(text, "0_")) > 1; /* 007 is 7 in both */
}

/* Numbers in YAML 1.2 alone: 0o14, 08, +.5, and an exponent without a point or a sign. */
static bool
is_new_number(const char *text)
{
	struct decimal decimal;
	if (strncmp(text, "0o", 2) == 0)
		return is_all(text + 2, "01234567");
	if (!decimal_parse(text, &decimal))
		return false;
	if (decimal.whole_length == 0 && decimal.whole != text)
		return true;
	if (*decimal.exponent == '\0')
		return !decimal.has_point && *decimal.whole == '0' &&
		       !is_all(decimal.whole, "01234567");
	return !decimal.has_point || skip_sign(decimal.exponent + 1) == decimal.exponent + 1;
}

const char *
scalar_in_yaml11(const char *scalar)
{
	if (*scalar == '\0' || strchr("yYnNoO=.+-" DIGITS, *scalar) == NULL)
		return NULL; /* like most */
	if (is_one_of(scalar, " yes Yes YES on On ON "))
		return "the boolean true";
	if (is_one_of(scalar, " no No NO off Off OFF "))
		return "the boolean false";
	if (strcmp(scalar, "=") == 0)
		return "a default value";
	if (is_base_60(scalar))
		return "a number of base 60";
	if (is_date(scalar))
		return "a date";
	if (is_old_octal(scalar))
		return "an octal number";
	if (is_old_number(scalar))
		return "a number";
	return is_new_number(scalar) ? "text" : NULL;
}
