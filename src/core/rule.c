/* rule.c -- everything that may be said of a prompt file, by names under which it is explained and switched off. */
#include "core/rule.h"

#include <string.h>

#include "core/text.h"

const struct rule_row rule_rows[N_RULES] = {
  /* clang-format off */
	[RULE_SYNTAX] = {"syntax", false,
		"The text is not YAML or JSON.",
		"Nothing of the file is served. The message says where reading ended; the mistake is there or "
		"just before."},
	[RULE_SCHEMA] = {"schema", false,
		"A key is unknown or missing, or a value is not what it has to be.",
		"Nothing of the file is served. promptd-prompts(5) and the README list the keys."},
	[RULE_FILE] = {"file", false,
		"The file cannot be read, or is none.",
		"Look at its mode, its owner and where links lead."},
	[RULE_CONFLICT] = {"conflict", false,
		"Two files claim the same prompt, version or label.",
		"One of them wins, by its path; delete the other, or give them versions."},
	[RULE_LITELLM] = {"litellm", false,
		"LiteLLM's configuration and the prompts do not fit together.",
		"With --litellm-config: an entry of prompts that does not exist, or a model that the proxy does not serve, "
		"fails when it is asked for."},
	[RULE_DOUBTFUL] = {"doubtful", true,
		"A value is served, but perhaps not as it was meant.",
		"A name that does not fit is left out, and an empty model or template is none."},
	[RULE_YAML_1_1] = {"yaml-1.1", true,
		"YAML 1.1 reads a value otherwise.",
		"promptd reads YAML 1.2, where no is text and 010 is ten; other tools that read the file may not. "
		"Quotes make it the same for all."},
	[RULE_UNUSED_VARIABLE] = {"unused-variable", true,
		"A variable is declared and stands in no message.",
		"Callers are asked for a value that changes nothing. Use it, or delete its declaration."},
	[RULE_UNDECLARED_VARIABLE] = {"undeclared-variable", true,
		"Braces name a variable that is not declared.",
		"Where a prompt declares variables, all other braces are text, and reach the model as they are. "
		"Declare it, or correct its name."},
	[RULE_PLACEHOLDER_IN_PARTS] = {"placeholder-in-parts", true,
		"A placeholder stands in a list of parts.",
		"LiteLLM's own client fills in plain texts only. Write the message as one text."},
	[RULE_TEMPLATE_LOGIC] = {"template-logic", true,
		"A text is written in another template language.",
		"{% if %}, {{#if}}, {{ user.name }}, {{ x | upper }} and the like are not carried out: they reach the model as "
		"they are. Write plain placeholders, and two prompts, or two versions, for two cases."},
	[RULE_SPACED_PLACEHOLDER] = {"spaced-placeholder", true,
		"Single braces have spaces in them.",
		"{ name } is text; {name} and {{ name }} are placeholders."},
	[RULE_ODD_PLACEHOLDER] = {"odd-placeholder", true,
		"Braces hold what is nearly a name.",
		"A placeholder's name is made of letters, digits and _: {user-name} and {user.name} are text."},
	[RULE_CUT_TEXT] = {"cut-text", true,
		"A text is cut by a comment.",
		"YAML begins a comment at \" #\". Put the text in quotes, or behind |-."},
	[RULE_SECRET] = {"secret", true,
		"Something looks like a secret.",
		"Prompts are in git, and served to everyone who may read them. Take it out, and change it: it is "
		"known now."},
	[RULE_UNKNOWN_ROLE] = {"unknown-role", true,
		"A role is none that providers know.",
		"They know system, user, assistant, tool, developer and function, in small letters, and refuse others."},
	[RULE_NO_DEFAULT] = {"no-default", true,
		"No version is served when none is asked for.",
		"Labels are in use for this id, and none of them is a default label. Give one version the label, "
		"such as production."},
	[RULE_STOCK_ID] = {"stock-id", true,
		"LiteLLM's own client takes the id apart.",
		"It cuts ids at the first .v or _v, so that my_video and my_voice are the same for it. Rename the "
		"prompt, or leave --profile stock out if you do not register ids with it."},
	[RULE_NEAR_LIMIT] = {"near-limit", true,
		"Something is nearly as large as it may be.",
		"A file may have 1 MiB, an id 200 bytes. What is larger is refused."},
  /* clang-format on */
};

enum rule
rule_find(const char *id)
{
	for (int i = 0; i < N_RULES; i++)
		if (strcmp(rule_rows[i].id, id) == 0)
			return (enum rule)i;
	return N_RULES;
}

rule_set
rule_set_of(const char *id, size_t length)
{
	for (int i = 0; i < N_RULES; i++)
		if (rule_rows[i].warning && strlen(rule_rows[i].id) == length &&
			memcmp(rule_rows[i].id, id, length) == 0)
			return 1u << i;
	return 0;
}

static bool
is_blank(char character)
{
	return character == ' ' || character == '\t';
}

/* Behind "# promptd: ignore " at a number sign that begins a comment; NULL where something else stands there. */
static const char *
skip_directive(const char *data, const char *at, const char *end)
{
	static const char *const words[] = {"promptd:", "ignore"};
	if (at > data && !is_blank(at[-1]) && at[-1] != '\n' && at[-1] != '\r')
		return NULL;
	at++;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t length = strlen(words[i]);
		while (at < end && is_blank(*at))
			at++;
		if ((size_t)(end - at) < length || memcmp(at, words[i], length) != 0)
			return NULL;
		at += length;
	}
	return at < end && is_blank(*at) ? at : NULL;
}

/* Call for each name up to the end of the line. */
static const char *
each_name(const char *at, const char *end, rule_on_name *on_name, void *context)
{
	while (at < end && *at != '\n') {
		const char *name = at;
		while (at < end && !is_blank(*at) && *at != ',' && *at != '\r' && *at != '\n')
			at++;
		if (at > name)
			on_name(context, name, (size_t)(at - name));
		at += at < end && *at != '\n';
	}
	return at;
}

void
rule_each_ignored(const char *data, size_t length, rule_on_name *on_name, void *context)
{
	const char *at = data, *end = data + length;
	while (at < end && (at = memchr(at, '#', (size_t)(end - at))) != NULL) {
		const char *names = skip_directive(data, at, end);
		at = names != NULL ? each_name(names, end, on_name, context) : at + 1;
	}
}

static void
add_name(void *context, const char *name, size_t length)
{
	*(rule_set *)context |= rule_set_of(name, length);
}

rule_set
rule_ignored_in(const char *data, size_t length)
{
	rule_set ignored = 0;
	rule_each_ignored(data, length, add_name, &ignored);
	return ignored;
}
