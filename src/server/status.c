/* status.c -- how the reload stands, in JSON. */
#include "server/status.h"

#include <stdio.h>
#include <time.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/json_put.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/loader.h"
#include "server/warnings.h"
#include "server/watcher.h"

enum { SHOWN_WARNINGS = 100 };

static const char *const state_names[] = {
	[FILE_OK] = "ok",
	[FILE_STALE] = "stale",
	[FILE_INVALID] = "invalid",
	[FILE_UNSETTLED] = "unsettled",
	[FILE_LEAVING] = "leaving",
};

static const char *
boolean(bool value)
{
	return value ? "true" : "false";
}

static void
put_text(struct buffer *out, const char *key, const char *text)
{
	json_put_key(out, key);
	json_put_string(out, text);
}

static void
put_text_or_null(struct buffer *out, const char *key, const char *text)
{
	if (text != NULL && *text != '\0')
		put_text(out, key, text);
	else
		buffer_printf(out, ",\"%s\":null", key);
}

static void
put_directory(struct buffer *out, const struct status *status)
{
	bool available = *status->problem == '\0';
	buffer_printf(out, ",\"directory\":{\"available\":%s", boolean(available));
	put_text(out, "path", status->directory);
	put_text_or_null(out, "resolved", status->resolved);
	put_text_or_null(out, "problem", status->problem);
	if (available)
		buffer_printf(out, ",\"device\":%llu,\"inode\":%llu,\"filesystem\":\"0x%lx\"",
			(unsigned long long)status->device, (unsigned long long)status->inode,
			status->filesystem);
	buffer_putc(out, '}');
}

static void
put_watch(struct buffer *out, const struct status *status)
{
	const struct watcher_state *watcher = status->watcher;
	buffer_printf(out,
		",\"watch\":{\"mode\":\"%s\",\"blind\":%s,\"watches\":%u,\"poll_seconds\":%.3f,"
		"\"overflows\":%lu,\"reasons\":[",
		watcher->inotify ? "inotify" : "poll", boolean(watcher->blindness != SEES_ALL),
		watcher->watches, (double)figures_get(status->figures, FIGURE_POLL_MS) / 1000,
		watcher->overflows);
	if (watcher->blindness != SEES_ALL)
		json_put_string(out, watcher->reason);
	buffer_puts(out, "]}");
}

static void
put_holds(struct buffer *out, const struct figures *figures)
{
	bool first = true;
	buffer_puts(out, ",\"holds\":[");
	for (int i = 0; i < N_HOLDS; i++) {
		long long since = atomic_load(&figures->held_since_ms[i]);
		if (since == 0)
			continue;
		buffer_printf(out, "%s{\"cause\":\"%s\",\"age_ms\":%lld}", first ? "" : ",",
			hold_name((enum hold)i), (long long)clock_ms() - since);
		first = false;
	}
	buffer_putc(out, ']');
}

static void
put_problems(struct buffer *out, const struct snapshot *snapshot)
{
	buffer_puts(out, ",\"problems\":[");
	for (size_t i = 0; snapshot != NULL && i < snapshot->n_problems; i++) {
		struct buffer text = {0};
		problem_put(&snapshot->problems[i], &text);
		buffer_puts(out, i > 0 ? "," : "");
		json_put_string(out, text.failed ? "" : text.data);
		out->failed |= text.failed;
		buffer_finish(&text);
	}
	buffer_putc(out, ']');
}

/* The list of warnings being put. */
struct warnings {
	struct buffer *out;
	size_t count, most;
};

static void
on_warning(void *context, const struct problem *problem)
{
	struct warnings *warnings = context;
	struct buffer text = {0};
	if (warnings->count++ >= warnings->most)
		return;
	problem_put(problem, &text);
	buffer_puts(warnings->out, warnings->count > 1 ? "," : "");
	json_put_string(warnings->out, text.failed ? "" : text.data);
	warnings->out->failed |= text.failed;
	buffer_finish(&text);
}

/* Put what check would warn of, too: the first ones, or all. */
static void
put_warnings(struct buffer *out, const struct status *status, bool all)
{
	struct warnings warnings = {.out = out, .most = all ? SIZE_MAX : SHOWN_WARNINGS};
	struct arena *arena = arena_new();
	buffer_puts(out, ",\"warnings\":[");
	if (arena != NULL)
		warnings_each(status->loader, status->snapshot, status->default_labels, arena,
			on_warning, &warnings);
	out->failed |= arena == NULL || arena_failed(arena);
	arena_free(arena);
	buffer_printf(out, "],\"n_warnings\":%zu", warnings.count);
}

