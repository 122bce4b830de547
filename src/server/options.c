/* options.c -- the options there are, and what each takes. */
#include "server/options.h"

#include <sys/resource.h>

#include <string.h>

#include "core/error.h"
#include "core/name.h"
#include "server/cpus.h"
#include "server/option_value.h"

enum {
	MAX_WORKERS = 256,
	MAX_PROMPTS = 1000000,
	MAX_CONNECTIONS = 100000,
	MIN_CONFIGMAP_BYTES = 4096,
	USUAL_CONFIGMAP_BYTES =
		256 * 1024, /* that of annotations, where kubectl apply keeps a copy */
};

static int
set_listen(struct options *options, const char *value, struct error *error)
{
	if (option_check_address(value, error) != 0)
		return -1;
	options->listen = value;
	return 0;
}

static int
set_admin_listen(struct options *options, const char *value, struct error *error)
{
	if (option_check_address(value, error) != 0)
		return -1;
	options->admin_listen = value;
	return 0;
}

static int
set_workers(struct options *options, const char *value, struct error *error)
{
	size_t number = 0;
	int result = option_take_number(&number, value, 1, MAX_WORKERS, error);
	options->workers = (unsigned)number;
	return result;
}

#define SWITCH(name) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		return option_take_switch(&options->name, value, error); \
	}

SWITCH(dev)
SWITCH(strict_start)
SWITCH(no_prompt_metrics)
SWITCH(writable)
SWITCH(allow_empty)
SWITCH(allow_anonymous)
SWITCH(behind_proxy)
SWITCH(access_log)
SWITCH(help)
SWITCH(version)

#undef SWITCH

#define CHOICE(name, no, yes) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		return option_take_choice(&options->name, value, no, yes, error); \
	}

CHOICE(hold_bad_files, "keep", "hold")
CHOICE(ready_when_clean, "published", "clean")
CHOICE(links_lead_anywhere, "inside", "anywhere")
CHOICE(without_inotify, "auto", "poll")
CHOICE(strict_projects, "free", "strict")
CHOICE(stock_client, "any", "stock")

#undef CHOICE

#define TEXT(name, field) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		(void)error; \
		options->field = value; \
		return 0; \
	}

TEXT(tokens_file, tokens_file)
TEXT(audit_log, audit_log)
TEXT(tls_cert, tls_cert)
TEXT(tls_key, tls_key)
TEXT(explain, explain)
TEXT(litellm_config, litellm_config)
TEXT(dir, directory)

#undef TEXT

#define DURATION(name) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		return option_take_duration(&options->name##_ms, value, error); \
	}

DURATION(quiet)
DURATION(max_latency)
DURATION(settle)
DURATION(poll)
DURATION(delete_grace)
DURATION(empty_grace)
DURATION(git_wait)
DURATION(head_timeout)
DURATION(body_timeout)
DURATION(reply_timeout)
DURATION(idle_timeout)
DURATION(drain_delay)

#undef DURATION

#define NUMBER(name, least, most) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		return option_take_number(&options->name, value, least, most, error); \
	}

NUMBER(min_prompts, 0, MAX_PROMPTS)
NUMBER(max_connections, 1, MAX_CONNECTIONS)
NUMBER(max_bytes, MIN_CONFIGMAP_BYTES, OPTIONS_MAX_CONFIGMAP_BYTES)

#undef NUMBER

#define DNS_LABEL(name) \
	static int set_##name(struct options *options, const char *value, struct error *error) \
	{ \
		return option_take_dns_label(&options->name, value, error); \
	}

DNS_LABEL(name)
DNS_LABEL(namespace)

#undef DNS_LABEL

static int
set_sandbox(struct options *options, const char *value, struct error *error)
{
	static const char *const names[] = {
		[SANDBOX_AUTO] = "auto", [SANDBOX_REQUIRE] = "require", [SANDBOX_OFF] = "off"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(value, names[i]) == 0) {
			options->sandbox = (enum sandbox_mode)i;
			return 0;
		}
	error_set(error, "takes auto, require or off, not \"%s\"", value);
	return -1;
}

