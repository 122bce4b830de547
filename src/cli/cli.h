/* cli.h -- the commands that end by themselves. */
#pragma once

struct options;

enum { EXIT_USAGE = 2 }; /* the command line is wrong, or there is nothing to check */

/* Run the command that the options name; any but to serve. Returns the exit status. */
int cli_run(const struct options *);

/* The commands. Each returns 0, 1 where something is wrong, or EXIT_USAGE. */
int cli_check(const struct options *);
int cli_list(const struct options *);
int cli_show(const struct options *);
int cli_render(const struct options *);
int cli_revision(const struct options *);
int cli_litellm_config(const struct options *);
int cli_configmap(const struct options *);
int cli_diff(const struct options *);
int cli_completion(const struct options *);
int cli_schema(const struct options *);
int cli_token(const struct options *);
