/* prompt.c -- reads a prompt from a document. */
#include "core/prompt.h"

#include <limits.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/expect.h"
#include "core/message.h"
#include "core/name.h"
#include "core/params.h"
#include "core/text.h"
#include "core/variables.h"

struct reading {
	const struct path_names *names;
	const struct prompt_rules *rules;
	struct errors *errors;
	struct draft *draft;
};

/* A string that fits a grammar, or NULL with an error. */
static const char *
read_name(struct reading *reading, const struct value *value, const char *what,
	bool (*fits)(const char *), const char *grammar)
{
	struct quote quote;
	const char *text = expect_string(reading->errors, value, what);
	if (text == NULL || fits(text))
		return text;
	EXPECT_ERROR(reading->errors, ERROR_VALUE, value, "%s %s does not fit\nuse %s", what,
		text_quote(&quote, text), grammar);
	return NULL;
}

#define ID_GRAMMAR \
	"1 to 200 bytes without @ and control characters, in segments between single slashes " \
	"that " \
	"neither start with ., # or _ nor end in ~"
#define WORD_GRAMMAR "lower-case letters, digits, _, . and -, starting with a letter or digit"
#define LABEL_GRAMMAR WORD_GRAMMAR ", and not all digits"
#define VERSION_GRAMMAR "letters, digits, . and -, starting with a letter or digit"

static void
read_id(struct reading *reading, const struct value *value)
{
	reading->draft->id = read_name(reading, value, "prompt_id", name_is_id, ID_GRAMMAR);
}

static void
read_version(struct reading *reading, const struct value *value)
{
	struct quote quote;
	if (value->kind != VALUE_NUMBER &&
		!expect_kind(reading->errors, value, VALUE_STRING, "version"))
		return;
	if (name_is_version(value->source))
		reading->draft->version = value->source;
	else
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"version %s does not fit\nuse " VERSION_GRAMMAR,
			text_quote(&quote, value->source));
}

static void
read_project(struct reading *reading, const struct value *value)
{
	reading->draft->project =
		read_name(reading, value, "project_name", name_is_word, WORD_GRAMMAR);
}

static void
read_slug(struct reading *reading, const struct value *value)
{
	reading->draft->slug = read_name(reading, value, "slug", name_is_word, WORD_GRAMMAR);
}

static void
read_description(struct reading *reading, const struct value *value)
{
	reading->draft->description = expect_string(reading->errors, value, "description");
}

static void
read_model(struct reading *reading, const struct value *value)
{
	const char *model = expect_string(reading->errors, value, "prompt_template_model");
	if (model != NULL && *model == '\0')
		errors_warn(reading->errors, RULE_DOUBTFUL, value->line, value->column,
			"prompt_template_model is empty and served as null\nremove it");
	else
		reading->draft->model = model;
}

static void
add_label(struct draft *draft, const char *label, const struct value *item)
{
	draft->label_places[draft->n_labels] = (struct place){item->line, item->column};
	draft->labels[draft->n_labels++] = label;
}

static void
read_labels(struct reading *reading, const struct value *value)
{
	struct draft *draft = reading->draft;
	if (!expect_kind(reading->errors, value, VALUE_LIST, "labels"))
		return;
	struct arena *arena = reading->errors->arena;
	draft->labels = arena_array(arena, value->count, sizeof(*draft->labels));
	draft->label_places = arena_array(arena, value->count, sizeof(*draft->label_places));
	bool good = draft->labels != NULL && draft->label_places != NULL;
	for (const struct value *item = value->first; item != NULL && good; item = item->next) {
		const char *label = read_name(reading, item, "label", name_is_label, LABEL_GRAMMAR);
		if (label != NULL)
			add_label(draft, label, item);
	}
}

static bool
is_allowed(const struct reading *reading, const char *param)
{
	const char *const *allowed = reading->rules->allowed_params;
	for (; allowed != NULL && *allowed != NULL; allowed++)
		if (strcmp(*allowed, param) == 0)
			return true;
	return false;
}

static void
read_params(struct reading *reading, const struct value *value)
{
	struct quote quote;
	if (!expect_kind(reading->errors, value, VALUE_MAP, "prompt_template_optional_params"))
		return;
	reading->draft->params = value;
	for (const struct value *param = value->first; param != NULL; param = param->next) {
		if (!params_is_forbidden(param->key) || is_allowed(reading, param->key))
			continue;
		expect_about(param,
			errors_add(reading->errors, ERROR_VALUE, param->key_line, param->key_column,
				"the parameter %s would take the request over\nremove it, or start "
				"promptd with --allow-param",
				text_quote(&quote, param->key)));
	}
}

