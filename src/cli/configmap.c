/* configmap.c -- the prompt files of a directory as ConfigMaps, for Kubernetes. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/json_put.h"
#include "core/prompt.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "core/yaml_put.h"
#include "server/cycle.h"
#include "server/loader.h"
#include "server/options.h"

enum {
	MAX_KEY_BYTES = 253,
	MAX_FOLDER_BYTES = 120, /* in a name, which has at most 253 with all else */
	HEAD_BYTES = 1024, /* more than all of a ConfigMap but its data */
};

/* A file in its ConfigMap. */
struct item {
	const char *path, *key;
	const char *name; /* of the first ConfigMap of its top folder */
	const char *text;
	size_t length, cost;
};

struct configmap {
	const char *name;
	const struct item *items;
	size_t count, bytes;
};

struct making {
	const struct options *options;
	const struct load *load;
	struct arena *arena;
	struct unit_maker *maker;
	struct digest *digest;
	struct buffer bytes; /* of the file read last */
	struct item *items;
	size_t n_items, n_refused;
	struct configmap *maps;
	size_t n_maps;
};

/* Say why a file is in no ConfigMap, and behind a line feed what to do. */
static void
refuse(struct making *making, const char *path, const char *why)
{
	struct buffer quoted = {0};
	json_put_string(&quoted, path);
	page_fail("%s %s", quoted.failed ? "" : quoted.data, why);
	buffer_finish(&quoted);
	making->n_refused++;
}

/* A key holds no slash, but promptd reads "__" in a file's name as one. */
static const char *
key_of(struct arena *arena, const char *path)
{
	char *key = arena_alloc(arena, 2 * strlen(path) + 1), *to = key;
	for (; key != NULL && *path != '\0'; path++) {
		if (*path == '/')
			*to++ = '_';
		*to++ = *path == '/' ? '_' : *path;
	}
	if (key != NULL)
		*to = '\0';
	return key;
}

static bool
is_key(const char *text)
{
	return strlen(text) <= MAX_KEY_BYTES &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789-._")] == '\0';
}

/* The name of a top folder's first ConfigMap. Folders that differ only in what a name cannot hold share theirs. */
static const char *
name_of(struct arena *arena, const char *prefix, const char *key)
{
	const char *end = strstr(key, "__");
	size_t length = end != NULL ? (size_t)(end - key) : 0;
	if (length > MAX_FOLDER_BYTES)
		length = MAX_FOLDER_BYTES;
	char *name = arena_printf(arena, "%s-%.*s", prefix, (int)length, key);
	if (name == NULL)
		return NULL;
	for (char *at = name + strlen(prefix); *at != '\0'; at++)
		*at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '-';
	for (size_t last = strlen(name); name[last - 1] == '-'; last--)
		name[last - 1] = '\0';
	return name;
}

/* The size of a text in JSON as Kubernetes' tools write it, with <, > and & escaped too. */
static size_t
json_bytes(const char *text, size_t length)
{
	static const unsigned char more[256] = {['"'] = 1,
		['\\'] = 1,
		['\n'] = 1,
		['\r'] = 1,
		['\t'] = 1,
		['<'] = 5,
		['>'] = 5,
		['&'] = 5};
	size_t bytes = length;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		bool is_separator = length - i >= 3 && memcmp(text + i, "\xe2\x80", 2) == 0 &&
				    (text[i + 2] & 0xfe) == 0xa8; /* U+2028, U+2029 */
		bool is_control = byte < ' ' && more[byte] == 0;
		bytes += is_control ? 5 : is_separator ? 3 : more[byte];
	}
	return bytes;
}

/* What an item adds to its ConfigMap. Its key counts twice: Kubernetes keeps a list of who has set which. */
static size_t
cost_of(const struct item *item)
{
	enum { PUNCTUATION = sizeof("\"\":\"\",\"f:\":{},") - 1 };
	return json_bytes(item->text, item->length) + 2 * strlen(item->key) + PUNCTUATION;
}

/* Read a file as it was loaded. Returns false where it is not like that any more. */
static bool
read_item(struct making *making, const struct file_report *report, struct item *item)
{
	unsigned char content[DIGEST_BYTES];
	const char *path =
		arena_printf(making->arena, "%s/%s", making->options->directory, report->path);
	buffer_clear(&making->bytes);
	if (path == NULL || load_read_file(path, &making->bytes) != 0)
		return false;
	digest_add(making->digest, making->bytes.data, making->bytes.length);
	digest_take(making->digest, content);
	if (!digest_equal(content, report->content))
		return false;
	item->text = arena_copy(making->arena, making->bytes.data, making->bytes.length);
	item->length = making->bytes.length;
	return item->text != NULL;
}

