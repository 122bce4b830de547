/* arguments.h -- reads the command line and the environment. */
#pragma once

#include "server/options.h"

struct error;

struct command_row {
	const char *name;
	const char *operands;
	int least, most; /* of those, without a directory; -1: any number */
	bool takes_directory; /* as its operand, too */
	const char *summary;
};

extern const struct command_row command_rows[N_COMMANDS];

/* Read the arguments, and PROMPTD_* from the environment for options that they do not give. The first may name
 * a command; without one it is to serve. Texts are borrowed from both. Returns -1 with an error that names
 * what is wrong and where to read on. Reads argv in getopt's way: once in a process. */
int arguments_parse(int argc, char **argv, struct options *, struct error *);

/* Print the help text of a command, made from the table of options. */
void arguments_print_help(enum command);