static void
read_metadata(struct reading *reading, const struct value *value)
{
	if (expect_kind(reading->errors, value, VALUE_MAP, "metadata"))
		reading->draft->metadata = value;
}

/* A request's unknown keys are left out, a file's are errors. */
static enum error_kind
kind_of_unknown(const struct reading *reading)
{
	return reading->rules->request ? ERROR_WARNING : ERROR_VALUE;
}

static void
read_variables(struct reading *reading, const struct value *value)
{
	if (!expect_kind(reading->errors, value, VALUE_MAP, "variables"))
		return;
	reading->draft->variables = value;
	variables_check(reading->errors, value, kind_of_unknown(reading));
}

static void
read_template(struct reading *reading, const struct value *value)
{
	if (value->kind == VALUE_STRING) {
		reading->draft->messages = value;
		return;
	}
	if (value->kind != VALUE_LIST) {
		EXPECT_ERROR(reading->errors, ERROR_TYPE, value,
			"prompt_template must be a list of messages or a string, not %s\nput a - "
			"before each message, or put the text in quotes or behind |-",
			document_kind_name(value->kind));
		return;
	}
	reading->draft->messages = value;
	if (value->count == 0)
		errors_warn(reading->errors, RULE_DOUBTFUL, value->line, value->column,
			"prompt_template has no messages\nadd one");
	for (const struct value *message = value->first; message != NULL; message = message->next)
		message_check(reading->errors, message);
}

/* The keys of a prompt, with what a JSON Schema can say of them. A null means the same as leaving it out, save where
 * it is required. */
static const struct field {
	const char *name;
	void (*read)(struct reading *, const struct value *);
	bool required;
	const char *help;
	const char *schema;
} fields[] = {
  /* clang-format off */
	{"prompt_id", read_id, false, "The name to ask for; by default the file's path without its ending.",
		SCHEMA_NAME("^" SCHEMA_SEGMENT "(/" SCHEMA_SEGMENT ")*$", "prompt_id", ID_GRAMMAR)},
	{"prompt_template", read_template, true, "The messages, or plain text: one message of the user.",
		"{'type':['string','array'],'items':{'$ref':'#/$defs/message'},'errorMessage':'prompt_template must be a list of "
		"messages or a string: put a - before each message, or put the text in quotes or behind |-'}"},
	{"prompt_template_model", read_model, false, "The model; by default the caller's.",
		SCHEMA_TEXT("prompt_template_model")},
	{"prompt_template_optional_params", read_params, false, "Parameters of the request.",
		SCHEMA_MAP("prompt_template_optional_params", ",'allOf':[{'$ref':'#/$defs/parameters'}]")},
	{"version", read_version, false, "A number or a name; by default from the file's name.",
		"{'type':['string','number','null'],'minimum':0,'errorMessage':'version must be a string: put it in quotes, or write it behind |-'"
		SCHEMA_FITS("^[0-9A-Za-z][0-9A-Za-z.-]*$", "version", VERSION_GRAMMAR) "}"},
	{"labels", read_labels, false, "Names that point to this version, such as production.",
		SCHEMA("'array'", "labels must be a list: write a list, [ITEM, ITEM]",
			",'items':{'type':'string','errorMessage':'label must be a string: put it in quotes, or write it behind |-'"
			SCHEMA_FITS("^(?![0-9]+$)[a-z0-9][a-z0-9_.-]*$", "label", LABEL_GRAMMAR) "}")},
	{"project_name", read_project, false, "Whose prompt it is; by default the first directory.",
		SCHEMA_NAME("^[a-z0-9][a-z0-9_.-]*$", "project_name", WORD_GRAMMAR)},
	{"slug", read_slug, false, "A short name; by default the last part of the id.",
		SCHEMA_NAME("^[a-z0-9][a-z0-9_.-]*$", "slug", WORD_GRAMMAR)},
	{"description", read_description, false, "What it is for.",
		SCHEMA_TEXT("description")},
	{"variables", read_variables, false, "What may stand in braces; where it is given, nothing else may.",
		SCHEMA_MAP("variables", ",'additionalProperties':{'$ref':'#/$defs/variable'},'propertyNames':{'pattern':'"
			SCHEMA_PLACEHOLDER "','patternErrorMessage':'the variable does not fit: use letters, digits and _'}")},
	{"metadata", read_metadata, false, "Your own data; no model ever sees it.",
		SCHEMA_MAP("metadata", "")},
  /* clang-format on */
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* What people also call some fields. */
static const struct {
	const char *word, *field;
} words[] = {
	{"id",              "prompt_id"                      },
	{"name",            "prompt_id"                      },
	{"template",        "prompt_template"                },
	{"messages",        "prompt_template"                },
	{"model",           "prompt_template_model"          },
	{"params",          "prompt_template_optional_params"},
	{"optional_params", "prompt_template_optional_params"},
	{"project",         "project_name"                   },
};

/* The field that a key was meant to be. */
static const char *
nearest_field(const char *key)
{
	const char *nearest = NULL;
	unsigned least = UINT_MAX;
	for (size_t i = 0; i < N_FIELDS + sizeof(words) / sizeof(words[0]); i++) {
		const char *word = i < N_FIELDS ? fields[i].name : words[i - N_FIELDS].word;
		unsigned distance = text_is_near(key, word) ? text_distance(key, word) : UINT_MAX;
		if (distance >= least)
			continue;
		least = distance;
		nearest = i < N_FIELDS ? word : words[i - N_FIELDS].field;
	}
	return nearest;
}

static const struct field *
find_field(const char *key)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(key, fields[i].name) == 0)
			return &fields[i];
	return NULL;
}