/* Whether a file yields the same prompts under its key: the same ids, versions and projects, too. */
static bool
keeps_prompts(struct making *making, const struct unit *served, const struct item *item)
{
	struct unit *unit = unit_new(making->maker, item->key, item->text, item->length);
	bool same = unit != NULL && unit->n_prompts == served->n_prompts;
	for (size_t i = 0; same && i < unit->n_prompts; i++)
		same = digest_equal(unit->prompts[i].digest, served->prompts[i].digest);
	unit_unref(unit);
	return same;
}

/* Why an item cannot be in a ConfigMap, or NULL. */
static const char *
reason_against(struct making *making, const struct unit *served, struct item *item)
{
	size_t most = making->options->max_bytes;
	if (!is_key(item->key))
		return "cannot be a key, which is at most 253 letters, digits, ., - and _ (__ for "
		       "a slash)\nrename the file or its folder, and say in it what its name "
		       "gives: prompt_id";
	if (!keeps_prompts(making, served, item))
		return arena_printf(making->arena,
			"would be the key %s, which gives its prompts another id or project\n"
			"rename what has _ beside a slash or __ in its path, or say in the file "
			"what that gives: prompt_id, project_name",
			item->key);
	item->cost = cost_of(item);
	if (item->cost + HEAD_BYTES > most)
		return arena_printf(making->arena,
			"takes %zu bytes, and a ConfigMap has room for %zu\nsplit the file%s",
			item->cost, most - HEAD_BYTES,
			item->cost + HEAD_BYTES > OPTIONS_MAX_CONFIGMAP_BYTES
				? ""
				: ", or give --max-bytes 1048576 and apply with --server-side");
	return NULL;
}

static void
on_file(void *context, const struct file_report *report)
{
	struct making *making = context;
	struct item *item = &making->items[making->n_items++];
	item->path = report->path;
	item->key = key_of(making->arena, report->path);
	if (item->key == NULL)
		return;
	item->name = name_of(making->arena, making->options->name, item->key);
	const char *reason = !read_item(making, report, item)
				     ? "cannot be read again as it was loaded\ntry again"
				     : reason_against(making, report->served, item);
	if (reason != NULL && !arena_failed(making->arena))
		refuse(making, report->path, reason);
}

static int
compare_items(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int order = strcmp(one->name, other->name);
	return order != 0 ? order : strcmp(one->key, other->key);
}

/* Returns -1 when memory is out. */
static int
refuse_twins(struct making *making)
{
	for (size_t i = 1; i < making->n_items; i++) {
		const struct item *item = &making->items[i];
		if (strcmp(item[-1].key, item->key) != 0)
			continue;
		const char *reason = arena_printf(making->arena,
			"would have the same key as \"%s\"\nrename one of them", item[-1].path);
		if (reason == NULL)
			return -1;
		refuse(making, item->path, reason);
	}
	return 0;
}

/* Read all files, sorted by ConfigMap and key. Returns -1 when memory is out. */
static int
take_items(struct making *making)
{
	const struct loader *loader = cycle_loader(making->load->cycle);
	size_t most = 1;
	for (size_t state = 0; state < N_FILE_STATES; state++)
		most += loader_counts(loader)->files[state];
	making->items = arena_array(making->arena, most, sizeof(*making->items));
	if (making->items == NULL)
		return -1;
	loader_report(loader, on_file, making);
	if (arena_failed(making->arena))
		return -1;
	qsort(making->items, making->n_items, sizeof(*making->items), compare_items);
	return refuse_twins(making);
}

/* Fill ConfigMaps one after the other. A further one of a folder has a number behind a dot, which is in no
 * first one's name. Returns -1 when memory is out. */
static int
make_maps(struct making *making)
{
	struct configmap *map = NULL;
	unsigned number = 1;
	making->maps = arena_array(making->arena, making->n_items, sizeof(*making->maps));
	if (making->maps == NULL)
		return -1;
	for (size_t i = 0; i < making->n_items; i++) {
		const struct item *item = &making->items[i];
		bool is_first = map == NULL || strcmp(item->name, map->items->name) != 0;
		if (is_first || map->bytes + item->cost > making->options->max_bytes) {
			number = is_first ? 1 : number + 1;
			map = &making->maps[making->n_maps++];
			*map = (struct configmap){.items = item, .bytes = HEAD_BYTES};
			map->name =
				is_first ? item->name
					 : arena_printf(making->arena, "%s.%u", item->name, number);
		}
		map->count++;
		map->bytes += item->cost;
	}
	return arena_failed(making->arena) ? -1 : 0;
}

