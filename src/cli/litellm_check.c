/* litellm_check.c -- whether LiteLLM's config.yaml and the prompts fit together. */
#include "cli/litellm_check.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

#include "cli/load.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/problem.h"
#include "core/select.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"
#include "core/yaml.h"

struct checking {
	const char *path;
	const struct snapshot *snapshot;
	const char *const *default_labels;
	struct arena *arena;
	litellm_on_problem *on_problem;
	void *context;
	const struct value *config;
};

#define TELL(checking, what, ...) \
	tell((checking), problem_of((checking)->arena, (what), __VA_ARGS__))

static void
tell(const struct checking *checking, struct problem problem)
{
	if (problem.message != NULL)
		checking->on_problem(checking->context, &problem);
}

/* A problem of a value in the configuration, without its words. */
static struct problem
problem_at(const struct checking *checking, const struct value *value)
{
	return (struct problem){.path = checking->path,
		.line = value->line,
		.column = value->column,
		.kind = ERROR_VALUE,
		.rule = RULE_LITELLM};
}

static const struct value *
find_path(const struct value *map, const char *first, const char *second)
{
	const struct value *inner = map != NULL ? document_find(map, first) : NULL;
	return inner != NULL && inner->kind == VALUE_MAP ? document_find(inner, second) : NULL;
}

/* A text below a map of the configuration; NULL where there is none. */
static const char *
text_at(const struct value *map, const char *first, const char *second)
{
	const struct value *value =
		second == NULL ? document_find(map, first) : find_path(map, first, second);
	bool is_text =
		value != NULL && (value->kind == VALUE_STRING || value->kind == VALUE_NUMBER);
	return is_text ? value->source : NULL;
}

/* What LiteLLM sends beside the id, or instead of it; NULL where that is nothing. */
static const struct value *
find_params(const struct value *entry)
{
	const struct value *params =
		find_path(entry, "litellm_params", "provider_specific_query_params");
	return params != NULL && params->kind == VALUE_MAP && params->count > 0 ? params : NULL;
}

static const char *
param_at(const struct value *params, const char *name)
{
	return params != NULL ? text_at(params, name, NULL) : NULL;
}

/* Check that a version is what an entry asks for; either stands behind an @. */
static void
check_selection(const struct checking *checking, const struct value *entry,
	const struct group *group, const char *either)
{
	const struct value *params = find_params(entry);
	const char *label = param_at(params, "label");
	const struct selector selector = {.version = param_at(params, "version"),
		.label = label != NULL ? label : param_at(params, "environment"),
		.either = either,
		.project = param_at(params, "project_name"),
		.slug = param_at(params, "slug"),
		.default_labels = checking->default_labels};
	const char *id = group->entries->prompt->id;
	const struct entry *found;
	const struct problem what = problem_at(checking, entry);
	struct quote quote;
	if (select_version(group, &selector, &found) != SELECTION_FOUND)
		TELL(checking, &what,
			"no version of the prompt %s is what this entry asks for\nsee promptd show "
			"%s",
			text_quote(&quote, id), id);
}

/* Check an entry that names no id. */
static void
check_slug(const struct checking *checking, const struct value *entry, const char *slug)
{
	const char *project = param_at(find_params(entry), "project_name");
	const struct problem what = problem_at(checking, entry);
	const struct group *group;
	struct quote quote;
	size_t found = select_slug(checking->snapshot, slug, project, NULL, &group);
	if (found == 1)
		check_selection(checking, entry, group, NULL);
	else
		TELL(checking, &what, "%s the slug %s\n%s",
			found == 0 ? "no prompt has" : "more than one prompt has",
			text_quote(&quote, slug),
			found == 0 ? "correct it, or see promptd list"
				   : "name its project_name, or give a prompt_id");
}

/* Check an entry by the id that LiteLLM sends, which may end in @ and a version or label. */
static void
check_id(const struct checking *checking, const struct value *entry, const char *id)
{
	const struct problem what = problem_at(checking, entry);
	const char *at = strchr(id, '@');
	bool has_either = at != NULL && at[1] != '\0';
	const char *plain = has_either ? arena_copy(checking->arena, id, (size_t)(at - id)) : id;
	const struct group *group = plain != NULL ? snapshot_find(checking->snapshot, plain) : NULL;
	struct quote quote;
	if (group != NULL)
		check_selection(checking, entry, group, has_either ? at + 1 : NULL);
	else
		TELL(checking, &what,
			"there is no prompt %s\ncorrect its prompt_id, or see promptd list",
			text_quote(&quote, id));
}

