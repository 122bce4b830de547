/* options.h -- the options there are, and what each takes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rule.h"

struct error;

/* Those that need a prompt directory come first. */
enum command {
	COMMAND_SERVE,
	COMMAND_CHECK,
	COMMAND_LIST,
	COMMAND_SHOW,
	COMMAND_RENDER,
	COMMAND_REVISION,
	COMMAND_LITELLM_CONFIG,
	COMMAND_CONFIGMAP,
	COMMAND_DIFF,
	COMMAND_SCHEMA,
	COMMAND_TOKEN,
	COMMAND_COMPLETION,
	N_COMMANDS
};

/* What happens where the process cannot be confined: it serves nevertheless, or it does not. Off: it is not tried. */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_REQUIRE, SANDBOX_OFF };

/* How a command prints what it found. */
enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_GCC, FORMAT_GITHUB, FORMAT_MARKDOWN, N_FORMATS };

enum {
	OPTIONS_MAX_NAMES = 32,
	OPTIONS_MAX_ROWS = 56,
	OPTIONS_MAX_CONFIGMAP_BYTES = 1024 * 1024, /* Kubernetes' own limit */
};

/* Names in the order given, NULL-ended; they point into the texts. */
struct option_names {
	const char *items[OPTIONS_MAX_NAMES + 1];
	size_t count;
	char texts[OPTIONS_MAX_NAMES * 64];
	size_t used;
};

struct options {
	enum command command;
	enum format format;
	const char *directory;
	char **operands; /* behind the command and its options, NULL-ended; but for a directory */
	rule_set ignored; /* by check */
	bool stock_client; /* check for LiteLLM's own client too */
	const char *explain, *litellm_config; /* a rule, and a file, of check; NULL: none */
	const char *name, *namespace; /* of ConfigMaps; the latter NULL: none is named */
	size_t max_bytes; /* of a ConfigMap */
	const char *listen, *api_base; /* the latter: where LiteLLM finds promptd */
	unsigned workers;
	bool dev, writable, allow_empty, allow_anonymous, help, version;
	struct option_names default_labels, allowed_params;
	const char *log_format; /* "auto", "text" or "json" */
	int64_t quiet_ms, max_latency_ms, settle_ms, poll_ms, delete_grace_ms;
	int64_t empty_grace_ms, git_wait_ms;
	int64_t head_timeout_ms, body_timeout_ms, reply_timeout_ms, idle_timeout_ms, drain_delay_ms;
	size_t max_connections;
	bool hold_bad_files, strict_start, ready_when_clean, no_prompt_metrics, strict_projects;
	bool links_lead_anywhere, without_inotify;
	enum sandbox_mode sandbox;
	const char *tokens_file, *admin_listen; /* NULL: none */
	const char *tls_cert, *tls_key; /* both or neither */
	const char *audit_log; /* NULL: the log */
	bool behind_proxy, access_log;
	size_t min_prompts;
};

/* One option: a flag, and an environment variable. */
struct option_row {
	const char *name; /* --name, and PROMPTD_NAME in the environment */
	const char *argument; /* what it takes; NULL for a switch */
	int (*set)(struct options *, const char *value, struct error *); /* -1 with an error */
	const char *help;
	unsigned commands; /* see the functions */
};

/* In the order in which people are told of them. */
extern const struct option_row option_rows[];
extern const size_t n_option_rows;

bool option_is_of(const struct option_row *, enum command);
bool option_is_in_environment(const struct option_row *);

/* What holds where nothing is given. Texts are borrowed, and the options must not be moved. */
void options_init(struct options *, enum command);

/* Fill in what depends on other options, or on the machine, once all are set. */
void options_complete(struct options *);
