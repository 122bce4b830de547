/* loader.c -- the next snapshot, from the tree and the last one. */
#include "server/loader.h"

#include <stdint.h>
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
#include "server/tree.h"
#include "server/watcher.h"

enum {
	GRAIN_NS = 20 * 1000 * 1000, /* file times may be alike for so long after a change */
	OLD_NS = 1000 * 1000 * 1000, /* without evidence: older content is complete, … */
	SETTLE_MS = 300, /* … and younger once it has not changed for so long */
	LEAVE_MS = 500, /* how long a file that is gone is served on */
};

struct file {
	char *path;
	struct signature signature; /* of the content behind source */
	unsigned char content[DIGEST_BYTES]; /* of its bytes; zero for a problem */
	bool again; /* read it at the next scan even if it looks the same */
	struct signature seen; /* newer content that is not known to be complete, … */
	int64_t seen_ms; /* … since when it has looked like that; 0: there is none */
	int64_t gone_ms; /* since when the file is gone; 0: it is there */
	struct source source;
};

/* A set of files in the bytewise order of their paths. */
struct files {
	struct file *items;
	size_t count, capacity;
};

struct loader {
	struct unit_maker *maker;
	struct digest *digest;
	struct arena *arena; /* of one scan */
	struct buffer buffer; /* of one file's bytes */
	struct files files;
};

/* A scan under way. */
struct scan {
	struct loader *loader;
	struct tree *tree;
	struct watcher *watcher;
	int64_t now_ms;
	struct files next;
	bool hides; /* a directory could not be read: what was in it is not gone */
	struct load *load;
};

static void
file_finish(struct file *file)
{
	free(file->path);
	unit_unref(file->source.served);
	unit_unref(file->source.faulty);
}

static void
files_finish(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		file_finish(&files->items[i]);
	free(files->items);
	*files = (struct files){0};
}

struct loader *
loader_new(const struct prompt_rules *rules)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	if (loader == NULL)
		return NULL;
	loader->maker = unit_maker_new(rules);
	loader->digest = digest_new();
	loader->arena = arena_new();
	if (loader->maker != NULL && loader->digest != NULL && loader->arena != NULL)
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
	unit_maker_free(loader->maker);
	digest_free(loader->digest);
	arena_free(loader->arena);
	buffer_finish(&loader->buffer);
	free(loader);
}

/* Make room for one more file at a place. */
static struct file *
files_insert(struct files *files, size_t at)
{
	if (files->count == files->capacity) {
		size_t capacity = files->capacity == 0 ? 16 : 2 * files->capacity;
		struct file *items = realloc(files->items, capacity * sizeof(*items));
		if (items == NULL)
			return NULL;
		files->items = items;
		files->capacity = capacity;
	}
	memmove(files->items + at + 1, files->items + at,
		(files->count - at) * sizeof(*files->items));
	files->count++;
	return &files->items[at];
}

