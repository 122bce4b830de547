/* creation.c -- a new prompt on its way to becoming a file. */
#include "server/creation.h"

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
say(struct creation *creation, enum creation_outcome outcome, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(creation->message, sizeof(creation->message), format, args);
	va_end(args);
	text_trim_utf8(creation->message);
	creation->outcome = outcome;
}

/* Whether a label that the new prompt brings would be in conflict with a version that is served. */
static bool
check_labels(struct creation *creation, const struct prompt *prompt, const struct entry *entry)
{
	const char *version = entry->prompt->version != NULL ? entry->prompt->version : "";
	for (size_t i = 0; i < prompt->n_labels; i++) {
		const char *label = prompt->labels[i];
		if (!entry_has_label(entry, label) && strcmp(label, version) != 0)
			continue;
		say(creation, CREATION_TAKEN,
			"label '%s' is %s '%s' of this prompt: take it away there first", label,
			strcmp(label, version) == 0 ? "the version" : "held by version", version);
		return false;
	}
	if (prompt->version == NULL || !entry_has_label(entry, prompt->version))
		return true;
	say(creation, CREATION_TAKEN,
		"version '%s' is a label of this prompt: give it another version", prompt->version);
	return false;
}

/* Whether a new prompt can stand beside the versions of its id. */
static bool
check_versions(struct creation *creation, const struct prompt *prompt, const struct group *group)
{
	for (size_t i = 0; group != NULL && i < group->count; i++) {
		const struct entry *entry = &group->entries[i];
		if (version_compare(entry->prompt->version, prompt->version) == 0) {
			creation->outcome = CREATION_ID_EXISTS;
			return false;
		}
		if (!check_labels(creation, prompt, entry))
			return false;
	}
	if (group == NULL || prompt->version != NULL)
		return true;
	creation->outcome = CREATION_VERSION_NEEDED;
	return false;
}

/* Whether the new file would be served as it was sent, and disturb nothing. */
static bool
check_new(struct creation *creation, const struct unit *unit, const struct loader *loader,
	const struct snapshot *published)
{
	if (unit == NULL) {
		say(creation, CREATION_FAILED, "out of memory");
		return false;
	}
	if (creation->length > TREE_MAX_FILE_BYTES || unit->n_errors > 0) {
		say(creation, CREATION_INVALID, "the file would not be served: %s",
			unit->n_errors > 0 ? unit->problems[0].message : "it is larger than 1 MiB");
		return false;
	}
	const struct prompt *prompt = &unit->prompts[0];
	if (!check_versions(creation, prompt, snapshot_find(published, prompt->id)))
		return false;
	const char *like = loader_find_like(loader, creation->path);
	if (like != NULL)
		say(creation, CREATION_TAKEN, "file '%s' already exists", like);
	return like == NULL;
}

/* Write the file. Returns whether it was created. */
static bool
write_file(struct creation *creation, const char *directory)
{
	static const enum creation_outcome outcomes[] = {
		[WRITER_CREATED] = CREATION_DONE,
		[WRITER_EXISTS] = CREATION_TAKEN,
		[WRITER_BLOCKED] = CREATION_TAKEN,
		[WRITER_DENIED] = CREATION_DENIED,
		[WRITER_FULL] = CREATION_FULL,
		[WRITER_FAILED] = CREATION_FAILED,
	};
	struct error error = {0};
	enum writer_result result =
		writer_create(directory, creation->path, creation->data, creation->length, &error);
	say(creation, outcomes[result], "%s", error.message);
	if (result != WRITER_CREATED && outcomes[result] != CREATION_TAKEN)
		log_write(LOG_LEVEL_ERROR, error.message, LOG_END);
	return result == WRITER_CREATED;
}

bool
creation_write(struct creation *creation, const char *directory, struct loader *loader,
	const struct snapshot *published)
{
	struct unit *unit = loader_make(loader, creation->path, creation->data, creation->length);
	bool created =
		check_new(creation, unit, loader, published) && write_file(creation, directory);
	unit_unref(unit);
	return created;
}

void
creation_verify(struct creation *creation, const struct snapshot *published)
{
	const struct group *group =
		published != NULL ? snapshot_find(published, creation->id) : NULL;
	if (creation->outcome != CREATION_DONE)
		return;
	for (size_t i = 0; group != NULL && i < group->count; i++)
		if (strcmp(group->entries[i].prompt->unit->path, creation->path) == 0)
			return;
	creation->outcome = CREATION_UNSERVED;
}
