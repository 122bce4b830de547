/* completion.c -- what lets a shell complete promptd's commands and options, made from their tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/page.h"
#include "core/text.h"
#include "server/arguments.h"

/* Print the words of an argument such as keep|hold with spaces between; nothing for one that is free. */
static void
print_choices(const char *argument)
{
	if (argument == NULL || strchr(argument, '|') == NULL)
		return;
	for (; *argument != '\0'; argument++)
		putchar(*argument == '|' ? ' ' : *argument);
}

static void
print_bash_options(enum command command, const char *word)
{
	printf("\t%s) options='", word);
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_is_of(&option_rows[i], command))
			printf("--%s ", option_rows[i].name);
	printf("' ;;\n");
}

static void
print_bash_choices(void)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		const char *argument = option_rows[i].argument;
		if (argument == NULL || strchr(argument, '|') == NULL)
			continue;
		printf("\t--%s) choices='", option_rows[i].name);
		print_choices(argument);
		printf("' ;;\n");
	}
}

/* See the section "Programmable Completion" of bash(1). */
static void
print_bash(void)
{
	printf("# promptd completion bash: source it, or put it into bash-completion's directory.\n"
	       "_promptd() {\n"
	       "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	       "\tlocal commands='");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("%s%s", i > 0 ? " " : "", command_rows[i].name);
	printf("' options='' choices=''\n\tCOMPREPLY=()\n\tcase $previous in\n");
	print_bash_choices();
	printf("\tesac\n\tcase ${COMP_WORDS[1]} in\n");
	for (int i = 0; i < N_COMMANDS; i++)
		if (i != COMMAND_SERVE)
			print_bash_options((enum command)i, command_rows[i].name);
	print_bash_options(COMMAND_SERVE, "*");
	printf("\tesac\n"
	       "\tif [ -n \"$choices\" ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$current\")\n"
	       "\telif [ \"${current#-}\" != \"$current\" ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$current\")\n"
	       "\telif [ \"$COMP_CWORD\" = 1 ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$current\")\n"
	       "\tfi\n}\ncomplete -o default -F _promptd promptd\n");
}

/* Print a text as part of a specification for _arguments in single quotes. */
static void
print_zsh_text(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '\'')
			printf("'\\''");
		else if (strchr("[]:\\", *text) != NULL)
			printf("\\%c", *text);
		else
			putchar(*text);
}

static void
print_zsh_options(enum command command)
{
	for (size_t i = 0; i < n_option_rows; i++) {
		const struct option_row *row = &option_rows[i];
		if (!option_is_of(row, command))
			continue;
		printf(" \\\n\t\t'--%s[", row->name);
		print_zsh_text(row->help);
		putchar(']');
		if (row->argument != NULL) {
			putchar(':');
			print_zsh_text(row->argument);
			printf(strchr(row->argument, '|') != NULL ? ":(" : ":_files");
			print_choices(row->argument);
			printf(strchr(row->argument, '|') != NULL ? ")" : "");
		}
		putchar('\'');
	}
}

/* See zshcompsys(1). */
static void
print_zsh(void)
{
	printf("#compdef promptd\n# promptd completion zsh: put it into a directory of $fpath as "
	       "_promptd.\n"
	       "_promptd() {\n\tlocal -a commands\n\tcommands=(");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		printf("\n\t\t'%s:", command_rows[i].name);
		print_zsh_text(command_rows[i].summary);
		putchar('\'');
	}
	printf("\n\t)\n\t(( CURRENT == 2 )) && _describe command commands\n\tcase ${words[2]} "
	       "in\n");
	for (int i = N_COMMANDS - 1; i >= 0;
		i--) { /* the server last: it is meant without a word, too */
		printf("\t%s)\n\t\t_arguments", i == COMMAND_SERVE ? "*" : command_rows[i].name);
		print_zsh_options((enum command)i);
		printf(" \\\n\t\t'*:file:_files' ;;\n");
	}
	printf("\tesac\n}\n_promptd \"$@\"\n");
}

int
cli_completion(const struct options *options)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = {
		{"bash", print_bash},
		{"zsh",  print_zsh },
	};
	struct quote quote;
	const char *shell = options->operands[0];
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (strcmp(shell, shells[i].shell) == 0) {
			shells[i].print();
			return EXIT_SUCCESS;
		}
	page_fail("completion is there for bash and zsh, not for %s\nsee promptd completion --help",
		text_quote(&quote, shell));
	return EXIT_USAGE;
}
