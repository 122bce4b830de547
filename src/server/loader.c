/* loader.c -- the next snapshot, from the tree and the last one. */
#include "server/loader.h"

#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/intake.h"
#include "server/log.h"
#include "server/makers.h"
#include "server/marks.h"
#include "server/tree.h"
#include "server/watcher.h"

struct loader {
	const atomic_bool *stopping;
	struct intake intake;
	struct files files;
	struct files added; /* by the look under way */
	struct files missed; /* by it; borrowed */
	unsigned look;
	bool replaced; /* the files took the place of others, all of them */
	struct buffer pins; /* of struct pin, of the look under way */
};

/* A look under way. */
struct looking {
	struct loader *loader;
	struct tree *tree;
	struct buffer hidden; /* of const char *: directories that could not be looked at */
};

struct loader *
loader_new(const struct loader_terms *terms)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	if (loader == NULL)
		return NULL;
	loader->stopping = terms->stopping;
	loader->intake = (struct intake){
		.settle_ms = terms->settle_ms, .delete_grace_ms = terms->delete_grace_ms};
	if (intake_init(&loader->intake, terms->rules) == 0)
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
	free(loader->missed.items);
	buffer_finish(&loader->pins);
	intake_finish(&loader->intake);
	free(loader);
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

static void
tell_mount(const char *path)
{
	struct buffer text = {0};
	buffer_printf(&text,
		"%s: a mount of its own (subPath, docker -v FILE): changes in place are served, "
		"another "
		"file put in its place outside is not seen",
		path);
	log_write(LOG_LEVEL_WARN, text.failed ? path : text.data, LOG_END);
	buffer_finish(&text);
}

/* Remember the pins that files were found behind; those of one directory come together. */
static void
note_pin(struct loader *loader, const struct pin *pin)
{
	struct pin last = {0};
	if (loader->pins.length > 0)
		memcpy(&last, loader->pins.data + loader->pins.length - sizeof(last), sizeof(last));
	if (pin != NULL && pin->path != last.path)
		buffer_put(&loader->pins, pin, sizeof(*pin));
}

