/* arguments.c -- reads the command line and the environment. */
#include "server/arguments.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"

const struct command_row command_rows[N_COMMANDS] = {
  /* clang-format off */
	[COMMAND_SERVE] = {"serve", "[DIR]", 0, 0, true,
		"serve the prompts in the YAML and JSON files below DIR to LiteLLM over HTTP"},
	[COMMAND_CHECK] = {"check", "[DIR]", 0, 0, true,
		"say what is wrong with the prompt files below DIR: 1 if anything is, 2 if there are none"},
	[COMMAND_LIST] = {"list", "", 0, 0, false,
		"list the prompts, as they are served"},
	[COMMAND_SHOW] = {"show", "ID[@VERSION|@LABEL]", 1, 1, false,
		"show a prompt"},
	[COMMAND_RENDER] = {"render", "ID[@VERSION|@LABEL] [NAME=VALUE]...", 1, -1, false,
		"show a prompt's messages with values filled in"},
	[COMMAND_REVISION] = {"revision", "", 0, 0, false,
		"print the revision, which all servers of the same prompts have"},
	[COMMAND_LITELLM_CONFIG] = {"litellm-config", "[DIR]", 0, 0, true,
		"print the prompts for LiteLLM's config.yaml"},
	[COMMAND_CONFIGMAP] = {"configmap", "[DIR]", 0, 0, true,
		"print the prompt files as ConfigMaps for Kubernetes, those of each top folder apart"},
	[COMMAND_DIFF] = {"diff", "OLD NEW", 2, 2, false,
		"say what changes between two directories: 1 if that breaks callers, 2 if it cannot be said"},
	[COMMAND_SCHEMA] = {"schema", "", 0, 0, false,
		"print the JSON Schema of prompt files, for editors"},
	[COMMAND_COMPLETION] = {"completion", "bash|zsh", 1, 1, false,
		"print what lets a shell complete promptd's commands and options"},
	[COMMAND_TOKEN] = {"token", "new [NAME]", 1, 2, false,
		"make a token, and the lines that let it in"},
  /* clang-format on */
};

static const char *
space(const char *text)
{
	return *text != '\0' ? " " : "";
}

static void
print_options(enum command command)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		char flag[48];
		snprintf(flag, sizeof(flag), "--%s%s%s", row->name,
			row->argument != NULL ? " " : "",
			row->argument != NULL ? row->argument : "");
		if (option_is_of(row, command))
			printf("  %-30s %s\n", flag, row->help);
	}
}

static void
print_serve_help(void)
{
	printf("Usage: promptd [serve] [OPTION]... [DIR]\n"
	       "       promptd COMMAND [OPTION]... [OPERAND]...\n\nCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-14s  %s\n", command_rows[i].name, command_rows[i].summary);
	printf("\nDIR is ./prompts.d where there is one, else /etc/promptd/prompts.d. "
	       "promptd COMMAND --help says more.\n\nOptions of serve:\n");
	print_options(COMMAND_SERVE);
	printf("\nEach option is also an environment variable: --listen is PROMPTD_LISTEN.\n"
	       "SIGHUP looks for changes at once; SIGTERM ends after the requests under way.\n");
}

static bool
needs_directory(enum command command)
{
	return command < COMMAND_DIFF;
}

void
arguments_print_help(enum command command)
{
	const struct command_row *row = &command_rows[command];
	if (command == COMMAND_SERVE) {
		print_serve_help();
		return;
	}
	printf("Usage: promptd %s [OPTION]...%s%s\n\n%c%s.\n\n", row->name, space(row->operands),
		row->operands, toupper((unsigned char)*row->summary), row->summary + 1);
	print_options(command);
	if (needs_directory(command))
		printf("\nEach option is also an environment variable: --dir is PROMPTD_DIR.\n");
}

/* What to type to read on. */
static const char *
help_of(enum command command)
{
	static char text[64];
	snprintf(text, sizeof(text), "promptd %s%s--help",
		command != COMMAND_SERVE ? command_rows[command].name : "",
		command != COMMAND_SERVE ? " " : "");
	return text;
}

static int
set_from_environment(const struct option_row *row, struct options *options, struct error *error)
{
	char name[64];
	int length = snprintf(name, sizeof(name), "PROMPTD_%s", row->name);
	for (int i = 0; i < length; i++)
		name[i] =
			name[i] == '-' ? '_' : (char)(unsigned char)toupper((unsigned char)name[i]);
	const char *value = getenv(name);
	struct error reason;
	if (value == NULL || (*value == '\0' && row->argument != NULL) ||
		row->set(options, value, &reason) == 0)
		return 0;
	error_set(error, "%s %s\nsee %s", name, reason.message, help_of(options->command));
	return -1;
}

/* The option that a flag was likely meant to be, or NULL. */
static const char *
nearest_option(const char *flag, enum command command)
{
	char name[64];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(flag, "="), flag);
	for (size_t i = 0; strncmp(name, "--", 2) == 0 && i < n_option_rows; i++)
		if (option_is_of(&option_rows[i], command) &&
			text_is_near(name + 2, option_rows[i].name))
			return option_rows[i].name;
	return NULL;
}

static void
refuse_option(char **argv, enum command command, struct error *error)
{
	const char *meant;
	if (optopt > ' ' && optopt < 0x7f)
		error_set(error, "-%c is not an option here\nsee %s", optopt, help_of(command));
	else if ((meant = nearest_option(argv[optind - 1], command)) != NULL)
		error_set(error, "%s is not an option here\ndid you mean --%s?", argv[optind - 1],
			meant);
	else
		error_set(error, "%s is not an option here\nsee %s", argv[optind - 1],
			help_of(command));
}