static int
set_default_label(struct options *options, const char *value, struct error *error)
{
	struct option_names *labels = &options->default_labels;
	if (option_add_names(labels, value, error) != 0)
		return -1;
	for (size_t i = 0; i < labels->count; i++) {
		if (name_is_label(labels->items[i]))
			continue;
		error_set(error,
			"takes labels of lower-case letters, digits, _, . and -, not \"%s\"",
			labels->items[i]);
		return -1;
	}
	return 0;
}

static int
set_allow_param(struct options *options, const char *value, struct error *error)
{
	if (option_add_names(&options->allowed_params, value, error) != 0)
		return -1;
	for (size_t i = 0; i < options->allowed_params.count; i++) {
		const char *name = options->allowed_params.items[i];
		if (name[strspn(name,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ==
			'\0')
			continue;
		error_set(error, "takes names of parameters, such as api_base, not \"%s\"", name);
		return -1;
	}
	return 0;
}

static int
set_format(struct options *options, const char *value, struct error *error)
{
	static const struct {
		const char *name;
		enum format format;
		int only; /* a command; -1: every one */
	} formats[] = {
		{"text",     FORMAT_TEXT,     -1           },
		{"json",     FORMAT_JSON,     -1           },
		{"gcc",      FORMAT_GCC,      COMMAND_CHECK},
		{"github",   FORMAT_GITHUB,   COMMAND_CHECK},
		{"markdown", FORMAT_MARKDOWN, COMMAND_DIFF },
	};
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(value, formats[i].name) == 0 &&
			(formats[i].only < 0 || formats[i].only == (int)options->command)) {
			options->format = formats[i].format;
			return 0;
		}
	error_set(error, "takes text%s, not \"%s\"",
		options->command == COMMAND_CHECK  ? ", json, gcc or github"
		: options->command == COMMAND_DIFF ? ", json or markdown"
						   : " or json",
		value);
	return -1;
}

static int
set_ignore(struct options *options, const char *value, struct error *error)
{
	struct option_names ids = {0};
	if (option_add_names(&ids, value, error) != 0)
		return -1;
	for (size_t i = 0; i < ids.count; i++) {
		enum rule rule = rule_find(ids.items[i]);
		if (rule < N_RULES && rule_rows[rule].warning) {
			options->ignored |= 1u << rule;
			continue;
		}
		error_set(error,
			"takes rules of warnings, which promptd check --explain all lists, not "
			"\"%s\"%s",
			ids.items[i],
			rule < N_RULES ? ", as what the server does not serve is no matter of taste"
				       : "");
		return -1;
	}
	return 0;
}

static int
set_api_base(struct options *options, const char *value, struct error *error)
{
	if (strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0) {
		options->api_base = value;
		return 0;
	}
	error_set(error, "takes a URL, such as http://promptd:8080, not \"%s\"", value);
	return -1;
}

static int
set_log_format(struct options *options, const char *value, struct error *error)
{
	if (strcmp(value, "auto") != 0 && strcmp(value, "text") != 0 &&
		strcmp(value, "json") != 0) {
		error_set(error, "takes auto, text or json, not \"%s\"", value);
		return -1;
	}
	options->log_format = value;
	return 0;
}

enum {
	SERVE = 1 << COMMAND_SERVE,
	CHECK = 1 << COMMAND_CHECK,
	READ = CHECK | 1 << COMMAND_LIST | 1 << COMMAND_SHOW | 1 << COMMAND_RENDER |
	       1 << COMMAND_REVISION,
	DIFF = 1 << COMMAND_DIFF,
	LITELLM = 1 << COMMAND_LITELLM_CONFIG,
	CONFIGMAP = 1 << COMMAND_CONFIGMAP,
	EVERY = SERVE | READ | LITELLM | CONFIGMAP | DIFF,
	ALL = EVERY | 1 << COMMAND_SCHEMA | 1 << COMMAND_TOKEN | 1 << COMMAND_COMPLETION,
	COMMAND_LINE_ONLY = 1 << N_COMMANDS,
};

const struct option_row option_rows[] = {
  /* clang-format off */
	{"listen", "ADDRESS:PORT", set_listen,
		"where to listen (default 127.0.0.1:8080; port 0: any free one)", SERVE},
	{"admin-listen", "ADDRESS:PORT", set_admin_listen,
		"where metrics, status and reload are instead; reading needs no token there", SERVE},
	{"workers", "N", set_workers,
		"threads that answer (default: the CPUs this process may use)", SERVE},
	{"dev", NULL, set_dev,
		"for trying out: writable, and the mock's test tokens are valid; loopback only", SERVE},
	{"writable", NULL, set_writable,
		"let POST /prompts create prompt files", SERVE},
	{"default-label", "LABEL,...", set_default_label,
		"the version served when a request names none (default production)", EVERY},
	{"allow-param", "NAME,...", set_allow_param,
		"let prompts set a parameter that takes a request over, such as api_base",
		EVERY | 1 << COMMAND_SCHEMA},
	{"allow-empty", NULL, set_allow_empty,
		"be ready without a single prompt", SERVE},
	{"min-prompts", "N", set_min_prompts,
		"keep the last prompts rather than serve fewer ids than these", SERVE},
	{"on-bad-file", "keep|hold", set_hold_bad_files,
		"while a file is bad keep its last good version (default), or hold the whole set", SERVE},
	{"strict-start", NULL, set_strict_start,
		"exit at the start if a file is bad or the directory is missing", SERVE},
	{"ready-when", "published|clean", set_ready_when_clean,
		"when to be ready first: prompts are there (default), or all files were good once", SERVE},
	{"follow-links", "inside|anywhere", set_links_lead_anywhere,
		"follow links inside the directory only (default), or out of it too", EVERY},
	{"tokens-file", "FILE", set_tokens_file,
		"who may ask: a YAML list of tokens, read again when it changes (promptd(8))", SERVE},
	{"tls-cert", "FILE", set_tls_cert,
		"speak HTTPS alone, with this PEM certificate and its chain, read again when it changes", SERVE},
	{"tls-key", "FILE", set_tls_key,
		"the certificate's key, a PEM file without a password", SERVE},
	{"projects", "free|strict", set_strict_projects,
		"projects as files say (default), or the first directory alone, for ids too", EVERY},
	{"watch", "auto|poll", set_without_inotify,
		"notice changes through inotify where possible (default), or by looking only", SERVE},
	{"quiet", "TIME", set_quiet,
		"publish once nothing has changed for so long (default 50ms)", SERVE},
	{"max-latency", "TIME", set_max_latency,
		"but publish what is complete after so long (default 2s)", SERVE},
	{"settle", "TIME", set_settle,
		"a file of which no event tells is complete when unchanged for so long (default 300ms)", SERVE},
	{"poll", "TIME", set_poll,
		"look at everything so often in any case (default 60s; 2s where events cannot be had)", SERVE},
	{"delete-grace", "TIME", set_delete_grace,
		"serve a deleted file on for so long: it may come back (default 500ms)", SERVE},
	{"empty-grace", "TIME", set_empty_grace,
		"serve the last prompts on for so long when all files are gone (default 10s)", SERVE},
	{"git-wait", "TIME", set_git_wait,
		"wait for git to finish, by its index.lock, at most for so long (default 5m)", SERVE},
	{"max-connections", "N", set_max_connections,
		"connections at a time, others wait (default: what the limit of open files allows)", SERVE},
	{"head-timeout", "TIME", set_head_timeout,
		"within which the head of a request has come (default 10s)", SERVE},
	{"body-timeout", "TIME", set_body_timeout,
		"within which its body has come (default 30s)", SERVE},
	{"reply-timeout", "TIME", set_reply_timeout,
		"within which a client has taken its reply (default 60s)", SERVE},
	{"idle-timeout", "TIME", set_idle_timeout,
		"for which a connection is kept for another request (default 75s)", SERVE},
	{"drain-delay", "TIME", set_drain_delay,
		"how long to serve on after SIGTERM, while /ready is red already (default 0s)", SERVE},
	{"no-prompt-metrics", NULL, set_no_prompt_metrics,
		"do not count requests by prompt at /metrics", SERVE},
	{"allow-anonymous", NULL, set_allow_anonymous,
		"listen beyond loopback although anyone who can connect may read", SERVE},
	{"behind-proxy", NULL, set_behind_proxy,
		"every request comes from a proxy: take its X-Forwarded-For for who asks, and limit no wrong tokens", SERVE},
	{"audit-log", "FILE", set_audit_log,
		"where writes and refusals are recorded, as JSON lines, instead of in the log; no record, no write", SERVE},
	{"access-log", NULL, set_access_log,
		"log a line for each request, not only for those that are refused", SERVE},
	{"sandbox", "auto|require|off", set_sandbox,
		"give up all rights but those to serve: where the kernel lets it (default), or not start, or do not", SERVE},
	{"log-format", "auto|text|json", set_log_format,
		"how to log: by default text on a terminal, else JSON lines", SERVE},
	{"format", "text|json|gcc|github|markdown", set_format,
		"how to print (default text); gcc, for editors, and github: check; markdown: diff", READ | DIFF},
	{"ignore", "RULE,...", set_ignore,
		"do not warn of these; in a file: # promptd: ignore RULE", CHECK},
	{"profile", "any|stock", set_stock_client,
		"warn of what only LiteLLM's own client does not understand, too: stock", CHECK},
	{"litellm-config", "FILE", set_litellm_config,
		"check LiteLLM's config.yaml too: that its prompts exist, and the models of all prompts", CHECK},
	{"explain", "RULE", set_explain,
		"say why a rule is one, and what to do; all: list them", CHECK | COMMAND_LINE_ONLY},
	{"api-base", "URL", set_api_base,
		"where LiteLLM finds promptd (default http://127.0.0.1:8080)", LITELLM},
	{"name", "NAME", set_name,
		"what the names of the ConfigMaps begin with (default prompts)", CONFIGMAP},
	{"namespace", "NAME", set_namespace,
		"the namespace that they name (default none: kubectl's)", CONFIGMAP},
	{"max-bytes", "N", set_max_bytes,
		"bytes of each, 4096 to 1048576 (default 262144; more wants kubectl apply --server-side)", CONFIGMAP},
	{"dir", "DIR", set_dir,
		"the prompt directory (default ./prompts.d, else /etc/promptd/prompts.d)", READ | LITELLM | CONFIGMAP},
	{"help", NULL, set_help, "print this help", ALL | COMMAND_LINE_ONLY},
	{"version", NULL, set_version, "print the version", ALL | COMMAND_LINE_ONLY},
  /* clang-format on */
};

const size_t n_option_rows = sizeof(option_rows) / sizeof(option_rows[0]);

_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTIONS_MAX_ROWS, "raise it");

