/* litellm_config.c -- the prompts for LiteLLM's config.yaml, for its own client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/options.h"

/* LiteLLM drops callbacks beyond these, unless LITELLM_MAX_CALLBACKS says another number; each entry is one, and works
 * all the same. */
enum { MAX_CALLBACKS = 100 };

/* Of the entries of one id LiteLLM takes the one with the highest version where a request names none. */
#define ABOVE_ALL "1000000"

/* Put a text as YAML: plain where that is safe. */
static void
put_text(struct buffer *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789_-/";
	bool is_plain = *text >= 'a' && *text <= 'z' && text[strspn(text, plain)] == '\0' &&
			strpbrk(text, "/-_") != NULL;
	if (is_plain)
		buffer_puts(out, text);
	else
		json_put_string(out, text);
}

/* Put an entry: for a version, or for NULL for what is served when none is asked for. */
static void
put_entry(struct buffer *out, const struct options *options, const struct group *group,
	const char *version)
{
	const char *id = group->entries->prompt->id;
	struct buffer name = {0};
	buffer_printf(&name, version != NULL ? "%s.v%s" : "%s", id, version);
	buffer_puts(out, "  - prompt_id: ");
	put_text(out, name.failed ? "" : name.data);
	buffer_finish(&name);
	if (version == NULL && group->count > 1)
		buffer_puts(out, "\n    version: " ABOVE_ALL);
	buffer_puts(out, "\n    litellm_params:\n"
			 "      prompt_integration: generic_prompt_management\n"
			 "      prompt_id: ");
	put_text(out, id);
	buffer_puts(out, "\n      api_base: ");
	put_text(out, options->api_base);
	buffer_puts(out, "\n      api_key: os.environ/PROMPTD_TOKEN\n");
	if (version != NULL) {
		buffer_puts(out, "      provider_specific_query_params: {version: ");
		json_put_string(out, version);
		buffer_puts(out, "}\n");
	}
}

/* Whether LiteLLM can ask for a version: it knows whole numbers only. */
static bool
is_number(const char *version)
{
	return version != NULL && strlen(version) < sizeof(ABOVE_ALL) - 1 &&
	       version[strspn(version, "0123456789")] == '\0';
}

/* Returns how many entries an id has. */
static size_t
put_group(struct buffer *out, const struct options *options, const struct group *group)
{
	size_t entries = 1;
	put_entry(out, options, group, NULL);
	for (size_t i = 0; i < group->count; i++) {
		const struct prompt *prompt = group->entries[i].prompt;
		if (is_number(prompt->version)) {
			put_entry(out, options, group, prompt->version);
			entries++;
		} else if (prompt->version != NULL) {
			page_fail("LiteLLM cannot ask for version %s of %s, as it knows whole "
				  "numbers only\nname it in an entry of your own, with "
				  "provider_specific_query_params",
				prompt->version, prompt->id);
		}
	}
	return entries;
}

/* LiteLLM takes what stands behind the first .v or _v of an id for its version. */
static void
check_id(const char *id)
{
	if (strstr(id, ".v") != NULL || strstr(id, "_v") != NULL)
		page_fail("LiteLLM's own client cuts the id %s at its first .v or _v, and may take "
			  "another prompt for it\nrename the prompt",
			id);
}

static int
put_all(const struct load *load, const struct options *options, struct buffer *out)
{
	size_t entries = 0;
	buffer_puts(out, "prompts:\n");
	for (size_t i = 0; i < load->snapshot->n_groups; i++) {
		const struct group *group = &load->snapshot->groups[i];
		check_id(group->entries->prompt->id);
		entries += put_group(out, options, group);
	}
	if (entries > MAX_CALLBACKS)
		page_fail("each of the %zu entries is one of at most %d callbacks in LiteLLM, and "
			  "loggers "
			  "and guardrails beyond these are dropped\nstart LiteLLM with "
			  "LITELLM_MAX_CALLBACKS=%zu",
			entries, MAX_CALLBACKS, entries + MAX_CALLBACKS);
	return entries > 0 ? 0 : -1;
}

int
cli_litellm_config(const struct options *options)
{
	struct load load = {0};
	struct error error;
	struct buffer out = {0};
	int status = EXIT_FAILURE;
	if (load_open(&load, options, options->directory, &error) != 0) {
		page_error(&error);
	} else {
		load_tell_problems(&load, options->directory);
		if (put_all(&load, options, &out) != 0)
			page_fail("there is no prompt in \"%s\"\nsee promptd check",
				options->directory);
		else if (out.failed)
			page_fail("out of memory");
		else
			status = fputs(out.data, stdout) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	buffer_finish(&out);
	load_close(&load);
	return status;
}
