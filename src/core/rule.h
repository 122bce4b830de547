/* rule.h -- everything that may be said of a prompt file, by names under which it is explained and switched off. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What is wrong, so that something is not served, comes first; then what is likely a mistake. */
enum rule {
	RULE_SYNTAX,
	RULE_SCHEMA,
	RULE_FILE,
	RULE_CONFLICT,
	RULE_LITELLM,
	RULE_DOUBTFUL,
	RULE_YAML_1_1,
	RULE_UNUSED_VARIABLE,
	RULE_UNDECLARED_VARIABLE,
	RULE_PLACEHOLDER_IN_PARTS,
	RULE_TEMPLATE_LOGIC,
	RULE_SPACED_PLACEHOLDER,
	RULE_ODD_PLACEHOLDER,
	RULE_CUT_TEXT,
	RULE_SECRET,
	RULE_UNKNOWN_ROLE,
	RULE_NO_DEFAULT,
	RULE_STOCK_ID,
	RULE_NEAR_LIMIT,
	N_RULES
};

/* A set of rules: the bits 1 << rule. */
typedef unsigned rule_set;

struct rule_row {
	const char *id;
	bool warning; /* the file is served all the same, and the rule can be switched off */
	const char *sentence; /* what it says */
	const char *reason; /* why, and what to do */
};

extern const struct rule_row rule_rows[N_RULES];

/* The rule of an id, or N_RULES. */
enum rule rule_find(const char *id);

/* Call for each name in a YAML text's comments that switch warnings off: "# promptd: ignore ID, ID". */
typedef void rule_on_name(void *context, const char *name, size_t length);
void rule_each_ignored(const char *data, size_t length, rule_on_name *, void *context);

/* The warning of an id that need not be terminated, as a set; empty where there is none. */
rule_set rule_set_of(const char *id, size_t length);

/* The warnings that comments in a text switch off. */
rule_set rule_ignored_in(const char *data, size_t length);
