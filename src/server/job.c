/* job.c -- a new prompt on its way to becoming a file. */
#include "server/job.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/text.h"
#include "core/unit.h"
#include "core/version.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/writer.h"

__attribute__((format(printf, 3, 4))) static void
say(struct job *job, enum job_outcome outcome, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(job->message, sizeof(job->message), format, args);
	va_end(args);
	text_trim_utf8(job->message);
	job->outcome = outcome;
}

/* Whether a label that the new prompt brings would be in conflict with a version that is served. */
static bool
check_labels(struct job *job, const struct prompt *prompt, const struct entry *entry)
{
	const char *version = entry->prompt->version != NULL ? entry->prompt->version : "";
	for (size_t i = 0; i < prompt->n_labels; i++) {
		const char *label = prompt->labels[i];
		if (!entry_has_label(entry, label) && strcmp(label, version) != 0)
			continue;
		say(job, JOB_TAKEN,
			"label '%s' is %s '%s' of this prompt: take it away there first", label,
			strcmp(label, version) == 0 ? "the version" : "held by version", version);
		return false;
	}
	if (prompt->version == NULL || !entry_has_label(entry, prompt->version))
		return true;
	say(job, JOB_TAKEN, "version '%s' is a label of this prompt: give it another version",
		prompt->version);
	return false;
}

/* Whether a new prompt can stand beside the versions of its id. */
static bool
check_versions(struct job *job, const struct prompt *prompt, const struct group *group)
{
	for (size_t i = 0; group != NULL && i < group->count; i++) {
		const struct entry *entry = &group->entries[i];
		if (version_compare(entry->prompt->version, prompt->version) == 0) {
			job->outcome = JOB_ID_EXISTS;
			return false;
		}
		if (!check_labels(job, prompt, entry))
			return false;
	}
	if (group == NULL || prompt->version != NULL)
		return true;
	job->outcome = JOB_VERSION_NEEDED;
	return false;
}

/* Whether the job's file would be served as it was sent, and disturb nothing. */
static bool
check_new(struct job *job, const struct unit *unit, const struct loader *loader,
	const struct snapshot *published)
{
	if (unit == NULL) {
		say(job, JOB_FAILED, "out of memory");
		return false;
	}
	if (job->length > TREE_MAX_FILE_BYTES || unit->n_errors > 0) {
		say(job, JOB_INVALID, "the file would not be served: %s",
			unit->n_errors > 0 ? unit->problems[0].message : "it is larger than 1 MiB");
		return false;
	}
	const struct prompt *prompt = &unit->prompts[0];
	if (!check_versions(job, prompt, snapshot_find(published, prompt->id)))
		return false;
	const char *like = loader_find_like(loader, job->path);
	if (like != NULL)
		say(job, JOB_TAKEN, "file '%s' already exists", like);
	return like == NULL;
}

/* Write the file. Returns whether it was created. */
static bool
write_file(struct job *job, const char *directory)
{
	static const enum job_outcome outcomes[] = {
		[WRITER_CREATED] = JOB_CREATED,
		[WRITER_EXISTS] = JOB_TAKEN,
		[WRITER_BLOCKED] = JOB_TAKEN,
		[WRITER_DENIED] = JOB_DENIED,
		[WRITER_FULL] = JOB_FULL,
		[WRITER_FAILED] = JOB_FAILED,
	};
	struct error error = {0};
	enum writer_result result =
		writer_create(directory, job->path, job->data, job->length, &error);
	say(job, outcomes[result], "%s", error.message);
	if (result == WRITER_CREATED)
		log_write(LOG_LEVEL_INFO, "prompt created", LOG_TEXT("path", job->path), LOG_END);
	else if (outcomes[result] != JOB_TAKEN)
		log_write(LOG_LEVEL_ERROR, error.message, LOG_END);
	return result == WRITER_CREATED;
}

struct unit *
job_write(struct job *job, const char *directory, struct loader *loader,
	const struct snapshot *published)
{
	struct unit *unit = loader_make(loader, job->path, job->data, job->length);
	if (check_new(job, unit, loader, published) && write_file(job, directory))
		return unit;
	unit_unref(unit);
	return NULL;
}
