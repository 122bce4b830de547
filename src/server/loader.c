/* loader.c -- the next snapshot, from the tree and the last one. */
#include "server/loader.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/tree.h"
#include "server/watcher.h"

/* A file's times have the grain of a kernel tick: a write soon after a read may leave them alike. */
enum { GRAIN_NS = 20 * 1000 * 1000 };

struct file {
	char *path;
	struct signature signature;
	unsigned char content[DIGEST_BYTES]; /* of the bytes behind source; zero for a problem */
	bool again; /* read it at the next scan even if it looks the same */
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

static bool
is_recent(const struct signature *signature)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	return signature->modified_ns >= now_ns - GRAIN_NS ||
	       signature->changed_ns >= now_ns - GRAIN_NS;
}

static int
content_digest(
	struct loader *loader, const char *data, size_t length, unsigned char out[DIGEST_BYTES])
{
	digest_add(loader->digest, data, length);
	return digest_take(loader->digest, out);
}

/* Take a file's new unit; it is NULL when memory is out. */
static int
take_unit(struct scan *scan, const struct tree_file *listed, const struct file *old,
	struct file file, struct unit *unit)
{
	if (unit == NULL)
		return -1;
	scan->load->changed = true;
	file.path = strdup(listed->path);
	return put_unit(&scan->next, scan->next.count, old, file, unit);
}

/* Take a file's bytes, unless they are those it had. */
static int
take_content(struct scan *scan, const struct tree_file *listed, const struct file *old, bool again)
{
	struct loader *loader = scan->loader;
	struct file file = {.signature = listed->signature, .again = again};
	if (content_digest(loader, loader->buffer.data, loader->buffer.length, file.content) != 0)
		return -1;
	scan->load->n_read++;
	if (old != NULL && memcmp(old->content, file.content, DIGEST_BYTES) == 0) {
		struct file same = *old;
		same.signature = file.signature;
		same.again = again;
		return keep(scan, &same);
	}
	return take_unit(scan, listed, old, file,
		unit_new(loader->maker, listed->path,
			loader->buffer.length > 0 ? loader->buffer.data : "",
			loader->buffer.length));
}

/* Take a file's problem, unless it is the one it had. */
static int
take_problem(struct scan *scan, const struct tree_file *listed, const struct file *old,
	const struct error *error)
{
	struct file file = {.signature = listed->signature, .again = true};
	const struct unit *known = old != NULL ? old->source.faulty : NULL;
	if (known != NULL && known->n_faults == 1 &&
		strcmp(known->faults[0].message, error->message) == 0)
		return keep(scan, old);
	return take_unit(scan, listed, old, file, unit_new_failed(listed->path, error));
}

/* What is not complete yet is left for the next scan. */
static int
leave(struct scan *scan, const struct file *old)
{
	scan->load->unsettled = true;
	return old != NULL ? keep(scan, old) : 0;
}

static int
take_file(struct scan *scan, const struct tree_file *listed)
{
	struct error error;
	const struct file *old = files_find(&scan->loader->files, listed->path);
	if (old != NULL && !old->again && listed->problem == NULL &&
		signature_equal(&old->signature, &listed->signature))
		return keep(scan, old);
	if (watcher_is_writing(scan->watcher, listed->path, scan->now_ms))
		return leave(scan, old);
	bool again = is_recent(&listed->signature);
	switch (tree_read(scan->tree, listed, &scan->loader->buffer, &error)) {
	case TREE_READ:
		return take_content(scan, listed, old, again);
	case TREE_FAILED:
		return take_problem(scan, listed, old, &error);
	default:
		return leave(scan, old);
	}
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

/* Keep the files of a directory that cannot be read now: what is hidden is not gone. */
static int
keep_hidden(struct scan *scan, const struct tree_list *list, const char *directory)
{
	const struct files *old = &scan->loader->files;
	for (size_t i = files_position(old, directory); i < old->count; i++) {
		const struct file *file = &old->items[i];
		if (is_below(file->path, directory) && !is_listed(list, file->path) &&
			keep(scan, file) != 0)
			return -1;
	}
	return 0;
}

static int
compare_paths(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static bool
same_paths(const struct files *a, const struct files *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].path, b->items[i].path) != 0)
			return false;
	return true;
}

static int
take_files(struct scan *scan, const struct tree_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct tree_file *listed = &list->files[i];
		if (take_file(scan, listed) != 0 ||
			(listed->is_directory && keep_hidden(scan, list, listed->path) != 0))
			return -1;
	}
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
	watcher_end(watcher);
	if (listed != 0)
		return -1;
	if (take_files(&scan, &list) != 0) {
		files_finish(&scan.next);
		error_set(error, "out of memory");
		return -1;
	}
	load->changed |= !same_paths(&loader->files, &scan.next);
	load->n_files = scan.next.count;
	files_finish(&loader->files);
	loader->files = scan.next;
	return 0;
}

int
loader_put(struct loader *loader, const char *path, const struct signature *signature,
	const char *data, size_t length)
{
	struct file file = {.signature = *signature, .again = true};
	if (content_digest(loader, data, length, file.content) != 0)
		return -1;
	struct unit *unit = unit_new(loader->maker, path, data, length);
	if (unit == NULL)
		return -1;
	size_t at = files_position(&loader->files, path);
	struct file *old = files_find(&loader->files, path);
	struct file before = old != NULL ? *old : (struct file){0};
	if (old != NULL)
		memmove(old, old + 1, (--loader->files.count - at) * sizeof(*loader->files.items));
	file.path = strdup(path);
	int result = put_unit(&loader->files, at, old != NULL ? &before : NULL, file, unit);
	file_finish(&before);
	return result;
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
