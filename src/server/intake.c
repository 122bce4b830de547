/* intake.c -- what is made of a file that was found, or is gone. */
#include "server/intake.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/loader.h"
#include "server/makers.h"
#include "server/marks.h"
#include "server/tree.h"
#include "server/warnings.h"
#include "server/watcher.h"

enum {
	SECOND_NS = 1000 * 1000 * 1000,
	OLD_NS = SECOND_NS, /* without evidence, older content is complete */
	WRITER_RETRY_MS = 2000, /* look again by then at what is being written, … */
	RETRY_MS = 2000, /* … and at what could not be read */
	WRITER_SILENT_MS = 10 * 1000, /* a writer that pauses so long is looked for; … */
	WRITER_LOST_MS = 60 * 1000, /* … where that cannot be, its close must have been missed */
	FORCED_TRIES = 100, /* of a look, to read files between two writes, … */
	FORCED_WAIT_MS = 1, /* … after a pause each */
};

void
intake_begin(struct intake *intake, struct watcher *watcher, bool force, struct look *look)
{
	*look = (struct look){0};
	intake->watcher = watcher;
	intake->now_ms = clock_ms();
	intake->force = force;
	intake->tries = force ? FORCED_TRIES : 0;
	intake->look = look;
	intake->failed = false;
}

/* Whether a file's times are so long ago. */
static bool
is_older(const struct signature *signature, int64_t age_ns)
{
	int64_t before_ns = clock_real_ns() - age_ns;
	return signature->modified_ns < before_ns && signature->changed_ns < before_ns;
}

/* Whether content may change again without another signature: file times stand still for up to 20 ms, and
 * where they have no fractions, as on FAT, for 2 s. */
static bool
is_racy(const struct signature *signature)
{
	const int64_t grain_ns = 20 * 1000 * 1000;
	bool coarse = signature->modified_ns % SECOND_NS == 0;
	return !is_older(signature, coarse ? 2 * (int64_t)SECOND_NS : grain_ns);
}

/* Look at a path again, at that time or before, even if nothing happens to it. */
static void
look_again(struct intake *intake, const char *path, int64_t at_ms, int64_t *first_ms)
{
	struct mark *mark =
		marks_make(watcher_marks(intake->watcher), strcmp(path, ".") == 0 ? "" : path);
	if (mark != NULL)
		mark->keep = true;
	if (*first_ms == 0 || at_ms < *first_ms)
		*first_ms = at_ms;
}

/* Note that a file's source is about to differ from the last snapshot's. */
static int
note_change(struct intake *intake, struct file *file)
{
	intake->look->changed = true;
	if (file->is_changed)
		return 0;
	if (files_append(&intake->changed, file) != 0)
		return -1;
	file->before = file->source;
	file->is_changed = true;
	return 0;
}

static void
swap_unit(struct unit **place, struct unit *unit)
{
	unit_unref(*place);
	*place = unit;
}

static bool
has_problem(const struct unit *unit, const struct problem *problem)
{
	for (size_t i = 0; unit != NULL && i < unit->n_problems; i++)
		if (unit->problems[i].rule == problem->rule &&
			strcmp(unit->problems[i].message, problem->message) == 0)
			return true;
	return false;
}

/* Log those warnings of new content that the file had not before, in its good version or since. */
static void
tell_warnings(struct intake *intake, const struct source *before, const struct unit *now)
{
	for (size_t i = 0; i < now->n_problems; i++) {
		const struct problem *problem = &now->problems[i];
		if (problem->kind == ERROR_WARNING && !has_problem(before->served, problem) &&
			!has_problem(before->faulty, problem))
			warnings_log(problem, ++intake->warnings);
	}
}

/* Give a file the unit of its newest content, which is taken: good content is served; of bad content the
 * last good version is, be it one that was to be let go. */
static int
take_unit(struct intake *intake, struct file *file, struct unit *unit)
{
	if (note_change(intake, file) != 0) {
		unit_unref(unit);
		return -1;
	}
	bool good = unit->n_errors == 0;
	tell_warnings(intake, &file->source, unit);
	const struct unit *published = file->before.served;
	if (!good && file->source.served == NULL && published != NULL)
		file->source.served = unit_ref(published);
	if (good)
		swap_unit(&file->source.served, unit);
	swap_unit(&file->source.faulty, good ? NULL : unit);
	return 0;
}

/* The file is there, and what it holds is known. */
static int
settle(struct intake *intake, struct file *file, const struct signature *signature, bool again)
{
	file->signature = *signature;
	file->again = again;
	file->seen_ms = file->gone_ms = 0;
	if (!file->source.leaving)
		return 0;
	if (note_change(intake, file) != 0)
		return -1;
	file->source.leaving = false;
	return 0;
}

