/* manual.c -- makes promptd(8) at build time: the table of options goes in the place of two lines of its template. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/options.h"

enum { MAX_COLUMNS = 76 };

/* What a manual says beyond the help. */
static const struct {
	const char *option, *text;
} additions[] = {
  /* clang-format off */
	{"admin-listen", "Both kinds of addresses have\n.Pa /health\nand\n.Pa /ready .\nGuard this one."},
	{"tokens-file", "See\n.Sx TOKENS ."},
	{"on-bad-file",
		"Holding suits files that come from git, where a commit is good or it is not.\nBefore there was a set without "
		"any problem, nothing is held."},
	{"ready-when", "Later a bad file does not turn it red."},
	{"watch", "See\n.Xr inotify 7 ."},
	{"poll", "A look takes no more than a 200th of the time."},
	{"git-wait", "A lock that is older is taken for the remains of a git that was killed."},
	{"min-prompts", "Versions of an id count once.\nThat guards against the accident of an empty volume."},
	{"workers", "Each has a socket of its own.\nThe address of\n.Fl -admin-listen\nhas one more."},
	{"max-bytes",
		"A client-side apply keeps a copy in an annotation, which has no more room than the default.\nA file counts as it "
		"stands in JSON, with its key twice and 14 bytes more; 1024 are kept for all else."},
	{"format",
		"gcc puts each thing that check finds on one line, as compilers do and editors read it; github makes "
		"annotations of a pull request; markdown makes a comment of what diff finds."},
  /* clang-format on */
};

static const char *
addition_to(const char *option)
{
	for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++)
		if (strcmp(additions[i].option, option) == 0)
			return additions[i].text;
	return NULL;
}

/* Print what an option takes: words to choose from, or a placeholder. */
static void
print_argument(const char *argument)
{
	bool words = islower((unsigned char)*argument);
	printf(words ? " Cm " : " Ar ");
	for (; *argument != '\0'; argument++)
		if (*argument == '|')
			printf(" | ");
		else
			putchar(tolower((unsigned char)*argument));
}

/* Print a line of text in lines of a manual's length. */
static void
print_wrapped(const char *text, size_t left)
{
	for (size_t column = 0, length; left > 0; text += length, left -= length) {
		length = strcspn(text, " \n");
		length = length < left ? length : left;
		if (column + length > MAX_COLUMNS) {
			putchar('\n');
			column = 0;
		}
		/* At the beginning of a line a dot would be a macro's. */
		printf("%s%s%.*s", column > 0 ? " " : "", column == 0 && *text == '.' ? "\\&" : "",
			(int)length, text);
		column += length + 1;
		length += length < left; /* the space behind it */
	}
	putchar('\n');
}

/* Print text, with macros on lines of their own. */
static void
print_text(const char *text)
{
	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		if (*text == '.')
			printf("%.*s\n", (int)length, text);
		else
			print_wrapped(text, length);
		text += length + (text[length] == '\n');
	}
}

static void
print_option(const struct option_row *row)
{
	const char *more = addition_to(row->name);
	char help[256];
	printf(".It Fl -%s", row->name);
	if (row->argument != NULL)
		print_argument(row->argument);
	putchar('\n');
	snprintf(help, sizeof(help), "%c%s.", toupper((unsigned char)*row->help), row->help + 1);
	print_text(help);
	if (more != NULL)
		print_text(more);
}

/* Print the options of serving, or all others. */
static void
print_options(bool of_serve)
{
	printf(".Bl -tag -width Ds\n");
	for (size_t i = 0; i < n_option_rows; i++)
		if (option_is_of(&option_rows[i], COMMAND_SERVE) == of_serve)
			print_option(&option_rows[i]);
	printf(".El\n");
}

/* Usage: promptd_manual TEMPLATE OUTPUT */
int
main(int argc, char **argv)
{
	char line[1024];
	if (argc != 3 || freopen(argv[1], "r", stdin) == NULL ||
		freopen(argv[2], "w", stdout) == NULL) {
		fprintf(stderr, "promptd_manual: cannot open the template or the output\n");
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), stdin) != NULL)
		if (strcmp(line, ".\\\" options of serve\n") == 0)
			print_options(true);
		else if (strcmp(line, ".\\\" other options\n") == 0)
			print_options(false);
		else
			fputs(line, stdout);
	return ferror(stdin) || fclose(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
