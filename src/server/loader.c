/* loader.c -- the next snapshot, from the tree and the last one. */
#include "server/loader.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/clock.h"
#include "server/files.h"
#include "server/marks.h"
#include "server/tree.h"
#include "server/watcher.h"

enum {
	GRAIN_NS = 20 * 1000 * 1000, /* file times may be alike for so long after a change */
	OLD_NS = 1000 * 1000 * 1000, /* without evidence, older content is complete */
	WRITE_IDLE_MS = 2000, /* look again by then at what is being written */
	FORCED_TRIES = 100, /* of a look, to read files between two writes, … */
	FORCED_WAIT_MS = 1, /* … after a pause each */
};

struct loader {
	struct loader_terms terms;
	struct unit_maker *maker;
	struct digest *digest;
	struct buffer buffer; /* of one file's bytes */
	struct files files;
	struct files added; /* by the look under way */
	struct files changed; /* those that differ from the last snapshot; borrowed */
	bool some_are_gone; /* among those that changed */
	unsigned look;
	size_t found; /* files, by the last look */
	struct loader_counts counts;
};

/* A look under way. */
struct looking {
	struct loader *loader;
	struct watcher *watcher;
	int64_t now_ms;
	int tries; /* left, if the look is forced */
	struct buffer hidden; /* of const char *: directories that could not be looked at */
	struct look *look;
};

struct loader *
loader_new(const struct loader_terms *terms)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	if (loader == NULL)
		return NULL;
	loader->terms = *terms;
	loader->maker = unit_maker_new(terms->rules);
	loader->digest = digest_new();
	if (loader->maker != NULL && loader->digest != NULL)
		return loader;
	loader_free(loader);
	return NULL;
}

void
loader_free(struct loader *loader)
{
	if (loader == NULL)
		return;
	files_finish(&loader->files);
	files_finish(&loader->added);
	free(loader->changed.items);
	unit_maker_free(loader->maker);
	digest_free(loader->digest);
	buffer_finish(&loader->buffer);
	free(loader);
}

static bool
is_gone(const struct file *file)
{
	return file->source.served == NULL && file->source.faulty == NULL && file->seen_ms == 0;
}

static enum file_state
state_of(const struct file *file)
{
	if (file->gone_ms > 0)
		return FILE_LEAVING;
	if (file->seen_ms > 0)
		return FILE_UNSETTLED;
	if (file->source.faulty == NULL)
		return FILE_OK;
	return file->source.served != NULL ? FILE_STALE : FILE_INVALID;
}

/* Count a file in (1) or out (-1). */
static void
count(struct loader *loader, const struct file *file, int by)
{
	if (is_gone(file))
		return;
	loader->counts.files[state_of(file)] += (size_t)by;
	loader->counts.mounted += file->is_mounted ? (size_t)by : 0;
}

/* Whether a file's times are so long ago. */
static bool
is_older(const struct signature *signature, int64_t age_ns)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t before_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - age_ns;
	return signature->modified_ns < before_ns && signature->changed_ns < before_ns;
}

/* Look at a path again, by some time, even if nothing happens to it. */
static void
look_again(struct looking *looking, const char *path, int64_t at_ms)
{
	struct mark *mark = marks_make(watcher_marks(looking->watcher), path);
	if (mark != NULL)
		mark->keep = true;
	if (looking->look->next_ms == 0 || at_ms < looking->look->next_ms)
		looking->look->next_ms = at_ms;
}