/* Take a file's problem, unless it is the one it had. */
static int
take_problem(struct intake *intake, const struct tree_file *found, struct file *file,
	const struct error *error)
{
	const struct unit *known = file->source.faulty;
	if (settle(intake, file, &found->signature, true) != 0)
		return -1;
	if (found->is_transient) {
		look_again(intake, found->path, intake->now_ms + RETRY_MS, &intake->look->retry_ms);
		intake->look->torn |= found->pin != NULL && !intake->force;
	}
	memset(file->content, 0, sizeof(file->content));
	if (known != NULL && known->n_problems == 1 &&
		strcmp(known->problems[0].message, error->message) == 0)
		return 0;
	struct unit *unit = unit_new_failed(found->path, error);
	return unit != NULL ? take_unit(intake, file, unit) : -1;
}

/* Take what was made of a file's new bytes. */
static int
take_made(struct intake *intake, struct file *file, struct unit *unit)
{
	if (unit != NULL)
		return take_unit(intake, file, unit);
	struct error error;
	const struct pin pinned = {0};
	const struct tree_file failed = {.path = file->path,
		.signature = file->signature,
		.pin = file->pin_inode != 0 ? &pinned : NULL,
		.is_transient = true};
	error_set(&error, "out of memory\nthe file will be tried again");
	return take_problem(intake, &failed, file, &error);
}

static void
on_unit(void *context, struct file *file, struct unit *unit)
{
	struct intake *intake = context;
	file_count(file, &intake->counts, -1);
	if (take_made(intake, file, unit) != 0) {
		memset(file->content, 0, sizeof(file->content)); /* it is still to be taken */
		file->again = intake->failed = true;
	}
	file_count(file, &intake->counts, 1);
}

int
intake_init(struct intake *intake, const struct prompt_rules *rules)
{
	intake->makers = makers_new(rules, on_unit, intake);
	intake->digest = digest_new();
	return intake->makers != NULL && intake->digest != NULL ? 0 : -1;
}

void
intake_finish(struct intake *intake)
{
	free(intake->changed.items);
	makers_free(intake->makers);
	digest_free(intake->digest);
}

/* Leave what is not known to be complete for another look, and note since when it looks like that. */
static int
leave(struct intake *intake, const struct tree_file *found, struct file *file)
{
	bool is_same = file->seen_ms > 0 && signature_equal(&file->seen, &found->signature);
	bool changes = file->seen_ms > 0 && !is_same; /* again: somebody must be writing */
	if (!is_same)
		file->seen_ms = intake->now_ms;
	file->seen = found->signature;
	file->again = true;
	file->gone_ms = 0;
	bool writing = watcher_evidence(intake->watcher, found->path, found->is_linked,
			       found->signature.changed_ns) == EVIDENCE_WRITING;
	int64_t next_ms = file->seen_ms + intake->settle_ms;
	if (writing)
		next_ms = intake->now_ms + WRITER_RETRY_MS;
	else if (next_ms <= intake->now_ms) /* it could not be opened */
		next_ms = intake->now_ms + intake->settle_ms;
	intake->look->unsettled = true;
	intake->look->waiting |= !writing && !changes;
	intake->look->torn |= found->pin != NULL && !writing && !changes;
	look_again(intake, found->path, next_ms, &intake->look->next_ms);
	return 0;
}

/* Whether a file that was not closed since it was written last, as far as events tell, is open no more: truncate(2)
 * tells of a change and of no close. */
static bool
is_left(struct intake *intake, const struct tree_file *found)
{
	int64_t silent_ms = intake->now_ms - watcher_written_ms(intake->watcher, found->path);
	if (silent_ms < WRITER_SILENT_MS)
		return false;
	enum tree_writer writer = tree_find_writer(found);
	bool is_left =
		writer == TREE_NO_WRITER || (writer == TREE_UNKNOWN && silent_ms >= WRITER_LOST_MS);
	if (is_left)
		watcher_note_complete(intake->watcher, found->path, intake->now_ms);
	return is_left;
}

/* Whether content that was not taken yet is known to be complete. A file that was just emptied is most likely
 * about to be written: for that no event is proof. */
static bool
is_complete(struct intake *intake, const struct tree_file *found, const struct file *file)
{
	const struct signature *signature = &found->signature;
	enum evidence evidence = watcher_evidence(
		intake->watcher, found->path, found->is_linked, signature->changed_ns);
	if (evidence == EVIDENCE_WRITING)
		return is_left(intake, found);
	if (evidence == EVIDENCE_COMPLETE && signature->size > 0)
		return true;
	bool seen = file->seen_ms > 0 && signature_equal(&file->seen, signature);
	return is_older(signature, OLD_NS) ||
	       (seen && intake->now_ms - file->seen_ms >= intake->settle_ms);
}

/* How much has happened to a path, as far as that was taken in. */
static unsigned
known_events(const struct intake *intake, const char *path)
{
	const struct mark *mark = marks_find(watcher_marks(intake->watcher), path);
	return mark != NULL ? mark->events : 0;
}