/* Put what a pod needs to have all of them as one directory, as a comment. */
static void
put_volume(struct buffer *out, const struct making *making)
{
	buffer_printf(out,
		"# Made by promptd configmap of prompts with the revision %s: edit those, not "
		"this.\n# The volume to mount as promptd's directory:\n# - name: %s\n"
		"#   projected:\n#     sources:\n",
		making->load->snapshot->revision, making->options->name);
	for (size_t i = 0; i < making->n_maps; i++)
		buffer_printf(out, "#     - configMap: {name: %s}\n", making->maps[i].name);
}

static void
put_map(struct buffer *out, const struct options *options, const struct configmap *map)
{
	buffer_printf(
		out, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"%s\"\n", map->name);
	if (options->namespace != NULL)
		buffer_printf(out, "  namespace: \"%s\"\n", options->namespace);
	buffer_printf(out,
		"  labels: {app.kubernetes.io/managed-by: promptd, app.kubernetes.io/part-of: "
		"\"%s\"}\ndata:\n",
		options->name);
	for (size_t i = 0; i < map->count; i++) {
		const struct item *item = &map->items[i];
		buffer_printf(out, "  %s: ", item->key);
		yaml_put_text(out, item->text, item->length, 4);
	}
}

/* Tell how full each is, beside what goes to other programs. */
static void
tell_sizes(const struct making *making)
{
	int width = 0;
	for (size_t i = 0; i < making->n_maps; i++)
		if ((int)strlen(making->maps[i].name) > width)
			width = (int)strlen(making->maps[i].name);
	for (size_t i = 0; i < making->n_maps; i++) {
		const struct configmap *map = &making->maps[i];
		bool is_one = map->count == 1;
		fprintf(stderr, "%-*s %6zu file%s %*zu of %zu bytes\n", width, map->name,
			map->count, is_one ? "" : "s", is_one ? 9 : 8, map->bytes,
			making->options->max_bytes);
	}
}

/* Print everything, or nothing when memory is out. */
static int
print_maps(struct making *making)
{
	struct buffer out = {0};
	put_volume(&out, making);
	for (size_t i = 0; i < making->n_maps; i++) {
		buffer_puts(&out, i > 0 ? "---\n" : "");
		put_map(&out, making->options, &making->maps[i]);
	}
	int result = out.failed ? -1 : 0;
	if (result == 0) {
		fwrite(out.data, 1, out.length, stdout);
		tell_sizes(making);
	}
	buffer_finish(&out);
	return result;
}

/* Returns the exit status. */
static int
make(struct making *making)
{
	if (making->arena == NULL || making->maker == NULL || making->digest == NULL ||
		take_items(making) != 0 || make_maps(making) != 0)
		goto out_of_memory;
	if (making->n_refused > 0)
		return EXIT_FAILURE;
	if (making->n_items == 0) {
		page_fail("no prompt file below \"%s\"\nprompt files end in .yaml, .yml or .json",
			making->options->directory);
		return EXIT_USAGE;
	}
	if (print_maps(making) == 0)
		return EXIT_SUCCESS;
out_of_memory:
	page_fail("out of memory");
	return EXIT_FAILURE;
}

static int
make_of_load(const struct options *options, const struct load *load)
{
	struct making making = {.options = options,
		.load = load,
		.arena = arena_new(),
		.maker = unit_maker_new(&load->rules),
		.digest = digest_new()};
	int status = make(&making);
	buffer_finish(&making.bytes);
	digest_free(making.digest);
	unit_maker_free(making.maker);
	if (making.arena != NULL)
		arena_free(making.arena);
	return status;
}

int
cli_configmap(const struct options *options)
{
	struct load load = {0};
	struct error error;
	int status = EXIT_USAGE;
	if (load_open(&load, options, options->directory, &error) != 0)
		page_error(&error);
	else
		status = load_tell_problems(&load, options->directory)
				 ? EXIT_FAILURE
				 : make_of_load(options, &load);
	load_close(&load);
	return status;
}
