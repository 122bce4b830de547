/* options.h -- the options of the server, from flags and environment variables. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum { OPTIONS_MAX_NAMES = 32 };

/* Names in the order given, NULL-ended; they point into the texts. */
struct option_names {
	const char *items[OPTIONS_MAX_NAMES + 1];
	size_t count;
	char texts[OPTIONS_MAX_NAMES * 64];
	size_t used;
};

struct options {
	const char *directory;
	const char *listen;
	unsigned workers;
	bool dev, writable, allow_empty, allow_anonymous, help, version;
	struct option_names default_labels;
	struct option_names allowed_params;
	const char *log_format; /* "auto", "text" or "json" */
	int64_t quiet_ms, max_latency_ms, settle_ms, poll_ms, delete_grace_ms, empty_grace_ms,
		git_wait_ms;
	bool hold_bad_files, strict_start, ready_when_clean, no_prompt_metrics;
	bool links_lead_anywhere, without_inotify;
	size_t min_prompts;
};

/* Read the arguments, and PROMPTD_* from the environment for options that they do not give. Texts are
 * borrowed from both, and the options must not be moved. Returns -1 with an error that names the option
 * and what it takes. Reads argv in getopt's way: once in a process. */
int options_parse(int argc, char **argv, struct options *, struct error *);

/* Print the help text, made from the table of options. */
void options_print_help(void);
