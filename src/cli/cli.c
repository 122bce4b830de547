/* cli.c -- which function runs a command. */
#include "cli/cli.h"

#include <stddef.h>

#include "server/options.h"

int
cli_run(const struct options *options)
{
	static int (*const commands[N_COMMANDS])(const struct options *) = {
		[COMMAND_CHECK] = cli_check,
		[COMMAND_LIST] = cli_list,
		[COMMAND_SHOW] = cli_show,
		[COMMAND_RENDER] = cli_render,
		[COMMAND_REVISION] = cli_revision,
		[COMMAND_LITELLM_CONFIG] = cli_litellm_config,
		[COMMAND_CONFIGMAP] = cli_configmap,
		[COMMAND_DIFF] = cli_diff,
		[COMMAND_SCHEMA] = cli_schema,
		[COMMAND_TOKEN] = cli_token,
		[COMMAND_COMPLETION] = cli_completion,
	};
	return commands[options->command](options);
}
