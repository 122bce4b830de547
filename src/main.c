/* main.c -- promptd: serves a directory of prompts to LiteLLM. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/page.h"
#include "core/error.h"
#include "core/prompt.h"
#include "core/store.h"
#include "server/activation.h"
#include "server/api.h"
#include "server/arguments.h"
#include "server/auth.h"
#include "server/clock.h"
#include "server/cycle.h"
#include "server/figures.h"
#include "server/gate.h"
#include "server/limit.h"
#include "server/listen.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/process.h"
#include "server/reloader.h"
#include "server/sandbox.h"
#include "server/tls.h"
#include "server/traffic.h"
#include "server/worker.h"
#include "server/writer.h"

struct server {
	struct prompt_rules rules;
	struct listeners listeners, admin;
	struct store *store;
	struct reloader *reloader;
	struct auth *auth;
	struct tls *tls;
	struct sandbox sandbox;
	struct figures figures;
	struct traffic *traffic; /* of each worker */
	struct limit *failures, *requests;
	struct api api;
	struct gate_limits limits; /* of each worker */
	struct worker **workers;
	size_t n_workers; /* with that of --admin-listen */
};

/* Signals are taken one by one by the main thread; every other thread inherits the mask. */
static sigset_t
block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file's limit (getrlimit(2)) is an error like a full disk */
	signal(SIGIO, SIG_IGN); /* a lease of the reload thread's is broken: fcntl(2) */
	return set;
}

/* Why other machines must not be able to connect, or NULL where they may. */
static const char *
loopback_only(const struct options *options)
{
	if (options->dev)
		return "--dev is for trying out, on loopback only\nlisten on 127.0.0.1";
	if (!options->allow_anonymous && options->tokens_file == NULL)
		return "anyone who can connect may read every prompt\nlisten on 127.0.0.1, or give "
		       "--tokens-file, or --allow-anonymous";
	return NULL;
}

/* Take the sockets that were passed for an address, or else open them. */
static int
open_door(struct listeners *listeners, const char *scheme, const struct options *options,
	bool is_admin, struct error *error)
{
	int passed[ACTIVATION_MAX];
	int n_passed = activation_find(is_admin, passed, error);
	const char *address = is_admin ? options->admin_listen : options->listen;
	size_t count = is_admin ? 1 : options->workers;
	if (n_passed < 0)
		return -1;
	if (n_passed > 0)
		return listen_take(listeners, scheme, passed, (size_t)n_passed, count,
			loopback_only(options), error);
	return address == NULL ? 0
			       : listen_open(listeners, scheme, address, count,
					 loopback_only(options), error);
}

/* Start a worker for each socket of an address. */
static int
start_workers(struct server *server, struct listeners *listeners, const struct door *door,
	struct error *error)
{
	for (size_t i = 0; i < listeners->count; i++) {
		struct worker *worker =
			worker_new(&server->api, &server->traffic[server->n_workers], door,
				&server->limits, listeners->sockets[i], error);
		if (worker == NULL)
			return -1;
		listeners->sockets[i] = -1; /* the worker's now */
		server->workers[server->n_workers++] = worker;
		if (worker_start(worker, error) != 0)
			return -1;
	}
	return 0;
}

/* evhttp has no limits of its own: what it would refuse does not come as far. */
static void
set_limits(struct server *server, const struct options *options)
{
	size_t n = server->listeners.count;
	server->limits = (struct gate_limits){
		.framing = {.target_bytes = 16 * 1024,
			    .head_bytes = 32 * 1024,
			    .fields = 100,
			    .body_bytes = 1024 * 1024},
		.connections = (options->max_connections + n - 1) / n,
		.first_ms = options->head_timeout_ms,
		.idle_ms = options->idle_timeout_ms,
		.head_ms = options->head_timeout_ms,
		.body_ms = options->body_timeout_ms,
		.reply_ms = options->reply_timeout_ms,
	};
}

static int
start_all_workers(struct server *server, const struct options *options, struct error *error)
{
	bool is_open = options->tokens_file == NULL && !options->allow_anonymous;
	const struct door prompts = {.kind = server->admin.count > 0 ? DOOR_PROMPTS : DOOR_BOTH,
		.loopback_names = is_open && server->listeners.is_loopback,
		.is_shared = server->listeners.is_shared,
		.tls = server->tls};
	const struct door admin = {.kind = DOOR_ADMIN,
		.loopback_names = is_open && server->admin.is_loopback,
		.is_shared = server->admin.is_shared};
	server->workers =
		calloc(server->listeners.count + server->admin.count, sizeof(struct worker *));
	if (server->workers == NULL) {
		error_set(error, "out of memory");
		return -1;
	}
	set_limits(server, options);
	if (start_workers(server, &server->listeners, &prompts, error) != 0)
		return -1;
	return start_workers(server, &server->admin, &admin, error);
}