static size_t
files_position(const struct files *files, const char *path)
{
	size_t low = 0, high = files->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(files->items[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct file *
files_find(const struct files *files, const char *path)
{
	size_t at = files_position(files, path);
	return at < files->count && strcmp(files->items[at].path, path) == 0 ? &files->items[at]
									     : NULL;
}

/* Put a copy of a file, with references of its own, at the end. */
static int
keep(struct scan *scan, const struct file *old)
{
	char *path = strdup(old->path);
	struct file *file = path == NULL ? NULL : files_insert(&scan->next, scan->next.count);
	if (file == NULL) {
		free(path);
		return -1;
	}
	*file = *old;
	file->path = path;
	if (old->source.served != NULL)
		unit_ref(old->source.served);
	if (old->source.faulty != NULL)
		unit_ref(old->source.faulty);
	return 0;
}

/* Put a file whose newest content is a unit, which is taken: good content is served; of bad content
 * the last good version is. */
static int
put_unit(
	struct files *files, size_t at, const struct file *old, struct file made, struct unit *unit)
{
	made.path = strdup(unit->path);
	struct file *file = made.path == NULL ? NULL : files_insert(files, at);
	if (file == NULL) {
		free(made.path);
		unit_unref(unit);
		return -1;
	}
	*file = made;
	if (unit->n_errors == 0)
		file->source = (struct source){.served = unit};
	else
		file->source = (struct source){
			.served = old != NULL && old->source.served != NULL
					  ? unit_ref(old->source.served)
					  : NULL,
			.faulty = unit,
		};
	return 0;
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

static int
content_digest(
	struct loader *loader, const char *data, size_t length, unsigned char out[DIGEST_BYTES])
{
	digest_add(loader->digest, data, length);
	return digest_take(loader->digest, out);
}

/* Take a file's new unit. */
static int
take_unit(struct scan *scan, const struct file *old, struct file file, struct unit *unit)
{
	scan->load->changed = true;
	return put_unit(&scan->next, scan->next.count, old, file, unit);
}

/* Keep what a file had; it is there, and what it holds now looks like this. */
static int
keep_listed(
	struct scan *scan, const struct file *old, const struct signature *signature, bool again)
{
	struct file same = *old;
	same.signature = *signature;
	same.again = again;
	same.seen_ms = same.gone_ms = 0;
	scan->load->changed |= same.source.leaving;
	same.source.leaving = false;
	return keep(scan, &same);
}

/* Take a file's problem, unless it is the one it had. */
static int
take_problem(struct scan *scan, const struct tree_file *listed, const struct file *old,
	const struct error *error)
{
	struct file file = {.signature = listed->signature, .again = true};
	const struct unit *known = old != NULL ? old->source.faulty : NULL;
	if (known != NULL && known->n_problems == 1 &&
		strcmp(known->problems[0].message, error->message) == 0)
		return keep_listed(scan, old, &listed->signature, true);
	struct unit *unit = unit_new_failed(listed->path, error);
	return unit != NULL ? take_unit(scan, old, file, unit) : -1;
}

/* Take a file's bytes, unless they are those it had. */
static int
take_content(struct scan *scan, const struct tree_file *listed, const struct file *old)
{
	struct loader *loader = scan->loader;
	struct file file = {
		.signature = listed->signature, .again = !is_older(&listed->signature, GRAIN_NS)};
	if (content_digest(loader, loader->buffer.data, loader->buffer.length, file.content) != 0)
		return -1;
	if (old != NULL && memcmp(old->content, file.content, DIGEST_BYTES) == 0)
		return keep_listed(scan, old, &file.signature, file.again);
	struct unit *unit = unit_new(loader->maker, listed->path,
		loader->buffer.length > 0 ? loader->buffer.data : "", loader->buffer.length);
	if (unit != NULL)
		return take_unit(scan, old, file, unit);
	struct error error;
	error_set(&error, "out of memory: the file will be tried again");
	return take_problem(scan, listed, old, &error);
}

/* Leave what is not known to be complete for the next scan, and note since when it looks like that. */
static int
leave(struct scan *scan, const struct tree_file *listed, const struct file *old)
{
	struct file file =
		old != NULL ? *old : (struct file){.path = (char *)(uintptr_t)listed->path};
	bool same = file.seen_ms > 0 && signature_equal(&file.seen, &listed->signature);
	if (!same)
		file.seen_ms = scan->now_ms;
	file.seen = listed->signature;
	file.again = true;
	file.gone_ms = 0;
	scan->load->unsettled = true;
	return keep(scan, &file);
}

/* Whether new content is known to be complete. */
static bool
is_complete(const struct scan *scan, const struct tree_file *listed, const struct file *old)
{
	switch (watcher_evidence(scan->watcher, listed->path, scan->now_ms)) {
	case EVIDENCE_COMPLETE:
		return true;
	case EVIDENCE_WRITING:
		return false;
	default:
		break;
	}
	bool seen =
		old != NULL && old->seen_ms > 0 && signature_equal(&old->seen, &listed->signature);
	return is_older(&listed->signature, OLD_NS) ||
	       (seen && scan->now_ms - old->seen_ms >= SETTLE_MS);
}

/* Read a file that may have changed. A write that began meanwhile shows in its signature or in the
 * events. */
static int
read_file(struct scan *scan, const struct tree_file *listed, const struct file *old)
{
	struct error error;
	enum tree_result result = tree_read(scan->tree, listed, &scan->loader->buffer, &error);
	watcher_read(scan->watcher, scan->now_ms);
	bool writing =
		watcher_evidence(scan->watcher, listed->path, scan->now_ms) == EVIDENCE_WRITING;
	if (result == TREE_FAILED)
		return take_problem(scan, listed, old, &error);
	if (result == TREE_CHANGED || writing)
		return leave(scan, listed, old);
	return take_content(scan, listed, old);
}

static int
take_file(struct scan *scan, const struct tree_file *listed)
{
	const struct file *old = files_find(&scan->loader->files, listed->path);
	if (old != NULL && !old->again && listed->problem == NULL &&
		signature_equal(&old->signature, &listed->signature))
		return keep_listed(scan, old, &old->signature, false);
	if (listed->problem == NULL && !is_complete(scan, listed, old))
		return leave(scan, listed, old);
	return read_file(scan, listed, old);
}

/* Whether a path lies in a directory. */
static bool
is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static int
compare_path_to_listed(const void *path, const void *listed)
{
	return strcmp(path, ((const struct tree_file *)listed)->path);
}

static bool
is_listed(const struct tree_list *list, const char *path)
{
	return bsearch(path, list->files, list->count, sizeof(*list->files),
		       compare_path_to_listed) != NULL;
}

/* Whether a path lies in a directory that cannot be read now. */
static bool
is_hidden(const struct tree_list *list, const char *path)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->files[i].is_directory && is_below(path, list->files[i].path))
			return true;
	return false;
}

/* What is hidden is not gone, and what is gone is served on for a moment. */
static int
take_missing(struct scan *scan, const struct tree_list *list, const struct file *old)
{
	struct file file = *old;
	bool serves = file.source.served != NULL || file.source.faulty != NULL;
	if (scan->hides && is_hidden(list, file.path))
		return keep(scan, &file);
	if (file.gone_ms == 0)
		file.gone_ms = scan->now_ms;
	if (!serves || scan->now_ms - file.gone_ms >= LEAVE_MS) {
		scan->load->changed |= serves;
		return 0;
	}
	scan->load->changed |= !file.source.leaving;
	scan->load->unsettled = true;
	file.source.leaving = true;
	return keep(scan, &file);
}

static int
compare_paths(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static int
take_files(struct scan *scan, const struct tree_list *list)
{
	const struct files *old = &scan->loader->files;
	for (size_t i = 0; i < list->count; i++) {
		scan->hides |= list->files[i].is_directory;
		if (take_file(scan, &list->files[i]) != 0)
			return -1;
	}
	for (size_t i = 0; i < old->count; i++)
		if (!is_listed(list, old->items[i].path) &&
			take_missing(scan, list, &old->items[i]) != 0)
			return -1;
	if (scan->next.count > 0)
		qsort(scan->next.items, scan->next.count, sizeof(*scan->next.items), compare_paths);
	return 0;
}

static void
on_directory(void *context, int descriptor, const char *path)
{
	watcher_add(context, descriptor, path);
}

int
loader_scan(struct loader *loader, struct tree *tree, struct watcher *watcher, int64_t now_ms,
	struct load *load, struct error *error)
{
	struct tree_list list;
	struct scan scan = {
		.loader = loader, .tree = tree, .watcher = watcher, .now_ms = now_ms, .load = load};
	*load = (struct load){0};
	arena_reset(loader->arena);
	watcher_begin(watcher);
	int listed = tree_scan(tree, loader->arena, on_directory, watcher, &list, error);
	watcher_end(watcher, now_ms);
	if (listed != 0)
		return -1;
	if (take_files(&scan, &list) != 0) {
		files_finish(&scan.next);
		error_set(error, "out of memory");
		return -1;
	}
	files_finish(&loader->files);
	loader->files = scan.next;
	return 0;
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
		const char *other = loader->files.items[i].path;
		const char *dot = strrchr(other, '.');
		if (dot != NULL && (size_t)(dot - other) == stem && memcmp(other, path, stem) == 0)
			return other;
	}
	return NULL;
}

int
loader_put(struct loader *loader, const struct signature *signature, const char *data,
	size_t length, struct unit *unit)
{
	struct file file = {.signature = *signature, .again = true};
	if (content_digest(loader, data, length, file.content) != 0) {
		unit_unref(unit);
		return -1;
	}
	size_t at = files_position(&loader->files, unit->path);
	struct file *old = files_find(&loader->files, unit->path);
	if (old != NULL) { /* a scan was faster */
		unit_unref(unit);
		return 0;
	}
	return put_unit(&loader->files, at, NULL, file, unit);
}

struct snapshot *
loader_snapshot(struct loader *loader)
{
	const struct files *files = &loader->files;
	struct source *sources = calloc(files->count + 1, sizeof(*sources));
	if (sources == NULL)
		return NULL;
	for (size_t i = 0; i < files->count; i++)
		sources[i] = files->items[i].source;
	struct snapshot *snapshot = snapshot_new(sources, files->count, loader->digest);
	free(sources);
	return snapshot;
}
