/* metrics.c -- all figures in Prometheus' text format. */
#include "server/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/buffer.h"
#include "core/meter.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/figures.h"
#include "server/log.h"
#include "server/process.h"
#include "server/traffic.h"

#define PREFIX "promptd_"

/* A metric of one figure. */
static const struct row {
	enum figure figure;
	const char *type;
	const char *name;
	const char *help;
} rows[] = {
  /* clang-format off */
	{FIGURE_LAST_SUCCESSFUL, "gauge", "config_last_reload_successful",
		"Whether the newest files are served, without a problem."},
	{FIGURE_LAST_SUCCESS_SECONDS, "gauge", "config_last_reload_success_timestamp_seconds",
		"When that was so last."},
	{FIGURE_LAST_ATTEMPT_SECONDS, "gauge", "config_last_reload_attempt_timestamp_seconds",
		"When the files were looked at last."},
	{FIGURE_FILES_OK, "gauge", "files_loaded", "Files that are served as they are."},
	{FIGURE_FILES_STALE, "gauge", "files_stale",
		"Files that are not good now and served in their last good version."},
	{FIGURE_FILES_INVALID, "gauge", "files_invalid",
		"Files that are not good and never were, and places that cannot be looked at."},
	{FIGURE_FILES_UNSETTLED, "gauge", "files_unsettled",
		"Files with newer content that is not known to be complete."},
	{FIGURE_FILES_LEAVING, "gauge", "files_leaving",
		"Files that are gone and served for a moment more."},
	{FIGURE_FILES_MOUNTED, "gauge", "static_mount_files",
		"Files that are mounted one by one, whose replacement cannot be seen."},
	{FIGURE_LOOK_RETRIES, "counter", "scan_retries_total",
		"Scans that found files in the middle of a change."},
	{FIGURE_FORCED, "counter", "forced_publishes_total",
		"Publications at the maximum latency, without what was not known to be complete."},
	{FIGURE_EVENTS, "counter", "inotify_events_total", "Events read from inotify."},
	{FIGURE_OVERFLOWS, "counter", "inotify_overflows_total", "Times that events were lost."},
	{FIGURE_WATCHES, "gauge", "inotify_watches", "Directories that are watched."},
	{FIGURE_INOTIFY, "gauge", "inotify_enabled", "Whether there is inotify."},
	{FIGURE_RESTARTS, "counter", "inotify_restarts_total", "Times that inotify broke down."},
	{FIGURE_POLL_FOUND, "counter", "poll_detected_changes_total",
		"Changes found by the clock alone; on a local file system events are being missed."},
	{FIGURE_ROOT_AVAILABLE, "gauge", "root_available",
		"Whether the prompt directory can be looked at."},
	{FIGURE_ROOT_SWAPS, "counter", "root_swaps_total",
		"Times that the prompt directory's path led to another directory."},
	{FIGURE_TOKENS, "gauge", "tokens", "Tokens of the tokens file that are in force."},
	{FIGURE_TOKENS_BAD, "gauge", "tokens_file_bad",
		"Whether the tokens file cannot be taken, and the last good tokens stay in force."},
  /* clang-format on */
};