static struct reloader *
make_reloader(struct server *server, const struct options *options)
{
	const struct cycle_terms terms = {
		.directory = options->directory,
		.rules = &server->rules,
		.default_labels = options->default_labels.items,
		.store = server->store,
		.figures = &server->figures,
		.quiet_ms = options->quiet_ms,
		.max_latency_ms = options->max_latency_ms,
		.settle_ms = options->settle_ms,
		.delete_grace_ms = options->delete_grace_ms,
		.empty_grace_ms = options->empty_grace_ms,
		.git_wait_ms = options->git_wait_ms,
		.poll_ms = options->poll_ms,
		.without_inotify = options->without_inotify,
		.links_lead_anywhere = options->links_lead_anywhere,
		.hold_bad_files = options->hold_bad_files,
		.strict_start = options->strict_start,
		.min_prompts = options->min_prompts,
	};
	return reloader_new(&terms, server->auth, server->tls);
}

static int
start_tls(struct server *server, const struct options *options, struct error *error)
{
	if (options->tls_cert == NULL && options->tls_key == NULL)
		return 0;
	if (options->tls_cert == NULL || options->tls_key == NULL) {
		error_set(error, "--tls-cert and --tls-key go together\ngive both, or neither");
		return -1;
	}
	server->tls = tls_new(options->tls_cert, options->tls_key, error);
	return server->tls != NULL ? 0 : -1;
}

/* What is not open by now, and cannot be found again below what is, stays closed. */
static int
confine(struct sandbox *sandbox, const struct options *options, struct error *error)
{
	const struct sandbox_terms terms = {
		.directory = options->directory,
		.files = {options->tokens_file, options->tls_cert, options->tls_key},
		.log = options->audit_log,
		.writable = options->writable,
		.reads_anything = options->links_lead_anywhere,
	};
	if (options->sandbox == SANDBOX_OFF || sandbox_enter(sandbox, &terms) == 0 ||
		options->sandbox == SANDBOX_AUTO)
		return 0;
	*error = sandbox->problem;
	return -1;
}

static void
on_early_end(int number)
{
	(void)number;
	_exit(EXIT_SUCCESS);
}

/* Have the first prompts loaded. A signal that ends the server ends it at once: there is nothing to be finished yet, and a file
 * server that hangs could keep it for ever. */
static int
load(struct server *server, const struct options *options, struct error *error)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	signal(SIGINT, on_early_end);
	signal(SIGTERM, on_early_end);
	pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
	if (options->writable)
		writer_sweep(options->directory);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); /* as the thread inherits it */
	int result = reloader_start(server->reloader, error);
	pthread_sigmask(SIG_UNBLOCK, &ends, NULL);
	if (result == 0)
		result = reloader_await(server->reloader, error);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	return result;
}

/* Bind, load, publish, serve. While the first prompts are loaded, requests get a 503. */
static int
start(struct server *server, const struct options *options, struct error *error)
{
	server->rules.allowed_params = options->allowed_params.items;
	server->rules.strict_projects = options->strict_projects;
	server->rules.ignored = 1u << RULE_STOCK_ID; /* whom it serves is not known */
	if (options->dev && options->tokens_file != NULL) {
		error_set(error, "--dev has the mock's tokens, so --tokens-file is no use with it\n"
				 "leave one of them out");
		return -1;
	}
	if (options->audit_log != NULL && log_open_audit(options->audit_log, error) != 0)
		return -1;
	server->auth = auth_new(&(struct auth_terms){options->tokens_file, options->dev,
					options->strict_projects, &server->figures},
		error);
	if (server->auth == NULL || start_tls(server, options, error) != 0)
		return -1;
	if (open_door(&server->listeners, server->tls != NULL ? "https" : "http", options, false,
		    error) != 0 ||
		open_door(&server->admin, "http", options, true, error) != 0)
		return -1;
	size_t n_workers = server->listeners.count + server->admin.count;
	server->store = store_new();
	server->reloader = server->store == NULL ? NULL : make_reloader(server, options);
	server->traffic = calloc(n_workers, sizeof(*server->traffic));
	server->failures = limit_new();
	server->requests = limit_new();
	if (server->reloader == NULL || server->traffic == NULL || server->failures == NULL ||
		server->requests == NULL) {
		error_set(error, "out of memory");
		return -1;
	}
	server->api = (struct api){.store = server->store,
		.auth = server->auth,
		.failures = options->behind_proxy ? NULL : server->failures,
		.requests = server->requests,
		.reloader = server->reloader,
		.rules = &server->rules,
		.default_labels = options->default_labels.items,
		.figures = &server->figures,
		.traffic = server->traffic,
		.n_workers = n_workers,
		.prompt_metrics = !options->no_prompt_metrics,
		.ready_when_clean = options->ready_when_clean,
		.writable = options->writable,
		.behind_proxy = options->behind_proxy,
		.access_log = options->access_log,
		.allow_empty = options->allow_empty};
	if (confine(&server->sandbox, options, error) != 0 ||
		start_all_workers(server, options, error) != 0)
		return -1;
	return load(server, options, error);
}