static void
check_entry(const struct checking *checking, const struct value *entry)
{
	const char *integration = text_at(entry, "litellm_params", "prompt_integration");
	const struct value *params = find_params(entry);
	const char *id = param_at(params, "prompt_id");
	const char *slug = param_at(params, "slug");
	const struct problem what = problem_at(checking, entry);
	if (integration == NULL || strcmp(integration, "generic_prompt_management") != 0)
		return; /* another's */
	if (id == NULL)
		id = text_at(entry, "litellm_params", "prompt_id");
	if (id != NULL && *id != '\0')
		check_id(checking, entry, id);
	else if (slug != NULL)
		check_slug(checking, entry, slug);
	else
		TELL(checking, &what,
			"LiteLLM passes over this entry without a word\nrepeat its prompt_id in "
			"litellm_params");
}

static bool
is_served(const struct checking *checking, const char *model)
{
	const struct value *models = document_find(checking->config, "model_list");
	const struct value *aliases =
		find_path(checking->config, "router_settings", "model_group_alias");
	for (const struct value *item = models != NULL && models->kind == VALUE_LIST ? models->first
										     : NULL;
		item != NULL; item = item->next) {
		const char *name =
			item->kind == VALUE_MAP ? text_at(item, "model_name", NULL) : NULL;
		if (name != NULL && (strcmp(name, model) == 0 || fnmatch(name, model, 0) == 0))
			return true;
	}
	return aliases != NULL && aliases->kind == VALUE_MAP &&
	       document_find(aliases, model) != NULL;
}

/* The model in a prompt's answer, or NULL. */
static const char *
model_of(const struct checking *checking, const struct prompt *prompt)
{
	struct errors errors = {.arena = checking->arena};
	struct document answer = {.arena = checking->arena, .errors = &errors};
	if (json_parse(&answer, prompt->answer, prompt->answer_length) != 0)
		return NULL;
	return text_at(answer.first, "prompt_template_model", NULL);
}

/* Whether all the models that the proxy serves stand in its model_list: they can be in its database, and in files
 * that are included. */
static bool
has_all_models(const struct checking *checking)
{
	const struct value *models = document_find(checking->config, "model_list");
	const struct value *stored =
		find_path(checking->config, "general_settings", "store_model_in_db");
	return models != NULL && models->kind == VALUE_LIST && models->count > 0 &&
	       document_find(checking->config, "include") == NULL &&
	       !(stored != NULL && stored->kind == VALUE_BOOL && stored->truth);
}

static void
check_model(const struct checking *checking, const struct prompt *prompt)
{
	const char *model = model_of(checking, prompt);
	const struct problem what = {.path = prompt->unit->path,
		.line = prompt->line,
		.column = prompt->column,
		.kind = ERROR_VALUE,
		.rule = RULE_LITELLM};
	struct quote quote, name;
	if (model != NULL && !is_served(checking, model))
		TELL(checking, &what,
			"the proxy does not serve the model %s of the prompt %s\nadd it to "
			"model_list, or name another",
			text_quote(&quote, model), text_quote(&name, prompt->id));
}

static void
check_models(const struct checking *checking)
{
	const struct snapshot *snapshot = checking->snapshot;
	if (!has_all_models(checking))
		return;
	for (size_t i = 0; i < snapshot->n_groups; i++)
		for (size_t k = 0; k < snapshot->groups[i].count; k++)
			check_model(checking, snapshot->groups[i].entries[k].prompt);
}

static void
check_config(struct checking *checking, const struct buffer *text)
{
	struct errors errors = {.arena = checking->arena, .ignored = ~0u};
	struct document document = {.arena = checking->arena, .errors = &errors};
	int result = yaml_parse(&document, text->length > 0 ? text->data : "", text->length);
	for (const struct error *error = errors.first; error != NULL; error = error->next)
		tell(checking, (struct problem){checking->path, error->line, error->column,
				       error->kind, error->rule, error->message, error->advice});
	if (result != 0 || errors.count > 0 || document.first == NULL ||
		document.first->kind != VALUE_MAP)
		return;
	checking->config = document.first;
	const struct value *prompts = document_find(checking->config, "prompts");
	for (const struct value *entry =
			prompts != NULL && prompts->kind == VALUE_LIST ? prompts->first : NULL;
		entry != NULL; entry = entry->next)
		if (entry->kind == VALUE_MAP)
			check_entry(checking, entry);
	check_models(checking);
}

int
litellm_check(const char *path, const struct snapshot *snapshot, const char *const *default_labels,
	struct arena *arena, litellm_on_problem *on_problem, void *context, struct error *error)
{
	struct checking checking = {.path = path,
		.snapshot = snapshot,
		.default_labels = default_labels,
		.arena = arena,
		.on_problem = on_problem,
		.context = context};
	struct buffer text = {0};
	int reason = load_read_file(path, &text);
	if (reason == 0)
		check_config(&checking, &text);
	else
		error_set(error, "cannot read \"%s\": %s\nname LiteLLM's config.yaml", path,
			strerror(reason));
	buffer_finish(&text);
	return reason == 0 ? 0 : -1;
}