static void
put_head(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(
		out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void
put_one(struct buffer *out, const char *name, const char *help, double value)
{
	put_head(out, name, "gauge", help);
	buffer_printf(out, PREFIX "%s %.15g\n", name, value);
}

/* A metric with one label of fixed words. */
static void
put_labelled(
	struct buffer *out, const char *name, const char *label, const char *value, double number)
{
	buffer_printf(out, PREFIX "%s{%s=\"%s\"} %.15g\n", name, label, value, number);
}

static unsigned long long
load(const atomic_ullong *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

/* Put the sum of histograms, each a stride of bytes from the one before; labels ends in a comma or is
 * empty. */
static void
put_histogram(struct buffer *out, const char *name, const char *labels,
	const struct histogram *first, size_t count, size_t stride)
{
	unsigned long long below = 0, sum_us = 0;
	for (size_t i = 0; i < N_BUCKETS; i++) {
		for (size_t k = 0; k < count; k++)
			below += load(
				&((const struct histogram *)(const void *)((const char *)first +
									   k * stride))
					 ->counts[i]);
		buffer_printf(out, PREFIX "%s_bucket{%sle=\"", name, labels);
		if (isinf(bucket_bounds[i]))
			buffer_printf(out, "+Inf\"} %llu\n", below);
		else
			buffer_printf(out, "%g\"} %llu\n", bucket_bounds[i], below);
	}
	for (size_t k = 0; k < count; k++)
		sum_us += load(&(
			(const struct histogram *)(const void *)((const char *)first + k * stride))
					->sum_us);
	size_t length = strlen(labels);
	const char *open = length > 0 ? "{" : "", *close = length > 0 ? "}" : "";
	int shown = (int)(length > 0 ? length - 1 : 0);
	buffer_printf(out, PREFIX "%s_sum%s%.*s%s %.6f\n", name, open, shown, labels, close,
		(double)sum_us / 1e6);
	buffer_printf(
		out, PREFIX "%s_count%s%.*s%s %llu\n", name, open, shown, labels, close, below);
}

static void
put_reload_histograms(struct buffer *out, const struct figures *figures)
{
	put_head(out, "reload_duration_seconds", "histogram",
		"Time from the beginning of a scan to what it published.");
	put_histogram(out, "reload_duration_seconds", "", &figures->reload, 1, 0);
	put_head(out, "reload_latency_seconds", "histogram",
		"Time from the first event, or from the newest file's ctime, to the publication.");
	put_histogram(out, "reload_latency_seconds", "from=\"event\",", &figures->latency, 1, 0);
	put_histogram(out, "reload_latency_seconds", "from=\"ctime\",", &figures->age, 1, 0);
	put_head(out, "scan_duration_seconds", "histogram", "Time of looking at the files.");
	put_histogram(out, "scan_duration_seconds", "pass=\"first\",", &figures->look, 1, 0);
	put_histogram(out, "scan_duration_seconds", "pass=\"second\",", &figures->verify, 1, 0);
}

static void
put_reload_counts(struct buffer *out, const struct figures *figures)
{
	static const char *const results[] = {
		[RESULT_OK] = "ok",
		[RESULT_PARTIAL] = "partial",
		[RESULT_FAILED] = "failed",
		[RESULT_NOOP] = "noop",
	};
	put_head(out, "reloads_total", "counter", "Settled scans, by what became of them.");
	for (int i = 0; i < N_RESULTS; i++)
		put_labelled(out, "reloads_total", "result", results[i],
			(double)atomic_load(&figures->results[i]));
	put_head(out, "rescans_total", "counter", "Scans, by what led to them.");
	for (int i = 0; i < N_CAUSES; i++)
		put_labelled(out, "rescans_total", "cause", cause_name((enum cause)i),
			(double)atomic_load(&figures->causes[i]));
}

/* By the words that tell people where to look. */
static void
put_problems(struct buffer *out, const struct figures *figures)
{
	static const char *const reasons[] = {
		[ERROR_SYNTAX] = "parse",
		[ERROR_MISSING] = "missing",
		[ERROR_TYPE] = "type",
		[ERROR_VALUE] = "value",
		[ERROR_FILE] = "file",
		[ERROR_CONFLICT] = "duplicate",
	};
	put_head(out, "file_errors_total", "counter", "Problems, each counted when it came up.");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		put_labelled(out, "file_errors_total", "reason", reasons[i],
			(double)atomic_load(&figures->problems[i]));
}

static void
put_watching(struct buffer *out, const struct figures *figures)
{
	long long blindness = figures_get(figures, FIGURE_BLINDNESS);
	put_head(out, "inotify_watch_errors_total", "counter", "Failures to watch a directory.");
	for (int i = 0; i < N_WATCH_ERRORS; i++)
		put_labelled(out, "inotify_watch_errors_total", "errno",
			watch_error_name((enum watch_error)i),
			(double)atomic_load(&figures->watch_errors[i]));
	put_head(out, "watcher_degraded", "gauge",
		"Whether changes can go unseen, for that reason, and are looked for by the clock.");
	for (int i = SEES_ALL + 1; i < N_BLINDNESSES; i++)
		put_labelled(out, "watcher_degraded", "reason", blindness_name((enum blindness)i),
			blindness == i);
}

static void
put_holds(struct buffer *out, const struct figures *figures)
{
	int64_t now = clock_ms();
	put_head(out, "holds_total", "counter", "Times that publishing was put off.");
	for (int i = 0; i < N_HOLDS; i++)
		put_labelled(out, "holds_total", "cause", hold_name((enum hold)i),
			(double)atomic_load(&figures->holds[i]));
	put_head(out, "hold_seconds_total", "counter", "For how long in all.");
	for (int i = 0; i < N_HOLDS; i++) {
		int64_t since = atomic_load(&figures->held_since_ms[i]);
		int64_t held = atomic_load(&figures->held_ms[i]) + (since > 0 ? now - since : 0);
		put_labelled(out, "hold_seconds_total", "cause", hold_name((enum hold)i),
			(double)held / 1000);
	}
	put_head(out, "hold_active", "gauge", "Whether it is put off now.");
	for (int i = 0; i < N_HOLDS; i++)
		put_labelled(out, "hold_active", "cause", hold_name((enum hold)i),
			atomic_load(&figures->held_since_ms[i]) > 0);
}

static void
put_snapshot(struct buffer *out, const struct metrics_terms *terms)
{
	const struct snapshot *snapshot = terms->snapshot;
	const struct figures *figures = terms->figures;
	if (snapshot == NULL)
		return;
	put_one(out, "snapshot_generation", "Grows with each change of what is served, or wrong.",
		(double)snapshot->generation);
	put_one(out, "snapshot_age_seconds", "Time since the last publication.",
		(double)(clock_ms() - figures_get(figures, FIGURE_PUBLISHED_MS)) / 1000);
	put_one(out, "prompts_loaded", "Prompts that are served, each version by itself.",
		(double)snapshot->n_prompts);
	put_one(out, "problems", "What keeps files, prompts or labels from being served.",
		(double)snapshot->n_problems);
	put_one(out, "duplicate_ids", "Prompts and labels that another file has already.",
		(double)snapshot->n_conflicts);
	put_head(out, "snapshot_info", "gauge", "What is served; always 1.");
	buffer_printf(out, PREFIX "snapshot_info{digest=\"%s\",source_revision=\"%s\"} 1\n",
		snapshot->revision,
		snapshot->source_revision != NULL ? snapshot->source_revision : "");
}

/* Label values escape backslashes, quotes and line feeds. */
static void
put_value(struct buffer *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			buffer_putc(out, '\\');
		buffer_putc(out, *value);
	}
}

static void
put_prompt(struct buffer *out, const struct prompt *prompt)
{
	unsigned long long requests = meter_read(prompt->meter);
	if (requests == 0)
		return;
	buffer_puts(out, PREFIX "prompt_requests_total{prompt_id=\"");
	put_value(out, prompt->id);
	buffer_puts(out, "\",version=\"");
	put_value(out, prompt->version != NULL ? prompt->version : "");
	buffer_printf(out, "\"} %llu\n", requests);
}

/* Only prompts that were asked for: there may be very many. */
static void
put_prompts(struct buffer *out, const struct snapshot *snapshot)
{
	put_head(out, "prompt_requests_total", "counter",
		"Requests that were answered with a prompt, by its id and version.");
	for (size_t i = 0; i < snapshot->n_groups; i++)
		for (size_t k = 0; k < snapshot->groups[i].count; k++)
			put_prompt(out, snapshot->groups[i].entries[k].prompt);
}

static const char *const endpoint_names[N_ENDPOINTS] = {
	[ENDPOINT_NONE] = "other",
	[ENDPOINT_LITELLM] = "litellm",
	[ENDPOINT_HEALTH] = "health",
	[ENDPOINT_READY] = "ready",
	[ENDPOINT_PROMPTS] = "prompts",
	[ENDPOINT_PROMPT] = "prompt",
	[ENDPOINT_VARIABLES] = "variables",
	[ENDPOINT_RENDER] = "render",
	[ENDPOINT_METRICS] = "metrics",
	[ENDPOINT_STATUS] = "status",
	[ENDPOINT_RELOAD] = "reload",
	[ENDPOINT_OPENAPI] = "openapi",
};

static void
put_requests(struct buffer *out, const struct metrics_terms *terms)
{
	put_head(out, "http_requests_total", "counter", "Requests that were answered.");
	for (int endpoint = 0; endpoint < N_ENDPOINTS; endpoint++)
		for (int i = 0; i < N_STATUSES; i++) {
			unsigned long long sum = 0;
			for (size_t k = 0; k < terms->n_workers; k++)
				sum += load(&terms->traffic[k].requests[endpoint][i]);
			if (sum > 0)
				buffer_printf(out,
					PREFIX "http_requests_total{endpoint=\"%s\",code=\"%d\"} "
					       "%llu\n",
					endpoint_names[endpoint], traffic_statuses[i], sum);
		}
	put_head(out, "http_request_duration_seconds", "histogram",
		"Time from the whole request to the end of the reply.");
	for (int endpoint = 0; endpoint < N_ENDPOINTS; endpoint++) {
		struct buffer labels = {0};
		buffer_printf(&labels, "endpoint=\"%s\",", endpoint_names[endpoint]);
		out->failed |= labels.failed;
		if (!labels.failed)
			put_histogram(out, "http_request_duration_seconds", labels.data,
				&terms->traffic->duration[endpoint], terms->n_workers,
				sizeof(*terms->traffic));
		buffer_finish(&labels);
	}
}

static void
put_connections(struct buffer *out, const struct metrics_terms *terms)
{
	unsigned long long accepted = 0, open = 0;
	for (size_t k = 0; k < terms->n_workers; k++) {
		accepted += load(&terms->traffic[k].connections);
		open += load(&terms->traffic[k].open);
	}
	put_head(out, "http_connections_total", "counter", "Connections that were accepted.");
	buffer_printf(out, PREFIX "http_connections_total %llu\n", accepted);
	put_one(out, "http_connections", "Connections that are open.", (double)open);
}

static void
put_log(struct buffer *out)
{
	put_head(out, "log_lines_lost_total", "counter",
		"Lines of the log that nobody read in time.");
	buffer_printf(out, PREFIX "log_lines_lost_total %llu\n", log_lost());
	put_head(out, "audit_lines_lost_total", "counter",
		"Lines that could not be written to the audit log.");
	buffer_printf(out, PREFIX "audit_lines_lost_total %llu\n", log_lost_audit());
}

/* By the names that Prometheus' client libraries give them. */
static void
put_process(struct buffer *out)
{
	buffer_printf(out,
		"# HELP process_cpu_seconds_total CPU time, of all threads.\n"
		"# TYPE process_cpu_seconds_total counter\n"
		"process_cpu_seconds_total %.6f\n"
		"# HELP process_resident_memory_bytes Memory that is resident.\n"
		"# TYPE process_resident_memory_bytes gauge\n"
		"process_resident_memory_bytes %.15g\n",
		process_cpu_seconds(), process_resident_bytes());
}

void
metrics_put(const struct metrics_terms *terms, struct buffer *out)
{
	const struct figures *figures = terms->figures;
	long long began_ms = figures_get(figures, FIGURE_LOOK_BEGAN_MS);
	put_head(out, "build_info", "gauge", "The program; always 1.");
	buffer_puts(out, PREFIX "build_info{version=\"" PROMPTD_VERSION "\"} 1\n");
	put_one(out, "ready", "Whether /ready is green.", terms->ready);
	put_snapshot(out, terms);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_head(out, rows[i].name, rows[i].type, rows[i].help);
		buffer_printf(out, PREFIX "%s %lld\n", rows[i].name,
			figures_get(figures, rows[i].figure));
	}
	put_one(out, "poll_interval_seconds", "Time between looks at everything.",
		(double)figures_get(figures, FIGURE_POLL_MS) / 1000);
	put_one(out, "scan_in_progress_seconds", "How long the scan under way takes already.",
		began_ms > 0 ? (double)(clock_ms() - began_ms) / 1000 : 0);
	put_reload_counts(out, figures);
	put_problems(out, figures);
	put_reload_histograms(out, figures);
	put_watching(out, figures);
	put_holds(out, figures);
	put_requests(out, terms);
	put_connections(out, terms);
	put_log(out);
	put_process(out);
	if (terms->per_prompt && terms->snapshot != NULL)
		put_prompts(out, terms->snapshot);
}