static void
stop(struct server *server)
{
	atomic_store(&server->api.draining, true);
	for (size_t i = 0; i < server->n_workers; i++)
		worker_drain(server->workers[i]);
	for (size_t i = 0; i < server->n_workers; i++)
		worker_join(server->workers[i]);
	if (!reloader_stop(server->reloader)) /* may still finish jobs of the workers */
		_exit(EXIT_SUCCESS);
	reloader_free(server->reloader);
	for (size_t i = 0; i < server->n_workers; i++)
		worker_free(server->workers[i]);
	free(server->workers);
	free(server->traffic);
	limit_free(server->failures);
	limit_free(server->requests);
	store_free(server->store);
	auth_free(server->auth);
	tls_free(server->tls);
	listen_close(&server->listeners);
	listen_close(&server->admin);
	sandbox_finish(&server->sandbox);
}

/* Ask every worker. The reload thread is not asked: where a file server hangs, so may a look, and what was
 * published is served on. */
static bool
are_alive(const struct server *server)
{
	bool alive = true;
	for (size_t i = 0; i < server->n_workers; i++)
		alive &= worker_has_turned(server->workers[i]);
	return alive;
}

/* Wait for a signal, until a time of clock_ms(), or without end for 0. Returns -1 where none came. */
static int
wait_for_signal(const sigset_t *signals, int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_ms();
	struct timespec limit = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
	if (until_ms == 0)
		return sigwaitinfo(signals, NULL);
	return left_ms > 0 ? sigtimedwait(signals, NULL, &limit) : -1;
}

static void
serve_until_told(struct server *server, const struct options *options, const sigset_t *signals)
{
	int64_t every_ms = notify_watchdog_ms();
	int64_t due_ms = every_ms > 0 ? clock_ms() + every_ms : 0;
	for (int number = 0; number != SIGTERM && number != SIGINT;) {
		number = wait_for_signal(signals, due_ms);
		if (number == SIGHUP) {
			log_reopen_audit();
			reloader_request(server->reloader);
		}
		if (due_ms == 0 || clock_ms() < due_ms)
			continue;
		due_ms = clock_ms() + every_ms;
		if (are_alive(server))
			notify_send("WATCHDOG=1");
	}
	log_write(LOG_LEVEL_INFO, "stopping", LOG_END);
	notify_send("STOPPING=1\nSTATUS=answering what has arrived");
	signal(SIGTERM, SIG_DFL); /* a second one ends the process at once */
	signal(SIGINT, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, signals, NULL);
	atomic_store(&server->api.draining, true);
	poll(NULL, 0, (int)options->drain_delay_ms);
}

static int
serve(const struct options *options)
{
	struct server server = {0};
	struct error error;
	bool json = strcmp(options->log_format, "json") == 0 ||
		    (strcmp(options->log_format, "auto") == 0 && !isatty(STDERR_FILENO));
	sigset_t signals = block_signals();
	log_init(json);
	notify_open();
	process_open();
	worker_init();
	if (start(&server, options, &error) != 0) {
		stop(&server);
		page_error(&error);
		return EXIT_FAILURE;
	}
	char message[128];
	snprintf(message, sizeof(message), "listening on %s", server.listeners.url);
	log_write(LOG_LEVEL_INFO, message, LOG_TEXT("directory", options->directory),
		LOG_NUMBER("workers", server.listeners.count), LOG_TEXT("version", PROMPTD_VERSION),
		LOG_END);
	if (server.admin.count > 0)
		log_write(LOG_LEVEL_INFO, "metrics, status and reload have an address of their own",
			LOG_TEXT("url", server.admin.url), LOG_END);
	if (options->sandbox != SANDBOX_OFF)
		sandbox_tell(&server.sandbox);
	notify_send("READY=1");
	serve_until_told(&server, options, &signals);
	stop(&server);
	notify_close();
	return EXIT_SUCCESS;
}

/* Write what was printed; a full disk must not look like success. */
static bool
print_all(void)
{
	bool failed = ferror(stdout) != 0;
	failed |= fflush(stdout) != 0;
	if (failed)
		page_fail("cannot print: %s\nmake room, or print elsewhere", strerror(errno));
	return !failed;
}

/* Give the standard descriptors that are closed to /dev/null: what is opened later must not get the log's. */
static void
fill_descriptors(void)
{
	int descriptor;
	do
		descriptor = open("/dev/null", O_RDWR);
	while (descriptor >= 0 && descriptor <= STDERR_FILENO);
	if (descriptor >= 0)
		close(descriptor);
}

int
main(int argc, char **argv)
{
	struct options options;
	struct error error;
	fill_descriptors();
	if (arguments_parse(argc, argv, &options, &error) != 0) {
		page_error(&error);
		return EXIT_USAGE;
	}
	if (options.help || options.version) {
		if (options.help)
			arguments_print_help(options.command);
		else
			puts("promptd " PROMPTD_VERSION);
		return print_all() ? EXIT_SUCCESS : EXIT_USAGE;
	}
	if (options.command == COMMAND_SERVE)
		return serve(&options);
	int status = cli_run(&options);
	return print_all() ? status : EXIT_USAGE; /* 1 would be an answer */
}