bool
prompt_is_key(const char *key)
{
	return find_field(key) != NULL || strncmp(key, "x-", 2) == 0 || strcmp(key, "$schema") == 0;
}

static void
read_member(struct reading *reading, const struct value *member)
{
	const struct field *field = find_field(member->key);
	if (field != NULL && (member->kind != VALUE_NULL || field->required))
		field->read(reading, member);
	else if (!prompt_is_key(member->key))
		expect_unknown(reading->errors, kind_of_unknown(reading), member,
			errors_keep(reading->errors, kind_of_unknown(reading))
				? nearest_field(member->key)
				: NULL,
			"keys of your own go under metadata or start with x-");
}

/* A member with a value; null means the same as leaving it out. */
static const struct value *
find_given(const struct value *map, const char *key)
{
	const struct value *member = document_find(map, key);
	return member != NULL && member->kind != VALUE_NULL ? member : NULL;
}

/* Take the id from the path where the prompt gives none. */
static void
finish_id(struct reading *reading, const struct value *map)
{
	struct draft *draft = reading->draft;
	const char *path_id = reading->names->id;
	if (find_given(map, "prompt_id") == NULL && reading->rules->request)
		expect_missing(reading->errors, map, "prompt_id");
	else if (find_given(map, "prompt_id") == NULL && path_id == NULL)
		EXPECT_ERROR(reading->errors, ERROR_MISSING, map,
			"prompt_id is missing, and the file's path does not give one\nadd it");
	else if (find_given(map, "prompt_id") == NULL)
		draft->id = path_id;
	draft->path_gives_id =
		draft->id != NULL && path_id != NULL && strcmp(draft->id, path_id) == 0;
}

/* A label that is the version too could mean either in a request. */
static void
check_labels(struct reading *reading, const struct value *map)
{
	struct quote quote;
	const struct value *labels = find_given(map, "labels");
	const char *version = reading->draft->version;
	if (version == NULL || labels == NULL)
		return;
	for (const struct value *item = labels->first; item != NULL; item = item->next)
		if (item->kind == VALUE_STRING && strcmp(item->text, version) == 0)
			EXPECT_ERROR(reading->errors, ERROR_VALUE, item,
				"the label %s is also the version, so a request could mean "
				"either\nrename one",
				text_quote(&quote, version));
}

/* Take the version from the file's name; the two must agree where both are given. */
static void
finish_version(struct reading *reading, const struct value *map)
{
	struct draft *draft = reading->draft;
	const char *named = reading->names->version;
	struct quote quote, other;
	if (named != NULL && draft->version != NULL && strcmp(named, draft->version) != 0)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, document_find(map, "version"),
			"version %s here, but %s in the file's name\nremove one of them",
			text_quote(&quote, draft->version), text_quote(&other, named));
	else if (draft->version == NULL)
		draft->version = named;
	check_labels(reading, map);
}