static void
put_counts(struct buffer *out, const struct file_counts *counts)
{
	size_t total = 0;
	for (int i = 0; i < N_FILE_STATES; i++)
		total += counts->files[i];
	buffer_printf(out, ",\"files\":{\"total\":%zu,\"mounts\":%zu", total, counts->mounted);
	for (int i = 0; i < N_FILE_STATES; i++)
		buffer_printf(out, ",\"%s\":%zu", state_names[i], counts->files[i]);
	buffer_putc(out, '}');
}

/* The list of files being put. */
struct listing {
	struct buffer *out;
	bool all, any;
};

static void
on_file(void *context, const struct file_report *report)
{
	struct listing *listing = context;
	struct buffer *out = listing->out;
	char time[32] = "", digits[2 * DIGEST_BYTES];
	time_t seconds = (time_t)(report->modified_ns / 1000000000);
	struct tm parts;
	if (report->state == FILE_OK && !listing->all)
		return;
	buffer_puts(out, listing->any ? ",{\"path\":" : "{\"path\":");
	json_put_string(out, report->path);
	buffer_printf(out, ",\"state\":\"%s\",\"sha256\":\"", state_names[report->state]);
	text_put_hex(digits, report->content, DIGEST_BYTES);
	buffer_put(out, digits, sizeof(digits));
	if (gmtime_r(&seconds, &parts) != NULL)
		strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &parts);
	buffer_printf(out, "\",\"modified\":\"%s\",\"prompt_ids\":[", time);
	for (size_t i = 0; report->served != NULL && i < report->served->n_prompts; i++) {
		buffer_puts(out, i > 0 ? "," : "");
		json_put_string(out, report->served->prompts[i].id);
	}
	buffer_puts(out, "]}");
	listing->any = true;
}

static void
put_publications(struct buffer *out, const struct status *status)
{
	buffer_puts(out, ",\"reloads\":[");
	for (size_t i = 0; i < status->n_publications; i++) {
		const struct publication *publication = &status->publications[i];
		buffer_printf(out,
			"%s{\"generation\":%llu,\"cause\":\"%s\",\"added\":%zu,\"changed\":%zu,"
			"\"removed\":%zu,\"scan_ms\":%lld,\"latency_ms\":%lld}",
			i > 0 ? "," : "", (unsigned long long)publication->generation,
			cause_name(publication->cause), publication->added, publication->changed,
			publication->removed, (long long)publication->look_ms,
			(long long)publication->latency_ms);
	}
	buffer_putc(out, ']');
}

/* Put what the snapshot tells, with an opening brace. */
static void
put_snapshot(struct buffer *out, const struct snapshot *snapshot, bool settled)
{
	buffer_printf(out, "{\"generation\":%llu,\"settled\":%s,\"prompts\":%zu",
		snapshot != NULL ? (unsigned long long)snapshot->generation : 0, boolean(settled),
		snapshot != NULL ? snapshot->n_groups : 0);
	put_text_or_null(out, "revision", snapshot != NULL ? snapshot->revision : NULL);
	put_problems(out, snapshot);
}

void
status_put_busy(const struct snapshot *snapshot, const struct figures *figures, int64_t busy_ms,
	struct buffer *out)
{
	put_snapshot(out, snapshot, false);
	put_text_or_null(
		out, "source_revision", snapshot != NULL ? snapshot->source_revision : NULL);
	put_holds(out, figures);
	buffer_printf(out, ",\"scan_in_progress_ms\":%lld}", (long long)busy_ms);
}

void
status_put(const struct status *status, bool all_files, struct buffer *out)
{
	struct listing listing = {.out = out, .all = all_files};
	put_snapshot(out, status->snapshot, status->settled);
	put_warnings(out, status, all_files);
	put_text_or_null(out, "source_revision", status->commit);
	put_directory(out, status);
	put_watch(out, status);
	put_holds(out, status->figures);
	put_counts(out, loader_counts(status->loader));
	buffer_puts(out, ",\"file_list\":[");
	loader_report(status->loader, on_file, &listing);
	buffer_putc(out, ']');
	put_publications(out, status);
	buffer_putc(out, '}');
}