/* The same, with what has happened since. */
static unsigned
count_events(struct intake *intake, const char *path)
{
	intake->now_ms = clock_ms();
	watcher_read(intake->watcher, intake->now_ms);
	return known_events(intake, path);
}

/* Take the bytes that were read: those that the file had in any case, others if they are known to be complete.
 * Returns 1 where they are not. */
static int
take_content(struct intake *intake, const struct tree_file *found, struct file *file)
{
	unsigned char content[DIGEST_BYTES];
	bool is_known = file->source.served != NULL || file->source.faulty != NULL;
	const struct buffer *bytes = makers_buffer(intake->makers);
	digest_add(intake->digest, bytes->data, bytes->length);
	digest_take(intake->digest, content);
	is_known = is_known && memcmp(file->content, content, DIGEST_BYTES) == 0;
	if (!is_known && !is_complete(intake, found, file))
		return 1;
	if (settle(intake, file, &found->signature, is_racy(&found->signature)) != 0)
		return -1;
	if (is_known)
		return 0;
	memcpy(file->content, content, DIGEST_BYTES);
	if (found->signature.changed_ns > intake->look->changed_ns)
		intake->look->changed_ns = found->signature.changed_ns;
	makers_put(intake->makers, file);
	return 0;
}

/* Read a file that may have changed. A write that began, or came and went, meanwhile shows in the signature or
 * in the events. */
static int
read_file(struct intake *intake, const struct tree_file *found, struct file *file)
{
	struct tree_file now = *found;
	struct error error;
	for (;;) {
		enum tree_result result = TREE_CHANGED;
		int taken = 1;
		unsigned events = known_events(intake, found->path);
		if (events > 0 || intake->force)
			events = count_events(intake, found->path);
		if (signature_equal(&now.signature, &file->signature) ||
			is_complete(intake, &now, file))
			result = tree_read(&now, makers_buffer(intake->makers), &error);
		bool alone = count_events(intake, found->path) == events;
		if (result == TREE_FAILED)
			return take_problem(intake, &now, file, &error);
		if (result == TREE_READ && alone)
			taken = take_content(intake, &now, file);
		if (taken <= 0)
			return taken;
		if (intake->tries == 0)
			return leave(intake, &now, file);
		intake->tries--;
		poll(NULL, 0, FORCED_WAIT_MS);
		tree_refresh(&now);
	}
}

/* Whether a file needs no reading: it looks as it did and nothing happened to it. */
static bool
is_as_before(const struct intake *intake, const struct tree_file *found, const struct file *file)
{
	const struct mark *mark = marks_find(watcher_marks(intake->watcher), found->path);
	bool touched = mark != NULL && (mark->own.at_ms > 0 || mark->target.at_ms > 0);
	return !file_is_gone(file) && !touched && !file->again && found->problem == NULL &&
	       signature_equal(&file->signature, &found->signature);
}

int
intake_take(struct intake *intake, const struct tree_file *found, struct file *file)
{
	struct error error;
	if (intake->failed)
		return -1;
	if (is_as_before(intake, found, file))
		return settle(intake, file, &file->signature, false);
	if (found->problem == NULL)
		return read_file(intake, found, file);
	error_set(&error, "%s", found->problem);
	return take_problem(intake, found, file, &error);
}

int
intake_end(struct intake *intake)
{
	makers_finish(intake->makers);
	return intake->failed ? -1 : 0;
}

/* Let a file that is gone serve what was published of it, if anything was, not what came and went since. */
static void
restore_served(struct file *file)
{
	if (!file->is_changed || file->before.served == file->source.served)
		return;
	struct unit *before = file->before.served;
	swap_unit(&file->source.served, before != NULL ? unit_ref(before) : NULL);
	memset(file->content, 0, sizeof(file->content));
	file->again = true;
}

int
intake_miss(struct intake *intake, struct file *file, bool replaced)
{
	if (file->gone_ms == 0)
		file->gone_ms = intake->now_ms;
	int64_t end_ms = file->gone_ms + intake->delete_grace_ms;
	file->seen_ms = 0;
	restore_served(file);
	bool may_return = !replaced && !watcher_knows_gone(intake->watcher, file->path);
	if (file->source.served != NULL && intake->now_ms < end_ms && may_return) {
		look_again(intake, file->path, end_ms, &intake->look->next_ms);
		if (!file->source.leaving && note_change(intake, file) != 0)
			return -1;
		file->source.leaving = true;
		return 0;
	}
	bool serves = file->source.served != NULL || file->source.faulty != NULL;
	if (serves && note_change(intake, file) != 0)
		return -1;
	swap_unit(&file->source.served, NULL);
	swap_unit(&file->source.faulty, NULL);
	file->source.leaving = false;
	intake->some_are_gone = true;
	return 0;
}