bool
option_is_of(const struct option_row *row, enum command command)
{
	return (row->commands & 1u << command) != 0;
}

bool
option_is_in_environment(const struct option_row *row)
{
	return (row->commands & COMMAND_LINE_ONLY) == 0;
}

static unsigned
usable_workers(void)
{
	unsigned cpus = cpus_usable();
	return cpus > MAX_WORKERS ? MAX_WORKERS : cpus;
}

/* What the limit of open files leaves for connections. */
static size_t
usable_descriptors(void)
{
	enum { RESERVE = 64 };
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= 2 * RESERVE)
		return RESERVE;
	size_t left = (size_t)limit.rlim_cur - RESERVE;
	return left < MAX_CONNECTIONS ? left : MAX_CONNECTIONS;
}

void
options_init(struct options *options, enum command command)
{
	*options = (struct options){.command = command,
		.listen = "127.0.0.1:8080",
		.api_base = "http://127.0.0.1:8080",
		.name = "prompts",
		.max_bytes = USUAL_CONFIGMAP_BYTES,
		.log_format = "auto",
		.quiet_ms = 50,
		.max_latency_ms = 2000,
		.settle_ms = 300,
		.poll_ms = 60 * 1000,
		.delete_grace_ms = 500,
		.empty_grace_ms = 10 * 1000,
		.git_wait_ms = 5 * 60 * 1000,
		.head_timeout_ms = 10 * 1000,
		.body_timeout_ms = 30 * 1000,
		.reply_timeout_ms = 60 * 1000,
		.idle_timeout_ms = 75 * 1000}; /* longer than the keep-alive of usual clients */
}

void
options_complete(struct options *options)
{
	struct error none;
	if (options->default_labels.count == 0)
		option_add_names(&options->default_labels, "production", &none);
	if (options->workers == 0)
		options->workers = usable_workers();
	if (options->max_connections == 0)
		options->max_connections = usable_descriptors();
	options->writable |= options->dev;
}