/* Note that a file's source is about to differ from the last snapshot's. */
static int
note_change(struct looking *looking, struct file *file)
{
	looking->look->changed = true;
	if (file->is_changed)
		return 0;
	if (files_append(&looking->loader->changed, file) != 0)
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

/* Give a file the unit of its newest content, which is taken: good content is served; of bad content the
 * last good version is. */
static int
take_unit(struct looking *looking, struct file *file, struct unit *unit)
{
	if (note_change(looking, file) != 0) {
		unit_unref(unit);
		return -1;
	}
	bool good = unit->n_errors == 0;
	if (good)
		swap_unit(&file->source.served, unit);
	swap_unit(&file->source.faulty, good ? NULL : unit);
	return 0;
}

/* The file is there, and what it holds is known. */
static int
settle(struct looking *looking, struct file *file, const struct signature *signature, bool again)
{
	file->signature = *signature;
	file->again = again;
	file->seen_ms = file->gone_ms = 0;
	if (!file->source.leaving)
		return 0;
	if (note_change(looking, file) != 0)
		return -1;
	file->source.leaving = false;
	return 0;
}

/* Take a file's problem, unless it is the one it had. */
static int
take_problem(struct looking *looking, const struct tree_file *found, struct file *file,
	const struct error *error)
{
	const struct unit *known = file->source.faulty;
	if (settle(looking, file, &found->signature, true) != 0)
		return -1;
	if (known != NULL && known->n_problems == 1 &&
		strcmp(known->problems[0].message, error->message) == 0)
		return 0;
	memset(file->content, 0, sizeof(file->content));
	struct unit *unit = unit_new_failed(found->path, error);
	return unit != NULL ? take_unit(looking, file, unit) : -1;
}

/* Take a file's bytes, unless they are those it had. */
static int
take_content(struct looking *looking, const struct tree_file *found, struct file *file)
{
	struct loader *loader = looking->loader;
	const char *data = loader->buffer.length > 0 ? loader->buffer.data : "";
	unsigned char content[DIGEST_BYTES];
	bool is_known = file->source.served != NULL || file->source.faulty != NULL;
	digest_add(loader->digest, data, loader->buffer.length);
	if (digest_take(loader->digest, content) != 0 ||
		settle(looking, file, &found->signature, !is_older(&found->signature, GRAIN_NS)) !=
			0)
		return -1;
	if (is_known && memcmp(file->content, content, DIGEST_BYTES) == 0)
		return 0;
	memcpy(file->content, content, DIGEST_BYTES);
	struct unit *unit = unit_new(loader->maker, found->path, data, loader->buffer.length);
	if (unit != NULL)
		return take_unit(looking, file, unit);
	struct error error;
	error_set(&error, "out of memory: the file will be tried again");
	return take_problem(looking, found, file, &error);
}

/* Leave what is not known to be complete for another look, and note since when it looks like that. */
static int
leave(struct looking *looking, const struct tree_file *found, struct file *file)
{
	if (file->seen_ms == 0 || !signature_equal(&file->seen, &found->signature))
		file->seen_ms = looking->now_ms;
	file->seen = found->signature;
	file->again = true;
	file->gone_ms = 0;
	looking->look->unsettled = true;
	bool writing = watcher_evidence(looking->watcher, found->path, found->is_linked,
			       looking->now_ms) == EVIDENCE_WRITING;
	look_again(looking, found->path,
		writing ? looking->now_ms + WRITE_IDLE_MS
			: file->seen_ms + looking->loader->terms.settle_ms);
	return 0;
}

/* Whether content that was not taken yet is known to be complete. */
static bool
is_complete(const struct looking *looking, const struct tree_file *found, const struct file *file)
{
	switch (watcher_evidence(
		looking->watcher, found->path, found->is_linked, looking->now_ms)) {
	case EVIDENCE_COMPLETE:
		return true;
	case EVIDENCE_WRITING:
		return false;
	default:
		break;
	}
	bool seen = file->seen_ms > 0 && signature_equal(&file->seen, &found->signature);
	return is_older(&found->signature, OLD_NS) ||
	       (seen && looking->now_ms - file->seen_ms >= looking->loader->terms.settle_ms);
}

/* Read a file that may have changed. A write that began meanwhile shows in the signature or in the
 * events. */
static int
read_file(struct looking *looking, const struct tree_file *found, struct file *file)
{
	struct tree_file now = *found;
	struct error error;
	for (;;) {
		enum tree_result result = TREE_CHANGED;
		if (is_complete(looking, &now, file))
			result = tree_read(&now, &looking->loader->buffer, &error);
		looking->now_ms = clock_ms();
		watcher_read(looking->watcher, looking->now_ms);
		if (result == TREE_FAILED)
			return take_problem(looking, &now, file, &error);
		if (result == TREE_READ && is_complete(looking, &now, file))
			return take_content(looking, &now, file);
		if (looking->tries == 0)
			return leave(looking, &now, file);
		looking->tries--;
		poll(NULL, 0, FORCED_WAIT_MS);
	}
}

/* The known file of a path, or a new one. */
static struct file *
find_or_add(struct looking *looking, const struct tree_file *found)
{
	struct file *file = files_find(&looking->loader->files, found->path);
	for (size_t i = 0; file == NULL && found->is_directory && i < looking->loader->added.count;
		i++)
		if (strcmp(looking->loader->added.items[i]->path, found->path) == 0)
			file = looking->loader->added
				       .items[i]; /* told for another place below it */
	if (file != NULL)
		return file;
	file = file_new(found->path);
	if (file == NULL || files_append(&looking->loader->added, file) == 0)
		return file;
	file_free(file);
	return NULL;
}

/* Whether a file needs no reading: it looks as it did and nothing happened to it. */
static bool
is_as_before(const struct looking *looking, const struct tree_file *found, const struct file *file)
{
	const struct mark *mark = marks_find(watcher_marks(looking->watcher), found->path);
	bool touched = mark != NULL && (mark->own.at_ms > 0 || mark->target.at_ms > 0);
	return !is_gone(file) && !touched && !file->again && found->problem == NULL &&
	       signature_equal(&file->signature, &found->signature);
}

static int
take_file(struct looking *looking, const struct tree_file *found, struct file *file)
{
	struct error error;
	if (is_as_before(looking, found, file))
		return settle(looking, file, &file->signature, false);
	if (found->problem == NULL)
		return read_file(looking, found, file);
	error_set(&error, "%s", found->problem);
	return take_problem(looking, found, file, &error);
}

static int
on_found(void *context, const struct tree_file *found)
{
	struct looking *looking = context;
	struct loader *loader = looking->loader;
	struct file *file = find_or_add(looking, found);
	if (file == NULL)
		return -1;
	if (found->is_directory)
		buffer_put(&looking->hidden, &found->path, sizeof(found->path));
	if (file->look != loader->look)
		loader->found++;
	file->look = loader->look;
	count(loader, file, -1);
	file->is_mounted = found->is_mounted;
	int result = take_file(looking, found, file);
	count(loader, file, 1);
	return result;
}

/* Whether a path lies in a directory that cannot be looked at now. */
static bool
is_hidden(const struct looking *looking, const char *path)
{
	const char *directory;
	for (size_t at = 0; at < looking->hidden.length; at += sizeof(directory)) {
		memcpy(&directory, looking->hidden.data + at, sizeof(directory));
		size_t length = strlen(directory);
		if (strcmp(directory, ".") == 0 ||
			(strncmp(path, directory, length) == 0 && path[length] == '/'))
			return true;
	}
	return false;
}

/* Serve a file that is gone for a moment more, or no longer. */
static int
take_gone(struct looking *looking, struct file *file)
{
	if (file->gone_ms == 0)
		file->gone_ms = looking->now_ms;
	int64_t end_ms = file->gone_ms + looking->loader->terms.delete_grace_ms;
	file->seen_ms = 0;
	if (file->source.served != NULL && looking->now_ms < end_ms &&
		!watcher_knows_gone(looking->watcher, file->path)) {
		look_again(looking, file->path, end_ms);
		if (!file->source.leaving && note_change(looking, file) != 0)
			return -1;
		file->source.leaving = true;
		return 0;
	}
	bool serves = file->source.served != NULL || file->source.faulty != NULL;
	if (serves && note_change(looking, file) != 0)
		return -1;
	swap_unit(&file->source.served, NULL);
	swap_unit(&file->source.faulty, NULL);
	file->source.leaving = false;
	looking->loader->some_are_gone = true;
	return 0;
}

/* What is hidden is not gone. */
static int
on_known(void *context, struct file *file)
{
	struct looking *looking = context;
	if (file->look == looking->loader->look || is_gone(file) || is_hidden(looking, file->path))
		return 0;
	count(looking->loader, file, -1);
	int result = take_gone(looking, file);
	count(looking->loader, file, 1);
	return result;
}

/* Look at a place, and at what was known there and was not found. */
static int
look_at(struct looking *looking, struct tree *tree, const char *path)
{
	looking->hidden.length = 0;
	return tree_look(tree, path, on_found, looking) != 0 ||
			       files_each(&looking->loader->files, path, on_known, looking) != 0
		       ? -1
		       : 0;
}

typedef int on_place(void *context, struct tree *, const char *path);

/* Call for each place that is marked and not below another. */
static int
each_place(struct tree *tree, const struct marks *marks, on_place *call, void *context)
{
	if (marks_has_all(marks))
		return call(context, tree, "");
	for (const struct mark *mark = marks->first; mark != NULL; mark = mark->next)
		if (mark->looked && !marks_above(marks, mark->path).looked &&
			call(context, tree, mark->path) != 0)
			return -1;
	return 0;
}

static int
on_place_to_look(void *context, struct tree *tree, const char *path)
{
	return look_at(context, tree, path);
}

int
loader_look(struct loader *loader, struct tree *tree, struct watcher *watcher, bool force,
	struct look *look)
{
	struct looking looking = {.loader = loader,
		.watcher = watcher,
		.now_ms = clock_ms(),
		.tries = force ? FORCED_TRIES : 0,
		.look = look};
	*look = (struct look){0};
	if (files_merge(&loader->files, &loader->added) != 0) /* memory was out before */
		return -1;
	loader->look++;
	loader->found = 0;
	int result = each_place(tree, watcher_marks(watcher), on_place_to_look, &looking);
	if (looking.hidden.failed || files_merge(&loader->files, &loader->added) != 0)
		result = -1;
	buffer_finish(&looking.hidden);
	return result;
}

/* The same places seen again. */
struct verifying {
	struct loader *loader;
	size_t found;
	bool differs;
};

static int
on_found_again(void *context, const struct tree_file *found)
{
	struct verifying *verifying = context;
	const struct loader *loader = verifying->loader;
	struct file *file = files_find(&loader->files, found->path);
	if (file == NULL || (file->look != loader->look && file->look != loader->look - 1)) {
		verifying->differs = true;
		return 0;
	}
	verifying->found += file->look != loader->look;
	file->look = loader->look;
	if (found->problem == NULL)
		verifying->differs |= !signature_equal(
			&found->signature, file->seen_ms > 0 ? &file->seen : &file->signature);
	return 0;
}

static int
on_place_to_verify(void *context, struct tree *tree, const char *path)
{
	return tree_look(tree, path, on_found_again, context);
}

bool
loader_verify(struct loader *loader, struct tree *tree, struct watcher *watcher)
{
	struct verifying verifying = {.loader = loader};
	loader->look++;
	int result = each_place(tree, watcher_marks(watcher), on_place_to_verify, &verifying);
	return result == 0 && !verifying.differs && verifying.found == loader->found;
}

struct unit *
loader_make(struct loader *loader, const char *path, const char *data, size_t length)
{
	return unit_new(loader->maker, path, data, length);
}

const char *
loader_find_like(const struct loader *loader, const char *path)
{
	size_t stem = (size_t)(strrchr(path, '.') - path);
	for (size_t i = 0; i < loader->files.count; i++) {
		const struct file *other = loader->files.items[i];
		const char *dot = strrchr(other->path, '.');
		if (!is_gone(other) && dot != NULL && (size_t)(dot - other->path) == stem &&
			memcmp(other->path, path, stem) == 0)
			return other->path;
	}
	return NULL;
}

bool
loader_has_changes(const struct loader *loader)
{
	return loader->changed.count > 0;
}

/* The snapshot has what changed. */
static void
forget_changes(struct loader *loader)
{
	for (size_t i = 0; i < loader->changed.count; i++)
		loader->changed.items[i]->is_changed = false;
	loader->changed.count = 0;
	if (loader->some_are_gone)
		files_purge(&loader->files);
	loader->some_are_gone = false;
}

struct snapshot *
loader_snapshot(struct loader *loader, const struct snapshot *base,
	const struct circumstances *circumstances)
{
	size_t n = loader->changed.count;
	struct change *changes = calloc(n + 1, sizeof(*changes));
	if (changes == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const struct file *file = loader->changed.items[i];
		changes[i] = (struct change){file->before, file->source};
	}
	struct snapshot *snapshot = snapshot_new(base, changes, n, circumstances, loader->digest);
	free(changes);
	if (snapshot != NULL)
		forget_changes(loader);
	return snapshot;
}

struct snapshot *
loader_restate(struct loader *loader, const struct snapshot *base,
	const struct circumstances *circumstances)
{
	return snapshot_new(base, NULL, 0, circumstances, loader->digest);
}

const struct loader_counts *
loader_counts(const struct loader *loader)
{
	return &loader->counts;
}

void
loader_report(const struct loader *loader, loader_on_file *on_file, void *context)
{
	for (size_t i = 0; i < loader->files.count; i++) {
		const struct file *file = loader->files.items[i];
		if (is_gone(file))
			continue;
		struct file_report report = {.path = file->path,
			.state = state_of(file),
			.content = file->content,
			.modified_ns = file->signature.modified_ns};
		on_file(context, &report);
	}
}