/* Take the project from the first directory and the slug from the id's last segment. */
static void
finish_project_and_slug(struct reading *reading, const struct value *map)
{
	struct draft *draft = reading->draft;
	struct quote quote;
	if (find_given(map, "project_name") == NULL) {
		draft->project = reading->names->project;
		if (reading->names->project_unfit && !reading->rules->strict_projects)
			errors_warn(reading->errors, RULE_DOUBTFUL, map->line, map->column,
				"the first directory's name does not fit, so there is no "
				"project\nuse " WORD_GRAMMAR ", or give a project_name");
	}
	if (find_given(map, "slug") != NULL || draft->id == NULL)
		return;
	const char *slash = strrchr(draft->id, '/');
	const char *last = slash != NULL ? slash + 1 : draft->id;
	if (name_is_word(last))
		draft->slug = last;
	else
		errors_warn(reading->errors, RULE_DOUBTFUL, map->line, map->column,
			"%s does not fit, so there is no slug\nuse " WORD_GRAMMAR
			", or give a slug",
			text_quote(&quote, last));
}

/* The first directory is the project: no file may claim another, or an id of another's. */
static void
check_strict(struct reading *reading, const struct value *map)
{
	const struct draft *draft = reading->draft;
	const char *project = reading->names->project;
	const struct value *given = find_given(map, "project_name");
	const struct value *id = find_given(map, "prompt_id");
	struct quote quote;
	if (!reading->rules->strict_projects || reading->rules->request || draft->id == NULL)
		return;
	if (reading->names->project_unfit)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, map,
			"the first directory is the project (--projects strict), and its name does "
			"not fit\nuse " WORD_GRAMMAR);
	if (given != NULL &&
		(project == NULL || draft->project == NULL || strcmp(draft->project, project) != 0))
		EXPECT_ERROR(reading->errors, ERROR_VALUE, given,
			"the first directory is the project (--projects strict), %s%s\nremove "
			"project_name",
			project != NULL ? "here " : "and a file at the top has none",
			project != NULL ? text_quote(&quote, project) : "");
	size_t length = project != NULL ? strlen(project) : 0;
	bool is_inside = project == NULL ? strchr(draft->id, '/') == NULL
					 : strncmp(draft->id, project, length) == 0 &&
						   draft->id[length] == '/';
	if (!is_inside && !reading->names->project_unfit)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, id != NULL ? id : map,
			"the id is not in the file's project (--projects strict)\n%s%s%s",
			project != NULL ? "begin it with "
					: "a file at the top has ids without a slash",
			project != NULL ? project : "", project != NULL ? "/" : "");
}

void
prompt_each_key(schema_on_key *on_key, void *context)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		on_key(context, &(struct schema_key){fields[i].name, fields[i].help,
					fields[i].schema, fields[i].required});
}

void
prompt_each_other_name(prompt_on_other_name *on_name, void *context)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		on_name(context, words[i].word, words[i].field);
}

int
prompt_parse(const struct value *value, const struct path_names *names,
	const struct prompt_rules *rules, struct errors *errors, struct draft *draft)
{
	struct reading reading = {names, rules, errors, draft};
	size_t before = errors->count;
	*draft = (struct draft){.line = value->line, .column = value->column};
	if (value->kind == VALUE_NULL) {
		EXPECT_ERROR(errors, ERROR_TYPE, value,
			"a prompt was expected and there is nothing\nwrite one, or remove this "
			"line");
		return -1;
	}
	if (!expect_kind(errors, value, VALUE_MAP, "a prompt"))
		return -1;
	if (document_find(value, "role") != NULL && document_find(value, "content") != NULL) {
		EXPECT_ERROR(errors, ERROR_VALUE, value,
			"this is a message, not a prompt\nput the messages under prompt_template");
		return -1;
	}
	for (const struct value *member = value->first; member != NULL; member = member->next)
		read_member(&reading, member);
	for (size_t i = 0; i < N_FIELDS; i++)
		if (fields[i].required)
			expect_member(errors, value, fields[i].name);
	finish_id(&reading, value);
	finish_version(&reading, value);
	finish_project_and_slug(&reading, value);
	check_strict(&reading, value);
	return errors->count == before && !arena_failed(errors->arena) ? 0 : -1;
}