static int
on_found(void *context, const struct tree_file *found)
{
	struct looking *looking = context;
	struct loader *loader = looking->loader;
	struct file *file = atomic_load_explicit(loader->stopping, memory_order_relaxed)
				    ? NULL
				    : find_or_add(looking, found);
	if (file == NULL)
		return -1;
	if (found->is_directory)
		buffer_put(&looking->hidden, &found->path, sizeof(found->path));
	file->look = loader->look;
	file_count(file, &loader->intake.counts, -1);
	if (found->is_mounted && !file->is_mounted)
		tell_mount(file->path);
	file->is_mounted = found->is_mounted;
	file->pin_inode = found->pin != NULL ? found->pin->inode : 0;
	file->pin_changed_ns = found->pin != NULL ? found->pin->changed_ns : 0;
	note_pin(loader, found->pin);
	int result = intake_take(&loader->intake, found, file);
	file_count(file, &loader->intake.counts, 1);
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

/* What is hidden is not gone; nor is what a second look finds. */
static int
on_known(void *context, struct file *file)
{
	struct looking *looking = context;
	struct loader *loader = looking->loader;
	if (file->look == loader->look || file_is_gone(file) || is_hidden(looking, file->path))
		return 0;
	loader->intake.look->missed = true;
	return files_append(&loader->missed, file);
}

/* Whether the link of the pinned directory that a file was found in is another now. */
static bool
is_pin_swapped(const struct loader *loader, const struct file *file)
{
	struct pin pin, last = {0};
	for (size_t at = 0; at < loader->pins.length; at += sizeof(pin)) {
		memcpy(&pin, loader->pins.data + at, sizeof(pin));
		size_t length = strlen(pin.path);
		bool is_above = length == 0 || (strncmp(file->path, pin.path, length) == 0 &&
						       file->path[length] == '/');
		if (is_above && (last.path == NULL || length > strlen(last.path)))
			last = pin;
	}
	return last.path != NULL && file->pin_inode != 0 &&
	       (last.inode != file->pin_inode || last.changed_ns != file->pin_changed_ns);
}

/* Let go of the files that no look has found. */
static int
miss_files(struct loader *loader)
{
	int result = 0;
	for (size_t i = 0; i < loader->missed.count && result == 0; i++) {
		struct file *file = loader->missed.items[i];
		if (file->look == loader->look)
			continue;
		file_count(file, &loader->intake.counts, -1);
		result = intake_miss(
			&loader->intake, file, loader->replaced || is_pin_swapped(loader, file));
		file_count(file, &loader->intake.counts, 1);
	}
	return result;
}

/* Look at a place, and at what was known there and was not found. */
static int
look_at(void *context, const char *path)
{
	struct looking *looking = context;
	looking->hidden.length = 0;
	if (tree_look(looking->tree, path, on_found, looking) != 0)
		return -1;
	return files_each(&looking->loader->files, path, on_known, looking);
}

int
loader_look(struct loader *loader, struct tree *tree, struct watcher *watcher, bool force,
	bool replaced, struct look *look)
{
	struct looking looking = {.loader = loader, .tree = tree};
	intake_begin(&loader->intake, watcher, force, look);
	loader->replaced = replaced;
	buffer_clear(&loader->pins);
	if (files_merge(&loader->files, &loader->added) != 0) /* memory was out before */
		return -1;
	loader->look++;
	loader->missed.count = 0;
	int result = marks_each_place(watcher_marks(watcher), look_at, &looking);
	if (intake_end(&loader->intake) != 0 || looking.hidden.failed ||
		files_merge(&loader->files, &loader->added) != 0)
		result = -1;
	buffer_finish(&looking.hidden);
	return result;
}

/* The same places seen again. */
struct verifying {
	struct loader *loader;
	struct tree *tree;
	enum agreement agreement;
};

static void
note_difference(struct verifying *verifying, bool is_pinned)
{
	if (is_pinned)
		verifying->agreement = TORN;
	else if (verifying->agreement == AGREES)
		verifying->agreement = DIFFERS;
}

static int
on_found_again(void *context, const struct tree_file *found)
{
	struct verifying *verifying = context;
	struct loader *loader = verifying->loader;
	struct file *file = files_find(&loader->files, found->path);
	bool was_found = file != NULL && file->look >= loader->look - 1;
	if (!was_found || (found->problem == NULL &&
				  !signature_equal(&found->signature, file_signature(file))))
		note_difference(verifying, found->pin != NULL);
	if (file != NULL)
		file->look = loader->look;
	return atomic_load_explicit(loader->stopping, memory_order_relaxed) ? -1 : 0;
}

/* What the first look found and the second did not has changed too. */
static int
on_known_again(void *context, struct file *file)
{
	struct verifying *verifying = context;
	if (file->look == verifying->loader->look - 1)
		note_difference(verifying, file->pin_inode != 0);
	return 0;
}

static int
verify_at(void *context, const char *path)
{
	struct verifying *verifying = context;
	if (tree_look(verifying->tree, path, on_found_again, verifying) != 0)
		return -1;
	return files_each(&verifying->loader->files, path, on_known_again, verifying);
}

enum agreement
loader_verify(struct loader *loader, struct tree *tree, struct watcher *watcher)
{
	struct verifying verifying = {.loader = loader, .tree = tree};
	loader->look++;
	if (marks_each_place(watcher_marks(watcher), verify_at, &verifying) != 0)
		return TORN;
	if (verifying.agreement != TORN && miss_files(loader) != 0)
		return TORN;
	return verifying.agreement;
}

struct unit *
loader_make(struct loader *loader, const char *path, const char *data, size_t length)
{
	return makers_make(loader->intake.makers, path, data, length);
}

const char *
loader_find_like(const struct loader *loader, const char *path)
{
	size_t stem = (size_t)(strrchr(path, '.') - path);
	for (size_t i = 0; i < loader->files.count; i++) {
		const struct file *other = loader->files.items[i];
		const char *dot = strrchr(other->path, '.');
		if (!file_is_gone(other) && dot != NULL && (size_t)(dot - other->path) == stem &&
			memcmp(other->path, path, stem) == 0)
			return other->path;
	}
	return NULL;
}

void
loader_end_round(struct loader *loader)
{
	loader->intake.warnings = 0;
}

bool
loader_has_changes(const struct loader *loader)
{
	return loader->intake.changed.count > 0;
}

bool
loader_has_new_units(const struct loader *loader)
{
	for (size_t i = 0; i < loader->intake.changed.count; i++) {
		const struct file *file = loader->intake.changed.items[i];
		if (file->before.served != file->source.served ||
			file->before.faulty != file->source.faulty)
			return true;
	}
	return false;
}

/* The snapshot has what changed. */
static void
forget_changes(struct loader *loader)
{
	for (size_t i = 0; i < loader->intake.changed.count; i++)
		loader->intake.changed.items[i]->is_changed = false;
	loader->intake.changed.count = 0;
	if (loader->intake.some_are_gone)
		files_purge(&loader->files);
	loader->intake.some_are_gone = false;
}

struct snapshot *
loader_snapshot(struct loader *loader, const struct snapshot *base,
	const struct circumstances *circumstances)
{
	size_t n = loader->intake.changed.count;
	struct change *changes = calloc(n + 1, sizeof(*changes));
	if (changes == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const struct file *file = loader->intake.changed.items[i];
		changes[i] = (struct change){file->before, file->source};
	}
	struct snapshot *snapshot =
		snapshot_new(base, changes, n, circumstances, loader->intake.digest);
	free(changes);
	if (snapshot != NULL)
		forget_changes(loader);
	return snapshot;
}

struct snapshot *
loader_restate(struct loader *loader, const struct snapshot *base,
	const struct circumstances *circumstances)
{
	return snapshot_new(base, NULL, 0, circumstances, loader->intake.digest);
}

const struct file_counts *
loader_counts(const struct loader *loader)
{
	return &loader->intake.counts;
}

void
loader_report(const struct loader *loader, loader_on_file *on_file, void *context)
{
	for (size_t i = 0; i < loader->files.count; i++) {
		const struct file *file = loader->files.items[i];
		if (file_is_gone(file))
			continue;
		struct file_report report = {.path = file->path,
			.state = file_state(file),
			.served = file->source.served,
			.faulty = file->source.faulty,
			.content = file->content,
			.modified_ns = file->signature.modified_ns};
		on_file(context, &report);
	}
}