/* Set what the arguments give, and note which options that were. */
static int
set_from_arguments(
	int argc, char **argv, struct options *options, bool given[], struct error *error)
{
	struct option flags[OPTIONS_MAX_ROWS + 1] = {0};
	const struct option_row *rows[OPTIONS_MAX_ROWS];
	size_t n_flags = 0;
	int index;
	for (size_t i = 0; i < n_option_rows; i++) {
		if (!option_is_of(&option_rows[i], options->command))
			continue;
		flags[n_flags].name = option_rows[i].name;
		flags[n_flags].has_arg =
			option_rows[i].argument != NULL ? required_argument : no_argument;
		rows[n_flags++] = &option_rows[i];
	}
	opterr = 0;
	for (int found; (found = getopt_long(argc, argv, ":h", flags, &index)) != -1;) {
		struct error reason;
		if (found == 'h') {
			options->help = true;
		} else if (found == ':') {
			error_set(error, "%s takes a value\nsee %s", argv[optind - 1],
				help_of(options->command));
			return -1;
		} else if (found == '?') {
			refuse_option(argv, options->command, error);
			return -1;
		} else if (rows[index]->set(options, optarg, &reason) != 0) {
			error_set(error, "--%s %s\nsee %s", rows[index]->name, reason.message,
				help_of(options->command));
			return -1;
		} else {
			given[rows[index] - option_rows] = true;
		}
	}
	return 0;
}

/* Refuse a word that is neither a command nor a directory: it is likely the one misspelt. */
static int
check_word(const char *word, struct error *error)
{
	const char *meant = NULL;
	if (word == NULL || strchr(word, '/') != NULL || strcmp(word, ".") == 0 ||
		strcmp(word, "..") == 0 || access(word, F_OK) == 0)
		return 0;
	for (size_t i = 0; i < N_COMMANDS && meant == NULL; i++)
		if (text_is_near(word, command_rows[i].name))
			meant = command_rows[i].name;
	if (meant != NULL)
		error_set(error, "\"%s\" is neither a command nor a directory\ndid you mean %s?",
			word, meant);
	else
		error_set(error,
			"\"%s\" is neither a command nor a directory\nsee promptd --help; to wait "
			"for such "
			"a directory: promptd serve %s",
			word, word);
	return -1;
}

static int
find_directory(struct options *options, struct error *error)
{
	static const char *const usual[] = {"prompts.d", "/etc/promptd/prompts.d"};
	for (size_t i = 0; options->directory == NULL && i < sizeof(usual) / sizeof(usual[0]); i++)
		if (access(usual[i], F_OK) == 0)
			options->directory = usual[i];
	if (options->directory != NULL)
		return 0;
	error_set(error, "there is no ./%s and no %s\nname the directory, or see %s", usual[0],
		usual[1], help_of(options->command));
	return -1;
}

/* Take what is not an option. */
static int
take_operands(int count, char **operands, struct options *options, struct error *error)
{
	const struct command_row *row = &command_rows[options->command];
	int least = row->least, most = row->most + (row->takes_directory ? 1 : 0);
	if (count < least) {
		error_set(error, "%s needs %s\nsee %s", row->name, row->operands,
			help_of(options->command));
		return -1;
	}
	if (row->most >= 0 && count > most) {
		error_set(error, "%s takes %s, not \"%s\" too\nsee %s", row->name,
			most == 0 ? "no operand" : row->operands, operands[most],
			help_of(options->command));
		return -1;
	}
	if (row->takes_directory && count > 0)
		options->directory = operands[0];
	options->operands = operands;
	return 0;
}

/* The command that the first argument names. */
static enum command
find_command(const char *word)
{
	for (int i = 0; word != NULL && i < N_COMMANDS; i++)
		if (strcmp(word, command_rows[i].name) == 0)
			return (enum command)i;
	return N_COMMANDS;
}

int
arguments_parse(int argc, char **argv, struct options *options, struct error *error)
{
	bool given[OPTIONS_MAX_ROWS] = {false};
	enum command command = argc > 1 ? find_command(argv[1]) : N_COMMANDS;
	int skipped = command != N_COMMANDS;
	options_init(options, skipped ? command : COMMAND_SERVE);
	argc -= skipped;
	argv += skipped;
	if (set_from_arguments(argc, argv, options, given, error) != 0)
		return -1;
	if (options->help || options->version)
		return 0;
	/* "serve" may stand behind options too. */
	bool is_named = skipped || find_command(argv[optind]) == COMMAND_SERVE;
	optind += is_named && !skipped;
	if (take_operands(argc - optind, argv + optind, options, error) != 0 ||
		(!is_named && check_word(argv[optind], error) != 0))
		return -1;
	for (size_t i = 0; i < n_option_rows; i++)
		if (!given[i] && option_is_of(&option_rows[i], options->command) &&
			option_is_in_environment(&option_rows[i]) &&
			(strcmp(option_rows[i].name, "dir") != 0 || options->directory == NULL) &&
			set_from_environment(&option_rows[i], options, error) != 0)
			return -1;
	options_complete(options);
	return !needs_directory(options->command) || options->explain != NULL
		       ? 0
		       : find_directory(options, error);
}
